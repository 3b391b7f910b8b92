# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Acts of other gateways: judged by this host's own judges, in its audit log, never relay or protection."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.sockets import NoAnswer
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import facts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.apply import HelperWriters
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.feed import view_of
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import greylist
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import peers, service
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.lookups import (
    ExternalPaths,
    Lookups,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import Caller
from support.operator_host import ALICE, NOW, PROTECTED, PROTECTED_HERE, RELAY, Host, add, refused_of

FLEET, ROOT = Caller(990, "fleet"), Caller(0, "root")
NETWORK = "198.51.100.0/24"


class Fleet:
    """The verbs of a host in a directory, asked as the fleet's user."""

    def __init__(self, path: Path) -> None:
        self.host = Host(path)
        (path / "greylist").mkdir()
        self.editor = self.host.editor()
        outside = ExternalPaths(
            blacklist=str(path / "blacklist"),
            greylist=str(path / "greylist"),
            greylist_settings=str(path / "no-settings"),
        )
        acts = peers.PeerActs(self.editor, outside, lambda: self.host.now)
        lookups = Lookups(self.editor, outside, lambda: self.host.now)
        self.verbs = service.Verbs(self.editor, lookups, refused_of(self.editor, self.host), acts)

    def ask(self, caller: Caller = FLEET, **request: Any) -> dict[str, Any]:
        return self.verbs.answer(caller, json.dumps(request).encode())

    def act(self, kind: str, value: str, action: str, **more: Any) -> dict[str, Any]:
        values = {"by": "alice@mx2", "note": "phishes", "until": None, "host": "mx2", **more}
        return self.ask(do="peer-act", kind=kind, value=value, action=action, **values)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


DONE = {"ok": True, "refused": ""}


@pytest.mark.parametrize(
    ("kind", "value", "action", "name", "word"),
    [
        ("client", NETWORK, "deny", "clients", "deny"),
        ("client", NETWORK, "allow", "clients", "allow"),
        ("sender", "@bad.example", "block", "senders", ""),
        ("score", "x@y.example", "trust", "trusted", ""),
        ("score", "x@y.example", "distrust", "blocked", ""),
    ],
)
def test_an_act_of_a_peer_stands_with_its_author_note_and_end(
    fleet: Fleet, kind: str, value: str, action: str, name: str, word: str
) -> None:
    until = int(NOW) + 3600
    assert fleet.act(kind, value, action, until=until) == DONE
    entry = fleet.editor.lists.own_entry(name, value)
    assert entry is not None
    assert entry.values() == {
        "value": value,
        "action": word,
        "by": "alice@mx2",
        "note": "phishes",
        "until": until,
    }
    number = fleet.editor.audit.number
    assert fleet.act(kind, value, action, until=until) == DONE  # heard again: nothing happens
    assert fleet.editor.audit.number == number
    assert fleet.act(kind, value, "remove", note="") == DONE
    assert fleet.editor.lists.own_entry(name, value) is None
    assert [(one["by"], one["do"], one["value"]) for one in fleet.editor.audit.shown(9)] == [
        ("alice@mx2", "remove", value), ("alice@mx2", "add", value),
    ]  # fmt: skip


def test_a_sender_who_is_trusted_instead_of_distrusted_changes_its_list(fleet: Fleet) -> None:
    fleet.act("score", "x@y.example", "distrust")
    assert fleet.act("score", "x@y.example", "trust") == DONE
    assert fleet.editor.lists.own_entry("blocked", "x@y.example") is None
    assert fleet.editor.lists.own_entry("trusted", "x@y.example") is not None


def test_an_operator_here_may_undo_the_act_of_a_peer(fleet: Fleet) -> None:
    fleet.act("client", NETWORK, "deny")
    fleet.editor.undo(ALICE, fleet.editor.audit.number)
    assert fleet.editor.lists.own_entry("clients", NETWORK) is None


@pytest.mark.parametrize(
    ("value", "action", "why"),
    [
        (PROTECTED, "deny", "protected"),
        (PROTECTED_HERE, "deny", "protected"),
        (RELAY, "deny", "may relay here"),
        (RELAY, "allow", "may relay here"),
        ("10.0.0.7/32", "deny", "may relay here"),
        ("10.0.0.0/16", "allow", "may relay here"),
        ("127.0.0.1/32", "deny", "may relay here"),
        ("10.77.0.0/24", "deny", "may relay here"),  # an operator's
        ("0.0.0.0/0", "allow", "expected"),
    ],
)
def test_this_hosts_relay_and_protected_networks_cannot_be_touched(
    fleet: Fleet, value: str, action: str, why: str
) -> None:
    add(fleet.editor, "relay", "10.77.0.0/24")
    before, relays = fleet.host.files(), list(fleet.host.relays().intervals())
    assert why in fleet.act("client", value, action)["refused"]
    assert (fleet.host.files(), list(fleet.host.relays().intervals())) == (before, relays)
    newest = fleet.editor.audit.shown(1)[0]
    assert (newest["by"], newest["value"]) == ("alice@mx2", value)
    assert newest["effects"][0].startswith("refused: ")


def test_a_peer_cannot_take_back_the_relay_network_of_an_operator(fleet: Fleet) -> None:
    add(fleet.editor, "relay", "10.77.0.0/24")
    relays = list(fleet.host.relays().intervals())
    assert fleet.act("client", "10.77.0.0/24", "remove", note="") == DONE
    assert list(fleet.host.relays().intervals()) == relays
    assert fleet.editor.lists.own_entry("relay", "10.77.0.0/24") is not None


def test_a_peer_cannot_let_a_host_relay_that_an_operator_denied_within_a_relay_network(fleet: Fleet) -> None:
    add(fleet.editor, "relay", "10.77.0.0/24")
    add(fleet.editor, "clients", "10.77.0.9/32", "deny")
    before = fleet.host.files()
    assert "may relay here" in fleet.act("client", "10.77.0.9/32", "remove", note="")["refused"]
    assert fleet.host.files() == before
    assert fleet.act("client", "10.77.0.8/32", "remove", note="") == DONE  # there is nothing to remove


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "relay"},
        {"kind": "recipients"},
        {"kind": ["client"]},
        {"until": "tomorrow"},
        {"until": -1},
        {"until": True},
        {"by": 7},
        {"more": 1},
    ],
)
def test_a_malformed_act_is_refused(fleet: Fleet, values: dict[str, Any]) -> None:
    before = fleet.host.files()
    answer = fleet.act(**{"kind": "client", "value": NETWORK, "action": "deny", **values})
    assert not answer["ok"]
    assert "expected" in answer["error"]
    assert fleet.host.files() == before


@pytest.mark.parametrize(
    ("kind", "action", "more"),
    [
        ("client", "block", {}),
        ("client", "", {}),
        ("sender", "trust", {}),
        ("client", "deny", {"note": "a\nb"}),
    ],
)
def test_an_act_that_is_not_one_of_its_kind_is_refused(
    fleet: Fleet, kind: str, action: str, more: dict[str, Any]
) -> None:
    assert "expected" in fleet.act(kind, NETWORK, action, **more)["refused"]


def test_the_loser_of_two_acts_is_in_the_audit_log(fleet: Fleet) -> None:
    values = {"kind": "client", "value": NETWORK, "action": "deny", "by": "alice@mx2", "note": "phishes"}
    assert fleet.ask(do="peer-lost", **values, until=None, host="mx2", winner="allow by bob@mx3") == {
        "ok": True
    }
    newest = fleet.editor.audit.shown(1)[0]
    assert (newest["by"], newest["do"], newest["note"]) == ("alice@mx2", "deny", "phishes")
    assert newest["effects"] == ["refused: another act stands in the fleet: allow by bob@mx3"]


def test_the_fleet_may_use_its_verbs_only_and_nobody_else_may(fleet: Fleet) -> None:
    for do in service.VERBS:
        with pytest.raises(BadInput, match="fleet may not ask that"):
            peers.refuse_caller(FLEET, do)
        peers.refuse_caller(ALICE, do)
    for do in peers.VERBS:
        with pytest.raises(BadInput, match="alice may not ask that"):
            peers.refuse_caller(ALICE, do)
        peers.refuse_caller(FLEET, do)
        peers.refuse_caller(ROOT, do)
    answer = fleet.ask(do="act", act="add", list="relay", value="10.9.0.0/24", note="x")
    assert "fleet may not ask that" in answer["error"]


def test_a_host_without_the_fleets_acts_refuses_its_verbs(fleet: Fleet) -> None:
    lookups = Lookups(fleet.editor, ExternalPaths(), lambda: NOW)
    verbs = service.Verbs(fleet.editor, lookups, refused_of(fleet.editor, fleet.host))
    assert "expected one with peers" in verbs.answer(FLEET, b'{"do": "peer-greylist", "folder": 0}')["error"]


def test_networks_are_joined_into_the_greylist_and_told_again(fleet: Fleet) -> None:
    at = int(NOW) - 100
    greys = [
        ["192.0.2.0/24", False, at],
        ["2001:db8::/64", True, at],
        ["192.0.2.0/25", True, at],
        ["../x", True, at],
    ]
    assert fleet.ask(do="peer-greys", greys=greys) == {"ok": True, "refused": 2}
    found: list[Any] = []
    folder: int | None = 0
    while folder is not None:
        answer = fleet.ask(do="peer-greylist", folder=folder)
        found += answer["greys"]
        folder = answer["next"]
    assert sorted(found) == [["192.0.2.0/24", False, at], ["2001:db8::/64", True, at]]


@pytest.mark.parametrize("full", ["files", "blocks"])
def test_peers_do_not_fill_the_disk_with_networks(
    fleet: Fleet, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = int(NOW) - 100
    assert fleet.ask(do="peer-greys", greys=[["192.0.2.0/24", False, at]])["refused"] == 0
    there = {"f_files": 1000, "f_favail": 500, "f_blocks": 1000, "f_bavail": 500}
    there["f_favail" if full == "files" else "f_bavail"] = 99
    monkeypatch.setattr(greylist.os, "statvfs", lambda path: SimpleNamespace(**there))
    greys = [["192.0.2.0/24", True, at], ["198.51.100.0/24", True, at], ["203.0.113.0/24", False, at]]
    assert fleet.ask(do="peer-greys", greys=greys)["refused"] == 2
    found = fleet.ask(do="peer-greylist", folder=0)
    while found["next"] is not None and not found["greys"]:
        found = fleet.ask(do="peer-greylist", folder=found["next"])
    assert found["greys"] == [["192.0.2.0/24", True, at]]


@pytest.mark.parametrize("greys", [None, {}, [[]], [["192.0.2.0/24", 1, 7]], [["192.0.2.0/24", True, "7"]],
                                   [["192.0.2.0/24", True, 7]] * 501])  # fmt: skip
def test_malformed_networks_are_refused(fleet: Fleet, greys: Any) -> None:
    assert "expected" in fleet.ask(do="peer-greys", greys=greys)["error"]


@pytest.mark.parametrize("folder", [-1, 4096, True, "0", None])
def test_a_part_of_the_greylist_that_is_not_there_is_refused(fleet: Fleet, folder: Any) -> None:
    assert "expected" in fleet.ask(do="peer-greylist", folder=folder)["error"]


def test_a_listing_goes_to_the_blacklist_with_its_host(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ask(directory: str, request: dict[str, object]) -> dict[str, Any]:
        asked.append(request)
        return {"spared": "it is whitelisted"} if request["do"] == "hear" else {"released": True}

    monkeypatch.setattr(peers.blacklist_client, "ask", ask)
    until = int(NOW) + 60
    assert (
        fleet.act("adaptive", "203.0.113.9", "list", note="5 of 6", until=until)["refused"]
        == "it is whitelisted"
    )
    assert fleet.act("adaptive", "203.0.113.9", "release") == DONE
    assert fleet.act("adaptive", "203.0.113.0/24", "list", until=until)["refused"] != ""
    assert "expected 'list' or 'release'" in fleet.act("adaptive", "203.0.113.9", "deny")["refused"]
    assert asked == [
        {"do": "hear", "address": "203.0.113.9", "peer": "mx2", "until": until, "why": "5 of 6"},
        {"do": "release", "address": "203.0.113.9", "peer": "mx2"},
    ]


def test_a_writer_that_does_not_answer_is_not_a_refusal(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(directory: str, request: dict[str, object]) -> dict[str, Any]:
        raise NoAnswer("nobody")

    monkeypatch.setattr(peers.blacklist_client, "ask", ask)
    answer = fleet.act("adaptive", "203.0.113.9", "release")
    assert (answer["ok"], answer["temporary"]) == (False, True)


def test_the_fleet_asks_what_these_verbs_answer(fleet: Fleet) -> None:
    def ask(request: Mapping[str, object]) -> dict[str, Any]:
        answer = fleet.verbs.answer(FLEET, json.dumps(request).encode())
        if not answer.pop("ok"):
            raise BadInput(answer["error"])
        return answer

    writers = HelperWriters(ask)
    at = int(NOW)
    act = Act("client", NETWORK, "deny", "alice@mx2", "phishes", at + 9, at, Version(1, "mx2"))
    assert writers.act(act) == ""
    view = view_of(
        {name: (fleet.host.text(name), name) for name in ("clients", "senders", "trusted", "blocked")}, "mx1"
    )
    assert view == {act.key: (act.action, act.by, act.note, act.until)}  # so it is not told as this host's
    assert "may relay here" in writers.act(dataclasses.replace(act, value=RELAY))
    writers.lost(act, dataclasses.replace(act, action="allow", by="bob@mx3"))
    assert fleet.editor.audit.shown(1)[0]["effects"] == [
        "refused: another act stands in the fleet: allow by bob@mx3"
    ]
    assert writers.greys([Grey("192.0.2.0/24", True, at), Grey("192.0.2.0/25", True, at)]) == 1
    assert [one for group in writers.greylist() for one in group] == [Grey("192.0.2.0/24", True, at)]


def test_the_kinds_are_those_that_travel() -> None:
    assert set(peers.KINDS) == set(facts.ACTIONS)
    assert dict(facts.LIST_OF) == peers.MADE
    assert peers.FOLDERS == greylist.FAN**2
