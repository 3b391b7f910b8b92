# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_keys
short_description: A gateway's keys and passwords, from the fleet's own authority on the controller
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Makes the fleet's authority in a directory of the controller, when it is not there, and the key and the
    certificate of one gateway; what is there is used as long as it fits.
  - All of it runs on the controller, where python3-cryptography is, which ansible-core needs. The host is not
    asked. Several runs may do this at once.
  - The result has secrets; the task needs C(no_log).
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  check_mode:
    description: Nothing is made; what a run would make is replaced by a text that says so.
    support: full
  diff_mode:
    description: There is never a diff.
    support: full
options:
  directory:
    description: The directory on the controller; it and its keys are their owner's alone.
    type: path
    required: true
  host:
    description: The name of this gateway.
    type: str
    required: true
  gateways:
    description: All gateways of the site.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of a gateway.
        type: str
        required: true
      address:
        description: How the others reach it, an address or a name.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Get the keys of this gateway
  mailgate.qmail.fleet_keys:
    directory: "{{ inventory_dir }}/.fleet"
    host: mx1.example.com
    gateways:
      - {name: mx1.example.com, address: 192.0.2.1}
      - {name: mx2.example.com, address: 192.0.2.2}
  no_log: true
  register: keys
"""

RETURN = r"""
ca:
  description: The certificate of the authority.
  type: str
  returned: success
certificate:
  description: The certificate of this gateway.
  type: str
  returned: success
key:
  description: Its key.
  type: str
  returned: success
passwords:
  description: What this gateway says at the engines of the others, by name, and at its own, by an empty name.
  type: dict
  returned: success
users:
  description: The users of this gateway's engine, with hashes of their passwords.
  type: str
  returned: success
made:
  description: The files that were made, or in check mode would be.
  type: list
  elements: str
  returned: success
"""
