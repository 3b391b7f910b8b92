# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import networks

DOCUMENTATION = r"""
name: relay_prefixes
short_description: Networks as addresses for tcprules
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Turns networks in CIDR form into the addresses of tcprules that match exactly the same hosts.
  - Networks come back in ascending order, and one that lies inside another is left out.
  - Fails for what is no IPv4 network in CIDR form, has host bits set, or is too wide to relay.
positional: minimum_prefix_length
options:
  _input:
    description: Networks in CIDR form.
    type: list
    elements: str
    required: true
  minimum_prefix_length:
    description: The shortest prefix length that is accepted, in bits.
    type: int
    default: 8
"""

EXAMPLES = r"""
- name: Show the addresses
  ansible.builtin.debug:
    msg: "{{ ['10.0.0.0/22', '198.51.100.64/26'] | mailgate.qmail.relay_prefixes }}"
    # => ['10.0.0-3.', '198.51.100.64-127']
"""

RETURN = r"""
_value:
  description: One tcprules address for each network.
  type: list
  elements: str
"""


def relay_prefixes(
    texts: list[str], minimum_prefix_length: int = networks.RELAY_MINIMUM_PREFIX_LENGTH
) -> list[str]:
    try:
        return networks.relay_prefixes(texts, minimum_prefix_length)
    except BadInput as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter, under the name that playbooks know."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"relay_prefixes": relay_prefixes}
