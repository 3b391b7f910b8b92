# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the adaptive blacklist counts and keeps: kinds of evidence, events, and entries."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..formats.smtpd_log import Verdict

SPAM, HAM, VIRUS, RECIPIENT, OTHER = "spam", "ham", "virus", "recipient", "other"
BAD = frozenset((SPAM, VIRUS, RECIPIENT))
RULE, OPERATOR, SITE = "rule", "operator", "site"
# When, what, and a few words: one attempt.
Event = tuple[int, str, str]


class Entry:
    """One refused address: since when, until when, why, by whom, the counted events, how many more came."""

    __slots__ = ("address", "by", "events", "more", "since", "until", "why")

    def __init__(
        self, address: str, since: int, until: int, why: str, by: str, events: Iterable[Event], more: int = 0
    ) -> None:
        self.address, self.since, self.until, self.why, self.by = address, since, until, why, by
        self.events, self.more = tuple(events), more


def kind_of(verdict: Verdict, marked: str = SPAM) -> str | None:
    """What a verdict counts as; None for a message that nobody scanned for spam, which counts neither way."""
    state = verdict.state
    if state in ("SPAM REJECT", "SPAM DROPPED", "REGEX"):
        return SPAM
    if state in ("VIRUS", "VIRUS DROPPED"):
        return VIRUS
    if state == "ATTACH":
        return OTHER
    if state in ("SPAM PASS", "PASSTHRU"):
        return OTHER if marked == "neither" else marked
    score, required = verdict.score, verdict.required
    if state != "CLEAN" or score is None or not required or not math.isfinite(score + required):
        return None
    if score < required:
        return HAM
    return OTHER if marked == "neither" else marked  # simscan 1.4.0 calls these CLEAN, too
