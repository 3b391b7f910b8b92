# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened on this host, read from what the single writers leave: their logs and the operators' files.

GreyFeed       smtpfront's and cqgreylist's lines in the log of qmail-smtpd
AdaptiveFeed   the log of the service adaptive-blacklist
ListFeed       the operators' files; what changed there since they were last read

What a peer said and a writer of this host wrote down is not news. Of the greylist and the adaptive blacklist
it is not seen here at all, because their logs tell only what sessions and this host's people did. In the
lists it is known by applied(), and after a crash by its author, who is on the peer's host.
"""

from __future__ import annotations

import dataclasses
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core import times
from ..core.errors import BadInput
from ..formats import tai64n
from ..formats.multilog import Follower
from ..formats.smtpd_log import NANOSECONDS, parse
from ..formats.smtpd_records import Greylisted
from ..operators import entries
from . import facts
from .facts import ADAPTIVE, CLIENT, LIST, LIST_OF, RELEASE, REMOVE, SCORE, SENDER, Act, Grey, Key
from .merge import Acts
from .versions import Version

REMEMBERED_MAX = 100_000  # networks that were told lately
ENDED_SECONDS = 120  # an entry that is removed so shortly before its end has ended
LONGER_SECONDS = 60  # a listing that ends by so much later is another one


@dataclass(frozen=True)
class Draft:
    """An act of this host that has no version yet."""

    kind: str
    value: str
    action: str
    by: str
    note: str
    until: int | None
    at: int


def draft_of(act: Act) -> Draft:
    """Return what an act of this host was made of."""
    return Draft(act.kind, act.value, act.action, act.by, act.note, act.until, act.at)


def act_of(draft: Draft, acts: Acts) -> Act | None:
    """Return the act of a draft, with the next version; None if the merged acts say the same already.

    Raises BadInput for one that cannot be told to others.
    """
    standing = acts.get((draft.kind, draft.value))
    gone = draft.action in (RELEASE, REMOVE)
    if gone and (standing is None or standing.gone):
        return None
    mine = dataclasses.replace(draft, by=_by_this_host(draft.by, acts))
    facts.parse(facts.render(_made(mine, Version(1, acts.counters.host), None)))
    if standing is not None and not standing.gone:
        if _made(draft, standing.version, None).same(standing):
            return None
        known = standing.until or 0
        if draft.kind == ADAPTIVE and not gone and (draft.until or 0) <= known + LONGER_SECONDS:
            return None
    return _made(mine, acts.counters.next(), None if standing is None else standing.version)


def _by_this_host(by: str, acts: Acts) -> str:
    """Return an author that ends in this host, which each host's acts must.

    Who undoes here what took back a peer's entry has an entry with the peer's author.
    """
    host = acts.counters.host
    whose = by.rpartition("@")[2]
    if whose == host:
        return by
    return f"operator@{host}" if acts.counters.of(whose) else f"{by}@{host}"


def _made(draft: Draft, version: Version, over: Version | None) -> Act:
    return Act(
        draft.kind, draft.value, draft.action, draft.by, draft.note, draft.until, draft.at, version, over
    )


def author(by: str, host: str) -> str:
    """Return who acted with their host: 'alice@mx1'; one that was told by a peer has its host already."""
    return by if "@" in by else f"{by or 'operator'}@{host}"


class GreyFeed:
    """Networks that this host greylisted, or let pass; each that passed is told again once a renewal."""

    def __init__(self, renewal_seconds: int) -> None:
        self._renewal_seconds = renewal_seconds
        self._told: OrderedDict[str, Grey] = OrderedDict()

    def read(self, lines: Iterable[str]) -> list[Grey]:
        """Return what these lines of the log of qmail-smtpd tell."""
        found = []
        for line in lines:
            record = parse(line)
            if not isinstance(record, Greylisted) or record.decision not in ("new", "passed", "known"):
                continue
            try:
                network = facts.grey_network(record.key, "log")
            except BadInput:
                continue
            grey = Grey(network, record.decision != "new", record.at // NANOSECONDS)
            if record.decision != "known" or not self._fresh(grey):
                self.heard([grey])
                found.append(grey)
        return found

    def _fresh(self, grey: Grey) -> bool:
        told = self._told.get(grey.network)
        return told is not None and told.passed and 0 <= grey.at - told.at < self._renewal_seconds

    def heard(self, greys: Iterable[Grey]) -> None:
        """Remember what was told, here or by a peer."""
        for one in greys:
            self._told.pop(one.network, None)
            self._told[one.network] = one
            if len(self._told) > REMEMBERED_MAX:
                self._told.popitem(last=False)


_LISTED = re.compile(r"adaptive-blacklist: (?:listed|added) (\S{2,50}) until (\S+ \S+) UTC: ([ -~]+)")
_RELEASED = re.compile(r"adaptive-blacklist: released (\S{2,50}) by operator: [ -~]*")
_UTC = ("%Y-%m-%d %H:%M:%S",)


def adaptive_drafts(lines: Iterable[str], host: str) -> list[Draft]:
    """Return what these lines of the adaptive blacklist's log tell: listed, or released by an operator.

    What the site's settings add or release stays here, and so does what a peer said.
    """
    found = []
    for line in lines:
        label, _space, text = line.partition(" ")
        try:
            at = tai64n.parse(label) // NANOSECONDS
        except BadInput:
            continue
        listed = _LISTED.fullmatch(text)
        if listed is not None:
            until = times.parse_utc(listed[2], _UTC)
            if until is not None:
                note = listed[3][: facts.NOTE_CHARACTERS_MAX]
                found.append(Draft(ADAPTIVE, listed[1], LIST, f"blacklist@{host}", note, until, at))
            continue
        released = _RELEASED.fullmatch(text)
        if released is not None:
            found.append(Draft(ADAPTIVE, released[1], RELEASE, f"operator@{host}", "", None, at))
    return found


# The operators' lists


Row = tuple[str, str, str, "int | None"]  # action, by, note, until
View = dict[Key, Row]
Texts = Mapping[str, "tuple[str | None, str]"]  # of each list its text, None without a file, and its path


def view_of(texts: Texts, host: str) -> View:
    """Return the operators' entries that travel; raises BadInput.

    Entries that were written by hand in another form, and whatever the tool did not write, stay here.
    """
    view: View = {}
    for (kind, action), (name, word) in LIST_OF.items():
        text, path = texts[name]
        for one in entries.entries(name, text or "", path):
            if not one.fixed and one.action == word:
                view[kind, one.value] = (action, author(one.note.by, host), one.note.note, one.note.until)
    return view


def list_drafts(before: View, now_there: View, host: str, now: float) -> list[Draft]:
    """Return the acts that make one view of the lists the other, those that take back first.

    An entry that is gone because it has ended is not an act.
    """
    at = int(now)
    taken, made = [], []
    for key, (_action, _by, _note, until) in before.items():
        if key not in now_there and not (until is not None and until <= now + ENDED_SECONDS):
            taken.append(Draft(*key, REMOVE, f"operator@{host}", "", None, at))
    for (kind, value), row in now_there.items():
        action, by, note, until = row
        if before.get((kind, value)) != row and not (until is not None and until <= now):
            made.append(Draft(kind, value, action, by, note, until, at))
    return taken + made


def view_values(view: View) -> list[list[object]]:
    """Return a view as JSON values, for parse_view()."""
    return [[*key, *row] for key, row in sorted(view.items())]


def parse_view(value: object, where: str) -> View:
    """Parse what view_values() returned; raises BadInput."""
    view: View = {}
    for item in value if isinstance(value, list) else [None]:
        if (
            not isinstance(item, list)
            or len(item) != 6
            or not all(isinstance(one, str) for one in item[:5])
            or item[0] not in (CLIENT, SENDER, SCORE)
            or not (item[5] is None or isinstance(item[5], int))
        ):
            raise BadInput(f"{where}: {item!r:.80} is damaged; expected an entry of six values")
        view[item[0], item[1]] = (item[2], item[3], item[4], item[5])
    return view


@dataclass
class Happened:
    """What happened on this host since the last read."""

    greys: Sequence[Grey] = ()
    drafts: Sequence[Draft] = ()
    lost: Sequence[Key] = ()  # entries of a list whose file was lost with all of them
    first: bool = False  # what changed in the lists since an earlier run saved its state


class Feed:
    """All that happens on this host; read() never waits."""

    def __init__(
        self,
        host: str,
        smtp: Follower,
        adaptive: Follower,
        lists: Callable[[], Texts | None],
        grey: GreyFeed,
        view: View | None = None,
    ) -> None:
        """Take the two logs, and a function that returns the lists' texts, or None if unchanged.

        Without a view every entry of the lists is news, and none was removed.
        """
        self.host, self.smtp, self.adaptive, self.grey = host, smtp, adaptive, grey
        self.view: View = {} if view is None else view
        self.trouble: dict[str, str] = {}  # by what could not be read: why
        self._lists = lists
        self._damaged = ""  # why the lists, as they were read last, cannot be told
        self.was_read = False  # the lists, by this run

    def read(self, now: float) -> Happened:
        """Return what happened; what cannot be read now is in trouble."""
        greys = self.grey.read(self._lines("log of qmail-smtpd", self.smtp))
        lines = self._lines("log of adaptive-blacklist", self.adaptive)
        drafts = [
            one
            for one in adaptive_drafts(lines, self.host)
            if one.until is None or one.until > now  # else an old line of the log
        ]
        lost: list[Key] = []
        first = not self.was_read
        self.trouble.pop("operators' lists", None)
        try:
            texts = self._lists()
            if texts is not None:
                self._damaged = ""
                lost = self._lost(texts)
                there = view_of(texts, self.host)
                drafts += list_drafts(self.view, there, self.host, now)
                self.view, self.was_read = there, True
        except BadInput as error:
            self._damaged = str(error)
        except OSError as error:
            self.trouble["operators' lists"] = str(error)
        if self._damaged:  # the file stays so until somebody mends it
            self.trouble["operators' lists"] = self._damaged
        return Happened(greys, drafts, lost, first)

    def _lost(self, texts: Texts) -> list[Key]:
        """Forget the entries of each file that is not there any more, and return them.

        The service operator empties a file and never removes it, so nobody took these entries back.
        """
        lost = [
            key for key, (action, *_more) in self.view.items() if texts[LIST_OF[key[0], action][0]][0] is None
        ]
        for key in lost:
            del self.view[key]
        return lost

    def applied(self, act: Act) -> None:
        """Take notice that a peer's act is in the lists now."""
        if act.kind == ADAPTIVE:
            return
        if act.gone:
            self.view.pop(act.key, None)
        else:
            self.view[act.key] = (act.action, act.by, act.note, act.until)

    def _lines(self, what: str, follower: Follower) -> list[str]:
        self.trouble.pop(what, None)
        try:
            return follower.read()
        except OSError as error:
            self.trouble[what] = str(error)
            return []
