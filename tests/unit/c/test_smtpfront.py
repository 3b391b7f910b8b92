# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront, its launcher and the real qmail-smtpd: what passes, and that no more does than without it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build.c_files import program_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import session_id
from support.c_programs import ROOT, run
from support.smtp_dialogues import HELO, LETTER, MAIL, RCPT, RESET, dialogue, rest, same, spoken
from support.smtpfront_programs import (
    NOBODY,
    RULES,
    Gateway,
    Programs,
    as_nobody,
    gateway,
    through_the_front,
    until,
    without_it,
)

DIALOGUES = int(os.environ.get("SMTPFRONT_DIALOGUES", "150"))


@pytest.fixture(scope="module")
def gate(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(programs, tmp_path_factory.mktemp("gate")) as made:
        yield made


# --- one session ---


def test_a_session_has_one_id_in_all_programs(gate: Gateway) -> None:
    """smtpfront makes it; the launcher makes that of a relay client itself, without smtpfront's word."""
    unknown = b"RCPT TO:<nobody@example.com>\r\n"
    pieces = [
        HELO,
        MAIL,
        unknown,
        RCPT,
        unknown,
        b"DATA\r\n",
        LETTER,
        MAIL,
        RCPT,
        b"DATA\r\n",
        LETTER,
        b"QUIT\r\n",
    ]
    before = len(gate.heard())
    through_the_front(gate, pieces)
    messages = gate.messages()

    def ids() -> list[tuple[str, str]]:
        return re.findall(r" at 127\.0\.0\.4 id (\S+)( pid)?", gate.heard()[before:])

    until(lambda: "smtpfront: end " in gate.heard()[before:] and len(ids()) >= 4)
    log = gate.heard()[before:]
    named = re.findall(r"smtpfront: pid (\S+) from 127\.0\.0\.4\n", log)
    assert [one.environment["SMTPMAIL"] for one in messages] == [f"{named[0]}.1", f"{named[0]}.2"]
    assert all("SMTPSESSION" not in one.environment for one in messages)
    assert re.findall(r"smtplaunch: pid [0-9]+ from 127\.0\.0\.4 id (\S+)\n", log) == named
    assert sorted(ids()) == [  # two processes write them
        (named[0], ""),
        (named[0], " pid"),
        (f"{named[0]}.1", " pid"),
        (f"{named[0]}.2", " pid"),
    ]
    seen = len(gate.heard())
    through_the_front(gate, [HELO, MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"], "127.0.0.3")
    (message,) = gate.messages()
    (own,) = re.findall(r"smtplaunch: pid [0-9]+ from 127\.0\.0\.3 id (\S+)\n", gate.heard()[seen:])
    assert message.environment["SMTPMAIL"] == f"{own}.1" and own != named[0]


def test_a_letter_passes(gate: Gateway) -> None:
    pieces = [HELO, MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"]
    heard = through_the_front(gate, pieces)
    assert heard.startswith(b"220 mx.test ESMTP\r\n250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n")
    assert heard.endswith(b"250 ok\r\n250 ok\r\n354 go ahead\r\n250 ok TIME qp PID\r\n221 mx.test\r\n")
    (message,) = gate.messages()
    assert (message.sender, message.recipients) == (b"Fsender@client.example", [b"Tann@example.com"])
    assert without_it(gate, pieces) == heard
    assert gate.messages() == [message]
    assert message.environment["TCPREMOTEIP"] == "127.0.0.4"
    assert "HANDOVER" not in message.environment


@pytest.mark.parametrize("cut", range(0, 140, 7))
def test_a_letter_in_two_pieces(gate: Gateway, cut: int) -> None:
    whole = HELO + MAIL + RCPT + b"DATA\r\n" + LETTER + b"QUIT\r\n"
    heard = through_the_front(gate, [whole[:cut], whole[cut:]])
    assert heard.endswith(b"250 ok TIME qp PID\r\n221 mx.test\r\n"), heard
    assert len(gate.messages()) == 1


@pytest.mark.parametrize(
    ("source", "most"), [("127.0.0.4", 1000000), ("127.0.0.8", 2000000), ("127.0.0.9", 500)]
)
def test_a_size_that_is_too_large_is_refused_at_mail(gate: Gateway, source: str, most: int) -> None:
    """The limit is qmail-smtpd's, from control/databytes or the client's rule; CR LF may count for an LF."""
    sizes = [
        b"MAIL FROM:<sender@client.example> SIZE=%d\r\n" % size
        for size in (most + most // 8, most + most // 8 + 1)
    ]
    pieces = [HELO, sizes[1], RCPT, sizes[0], b"QUIT\r\n"]
    heard = through_the_front(gate, pieces, source)
    assert b"\r\n250-SIZE %d\r\n250 8BITMIME\r\n552 5.3.4 " % most in heard
    assert heard.endswith(b"\r\n503 5.5.1 MAIL first\r\n250 ok\r\n221 mx.test\r\n"), heard
    until(lambda: f"mail refused: too-large from sender@client.example at {source} " in gate.heard())
    passed = through_the_front(gate, [HELO, sizes[0], RCPT, sizes[1], RCPT, b"QUIT\r\n"], source)
    assert [line[:3] for line in passed.splitlines()[-5:]] == [b"250", b"250", b"552", b"250", b"221"]


def test_without_databytes_there_is_no_limit(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        (gate.control / "databytes").unlink()
        heard = through_the_front(gate, [HELO, MAIL.replace(b">", b"> SIZE=4000000000"), RCPT])
        assert b"250-SIZE 0\r\n" in heard and heard.endswith(b"250 ok\r\n250 ok\r\n")
        gate.write_control("databytes", "10")
        assert b"250-SIZE 10\r\n" in through_the_front(gate, [HELO])
        (gate.control / "databytes").unlink()
        (gate.control / "databytes").mkdir()
        try:
            assert through_the_front(gate, [HELO]).startswith(b"421 4.3.0 unable to read controls")
        finally:
            (gate.control / "databytes").rmdir()
            gate.write_control("databytes", "1000000")


@pytest.mark.parametrize(
    ("reply", "heard"),
    [
        ("554 refused, see https://mx.test/", b"554 5.7.1 refused, see https://mx.test/\r\n"),
        ("421 4.7.0 not today", b"421 4.7.0 not today\r\n"),
    ],
)
def test_a_denied_client_may_be_told_why(
    programs: Programs, tmp_path: Path, reply: str, heard: bytes
) -> None:
    with gateway(programs, tmp_path, front={"-r": reply}) as gate:
        assert through_the_front(gate, [], "127.0.0.2").removesuffix(RESET) == heard
        assert through_the_front(gate, []).startswith(b"220 ")


def test_a_denied_client_hears_nothing(gate: Gateway) -> None:
    assert through_the_front(gate, [HELO], "127.0.0.2").removesuffix(RESET) == b""
    until(lambda: re.search(r"smtpfront\[\w+\]: deny 127\.0\.0\.2\n", gate.heard()))


def test_a_gateway_that_is_taken_out_begins_no_session_but_its_own_hosts(
    programs: Programs, tmp_path: Path
) -> None:
    with gateway(programs, tmp_path) as gate:
        begun, said = greeted(gate, "127.0.0.4")
        assert said.startswith(b"220 ")
        begun.sendall(HELO)  # a round of the loop later: in each a file is looked at once
        assert rest_until(begun, b"250 8BITMIME\r\n")
        gate.write_control("drained", "")
        for source in ("127.0.0.4", "127.0.0.3"):  # the second may relay
            assert through_the_front(gate, [HELO], source).removesuffix(RESET).startswith(b"421 4.3.2 ")
        until(lambda: re.search(r"smtpfront\[\w+\]: busy 127\.0\.0\.3 drained\n", gate.heard()))
        assert through_the_front(gate, [], "127.0.0.1").startswith(b"220 ")
        begun.sendall(MAIL + RCPT)
        assert rest_until(begun, b"250 ok\r\n250 ok\r\n")
        (gate.control / "drained").unlink()
        assert through_the_front(gate, []).startswith(b"220 ")


@pytest.mark.parametrize(
    ("source", "refusal"), [("127.0.0.5", b"553 5.7.1 go away\r\n"), ("127.0.0.6", b"451 4.7.1 later\r\n")]
)
def test_a_rule_refuses_at_each_recipient(gate: Gateway, source: str, refusal: bytes) -> None:
    heard = through_the_front(gate, [HELO, MAIL, RCPT, RCPT, b"DATA\r\n", b"QUIT\r\n"], source)
    assert heard.endswith(b"250 ok\r\n" + 3 * refusal + b"221 mx.test\r\n")
    assert not gate.messages()


def test_a_relay_client_relays_with_its_own_queue(gate: Gateway) -> None:
    foreign = b"RCPT TO:<x@elsewhere.example>\r\n"
    heard = through_the_front(gate, [HELO, MAIL, foreign, b"DATA\r\n", LETTER, b"QUIT\r\n"], "127.0.0.3")
    assert heard.endswith(b"250 ok\r\n250 ok\r\n354 go ahead\r\n250 ok TIME qp PID\r\n221 mx.test\r\n")
    (message,) = gate.messages()
    assert message.recipients == [b"Tx@elsewhere.example"]
    assert (
        message.environment["QMAILQUEUE"].endswith("/relay-queue")
        and message.environment["RELAYCLIENT"] == ""
    )


def test_clients_of_ipv6_have_their_own_rules(programs: Programs, tmp_path: Path) -> None:
    foreign = b"RCPT TO:<x@elsewhere.example>\r\n"
    queue = programs.queue.with_name("relay-queue")

    def dialogue_of(rules: str, recipient: bytes) -> bytes:
        gate.write_rules(rules)
        client = socket.create_connection(("::1", gate.port), 20)
        return spoken(client, [HELO, MAIL, recipient, b"DATA\r\n", LETTER, b"QUIT\r\n"])

    with gateway(programs, tmp_path, addresses=("127.0.0.1", "::1")) as gate:
        for rules in (
            "[::1]:deny\n",
            "[::]/64:deny\n:allow\n",
            "[::]/0:deny\n127.:allow\n",
            ":deny\n127.:allow\n",
        ):
            assert dialogue_of(rules, RCPT).removesuffix(RESET) == b"", rules
        until(lambda: re.search(r"smtpfront\[\w+\]: deny ::1\n", gate.heard()))
        heard = dialogue_of('[::]/127:allow,RBLSMTPD="-go away"\n[::]/0:deny\n', RCPT)
        assert b"250 ok\r\n553 5.7.1 go away\r\n" in heard
        # The narrowest counts, and of a relay client of IPv6 both programs know that it is one.
        rules = f'[::]/127:deny\n[::1]:allow,RELAYCLIENT="",QMAILQUEUE="{queue}"\n[::]/0:deny\n'
        assert b"250 ok TIME qp PID\r\n" in dialogue_of(rules, foreign)
        (message,) = gate.messages()
        assert message.recipients == [b"Tx@elsewhere.example"]
        assert (message.environment["TCPREMOTEIP"], message.environment["RELAYCLIENT"]) == ("::1", "")
        assert message.environment["QMAILQUEUE"].endswith("/relay-queue")
        # A rule for IPv4-mapped addresses is one for IPv4.
        gate.write_rules("[::ffff:127.0.0.0]/104:deny\n")
        assert through_the_front(gate, [HELO]).removesuffix(RESET) == b""


def test_the_misses_of_both_programs_are_one_count(gate: Gateway) -> None:
    unknown = b"RCPT TO:<nobody@example.com>\r\n"
    pieces = [HELO, MAIL, 6 * unknown, RCPT, 4 * unknown, b"NOOP\r\n"]
    heard = through_the_front(gate, pieces)
    assert heard.endswith(b"421 4.7.0 too many invalid addresses, goodbye\r\n")
    assert heard.count(b"550 5.1.1 sorry, this recipient") == 9
    assert without_it(gate, pieces) == heard


def test_a_new_network_is_greylisted_and_comes_back(gate: Gateway) -> None:
    pieces = [HELO, MAIL, RCPT, b"QUIT\r\n"]
    before = gate.heard().count("smtpfront: ")
    heard = through_the_front(gate, pieces, "127.1.2.3")
    assert heard.endswith(
        b"250 ok\r\n451 4.7.1 you are new here, please come back in a few minutes\r\n221 mx.test\r\n"
    )
    until(lambda: re.search(r"smtpfront\[\w+\]: new 127\.1\.2\.3 127\.1\.2\.0/24 wait 1\n", gate.heard()))
    assert gate.heard().count("smtpfront: ") == before  # no first and no last line besides
    time.sleep(2.1)
    heard = through_the_front(gate, pieces, "127.1.2.4")
    assert heard.endswith(b"250 ok\r\n250 ok\r\n221 mx.test\r\n")
    until(
        lambda: re.search(
            r"smtpfront\[\w+\]: passed 127\.1\.2\.4 127\.1\.2\.0/24 after [0-9]+\n", gate.heard()
        )
    )


def test_a_domain_takes_mail_of_new_networks(gate: Gateway) -> None:
    """The client is handed over for that domain alone: others are greylisted as long as its session lasts."""
    opened = b"RCPT TO:<any@open.example>\r\n"
    message = [b"DATA\r\n", LETTER]
    pieces = [HELO, MAIL, RCPT, opened, RCPT, opened, *message, MAIL, RCPT, opened, *message, b"QUIT\r\n"]
    later = b"451 4.7.1 you are new here, please come back in a few minutes"
    gate.write_control("domainrules", "rule\nno_greylist\ndomain open.example\nend")
    try:
        heard = through_the_front(gate, pieces, "127.1.9.3").splitlines()[5:]
    finally:
        (gate.control / "domainrules").unlink()
    codes = b"250 451 250 451 250 354 250 250 451 250 354 250 221"
    assert [one[:3] for one in heard] == codes.split() and heard.count(later) == 3
    assert [one.recipients for one in gate.messages()] == [[b"Tany@open.example"]] * 2
    until(lambda: re.search(r"smtpfront\[\w+\]: skipped 127\.1\.9\.3 - domain\n", gate.heard()))
    said = "rcpt refused: greylisted for ann@example.com from sender@client.example at 127.1.9.3 id "
    until(lambda: gate.heard().count(said) == 2)
    # and where no domain wants that
    heard = through_the_front(gate, [HELO, MAIL, opened, b"QUIT\r\n"], "127.1.9.4").splitlines()
    assert heard[-2] == later


@pytest.mark.parametrize("how", ["made again", "swapped", "made at last"])
def test_a_greylist_that_is_another_directory_is_used(programs: Programs, tmp_path: Path, how: str) -> None:
    """The kernel knows the directory that this process may change; the next process has the new one."""
    greylist, aside = tmp_path / "greylist", tmp_path / "aside"
    pieces = [HELO, MAIL, RCPT, b"QUIT\r\n"]

    def make() -> None:
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        if os.geteuid() == 0:
            os.chown(fresh, NOBODY, NOBODY)
        fresh.rename(greylist)

    with gateway(programs, tmp_path) as gate:
        if how == "made at last":
            greylist.rename(aside)
            gate.front.terminate()
            gate.front.wait(60)
            gate.front = gate.start_front()
        elif how == "made again":
            greylist.rename(aside)
        if how != "swapped":
            heard = through_the_front(gate, pieces, "127.1.2.3")
            assert heard.endswith(b"250 ok\r\n250 ok\r\n221 mx.test\r\n"), heard
            until(lambda: re.search(r"smtpfront\[\w+\]: open 127\.1\.2\.3 ", gate.heard()))
            assert gate.front.poll() is None
        else:
            heard = through_the_front(gate, pieces, "127.1.2.3")
            assert b"451 4.7.1 you are new here" in heard  # so it has begun with the directory
            greylist.rename(aside)
        make()
        with contextlib.suppress(OSError):  # it looks when something happens
            until(lambda: gate.connect().close() or gate.front.poll() is not None)
        assert gate.front.wait(60) == 0
        assert f"smtpfront: warning: {greylist} is another directory than at the start; " in gate.heard()
        gate.front = gate.start_front()
        assert b"451 4.7.1 you are new here" in through_the_front(gate, pieces, "127.1.3.3")
        assert gate.front.poll() is None


# --- DNS lists ---


class Lists(threading.Thread):
    """A resolver: 127.0.0.2 for names that begin with `listed`, silence for `silent`, none for others."""

    def __init__(self, port: int, listed: str, silent: str = "x") -> None:
        super().__init__(daemon=True)
        self.listed, self.silent = listed.encode(), silent.encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(0.1)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                packet, peer = self.socket.recvfrom(1500)
            except TimeoutError:
                continue
            name = packet[12:].split(b"\0")[0]
            end = 12 + len(name) + 5
            if self.silent in name:
                continue
            head = packet[:2] + (b"\x81\x80" if self.listed in name else b"\x81\x83") + b"\0\1"
            if self.listed not in name:
                self.socket.sendto(head + b"\0\0\0\0\0\0" + packet[12:end], peer)
                continue
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\2"
            self.socket.sendto(head + b"\0\1\0\0\0\0" + packet[12:end] + record, peer)

    def __enter__(self) -> Lists:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ended.set()
        self.join(10)  # who waits for a datagram keeps the port
        self.socket.close()


def test_lists_are_asked_before_the_greylist(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate, Lists(programs.resolver_port, "\x019\x013\x012\x03127", "slow"):
        lists = gate.directory / "etc" / "dnsbl"
        lists.write_text("good.example 127.0.0.0/24 no\nbad.example 127.0.0.0/24 see https://bad.example/\n")
        pieces = [HELO, MAIL, RCPT + RCPT, b"QUIT\r\n"]
        heard = through_the_front(gate, pieces, "127.2.3.9")
        refusal = b"553 5.7.1 see https://bad.example/ (bad.example)\r\n"
        other = b"553 5.7.1 no (good.example)\r\n"
        assert heard.endswith((2 * refusal + b"221 mx.test\r\n", 2 * other + b"221 mx.test\r\n")), heard
        until(lambda: "listed 127.2.3.9" in gate.heard())
        assert " new " not in gate.heard()
        heard = through_the_front(gate, pieces, "127.2.3.8")
        assert heard.count(b"451 4.7.1 you are new here") == 2
        lists.write_text("slow.example 127.0.0.0/24 no\n")
        begun = time.monotonic()
        heard = through_the_front(gate, pieces, "127.3.3.7")
        assert heard.count(b"451 4.7.1 you are new here") == 2 and time.monotonic() - begun < 5
        until(lambda: "trouble 127.3.3.7 slow.example no answer in time" in gate.heard())


# --- limits ---


def greeted(gate: Gateway, source: str) -> tuple[socket.socket, bytes]:
    client = gate.connect(source)
    return client, client.recv(1000)


def rest_until(client: socket.socket, end: bytes) -> bytes:
    heard = b""
    while not heard.endswith(end):
        block = client.recv(1000)
        assert block, heard
        heard += block
    return heard


def handed_over(gate: Gateway) -> socket.socket:
    """Return a session that qmail-smtpd has: its program runs, so nothing of the launcher's is open in it."""
    client, _ = greeted(gate, "127.0.0.4")
    client.sendall(HELO + MAIL + RCPT)
    rest_until(client, b"\r\n250 ok\r\n250 ok\r\n")
    return client


def test_a_client_and_a_network_have_their_share(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-C": 3, "-N": 5}) as gate:
        held = [greeted(gate, "127.4.0.1") for _ in range(3)]
        assert all(said.startswith(b"220") for _, said in held)
        assert greeted(gate, "127.4.0.1")[1].startswith(b"421")
        held += [greeted(gate, "127.4.0.2") for _ in range(2)]
        assert greeted(gate, "127.4.0.3")[1].startswith(b"421")
        assert greeted(gate, "127.4.1.1")[1].startswith(b"220")
        held.pop(0)[0].close()
        until(lambda: greeted(gate, "127.4.0.1")[1].startswith(b"220"))


def test_when_all_places_are_in_use_the_longest_silent_goes(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-c": 4}) as gate:
        held = [greeted(gate, f"127.5.{n}.1")[0] for n in range(4)]
        held[0].sendall(b"NOOP\r\n")
        assert held[0].recv(100) == b"250 ok\r\n"
        assert greeted(gate, "127.5.9.1")[1].startswith(b"220")
        assert rest(held[1]).startswith(b"421 4.3.2 too many sessions")
        held[0].sendall(b"NOOP\r\n")
        assert held[0].recv(100) == b"250 ok\r\n"


def test_a_silent_client_is_hung_up_on(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-i": 1}) as gate:
        client, _ = greeted(gate, "127.0.0.4")
        assert rest(client) == b"451 4.4.2 timeout\r\n"


def test_too_many_bytes_end_the_session(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-B": 1000}) as gate:
        heard = through_the_front(gate, [b"NOOP " + b"x" * 600 + b"\r\n"] * 3)
        assert b"421 4.7.0 too many commands or refusals" in heard


def test_qmail_smtpd_has_places_of_its_own(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-w": 1}, launcher={"-c": 3, "-C": 1, "-R": 1}) as gate:
        first = handed_over(gate)
        waiting, _ = greeted(gate, "127.0.0.4")
        waiting.sendall(HELO + MAIL + RCPT)
        heard = rest(waiting)
        assert heard.endswith(b"250 ok\r\n451 4.3.2 no session is free, please come back later\r\n"), heard
        relay = through_the_front(gate, [HELO, MAIL, b"QUIT\r\n"], "127.0.0.3")
        assert relay.endswith(b"221 mx.test\r\n")
        first.close()
        until(lambda: gate.heard().count("smtplaunch: end ") == 2)
        assert through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n")


@pytest.mark.slow
def test_clients_that_stall_leave_room_for_others(programs: Programs, tmp_path: Path) -> None:
    """Three clients stall 50 messages each: each holds its share of places, and others get one."""
    with gateway(programs, tmp_path, front={"-w": 2, "-C": 50}) as gate:
        known = "".join(f'127.7.{n}.1:allow,WHITELISTED=""\n' for n in range(5))
        gate.write_rules(known + RULES.format(queue=gate.queue.with_name("relay-queue")))
        stalled = [gate.connect(f"127.7.{n}.1") for n in range(3) for _ in range(50)]
        for client in stalled:
            client.sendall(HELO + MAIL + RCPT + b"DATA\r\nSubject: stalled\r\n")
        until(lambda: gate.heard().count("smtplaunch: ok ") == 60)
        for source in ("127.7.3.1", "127.7.4.1", "127.0.0.3"):
            heard = through_the_front(gate, [HELO, MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"], source)
            assert heard.endswith(b"354 go ahead\r\n250 ok TIME qp PID\r\n221 mx.test\r\n"), (source, heard)
        until(lambda: gate.heard().count("put off 127.7.") == 90)
        assert gate.heard().count("smtplaunch: ok ") == 63
        for client in stalled:
            client.close()
        until(lambda: gate.heard().count("smtplaunch: end ") == 63)
        assert len(gate.messages()) == 3


@pytest.mark.parametrize(
    ("clients", "addresses", "places"),
    [
        pytest.param(600, 240, 300, id="few"),
        pytest.param(10_000, 4_000, 2_000, id="many", marks=pytest.mark.slow),
        pytest.param(10_000, 4_000, 12_000, id="many with a place for each", marks=pytest.mark.slow),
    ],
)
def test_mail_comes_through_a_crowd_of_silent_clients(
    programs: Programs, tmp_path: Path, clients: int, addresses: int, places: int
) -> None:
    """Clients of both families that say nothing: when all places are in use, they put out each other."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace of its own takes root")
    named = {name: str(value) for name, value in vars(programs).items() if name != "resolver_port"}
    given = {"clients": clients, "addresses": addresses, "places": places}
    given["programs"] = {**named, "resolver_port": programs.resolver_port}
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "support.smtpfront_crowd", tmp_path],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    print(said)
    assert said["mails"] >= 10 and said["delivered"] == said["mails"]
    assert said["seconds"] < 30 and said["slowest"] < 60  # a crowd that keeps others out, not a busy machine
    # Each mail takes the place of one of the crowd, as nobody is put out but for somebody else.
    tries = said["mails"] + said["put_off"]
    assert min(clients, places) - tries <= said["left"] <= min(clients, places)


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_who_leaves_while_it_waits_gives_its_place_back(programs: Programs, tmp_path: Path, how: str) -> None:
    limits = {"front": {"-w": 3600, "-C": 2}, "launcher": {"-c": 3, "-C": 1, "-R": 1}}
    with gateway(programs, tmp_path, **limits) as gate, handed_over(gate):
        waiting = [greeted(gate, "127.0.0.4")[0] for _ in range(2)]
        for client in waiting:
            client.sendall(HELO + MAIL + RCPT)
            assert client.recv(1000).startswith(b"250-mx.test")
        until(lambda: gate.heard().count("smtpfront: pid ") == 3)
        assert greeted(gate, "127.0.0.4")[1].startswith(b"421")
        if how == "resets":
            waiting[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 0))
        waiting[0].close()
        until(lambda: greeted(gate, "127.0.0.4")[1].startswith(b"220"), 20)


# --- what breaks ---


@pytest.mark.slow
def test_a_launcher_that_hangs_holds_nobody_forever(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, front={"-w": 1, "-C": 1}) as gate:
        until(lambda: "deny 127.0.0.2" in gate.heard())  # the launcher has sent its log
        gate.launcher.send_signal(signal.SIGSTOP)
        client, _ = greeted(gate, "127.0.0.4")
        client.sendall(HELO + MAIL + RCPT)
        assert client.recv(1000).startswith(b"250-mx.test")
        assert greeted(gate, "127.0.0.4")[1].startswith(b"421")
        until(lambda: "lost 127.0.0.4 the launcher does not answer" in gate.heard(), 20)
        assert greeted(gate, "127.0.0.4")[1].startswith(b"220")
        relays = [gate.connect("127.0.0.3") for _ in range(400)]  # more than the socket to it takes
        until(lambda: "put off 127.0.0.3 no session of qmail-smtpd" in gate.heard(), 20)
        assert rest(relays[-1]).startswith(b"421 4.3.2 too many sessions")
        for relay in relays:
            relay.close()
        gate.launcher.send_signal(signal.SIGCONT)
        client.sendall(b"QUIT\r\n")  # nobody hung up on it: it is served late
        assert rest(client).endswith(b"250 ok\r\n221 mx.test\r\n")


def test_without_the_launcher_recipients_are_put_off(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        open_session = handed_over(gate)
        gate.launcher.terminate()
        gate.launcher.wait(60)
        heard = through_the_front(gate, [HELO, MAIL, RCPT])
        assert heard.endswith(b"250 ok\r\n451 4.3.2 no session is free, please come back later\r\n"), heard
        assert through_the_front(gate, [], "127.0.0.3").startswith(b"421 4.3.2 too many sessions")
        open_session.sendall(b"QUIT\r\n")  # which is qmail-smtpd's, and goes on
        assert rest(open_session).endswith(b"221 mx.test\r\n")
        gate.start_launcher()
        assert through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n")


def test_a_launcher_without_descriptors_puts_off_at_once(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        assert through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n")
        pid = gate.launcher.pid
        lowest = len(os.listdir(f"/proc/{pid}/fd"))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

        def limit(descriptors: int) -> None:
            argv = as_nobody(["prlimit", f"--pid={pid}", f"--nofile={descriptors}:"])
            assert run(argv).returncode == 0

        said: list[bytes] = []
        for descriptors in range(lowest, lowest + 4):
            limit(descriptors)
            begin = time.monotonic()
            heard = through_the_front(gate, [HELO, MAIL, RCPT])
            said.append(heard.splitlines()[-1])
            assert time.monotonic() - begin < 20  # not until its wait for a place ends
        assert said[0] == b"451 4.3.2 no session is free, please come back later"
        assert "no socket of a client came with its session" in gate.heard()
        limit(before)
        assert through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n")


def test_a_launcher_that_cannot_wait_for_anything_ends(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        held = handed_over(gate)
        assert run(as_nobody(["prlimit", f"--pid={gate.launcher.pid}", "--nofile=5:"])).returncode == 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.connect(str(gate.link))
            assert gate.launcher.wait(60) == 111
        assert "smtplaunch: fatal: poll: Invalid argument\n" in gate.heard()
        held.sendall(b"QUIT\r\n")
        assert rest(held).endswith(b"221 mx.test\r\n")
        gate.start_launcher()
        until(lambda: through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n"))


def test_without_qmail_smtpd_recipients_are_put_off(programs: Programs, tmp_path: Path) -> None:
    program = programs.home / "bin" / "qmail-smtpd"
    with gateway(programs, tmp_path) as gate:
        program.chmod(0o644)
        try:
            heard = through_the_front(gate, [HELO, MAIL, RCPT])
        finally:
            program.chmod(0o755)
        assert heard.endswith(b"250 ok\r\n451 4.3.2 no session is free, please come back later\r\n"), heard


def test_a_log_that_stands_still_stops_nobody(programs: Programs, tmp_path: Path) -> None:
    """multilog is stopped, or its disk is full: nobody reads the pipe, which holds what it holds."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with gateway(programs, tmp_path, log=writing) as gate:
        with contextlib.suppress(BlockingIOError):  # the launcher has made it so
            while os.write(writing, b"x" * 4095 + b"\n"):
                pass
        foreign = b"RCPT TO:<x@elsewhere.example>\r\n"
        for number in range(30):
            heard = through_the_front(gate, [HELO, MAIL, foreign, RCPT, foreign, b"QUIT\r\n"])
            assert heard.count(b"553 5.7.1 ") == 2 and heard.endswith(b"221 mx.test\r\n"), (number, heard)
        many = [MAIL + 90 * foreign + b"QUIT\r\n" for _ in range(12)]  # more than is kept
        assert all(through_the_front(gate, [one]).endswith(b"221 mx.test\r\n") for one in many)
        said = b""

        def read() -> bytes:
            nonlocal said
            with contextlib.suppress(BlockingIOError):
                while block := os.read(reading, 65536):
                    said += block
            return said

        until(lambda: re.search(rb"^smtpfront: dropped [0-9]+ lines of the log$", read(), re.MULTILINE))
        through_the_front(gate, [HELO, MAIL, RCPT, foreign, b"QUIT\r\n"])
        until(
            lambda: re.search(
                rb"^smtplaunch: warning: dropped [0-9]+ lines of the log$", read(), re.MULTILINE
            )
        )
        until(lambda: read().endswith(b" status 0\n"))
        assert b"qmail-smtpd: rcpthosts: x@elsewhere.example from sender@client.example at 127.0.0.4" in said
    os.close(reading)


def test_a_restart_of_the_front_tells_everybody(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        client, _ = greeted(gate, "127.0.0.4")
        served = handed_over(gate)
        gate.front.terminate()
        assert gate.front.wait(60) == 0
        assert rest(client) == b"421 4.3.2 the service is being restarted\r\n"
        served.sendall(b"QUIT\r\n")
        assert rest(served).endswith(b"221 mx.test\r\n")


def test_a_pause_closes_the_port_and_nothing_else(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        client, _ = greeted(gate, "127.0.0.4")
        for _ in range(2):
            gate.front.send_signal(signal.SIGINT)
            until(lambda: "the port is closed" in gate.heard() and not open_port(gate))
            client.sendall(HELO)
            assert client.recv(1000).startswith(b"250-mx.test")
            gate.front.send_signal(signal.SIGCONT)
            until(lambda: open_port(gate))
        gate.front.send_signal(signal.SIGINT)
        until(lambda: not open_port(gate))
        assert spoken(client, [MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"]).endswith(b"221 mx.test\r\n")
        assert len(gate.messages()) == 1 and gate.front.poll() is None
        gate.front.send_signal(signal.SIGCONT)
        until(lambda: open_port(gate))
        assert through_the_front(gate, [HELO, MAIL, RCPT]).endswith(b"250 ok\r\n250 ok\r\n")


def test_a_relay_client_of_the_last_moment_is_served(programs: Programs, tmp_path: Path) -> None:
    """The launcher takes none that came to a port where nobody listens."""
    with gateway(programs, tmp_path) as gate:
        until(lambda: "deny 127.0.0.2" in gate.heard())  # who asked for the port; now it knows the signal
        gate.launcher.send_signal(signal.SIGSTOP)
        try:
            client = gate.connect("127.0.0.3")
            gate.front.send_signal(signal.SIGINT)
            time.sleep(0.2)
        finally:
            gate.launcher.send_signal(signal.SIGCONT)
        with client:
            assert client.recv(1000).startswith(b"220 mx.test"), gate.heard()
        until(lambda: not open_port(gate))


def open_port(gate: Gateway) -> bool:
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):  # it may close between the two
        gate.connect("127.0.0.2").close()
        return True
    return False


def test_who_waits_hears_of_a_restart_whatever_it_has_sent(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path, launcher={"-c": 3, "-C": 1, "-R": 1}) as gate, handed_over(gate):
        waiting, _ = greeted(gate, "127.0.0.4")
        waiting.sendall(HELO + MAIL + RCPT)
        assert waiting.recv(1000).startswith(b"250-mx.test")
        waiting.sendall(RCPT + b"DATA\r\n" + 2000 * LETTER)  # which nobody reads
        time.sleep(0.2)  # until the launcher has said that it has no place
        gate.front.terminate()
        assert gate.front.wait(60) == 0
        assert rest(waiting).endswith(b"421 4.3.2 the service is being restarted\r\n")


@pytest.mark.parametrize("name", ["rcpthosts", "validrcptto.cdb"])
def test_a_list_that_is_missing_puts_off(programs: Programs, tmp_path: Path, name: str) -> None:
    with gateway(programs, tmp_path) as gate:
        (gate.control / name).unlink()
        heard = through_the_front(gate, [HELO, MAIL, RCPT])
        assert heard.endswith(b"451 4.3.0 unable to check recipient\r\n")
        assert not gate.messages()


def test_without_rules_nobody_is_served(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        gate.rules.write_bytes(b"")
        assert through_the_front(gate, [HELO], "127.0.0.4").removesuffix(RESET) == b""
        until(lambda: "smtpfront: warning: dropping connection, unable to read" in gate.heard())


def test_the_front_may_execute_nothing(gate: Gateway) -> None:
    status = Path(f"/proc/{gate.front.pid}/status").read_text()
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    if os.geteuid() == 0:
        assert re.search(r"^Groups:\t *$", status, re.MULTILINE)


# --- a front that is broken into ---


def forged(
    gate: Gateway,
    source: str,
    said: bytes,
    unanswered: bytes,
    *,
    header: bytes | None = None,
    number: int = 0,
) -> bytes:
    """Return what a client of that address hears when a front hands it over with such a session."""
    session = (
        header or b"MGH1" + bytes(12) + struct.pack("<2L", len(said), len(unanswered)) + said + unanswered
    )
    script = (
        "import socket,sys;s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);s.connect(sys.argv[1]);"
        "s.recv(100);c=socket.socket(fileno=int(sys.argv[2]));"
        "socket.send_fds(s,[bytes.fromhex(sys.argv[3])],[c.fileno()]);c.close();s.settimeout(60);s.recv(100)"
    )
    packet = struct.pack("<Q", number) + session
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)  # as smtpfront does
        client = socket.create_connection(listening.getsockname(), 20, (source, 0))
        served, _peer = listening.accept()
        argv = as_nobody(["python3", "-c", script, gate.link, served.fileno(), packet.hex()])
        with served:
            subprocess.run(argv, pass_fds=[served.fileno()], timeout=30, check=True)
    client.shutdown(socket.SHUT_WR)
    with client:
        return rest(client)


TCP_SAVE_SYN = 27  # as in tcporigin.c
FOREIGN = b"RCPT TO:<x@elsewhere.example>\r\nDATA\r\n" + LETTER


@pytest.mark.parametrize(
    ("source", "said", "unanswered", "heard"),
    [
        pytest.param("127.0.0.3", MAIL, FOREIGN, b"553", id="a relay client does not relay what is replayed"),
        pytest.param("127.0.0.4", b"", b"", b"", id="a stranger is not handed over at accept"),
        pytest.param("127.0.0.2", MAIL, RCPT, b"", id="a denied client"),
        pytest.param("127.0.0.5", MAIL, RCPT, b"", id="a client that a rule refuses"),
        pytest.param("127.0.0.4", MAIL, FOREIGN, b"553", id="recipient check always yes"),
        pytest.param(
            "127.0.0.4", MAIL + RCPT + b"DATA\r\n" + LETTER, RCPT, b"", id="a message among what was said"
        ),
        pytest.param("127.0.0.4", HELO, RCPT, b"", id="no MAIL"),
    ],
)
def test_a_broken_front_gets_nothing_accepted(
    gate: Gateway, source: str, said: bytes, unanswered: bytes, heard: bytes
) -> None:
    replies = forged(gate, source, said, unanswered)
    assert replies.removesuffix(RESET)[:3] == heard, replies
    assert not gate.messages()


def test_a_forged_envelope_of_a_relay_client_is_scanned(gate: Gateway) -> None:
    replies = forged(gate, "127.0.0.3", MAIL, RCPT + b"DATA\r\n" + LETTER)
    assert replies.startswith(b"250 ok\r\n354 ")
    (message,) = gate.messages()
    assert "RELAYCLIENT" not in message.environment and message.environment["QMAILQUEUE"] == str(gate.queue)


def test_a_broken_front_chooses_no_id_but_that_of_a_session_of_now(gate: Gateway) -> None:
    """Not that of a relay client, nor one of yesterday or tomorrow, as an older front's small number is."""
    mail = RCPT + b"DATA\r\n" + LETTER + b"QUIT\r\n"
    now = int(time.time())

    def named(number: int, source: str, said: bytes, unanswered: bytes) -> int:
        line = rf"smtplaunch: pid [0-9]+ from {re.escape(source)} id (\S+)\n"
        before = len(re.findall(line, gate.heard()))
        forged(gate, source, said, unanswered, number=number << 16 | 7)
        until(lambda: len(re.findall(line, gate.heard())) > before)
        return session_id.number_of(re.findall(line, gate.heard())[-1])

    def number_at(seconds: int) -> int:
        return (seconds & 0xFFFFFFF) << 20 | 0xABCDE

    assert named(number_at(now - 5), "127.0.0.4", MAIL, mail) == number_at(now - 5)
    for other in (number_at(now - 86400), number_at(now + 86400), 10004711, 0, (1 << 48) - 1):
        made = named(other, "127.0.0.4", MAIL, mail)
        assert made != other and abs((made >> 20) - (now & 0xFFFFFFF)) < 600
    assert named(number_at(now - 4), "127.0.0.3", b"", b"") != number_at(now - 4)
    assert len(gate.messages()) == 6


# Connects from the address of a relay client, and hands one end over as a client that has said nothing.
PLANTED = """
import socket, sys
kind, path, source, listening = sys.argv[1], sys.argv[2], sys.argv[3], socket.socket(fileno=int(sys.argv[4]))
said = bytes.fromhex(sys.argv[5])
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(path)
link.recv(100)
if kind == "mapped":
    own = socket.socket(socket.AF_INET6)
    own.bind(("::ffff:" + source, 0))
    own.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
else:
    own = socket.create_connection(listening.getsockname(), 20, (source, 0))
taken = own if kind == "waiting" else listening.accept()[0]
if kind in ("closed", "half closed"):
    own.sendall(said)
    own.shutdown(socket.SHUT_WR)
if kind == "closed":
    own.close()
if kind == "away":
    taken = own
socket.send_fds(link, [bytes(8) + b"MGH1" + bytes(20)], [taken.fileno()])
link.settimeout(20)
answer = link.recv(100)[8:]
taken.close()
print(answer.decode())
"""


@pytest.mark.parametrize("kind", ["plain", "mapped", "half closed", "closed", "waiting", "away"])
def test_a_broken_front_cannot_be_a_relay_client(programs: Programs, tmp_path: Path, kind: str) -> None:
    said = HELO + MAIL + FOREIGN + b"QUIT\r\n"
    with gateway(programs, tmp_path, launcher={"-u": os.geteuid() or NOBODY}) as gate:
        to = "127.0.0.3" if kind in ("waiting", "away") else "127.0.0.1"
        with socket.create_server((to, 0)) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)  # which is not what tells them
            words = [kind, gate.link, "127.0.0.3", listening.fileno(), said.hex()]
            argv = as_nobody(["python3", "-c", PLANTED, *words])
            done = subprocess.run(
                argv, pass_fds=[listening.fileno()], timeout=60, check=True, capture_output=True, text=True
            )
        assert done.stdout == "R\n", (done.stdout, gate.heard())
        assert "smtplaunch: refused 127.0.0.3 " in gate.heard()
        assert not gate.messages()


# --- the property: behind the front nothing passes that would not pass without it, byte by byte ---


def test_random_dialogues_are_answered_and_accepted_as_without_the_front(gate: Gateway) -> None:
    for seed in range(DIALOGUES):
        pieces = dialogue(random.Random(seed))
        expected = without_it(gate, pieces)
        accepted = gate.messages()
        heard = through_the_front(gate, pieces)
        assert gate.messages() == accepted, (seed, pieces)
        assert same(heard, expected), (seed, pieces, heard, expected)


@pytest.mark.slow
def test_the_makefile_builds_both_from_what_the_role_gives_it(tmp_path: Path) -> None:
    for name, path in program_files(ROOT / "src", ["smtpfront", "smtplaunch"]).items():
        shutil.copy(path, tmp_path / name)
    done = run(["make", "-j2", "CFLAGS=-O0 -fPIE"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    for name in ("smtpfront", "smtplaunch"):
        said = run([tmp_path / name])
        assert said.returncode == 100 and b"usage: " + name.encode() in said.stderr
