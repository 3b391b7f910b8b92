# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What peers said goes to the single writers: what they refuse stays refused, what fails is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput, TryAgain
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.sockets import NoAnswer
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import apply
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.apply import (
    Applier,
    HelperWriters,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.merge import Acts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version

AT = 1_795_000_000


class Written:
    """Writers that keep what they are given, and fail or refuse as they are told."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.losers: list[tuple[Act, Act]] = []
        self.networks: list[Grey] = []
        self.trouble: Exception | None = None
        self.why = ""

    def act(self, act: Act) -> str:
        if self.trouble:
            raise self.trouble
        self.acts.append(act)
        return self.why

    def lost(self, loser: Act, winner: Act) -> None:
        if self.trouble:
            raise self.trouble
        self.losers.append((loser, winner))

    def greys(self, greys: Sequence[Grey]) -> int:
        if self.trouble:
            raise self.trouble
        self.networks += greys
        return 1 if self.why else 0

    def greylist(self) -> Iterator[Sequence[Grey]]:
        yield self.networks


def deny(counter: int, value: str = "198.51.100.0/24", host: str = "mx2", **more: Any) -> Act:
    values: dict[str, Any] = {"action": "deny", "until": None, "over": None, **more}
    return Act(
        "client", value, values["action"], f"bob@{host}", "why", values["until"], AT, Version(counter, host),
        values["over"],
    )  # fmt: skip


class Host:
    def __init__(self) -> None:
        self.writers, self.acts = Written(), Acts("mx1")
        self.applier = Applier(self.writers, self.acts)

    def hear(self, act: Act) -> None:
        self.applier.take(act, self.acts.take(act))


def test_news_is_handed_over_once() -> None:
    host = Host()
    host.hear(deny(1))
    host.hear(deny(1))
    assert host.applier.step(AT)
    host.hear(deny(1))
    assert not host.applier.step(AT)
    assert host.writers.acts == [deny(1)]


def test_only_the_act_that_stands_is_handed_over() -> None:
    host = Host()
    host.hear(deny(1))
    host.hear(deny(2, action="remove", over=Version(1, "mx2")))
    host.applier.step(AT)
    assert [one.action for one in host.writers.acts] == ["remove"]
    assert host.writers.losers == []


def test_the_loser_of_two_acts_is_told_to_the_audit_log() -> None:
    host = Host()
    host.hear(deny(1, host="mx3"))
    host.hear(deny(1, host="mx2", action="allow"))
    host.applier.step(AT)
    assert [(one.version.host, two.version.host) for one, two in host.writers.losers] == [("mx2", "mx3")]
    assert [one.action for one in host.writers.acts] == ["deny"]


def test_of_what_has_ended_nothing_is_left_and_nothing_of_what_it_replaced() -> None:
    host = Host()
    host.hear(deny(1, until=AT))
    host.applier.step(AT)
    assert [(one.action, one.until) for one in host.writers.acts] == [("remove", None)]
    listed = Act("adaptive", "203.0.113.9", "list", "blacklist@mx2", "x", AT, AT, Version(2, "mx2"))
    host.hear(listed)
    host.applier.step(AT)
    assert host.writers.acts[1:] == []  # the blacklist judges its own entries
    assert host.applier.waiting == 0


@pytest.mark.parametrize("trouble", [NoAnswer("socket: nobody"), OSError("broken")])
def test_a_writer_that_does_not_answer_is_asked_again_later(trouble: Exception) -> None:
    host = Host()
    host.writers.trouble = trouble
    host.hear(deny(1))
    host.applier.grey(Grey("192.0.2.0/24", True, AT))
    assert not host.applier.step(AT)
    assert host.applier.trouble == str(trouble)
    host.writers.trouble = None
    assert not host.applier.step(AT + 1)
    assert host.applier.unsettled() == [deny(1).key]
    assert host.applier.step(AT + apply.RETRY_SECONDS)
    assert host.writers.acts == [deny(1)]
    assert host.applier.trouble == ""


@pytest.mark.parametrize("refuses", ["word", "error"])
def test_what_this_host_refuses_is_known_until_another_act(refuses: str) -> None:
    host = Host()
    if refuses == "word":
        host.writers.why = "it is protected here"
    else:
        host.writers.trouble = BadInput("it is protected here")
    host.hear(deny(1))
    host.applier.step(AT)
    assert dict(host.applier.refused) == {deny(1).key: "it is protected here"}
    assert not host.applier.step(AT + 3600)
    host.writers.why, host.writers.trouble = "", None
    host.hear(deny(2, action="remove", over=Version(1, "mx2")))
    host.applier.step(AT)
    assert not host.applier.refused


def test_an_act_of_this_host_needs_no_writer() -> None:
    host = Host()
    host.hear(deny(1))
    mine = deny(2, host="mx1", over=Version(1, "mx2"))
    host.acts.take(mine)
    host.applier.here(mine)
    assert not host.applier.step(AT)


def test_what_was_not_in_force_at_a_restart_is_handed_over_then() -> None:
    host = Host()
    host.hear(deny(1))
    again = Applier(host.writers, host.acts, host.applier.unsettled())
    again.step(AT)
    assert host.writers.acts == [deny(1)]


def test_networks_are_joined_and_handed_over_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "GREYS_AT_ONCE", 2)
    host = Host()
    for at in (AT, AT + 9):
        host.applier.grey(Grey("192.0.2.0/24", False, at))
    host.applier.grey(Grey("10.0.1.0/24", True, AT))
    host.applier.grey(Grey("10.0.2.0/24", True, AT))
    host.applier.step(AT)
    assert host.writers.networks == [Grey("192.0.2.0/24", False, AT), Grey("10.0.1.0/24", True, AT)]
    host.applier.step(AT)
    assert len(host.writers.networks) == 3
    assert host.applier.waiting == 0


def test_the_networks_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "GREYS_MAX", 2)
    host = Host()
    for number in range(5):
        host.applier.grey(Grey(f"10.0.{number}.0/24", True, AT))
    assert (host.applier.waiting, host.applier.greys_dropped) == (2, 3)


def test_acts_come_before_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "ACTS_AT_ONCE", 1)
    host = Host()
    host.applier.grey(Grey("192.0.2.0/24", True, AT))
    host.hear(deny(1))
    host.hear(deny(2, "203.0.113.0/24"))
    host.applier.step(AT)
    assert (len(host.writers.acts), host.writers.networks) == (1, [])
    host.applier.step(AT)
    assert (len(host.writers.acts), len(host.writers.networks)) == (2, 1)


def test_the_helper_is_asked_by_verbs_of_the_fleet() -> None:
    asked: list[Mapping[str, object]] = []
    answers: list[dict[str, Any]] = [
        {"refused": "protected"}, {}, {"refused": 1},
        {"greys": [["192.0.2.0/24", True, AT]], "next": 1}, {"greys": [], "next": None},
    ]  # fmt: skip

    def ask(request: Mapping[str, object]) -> Mapping[str, object]:
        asked.append(request)
        return answers.pop(0)

    writers = HelperWriters(ask)
    one = deny(1)
    assert writers.act(one) == "protected"
    writers.lost(one, deny(2, host="mx3"))
    assert writers.greys([Grey("192.0.2.0/24", True, AT)]) == 1
    assert [list(group) for group in writers.greylist()] == [[Grey("192.0.2.0/24", True, AT)], []]
    assert [request["do"] for request in asked] == [
        "peer-act",
        "peer-lost",
        "peer-greys",
        "peer-greylist",
        "peer-greylist",
    ]
    assert asked[0] == {
        "do": "peer-act", "kind": "client", "value": "198.51.100.0/24", "action": "deny", "by": "bob@mx2",
        "note": "why", "until": None, "host": "mx2",
    }  # fmt: skip
    assert asked[1]["winner"] == "deny by bob@mx3"


def test_a_socket_that_is_being_made_refuses_no_act() -> None:
    def ask(request: Mapping[str, object]) -> Mapping[str, object]:
        raise BadInput("socket /run/operator: not allowed") from PermissionError(13, "Permission denied")

    with pytest.raises(TryAgain, match="not allowed"):
        HelperWriters(ask).act(deny(1))


def test_a_request_that_a_writer_does_not_take_ends_nothing() -> None:
    host = Host()
    host.writers.trouble = BadInput("request peer-greys: is not for this host")
    host.applier._losers.append((deny(1), deny(2)))
    host.applier.grey(Grey("192.0.2.0/24", True, AT))
    assert host.applier.step(AT)
    assert host.applier.waiting == 0
    assert host.applier.greys_refused == 1
