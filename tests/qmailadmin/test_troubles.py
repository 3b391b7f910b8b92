# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is gone, slow, of another version, or says no; and what strangers wrote."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from qmailadmin import client
from qmailadmin.pages import PAGES
from support.screen_driver import Driver, play
from support.scripted_service import NASTY, Service, no, ok

pytestmark = pytest.mark.slow

EVERY_PAGE = [(name, {"relay": "entries"}.get(name, name)) for dummy, name, dummy, dummy in PAGES]


def test_without_a_service_every_page_says_so_and_comes_back(service: Service) -> None:
    service.stop()
    os.unlink(service.path)

    async def story(driver: Driver) -> None:
        for key, dummy, dummy, make in PAGES:
            await driver.press(key)
            await driver.sees(make.TITLE, "no answer", "cannot be reached at", "see svstat /service/operator")
        await driver.press("1", "u")
        await driver.sees("Undo", "cannot be reached at")
        await driver.press("escape", "a")
        await driver.type("10.30.0.0/16")
        await driver.press("enter")
        await driver.type("why not")
        await driver.press("f2")
        await driver.until(lambda: driver.text.count("cannot be reached at") == 2)
        await driver.press("escape", "x")  # nothing is chosen
        service.start()
        await driver.press("r")
        await driver.sees("4 in the list", "10.20.0.0/16")
        service.stop()
        await driver.press("r")
        await driver.sees("no answer", "cannot be reached at")  # there is a socket, and nobody behind it
        assert "10.20.0.0/16" not in driver.text  # what was known may hold no longer

    play(service.path, story)


def test_who_lost_the_permission_is_told_what_to_do(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, line: bytes, deadline: float) -> bytes:
        raise PermissionError(13, "Permission denied")

    async def story(driver: Driver) -> None:
        await driver.sees("4 in the list")
        monkeypatch.setattr(client, "_exchange", refuse)
        await driver.press("r")
        await driver.sees("may not use", "expected root or a member of the group operators", "log in again")
        monkeypatch.undo()
        service.script["entries"] = no(
            "operator: user 1001 may not ask; expected root or a member of operators"
        )
        await driver.press("r")
        await driver.sees("operator: user 1001 may not ask; expected root or a member of operators")
        assert "just now" not in driver.text
        service.script["entries"] = no("operator: too many callers at once; try again", temporary=True)
        await driver.press("r")
        await driver.sees("operator: too many callers at once; try again", "no answer just now; r asks again")

    play(service.path, story)


def test_a_slow_service_stops_nobody(service: Service) -> None:
    service.gate.clear()

    async def story(driver: Driver) -> None:
        await driver.until(lambda: bool(service.seen("entries")))
        begin = time.monotonic()
        await driver.press("2", "s", "question_mark")
        await driver.sees("Help", "Status: the health of the gateway")
        await driver.press("escape", "1", "a", "x", "y")
        await driver.sees("Add a network", "xy")
        assert time.monotonic() - begin < 10
        service.gate.set()
        await driver.press("escape")
        await driver.sees("4 in the list")

    play(service.path, story)


def test_leaving_does_not_wait_for_the_service(service: Service) -> None:
    service.gate.clear()
    begin = time.monotonic()

    async def story(driver: Driver) -> None:
        await driver.until(lambda: bool(service.seen("status")))
        await driver.press("q")

    play(service.path, story, page="status")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "answer, said",
    [
        (b"", "ended without an answer; expected a JSON object"),
        (b"{\n", "ended without an answer; expected a JSON object"),
        (b"\xff\xfe\n", "ended without an answer; expected a JSON object"),
        (b"[" * 100_000, "ended without an answer; expected a JSON object"),
        (b"[]\n", "answered something else; expected a JSON object"),
        ({"ok": False}, "refused, without a reason"),
        ({}, "refused, without a reason"),
    ],
    ids=range(7),
)
def test_an_answer_that_is_none_is_trouble(service: Service, answer: Any, said: str) -> None:
    service.script["entries"] = answer
    with pytest.raises(client.Trouble, match=said):
        client.ask(service.path, {"do": "entries", "list": "relay"})


def test_a_service_that_says_nothing_is_not_waited_for_for_ever(service: Service) -> None:
    service.gate.clear()
    with pytest.raises(client.Trouble, match="gave no answer in 0 s"):
        client.ask(service.path, {"do": "status"}, 0.2)


def test_a_request_that_is_too_long_is_not_sent(service: Service) -> None:
    with pytest.raises(client.Trouble, match="bytes are too long; expected at most 65536"):
        client.ask(service.path, {"do": "check", "value": "x" * 70_000})
    assert service.requests == []


def test_answers_of_another_version_are_no_traceback_on_any_page(service: Service) -> None:
    odd = ok(entries=[{"value": 1}], records=[{}], messages=[{}], journeys=[{}], doctor={})
    verbs = ("entries", "blacklist", "greylist", "queue", "refused", "audit", "status", "trace")
    service.script = dict.fromkeys(verbs, odd)
    service.script["undo"] = ok()

    async def story(driver: Driver) -> None:
        for key, dummy, dummy, make in PAGES:
            await driver.press(key)
            await driver.sees(
                make.TITLE, "answer of the operator's service: KeyError(", "expected the same version"
            )
        await driver.press("1", "u")
        await driver.sees("nothing changes")

    play(service.path, story)


def test_what_strangers_wrote_is_neither_markup_nor_a_command_to_the_terminal(service: Service) -> None:
    for entries in service.lists.values():
        entries[0].update(note=NASTY, by=NASTY, fixed="")
    service.records[0].update(note=NASTY, by=NASTY, effects=[NASTY])
    service.greylist[0]["network"] = NASTY
    service.doctor["findings"][0].update(check=NASTY, text=NASTY, advice=NASTY, status=2)
    journey = {"at": 1, "client": NASTY, "sender": NASTY, "recipients": [NASTY], "outcomes": [NASTY]}
    steps = [{"at": 1, "program": NASTY, "words": NASTY}]
    service.script["trace"] = ok(journeys=[{**journey, "steps": steps, "notes": [NASTY]}], more=0)
    service.script["explain"] = ok(words=[NASTY])
    service.script["preview"] = ok(effects=[NASTY], problem="")
    service.script["check"] = ok(value=NASTY, problem="")
    service.script["act"] = no(NASTY)
    shown = r"\x1b[2J[b]bold[/b]"

    async def story(driver: Driver) -> None:
        for key, dummy, dummy, make in PAGES:
            await driver.press(key)
            await driver.sees(make.TITLE, "in the list")
            if key == "7":
                await driver.press("down")
            if key in ("9", "m"):
                await driver.press("down")
            await driver.sees(shown)
            harmless(driver)
            await driver.press("enter")
            await driver.sees("Close", shown, r"[link=x]\u202eright\x0d\x0a\x07")
            harmless(driver)
            await driver.press("escape")
        await driver.press("7", "e")
        await driver.sees("What is known", shown)
        await driver.press("escape", "1", "a")
        await driver.type("[b]10.30.0.0/16[/b]")
        await driver.sees(f"good: {shown}", "[b]10.30.0.0/16[/b]")
        await driver.press("enter")
        await driver.type("[reverse]why[/reverse]")
        await driver.press("f2")
        await driver.sees("What this does:", f"- {shown}", "Why: [reverse]why[/reverse]")
        harmless(driver)
        await driver.press("y")
        await driver.sees("Enter: the next field", r"[link=x]\u202eright")
        harmless(driver)
        service.script["entries"] = no(NASTY)
        await driver.press("escape", "r")
        await driver.sees("no answer", shown)
        harmless(driver)

    play(service.path, story)


def harmless(driver: Driver) -> None:
    """Nothing on the screen is a control character or turns the direction of text."""
    for line in driver.lines:
        assert line.isprintable(), repr(line)
