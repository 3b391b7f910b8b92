# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application: a menu on the left, a page on the right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher, Footer, Label, OptionList
from textual.widgets.option_list import Option

from .client import Answer, Ask, in_thread
from .pages import PAGES, Page
from .text import plain
from .windows import Message, Window

BARE = ("vt", "dumb")  # prefixes of TERM for terminals without colours and lines
KEYS = (
    "t, 1 to 9, m, 0, s   the pages (as in the menu)",
    "Tab            from the menu to the list, to the details, and back",
    "Up, Down       choose a line; Enter shows all of it",
    "/              search; Enter: to the list; Esc: everything again",
    "r              reload",
    "u              undo your own last act",
    "q              leave; Ctrl+Q: from everywhere",
    "in a form      Enter: next field; F2 or Ctrl+S: go on; Esc: cancel",
    "",
    "You see the effect of an act and confirm it with y. Entries of the",
    "site's own files are fixed; change them there. Times are in UTC.",
)


def colours(environment: Mapping[str, str]) -> int:
    """Return how many colours the terminal can and may show: 0, 16 or more."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term.startswith(BARE):
        return 0
    rich = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return 256 if rich or "256color" in term or "direct" in term else 16


class QmailAdmin(App[None]):
    """The operator's screens."""

    CSS_PATH = "qmailadmin.tcss"
    TITLE = "qmailadmin"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"page('{name}')", words, show=False) for key, name, words, dummy in PAGES),
        Binding("f1,question_mark", "help", "Help", key_display="?"),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        ask: Ask,
        *,
        page: str = "relay",
        host: str = "",
        user: str = "",
        now: Callable[[], float] = time.time,
        debounce_seconds: float = 0.3,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        environment = os.environ if environment is None else environment
        many = colours(environment)
        os.environ.pop("NO_COLOR", None)
        if not many:
            os.environ["NO_COLOR"] = "1"  # read and removed by the framework
        super().__init__(ansi_color=True if many <= 16 else None)
        self._ask = ask
        self._first = page
        self._host = host
        self._user = user
        self.now = now
        self.debounce_seconds = debounce_seconds
        self.animation_level = "none"
        if many <= 16:
            self.theme = "ansi-dark"
        self.set_class(not many, "-plain")
        self.set_class(environment.get("TERM", "").startswith(BARE), "-ascii")

    async def ask(self, request: Answer) -> Answer:
        """Return the service's answer, while the screen stays responsive; raises Trouble."""
        return await in_thread(lambda: self._ask(request))

    def _set_pointer_shape(self, shape: str) -> None:
        """Do nothing: a terminal that does not know that sequence would print it, and ring."""

    def compose(self) -> ComposeResult:
        title = Text(" qmailadmin  ", style="bold")
        title.append_text(plain(self._host))
        title.append_text(plain(f"  {self._user}"))
        yield Label(title, id="bar", markup=False)
        with Horizontal(id="body"):
            yield OptionList(
                *(Option(plain(f"{key} {words}"), id=name) for key, name, words, dummy in PAGES), id="menu"
            )
            yield ContentSwitcher(id="pages")
        yield Footer()

    async def on_mount(self) -> None:
        # A closed terminal returns end of file again and again, and the hangup signal may be missing.
        self.set_interval(2, self.leave_with_the_terminal)
        await self.action_page(self._first)

    def leave_with_the_terminal(self) -> None:
        """Exit when the terminal was closed."""
        if not self.is_headless and not os.isatty(0):
            self.exit(return_code=1)

    @property
    def page(self) -> Page:
        """The page shown."""
        return self.query_one(f"#{self.screen_stack[0].query_one(ContentSwitcher).current}", Page)

    async def action_page(self, name: str) -> None:
        """Show a page, which is made when it is first needed."""
        place = [one[1] for one in PAGES].index(name)
        self.query_one("#menu", OptionList).highlighted = place
        pages = self.query_one(ContentSwitcher)
        if not pages.query(f"#{name}"):
            await pages.mount(PAGES[place][3](name))
        pages.current = name
        pages.query_one(f"#{name}", Page).begin()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the keys of the pages while a window is above them."""
        return not (action in ("page", "help", "leave") and isinstance(self.screen, Window))

    @on(OptionList.OptionSelected, "#menu")
    async def chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_id:
            await self.action_page(event.option_id)

    def action_leave(self) -> None:
        self.exit()

    def action_help(self) -> None:
        page = self.page
        self.push_screen(Message("Help", [page.TITLE, *page.HELP, "", *KEYS]))
