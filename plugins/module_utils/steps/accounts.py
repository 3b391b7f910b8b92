# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module accounts does: system groups and users that programs run as."""

from __future__ import annotations

import shlex
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import accounts, busy


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


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    text = {"type": "str", "required": True}
    user = {"name": text, "group": text, "home": {"type": "path", "required": True}}
    return {
        "groups": {"type": "list", "elements": "str", "default": []},
        "group_ids": {"type": "dict", "default": {}},
        "users": {"type": "list", "elements": "dict", "default": [], "options": user},
        "user_ids": {"type": "dict", "default": {}},
        "members": {"type": "dict", "default": {}},
        "lock_seconds": {"type": "int", "default": 120},
        "prefix": {"type": "path", "default": ""},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
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
