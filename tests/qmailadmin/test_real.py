# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program and the real operator's service, which is the judge, over a host in a directory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    service as operator_service,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.lookups import (
    ExternalPaths,
    Lookups,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import Caller
from support.operator_host import PROTECTED, RELAY, Host, refused_of
from support.screen_driver import Driver, play

pytestmark = pytest.mark.slow

DOCTOR = (
    '{"status": 1, "findings": [{"check": "clock", "status": 1, "text": "is 3 s off", "advice": "see ntp"}]}'
)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Start a host with the service behind its socket, for whom this user is alice."""
    one = Host(tmp_path)
    editor = one.editor(start=True)
    (tmp_path / "greylist").mkdir()
    outside = ExternalPaths(
        blacklist=str(tmp_path / "blacklist"),
        greylist=str(tmp_path / "greylist"),
        greylist_settings=str(tmp_path / "greylist.settings"),
        queue=str(tmp_path / "queue"),
        doctor=("sh", "-c", f"echo '{DOCTOR}'; exit 1"),
        flush=("true",),
    )
    verbs = operator_service.Verbs(editor, Lookups(editor, outside, lambda: one.now), refused_of(editor, one))
    server = operator_service.Server(
        str(tmp_path / "socket"),
        verbs.answer,
        lambda uid: Caller(uid, "alice") if uid == os.getuid() else None,
    )
    end = threading.Event()

    def serve() -> None:
        while not end.is_set():
            server.serve_one()

    thread = threading.Thread(target=serve)
    thread.start()
    yield one
    end.set()
    thread.join()
    server.listener.close()


async def fill(driver: Driver, key: str, *texts: str) -> None:
    """Open a form and fill its fields."""
    await driver.press(key)
    for text in texts:
        await driver.type(text)
        await driver.press("tab")


GOOD = [
    ("1", "a", "10.9.0.0/16", "10.9.0.0/16 gains relay"),
    ("2", "d", "198.51.100.9", "198.51.100.9/32 is refused"),
    ("3", "a", "Some@Bad.example", "sender some@bad.example will be refused"),
    ("4", "a", "@good.example", "mail of every sender @good.example is never called spam"),
    ("5", "a", "a@b.example", "mail of sender a@b.example is always called spam"),
    ("6", "a", "fax@example.com", "recipient fax@example.com will be accepted"),
]


def test_every_list_is_changed_and_changed_back(host: Host) -> None:
    async def story(driver: Driver) -> None:
        for key, add, value, effect in GOOD:
            before = host.files()
            await driver.press(key)
            await fill(driver, add, value, "they asked", "4h")
            await driver.press("f2")
            await driver.sees("What this does:", effect)
            assert host.files() == before
            await driver.press("y")
            await driver.sees("done (audit", effect, "From alice", "Why: they asked")
            assert host.files() != before
            await driver.press("u")
            await driver.sees("Undo your last act")
            await driver.press("y")
            await driver.sees("done (audit")
            await driver.sees_not("From alice")
        await driver.press("0")
        await driver.sees("12 in the list", "undo recipients", "by alice")

    play(host.path / "socket", story)
    assert b"198.51.100.9" not in host.files()[str(host.path / "tcp.d/20-operator")]


WRONG = [
    ("1", "a", "0.0.0.0/0", "is wider than /8"),
    ("1", "a", "::/0", "is wider than /32"),
    ("1", "a", RELAY, "it may relay by the site file; change it there"),
    ("2", "d", PROTECTED, "it is protected by the site file: nobody may refuse it"),
    ("2", "d", RELAY, "has no effect"),
    ("3", "a", "site@bad.example", "the site file refuses it; change it there"),
    ("4", "a", "a b@c.example", "sender:"),
    ("6", "a", "joe@else.where", "'else.where' is not served here"),
]


def test_no_wrong_input_changes_anything(host: Host) -> None:
    before = host.files()

    async def story(driver: Driver) -> None:
        for key, add, value, said in WRONG:
            await driver.press(key)
            await fill(driver, add, value, "why not")
            await driver.sees(said)  # while it is typed
            await driver.press("f2")
            await driver.until(lambda said=said: driver.text.count(said) >= 2)  # type: ignore[misc]
            assert "What this does" not in driver.text
            await driver.press("escape")

    play(host.path / "socket", story)
    assert host.files() == before


def test_what_is_fixed_is_seen_and_the_rest_is_looked_up(host: Host) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees(
            "3 in the list, 3 fixed", "127.0.0.0/8" if "127.0.0.0/8" in driver.text else "127.0.0.1"
        )
        await driver.press("x")
        await driver.sees("cannot be changed here", "it may relay by the site file; change it there")
        await driver.press("escape", "6", "l")
        await driver.type("joe@example.com")
        await driver.press("enter")
        await driver.sees_not("…")
        await driver.press("escape", "7")
        await driver.sees("no answer just now; r asks again", "expected adaptive-blacklist to run")
        await driver.press("8")
        await driver.sees("the greylist is empty")
        await fill(driver, "p", "198.51.100.7", "they called")
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("198.51.100.0/24", "passes")
        await driver.press("9")
        await driver.sees("no answer")
        await driver.press("s")
        await driver.sees("overall: WARNING", "is 3 s off", "Do: see ntp")

    play(host.path / "socket", story)
