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

import shlex

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import accounts, busy
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def numbers(ids, kind):
    """Return the ids as numbers; raises BadInput."""
    for name, number in ids.items():
        if isinstance(number, bool) or not str(number).isdigit():
            raise BadInput(f"{kind} {name}: {number!r} is not a number; expected one such as 951")
    return {name: int(number) for name, number in ids.items()}


def members(given):
    """Return the members of each group as lists of strings; raises BadInput."""
    for group, names in given.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput(f"members of {group}: {names!r} is not a list of names; expected login names")
    return given


def with_prefix(argv, prefix):
    """Return a command that changes the accounts below a directory; gpasswd becomes groupmod there."""
    if not prefix:
        return list(argv)
    if argv[0] == "gpasswd":
        return ["groupmod", "--prefix", prefix, "--users", *argv[2:]]
    return [argv[0], "--prefix", prefix, *argv[1:]]


def main():
    text = {"type": "str", "required": True}
    user = {"name": text, "group": text, "home": {"type": "path", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "default": []},
            "group_ids": {"type": "dict", "default": {}},
            "users": {"type": "list", "elements": "dict", "default": [], "options": user},
            "user_ids": {"type": "dict", "default": {}},
            "members": {"type": "dict", "default": {}},
            "lock_seconds": {"type": "int", "default": 120},
            "prefix": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        group_ids, user_ids = (numbers(given[f"{kind}_ids"], kind) for kind in ("group", "user"))
        passwd, group = (read(f"{given['prefix']}/etc/{name}") for name in ("passwd", "group"))
        if not given["prefix"]:
            names = [one["name"] for one in given["users"]]
            passwd = accounts.with_directory(passwd, names, accounts.passwd_line)
            group = accounts.with_directory(group, given["groups"], accounts.group_line)
        steps = accounts.plan(
            passwd,
            group,
            {name: group_ids.get(name) for name in given["groups"]},
            [accounts.User(uid=user_ids.get(one["name"]), **one) for one in given["users"]],
            members(given["members"]),
        )
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error), commands=[])
    commands = [with_prefix(step.argv, given["prefix"]) for step in steps]
    for argv in [] if module.check_mode else commands:
        done = busy.run_when_free(
            lambda argv=argv: module.run_command(argv, environ_update=busy.ENGLISH),
            busy.ACCOUNTS_LOCKED,
            given["lock_seconds"],
        )
        if done.held:
            module.warn(done.warning("accounts"))
        if done.status != 0:
            said = (done.err + done.out).strip()
            what = f"{shlex.join(argv)!r} ended with status {done.status}"
            module.fail_json(
                msg=f"account: {what}; expected 0; output: {said}",
                commands=[shlex.join(one) for one in commands],
            )
    module.exit_json(
        changed=bool(steps),
        commands=[shlex.join(argv) for argv in commands],
        diff={
            "before": "".join(f"{step.before}\n" for step in steps),
            "after": "".join(f"{step.after}\n" for step in steps),
        },
    )


if __name__ == "__main__":
    main()
