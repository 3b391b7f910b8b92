# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts: what is missing or differs, and the commands that mend it."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import NOLOGIN_SHELL
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.accounts import User, plan

PASSWD = f"root:x:0:0:root:/root:/bin/bash\nclamav:x:101:102::/var/lib/clamav:{NOLOGIN_SHELL}\n+::::::\n"
GROUP = "root:x:0:\nclamav:x:102:\n"
CLAMAV = User("clamav", "clamav", "/var/lib/clamav")


def commands(groups: dict[str, int | None], *users: User, passwd: str = PASSWD) -> list[str]:
    return [" ".join(step.argv) for step in plan(passwd, GROUP, groups, users)]


def test_nothing_is_done_where_all_is_as_it_should_be() -> None:
    assert commands({"clamav": None}, CLAMAV) == []
    assert commands({"clamav": 102}, User("clamav", "clamav", "/var/lib/clamav", 101)) == []


def members(wanted: list[str], group: str = "operators:x:500:al,zed\n", passwd: str = PASSWD) -> list[str]:
    steps = plan(passwd, group, {"operators": None}, [], {"operators": wanted})
    return [" ".join(step.argv) for step in steps]


def test_a_group_has_the_members_that_are_listed_and_no_others() -> None:
    assert members(["zed", "al", "al"]) == []
    assert members(["al"]) == ["gpasswd --members al operators"]
    assert members(["al", "bo", "zed"]) == ["gpasswd --members al,bo,zed operators"]
    assert members([]) == ["gpasswd --members  operators"]
    assert members([], "operators:x:500:\n") == []
    assert members(["al"], "") == ["groupadd --system operators", "gpasswd --members al operators"]
    assert members([], "") == ["groupadd --system operators"]
    (step,) = plan(PASSWD, "operators:x:500:al,zed\n", {}, [], {"operators": ["bo"]})
    assert (step.before, step.after) == ("group operators: members al, zed", "group operators: members bo")


def test_whose_own_group_it_is_cannot_be_taken_out_of_it() -> None:
    passwd = PASSWD + "al:x:1000:500::/home/al:/bin/bash\n"
    with pytest.raises(BadInput) as caught:
        members(["zed"], passwd=passwd)
    assert str(caught.value) == (
        "group operators: is the primary group of 'al', who is not listed; expected another primary group "
        "('usermod --gid GROUP al'), or the name in the list"
    )
    assert members(["al", "zed"], passwd=passwd) == []


def test_members_of_a_group_that_is_missing() -> None:
    with pytest.raises(BadInput, match="group operators: is missing; expected one of groups"):
        plan(PASSWD, GROUP, {}, [], {"operators": []})
    with pytest.raises(BadInput, match="'al,zed' is not a name"):
        members(["al,zed"])


def test_what_is_missing_is_made_groups_first() -> None:
    made = commands(
        {"qmail": None, "simscan": 951}, User("simscan", "simscan", "/s", 951), User("q", "qmail", "/q")
    )
    assert made == [
        "groupadd --system qmail",
        "groupadd --system --gid 951 simscan",
        "useradd --system --no-create-home --password ! --gid simscan --home-dir /s --shell /usr/sbin/nologin"
        " --uid 951 simscan",
        "useradd --system --no-create-home --password ! --gid qmail --home-dir /q --shell /usr/sbin/nologin"
        " q",
    ]


@pytest.mark.parametrize(
    ("row", "user", "expected"),
    [
        ("clamav:x:101:0::/var/lib/clamav:" + NOLOGIN_SHELL, CLAMAV, "usermod --gid clamav clamav"),
        ("clamav:x:101:102::/nonexistent:" + NOLOGIN_SHELL, CLAMAV, "usermod --home /var/lib/clamav clamav"),
        ("clamav:x:101:102::/var/lib/clamav:/bin/sh", CLAMAV, f"usermod --shell {NOLOGIN_SHELL} clamav"),
        (
            "clamav:x:7:102::/x:" + NOLOGIN_SHELL,
            User("clamav", "clamav", "/var/lib/clamav", 101),
            "usermod --home /var/lib/clamav --uid 101 clamav",
        ),
    ],
)
def test_what_differs_is_corrected(row: str, user: User, expected: str) -> None:
    assert commands({}, user, passwd=row + "\n") == [expected]


def test_a_group_gets_its_number_and_its_users_follow() -> None:
    assert commands({"clamav": 500}, CLAMAV) == ["groupmod --gid 500 clamav", "usermod --gid clamav clamav"]


def test_a_step_says_what_is_before_and_after_it() -> None:
    (step,) = plan(PASSWD, GROUP, {"clamav": 500}, [])
    assert (step.before, step.after) == ("group clamav: gid 102", "group clamav: gid 500")


@pytest.mark.parametrize(
    ("passwd", "groups", "users", "message"),
    [
        (
            PASSWD,
            {"a b": None},
            [],
            "account: 'a b' is not a name; expected small letters, digits, '_' and '-'",
        ),
        (
            PASSWD,
            {"-x": None},
            [],
            "account: '-x' is not a name; expected small letters, digits, '_' and '-'",
        ),
        (PASSWD, {}, [User("a", "b", "/")], "user a: the group 'b' is missing; expected one of groups"),
        ("x:y\n", {}, [], "/etc/passwd line 1: 'x:y' is damaged; expected 7 fields"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    passwd: str, groups: dict[str, int | None], users: list[User], message: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        plan(passwd, GROUP, groups, users)
