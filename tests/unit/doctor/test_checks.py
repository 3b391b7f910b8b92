# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees of files that are missing or garbage, of name servers, and of a gateway's answers."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import doctor as doctor_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    network,
    policy,
    scanners,
    schedule,
    services,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import resources as doctor_probes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import sample_mail as doctor_mail
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import OK, Finding
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Job, Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb as mailgate_cdb
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n

NOW = 1_795_000_000.0


def context(root: Path, **settings: Any) -> Context:
    return Context(Settings("mx.example", "postmaster@example", **settings), NOW, True, str(root))


def put(root: Path, path: str, text: str | bytes = "", at: float = NOW) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(place, (at, at))
    return place


def told(findings: list[Finding]) -> list[tuple[int, str]]:
    return [(one.status, one.text) for one in findings]


def test_on_a_host_with_nothing_each_check_says_what_it_misses(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    jobs = (Job("sa-update", "/s.json", 60),)
    names = [name for name in doctor_command.CHECKS if name not in ("clock", "dns", "disk")]
    found = doctor_command.examine(
        [name for name in names if doctor_command.CHECKS[name].quick_seconds],
        context(tmp_path, services=("clamd",), jobs=jobs),
    )
    seen = {one.check: one for one in found}
    assert all(one.status != OK for one in found if one.check != "rules"), found
    assert all(one.advice for one in found if one.status != OK)
    assert seen["jobs"].text == "sa-update: /s.json: has never run"
    assert seen["safety"].text.startswith("/var/qmail/bin/simscan is missing")
    assert "did not" not in str(found)
    assert "the check failed" not in str(found)


STATE = {"command": ["x"], "started": 1, "finished": NOW - 5, "status": 0, "last_success": NOW - 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(STATE), (0, "a succeeded in time")),
        (json.dumps({**STATE, "last_success": NOW - 121}), (1, "a succeeded 2 minutes ago, expected every 60 seconds")),
        (json.dumps({**STATE, "last_success": None, "status": 111}), (1, "a has never succeeded, its last run ended with status 111")),
        ("garbage", (1, "a: /a.json is damaged")),
        (b"\xff\xfe", (1, "a: /a.json is damaged")),
        ('{"last_success": "yesterday"}', (1, "a: /a.json is damaged")),
        (None, (1, "a: /a.json: has never run")),
    ],
)  # fmt: skip
def test_state_files_of_jobs(text: str | bytes | None, expected: tuple[int, str], tmp_path: Path) -> None:
    if text is not None:
        put(tmp_path, "/a.json", text)
    assert told(schedule.jobs(context(tmp_path, jobs=(Job("a", "/a.json", 60),)))) == [expected]


@pytest.mark.parametrize("text", [None, "garbage", "[]", '{"clamd": 5}', b"\xff"])
def test_starts_that_cannot_be_read_are_none(text: str | bytes | None, tmp_path: Path) -> None:
    if text is not None:
        put(tmp_path, paths.DOCTOR_STARTS, text)
    else:
        put(tmp_path, paths.DOCTOR_STARTS).unlink()
    for start in (NOW - 30, NOW - 20, NOW - 20):
        kept = services._starts(context(tmp_path), {"clamd": start})
    assert kept == {"clamd": [NOW - 30, NOW - 20]}


def test_the_queue_is_counted_in_all_its_directories(tmp_path: Path) -> None:
    put(tmp_path, "/var/qmail/queue/mess/0/1")
    for number in range(3):
        put(tmp_path, f"/var/qmail/queue/info/{number}/{number}", at=NOW - 5 * 3600 - number)
    put(tmp_path, "/var/qmail/queue/remote/2/2")
    put(tmp_path, "/var/qmail/queue/todo/9", at=NOW - 3)
    put(tmp_path, "/var/qmail/queue/info/lost+found")
    line = "@400000006b00000000000000 delivery 7: deferral: Connected_to_192.0.2.1_but_sender_was_rejected./"
    put(tmp_path, "/var/log/qmail/send/current", f"{line}\n@400000006b00000000000000 status: local 0/10\n")
    assert told(doctor_probes.queue(context(tmp_path))) == [
        (
            1,
            "the oldest message has waited for 5 hours; the last deferral: Connected to 192.0.2.1 but sender was rejected.",
        )
    ]


@pytest.mark.parametrize(
    ("version", "seconds"),
    [
        ("ClamAV 1.4.6/27700/Sat Nov 21 08:29:41 2026", time.mktime((2026, 11, 21, 8, 29, 41, 0, 0, -1))),
        ("ClamAV 1.4.6", None),
        ("ClamAV 1.4.6/27700/someday", None),
        ("", None),
    ],
)
def test_clamd_says_how_old_its_database_is(version: str, seconds: float | None) -> None:
    assert scanners.daily_date(version) == seconds


def label(seconds: float) -> str:
    return tai64n.render(int(seconds) * tai64n.NANOSECONDS)


def test_freshclams_last_success_is_in_its_log() -> None:
    lines = [
        f"{label(NOW - 90)} daily.cld database is up-to-date (version: 27700, sigs: 2000000, f-level: 90)",
        f"{label(NOW - 80)} main.cvd updated (version: 62, sigs: 6647427, f-level: 90)",
        f"{label(NOW - 10)} ERROR: Can't download daily.cvd",
        "garbage database is up-to-date",
    ]
    assert scanners.freshclam_success(lines) == NOW - 80
    assert scanners.freshclam_success(lines[2:]) is None


@contextmanager
def unix_server(path: Path, answer: bytes) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)

        def serve() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield


@pytest.mark.parametrize(
    ("answer", "official", "expected"),
    [
        (b"ClamAV 1.4.6\0", False, [(0, "clamd answers; the signatures are 2 hours old")]),
        (b"ClamAV 1.4.6\0", True, [(2, "clamd has no official database: its version is 'ClamAV 1.4.6'")]),
        (b"", False, [(2, "clamd does not answer: the answer is empty")]),
    ],
)
def test_clamd_is_asked(answer: bytes, official: bool, expected: Any, tmp_path: Path) -> None:
    put(tmp_path, "/var/lib/clamav/site.ndb", at=NOW - 7200)
    put(tmp_path, "/var/lib/clamav/old.cvd", at=NOW - 72000)
    put(tmp_path, "/var/lib/clamav/freshclam.dat", at=NOW)
    with unix_server(tmp_path / "run/clamav/clamd.ctl", answer):
        assert told(scanners.signatures(context(tmp_path, official_signatures=official))) == expected


def test_updated_rules_count_before_those_of_the_release(tmp_path: Path) -> None:
    put(tmp_path, "/usr/share/spamassassin/20_body.cf", at=NOW - 90 * 86400)
    with unix_server(tmp_path / "run/spamd/spamd.sock", b"SPAMD/1.5 0 PONG\r\n"):
        assert told(scanners.spam_rules(context(tmp_path))) == [
            (2, "the rules, never updated, are 90 days old")
        ]
    put(tmp_path, "/var/lib/spamassassin/4.000001/updates_spamassassin_org.cf", at=NOW - 3 * 86400)
    (tmp_path / "run/spamd/spamd.sock").unlink()
    with unix_server(tmp_path / "run/spamd/spamd.sock", b"SPAMD/1.5 0 PONG\r\n"):
        assert told(scanners.spam_rules(context(tmp_path))) == [
            (0, "spamd answers; the rules are 3 days old")
        ]


def test_rules_in_force_that_no_fragment_has_are_seen() -> None:
    relay = (b"10.", b"+RELAYCLIENT=\0")
    made = mailgate_cdb.build([relay, (b"192.0.2.1", b"D\0")])
    evil = mailgate_cdb.build(
        [relay, (b"192.0.2.1", b"D\0"), (b"", b"+RELAYCLIENT=\0"), (b"198.51.100.", b"+QMAILQUEUE=/x\0")]
    )
    assert policy.unsafe(made, made) == ()
    assert policy.unsafe(evil, made) == (
        "/etc/tcp.smtp.cdb lets everybody relay, and no fragment has that rule",
        "/etc/tcp.smtp.cdb lets 198.51.100. go past the scanner, and no fragment has that rule",
    )


def test_the_kernel_is_asked_for_its_clock() -> None:
    """It answers here or refuses; what it says is one of the three states."""
    found = doctor_probes.kernel_clock()
    assert found.synchronized in (True, False, None)
    if found.synchronized:
        assert found.error_milliseconds is not None
        assert 0 <= found.error_milliseconds < 1e6


@pytest.mark.parametrize(
    ("state", "status", "maxerror", "expected"),
    [
        (0, 0, 1500, (0, "synchronized, at most 2 ms off")),
        (5, 0, 0, (1, "the clock is not synchronized (by the kernel)")),
        (0, 0x40, 0, (1, "the clock is not synchronized (by the kernel)")),
        (-1, 0, 0, (1, "whether the clock is synchronized is unknown")),
    ],
)
def test_what_the_kernel_says_of_its_clock(
    state: int,
    status: int,
    maxerror: int,
    expected: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Libc:
        def __init__(self, *_given: object, **_options: object) -> None:
            pass

        @staticmethod
        def adjtimex(given: Any) -> int:
            given._obj.status, given._obj.maxerror = status, maxerror
            return state

    monkeypatch.setattr(doctor_probes.ctypes, "CDLL", Libc)
    assert told(doctor_probes.clock(context(tmp_path))) == [expected]
    if state < 0:
        put(tmp_path, "/run/systemd/timesync/synchronized")
        assert told(doctor_probes.clock(context(tmp_path))) == [
            (0, "synchronized (by systemd-timesyncd)")
        ]


# DNS


def dns_answer(asked: bytes, records: list[tuple[int, bytes]] = [], flags: int = 0x8180) -> bytes:  # noqa: B006
    packet = asked[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + asked[12:]
    for kind, data in records:
        packet += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    return packet


ADDRESS = (1, bytes([192, 0, 2, 1]))
Packets = Callable[[bytes], list[bytes]]


@contextmanager
def name_server(*script: Packets, over_tcp: Packets | None = None) -> Iterator[int]:
    """What is sent for the first datagram, for the second, and so on; and over TCP, where one listens."""
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        datagrams.bind(stream.getsockname())

        def serve() -> None:
            for packets in script:
                asked, peer = datagrams.recvfrom(512)
                for packet in packets(asked):
                    datagrams.sendto(packet, peer)

        def serve_tcp(packets: Packets) -> None:
            connection = stream.accept()[0]
            with connection:
                asked = connection.recv(2048)
                for packet in packets(asked[2:]):
                    connection.sendall(struct.pack(">H", len(packet)) + packet)

        threads = [threading.Thread(target=serve, daemon=True)]
        if over_tcp is not None:
            stream.listen(1)
            threads.append(threading.Thread(target=serve_tcp, args=(over_tcp,), daemon=True))
        for thread in threads:
            thread.start()
        yield stream.getsockname()[1]


def resolved(port: int, name: str = "mx.example", kind: str = "A") -> tuple[tuple[str, ...], str]:
    began = time.monotonic()
    found = network.resolve("127.0.0.1", name, kind, 0.6, port)
    assert time.monotonic() - began < 1.5
    assert found.name == name
    return found.answers, found.error


@pytest.mark.parametrize(
    ("kind", "records", "flags", "expected"),
    [
        ("A", [(5, b"\1a\xc0\x0f"), ADDRESS, (1, b"\xc0\0\2\2")], 0x8180, (("192.0.2.1", "192.0.2.2"), "")),
        ("PTR", [(12, b"\2mx\7example\0"), (12, b"\1b\xc0\x0f")], 0x8180, (("mx.example", "b.example"), "")),
        ("A", [], 0x8183, ((), "")),  # no such name
        ("A", [(16, b"\1x")], 0x8180, ((), "")),
        ("A", [], 0x8181, ((), "it finds the question malformed")),
        ("A", [], 0x8182, ((), "server failure")),
        ("A", [], 0x8184, ((), "not implemented")),
        ("A", [ADDRESS], 0x8185, ((), "refused")),
        ("A", [], 0x8186, ((), "code YXDOMAIN")),
    ],
)
def test_what_a_name_server_says_is_told(
    kind: str, records: list[tuple[int, bytes]], flags: int, expected: tuple[tuple[str, ...], str]
) -> None:
    with name_server(lambda asked: [dns_answer(asked, records, flags)]) as port:
        assert resolved(port, kind=kind) == expected


GARBAGE: list[Packets] = [
    lambda asked: [b""],
    lambda asked: [asked],  # a question is not an answer
    lambda asked: [b"\0\0" + dns_answer(asked, [ADDRESS])[2:]],
    lambda asked: [dns_answer(asked[:13] + b"y" + asked[14:], [ADDRESS])],
    lambda asked: [dns_answer(asked, [ADDRESS])[:-1]],
    lambda asked: [dns_answer(asked, [(1, b"abc")])],
    lambda asked: [dns_answer(asked, [(5, b"\xc0\xff")])],
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_answer_is_refused_and_the_server_asked_again(garbage: Packets) -> None:
    with name_server(garbage, garbage, garbage) as port:
        answers, error = resolved(port)
        assert answers == () and error.startswith("malformed question or answer: ")
    with name_server(garbage, lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")


def test_a_name_server_is_asked_three_times_and_not_for_ever() -> None:
    silent: Packets = lambda asked: []  # noqa: E731
    with name_server(silent, silent, lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")
    with name_server(silent, silent, silent) as port:
        assert resolved(port) == ((), "no answer within 0.6 s")


def test_a_late_answer_to_the_first_question_is_an_answer() -> None:
    asked_first = []

    def keep(asked: bytes) -> list[bytes]:
        asked_first.append(asked)
        return []

    with name_server(keep, lambda asked: [dns_answer(asked_first[0], [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")


def test_an_answer_that_is_cut_off_is_asked_for_over_tcp() -> None:
    cut: Packets = lambda asked: [dns_answer(asked, [], 0x8380)]  # noqa: E731
    with name_server(cut, over_tcp=lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")
    with name_server(cut, over_tcp=lambda asked: []) as port:
        assert resolved(port) == ((), "the connection was closed")
    with name_server(cut) as port:
        assert resolved(port) == ((), "Connection refused")


def test_a_closed_port_of_a_name_server_is_told_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert resolved(port) == ((), "Connection refused")


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_a_name_that_cannot_be_asked_for_is_told(name: str) -> None:
    answers, error = resolved(1, name)
    assert answers == () and error.startswith("malformed question or answer: ")


def test_dnspython_that_is_missing_is_said_of_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns", None)
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    with pytest.raises(BadInput, match="module dns: not there; expected the package python3-dnspython"):
        resolved(1)


# Mail

SESSION = """\
import os, sys
def say(text):
    sys.stdout.write(text + "\\r\\n"); sys.stdout.flush()
answers = sys.argv[1].split("|")
say(answers.pop(0))
for line in sys.stdin:
    if line.startswith("DATA"):
        say(answers.pop(0))
        text = ""
        for line in sys.stdin:
            if line.strip() == ".": break
            text += line
        ok = os.environ.get("RELAYCLIENT") is None and "ANTIVIRUS" in text
        sys.stderr.write("simscan:[7]: clamd is asleep %s\\nother words\\n" % ok)
    if line.startswith("QUIT"): break
    if not answers:
        import time; time.sleep(60)
    say(answers.pop(0))
"""


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("220 hi|250 a|250 b|250 c|354 go|554 virus", ("message", "554 virus", "clamd is asleep True")),
        ("220 hi|250 a|250 b|250-c\r\n250 d|354 go|451 no", ("message", "451 no", "clamd is asleep True")),
        ("220 hi|250 a|250 b|553 never", ("RCPT", "553 never", "")),
        ("421 busy", ("connection", "421 busy", "")),
        ("220 hi|250 a|250 b|250 c|354 go", ("message", "", "clamd is asleep True")),
        ("220 hi|250 a", ("MAIL", "", "")),
    ],
)
def test_a_session_is_held_to_the_end(answers: str, expected: tuple[str, str, str], tmp_path: Path) -> None:
    script = tmp_path / "session.py"
    script.write_text(SESSION)
    environment = doctor_mail.stranger({"PATH": os.environ["PATH"], "RELAYCLIENT": "", "QMAILQUEUE": "/q"})
    assert environment["QMAILQUEUE"] == "/q"
    content = doctor_mail.message("virus", "mx.example", "postmaster@example", NOW)
    argv = [sys.executable, str(script), answers]
    began = time.monotonic()
    got = doctor_mail.in_session(argv, environment, content, "mx.example", "postmaster@example", 1.5, None)
    assert (got.command, got.answer, got.reason) == expected
    assert time.monotonic() - began < 6


def slow(connection: socket.socket) -> None:
    for one in b"220 slow" * 10:
        connection.sendall(bytes([one]))
        time.sleep(0.1)


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"220-" + b"x" * 996 + b"\r\n")


def deaf(connection: socket.socket) -> None:
    connection.sendall(b"220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n")
    time.sleep(3)


def leaving(connection: socket.socket) -> None:
    connection.sendall(b"220 a\r\n421 that is all\r\n")
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("peer", "limit_seconds", "expected"),
    [
        (slow, 0.5, ("connection", "")),
        (endless, 30, ("connection", "")),
        (deaf, 0.5, ("message", "")),
        (leaving, 30, ("HELO", "421 that is all")),
    ],
)
def test_a_dialogue_over_tcp_is_bounded_and_keeps_the_last_answer(
    peer: Callable[[socket.socket], None], limit_seconds: float, expected: tuple[str, str]
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve() -> None:
            with listener.accept()[0] as connection, contextlib.suppress(OSError):
                peer(connection)

        threading.Thread(target=serve, daemon=True).start()
        content = b"x" * 10_000_000
        began = time.monotonic()
        got = doctor_mail.over_smtp(listener.getsockname(), content, "mx", "to@example", limit_seconds)
        assert (got.command, got.answer) == expected
        assert time.monotonic() - began < 2.5


def test_no_scanner_finds_anything_in_the_program() -> None:
    name, pieces = doctor_mail.TESTS["virus"]
    whole = "".join(pieces)
    assert (name, len(whole)) == ("EICAR", 68)
    spam = "".join(doctor_mail.TESTS["spam"][1])
    assert len(spam) == 68
    text = Path(doctor_mail.__file__).read_text()
    code = compile(text, "x", "exec")
    import marshal

    for hidden in (whole, spam):
        assert hidden.encode() not in marshal.dumps(code)
        assert hidden not in text.replace("\\\\", "\\")
        assert f"\r\n\r\n{hidden}\r\n.\r\n".encode() in doctor_mail.message(
            "virus" if hidden == whole else "spam", "mx.example", "postmaster@example", NOW
        )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("Max address space         100000000            100000000            bytes     \n", "100000000"),
        ("Max address space         unlimited            unlimited            bytes     \n", ""),
        ("", ""),
    ],
)
def test_the_services_own_limit_holds_for_the_session(limits: str, expected: str) -> None:
    assert doctor_mail.memory_limit(limits) == expected


def test_a_session_without_a_limit_is_started_without_softlimit(tmp_path: Path) -> None:
    softlimit = put(tmp_path, "/softlimit")
    softlimit.chmod(0o755)
    assert doctor_mail.session_command("5", str(tmp_path), "p") == [str(softlimit), "-m", "5", "p"]
    assert doctor_mail.session_command("", str(tmp_path), "p") == ["p"]


# Ports


@contextmanager
def tcp_server(answer: bytes | None) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4)
        held = []

        def serve() -> None:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for one in held:
            one.close()


@pytest.mark.parametrize(
    ("answer", "greets", "trouble"),
    [
        (b"220 mx\r\n", True, ""),
        (b"", False, ""),
        (b"554 go away\r\n", True, "it says '554 go away'"),
        (b"", True, "the connection was closed"),
        (None, True, "no answer within 0.3 s"),
        (None, False, ""),
    ],
)
def test_a_mail_server_has_to_greet(answer: bytes | None, greets: bool, trouble: str) -> None:
    with tcp_server(answer) as port:
        assert network.reach("127.0.0.1", port, greets, 0.3).trouble == trouble


def test_a_closed_port_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = network.reach("127.0.0.1", unused.getsockname()[1], False, 1)
    assert found.trouble == "connection refused"
