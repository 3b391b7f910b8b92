# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: domain_rules
short_description: How mail to single domains is judged, as lines of control/domainrules
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Converts C(spam) of a site's domains to the lines that qmail-smtpd and simscan read. Domains that want the
    same have one rule; domains in Unicode become A-labels.
positional: _input, subject_tag
options:
  _input:
    description: The site's domains; those with C(spam) have a rule.
    type: list
    elements: dict
    required: true
  subject_tag:
    description: What SpamAssassin puts in front of the subject of spam, which the domains do, too.
    type: str
    default: ""
"""

EXAMPLES = r"""
lines: "{{ [{'name': 'example.com', 'spam': {'reject': 8}}] | mailgate.qmail.domain_rules }}"
# => ["rule", "reject 8", "domain example.com", "end"]
"""

RETURN = r"""
_value:
  description: The lines; the last one is C(end).
  type: list
  elements: str
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.domain_rules import (  # noqa: E402
    rule_lines,
    site_rules,
)


def domain_rules(domains, subject_tag=""):
    found, faults = site_rules(domains, str(subject_tag or ""))
    if faults:
        raise BadInput("\n".join(faults))
    return rule_lines(found)


class FilterModule:
    def filters(self):
        return {"domain_rules": domain_rules}
