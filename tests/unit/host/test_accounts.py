# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts: what is missing or differs, and the commands that mend it."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import NOLOGIN_SHELL
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.accounts import (
    User,
    foreign,
    group_line,
    passwd_line,
    plan,
    with_directory,
)

PASSWD = f"root:x:0:0:root:/root:/bin/bash\nclamav:x:101:102::/var/lib/clamav:{NOLOGIN_SHELL}\n+::::::\n"
GROUP = "root:x:0:\nclamav:x:102:\n"
CLAMAV = User("clamav", "clamav", "/var/lib/clamav")


def commands(groups: dict[str, int | None], *users: User, passwd: str = PASSWD) -> list[str]:
    return [" ".join(step.argv) for step in plan(passwd, GROUP, groups, users)]


def test_nothing_is_done_where_all_is_as_it_should_be() -> None:
    assert commands({"clamav": None}, CLAMAV) == []
    assert commands({"clamav": 102}, User("clamav", "clamav", "/var/lib/clamav", 101)) == []


BUILD = User("mailgate-build", "mailgate-build", "/nonexistent")
OURS = [
    BUILD,
    User("stats", "stats", "/var/lib/mailgate/stats"),
    User("alias", "nofiles", "/var/qmail/alias"),
    CLAMAV,
]
GROUPS = ["mailgate-build", "nofiles", "stats", "operators", "clamav"]


@pytest.mark.parametrize(
    ("passwd", "group", "names"),
    [
        ("", "", []),
        ("stats:x:1000:1000::/home/stats:/bin/bash\n", "stats:x:1000:\n", ["user 'stats'"]),
        ("stats:x:1000:7::/var/lib/mailgate/stats:/bin/bash\n", "staff:x:7:\n", ["user 'stats'"]),
        ("stats:x:1000:7::/var/lib/mailgate/stats:/bin/bash\n", "stats:x:7:al\n", []),
        ("alias:x:64010:65534::/var/lib/qmail:/bin/sh\n", "nogroup:x:65534:\n", ["user 'alias'"]),
        ("alias:x:64010:5::/var/qmail/alias:/bin/sh\n", "nofiles:x:5:\n", []),
        ("al:x:1001:1001::/home/al:/bin/sh\n", "operators:x:500:al\nal:x:1001:\n", ["group 'operators'"]),
        ("al:x:1001:500::/home/al:/bin/sh\n", "operators:x:500:\n", ["group 'operators'"]),
        ("", "operators:x:500:\nstats:x:501:\n", []),
        ("clamav:x:101:102::/var/lib/clamav:/bin/false\n", "clamav:x:102:amavis\n", []),
        ("mailgate-build:x:1:1::/nonexistent:/x\nstats:x:2:2::/elsewhere:/x\n", "operators:x:500:al\n", []),
    ],
)
def test_accounts_of_others_are_named(passwd: str, group: str, names: list[str]) -> None:
    """By home and group; what nobody uses, and what the gateway made, is ours."""
    found = foreign(passwd, group, GROUPS, OURS)
    assert [re.match(r"account: (\w+ '[a-z]+')", one)[1] for one in found] == names  # type: ignore[index]
    words = {re.search(r"'([a-z]+)'", name)[1] for name in names}  # type: ignore[index]
    assert foreign(passwd, group, GROUPS, OURS, sorted(words)) == []


def test_an_account_of_others_is_told_with_what_to_do() -> None:
    assert foreign("stats:x:9:8::/home/stats:/bin/sh\n", "users:x:8:\n", GROUPS, OURS) == [
        "account: user 'stats' exists with home '/home/stats' and group 'users', and is not the gateway's; "
        "expected another name for it, or base_take_over_accounts: [stats]"
    ]


def test_an_account_that_only_a_directory_knows_is_seen() -> None:
    """Such as LDAP: useradd refuses the name in the middle of a run, and what it belongs to is somebody's."""
    known = {"stats": "stats:x:9000:9000::/home/stats:/bin/bash", "clamav": "never asked for"}
    passwd = with_directory("clamav:x:1:1::/x:/y", ["clamav", "stats", "alias"], known.get)
    assert passwd == f"clamav:x:1:1::/x:/y\n{known['stats']}\n"
    found = foreign(passwd, "", GROUPS, OURS, ["clamav"])
    assert [one.partition(" exists")[0] for one in found] == ["account: user 'stats'"]
    assert with_directory("", ["stats"], lambda _name: None) == ""
    assert passwd_line("root") is not None
    assert group_line("root") is not None
    assert passwd_line("no-such-user-here") is group_line("no-such-group-here") is None
    groups = with_directory("", ["operators"], {"operators": "operators:x:500:al"}.get)
    assert "group 'operators'" in foreign("", groups, GROUPS, OURS)[0]


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
