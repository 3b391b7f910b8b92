# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The meaning of simscan's verdicts for a message."""

from __future__ import annotations

import math

from ..formats.smtpd_log import Verdict

VIRUS, SPAM, CONTENT = "virus", "spam", "refused content"
LIMIT = "beyond scan limits"  # more than the virus scanner looks at
CLEAN, MARKED, UNCHECKED, RELAYED = "clean", "marked", "not checked for spam", "relayed"
TAKEN = "accepted"  # without a verdict of simscan, as by a rule with another QMAILQUEUE
ACCEPTED = frozenset((CLEAN, MARKED, UNCHECKED, RELAYED, TAKEN))

_BY_STATE = {
    "VIRUS": VIRUS,
    "VIRUS DROPPED": VIRUS,
    "SPAM REJECT": SPAM,
    "SPAM DROPPED": SPAM,
    "ATTACH": CONTENT,
    "REGEX": CONTENT,
    "HEURISTIC": CONTENT,
    "LIMIT": LIMIT,
    "SPAM PASS": MARKED,
    "PASSTHRU": MARKED,
    "RELAYCLIENT": RELAYED,
}


def meaning(verdict: Verdict) -> str:
    """Return VIRUS, SPAM, CONTENT or LIMIT for a refused message, or one of ACCEPTED.

    simscan 1.4.0 logs CLEAN for a message that SpamAssassin takes for spam and simscan delivers; a score of 0
    of 0 means that it was not checked.
    """
    known = _BY_STATE.get(verdict.state)
    if known is not None:
        return known
    score, required = verdict.score, verdict.required
    if score is None or not required or not math.isfinite(score + required):
        return UNCHECKED
    return CLEAN if score < required else MARKED
