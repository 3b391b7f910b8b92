# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: who tries what, what the gateway must answer, and what must arrive where.

The site that these rows speak of is tests/inventory/group_vars/gateways/site.yml.
"""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from email.utils import formatdate, make_msgid

from support.name_servers import FORGED
from support.smtp_client import CLOSED, stuffed

HOSTNAME = "mx1.example.test"
LIMIT_SESSIONS = 120
DATABYTES = 15_000_000
POSTMASTER = "postmaster@example.test"

A = "exchange-a"  # the back end of example.test
B = "exchange-b"  # the back end of example.org, and the smart host
BACKENDS = {A: ("198.18.0.10", 2525), B: ("198.18.0.20", 2525)}

STRANGER = "198.51.100.7"
OFFICE = "198.51.100.70"  # inside the relay network 198.51.100.64/26
LOOPBACK = "127.0.0.1"
NEWCOMER = f"198.19.{random.randrange(256)}.9"  # of a network that was never seen here
PEST = "198.51.100.140"  # whom the blacklist may list
OPERATOR = "the operator"
# Clients of IPv6, whose network is a /64.
STRANGER_IPV6, NEIGHBOUR_IPV6 = "2001:db8:7::7", "2001:db8:7::8"
OFFICE_IPV6, PEST_IPV6 = "2001:db8:70::7", "2001:db8:66::7"
PEOPLE = {
    STRANGER: "stranger",
    OFFICE: "office",
    LOOPBACK: "the host",
    NEWCOMER: "newcomer",
    PEST: "pest",
    STRANGER_IPV6: "stranger",
    NEIGHBOUR_IPV6: "neighbour",
    OFFICE_IPV6: "office",
    PEST_IPV6: "pest",
}
IPV6 = "ipv6"  # the tag of their rows

SENDER = "ann@sender.example"

OK = "250 ok"
QUEUED = "250 ok *"
GO_AHEAD = "354 go ahead"
FLUSHED = "250 flushed"
NOT_OURS = "553 5.7.1 sorry, that domain isn't in my list of allowed rcpthosts"
NOBODY = "550 5.1.1 sorry, this recipient is not known here"
NO_ADDRESS = "553 5.1.3 sorry, that is no address that mail can be sent to"
PLAIN_TEXT = "451 4.7.10 mail from your domain is taken over TLS only, please use STARTTLS"
BAD_SENDER = "553 5.7.1 sorry, your envelope sender is in my badmailfrom list"
TOO_MANY_UNKNOWN = "421 4.7.0 too many invalid addresses, goodbye"
COME_BACK = "451 4.7.1 *"
OTHER_RULE = "452 4.5.3 mail to this domain is judged by rules of its own, please send it by itself"
IS_SPAM = "554 Your email is considered spam (* spam-hits)*"
BARE_LF = "451 4.5.2 a line ends without CR: see http://pobox.com/~djb/docs/smtplf.html"
TOO_BIG = "552 5.3.4 sorry, that message size exceeds my databytes limit"
LOOPING = "554 5.4.6 too many hops, this message is looping"
MAIL_FIRST = "503 5.5.1 MAIL first"
RCPT_FIRST = "503 5.5.1 RCPT first"


# Header fields, as regular expressions, that the gateway puts above the content of what it scanned.
ADDED = ("Received", "X-Spam-[A-Za-z-]+")


@dataclass(frozen=True)
class Step:
    """Bytes to send, and the replies that must come, in order; `*` in a reply stands for any text."""

    send: bytes = field(repr=False)
    replies: tuple[str, ...]
    secure: str = ""  # the version of TLS that begins behind the last reply


@dataclass(frozen=True)
class Arrival:
    """One recipient's copy.  `added` are the header fields that the gateway may put above the content."""

    backend: str
    recipient: str
    sender: str = SENDER
    content: bytes = field(default=b"", repr=False)
    added: tuple[str, ...] = ADDED
    needs: bytes = b""  # a regular expression that must be found in what arrives


@dataclass(frozen=True)
class Row:
    name: str
    who: str
    tries: str
    steps: tuple[Step, ...] = field(repr=False)
    arrives: tuple[Arrival, ...] = ()
    tags: frozenset[str] = frozenset()
    real_only: str = ""  # why only the real netqmail can do it
    after_seconds: float = 0.0  # how long the client waits before it comes
    by_tls: str = ""  # the domain whose mail must come by verified TLS, which its back end offers meanwhile


@dataclass(frozen=True)
class Asked:
    """A command on the gateway, and what its first line must be; `*` stands for any text."""

    name: str
    tries: str
    argv: tuple[str, ...]
    says: str
    arrives: tuple[Arrival, ...] = ()
    status: int = 0  # with which it must end
    who: str = OPERATOR
    tags: frozenset[str] = frozenset()
    real_only: str = ""
    after_seconds: float = 0.0


@dataclass(frozen=True)
class Crowd:
    """Sessions opened at once: so many are greeted, the others wait their turn, all are served in the end."""

    name: str
    tries: str
    sessions: int
    at_once: int
    who: str = "198.51.100.0/24"
    tags: frozenset[str] = frozenset()
    real_only: str = ""


def command(text: str | bytes, *replies: str) -> Step:
    line = text if isinstance(text, bytes) else text.encode("latin-1")
    return Step(line + b"\r\n", replies)


GREETING = Step(b"", (f"220 {HOSTNAME} ESMTP",))
HELO = command("HELO client.example", f"250 {HOSTNAME}")
DATA = command("DATA", GO_AHEAD)
QUIT = command("QUIT", f"221 {HOSTNAME}", CLOSED)


# What EHLO is answered in plain text, and with TLS.
GREETED_TLS = f"250-{HOSTNAME}\n250-PIPELINING\n250-SIZE {DATABYTES}\n250 8BITMIME"
GREETED = GREETED_TLS.replace("\n", "\n250-STARTTLS\n", 1)


def starttls(version: str) -> tuple[Step, ...]:
    """Return the steps of a client from its connection to the EHLO that it says with TLS."""
    ehlo = "EHLO client.example"
    ready = Step(b"STARTTLS\r\n", ("220 2.0.0 *",), version)
    return GREETING, command(ehlo, GREETED), ready, command(ehlo, GREETED_TLS)


def mail(sender: str = SENDER) -> Step:
    return command(f"MAIL FROM:<{sender}>", OK)


def rcpt(address: str | bytes, reply: str = OK) -> Step:
    text = address if isinstance(address, bytes) else address.encode("latin-1")
    return command(b"RCPT TO:<" + text + b">", reply)


# The harmless test strings of virus and spam scanners, in two parts so that no scanner minds this file.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def message(name: str, body: bytes = b"Hello.\r\n") -> bytes:
    """Return a whole message that names the row it belongs to, so that a stray one can be recognized."""
    head = f"From: Ann <{SENDER}>\r\nTo: undisclosed-recipients:;\r\nSubject: {name}\r\nX-Row: {name}\r\n\r\n"
    return head.encode("ascii") + body


def delivered(
    name: str,
    tries: str,
    *to: tuple[str, str],
    who: str = STRANGER,
    sender: str = SENDER,
    content: bytes | None = None,
    tags: Iterable[str] = (),
    added: tuple[str, ...] = ADDED,
    arrives_as: str = "",
    arrives_with: bytes | None = None,
    needs: bytes = b"",
) -> Row:
    """Check that a message for (back end, recipient)s is accepted and arrives whole, or as `arrives_with`."""
    text = message(name) if content is None else content
    steps = (
        GREETING,
        HELO,
        mail(sender),
        *(rcpt(address) for _backend, address in to),
        DATA,
        Step(stuffed(text), (QUEUED,)),
        QUIT,
    )
    came = text if arrives_with is None else arrives_with
    arrives = tuple(
        Arrival(backend, arrives_as or address, sender, came, added, needs) for backend, address in to
    )
    return Row(name, who, tries, steps, arrives, frozenset(tags))


def refused(
    name: str,
    tries: str,
    address: str | bytes,
    reply: str,
    who: str = STRANGER,
    sender: str = SENDER,
    tags: Iterable[str] = (),
) -> Row:
    """Check that a recipient is refused, and DATA after that as well: nothing can arrive."""
    steps = (GREETING, HELO, mail(sender), rcpt(address, reply), command("DATA", RCPT_FIRST), QUIT)
    return Row(name, who, tries, steps, (), frozenset(tags))


def spoiled(
    name: str, tries: str, raw: bytes, *replies: str, tags: Iterable[str] = (), real_only: str = ""
) -> Row:
    """Check that what is sent after DATA is refused as a whole; `raw` is sent unchanged."""
    end = (QUIT,) if replies[-1] != CLOSED else ()
    steps = (GREETING, HELO, mail(), rcpt("alice@example.test"), DATA, Step(raw, replies), *end)
    return Row(name, STRANGER, tries, steps, (), frozenset(tags), real_only)


def _noise(size_bytes: int) -> bytes:
    """Return always the same `size_bytes` of every byte value but NUL, in CRLF lines."""
    keep = bytes(value if value not in (0, 10, 13) else 46 for value in range(256))
    block = random.Random(1).randbytes(998 * 64).translate(keep)
    lines = b"".join(block[at : at + 998] + b"\r\n" for at in range(0, len(block), 998))
    whole = lines * (size_bytes // len(lines) + 1)
    return whole[: size_bytes - 2] + b"\r\n"


def _attachment(name: str, size_bytes: int) -> bytes:
    """Return a message with noise attached, whose first part alone does not look like spam."""
    head, _empty, _body = message(name).partition(b"\r\n\r\n")
    lines = base64.encodebytes(random.Random(7).randbytes(size_bytes)).replace(b"\n", b"\r\n")
    return (
        head + b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nHello, here is the file that you asked for.\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + lines
        + b"--b--\r\n"
    )


def _delivery_rows() -> list[Row]:
    dots = b".\r\n..\r\n...\r\n.leading\r\n..two\r\ninner . dot\r\n.\r\n"
    eight = (
        bytes(value for value in range(1, 256) if value not in (10, 13))
        + b"\r\n"
        + bytes(range(128, 256))
        + b"\r\n"
    )
    return [
        delivered(
            "valid",
            "mails alice@example.test, who exists",
            (A, "alice@example.test"),
            tags=["debian13", "short"],
        ),
        replace(
            delivered(
                "verified-tls",
                "mails alice, whose back end must speak verified TLS",
                (A, "alice@example.test"),
                tags=["debian13"],
            ),
            by_tls="example.test",
            real_only="the stand-in has no qmail-remote",
        ),
        delivered("apostrophe", "mails o'brien@example.test, who exists", (A, "o'brien@example.test")),
        delivered(
            "other-domain",
            "mails somebody@example.org (any recipient)",
            (B, "somebody@example.org"),
            tags=["debian13"],
        ),
        delivered(
            "default",
            "mails user-anything@example.test (user-default)",
            (A, "user-anything@example.test"),
            tags=["debian13"],
        ),
        delivered(
            "default-deep",
            "mails user-any-thing@example.test (user-default)",
            (A, "user-any-thing@example.test"),
        ),
        delivered("upper-case", "mails ALICE@EXAMPLE.TEST", (A, "ALICE@EXAMPLE.TEST")),
        delivered("mixed-case-any", "mails Somebody@Example.ORG", (B, "Somebody@Example.ORG")),
        delivered(
            "null-sender",
            "sends a bounce (null sender) to bob",
            (A, "bob@example.test"),
            sender="",
        ),
        delivered(
            "both-domains",
            "mails alice, bob and carol in both domains at once",
            (A, "alice@example.test"),
            (A, "bob@example.test"),
            (B, "carol@example.org"),
        ),
        delivered(
            "postmaster",
            "mails postmaster, without a domain",
            (A, "postmaster"),
            arrives_as=POSTMASTER,
            added=(*ADDED, "Delivered-To"),
        ),
        delivered(
            "source-route",
            "mails <@elsewhere.example:alice@example.test>",
            (A, "@elsewhere.example:alice@example.test"),
            arrives_as="alice@example.test",
        ),
        delivered(
            "eight-bit",
            "sends every byte value but NUL",
            (A, "alice@example.test"),
            content=message("eight-bit", eight),
        ),
        delivered(
            "nul",
            "sends NUL bytes: blanks arrive",
            (A, "alice@example.test"),
            content=message("nul", b"a\0b\r\n\0\r\n\0\0\0end\r\n"),
            arrives_with=message("nul", b"a b\r\n \r\n   end\r\n"),
        ),
        delivered(
            "dots",
            "sends lines that begin with dots",
            (A, "alice@example.test"),
            content=message("dots", dots),
        ),
        delivered(
            "long-lines",
            "sends lines of 1,001 and of 90,000 bytes",
            (B, "carol@example.org"),
            content=message("long-lines", b"x" * 1001 + b"\r\n" + b".y" * 45_000 + b"\r\nend\r\n"),
        ),
        delivered(
            "bare-cr",
            "sends bare CRs around dots: still one message, without them",
            (A, "alice@example.test"),
            content=message("bare-cr", b"a\r.\rMAIL FROM:<forged@example.test>\r\n\r.\r\nb\r\r\n"),
            arrives_with=message("bare-cr", b"a . MAIL FROM:<forged@example.test>\r\n .\r\nb\r\n"),
        ),
        delivered(
            "ten-megabytes",
            "sends 10 MB",
            (A, "alice@example.test"),
            content=_attachment("ten-megabytes", 7_400_000),
        ),
        delivered(
            "no-body",
            "sends a message without a body",
            (B, "empty@example.org"),
            content=message("no-body", b""),
        ),
    ]


def _relay_rows() -> list[Row]:
    rows = [
        delivered(
            "relay-loopback",
            "mails victim@else.where",
            (B, "victim@else.where"),
            who=LOOPBACK,
            tags=["debian13", "short"],
        ),
        delivered(
            "relay-office", "mails victim@else.where", (B, "victim@else.where"), who=OFFICE, tags=["debian13"]
        ),
        delivered(
            "relay-first",
            "mails victim@else.where (relay network's first)",
            (B, "victim@else.where"),
            who="198.51.100.64",
        ),
        delivered(
            "relay-last",
            "mails victim@else.where (relay network's last)",
            (B, "victim@else.where"),
            who="198.51.100.127",
        ),
        delivered("empty", "sends an empty message", (B, "empty@example.org"), who=OFFICE, content=b""),
        delivered("relay-own", "mails alice@example.test", (A, "alice@example.test"), who=OFFICE),
        delivered(
            "relay-unchecked",
            "mails nobody@example.test (not checked for the office)",
            (A, "nobody@example.test"),
            who=OFFICE,
        ),
        refused(
            "below-relay",
            "mails victim@else.where (one below the relay network)",
            "victim@else.where",
            NOT_OURS,
            who="198.51.100.63",
        ),
        refused(
            "above-relay",
            "mails victim@else.where (one above the relay network)",
            "victim@else.where",
            NOT_OURS,
            who="198.51.100.128",
        ),
        refused(
            "unknown",
            "mails nobody@example.test, who does not exist",
            "nobody@example.test",
            NOBODY,
            tags=["debian13", "short"],
        ),
        refused(
            "unknown-no-default",
            "mails alice-anything@example.test: no alice-default",
            "alice-anything@example.test",
            NOBODY,
        ),
        refused(
            "not-ours", "mails victim@else.where", "victim@else.where", NOT_OURS, tags=["debian13", "short"]
        ),
        delivered(
            "percent-any",
            "mails victim%else.where@example.org (any recipient)",
            (B, "victim%else.where@example.org"),
        ),
    ]
    hidden: list[tuple[str, str | bytes, str]] = [
        ("VICTIM@ELSE.WHERE", "VICTIM@ELSE.WHERE", NOT_OURS),
        ("victim@else.where. (trailing dot)", "victim@else.where.", NOT_OURS),
        ("alice@example.test. (trailing dot on ours)", "alice@example.test.", NOT_OURS),
        ("victim@sub.example.org (below ours)", "victim@sub.example.org", NOT_OURS),
        ("victim@notexample.org (ends like ours)", "victim@notexample.org", NOT_OURS),
        ("percent hack, domain not ours", "victim%else.where@notours.example", NOT_OURS),
        ("percent hack, domain ours", "victim%else.where@example.test", NOBODY),
        ("percent hack, no domain", "victim%else.where", NOBODY),
        ("bang path, no domain", "else.where!victim", NOBODY),
        ("bang path, domain ours", "else.where!victim@example.test", NOBODY),
        ("bang path before a not ours", "example.test!victim@else.where", NOT_OURS),
        ("two @, ours last", "victim@else.where@example.test", NOBODY),
        ("two @, ours first", "alice@example.test@else.where", NOT_OURS),
        ("quoted, domain not ours", '"victim@else.where"@notours.example', NOT_OURS),
        ("quoted, domain ours", '"victim@else.where"@example.test', NOBODY),
        ("quoted as a whole", '"victim@else.where"', NOT_OURS),
        ("backslash before the @", "victim\\@else.where", NOT_OURS),
        ("source route over ours", "@example.org:victim@else.where", NOT_OURS),
        ("source route over two", "@example.org,@example.test:victim@else.where", NOT_OURS),
        ("address literal", "victim@[198.18.0.20]", NOT_OURS),
        ("NUL after the domain", b"victim@else.where\0@example.org", NO_ADDRESS),
    ]
    for number, (tries, address, reply) in enumerate(hidden, 1):
        tags = ["debian13"] if tries == "quoted as a whole" else []
        rows.append(refused(f"hidden-{number:02}", f"relays by {tries}", address, reply, tags=tags))
    return rows


def _sender_rows() -> list[Row]:
    return [
        refused(
            "bad-sender",
            "mails as spammer@bad.example (badmailfrom)",
            "alice@example.test",
            BAD_SENDER,
            sender="spammer@bad.example",
            tags=["debian13"],
        ),
        refused(
            "bad-sender-case",
            "mails as SPAMMER@Bad.Example",
            "alice@example.test",
            BAD_SENDER,
            sender="SPAMMER@Bad.Example",
        ),
        refused(
            "bad-sender-domain",
            "mails as anyone@worse.example (@worse.example is bad)",
            "alice@example.test",
            BAD_SENDER,
            sender="anyone@worse.example",
        ),
        refused(
            "bad-sender-office",
            "mails as spammer@bad.example",
            "alice@example.test",
            BAD_SENDER,
            who=OFFICE,
            sender="spammer@bad.example",
        ),
        delivered(
            "good-sender",
            "mails as other@bad.example, who is not listed",
            (A, "alice@example.test"),
            sender="other@bad.example",
        ),
        delivered(
            "good-sender-below",
            "mails as x@sub.worse.example, which is not listed",
            (A, "alice@example.test"),
            sender="x@sub.worse.example",
        ),
    ]


def _content_rows() -> list[Row]:
    looping = b"".join(
        b"Received: from hop%d by hop%d; Mon, 1 Jan 2007 00:00:00 -0000\r\n" % (n, n + 1) for n in range(150)
    )
    body = message("bare-lf")[:-2]
    return [
        spoiled("bare-lf", "sends a bare LF", body + b"\nmore\r\n.\r\n", BARE_LF, CLOSED, tags=["debian13"]),
        spoiled(
            "smuggle-lf-dot-lf",
            "smuggles a second message behind LF . LF",
            body + b"\n.\nMAIL FROM:<x@y.example>\r\n.\r\n",
            BARE_LF,
            CLOSED,
        ),
        spoiled(
            "smuggle-crlf-dot-lf",
            "smuggles a second message behind CRLF . LF",
            body + b"\r\n.\nMAIL FROM:<x@y.example>\r\n.\r\n",
            BARE_LF,
            CLOSED,
        ),
        spoiled(
            "smuggle-lf-dot-crlf",
            "smuggles a second message behind LF . CRLF",
            body + b"\n.\r\nMAIL FROM:<x@y.example>\r\n.\r\n",
            BARE_LF,
            CLOSED,
        ),
        spoiled(
            "too-big",
            "sends more than databytes",
            stuffed(message("too-big", _noise(DATABYTES + 100_000))),
            TOO_BIG,
        ),
        spoiled(
            "looping",
            "sends a message with 150 Received lines",
            stuffed(looping + message("looping")),
            LOOPING,
        ),
    ]


def _protocol_rows() -> list[Row]:
    alice, text = "alice@example.test", message("pipelining")
    nobodies = [rcpt(f"nobody{number}@example.test", NOBODY) for number in range(1, 10)]
    session = (
        b"EHLO client.example\r\nMAIL FROM:<" + SENDER.encode() + b">\r\nRCPT TO:<nobody@example.test>\r\n"
        b"RCPT TO:<alice@example.test>\r\nDATA\r\n"
    )
    some, two = message("one-of-three"), (message("first-of-two"), message("second-of-two"))
    return [
        Row(
            "pipelining",
            STRANGER,
            "sends EHLO, MAIL, RCPT, RCPT and DATA in one packet",
            (
                GREETING,
                Step(session, (GREETED, OK, NOBODY, OK, GO_AHEAD)),
                Step(stuffed(text), (QUEUED,)),
                QUIT,
            ),
            (Arrival(A, alice, content=text),),
        ),
        Row(
            "one-of-three",
            STRANGER,
            "names alice between two who cannot be: she gets it",
            (
                GREETING,
                HELO,
                mail(),
                rcpt("nobody@example.test", NOBODY),
                rcpt(alice),
                rcpt("victim@else.where", NOT_OURS),
                DATA,
                Step(stuffed(some), (QUEUED,)),
                QUIT,
            ),
            (Arrival(A, alice, content=some),),
        ),
        Row(
            "two-messages",
            STRANGER,
            "sends two messages in one session",
            (
                GREETING,
                HELO,
                mail(),
                rcpt(alice),
                DATA,
                Step(stuffed(two[0]), (QUEUED,)),
                mail("other@sender.example"),
                rcpt("carol@example.org"),
                DATA,
                Step(stuffed(two[1]), (QUEUED,)),
                QUIT,
            ),
            (
                Arrival(A, alice, content=two[0]),
                Arrival(B, "carol@example.org", "other@sender.example", two[1]),
            ),
        ),
        Row(
            "ten-unknown",
            STRANGER,
            "guesses ten recipients",
            (
                GREETING,
                HELO,
                mail(),
                *nobodies,
                rcpt("nobody10@example.test", TOO_MANY_UNKNOWN),
                Step(b"", (CLOSED,)),
            ),
        ),
        Row(
            "rset",
            STRANGER,
            "takes it back with RSET, then DATA",
            (
                GREETING,
                HELO,
                mail(),
                rcpt(alice),
                command("RSET", FLUSHED),
                command("DATA", MAIL_FIRST),
                rcpt(alice, MAIL_FIRST),
                QUIT,
            ),
        ),
        Row(
            "data-first",
            STRANGER,
            "says DATA without RCPT",
            (GREETING, HELO, mail(), command("DATA", RCPT_FIRST), QUIT),
        ),
        Row(
            "cut-off",
            STRANGER,
            "hangs up in the middle of a message",
            (GREETING, HELO, mail(), rcpt(alice), DATA, Step(message("cut-off"), ())),
        ),
    ]


def _tls_rows() -> list[Row]:
    injected = b"STARTTLS\r\nMAIL FROM:<injected@plain.example>\r\nRCPT TO:<alice@example.test>\r\n"
    rows = []
    for version in ("1.3", "1.2"):
        name = f"tls-{version}"
        mailed = (mail(), rcpt("alice@example.test"), DATA, Step(stuffed(message(name)), (QUEUED,)), QUIT)
        arrives = (Arrival(A, "alice@example.test", content=message(name)),)
        rows.append(
            Row(name, STRANGER, f"mails alice over TLS {version}", (*starttls(version), *mailed), arrives)
        )
    plain = rcpt("alice@example.test", PLAIN_TEXT)
    return [
        *rows,
        Row(
            "tls-required",
            STRANGER,
            "mails alice in plain text from a bank whose mail is taken over TLS only",
            (GREETING, HELO, mail("teller@bank.example"), plain, QUIT),
        ),
        Row(
            "tls-injection",
            STRANGER,
            "has commands in plain text behind STARTTLS",
            (GREETING, HELO, Step(injected, ("421 4.7.0 nothing may follow STARTTLS *", CLOSED))),
        ),
    ]


def _scanned_rows() -> list[Row]:
    """Rows of virus, spam, marked and clean mail; a rule of the inventory marks mail by its subject."""
    virus, spam = message("virus", EICAR + b"\r\n"), message("spam", GTUBE + b"\r\n")
    forged = message("dmarc").replace(SENDER.encode("ascii"), f"ann@{FORGED}".encode("ascii"))
    alice = "alice@example.test"
    refused_virus = "554 Your email was rejected because it contains the * virus*"
    tags = frozenset(["debian13", "short"])
    office = (
        GREETING,
        HELO,
        mail(),
        rcpt("victim@else.where"),
        DATA,
        Step(stuffed(virus), (refused_virus,)),
        QUIT,
    )
    return [
        replace(spoiled("virus", "sends a virus (EICAR)", stuffed(virus), refused_virus), tags=tags),
        replace(spoiled("spam", "sends spam (GTUBE)", stuffed(spam), IS_SPAM), tags=tags),
        replace(spoiled("dmarc", "forges an author (DMARC)", stuffed(forged), IS_SPAM), tags=tags),
        Row("virus-office", OFFICE, "sends a virus (EICAR) anywhere", office),
        delivered(
            "marked",
            "sends what SpamAssassin marks",
            (A, alice),
            content=message("marked").replace(b"Subject: ", b"Subject: please-mark-this "),
            needs=rb"^X-Spam-Flag: YES\r$",
            tags=tags,
        ),
        delivered(
            "clean",
            "sends a clean message",
            (A, alice),
            # A whole letter: without these it scores nearly as spam does, and reputation adds to that.
            content=f"Date: {formatdate()}\r\nMessage-ID: {make_msgid()}\r\n".encode("ascii")
            + message("clean"),
            needs=rb"^X-Spam-Status: No, score=",
            tags=tags,
        ),
        delivered(
            "forged",
            "sends an X-Spam-Status of its own",
            (A, alice),
            content=b"X-Spam-Status: No, score=-100\r\n" + message("forged"),
            arrives_with=message("forged"),
        ),
    ]


def _rule_rows() -> list[Row]:
    """Rows of two domains: example.test has the limits of the site, sales.test its own, which are higher."""
    alice, eve = "alice@example.test", "eve@sales.test"
    marked = message("own-message").replace(b"Subject: ", b"Subject: please-mark-this ")
    refused_here = message("two-limits").replace(b"Subject: ", b"Subject: please-refuse-this ")
    tagged = refused_here.replace(b"Subject: ", b"Subject: [Spam] ")
    flag = rb"^X-Spam-Flag: YES\r$"

    def first(one: str, other: str) -> tuple[Step, ...]:
        return GREETING, HELO, mail(), rcpt(one), rcpt(other, OTHER_RULE)

    def each(text: bytes, one: str, other: str, answer: str) -> tuple[Step, ...]:
        """Send a message to the one, and again to the other, who was put off meanwhile."""
        again = (mail(), rcpt(other), DATA, Step(stuffed(text), (answer,)), QUIT)
        return (*first(one, other), DATA, Step(stuffed(text), (QUEUED,)), *again)

    return [
        Row(
            "other-rule",
            STRANGER,
            "names alice and eve, whose domain has its limits",
            (*first(alice, eve), QUIT),
        ),
        Row(
            "own-message",
            STRANGER,
            "sends it to alice, marked, then to eve, not marked",
            each(marked, alice, eve, QUEUED),
            (
                Arrival(A, alice, content=marked, needs=flag),
                Arrival(B, eve, content=marked, needs=rb"^X-Spam-Status: No, score=\S+ required=20\.0\s"),
            ),
        ),
        Row(
            "two-limits",
            STRANGER,
            "sends it to eve, marked, then to alice: refused",
            each(refused_here, eve, alice, IS_SPAM),
            (Arrival(B, eve, content=tagged, needs=flag),),
        ),
    ]


def _kept_rows() -> list[Row | Asked]:
    """Rows of a message that was refused as spam, and that its recipient wants all the same."""
    name, alice = "kept", "alice@example.test"
    text = message(name, GTUBE + b"\r\n")
    subject = f"kept-{secrets.token_hex(4)}"
    text = text.replace(b"Subject: kept", f"Subject: {subject}".encode("ascii"))
    listed = ("mailgate", "refused", "list", subject)
    release = ("sh", "-c", f"mailgate refused release $({' '.join(listed)} | sed '1!d; s/ .*//')")
    marked = rb"^X-Mailgate-Released: [^\r\n]* as spam, score [0-9.]+; released "
    arrives = Arrival(A, alice, content=text, added=("Received", "X-Mailgate-Released"), needs=marked)
    return [
        spoiled(name, "sends what is taken for spam (GTUBE)", stuffed(text), IS_SPAM),
        Asked("kept-listed", "looks for it", listed, f"* spam * from <{SENDER}> to {alice}"),
        Asked(
            "kept-released",
            "releases it: scanned for viruses, marked as released",
            release,
            f"* is delivered to {alice}: no virus was found, *",
            (arrives,),
        ),
        Asked("kept-once", "releases it once more", release, "*: a copy is delivered once", status=100),
    ]


def _greylist_rows() -> list[Row]:
    begin = (GREETING, HELO, mail(), rcpt("alice@example.test", COME_BACK))
    steps = (*begin, command("DATA", COME_BACK), QUIT)
    return [
        Row("grey-first", NEWCOMER, "comes for the first time", steps),
        Row("grey-early", NEWCOMER, "comes back too early", steps),
        replace(
            delivered("grey-later", "comes back in time", (A, "alice@example.test"), who=NEWCOMER),
            after_seconds=3,
        ),
    ]


def _blacklist_rows() -> list[Row | Asked]:
    def guesses(numbers: Iterable[int]) -> tuple[Step, ...]:
        return tuple(rcpt(f"guess{number}@example.test", NOBODY) for number in numbers)

    last = rcpt("guess10@example.test", TOO_MANY_UNKNOWN)
    first = (GREETING, HELO, mail(), *guesses(range(1, 10)), last, Step(b"", (CLOSED,)))
    explain = ("mailgate", "blacklist", "explain", PEST)
    return [
        Row("flood", PEST, "guesses ten recipients", first),
        Row("flood-more", PEST, "guesses two more", (GREETING, HELO, mail(), *guesses((11, 12)), QUIT)),
        Row("shut-out", PEST, "comes again", (Step(b"", (CLOSED,)),), after_seconds=3),
        Asked("explained", f"asks why {PEST} is refused", explain, f"{PEST}: refused until *"),
        Asked("released", f"releases {PEST}", (*explain[:2], "release", PEST), f"{PEST}: released"),
        replace(delivered("forgiven", "comes again", (A, "alice@example.test"), who=PEST), after_seconds=3),
    ]


def _ipv6_rows() -> list[Row | Asked]:
    """Rows of clients of IPv6: greylist, refusals, scanners, relay and rules as with IPv4."""
    alice, six = "alice@example.test", "IPv6: "
    virus = message("six-virus", EICAR + b"\r\n")
    infected = (
        *(GREETING, HELO, mail(), rcpt(alice), DATA),
        Step(stuffed(virus), ("554 Your email was rejected because it contains the * virus*",)),
        QUIT,
    )
    come_back = (GREETING, HELO, mail(), rcpt(alice, COME_BACK), QUIT)
    office, pest = f"{OFFICE_IPV6[:-1]}/64", f"{PEST_IPV6[:-1]}/64"
    note = ("--note", "a row of the tests")
    rows: list[Row | Asked] = [
        Row("six-first", STRANGER_IPV6, f"{six}comes for the first time", come_back),
        replace(
            delivered("six-later", f"{six}its /64 comes back in time", (A, alice), who=NEIGHBOUR_IPV6),
            after_seconds=3,
        ),
        delivered("six-valid", f"{six}mails {alice}, who exists", (A, alice), who=STRANGER_IPV6),
        refused(
            "six-unknown",
            f"{six}mails nobody@example.test, who does not exist",
            "nobody@example.test",
            NOBODY,
            who=STRANGER_IPV6,
        ),
        refused(
            "six-not-ours", f"{six}mails victim@else.where", "victim@else.where", NOT_OURS, who=STRANGER_IPV6
        ),
        Row("six-virus", STRANGER_IPV6, f"{six}sends a virus (EICAR)", infected),
        Asked("six-relay", f"lets {office} relay", ("mailgate", "relay", office, *note, "--for", "1h"), "*"),
        replace(
            delivered(
                "six-office", f"{six}mails victim@else.where", (B, "victim@else.where"), who=OFFICE_IPV6
            ),
            after_seconds=2,
        ),
        Asked("six-deny", f"refuses {pest}", ("mailgate", "deny", pest, *note, "--for", "1h"), "*"),
        Row("six-denied", PEST_IPV6, f"{six}comes", (Step(b"", (CLOSED,)),), after_seconds=2),
        Asked("six-undeny", f"takes that back: {pest}", ("mailgate", "operator", "undo"), "*"),
        Asked("six-unrelay", f"takes that back: {office}", ("mailgate", "operator", "undo"), "*"),
    ]
    return [replace(row, tags=frozenset([IPV6])) for row in rows]


ROWS: tuple[Row | Crowd | Asked, ...] = (
    *_delivery_rows(),
    *_relay_rows(),
    *_sender_rows(),
    *_content_rows(),
    *_protocol_rows(),
    *_tls_rows(),
    *_scanned_rows(),
    *_rule_rows(),
    *_kept_rows(),
    *_greylist_rows(),
    *_blacklist_rows(),
    *_ipv6_rows(),
    Crowd(
        "crowd",
        f"opens 200 sessions at once; {LIMIT_SESSIONS} may talk",
        sessions=200,
        at_once=LIMIT_SESSIONS,
    ),
)


def selected(tag: str) -> tuple[Row | Crowd | Asked, ...]:
    """Return all rows, or those with the tag."""
    return tuple(row for row in ROWS if not tag or tag in row.tags)
