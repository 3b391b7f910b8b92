# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages: a table of the service's data, details of the selected line below it, and the actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import DataTable, Input, Label, Static

from .client import Answer, Refused, Trouble
from .host import Host
from .text import cell, ends, left, paragraphs, plain, safe, seconds_of, size, usual, utc
from .windows import Action, Confirm, Form, LookUp, Message, Values, note_of

ROWS_MAX = 1000
FLEXIBLE = 0  # the width of the column that takes the remaining space
NARROWEST = 10
GROWN = 25  # a network /64 of IPv6 is shown whole

SEARCH = Binding("slash", "search", "Search", key_display="/")
RELOAD = Binding("r,f5", "reload", "Reload", key_display="r")
UNDO = Binding("u", "undo", "Undo")
REMOVE = Binding("x,delete", "remove", "Remove", key_display="x")


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells, its details, the data from the service, and its style."""

    cells: Sequence[object]
    detail: Sequence[object]
    given: Mapping[str, Any]
    style: str = ""


class Page(Vertical):
    """One of the pages; a subclass defines the request, the rows, and the actions."""

    TITLE = ""
    NOTHING = "nothing is here"
    COLUMNS: ClassVar[Sequence[tuple[str, int]]] = ()
    GROWS = False  # the first column takes up to GROWN columns where a cell needs them
    SERVER_SEARCHES = False
    HELP: ClassVar[Sequence[str]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [SEARCH, RELOAD]

    def __init__(self, identity: str) -> None:
        super().__init__(id=identity)
        self.loaded = False
        self._answer: Answer = {}
        self._all: list[Row] = []
        self._shown: list[Row] = []
        self._width = 0
        self._timer: Timer | None = None
        self._done = ""  # the result of the last act
        self._old: set[object] | None = None  # the rows before it
        self._remarks: Sequence[str] = ()

    @property
    def host(self) -> Host:
        return self.app  # type: ignore[return-value]

    # Defined by a subclass

    def request(self, search: str) -> Answer:
        raise NotImplementedError

    def rows(self, answer: Answer) -> list[Row]:
        raise NotImplementedError

    def remarks(self, answer: Answer) -> list[str]:
        """Return more for the line above the table."""
        return []

    # The display

    def compose(self) -> ComposeResult:
        yield Label(self.TITLE, classes="title", markup=False)
        yield Input(
            placeholder="search; Enter: to the list, Esc: everything", classes="search", select_on_focus=False
        )
        yield Static("", classes="state", markup=False)
        yield DataTable(cursor_type="row", zebra_stripes=False)
        with VerticalScroll(classes="detail"):
            yield Static("", classes="full", markup=False)

    def on_mount(self) -> None:
        self.search_field.display = False
        self.query_one(".detail").can_focus = True

    @property
    def table(self) -> DataTable[object]:
        return self.query_one(DataTable)

    @property
    def search_field(self) -> Input:
        return self.query_one(".search", Input)

    def say(self, text: str, trouble: bool = False) -> None:
        shown = self.query_one(".state", Static)
        shown.set_class(trouble, "trouble")
        shown.update(plain(text))

    def on_resize(self) -> None:
        if self.loaded and self.size.width != self._width:
            self.fill(keep=True)

    def begin(self) -> None:
        """Ask the service and take the focus, when the page is shown."""
        self._done = ""
        self.screen.set_focus(self.table)
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        self.say("…" if not self._done else self._done)
        search = self.search_field.value.strip() if self.SERVER_SEARCHES else ""
        try:
            answer = await self.host.ask(self.request(search))
        except Trouble as error:
            self._failed(str(error), isinstance(error, Refused) and error.temporary)
            return
        try:
            rows = self.rows(answer)
            remarks = self.remarks(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._failed(
                f"answer of the operator's service: {error!r}; expected the same version of both", False
            )
            return
        self._answer, self._all, self._remarks = answer, rows, remarks
        self.loaded = True
        self.fill(keep=True)

    def _failed(self, text: str, temporary: bool) -> None:
        # The earlier answer may be outdated, so it is removed.
        self.loaded, self._all, self._shown, self._answer = False, [], [], {}
        self.table.clear()
        words = "no answer just now" if temporary else "no answer"
        self.say(f"{self._done}. Now {words}" if self._done else f"{words}; r asks again", trouble=True)
        full = self.query_one(".full", Static)
        full.add_class("trouble")
        full.update(plain(text))

    def fill(self, keep: bool = False) -> None:
        """Show the rows that match the search."""
        word = "" if self.SERVER_SEARCHES else self.search_field.value.strip().casefold()
        found = [row for row in self._all if not word or _holds(row, word)]
        self._shown = found[:ROWS_MAX]
        table = self.table
        before = table.cursor_row if keep else 0
        self._width = self.size.width
        self._columns()
        widths = [column.width for column in table.ordered_columns]
        for row in self._shown:
            table.add_row(*(cell(one, width, row.style) for one, width in zip(row.cells, widths)))
        if self._shown:
            before = min(before, len(self._shown) - 1)
            old = self._old
            if old is not None:  # after an act: select the row that it has added
                new = (place for place, row in enumerate(self._shown) if row.cells[0] not in old)
                before, self._old = next(new, before), None
            table.move_cursor(row=before, animate=False)
        more = self._answer.get("more") or 0
        searched = self.search_field.value.strip()
        if not found:
            words = ["nothing matches" if searched else self.NOTHING]
        elif word:
            words = [f"{len(found)} of {len(self._all)} match"]
        else:
            words = [f"{len(found)} match" if searched else f"{len(found)} in the list"]
        if len(found) > ROWS_MAX or more:
            words.append(f"{len(found) - len(self._shown) + more} more are not shown: search for them")
        state = ", ".join([*words, *self._remarks])
        self.say(f"{self._done}. Now {state}" if self._done else state)
        self.detail()

    def _columns(self) -> None:
        table = self.table
        table.clear(columns=True)
        room = max(self.size.width, NARROWEST) - 2 - 2 * len(self.COLUMNS)
        left = max(NARROWEST, room - sum(width for dummy, width in self.COLUMNS))
        more = 0
        if self.GROWS:
            longest = max((cell_len(str(row.cells[0])) for row in self._shown), default=0)
            more = max(0, min(min(longest, GROWN) - self.COLUMNS[0][1], left - NARROWEST))
        for place, (name, width) in enumerate(self.COLUMNS):
            table.add_column(plain(name), width=width + more if place == 0 else width or left - more)

    @on(DataTable.RowHighlighted)
    def detail(self) -> None:
        """Show the details of the selected row."""
        full = self.query_one(".full", Static)
        full.remove_class("trouble")
        row = self.chosen()
        full.update(paragraphs(row.detail) if row else "")
        self.query_one(".detail", VerticalScroll).scroll_home(animate=False)

    def chosen(self) -> Row | None:
        place = self.table.cursor_row
        return self._shown[place] if 0 <= place < len(self._shown) else None

    @on(DataTable.RowSelected)
    def selected(self) -> None:
        row = self.chosen()
        if row is not None:
            self.app.push_screen(Message(safe(row.cells[0]), row.detail))

    # Search

    def action_search(self) -> None:
        self.search_field.display = True
        self.screen.set_focus(self.search_field)

    def action_reload(self) -> None:
        self._done = ""
        self.load()

    @on(Input.Changed, ".search")
    def search_changed(self) -> None:
        self._done = ""
        if not self.SERVER_SEARCHES:
            if self.loaded:
                self.fill()
            return
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(self.host.debounce_seconds, self.load)

    @on(Input.Submitted, ".search")
    def search_ended(self) -> None:
        self.screen.set_focus(self.table)

    def key_escape(self) -> None:
        if self.search_field.display:
            self.search_field.value = ""
            self.search_field.display = False
            self.screen.set_focus(self.table)

    # Acts

    @work(exclusive=True, group="act")
    async def form(self, action: Action) -> None:
        done = await self.app.push_screen_wait(Form(action))
        if done is not None:
            self.finished(done)

    def finished(self, done: Answer) -> None:
        """Show the result of an act, and reload."""
        words = "; ".join(safe(line) for line in done.get("effects") or [])
        number = f" (audit {safe(done['number'])})" if done.get("number") is not None else ""
        self._done = f"done{number}: {words}" if words else f"done{number}"
        self._old = {row.cells[0] for row in self._all}
        self.load()

    def undone(self) -> Answer | None:
        """Return which act the key u undoes: {} for the operator's last one, None for none."""
        return {}

    @work(exclusive=True, group="act")
    async def action_undo(self) -> None:
        which = self.undone()
        if which is None:
            return
        try:
            answer = await self.host.ask({"do": "undo", "preview": True, **which})
            if answer.get("problem"):
                await self.app.push_screen_wait(Message("Undo", [answer["problem"]]))
                return
            effects = answer.get("effects") or ["nothing changes"]
            act = answer.get("undoes") or {}
            title = f"Undo act {safe(act['number'])}" if which and act else "Undo your last act"
            if not await self.app.push_screen_wait(Confirm(title, act_lines(act) if act else [], effects)):
                return
            if act:
                which = {"number": act["number"]}  # not another one that came meanwhile
            done = await self.host.ask({"do": "undo", **which})
        except Trouble as error:
            await self.app.push_screen_wait(Message("Undo", [str(error)], trouble=True))
            return
        self.finished(done)


def act_lines(one: Mapping[str, Any]) -> list[str]:
    """Return an act of the audit log: its number and what was done, when, by whom, and why."""
    parts = (one.get("do"), one.get("list"), one.get("action"), one.get("value"))
    act = " ".join(str(word) for word in parts if word)
    until = one.get("until")
    number = "-" if one["number"] is None else one["number"]  # a refused act has none
    return [
        f"{number}: {act}",
        f"{utc(one['at'])} UTC by {one['by'] or 'the service'} (uid {one.get('from', '?')})"
        + (f", until {utc(until)} UTC" if until is not None else ""),
        f"Why: {one.get('note') or '-'}",
    ]


def _holds(row: Row, word: str) -> bool:
    """Return whether a row has the text, or the usual form of the address or network that it is."""
    text = "\n".join(str(one) for one in (*row.cells, *row.detail)).casefold()
    return word in text or usual(word) in text


class Entries(Page, inherit_bindings=False):
    """A list that operators edit."""

    LIST = ""
    WHAT = ""  # of one entry
    HINT = ""
    COLUMNS = (("Entry", 24), ("Ends in", 7), ("Why", FLEXIBLE))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add"),
        REMOVE,
        UNDO,
        SEARCH,
        RELOAD,
    ]

    def request(self, search: str) -> Answer:
        return {"do": "entries", "list": self.LIST}

    def rows(self, answer: Answer) -> list[Row]:
        return [self.row(one) for one in answer["entries"]]

    def row(self, one: Mapping[str, Any]) -> Row:
        site = one["origin"] == "site"
        until, now = one["until"], self.host.now()
        detail = [
            " ".join(word for word in (safe(one["value"]), safe(one["action"])) if word),
            f"From {'the site' if site else one['by'] or 'an operator'}; ends: "
            + ("never" if until is None else f"{utc(until)} UTC ({ends(until, now)})"),
            f"Why: {one['note'] or '-'}",
        ]
        if one["fixed"]:
            detail.append(f"Fixed: {one['fixed']}")
        ending = "fixed" if one["fixed"] else left(until, now, units=1)
        return Row(self.cells(one, ending), detail, one, "dim" if one["fixed"] else "")

    def cells(self, one: Mapping[str, Any], ending: str) -> Sequence[object]:
        return (one["value"], ending, one["note"])

    def remarks(self, answer: Answer) -> list[str]:
        fixed = sum(1 for one in answer["entries"] if one["fixed"])
        return [f"{fixed} fixed"] if fixed else []

    def asked(self, act: str, values: Values) -> Answer:
        return {
            "act": act,
            "list": self.LIST,
            "value": values["value"].strip(),
            "action": values.get("action", ""),
            "note": note_of(values),
            "seconds": seconds_of(values.get("time", "")),
        }

    def make_action(
        self, title: str, act: str, fields: Sequence[str], values: Values, intro: Sequence[str] = ()
    ) -> Action:
        return Action(
            title,
            act=lambda given: {"do": "act", **self.asked(act, given)},
            fields=fields,
            values=values,
            label=self.WHAT.capitalize(),
            hint=self.HINT,
            intro=intro,
            check=lambda given: {
                "do": "check",
                "list": self.LIST,
                "value": given["value"].strip(),
                "action": given.get("action", ""),
            },
            preview=lambda given: {"do": "preview", **self.asked(act, given)},
        )

    def adding(self, value: str = "", action: str = "", title: str = "") -> Action:
        title = title or f"Add a {self.WHAT}"
        return self.make_action(title, "add", ("value", "note", "time"), {"value": value, "action": action})

    def action_add(self) -> None:
        self.form(self.adding())

    def action_remove(self) -> None:
        row = self.chosen()
        if row is None:
            return
        value, action = str(row.given["value"]), str(row.given["action"])
        if row.given["fixed"]:
            lines = [f"{value} cannot be changed here:", row.given["fixed"]]
            self.app.push_screen(Message(f"{self.WHAT.capitalize()} {value}", lines))
            return
        values = {"value": value, "action": action}
        self.form(self.make_action(f"Remove {value}", "remove", ("note",), values))


def over(journey: Answer) -> str:
    """Return what a session's TLS is; nothing of one in plain text, or of an older gateway."""
    tls = str(journey.get("tls") or "")
    return f", over {tls.replace('/', ' ')}" if tls else ""


class Trace(Page, inherit_bindings=False):
    """What became of mail: the first page, for it is what operators are asked most."""

    TITLE = "Why has it not arrived? What became of mail"
    NOTHING = "press / and type an address, a client or a subject"
    COLUMNS = (("At (UTC)", 11), ("From", 14), ("To", 14), ("What", FLEXIBLE))
    SERVER_SEARCHES = True
    HELP = (
        "Sessions and messages in the logs, the newest first, and what became of them.",
        "/ searches by sender, recipient (@example.com: all of a domain), client, subject.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [SEARCH, RELOAD]

    def request(self, search: str) -> Answer:
        return {"do": "trace", "search": search}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in answer["journeys"]:
            sender = "-" if one["sender"] is None else one["sender"] or "<>"
            recipients = [str(name) for name in one["recipients"]]
            to = " +".join([*recipients[:1], *([str(len(recipients) - 1)] if recipients[1:] else [])]) or "-"
            outcome = "; ".join(one["outcomes"]) or "nothing was taken"
            detail = [
                f"{utc(one['at'])} UTC, client {one['client'] or '-'}{over(one)}",
                f"From: {sender}",
                *(f"To: {name}" for name in recipients),
                *(f"= {words}" for words in one["outcomes"]),
                *(f"{utc(step['at'])[11:]} {step['program']}: {step['words']}" for step in one["steps"]),
                *(f"Note: {words}" for words in one["notes"]),
            ]
            rows.append(Row((utc(one["at"])[5:], sender, to, outcome), detail, one))
        return rows


class Relay(Entries):
    GROWS = True
    LIST = "relay"
    TITLE = "Relay networks: clients that may send to any domain"
    WHAT = "network"
    HINT = "10.1.2.0/24 or one address"
    NOTHING = "no network may relay"
    HELP = ("Clients in these networks may send mail to every domain, not only to yours.",)


class Clients(Entries, inherit_bindings=False):
    LIST = "clients"
    TITLE = "Clients: allowed, or refused when they connect"
    WHAT = "client"
    HINT = "203.0.113.9 or 203.0.113.0/24"
    NOTHING = "no client is allowed or refused by hand"
    GROWS = True
    COLUMNS = (("Client", 18), ("What", 5), ("Ends in", 7), ("Why", FLEXIBLE))
    HELP = (
        "Allowed clients are never greylisted or blacklisted; denied ones are refused when they connect.",
        "a allows a client, d denies one, x removes an entry.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "allow", "Allow"),
        Binding("d", "deny", "Deny"),
        REMOVE,
        UNDO,
        SEARCH,
        RELOAD,
    ]

    def cells(self, one: Mapping[str, Any], ending: str) -> Sequence[object]:
        return (one["value"], one["action"], ending, one["note"])

    def action_allow(self) -> None:
        self.form(self.adding(action="allow", title="Allow a client"))

    def action_deny(self) -> None:
        self.form(self.adding(action="deny", title="Deny a client"))


class Senders(Entries):
    LIST = "senders"
    TITLE = "Blocked senders: refused at MAIL FROM"
    WHAT = "sender"
    HINT = "user@example.com or @example.com"
    NOTHING = "no sender is blocked"
    HELP = (
        "Mail with one of these envelope senders is refused; '@domain' means every sender of the domain.",
    )


class Trusted(Entries):
    LIST = "trusted"
    TITLE = "Trusted senders: SpamAssassin never calls them spam"
    WHAT = "sender"
    HINT = "user@example.com or @example.com"
    NOTHING = "no sender is trusted"
    HELP = ("SpamAssassin never treats mail of these senders as spam. Viruses are refused all the same.",)


class Blocked(Entries):
    LIST = "blocked"
    TITLE = "Spam senders: SpamAssassin always calls them spam"
    WHAT = "sender"
    HINT = "user@example.com or @example.com"
    NOTHING = "no sender is in this list"
    HELP = ("SpamAssassin always treats mail of these senders as spam.",)


class Recipients(Entries, inherit_bindings=False):
    LIST = "recipients"
    TITLE = "Recipients: addresses besides the directory's"
    WHAT = "recipient"
    HINT = "user@example.com"
    NOTHING = "no recipient is added by hand"
    HELP = (
        "Addresses that are accepted although the directory does not (yet) have them.",
        "l looks an address up: whether mail to it is accepted, and why.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "look", "Look up"),
        Binding("a", "add", "Add"),
        REMOVE,
        UNDO,
        SEARCH,
        RELOAD,
    ]

    @work(exclusive=True, group="act")
    async def action_look(self) -> None:
        found = await self.app.push_screen_wait(
            LookUp(
                "Look a recipient up",
                "Address",
                lambda word: {"do": "recipient", "address": word},
                known=lambda answer: bool(answer.get("known")),
            )
        )
        if found:
            done = await self.app.push_screen_wait(Form(self.adding(found)))
            if done is not None:
                self.finished(done)


class Blacklist(Page, inherit_bindings=False):
    TITLE = "Adaptive blacklist: clients refused for a time"
    NOTHING = "no address is refused"
    GROWS = True
    COLUMNS = (("Client", 15), ("Ends in", 7), ("Why", FLEXIBLE))
    HELP = (
        "Clients whose mail was mostly bad are refused for a time.",
        "e explains an address, x releases it and deletes its counted attempts.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "explain", "Explain"),
        Binding("x,delete", "release", "Release", key_display="x"),
        SEARCH,
        RELOAD,
    ]

    def request(self, search: str) -> Answer:
        return {"do": "blacklist"}

    def rows(self, answer: Answer) -> list[Row]:
        now = self.host.now()
        rows = []
        for one in answer["entries"]:
            detail = [
                f"{one['address']} is refused until {utc(one['until'])} UTC ({ends(one['until'], now)})",
                f"By: {one['by']}",
                f"Why: {one['why']}",
            ]
            rows.append(Row((one["address"], left(one["until"], now, units=1), one["why"]), detail, one))
        for one in answer.get("spared") or []:
            spared = one if isinstance(one, dict) else {"address": one, "why": ""}
            detail = [f"{spared['address']} is not refused: it is spared", f"Why: {spared.get('why', '')}"]
            cells = (spared["address"], "spared", spared.get("why", ""))
            rows.append(Row(cells, detail, spared, "dim"))
        return rows

    def remarks(self, answer: Answer) -> list[str]:
        spared = len(answer.get("spared") or [])
        return [f"{spared} of them spared"] if spared else []

    @work(exclusive=True, group="act")
    async def action_explain(self) -> None:
        row = self.chosen()
        await self.app.push_screen_wait(
            LookUp(
                "What is known about a client",
                "Address",
                lambda word: {"do": "explain", "address": word},
                value=str(row.given["address"]) if row else "",
            )
        )

    def action_release(self) -> None:
        row = self.chosen()
        self.form(
            Action(
                "Release a client",
                act=lambda given: {
                    "do": "release",
                    "address": given["value"].strip(),
                    "note": note_of(given),
                },
                fields=("value", "note"),
                values={"value": str(row.given["address"]) if row else ""},
                label="Client",
                hint="an address",
                words=lambda given: [
                    f"the adaptive blacklist refuses {given['value'].strip()} no longer",
                    "its counted attempts are deleted; new bad mail lists it again",
                ],
            )
        )


class Greylist(Page, inherit_bindings=False):
    TITLE = "Greylist: networks seen, waiting or passed"
    NOTHING = "the greylist is empty"
    GROWS = True
    COLUMNS = (("Network", 18), ("Seen (UTC)", 11), ("State", FLEXIBLE))
    SERVER_SEARCHES = True
    HELP = (
        "A new network is deferred once, and passes when it comes again.",
        "p lets a client's network pass at once. / asks the service for a part of the address.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "pass", "Let pass"), SEARCH, RELOAD]

    def request(self, search: str) -> Answer:
        return {"do": "greylist", "search": search}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in answer["entries"]:
            state = "passes" if one["passed"] else "waits"
            since = utc(one["since"])
            detail = [f"{one['network']} {state}", f"{'Last' if one['passed'] else 'First'} seen {since} UTC"]
            rows.append(Row((one["network"], since[5:], state), detail, one))
        return rows

    def action_pass(self) -> None:
        row = self.chosen()
        value = str(row.given["network"]).partition("/")[0] if row and not row.given["passed"] else ""
        self.form(
            Action(
                "Let a client pass the greylist",
                act=lambda given: {"do": "pass", "address": given["value"].strip(), "note": note_of(given)},
                fields=("value", "note"),
                values={"value": value},
                label="Client",
                hint="an address",
                words=lambda given: [
                    f"the network of {given['value'].strip()} passes the greylist from now on"
                ],
            )
        )


class Queue(Page, inherit_bindings=False):
    TITLE = "Queue: messages that are not delivered yet"
    NOTHING = "the queue is empty"
    COLUMNS = (("Since", 11), ("Size", 6), ("From", 17), ("To", FLEXIBLE))
    SERVER_SEARCHES = True
    HELP = ("f tries all deliveries now. / asks the service for a part of an address.",)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "flush", "Flush"), SEARCH, RELOAD]

    def request(self, search: str) -> Answer:
        return {"do": "queue", "search": search}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in answer["messages"]:
            sender = one["sender"] or "<>"
            waiting = [to for to in one["recipients"] if not to["done"]]
            first = (waiting or one["recipients"] or [{"address": "nobody"}])[0]["address"]
            others = len(one["recipients"]) - 1
            detail = [
                f"Message {one['id']} of {utc(one['at'])} UTC, {size(one['bytes'])}",
                f"From: {sender}",
                *(
                    f"To: {to['address']} ({to['channel']}, {'done' if to['done'] else 'waits'})"
                    for to in one["recipients"]
                ),
            ]
            to = f"{first} +{others}" if others > 0 else first
            rows.append(Row((utc(one["at"])[5:], size(one["bytes"]), sender, to), detail, one))
        return rows

    def action_flush(self) -> None:
        self.form(
            Action(
                "Flush the queue",
                act=lambda given: {"do": "flush", "note": note_of(given)},
                words=lambda given: ["every waiting delivery is tried now, not at its scheduled time"],
            )
        )


class RefusedMail(Page, inherit_bindings=False):
    TITLE = "Refused mail: copies of what was refused as spam"
    NOTHING = "no copy is kept"
    COLUMNS = (("At (UTC)", 11), ("Score", 5), ("From", 17), ("Subject", FLEXIBLE))
    SERVER_SEARCHES = True
    HELP = (
        "The senders were told that these were refused. The copies end after some days.",
        "v views one; d scans it again and delivers it to its recipients, once.",
        "h lets SpamAssassin learn it as wanted, j as junk; x deletes the copy.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "View"),
        Binding("d", "deliver", "Deliver"),
        Binding("h", "learn('ham')", "Ham"),
        Binding("j", "learn('spam')", "Junk", show=False),
        Binding("x,delete", "forget", "Forget", key_display="x"),
        SEARCH,
        RELOAD,
    ]

    def request(self, search: str) -> Answer:
        return {"do": "refused", "search": search}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in answer["messages"]:
            score = "virus" if one["virus"] else "-" if one["score"] is None else f"{one['score']:.1f}"
            sender = one["sender"] or "<>"
            detail = [
                f"Subject: {one['subject'] or '-'}",
                refusal(one),
                *([one["released"]] if one["released"] else []),
                f"From: {sender}; in the message: {one['from'] or '-'}",
                *(f"To: {to}" for to in one["recipients"]),
                f"Message {one['name']} of {utc(one['at'])} UTC, {size(one['bytes'])}",
                f"Client: {one['client'] or '-'}, id {one['id'] or '-'}",
            ]
            style = "dim" if one["released"] else ""
            rows.append(Row((utc(one["at"])[5:], score, sender, one["subject"]), detail, one, style))
        return rows

    @work(exclusive=True, group="act")
    async def action_view(self) -> None:
        row = self.chosen()
        if row is None:
            return
        try:
            answer = await self.host.ask({"do": "refused-show", "name": row.given["name"]})
            more = ["… and more, which is not shown"] if answer["cut"] else []
            lines = [*row.detail, "", *answer["header"], "", *answer["body"], *more]
        except Trouble as error:
            await self.app.push_screen_wait(Message("View", [str(error)], trouble=True))
            return
        except (KeyError, TypeError) as error:
            lines = [f"answer of the operator's service: {error!r}; expected the same version of both"]
        await self.app.push_screen_wait(Message("A refused message", lines))

    def about(self, title: str, do: str, effect: str, **more: object) -> Action | None:
        """Return an act about the selected message."""
        row = self.chosen()
        if row is None:
            return None
        one = row.given
        return Action(
            title,
            act=lambda given: {"do": do, "name": one["name"], "note": note_of(given), **more},
            intro=(
                f"From {one['sender'] or '<>'} to {', '.join(map(str, one['recipients']))}",
                one["subject"],
            ),
            words=lambda given: [effect],
        )

    @work(exclusive=True, group="act")
    async def action_deliver(self) -> None:
        action = self.about(
            "Deliver a refused message",
            "refused-release",
            "it is scanned for viruses as of today, and delivered to all of its recipients, once",
        )
        done = await self.app.push_screen_wait(Form(action)) if action is not None else None
        if done is None:
            return
        self.finished(done)
        sender = str(done.get("trust") or "")
        if sender and await self.app.push_screen_wait(
            Confirm(
                "Trust this sender, too?",
                [sender],
                ["a form opens: SpamAssassin never calls mail of this sender spam again"],
            )
        ):
            trusted = await self.app.push_screen_wait(Form(Trusted("offered").adding(sender)))
            if trusted is not None:
                self.finished(trusted)

    def action_learn(self, kind: str) -> None:
        words = {"ham": "wanted mail (ham)", "spam": "junk (spam)"}[kind]
        action = self.about(
            f"Learn as {words}",
            "refused-learn",
            f"SpamAssassin's Bayes filter learns the words of this message as {words}",
            kind=kind,
        )
        if action is not None:
            self.form(action)

    def action_forget(self) -> None:
        action = self.about("Forget a refused message", "refused-forget", "its copy is deleted for good")
        if action is not None:
            self.form(action)


def refusal(one: Mapping[str, Any]) -> str:
    """Describe why a kept message was refused."""
    if one["virus"]:
        return f"Refused: virus {one['virus']}"
    rules = ", ".join(str(rule) for rule in one["rules"]) or "-"
    return f"Refused: score {one['score']}, of {one['limit']}; rules: {rules}"


class Audit(Page, inherit_bindings=False):
    TITLE = "Audit: who did what, when and why"
    NOTHING = "no acts yet"
    COLUMNS = (("No", 5), ("At (UTC)", 11), ("Who", 9), ("Act", FLEXIBLE))
    HELP = (
        "The last 500 acts, the newest first. u undoes the selected one, after you saw what that does.",
        "A release, a pass, a flush and acts about refused mail cannot be undone.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [UNDO, SEARCH, RELOAD]

    def undone(self) -> Answer | None:
        row = self.chosen()
        if row is not None and row.given["number"] is None:
            lines = ["this act was refused, so there is nothing to undo"]
            self.app.push_screen(Message("Undo", lines))
            return None
        return {} if row is None else {"number": row.given["number"]}

    def request(self, search: str) -> Answer:
        return {"do": "audit", "limit": 500}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in answer["records"]:
            parts = (one.get("do"), one.get("list"), one.get("action"), one.get("value"))
            act = " ".join(str(word) for word in parts if word)
            number = "-" if one["number"] is None else one["number"]  # a refused act has none
            detail = [*act_lines(one), *(f"- {line}" for line in one.get("effects") or [])]
            rows.append(Row((number, utc(one["at"])[5:], one["by"] or "-", act), detail, one))
        return rows


STATES: Mapping[int, tuple[str, str, int]] = {
    0: ("OK", "", 3),
    1: ("WARNING", "bold", 2),
    2: ("CRITICAL", "bold reverse", 0),
    3: ("UNKNOWN", "bold", 1),
}


class Status(Page):
    TITLE = "Status: the health of the gateway"
    NOTHING = "no findings"
    COLUMNS = (("State", 9), ("What", 18), ("Finding", FLEXIBLE))
    HELP = ("The findings of `mailgate doctor --quick`, the worst first, and what to do about them.",)

    def request(self, search: str) -> Answer:
        return {"do": "status"}

    def rows(self, answer: Answer) -> list[Row]:
        rows = []
        for one in sorted(answer["doctor"]["findings"], key=lambda found: _state(found["status"])[2]):
            word, style, dummy = _state(one["status"])
            detail = [f"{word}: {one['text']}"]
            if one.get("advice"):
                detail.append(f"Do: {one['advice']}")
            rows.append(Row((word, one["check"], one["text"]), detail, one, style))
        return rows

    def remarks(self, answer: Answer) -> list[str]:
        return [f"overall: {_state(answer['doctor']['status'])[0]}"]


def _state(status: object) -> tuple[str, str, int]:
    return STATES.get(status if isinstance(status, int) else 3, STATES[3])


# The key, the name for --page, the text in the menu, and the page
PAGES: Sequence[tuple[str, str, str, Callable[[str], Page]]] = (
    ("t", "trace", "Not arrived?", Trace),
    ("1", "relay", "Relay networks", Relay),
    ("2", "clients", "Clients", Clients),
    ("3", "senders", "Blocked senders", Senders),
    ("4", "trusted", "Trusted senders", Trusted),
    ("5", "spam", "Spam senders", Blocked),
    ("6", "recipients", "Recipients", Recipients),
    ("7", "blacklist", "Blacklist", Blacklist),
    ("8", "greylist", "Greylist", Greylist),
    ("9", "queue", "Queue", Queue),
    ("m", "refused", "Refused mail", RefusedMail),
    ("0", "audit", "Audit", Audit),
    ("s", "status", "Status", Status),
)
