# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program without a terminal: keys in, the 80 by 24 characters of its screen out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from qmailadmin.app import QmailAdmin
from qmailadmin.client import ask
from textual.events import Paste
from textual.pilot import Pilot

from support.scripted_service import NOW

FILES = Path(__file__).resolve().parents[2] / "roles" / "qmailadmin" / "files"
SIZE = (80, 24)
PATIENCE_SECONDS = 6.0
MENU = 19
FRAME = "│┃|"
RICH = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


class Driver:
    """A person at the keyboard."""

    def __init__(self, app: QmailAdmin, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """Return the text of the screen."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        """The same as one text without the menu and the frames, so that wrapped words are found."""
        lines = (line[MENU:] if line[MENU - 1] in FRAME else line for line in self.lines)
        return " ".join(" ".join(line.strip(f" {FRAME}") for line in lines).split())

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Paste text at once, as a terminal does."""
        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def sees(self, *words: str) -> None:
        """Wait until all the words are on the screen."""
        await self.until(
            lambda: all(word in self.text for word in words), lambda: f"{words} on\n" + "\n".join(self.lines)
        )

    async def sees_not(self, word: str) -> None:
        await self.until(lambda: word not in self.text, lambda: f"no {word!r} on\n" + "\n".join(self.lines))

    async def until(self, true: Callable[[], bool], what: Callable[[], str] = lambda: "it") -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        await self.pilot.pause()
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what()}")
            await self.pilot.pause(0.05)


def play(
    path: str | Path,
    story: Callable[[Driver], Awaitable[None]],
    *,
    page: str = "relay",
    size: tuple[int, int] = SIZE,
    environment: dict[str, str] | None = None,
    **more: Any,
) -> None:
    """Run a story from the first screen on; raise what the program raises."""

    async def run() -> None:
        app = QmailAdmin(
            lambda request: ask(str(path), request, 20.0),
            page=page,
            host="mx1.example.com",
            user="alice",
            now=lambda: NOW,
            debounce_seconds=0.01,
            environment=RICH if environment is None else environment,
            **more,
        )
        async with app.run_test(size=size) as pilot:
            await story(Driver(app, pilot))

    asyncio.run(run())
