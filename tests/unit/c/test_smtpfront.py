# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront, its launcher and the real qmail-smtpd: what passes, and that no more does than without it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from support.smtpfront_programs import GREETING, Gateway, Programs, as_nobody, build, gateway

DIALOGUES = int(os.environ.get("SMTPFRONT_DIALOGUES", "150"))
HELO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<sender@client.example>\r\n"
RCPT = b"RCPT TO:<ann@example.com>\r\n"
LETTER = b"Subject: hello\r\n\r\nA letter.\r\n..\r\n.\r\n"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return build(tmp_path_factory.mktemp("smtpfront"))


@pytest.fixture(scope="module")
def gate(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(programs, tmp_path_factory.mktemp("gate")) as made:
        yield made


RESET = b"RESET"  # in the place of what a reset of the connection destroyed on its way


def rest(client: socket.socket) -> bytes:
    """Return everything up to the end. Who hangs up on bytes that it has not read resets the connection."""
    heard = b""
    while True:
        try:
            block = client.recv(65536)
        except ConnectionError:
            return heard + RESET
        if not block:
            return heard
        heard += block


def spoken(client: socket.socket, pieces: list[bytes]) -> bytes:
    """Return what is heard when all of it is said, without times and numbers."""
    with contextlib.suppress(OSError):
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
    with client:
        return re.sub(rb"250 ok [0-9]+ qp [0-9]+", b"250 ok TIME qp PID", rest(client))


def same(one: bytes, other: bytes) -> bool:
    """Return whether two clients heard the same, as far as each could."""
    if one.endswith(RESET) or other.endswith(RESET):
        one, other = one.removesuffix(RESET), other.removesuffix(RESET)
        return one.startswith(other) or other.startswith(one)
    return one == other


def through_the_front(gate: Gateway, pieces: list[bytes], source: str = "127.0.0.4") -> bytes:
    return spoken(gate.connect(source), pieces)


def without_it(gate: Gateway, pieces: list[bytes], source: str = "127.0.0.4") -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        served, _peer = listening.accept()
    with served:
        environment = {
            **gate.environment,
            "PROTO": "TCP",
            "TCPREMOTEIP": source,
            "TCPLOCALIP": "127.0.0.1",
            "TCPLOCALHOST": GREETING,
        }
        process = subprocess.Popen(
            as_nobody([gate.programs.plain]),
            stdin=served,
            stdout=served,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    heard = spoken(client, pieces)
    process.wait(20)
    return heard


# --- one session ---


def test_a_letter_passes(gate: Gateway) -> None:
    pieces = [HELO, MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"]
    heard = through_the_front(gate, pieces)
    assert heard.startswith(b"220 mx.test ESMTP\r\n250-mx.test\r\n")
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


def test_a_denied_client_hears_nothing(gate: Gateway) -> None:
    assert through_the_front(gate, [HELO], "127.0.0.2") == b""
    assert re.search(r"smtpfront\[[0-9]+\]: deny 127\.0\.0\.2\n", gate.heard())


@pytest.mark.parametrize(
    ("source", "refusal"), [("127.0.0.5", b"553 go away\r\n"), ("127.0.0.6", b"451 later\r\n")]
)
def test_a_rule_refuses_at_each_recipient(gate: Gateway, source: str, refusal: bytes) -> None:
    heard = through_the_front(gate, [HELO, MAIL, RCPT, RCPT, b"DATA\r\n", b"QUIT\r\n"], source)
    assert heard.endswith(b"250 ok\r\n" + 2 * refusal + b"503 RCPT first (#5.5.1)\r\n221 mx.test\r\n")
    assert not gate.messages()


def test_a_relay_client_relays_with_its_own_queue(gate: Gateway) -> None:
    foreign = b"RCPT TO:<x@elsewhere.example>\r\n"
    heard = through_the_front(gate, [HELO, MAIL, foreign, b"DATA\r\n", LETTER, b"QUIT\r\n"], "127.0.0.3")
    assert heard.endswith(b"250 ok\r\n250 ok\r\n354 go ahead\r\n250 ok TIME qp PID\r\n221 mx.test\r\n")
    (message,) = gate.messages()
    assert message.recipients == [b"Tx@elsewhere.example"]
    assert message.environment["QUEUE_OF"] == "relay" and message.environment["RELAYCLIENT"] == ""


def test_the_misses_of_both_programs_are_one_count(gate: Gateway) -> None:
    unknown = b"RCPT TO:<nobody@example.com>\r\n"
    pieces = [HELO, MAIL, 6 * unknown, RCPT, 4 * unknown, b"NOOP\r\n"]
    heard = through_the_front(gate, pieces)
    assert heard.endswith(b"421 too many invalid addresses, goodbye (#4.3.0)\r\n")
    assert heard.count(b"553 sorry, this recipient") == 9
    assert without_it(gate, pieces) == heard


def test_a_new_network_is_greylisted_and_comes_back(gate: Gateway) -> None:
    pieces = [HELO, MAIL, RCPT, b"QUIT\r\n"]
    heard = through_the_front(gate, pieces, "127.1.2.3")
    assert heard.endswith(
        b"250 ok\r\n451 4.7.1 you are new here, please come back in a few minutes\r\n221 mx.test\r\n"
    )
    assert re.search(r"smtpfront\[[0-9]+\]: new 127\.1\.2\.3 127\.1\.2\.0/24 wait 1\n", gate.heard())
    time.sleep(2.1)
    heard = through_the_front(gate, pieces, "127.1.2.4")
    assert heard.endswith(b"250 ok\r\n250 ok\r\n221 mx.test\r\n")
    assert re.search(r"smtpfront\[[0-9]+\]: passed 127\.1\.2\.4 127\.1\.2\.0/24 after [0-9]+\n", gate.heard())


# --- the property: behind the front nothing passes that would not pass without it, byte by byte ---

WORDS = [
    b"EHLO a.example\r\n",
    b"HELO b\r\n",
    b"EHLO \r\n",
    b"HELO " + b"h" * 300 + b"\r\n",
    b"ehlo x=y (z)\r\n",
    MAIL,
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM: other@client.example\r\n",
    b"mail from:<@relay.example:s@c.example>\r\n",
    b"MAIL FROM:<bad@sender.example>\r\n",
    b"MAIL FROM:<x@evil.example>\r\n",
    b"MAIL FROM:<a b@c.example> SIZE=1\r\n",
    b"MAIL FROM:<a@b c>\r\n",
    b"MAIL FROM:<a@\x01>\r\n",
    b'MAIL FROM:<"q\\"r s"@c.example>\r\n',
    b"MAIL\r\n",
    RCPT,
    RCPT,
    RCPT,
    b"RCPT TO:<ANN@Example.COM>\r\n",
    b"rcpt to: ann@example.com\r\n",
    b"RCPT TO:<bob-x-y@example.com>\r\n",
    b"RCPT TO:<any@open.example>\r\n",
    b"RCPT TO:<nobody@example.com>\r\n",
    b"RCPT TO:<x@elsewhere.example>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"RCPT TO:<x@deep.sub.example>\r\n",
    b"RCPT TO:<ann@[127.0.0.1]>\r\n",
    b"RCPT TO:<@a.example,@b.example:ann@example.com>\r\n",
    b"RCPT TO:<ann@example.com.>\r\n",
    b"RCPT TO:<>\r\n",
    b'RCPT TO:<"ann"@example.com>\r\n',
    b"RCPT TO:<ann@example.com\x00@x>\r\n",
    b"RCPT\r\n",
    b"RCPT TO:<ann@example.com> X=1\n",
    b"DATA\r\n",
    b"DATA\r\n" + LETTER,
    b"DATA\r\n" + LETTER,
    LETTER,
    b".\r\n",
    b"bare\nline\r\n.\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"HELP\r\n",
    b"VRFY x\r\n",
    b"STARTTLS\r\n",
    b"\r\n",
    b"QUIT\r\n",
    b"QUIT now\r\n",
    b"x" * 300 + b"\r\n",
    MAIL + RCPT + b"DATA\r\n" + LETTER,
    HELO + MAIL + RCPT + RCPT + b"DATA\r\n" + LETTER,
    12 * RCPT,
    b"RCPT TO:<u@example.com>\r\n" * 9,
]


def dialogue(source: random.Random) -> list[bytes]:
    """Return a client's bytes in pieces: often a whole mail somewhere, and anything around it."""
    said = b"".join(source.choices(WORDS, k=source.randint(1, 14)))
    if source.random() < 0.5:
        said = HELO + MAIL + said
    if source.random() < 0.1:
        said = said[: source.randint(0, len(said))]
    if source.random() < 0.1:
        at = source.randint(0, len(said))
        said = said[:at] + bytes([source.randrange(256)]) + said[at:]
    cuts = sorted(source.randint(0, len(said)) for _ in range(source.choice((0, 0, 1, 3, 20))))
    return [said[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(said)]) if begin < end]


def test_random_dialogues_are_answered_and_accepted_as_without_the_front(gate: Gateway) -> None:
    for seed in range(DIALOGUES):
        pieces = dialogue(random.Random(seed))
        expected = without_it(gate, pieces)
        accepted = gate.messages()
        heard = through_the_front(gate, pieces)
        assert gate.messages() == accepted, (seed, pieces)
        assert same(heard, expected), (seed, pieces, heard, expected)
