# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: accounts
short_description: System groups and users that programs run as
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Creates the groups and users that are missing, all in one call, and corrects number, primary group, home
    and shell of those that differ. Nobody can log in as one of them, and no home directory is created.
  - An account that is not listed is left unchanged.
  - For groups in O(members) it also sets who is a member, and fails when another user has such a group as
    primary group.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  groups:
    description: The names of the groups.
    type: list
    elements: str
    default: []
  group_ids:
    description: The numbers that some of these groups must have.
    type: dict
    default: {}
  users:
    description: The users.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The user's name.
        type: str
        required: true
      group:
        description: The primary group.
        type: str
        required: true
      home:
        description: The home directory, which is not created.
        type: path
        required: true
  user_ids:
    description: The numbers that some of these users must have.
    type: dict
    default: {}
  members:
    description: The login names that are members of some groups. Other members are removed.
    type: dict
    default: {}
  lock_seconds:
    description:
      - For how long to wait while another program, such as the installation of a package, holds a lock of the
        accounts. How long it took is said in a warning.
    type: int
    default: 120
  prefix:
    description: Where C(etc/passwd) and the others are, for a system other than the running one.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Create the user of a service
  mailgate.qmail.accounts:
    groups: [stats]
    users:
      - {name: stats, group: stats, home: /var/lib/mailgate/stats}

- name: Let these people, and nobody else, operate the gateway
  mailgate.qmail.accounts:
    groups: [operators]
    members: {operators: [alice, bob]}
"""

RETURN = r"""
commands:
  description: The commands that were run, or would be.
  returned: always
  type: list
  elements: str
  sample: [groupadd --system stats]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import accounts


def main():
    module = AnsibleModule(argument_spec=accounts.argument_spec(), supports_check_mode=True)
    accounts.run(module)


if __name__ == "__main__":
    main()
