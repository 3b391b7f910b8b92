# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operator notes: a comment with a JSON object above a line of a fragment.

# {"by": "alice", "note": "infected until reinstalled", "until": 1795000000}
10.0.0.9:deny
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import BadInput

BEGIN = "# {"
EXPECTED = '\'# {"by": "name", "note": "text", "until": SECONDS}\', each of them optional'


@dataclass(frozen=True)
class Note:
    """Who wrote a line, why, and when it expires: unix seconds, None for never."""

    by: str = ""
    note: str = ""
    until: int | None = None

    def over(self, now: float) -> bool:
        """Return whether the line has expired."""
        return self.until is not None and self.until <= now


NONE = Note()


def parse_note(line: str, where: str) -> Note | None:
    """Parse the note in a line; return None for any other comment; raises BadInput for a damaged note.

    A damaged note is not taken for a comment: its expiry would be lost, and the line below would hold for
    ever.
    """
    if not line.startswith(BEGIN):
        return None
    text = line.strip()
    try:
        found = json.loads(text[2:])
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: {text!r} is not valid JSON; expected {EXPECTED}") from error
    by, note, until = found.get("by", ""), found.get("note", ""), found.get("until")
    unknown = sorted(set(found) - {"by", "note", "until"})
    if unknown:
        raise BadInput(f"{where}: {text!r} has {unknown[0]!r}, which is not known; expected {EXPECTED}")
    if not isinstance(by, str) or not isinstance(note, str):
        raise BadInput(f"{where}: {text!r} has a value that is not a string; expected {EXPECTED}")
    if until is not None and (isinstance(until, bool) or not isinstance(until, int)):
        raise BadInput(f"{where}: {text!r} ends at {until!r}; expected whole unix seconds")
    return Note(by, note, until)


def notes(lines: Sequence[str], name: str) -> dict[int, Note]:
    """Return the notes of a text by the number of the line below each; raises BadInput."""
    found: dict[int, Note] = {}
    for number, line in enumerate(lines, 1):
        if not line.startswith(BEGIN):  # true of nearly every line, so tested first for speed
            continue
        note = parse_note(line, f"{name} line {number}")
        if note is not None:
            found[number + 1] = note
    return found
