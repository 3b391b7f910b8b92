# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that the operator writes: added to, taken from, undone, and every wrong input."""

from __future__ import annotations

import pytest
from support.parameters import slow_after_first
from support.screen_driver import Driver, play
from support.scripted_service import HOUR, Service, no, ok

# Page, list, key, a good value and its canonical form, a wrong one and its message.
LISTS = [
    ("relay", "relay", "a", "10.30.0.9/16", "10.30.0.0/16", "10.0.0.0/4", "is wider than /8"),
    (
        "clients",
        "clients",
        "a",
        "203.0.113.200",
        "203.0.113.200/32",
        "203.0.113.300",
        "is not a network; expected one such as",
    ),
    ("clients", "clients", "d", "203.0.113.200", "203.0.113.200/32", "10.0.0.9", "is protected by the site"),
    (
        "senders",
        "senders",
        "a",
        "@Bad.example",
        "@bad.example",
        "bad.example",
        "is not an address; expected user@domain",
    ),
    (
        "trusted",
        "trusted",
        "a",
        "Me@good.example",
        "me@good.example",
        "me at good",
        "is not an address; expected user@domain",
    ),
    (
        "spam",
        "blocked",
        "a",
        "x@bad.example",
        "x@bad.example",
        "x@[b]",
        "is not an address; expected user@domain",
    ),
    (
        "recipients",
        "recipients",
        "a",
        "eve@example.com",
        "eve@example.com",
        "eve",
        "is not an address; expected user@domain",
    ),
]
EVERY_LIST = pytest.mark.parametrize(
    "page, name, key, good, canonical, wrong, said",
    slow_after_first(LISTS),
    ids=[f"{row[0]}-{row[2]}" for row in LISTS],
)


@EVERY_LIST
def test_an_entry_is_checked_while_it_is_typed_previewed_confirmed_and_there(
    service: Service, page: str, name: str, key: str, good: str, canonical: str, wrong: str, said: str
) -> None:
    action = {"a": "allow", "d": "deny"}[key] if name == "clients" else ""

    async def story(driver: Driver) -> None:
        await driver.sees("in the list")
        await driver.press(key)
        await driver.type(wrong)
        await driver.sees(said)
        await driver.press("enter")
        await driver.type("they asked")
        await driver.press("enter")
        await driver.type("4h")
        await driver.press("enter")
        await driver.until(lambda: bool(service.seen("preview")))
        await driver.until(lambda: driver.text.count(said) == 2)  # under the field, and of the preview
        assert "What this does" not in driver.text and not service.seen("act")
        await driver.press("shift+tab", "shift+tab", "ctrl+u")
        await driver.type(good)
        await driver.sees(f"good: {canonical}")
        await driver.press("f2")
        await driver.sees(
            "What this does:", canonical, "ends after 14400 seconds", "Why: they asked", "For: 4h"
        )
        assert service.seen("act") == []
        await driver.press("y")
        await driver.sees("done (audit 2)", f"{canonical} {action}".strip(), "From alice", "(in 4 h)")

    play(service.path, story, page=page)
    made = next(one for one in service.lists[name] if one["value"] == canonical)
    assert (made["action"], made["note"]) == (action, "they asked")
    asked = {"list": name, "value": good, "action": action, "note": "they asked", "seconds": 4 * HOUR}
    assert service.seen("act") == [{"do": "act", "act": "add", **asked}]
    assert service.seen("preview")[-1] == {"do": "preview", "act": "add", **asked}
    assert {one["action"] for one in service.seen("check")} == {action}


MISSING = [
    ("", "why not", "", "network: is missing"),
    ("10.30.0.0/16", "", "", "why: is missing; expected a few words for the audit"),
    ("10.30.0.0/16", "   ", "", "why: is missing"),
    ("10.30.0.0/16", "why not", "tomorrow", "time: 'tomorrow' is not a duration; expected one such as 30m"),
]


@pytest.mark.slow
def test_what_is_missing_or_no_time_is_said_before_the_service_is_asked(service: Service) -> None:
    async def story(driver: Driver) -> None:
        for value, note, words, said in MISSING:
            await driver.press("a")
            for text in (value, note, words):
                await driver.type(text)
                await driver.press("tab")
            await driver.press("f2")
            await driver.sees(said)
            await driver.press("escape")

    play(service.path, story)
    assert service.seen("preview") == []


@pytest.mark.slow
def test_no_goes_back_to_the_form_and_nothing_is_lost(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("a")
        await driver.type("10.30.0.0/16")
        await driver.press("enter")
        await driver.type("they asked")
        await driver.press("f2")
        await driver.sees("What this does:", "For: ever, until it is removed")
        await driver.press("enter", "space", "n")
        await driver.sees("10.30.0.0/16", "they asked", "Enter: the next field")
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("escape")
        await driver.sees("Enter: the next field")

    play(service.path, story)
    assert service.seen("act") == []


@pytest.mark.slow
def test_an_entry_without_a_time_never_ends(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("a")
        await driver.type("10.30.0.0/16")
        await driver.press("enter")
        await driver.type("they asked")
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("done", "ends: never")

    play(service.path, story)
    assert service.seen("act")[0]["seconds"] is None


@pytest.mark.slow
def test_what_the_service_refuses_at_the_act_is_shown_as_it_is_and_can_be_tried_again(
    service: Service,
) -> None:
    text = "relay: '10.30.0.0/16' was added by bob [just] now; expected another"
    service.script["act"] = no(text, temporary=True)

    async def story(driver: Driver) -> None:
        await driver.press("a")
        await driver.type("10.30.0.0/16")
        await driver.press("enter")
        await driver.type("they asked")
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees(text, "Enter: the next field")
        del service.script["act"]
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("done (audit 2)")

    play(service.path, story)


def test_an_answer_about_an_earlier_text_is_not_shown(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("a")
        service.gate.clear()
        await driver.type("10.0.0.0/4")
        await driver.until(lambda: bool(service.seen("check")))
        await driver.press("backspace")
        await driver.type("16")
        await driver.until(lambda: service.seen("check")[-1]["value"] == "10.0.0.0/16")
        service.gate.set()
        await driver.sees("good: 10.0.0.0/16")
        await driver.pilot.pause(0.1)
        assert "wider" not in driver.text

    play(service.path, story)


@pytest.mark.slow
def test_two_keys_make_one_act(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("a")
        await driver.type("10.30.0.0/16")
        await driver.press("enter")
        await driver.type("they asked")
        await driver.press("f2")
        await driver.sees("What this does:")
        service.gate.clear()
        await driver.press("y")
        await driver.until(lambda: bool(service.seen("act")))
        await driver.press("f2", "f2", "escape")  # the service acts already: its answer is waited for
        assert "Enter: the next field" in driver.text
        service.gate.set()
        await driver.sees("done (audit 2)")

    play(service.path, story)
    assert len(service.seen("act")) == 1
    assert len(service.seen("preview")) == 1


@pytest.mark.slow
@EVERY_LIST
def test_an_entry_is_removed_with_a_reason(
    service: Service, page: str, name: str, key: str, good: str, canonical: str, wrong: str, said: str
) -> None:
    first = next(one for one in service.lists[name] if not one["fixed"])
    place = service.lists[name].index(first)

    async def story(driver: Driver) -> None:
        await driver.sees("in the list")
        await driver.press(*["down"] * place, "x")
        await driver.sees(f"Remove {first['value']}")
        await driver.press("enter")
        await driver.sees("why: is missing")
        await driver.type("not needed")
        await driver.press("enter")
        await driver.sees("What this does:", f"{first['value']} is in {name} no longer")
        await driver.press("y")
        await driver.sees("done (audit 2)")

    play(service.path, story, page=page)
    assert first["value"] not in [one["value"] for one in service.lists[name]]
    asked = service.seen("act")[0]
    assert (asked["act"], asked["action"], asked["note"]) == ("remove", first["action"], "not needed")


def test_what_the_site_says_is_fixed_and_the_program_says_why(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("10.0.0.0/24 fixed", "4 in the list, 2 fixed", "Fixed: the site's file says so")
        await driver.press("x")
        await driver.sees("10.0.0.0/24 cannot be changed here:", "gateway_relay_networks; change it there")
        await driver.press("escape", "down", "delete")
        await driver.sees("the gateway itself always relays")
        await driver.press("enter")
        await driver.sees("in the list")

    play(service.path, story)
    assert [one["do"] for one in service.requests] == ["entries"]


def test_removing_from_an_empty_list_does_nothing(service: Service) -> None:
    service.lists["relay"] = []

    async def story(driver: Driver) -> None:
        await driver.sees("no network may relay")
        await driver.press("x", "enter")
        assert "Relay networks" in driver.text

    play(service.path, story)


def test_the_last_act_is_undone_after_its_effect_was_seen(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("u")
        await driver.sees("Undo your last act", "10.20.0.0/16 is in relay no longer")
        await driver.sees("1: add relay 10.20.0.0/16", "by alice (uid 1001)", "Why: branch office in Leeds")
        await driver.press("n")
        await driver.sees("4 in the list")
        assert service.seen("undo") == [{"do": "undo", "preview": True}]
        await driver.press("u")
        await driver.sees("Undo your last act")
        await driver.press("y")
        await driver.sees("done (audit 2)", "3 in the list")
        await driver.press("u")
        await driver.sees("undo: no act of alice stands; expected one")
        await driver.press("escape")

    play(service.path, story)
    assert service.seen("undo")[2] == {"do": "undo", "number": 1}, "it is the act that was shown"
    assert [one["value"] for one in service.lists["relay"]] == ["10.0.0.0/24", "127.0.0.1/32", "192.0.2.7/32"]


@pytest.mark.slow
def test_an_undo_that_is_refused_says_why(service: Service) -> None:
    answers = [ok(effects=["as before"], problem=""), no("undo: somebody was faster [now]")]
    service.script["undo"] = lambda request: answers[0 if request.get("preview") else 1]

    async def story(driver: Driver) -> None:
        await driver.press("u")
        await driver.sees("as before")
        await driver.press("y")
        await driver.sees("undo: somebody was faster [now]")
        await driver.press("escape")
        await driver.sees("in the list")

    play(service.path, story)


@pytest.mark.slow
def test_the_search_narrows_the_list_and_escape_shows_all(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("4 in the list")
        await driver.press("slash")
        await driver.type("LEEDS")
        await driver.sees("1 of 4 match", "10.20.0.0/16", "From alice")
        await driver.sees_not("192.0.2.7")
        await driver.press("enter", "x")  # the line that is seen, not the first of all
        await driver.sees("Remove 10.20.0.0/16")
        await driver.press("escape", "slash")
        await driver.type("q1x")  # letters are letters in the search
        await driver.sees("nothing matches")
        await driver.press("escape")
        await driver.sees("4 in the list", "192.0.2.7")
        await driver.press("x")
        await driver.sees("cannot be changed here")

    play(service.path, story)


@pytest.mark.slow
def test_a_long_list_shows_a_part_and_says_so(service: Service) -> None:
    first = service.lists["senders"][0]
    service.lists["senders"] = [{**first, "value": f"@{number}.example"} for number in range(1500)]

    async def story(driver: Driver) -> None:
        await driver.sees("1500 in the list, 500 more are not shown: search for them", "@0.example")
        await driver.press("slash")
        await driver.type("@1499.")
        await driver.sees("1 of 1500 match", "@1499.example")

    play(service.path, story, page="senders")
