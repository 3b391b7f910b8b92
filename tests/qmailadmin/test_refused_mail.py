# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of refused mail: view, deliver with the offer to trust the sender, learn, forget."""

from __future__ import annotations

import pytest
from support.screen_driver import Driver, play
from support.scripted_service import Service

NAME = "0123456789abcdef"


async def confirmed(driver: Driver, key: str, title: str, effect: str) -> None:
    await driver.press(key)
    await driver.sees(title, "From billing@partner.example to bob@example.com, carol@example.com")
    await driver.type("asked for by bob")
    await driver.press("f2")
    await driver.sees("What this does:", effect)
    await driver.press("y")


def test_a_message_is_viewed_as_text(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list", "rules: BAYES_50, HTML_MESSAGE", "score 10.4, of 10.0")
        await driver.press("v")
        await driver.sees("A refused message", "Subject: Invoice 4711", "please pay")
        assert "\x1b" not in driver.text
        await driver.press("escape", "slash")
        await driver.type("invoice")
        await driver.sees("1 match")

    play(service.path, story, page="refused")
    assert service.seen("refused-show") == [{"do": "refused-show", "name": NAME}]


@pytest.mark.slow
def test_a_delivery_offers_to_trust_the_sender(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list")
        await confirmed(driver, "d", "Deliver a refused message", "delivered to all of its recipients, once")
        await driver.sees("Trust this sender, too?", "billing@partner.example")
        await driver.press("y")
        await driver.sees("Add a sender", "good: billing@partner.example")
        await driver.type("partner of accounting")
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("done (audit", "billing@partner.example is in trusted")

    play(service.path, story, page="refused")
    assert service.seen("refused-release") == [
        {"do": "refused-release", "name": NAME, "note": "asked for by bob"}
    ]
    assert [one["value"] for one in service.seen("act")] == ["billing@partner.example"]


@pytest.mark.slow
def test_without_a_yes_nobody_is_trusted(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list")
        await confirmed(driver, "d", "Deliver a refused message", "once")
        await driver.sees("Trust this sender, too?")
        await driver.press("n")
        await driver.sees("is delivered", "released 2026-11-20 12:00:00 UTC by alice")

    play(service.path, story, page="refused")
    assert service.seen("act") == []


def test_a_message_is_learned_and_forgotten(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list")
        await confirmed(driver, "h", "Learn as wanted mail (ham)", "as wanted mail (ham)")
        await driver.sees("learned as ham")
        await confirmed(driver, "j", "Learn as junk (spam)", "as junk (spam)")
        await driver.sees("learned as spam")
        await confirmed(driver, "x", "Forget a refused message", "deleted for good")
        await driver.sees("the copy is deleted", "1 in the list")

    play(service.path, story, page="refused")
    assert [one["kind"] for one in service.seen("refused-learn")] == ["ham", "spam"]
    assert [one["name"] for one in service.seen("refused-forget")] == [NAME]
