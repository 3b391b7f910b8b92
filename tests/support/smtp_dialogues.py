# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random SMTP dialogues, cut into pieces in any place, and what is heard of them."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from collections.abc import Sequence

HELO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<sender@client.example>\r\n"
RCPT = b"RCPT TO:<ann@example.com>\r\n"
LETTER = b"Subject: hello\r\n\r\nA letter.\r\n..\r\n.\r\n"
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
        return re.sub(rb"250 ok [0-9]+ qp [0-9]+(?: id [0-9a-z.]+)?", b"250 ok TIME qp PID", rest(client))


def same(one: bytes, other: bytes) -> bool:
    """Return whether two clients heard the same, as far as each could."""
    if one.endswith(RESET) or other.endswith(RESET):
        one, other = one.removesuffix(RESET), other.removesuffix(RESET)
        return one.startswith(other) or other.startswith(one)
    return one == other


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
    b"MAIL FROM:<sender@client.example> SIZE=1000000\r\n",
    b"MAIL FROM:<sender@client.example> BODY=8BITMIME size=1125001\r\n",
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


def dialogue(source: random.Random, words: Sequence[bytes] = WORDS) -> list[bytes]:
    """Return a client's bytes in pieces: often a whole mail somewhere, and anything around it."""
    said = b"".join(source.choices(words, k=source.randint(1, 14)))
    if source.random() < 0.5:
        said = HELO + MAIL + said
    if source.random() < 0.1:
        said = said[: source.randint(0, len(said))]
    if source.random() < 0.1:
        at = source.randint(0, len(said))
        said = said[:at] + bytes([source.randrange(256)]) + said[at:]
    cuts = sorted(source.randint(0, len(said)) for _ in range(source.choice((0, 0, 1, 3, 20))))
    return [said[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(said)]) if begin < end]
