# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three gateways share what they learned and nothing else, and each goes on whatever happens to the others.

With MAILGATE_FLEET=NAME the containers NAME-1 to NAME-3 are used, made when they are not there, and stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from fleet import gateways as site
from fleet.gateways import Gateway, seconds_until

KEPT = os.environ.get("MAILGATE_FLEET", "")
DENIED, ALLOWED, CONTRADICTED = "198.51.100.221", "198.51.100.222", "198.51.100.223"
RELAY, RELAYED = "198.51.100.0/24", "198.51.100.70"  # a part of it may relay, by the site file
PROTECTED = "198.18.0.10"  # the back end


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not KEPT:
        return tmp_path_factory.mktemp("fleet")
    directory = Path(f"/tmp/mailgate-fleet-{KEPT}")
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="module")
def three(inventory: Path) -> Iterator[list[Gateway]]:
    names = [f"{KEPT or f'mailgate-fleet-{os.getpid()}'}-{number}" for number in range(1, site.COUNT + 1)]
    made = site.start(names)
    try:
        hosts = site.write_inventory(inventory, made)
        predicted = site.join(hosts, "--check")  # on hosts that have nothing of it yet
        done = site.join(hosts)
        assert KEPT or all(predicted[name] > 0 and done[name] > 0 for name in done)
        for one in made:
            seconds_until(lambda one=one: heard_all(one), f"{one.name} hears the others", 90)  # type: ignore[misc]
        yield made
    finally:
        if not KEPT:
            site.stop(made)


def heard_all(one: Gateway) -> bool:
    said = one.status()
    parts = [said["engine"], *said["peers"].values()] if said else []  # type: ignore[attr-defined]
    return bool(parts) and all(part["state"] == "connected" for part in parts)


def stranger(number: int) -> str:
    """Return a client whose network no gateway has seen, also where containers are used again."""
    return f"198.19.{(os.getpid() + 7 * number) % 250}.9"


def network_of(client: str) -> str:
    return client.rpartition(".")[0] + ".0"


def remembers(one: Gateway, client: str, passed: bool) -> bool:
    names = one.sh(f"find /var/qmail/cqgreylist -name '{network_of(client)}-24*' -printf '%f '").split()
    return any(name.endswith(".new") != passed for name in names)


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
    for one in (second, third):
        seconds_until(lambda one=one: remembers(one, client, passed=False), f"pending on {one.name}")  # type: ignore[misc]
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
    for one in (second, third):
        seconds_until(lambda one=one: f"{DENIED}/32" in one.entries("clients"), f"denied on {one.name}")  # type: ignore[misc]
        entry = one.entries("clients")[f"{DENIED}/32"]
        assert entry["note"] == "ticket 4711" and entry["by"] == f"root@{first.name}" and entry["until"]
        seconds_until(lambda one=one: "junk@bad-fleet.example" in one.entries("senders"), "blocked")  # type: ignore[misc]
        seconds_until(lambda one=one: "news@good-fleet.example" in one.entries("trusted"), "trusted")  # type: ignore[misc]
        assert f"root@{first.name}" in one.sh("cat /var/lib/mailgate/operator/audit.jsonl")
    third.run("mailgate", "deny", DENIED, "--remove", "--note", "test")
    for one in (first, second):
        seconds_until(lambda one=one: f"{DENIED}/32" not in one.entries("clients"), f"gone on {one.name}")  # type: ignore[misc]


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
    for one in three:
        seconds_until(lambda one=one: heard_all(one), f"{one.name} hears the others", 60)  # type: ignore[misc]


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
    for one in three:
        seconds_until(lambda one=one: heard_all(one), f"{one.name} hears the others", 60)  # type: ignore[misc]

    def stands() -> set[object]:
        return {one.entries("clients").get(f"{CONTRADICTED}/32", {}).get("action") for one in three}

    seconds_until(lambda: len(stands()) == 1 and None not in stands(), "one act stands on all", 60)
    seconds_until(lambda: third.denies("198.51.100.202"), "listed on the third one", 60)
    seconds_until(lambda: remembers(first, stranger(4), passed=False), "pending on the first one", 60)
    loser = "sends junk" if stands() == {"allow"} else "is a customer"
    for one in three:
        assert loser in one.sh("cat /var/lib/mailgate/operator/audit.jsonl"), one.name
    second.run("mailgate", "operator", "release", "198.51.100.202", "--note", "test")


# A server where an engine should be, with this gateway's own certificate: it says what it is told to.
LIAR = """
import os, socket, ssl, sys, time
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="/etc/mailgate/fleet-engine/ca.pem")
context.load_cert_chain("/etc/mailgate/fleet-engine/certificate.pem", "/etc/mailgate/fleet-engine/key.pem")
said = {"garbage": b"\\xff" * 65536, "nesting": b"*1\\r\\n" * 100000}
said["endless"] = b"*1000000\\r\\n" + b"$1\\r\\nx\\r\\n" * 9999
kind = sys.argv[1]
with socket.create_server(("0.0.0.0", 6380)) as listening:
    print(os.getpid(), flush=True)
    while True:
        try:
            with context.wrap_socket(listening.accept()[0], server_side=True) as one:
                while one.recv(4096):
                    if kind == "silence":
                        time.sleep(3600)
                    one.sendall(said[kind])
        except OSError:
            pass
"""


@pytest.mark.parametrize("kind", ["garbage", "nesting", "endless", "silence"])
def test_a_gateway_that_talks_nonsense_or_says_nothing_holds_up_nobody(
    three: list[Gateway], kind: str
) -> None:
    """A gateway that talks nonsense, or says nothing, holds up nobody."""
    first, second, third = three
    process_before = first.sh("svstat /service/fleet").split()[3]
    third.engine(up=False)
    liar = subprocess.Popen(
        ["docker", "exec", third.container, "python3", "-c", LIAR, kind],
        stdout=subprocess.PIPE,
        text=True,
    )
    process = liar.stdout.readline().strip() if liar.stdout else ""
    try:
        assert process
        seconds_until(
            lambda: first.status()["peers"][third.name]["state"] in ("trouble", "refused"),  # type: ignore[index]
            "the first one says so",
            60,
        )
        assert min(first.try_from(stranger(3))[1] for _number in range(5)) < 1
        first.run("mailgate", "deny", ALLOWED, "--note", kind)
        seconds_until(lambda: f"{ALLOWED}/32" in second.entries("clients"), "the second one hears the first")
        first.run("mailgate", "deny", ALLOWED, "--remove", "--note", kind)
        assert first.sh("svstat /service/fleet").split()[3] == process_before
    finally:
        if process:
            third.run("kill", process)
        liar.wait(30)
        third.engine(up=True)
    for one in three:
        seconds_until(lambda one=one: heard_all(one), f"{one.name} hears the others", 60)  # type: ignore[misc]


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


def update(inventory: Path, *command: str) -> tuple[int, str]:
    variables = {"update_command": command, "doctor_patience": "1s"}
    return site.play("update", inventory / "hosts.yml", "-e", json.dumps(variables))


def test_a_run_ends_at_the_gateway_that_it_broke_and_else_changes_all(
    three: list[Gateway], inventory: Path
) -> None:
    """A run ends at the gateway that it broke, and else changes all."""
    status, said = update(inventory, "touch", "/run/changed")
    assert status == 0, said[-4000:]
    for one in three:
        one.run("rm", "/run/changed")
    try:
        status, said = update(inventory, "sh", "-c", "touch /run/changed; svc -d /service/spamd; sleep 1")
        assert status != 0 and "fleet-1 is worse than before, so the run ends here" in said
        assert "GTUBE is not proven" in said
        assert [one.run("ls", "/run/changed", status=None) != "" for one in three] == [True, False, False]
    finally:
        three[0].run("svc", "-u", "/service/spamd")


def everywhere(three: list[Gateway], value: str, there: bool) -> None:
    for one in three:
        seconds_until(
            lambda one=one: (f"{value}/32" in one.entries("clients")) == there,  # type: ignore[misc]
            f"{value} is {'' if there else 'not '}on {one.name}",
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
            lambda one=one, other=other: truth(one) == truth(other), f"{one.name} as {other.name}", 60
        )  # type: ignore[misc]


# Appends a batch to this host's own stream, as its service does, with any lines as facts.
FORGE = """
import sys
sys.path.insert(0, "/usr/local/lib/mailgate/current")
from mailgate.core.paths import FLEET_PASSWORDS, FLEET_SETTINGS
from mailgate.fleet import settings, stream
from mailgate.fleet.engine import RedisEngine
engine = RedisEngine(settings.read(FLEET_SETTINGS, FLEET_PASSWORDS).engine)
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
    for one in (first, second):
        seconds_until(lambda one=one: remembers(one, stranger(6), passed=False), f"pending on {one.name}")  # type: ignore[misc]
    before = {one.name: one.status()["peers"][third.name]["refused"] for one in (first, second)}  # type: ignore[index]
    third.run("python3", "-c", FORGE, text="\n".join(lines))
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
