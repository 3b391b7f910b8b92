# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the gateway was taken out by `mailgate drain`, and since when."""

from __future__ import annotations

from ..core.paths import DRAINED
from ..core.times import span, utc
from ..host import drain
from .context import Context
from .findings import OK, WARNING, Finding

_CHECK = "drained"


def drained(context: Context) -> list[Finding]:
    """Check that new sessions of other hosts are taken."""
    mark = drain.read(context.path(DRAINED))
    if mark is None:
        return [Finding(_CHECK, OK, "new sessions are taken")]
    note = f" ({mark.note})" if mark.note else ""
    ago = span(max(0.0, context.now - mark.since))
    text = f"other hosts hear 421: taken out {ago} ago, {utc(mark.since)}, by {mark.by}{note}"
    return [Finding(_CHECK, WARNING, text, "when its work is done: mailgate undrain")]
