# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the documentation are what the program shows.

MAILGATE_WRITE_DOCS=1 writes them again; otherwise their text is compared.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.screen_driver import Driver, play
from support.scripted_service import Service

DOCS = Path(__file__).resolve().parents[2] / "docs" / "generated"


async def relay(driver: Driver) -> None:
    await driver.sees("4 in the list")
    await driver.press("down", "down")
    await driver.sees("From alice")


async def confirm(driver: Driver) -> None:
    await driver.press("d")
    await driver.type("203.0.113.128/25")
    await driver.press("enter")
    await driver.type("dictionary attack, ticket 4711")
    await driver.press("enter")
    await driver.type("2d")
    await driver.press("enter")
    await driver.sees("What this does:")


async def blacklist(driver: Driver) -> None:
    await driver.sees("3 in the list", "(in 3 h)")


async def status(driver: Driver) -> None:
    await driver.sees("overall: CRITICAL", "Do: mailgate")


def words(svg: str) -> str:
    """Return the text of a picture."""
    return "\n".join(
        html.unescape(text).replace("\xa0", " ") for text in re.findall(r"<text[^>]*>([^<]*)<", svg)
    )


def self_contained(svg: str) -> str:
    """Return the picture without remote references, and without blanks at ends of lines."""
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    return "\n".join(line.rstrip() for line in svg.strip().splitlines()) + "\n"


@pytest.mark.parametrize(
    "name, page, story",
    [
        ("relay", "relay", relay),
        ("confirm", "clients", confirm),
        ("blacklist", "blacklist", blacklist),
        ("status", "status", status),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.slow
def test_the_picture_is_what_the_program_shows(
    service: Service, name: str, page: str, story: Callable[[Driver], Awaitable[None]]
) -> None:
    service.blacklist[1]["why"] = "11 of 12 attempts bad in 60 minutes"
    pictures = []

    async def shown(driver: Driver) -> None:
        await story(driver)
        await driver.pilot.pause(0.1)
        pictures.append(self_contained(driver.app.export_screenshot(title="qmailadmin")))

    play(service.path, shown, page=page)
    path = DOCS / f"qmailadmin-{name}.svg"
    if os.environ.get("MAILGATE_WRITE_DOCS"):
        path.write_text(pictures[0], encoding="utf-8")
    assert "http" not in pictures[0].replace('"http://www.w3.org/2000/svg"', "")
    assert words(path.read_text(encoding="utf-8")) == words(pictures[0]), (
        f"{path.name} is stale; expected what is seen: MAILGATE_WRITE_DOCS=1 pytest tests/qmailadmin"
    )
