# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data of the adaptive blacklist: kinds of evidence, events, and entries."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ..formats.smtpd_log import Verdict
from ..maillog import verdicts

SPAM, HAM, VIRUS, RECIPIENT, OTHER = "spam", "ham", "virus", "recipient", "other"
NETWORK = "network"  # evidence against a /48: one of its /64s was listed
BAD = frozenset((SPAM, VIRUS, RECIPIENT))
RULE, OPERATOR, SITE, PEER = "rule", "operator", "site", "peer"
ORDER_SECONDS_MAX = 30 * 86_400  # of an operator's order, and of a peer's
# What the site forbids, or what is too much to scan, is not evidence of a bad client.
_COUNTS_AS = {
    verdicts.SPAM: SPAM,
    verdicts.VIRUS: VIRUS,
    verdicts.CONTENT: OTHER,
    verdicts.LIMIT: OTHER,
    verdicts.CLEAN: HAM,
}
_BY_SCORE = (verdicts.SPAM, verdicts.MARKED, verdicts.CLEAN)
# One attempt: time, kind, and a short description
Event = tuple[int, str, str]


class Entry:
    """One refused client: begin, end, reason, author, counted events, and the number of later attempts.

    While the clock is not trusted, capped may hold an earlier end than until, by that clock; it is not saved.
    """

    __slots__ = ("address", "by", "capped", "events", "more", "since", "until", "why")

    def __init__(
        self, address: str, since: int, until: int, why: str, by: str, events: Iterable[Event], more: int = 0
    ) -> None:
        self.address, self.since, self.until, self.why, self.by = address, since, until, why, by
        self.events, self.more = tuple(events), more
        self.capped: int | None = None

    @property
    def end(self) -> int:
        """When it ends by the clock of now."""
        return self.until if self.capped is None else min(self.until, self.capped)


def kind_of(verdict: Verdict, marked: str = SPAM, spam_score: float = 0.0) -> str | None:
    """Return the kind of evidence of a verdict, or None for a message that was not scanned for spam.

    spam_score: the site's limit, where recipients' domains have limits of their own; 0 where none has.
    """
    kind = verdicts.meaning(verdict)
    score = verdict.score if spam_score and kind in _BY_SCORE else None
    if score is not None and (score >= spam_score) != (kind != verdicts.CLEAN):
        return OTHER  # by the limits of one domain alone
    if kind == verdicts.MARKED:
        return OTHER if marked == "neither" else marked
    return _COUNTS_AS.get(kind)


def events_of(data: Any) -> list[Event]:
    """Return events from their JSON values; raises ValueError and TypeError."""
    return [(int(at), sys.intern(str(kind)), str(detail)) for at, kind, detail in data]


def event_words(event: Event) -> dict[str, Any]:
    """Return an event as JSON values for people."""
    return {"at": event[0], "what": event[1], "bad": event[1] in BAD, "detail": event[2]}


def entry_words(entry: Entry) -> dict[str, Any]:
    """Return an entry without its address and its events, as JSON values for people."""
    words = {"since": entry.since, "until": entry.end, "why": entry.why, "by": entry.by}
    return {**words, "counted": len(entry.events), "more": entry.more}
