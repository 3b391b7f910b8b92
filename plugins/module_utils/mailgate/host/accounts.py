# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""System groups and users of the programs: what is missing or differs, and the commands that correct it."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.paths import NOLOGIN_SHELL

BUILD_USER = "mailgate-build"  # made before the other users
_TAKE_OVER = "expected another name for it, or base_take_over_accounts: [{}]"
LOCKED = "!"  # in place of a password hash: no password matches
_LOGIN = re.compile(r"[^\s:,/-][^\s:,/]{0,255}")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class User:
    """A user with its primary group and its home directory, which is not created."""

    name: str
    group: str
    home: str
    uid: int | None = None


@dataclass(frozen=True)
class Step:
    """One command, and a description of the state before and after it."""

    argv: tuple[str, ...]
    before: str
    after: str


def _rows(text: str, fields: int, name: str) -> dict[str, list[str]]:
    """Return the lines of passwd or group by name; those for other sources ('+…') are ignored."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        row = line.split(":")
        if not line or line.startswith(("+", "-", "#")):
            continue
        if len(row) != fields or not row[2].isdigit():
            raise BadInput(f"{name} line {number}: {line!r} is damaged; expected {fields} fields")
        found.setdefault(row[0], row)
    return found


def _check(names: Sequence[str]) -> None:
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise BadInput(f"account: {name!r} is not a name; expected small letters, digits, '_' and '-'")


def with_directory(text: str, names: Sequence[str], look_up: Callable[[str], str | None]) -> str:
    """Return passwd or group with the lines of those names that only a directory such as LDAP knows.

    look_up returns the line of a name, as getent(1) prints it, or None.
    """
    here = {line.split(":", 1)[0] for line in text.splitlines()}
    found = [line for name in names if name not in here and (line := look_up(name)) is not None]
    return "".join([text, "" if text.endswith("\n") or not text else "\n", *(f"{line}\n" for line in found)])


def passwd_line(name: str) -> str | None:
    """Return a user as the name service knows it, in the form of passwd(5), or None."""
    try:
        one = pwd.getpwnam(name)
    except KeyError:
        return None
    return f"{one.pw_name}:x:{one.pw_uid}:{one.pw_gid}::{one.pw_dir}:{one.pw_shell}"


def group_line(name: str) -> str | None:
    """Return a group as the name service knows it, in the form of group(5), or None."""
    try:
        one = grp.getgrnam(name)
    except KeyError:
        return None
    return f"{one.gr_name}:x:{one.gr_gid}:{','.join(one.gr_mem)}"


def foreign(
    passwd: str, group: str, groups: Sequence[str], users: Sequence[User], taken_over: Sequence[str] = ()
) -> list[str]:
    """Return why accounts with the names of ours are not ours, one text each: taking them over does harm.

    A user is ours if home and primary group are; a group if its user is, or if nobody is in it. Where
    BUILD_USER exists the gateway made its accounts already, and the rest is corrected. taken_over has the
    names that the site lets be taken over. Raises BadInput for a damaged file.
    """
    known_groups, known_users = _rows(group, 4, "/etc/group"), _rows(passwd, 7, "/etc/passwd")
    if BUILD_USER in known_users:
        return []
    names = {row[2]: name for name, row in known_groups.items()}
    found, ours = [], set()
    for user in users:
        row = known_users.get(user.name)
        if row is None:
            continue
        has = (row[5], names.get(row[3], row[3]))
        if has == (user.home, user.group):
            ours.add(user.name)
        elif user.name not in taken_over:
            found.append(
                f"account: user {user.name!r} exists with home {has[0]!r} and group {has[1]!r}, and is not "
                f"the gateway's; {_TAKE_OVER.format(user.name)}"
            )
    for name in groups:
        row = known_groups.get(name)
        if row is None or name in ours or name in taken_over:
            continue
        inside = sorted(
            {one for one in row[3].split(",") if one}
            | {one for one, fields in known_users.items() if fields[3] == row[2]}
        )
        wanted = {user.name for user in users if user.group == name}
        if set(inside) - wanted:
            found.append(
                f"account: group {name!r} exists with {', '.join(inside[:5])} in it, and is not the "
                f"gateway's; {_TAKE_OVER.format(name)}"
            )
    return found


def _check_logins(names: Sequence[str]) -> None:
    """Login names are the site's own choice: of those only what would break /etc/group is refused."""
    for name in names:
        if _LOGIN.fullmatch(name) is None:
            raise BadInput(f"account: {name!r} is not a name; expected a login name")


def plan(
    passwd: str,
    group: str,
    groups: Mapping[str, int | None],
    users: Sequence[User],
    members: Mapping[str, Sequence[str]] | None = None,
) -> list[Step]:
    """Return the steps from the present accounts to the wanted ones, groups first.

    passwd and group are the texts of /etc/passwd and /etc/group; groups has the number of each group, or None
    for any; members has all members of some groups, whose other members are removed. Raises BadInput for an
    invalid name, for a group that neither exists nor is wanted, and for a damaged file.
    """
    _check([*groups, *(user.name for user in users)])
    known_groups, known_users = _rows(group, 4, "/etc/group"), _rows(passwd, 7, "/etc/passwd")
    numbers = {name: row[2] for name, row in known_groups.items()}
    steps = []
    for name, gid in groups.items():
        wish = [] if gid is None else ["--gid", str(gid)]
        after = f"group {name}: " + (f"gid {gid}" if gid is not None else "present")
        if name not in numbers:
            steps.append(Step(("groupadd", "--system", *wish, name), f"group {name}: absent", after))
        elif wish and numbers[name] != wish[1]:
            steps.append(Step(("groupmod", *wish, name), f"group {name}: gid {numbers[name]}", after))
        numbers[name] = str(gid) if gid is not None else numbers.get(name, "of the new group")
    for user in users:
        if user.group not in numbers:
            raise BadInput(f"user {user.name}: the group {user.group!r} is missing; expected one of groups")
        wanted = {"gid": numbers[user.group], "home": user.home, "shell": NOLOGIN_SHELL}
        options = {
            "gid": ("--gid", user.group),
            "home": ("--home-dir", user.home),
            "shell": ("--shell", NOLOGIN_SHELL),
        }
        if user.uid is not None:
            wanted["uid"], options["uid"] = str(user.uid), ("--uid", str(user.uid))
        row = known_users.get(user.name)
        if row is None:
            words = [word for pair in options.values() for word in pair]
            argv = ("useradd", "--system", "--no-create-home", "--password", LOCKED, *words, user.name)
            steps.append(Step(argv, f"user {user.name}: absent", f"user {user.name}: {_told(wanted)}"))
            continue
        has = {"gid": row[3], "home": row[5], "shell": row[6], "uid": row[2]}
        wrong = [what for what in wanted if wanted[what] != has[what]]
        if wrong:
            # usermod's option for the home directory differs from useradd's long one.
            words = [
                word
                for what in wrong
                for word in ("--home" if what == "home" else options[what][0], options[what][1])
            ]
            before = f"user {user.name}: {_told({what: has[what] for what in wrong})}"
            after = f"user {user.name}: {_told({what: wanted[what] for what in wrong})}"
            steps.append(Step(("usermod", *words, user.name), before, after))
    return [*steps, *_member_steps(known_groups, known_users, numbers, members or {})]


def _member_steps(
    groups: Mapping[str, Sequence[str]],
    users: Mapping[str, Sequence[str]],
    numbers: Mapping[str, str],
    members: Mapping[str, Sequence[str]],
) -> list[Step]:
    steps = []
    for name, listed in members.items():
        if name not in numbers:
            raise BadInput(f"group {name}: is missing; expected one of groups")
        _check_logins(listed)
        row = groups.get(name)
        for user, fields in users.items():
            if row is not None and fields[3] == row[2] and user not in listed:
                raise BadInput(
                    f"group {name}: is the primary group of {user!r}, who is not listed; expected another "
                    f"primary group ('usermod --gid GROUP {user}'), or the name in the list"
                )
        before = sorted({one for one in row[3].split(",") if one}) if row is not None else []
        after = sorted(set(listed))
        if before != after:
            argv = ("gpasswd", "--members", ",".join(after), name)
            steps.append(Step(argv, _members(name, before), _members(name, after)))
    return steps


def _members(name: str, members: Sequence[str]) -> str:
    return f"group {name}: members {', '.join(members) or 'none'}"


def _told(values: Mapping[str, str]) -> str:
    return " ".join(f"{what} {value}" for what, value in values.items())
