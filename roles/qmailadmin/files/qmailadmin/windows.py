# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The windows above a page: a message, a confirmation, a form, a look-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Footer, Input, Label, Static

from .client import Answer, Trouble
from .host import Host
from .text import BadTime, paragraphs, plain, seconds_of

Values = dict[str, str]
LABELS = {"value": "Value", "note": "Why", "time": "For"}
NOTE_HINT = "a few words; the audit shows them with your name"
TIME_HINT = "30m, 4h, 2d, 1w; nothing: for ever"
NO_NOTE = "why: is missing; expected a few words for the audit"


@dataclass(frozen=True)
class Action:
    """One act of the operator: the form's fields, and the requests to the service."""

    title: str
    act: Callable[[Values], Answer]
    fields: Sequence[str] = ("note",)
    values: Values = field(default_factory=dict)
    label: str = ""  # of the field "value"
    hint: str = ""
    intro: Sequence[str] = ()
    check: Callable[[Values], Answer] | None = None  # while the operator types
    preview: Callable[[Values], Answer] | None = None
    words: Callable[[Values], Sequence[str]] | None = (
        None  # describes the effect if the service has no preview
    )


def note_of(values: Values) -> str:
    return values.get("note", "").strip()


class Window(ModalScreen):
    """The base of all windows: they know the application, and F1 in them does not show a page's help."""

    AUTO_FOCUS = "*"

    @property
    def host(self) -> Host:
        return self.app  # type: ignore[return-value]


class Message(Window):
    """A window with lines to read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", key_display="Enter"),
    ]

    def __init__(self, title: str, lines: Sequence[object], trouble: bool = False) -> None:
        super().__init__()
        self._title = title
        self._lines = list(lines)
        self._trouble = trouble

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Label(plain(self._title), classes="title", markup=False)
            with VerticalScroll(classes="words"):
                yield Static(
                    paragraphs(self._lines),
                    id="message",
                    markup=False,
                    classes="trouble" if self._trouble else "",
                )
        yield Footer()

    def action_close(self) -> None:
        self.dismiss(None)


class Confirm(Window):
    """A window with the effect of an act, and the question whether to do it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes, do it"),
        Binding("n,escape", "answer(False)", "No, back", key_display="n"),
    ]

    def __init__(self, title: str, lines: Sequence[object], effects: Sequence[object]) -> None:
        super().__init__()
        self._title = title
        self._lines = list(lines)
        self._effects = list(effects)

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Label(plain(self._title), classes="title", markup=False)
            with VerticalScroll(classes="words"):
                yield Static(paragraphs(self._lines), id="asked", markup=False)
                yield Label("What this does:", classes="heading")
                yield Static(paragraphs(f"- {line}" for line in self._effects), id="effects", markup=False)
            yield Label("Do it? y: yes   n: no, back", id="question", markup=False)
        yield Footer()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Form(Window):
    """A form for an act: shows the service's check while typing, and acts after a confirmation.

    It closes with the service's answer, or with None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", key_display="Esc"),
        Binding("enter", "next", "Next field", show=False),
        Binding("f2,ctrl+s", "submit", "Go on", key_display="F2", priority=True),
    ]

    def __init__(self, action: Action) -> None:
        super().__init__()
        self.action = action
        self._timer: Timer | None = None
        self._busy = ""

    def compose(self) -> ComposeResult:
        action = self.action
        hints = {"value": action.hint, "note": NOTE_HINT, "time": TIME_HINT}
        with Vertical(classes="window form"):
            yield Label(plain(action.title), classes="title", markup=False)
            if action.intro:
                yield Static(paragraphs(action.intro), id="intro", markup=False)
            for name in action.fields:
                with Horizontal(classes="field"):
                    label = action.label if name == "value" and action.label else LABELS[name]
                    yield Label(label, markup=False)
                    yield Input(
                        action.values.get(name, ""), placeholder=hints[name], id=name, select_on_focus=False
                    )
                if name == "value":
                    yield Static("", id="check", markup=False)
            yield Static("", id="trouble", markup=False)
            yield Label(
                "Enter: the next field, then the preview. You confirm it before it is done.", id="keys"
            )
        yield Footer()

    def values(self) -> Values:
        return {**self.action.values, **{one.id or "": one.value for one in self.query(Input)}}

    def complain(self, text: str) -> None:
        self.query_one("#trouble", Static).update(plain(text))

    def action_close(self) -> None:
        # After the act was sent, the answer is awaited, so that its result is known.
        if self._busy != "act":
            self.dismiss(None)

    # The service's check while the operator types

    def on_mount(self) -> None:
        inputs = list(self.query(Input))
        empty = [one for one in inputs if not one.value]
        self.set_focus((empty or inputs)[0])

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        self.complain("")
        if event.input.id == "time":
            try:
                seconds_of(event.value)
            except BadTime as error:
                self.complain(str(error))
        if event.input.id == "value" and self.action.check is not None:
            if self._timer is not None:
                self._timer.stop()
            self.workers.cancel_group(self, "check")  # an answer about an earlier text is outdated
            self.query_one("#check", Static).update("")
            if event.value.strip():
                self._timer = self.set_timer(self.host.debounce_seconds, self.check)

    @work(exclusive=True, group="check")
    async def check(self) -> None:
        if self.action.check is None:
            return
        shown = self.query_one("#check", Static)
        try:
            answer = await self.host.ask(self.action.check(self.values()))
        except Trouble as error:
            shown.update(plain(str(error), "bold"))
            return
        problem = answer.get("problem")
        shown.set_class(bool(problem), "trouble")
        shown.update(plain(problem) if problem else plain(f"good: {answer.get('value', '')}"))

    # The act

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        inputs = list(self.query(Input))
        place = inputs.index(event.input)
        if place + 1 < len(inputs):
            self.set_focus(inputs[place + 1])
        else:
            self.submit()

    def action_submit(self) -> None:
        self.submit()

    def submit(self) -> None:
        if not self._busy:
            self._busy = "preview"
            self._submit()

    @work
    async def _submit(self) -> None:
        try:
            done = await self._outcome()
        finally:
            self._busy = ""
        if done is not None:
            self.dismiss(done)

    async def _outcome(self) -> Answer | None:
        """Return the service's answer to the act; None when it was not done."""
        values = self.values()
        action = self.action
        if "value" in action.fields and not values.get("value", "").strip():
            self.refuse("value", f"{(action.label or LABELS['value']).lower()}: is missing")
            return None
        if not note_of(values):
            self.refuse("note", NO_NOTE)
            return None
        try:
            seconds = seconds_of(values.get("time", ""))
        except BadTime as error:
            self.refuse("time", str(error))
            return None
        self.complain("")
        try:
            if action.preview is None:
                effects = list((action.words or (lambda given: []))(values))
            else:
                answer = await self.host.ask(action.preview(values))
                if answer.get("problem"):
                    self.complain(str(answer["problem"]))
                    return None
                effects = answer.get("effects") or ["nothing changes"]
            lines = [f"{action.label}: {values['value'].strip()}"] if values.get("value") else []
            lines.append(f"Why: {note_of(values)}")
            if "time" in action.fields:
                lines.append(
                    "For: " + (values["time"].strip() if seconds is not None else "ever, until it is removed")
                )
            if not await self.app.push_screen_wait(Confirm(action.title, [*action.intro, *lines], effects)):
                return None
            self._busy = "act"
            self.complain("…")
            return await self.host.ask(action.act(values))
        except Trouble as error:
            self.complain(str(error))
            return None

    def refuse(self, name: str, text: str) -> None:
        self.complain(text)
        self.set_focus(self.query_one(f"#{name}", Input))


class LookUp(Window):
    """A window that asks for one word and shows the service's answer, any number of times.

    It closes with the word if the operator wants to add it, otherwise with None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", key_display="Esc"),
        Binding("f2", "add", "Add it", key_display="F2", priority=True),
    ]

    def __init__(
        self,
        title: str,
        label: str,
        request: Callable[[str], Answer],
        known: Callable[[Answer], bool] | None = None,
        value: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._label = label
        self._request = request
        self._known = known
        self._value = value
        self._unknown = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Label(plain(self._title), classes="title", markup=False)
            with Horizontal(classes="field"):
                yield Label(self._label, markup=False)
                yield Input(self._value, id="word", placeholder="type it, then Enter", select_on_focus=False)
            with VerticalScroll(classes="words"):
                yield Static("", id="words", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))
        if self._value:
            self.look(self._value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._unknown) if action == "add" else True

    def action_close(self) -> None:
        self.dismiss(None)

    def action_add(self) -> None:
        self.dismiss(self._unknown)

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.look(event.value.strip())

    @work(exclusive=True, group="look")
    async def look(self, word: str) -> None:
        shown = self.query_one("#words", Static)
        shown.update("…")
        self._unknown = ""
        trouble = False
        try:
            answer = await self.host.ask(self._request(word))
            lines = list(answer.get("words") or ["nothing is known"])
            if self._known is not None and not self._known(answer):
                self._unknown = word
        except Trouble as error:
            lines, trouble = [str(error)], True
        shown.set_class(trouble, "trouble")
        shown.update(paragraphs(lines))
        self.refresh_bindings()
