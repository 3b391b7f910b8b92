# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ascii_domain
short_description: A domain as DNS and SMTP have it
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Turns the labels of a domain that are written in Unicode into A-labels (C(xn--)), and all into lower case.
positional: _input
options:
  _input:
    description: The domain.
    type: str
    required: true
"""

EXAMPLES = r"""
search: "{{ 'Bücher.example' | mailgate.qmail.ascii_domain }}"
# => xn--bcher-kva.example
"""

RETURN = r"""
_value:
  description: The domain in ASCII.
  type: str
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.addresses import ascii_domain  # noqa: E402


class FilterModule:
    def filters(self):
        return {"ascii_domain": ascii_domain}
