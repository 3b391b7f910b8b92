# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which message of the queue results from which verdict of the scanner, in logs of version 0.2 and before.

No line of theirs connects the two, so envelope sender, recipients and time do; the output says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..formats.smtpd_log import NANOSECONDS
from .journey import Attempt, Message

WIDEST_MATCH_SECONDS = 1800  # qmail-send scans its todo directory at least this often
_NOT_SAFE = re.compile(r"[^!-~]|[%:]")


def plain(address: str) -> str:
    """Return an address in the common form of simscan's and qmail-send's lines."""
    return _NOT_SAFE.sub("_", address).lower()


def sender_fits(given: str | None, queued: str) -> bool:
    """Return whether the sender of a line of simscan or qmail-smtpd can be that of a message of the queue.

    qmail-smtpd escapes characters, and cuts a long one, with a backslash; such a sender fits any.
    """
    return given is None or "\\" in given or plain(given) == plain(queued)


def recipients_fit(scanned: Iterable[str], queued: Iterable[str]) -> int:
    """Return how well the recipients fit: 2 all are the same, 1 some are, 0 none is."""
    mine, theirs = {plain(one) for one in scanned}, {plain(one) for one in queued}
    cut = "..." in mine
    mine.discard("...")
    # qmail adds the gateway's own name to a recipient without a domain.
    bare = {one for one in mine if "@" not in one}
    theirs = {local if (local := one.rpartition("@")[0]) in bare else one for one in theirs}
    if mine == theirs and not cut:
        return 2
    return 1 if mine & theirs or (cut and not mine) else 0


def match(
    attempt: Attempt, session_pid: int, messages: Sequence[Message], uid: int | None = None
) -> tuple[int, str] | None:
    """Return (place in messages, reason) of the likeliest message of this accepted attempt, or None.

    The sender must be the same (simscan writes it in lower case). Then the same recipients come before some
    of them, then the nearest in time, then the nearest pid: qmail-queue's is soon after qmail-smtpd's. With
    uid, that of qmaild, only messages that came by SMTP are considered.
    """
    if attempt.sender is None:
        return None
    found = []
    for place, message in enumerate(messages):
        if message.sender is None or message.begun is None or plain(message.sender) != plain(attempt.sender):
            continue
        if uid is not None and message.uid is not None and message.uid != uid:
            continue
        apart = abs(message.begun - attempt.at)
        if apart > WIDEST_MATCH_SECONDS * NANOSECONDS:
            continue
        queued = message.recipients()
        fit = recipients_fit(attempt.recipients, queued) if queued else 1
        if not fit:
            continue
        behind = ((message.queue_pid or 0) - session_pid) % 4_194_304
        found.append((-fit, apart, behind, place))
    if not found:
        return None
    found.sort()
    fit, apart, _behind, place = found[0]
    near = sum(1 for one in found if one[0] == fit and one[1] <= apart + NANOSECONDS)
    which = "same sender and recipients" if fit == -2 else "same sender"
    why = f"{which}, {apart / NANOSECONDS:.3f} s apart"
    if near > 1:
        why += f", the nearest of {near}"
    return place, why
