# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to three gateways when a clock is wrong, a cable out, a peer mad, or a run breaks one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Grey, render
from fleet import gateways as site
from fleet.clocks import clocks
from fleet.gateways import (
    Gateway,
    await_all,
    heard_all,
    network_of,
    remembers,
    seconds_until,
    stranger,
    when_seen,
)

ALLOWED, CONTRADICTED, LISTED = "198.51.100.222", "198.51.100.224", "198.51.100.206"
MINUTES = 300
NEAR_SECONDS = 30  # of a busy machine, in a comparison of clocks


def action_of(one: Gateway, client: str) -> object:
    return one.entries("clients").get(f"{client}/32", {}).get("action")


def test_clocks_five_minutes_apart_change_no_delay_and_decide_nothing(
    three: list[Gateway], tmp_path: Path
) -> None:
    """Clocks five minutes apart change no delay, and decide of no act."""
    first, second, third = three
    client = stranger(10)
    with clocks(three, (0, MINUTES, -MINUTES), tmp_path):
        assert first.try_from(client)[0] == 451
        await_all((second, third), lambda one: remembers(one, client, passed=False), "pending")
        begun = [when_seen(one, client, passed=False) for one in three]
        # The same moment by each one's clock: else the second one would let it pass at once.
        for at, ahead in zip(begun, (0, MINUTES, -MINUTES)):
            assert at is not None and begun[0] is not None and abs(at - begun[0] - ahead) < NEAR_SECONDS
        seconds_until(lambda: second.try_from(client)[0] == 250, "passes on the second one")
        seconds_until(lambda: remembers(third, client, passed=True), "passed on the third one")
        assert third.try_from(client)[0] == 250

        second.run("mailgate", "deny", CONTRADICTED, "--note", "five minutes ahead")
        seconds_until(lambda: action_of(third, CONTRADICTED) == "deny", "denied on the third one")
        third.run("mailgate", "allow", CONTRADICTED, "--note", "later, although five minutes behind")
        await_all(three, lambda one: action_of(one, CONTRADICTED) == "allow", "allowed")
        first.run("mailgate", "blacklist", "add", LISTED, "--for", "4h", "--note", "test")
        await_all((second, third), lambda one: one.denies(LISTED), "listed")
        third.run("mailgate", "operator", "release", LISTED, "--note", "test")
        await_all((first, second), lambda one: not one.denies(LISTED), "released")
        apart = [text for _status, text in first.finding("fleet") if "s apart" in text]
        assert len(apart) == 2, first.finding("fleet")
        third.run("mailgate", "allow", CONTRADICTED, "--remove", "--note", "test")
        await_all((first, second), lambda one: action_of(one, CONTRADICTED) is None, "gone")


# Says the first and the last batch of this host's own stream, and the last one before its snapshot; with an
# argument it first appends a batch and keeps no other.
STREAM = """
import json
last = stream.parse_batch(engine.last(stream.STREAM)[1], "own", [])
if len(sys.argv) > 1:
    fields = {b"e": last.epoch.encode(), b"n": b"%d" % (last.number + 1), b"f": sys.argv[1].encode()}
    engine._client.xadd(stream.STREAM, fields, maxlen=1, approximate=False)
entries = engine.read(stream.STREAM, stream.BEGIN, 0)
head = stream.parse_head(engine.get(stream.SNAPSHOT), json.load(open(FLEET_SETTINGS))["host"], "own")
first = stream.parse_batch(entries[0][1], "own", [])
last = stream.parse_batch(engine.last(stream.STREAM)[1], "own", [])
print(first.number, last.number, head.after, last.epoch == head.epoch)
"""


def own_stream(one: Gateway, *batch: str) -> tuple[int, int, int]:
    """Return the first and the last batch of a gateway's stream, and the last one that is in its snapshot."""
    first, last, after, same = one.at_own_stream(STREAM, *batch).split()
    assert same == "True"
    return int(first), int(last), int(after)


def test_who_was_cut_off_for_an_hour_takes_the_snapshot_and_is_as_the_others_again(
    three: list[Gateway], tmp_path: Path
) -> None:
    """Cut off for an hour, with the stream gone on: takes the snapshot, and is as the others again.

    The hour passes on all clocks; of the first one's stream nothing is left from which it could go on.
    """
    first, second, third = three
    during, here, own = "198.51.100.231", "198.51.100.232", "198.51.100.233"
    with clocks(three, (0, 0, 0), tmp_path) as elapse:
        first.run("mailgate", "deny", CONTRADICTED, "--note", "before the hour")
        await_all((second, third), lambda one: action_of(one, CONTRADICTED) == "deny", "denied")
        _oldest, heard, _after = own_stream(first)
        third.cut_off()
        try:
            await_all((first, third), lambda one: not heard_all(one), "knows")
            assert first.try_from(stranger(11))[0] == 451
            first.run("mailgate", "deny", during, "--note", "while the third one is cut off")
            first.run("mailgate", "deny", CONTRADICTED, "--remove", "--note", "test")
            seconds_until(lambda: f"{CONTRADICTED}/32" not in second.entries("clients"), "gone on the second")
            elapse(1800)
            third.run("mailgate", "allow", own, "--note", "nobody hears that")
            assert third.try_from(stranger(12))[0] == 451
            second.run("mailgate", "blacklist", "add", LISTED, "--for", "4h", "--note", "test")
            seconds_until(lambda: first.denies(LISTED), "listed on the first one")
            elapse(1800)
            said = [text for _status, text in third.finding("fleet") if first.name in text]
            assert len(said) == 1 and "has not been heard for 1 h" in said[0], said
            # A peer that has lost what it told makes the first one write a snapshot, as 10,000 batches do.
            _oldest, told, _after = own_stream(first)
            second.engine(up=False)
            second.engine(up=True)
            seconds_until(lambda: own_stream(first)[2] >= told, "the first one has written a snapshot", 60)
            seen = when_seen(first, stranger(11), passed=False)
            assert seen is not None
            again = Grey(f"{network_of(stranger(11))}/24", False, int(seen))
            first.fleet(up=False)  # it would go on by its own numbers for a second
            oldest, _last, after = own_stream(first, render(again).decode())
            first.fleet(up=True)
            assert oldest > heard + 1 and after > heard
            first.run("mailgate", "deny", here, "--note", "after the snapshot")
            seconds_until(lambda: f"{here}/32" in second.entries("clients"), "denied on the second one", 60)
        finally:
            third.connect()
        await_all(three, heard_all, "hears the others", 90)
        for client in (during, here):
            seconds_until(lambda client=client: action_of(third, client) == "deny", f"{client} is denied", 60)  # type: ignore[misc]
        seconds_until(lambda: action_of(third, CONTRADICTED) is None, "what was taken back is gone", 60)
        seconds_until(lambda: third.denies(LISTED), "listed on the third one", 60)
        seconds_until(lambda: remembers(third, stranger(11), passed=False), "pending on the third one", 60)
        await_all((first, second), lambda one: action_of(one, own) == "allow", "allowed")
        await_all((first, second), lambda one: remembers(one, stranger(12), passed=False), "pending")
        second.run("mailgate", "operator", "release", LISTED, "--note", "test")
        for client in (during, here):
            third.run("mailgate", "deny", client, "--remove", "--note", "test")
        first.run("mailgate", "allow", own, "--remove", "--note", "test")
        gone = {during, here, own}
        await_all(three, lambda one: {action_of(one, client) for client in gone} == {None}, "gone")
        await_all(three, lambda one: not one.denies(LISTED), "released")


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
    process_before = first.process("fleet")
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
        assert first.process("fleet") == process_before != ""
    finally:
        if process:
            third.run("kill", process)
        liar.wait(30)
        third.engine(up=True)
    await_all(three, heard_all, "hears the others")


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
