# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three gateways share what they learned and nothing else, and each goes on whatever happens to others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from fleet import gateways as site
from fleet.gateways import Gateway, await_all, heard_all, remembers, seconds_until, stranger

DENIED, ALLOWED, CONTRADICTED = "198.51.100.221", "198.51.100.222", "198.51.100.223"
RELAY, RELAYED = "198.51.100.0/24", "198.51.100.70"  # a part of it may relay, by the site file
PROTECTED = "198.18.0.10"  # the back end


def test_a_second_run_changes_nothing(three: list[Gateway], inventory: Path) -> None:
    """A second run changes nothing."""
    assert set(site.join(inventory / "hosts.yml").values()) == {0}


def test_keys_are_each_ones_own_and_no_secret_is_readable(three: list[Gateway], inventory: Path) -> None:
    """Keys are each one's own, and nobody else reads a secret."""
    keys = {one.run("cat", "/etc/mailgate/fleet/key.pem") for one in three}
    assert len(keys) == len(three)
    for one in three:
        for path in (
            "/etc/mailgate/fleet/key.pem",
            "/etc/mailgate/fleet-engine/users.acl",
            "/etc/mailgate/fleet-passwords.json",
        ):
            one.run("setuidgid", "stats", "cat", path, status=1)
        said = one.sh(
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'", status=None
        )
        for secret in json.loads(one.run("cat", "/etc/mailgate/fleet-passwords.json")).values():
            assert secret not in said


def test_greylisted_here_and_passed_there(three: list[Gateway]) -> None:
    """Greylisted here, passed there after the delay."""
    client = stranger(1)
    first, second, third = three
    assert first.try_from(client)[0] == 451
    await_all((second, third), lambda one: remembers(one, client, passed=False), "pending", 30)
    seconds_until(lambda: second.try_from(client)[0] == 250, "passes on the second one")
    seconds_until(lambda: remembers(third, client, passed=True), "passed on the third one")
    assert third.try_from(client)[0] == 250


def test_listed_here_and_refused_there_until_it_is_released_anywhere(
    three: list[Gateway], measured: Callable[[str], None]
) -> None:
    """Listed here, refused there within two seconds; released anywhere, released on all."""
    pest = "198.51.100.201"
    first, second, third = three
    first.run("mailgate", "blacklist", "add", pest, "--for", "4h", "--note", "sends junk")
    took = seconds_until(lambda: second.denies(pest) and third.denies(pest), "refused on the others")
    measured(f"{took:.1f} s")
    assert first.name in second.listed()
    second.run("mailgate", "operator", "release", pest, "--note", "test")
    seconds_until(lambda: not first.denies(pest) and not third.denies(pest), "released on the others")


def test_an_operators_entry_stands_on_all_by_name_and_is_gone_on_all(three: list[Gateway]) -> None:
    """An operator's entry stands on all, by name, and is gone on all."""
    first, second, third = three
    first.run("mailgate", "deny", DENIED, "--note", "ticket 4711", "--for", "2d")
    first.run("mailgate", "block-sender", "junk@bad-fleet.example", "--note", "test")
    first.run("mailgate", "trust-sender", "news@good-fleet.example", "--note", "test")
    others = (second, third)
    await_all(others, lambda one: f"{DENIED}/32" in one.entries("clients"), "denied", 30)
    await_all(others, lambda one: "junk@bad-fleet.example" in one.entries("senders"), "blocked", 30)
    await_all(others, lambda one: "news@good-fleet.example" in one.entries("trusted"), "trusted", 30)
    for one in others:
        entry = one.entries("clients")[f"{DENIED}/32"]
        assert entry["note"] == "ticket 4711" and entry["by"] == f"root@{first.name}" and entry["until"]
        assert f"root@{first.name}" in one.sh("cat /var/lib/mailgate/operator/audit.jsonl")
    third.run("mailgate", "deny", DENIED, "--remove", "--note", "test")
    await_all((first, second), lambda one: f"{DENIED}/32" not in one.entries("clients"), "gone", 30)


# Tells all that this host's own stream has once more, as its newest batches.
REPLAY = """
place, old = stream.BEGIN, []
while entries := engine.read(stream.STREAM, place, 0):
    old += [fields for _id, fields in entries]
    place = entries[-1][0]
number = stream.parse_batch(old[-1], "own", []).number
for fields in old:
    number += 1
    engine.append(stream.STREAM, {**fields, b"e": old[-1][b"e"], b"n": b"%d" % number}, 20000)
print(len(old))
"""


def test_yesterdays_facts_told_again_change_nothing(
    three: list[Gateway], measured: Callable[[str], None]
) -> None:
    """Yesterday's facts, told again, change nothing."""
    first, second, third = three
    first.run("mailgate", "deny", DENIED, "--note", "yesterday")
    seconds_until(lambda: f"{DENIED}/32" in second.entries("clients"), "denied on the second one")
    first.run("mailgate", "deny", DENIED, "--remove", "--note", "today")
    await_all((second, third), lambda one: f"{DENIED}/32" not in one.entries("clients"), "gone")
    first.fleet(up=False)  # it would go on by its own numbers for a second
    measured(f"{first.at_own_stream(REPLAY).strip()} batches")
    first.fleet(up=True)
    first.run("mailgate", "deny", ALLOWED, "--note", "behind them")
    await_all((second, third), lambda one: f"{ALLOWED}/32" in one.entries("clients"), "has read them")
    for one in three:
        assert f"{DENIED}/32" not in one.entries("clients")
    first.run("mailgate", "deny", ALLOWED, "--remove", "--note", "test")
    await_all(three, lambda one: f"{ALLOWED}/32" not in one.entries("clients"), "gone")


def test_without_engines_sessions_do_not_wait_and_afterwards_all_is_told(
    three: list[Gateway], measured: Callable[[str], None]
) -> None:
    """With all engines dead sessions do not wait, and afterwards all is told."""
    client = stranger(2)
    first, _second, third = three
    first.try_from(stranger(3))
    with_engine = min(first.try_from(stranger(3))[1] for _number in range(5))
    for one in three:
        one.engine(up=False)
    try:
        dead = min(first.try_from(stranger(3))[1] for _number in range(5))
        measured(f"{1000 * with_engine:.0f} ms a session, {1000 * dead:.0f} ms without engines")
        assert dead < with_engine + 0.2
        assert first.try_from(client)[0] == 451
        first.run("mailgate", "deny", ALLOWED, "--note", "test")
        seconds_until(lambda: not heard_all(first), "the first one says that its engine is dead")
    finally:
        for one in three:
            one.engine(up=True)
    seconds_until(lambda: f"{ALLOWED}/32" in third.entries("clients"), "denied on the third one", 60)
    seconds_until(lambda: remembers(third, client, passed=False), "pending on the third one", 60)
    first.run("mailgate", "deny", ALLOWED, "--remove", "--note", "test")
    await_all(three, heard_all, "hears the others")


def test_who_was_cut_off_is_as_the_others_again_and_one_of_two_acts_stands(three: list[Gateway]) -> None:
    """Who was cut off is as the others again; of two acts one stands, the other is in the audit log."""
    first, second, third = three
    third.cut_off()
    try:
        seconds_until(lambda: not heard_all(first) and not heard_all(third), "both sides know", 60)
        first.run("mailgate", "deny", CONTRADICTED, "--note", "sends junk")
        third.run("mailgate", "allow", CONTRADICTED, "--note", "is a customer")
        first.run("mailgate", "blacklist", "add", "198.51.100.202", "--for", "4h", "--note", "test")
        assert third.try_from(stranger(4))[0] == 451
        assert f"{CONTRADICTED}/32" in third.entries("clients")
    finally:
        third.connect()
    await_all(three, heard_all, "hears the others")

    def stands() -> set[object]:
        return {one.entries("clients").get(f"{CONTRADICTED}/32", {}).get("action") for one in three}

    seconds_until(lambda: len(stands()) == 1 and None not in stands(), "one act stands on all", 60)
    seconds_until(lambda: third.denies("198.51.100.202"), "listed on the third one", 60)
    seconds_until(lambda: remembers(first, stranger(4), passed=False), "pending on the first one", 60)
    loser = "sends junk" if stands() == {"allow"} else "is a customer"
    for one in three:
        assert loser in one.sh("cat /var/lib/mailgate/operator/audit.jsonl"), one.name
    second.run("mailgate", "operator", "release", "198.51.100.202", "--note", "test")


def test_the_doctor_says_since_when_a_gateway_is_not_heard(three: list[Gateway]) -> None:
    """The doctor says since when a gateway is not heard."""
    first, second, _third = three
    seconds_until(lambda: first.finding("fleet") == [(0, "2 other gateways are heard")], "all are heard")
    second.engine(up=False)
    try:
        seconds_until(
            lambda: any(
                f"{second.name} has not been heard" in text for _status, text in first.finding("fleet")
            ),
            "the doctor knows",
            120,
        )
    finally:
        second.engine(up=True)
    seconds_until(lambda: first.finding("fleet")[0][0] == 0, "all are heard again", 60)


def test_a_gateway_is_taken_out_and_back(three: list[Gateway]) -> None:
    """A gateway is taken out and back."""
    second = three[1]
    second.run("mailgate", "drain", "--within", "1s", "--note", "kernel update", status=None)
    try:
        assert second.try_from(stranger(5))[0] == 421
        ((status, text),) = second.finding("drained")
        assert status == 1 and "kernel update" in text
        assert second.finding("virus")[0][0] == 0
    finally:
        second.run("mailgate", "undrain")
    assert second.try_from(stranger(5))[0] in (451, 250)


def everywhere(three: list[Gateway], value: str, there: bool) -> None:
    await_all(
        three,
        lambda one: (f"{value}/32" in one.entries("clients")) == there,
        f"{value} is {'' if there else 'not '}there",
        30,
    )


def test_a_list_whose_file_is_lost_on_one_gateway_is_lost_on_none(three: list[Gateway]) -> None:
    """A list whose file is lost on one gateway is lost on none, and written there again."""
    first, second, third = three
    first.run("mailgate", "deny", DENIED, "--note", "test")
    everywhere(three, DENIED, there=True)
    second.run("rm", "/etc/tcp.d/20-operator")
    everywhere(three, DENIED, there=True)
    assert first.denies(DENIED) and third.denies(DENIED)
    first.run("mailgate", "deny", DENIED, "--remove", "--note", "test")
    everywhere(three, DENIED, there=False)


def test_what_is_undone_on_one_gateway_is_undone_on_all(three: list[Gateway]) -> None:
    """What is undone on one gateway is undone on all."""
    first, second, _third = three
    first.run("mailgate", "deny", DENIED, "--note", "test")
    everywhere(three, DENIED, there=True)
    second.run("mailgate", "deny", DENIED, "--remove", "--note", "by mistake")
    everywhere(three, DENIED, there=False)
    second.run("mailgate", "operator", "undo", "--yes")
    everywhere(three, DENIED, there=True)
    first.run("mailgate", "deny", DENIED, "--remove", "--note", "test")
    everywhere(three, DENIED, there=False)


def test_all_end_with_the_same(three: list[Gateway]) -> None:
    """In the end all know the same."""

    def truth(one: Gateway) -> list[object]:
        lists = [sorted(one.entries(which)) for which in ("clients", "senders", "trusted", "blocked")]
        known = one.sh("find /var/qmail/cqgreylist -type f -printf '%f\\n' | sort")
        return [*lists, known]

    for one, other in pairwise(three):
        seconds_until(
            lambda one=one, other=other: truth(one) == truth(other),  # type: ignore[misc]
            f"{one.name} as {other.name}",
            60,
        )


# Appends a batch to this host's own stream, as its service does, with any lines as facts.
FORGE = """
last = stream.parse_batch(engine.last(stream.STREAM)[1], "own", [])
fields = {b"e": last.epoch.encode(), b"n": b"%d" % (last.number + 1), b"f": sys.stdin.buffer.read()}
engine.append(stream.STREAM, fields, 20000)
"""


def forged(host: str, **values: object) -> str:
    """Return an act as a line, in the one form in which it is taken."""
    act = {"kind": "", "value": "", "action": "", "by": f"mallory@{host}", "note": "", "until": None, "at": 1}
    return json.dumps(
        {**act, **values, "version": [int(time.time()), host], "over": None}, separators=(",", ":")
    )


def test_who_may_relay_and_what_is_protected_is_beyond_a_peer_that_lies(three: list[Gateway]) -> None:
    """Who may relay and what is protected is beyond a gateway that was broken into.

    Its words are in its own stream, with its own password. The last test: what the others believe of it, its
    own service does not know.
    """
    first, second, third = three
    lines = [
        forged(third.name, kind="relay", value="198.51.100.0/24", action="allow"),
        forged(third.name, kind="client", value="0.0.0.0/0", action="allow"),
        forged(third.name, kind="client", value="0.0.0.0/0", action="deny"),
        forged(third.name, kind="client", value=RELAY, action="deny"),
        forged(third.name, kind="client", value=f"{PROTECTED}/32", action="deny"),
        forged(third.name, kind="adaptive", value=PROTECTED, action="list", note="spam", until=4_000_000_000),
        forged(second.name, kind="client", value="198.51.100.203/32", action="deny"),  # in another's name
        "garbage",
        forged(third.name, kind="client", value="198.51.100.204/32", action="deny"),  # this one is its right
    ]
    assert third.try_from(stranger(6))[0] == 451  # its stream may be empty since its engine was restarted
    await_all((first, second), lambda one: remembers(one, stranger(6), passed=False), "pending", 30)
    before = {one.name: one.status()["peers"][third.name]["refused"] for one in (first, second)}  # type: ignore[index]
    third.at_own_stream(FORGE, text="\n".join(lines))
    for one in (first, second):
        seconds_until(lambda one=one: one.denies("198.51.100.204"), f"{one.name} has read it")  # type: ignore[misc]
        assert "RELAYCLIENT" in one.run("mailgate", "rules", "explain", RELAYED)
        assert "RELAYCLIENT" not in one.run("mailgate", "rules", "explain", "198.51.100.9")
        for value in (RELAYED, PROTECTED, "198.51.100.203", "203.0.113.9"):
            assert not one.denies(value), value
        for value in (RELAY, PROTECTED):
            seconds_until(
                lambda one=one, value=value: any(value in what for what in one.status()["refused"]),  # type: ignore[misc]
                f"{one.name} says that {value} is not in force",
            )
        ((status, text),) = one.finding("fleet")
        assert status == 1 and f"refused {before[one.name] + 5} facts of {third.name}" in text
    first.run("mailgate", "deny", "198.51.100.204", "--remove", "--note", "test")
