# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: accepted_domains
short_description: Domains whose mail the gateway accepts
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Owns control/rcpthosts, in which qmail-smtpd looks up the domain of each recipient.
  - Describes which domains will be accepted, where their mail goes, and which stop being accepted.
  - Refuses an empty list, with which the gateway would accept no mail at all, and domains that never match.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  domains:
    description: The domains; one in Unicode is written in its A-labels (C(xn--)).
    type: list
    elements: str
    required: true
  routes:
    description: Where mail goes, each with C(domain) and C(route). They are used only for the description of
      the changes.
    type: list
    elements: dict
    default: []
  local:
    description: The domains of control/locals, whose mail is delivered on this host. For the words only.
    type: list
    elements: str
    default: []
  path:
    description: The file.
    type: path
    default: /var/qmail/control/rcpthosts
"""

EXAMPLES = r"""
- name: Accept mail for the site's domains
  mailgate.qmail.accepted_domains:
    domains: [example.com, mx1.example.com]
    routes:
      - domain: example.com
        route: 10.0.0.5
"""

RETURN = r"""
changes:
  description: A description of what changes for which domain.
  type: list
  elements: str
  returned: success
  sample: [domain example.com will be accepted and goes to 10.0.0.5]
changed_paths:
  description: The file, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import accepted_domains


def main():
    module = AnsibleModule(argument_spec=accepted_domains.argument_spec(), supports_check_mode=True)
    accepted_domains.run(module)


if __name__ == "__main__":
    main()
