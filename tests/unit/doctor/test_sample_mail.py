# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's sample messages: each session is held to its end, within its time, and no scanner finds the code."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import sample_mail as doctor_mail
from support.doctor_host import NOW, put

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
        pytest.param(
            "220 hi|250 a|250 b|250 c|354 go",
            ("message", "", "clamd is asleep True"),
            marks=pytest.mark.slow,
        ),
        pytest.param("220 hi|250 a", ("MAIL", "", ""), marks=pytest.mark.slow),
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
