# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clean message has to come back as it was sent; else the doctor says at which step it was lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import CLEAN_PROOFS
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import clean
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    UNKNOWN,
)
from support.doctor_host import context, put, told

Deliver = Callable[[bytes], None]


@contextmanager
def gateway(deliver: Deliver, last: bytes = b"250 ok\r\n", refused: bytes = b"") -> Iterator[tuple[str, int]]:
    """Serve one session of SMTP, whose message deliver() gets with the dots as they are stored."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as one, one.makefile("rwb") as talk:

                def say(reply: bytes) -> None:
                    talk.write(reply)
                    talk.flush()

                say(b"220 mx.example\r\n")
                for line in iter(talk.readline, b""):
                    if line == b"QUIT\r\n":
                        break
                    word = line[:4].upper()
                    if word == b"DATA":
                        say(b"354 go\r\n")
                        lines = iter(talk.readline, b".\r\n")
                        text = b"".join(row[1:] if row.startswith(b".") else row for row in lines)
                        deliver(text.replace(b"\r\n", b"\n"))
                        say(last)
                    elif word == b"RCPT" and refused:
                        say(refused)
                    else:
                        say(b"250 ok\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[:2]
        thread.join(10)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    put(tmp_path, f"{CLEAN_PROOFS}/older", "of an earlier run")
    return tmp_path / CLEAN_PROOFS.lstrip("/")


def storing(maildir: Path, change: Callable[[bytes], bytes] = lambda text: text) -> Deliver:
    return lambda text: (
        put(maildir, "1.host", b"Return-Path: <x@y>\nReceived: by x\n" + change(text)) and None
    )


def test_a_message_that_comes_back_whole_is_proven_and_nothing_stays(tmp_path: Path, maildir: Path) -> None:
    with gateway(storing(maildir)) as proof:
        ((status, text),) = told(clean.clean(context(tmp_path, proof=proof)))
    assert status == OK and text.startswith("a message is delivered whole")
    assert list(maildir.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: text.replace(b"\n..", b"\n."),
        lambda text: text + b"disclaimer\n",
    ],
    ids=["cut", "dots", "more"],
)
def test_a_message_that_was_changed_is_critical(
    tmp_path: Path, maildir: Path, change: Callable[[bytes], bytes]
) -> None:
    with gateway(storing(maildir, change)) as proof:
        ((status, text),) = told(clean.clean(context(tmp_path, proof=proof)))
    assert (status, text) == (CRITICAL, "the message was delivered, and not as it was sent")


def test_a_message_that_is_lost_is_critical(
    tmp_path: Path, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "DELIVERY_SECONDS", 0.3)
    with gateway(lambda text: None) as proof:
        ((status, text),) = told(clean.clean(context(tmp_path, proof=proof)))
    assert status == CRITICAL and "accepted, and not delivered" in text


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"last": b"451 later\r\n"}, "the message was answered '451 later'"),
        ({"refused": b"553 no\r\n"}, "the RCPT was answered '553 no'"),
    ],
)
def test_a_message_that_is_refused_is_critical(
    tmp_path: Path, maildir: Path, answers: dict[str, bytes], expected: str
) -> None:
    with gateway(lambda text: None, **answers) as proof:
        assert told(clean.clean(context(tmp_path, proof=proof))) == [(CRITICAL, expected)]


def test_without_a_listener_it_is_critical(tmp_path: Path, maildir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        proof = closed.getsockname()[:2]
    ((status, text),) = told(clean.clean(context(tmp_path, proof=proof)))
    assert status == CRITICAL and "could not be sent" in text


def test_without_the_maildir_nothing_is_sent(tmp_path: Path) -> None:
    ((status, _text),) = told(clean.clean(context(tmp_path, proof=("127.0.0.1", 1))))
    assert status == UNKNOWN
