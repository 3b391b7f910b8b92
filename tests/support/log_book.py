# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log of multilog in the making, for tests of what is found in it."""

from __future__ import annotations

import re

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import archive

BEGIN = 1_795_000_000
NS = 1_000_000_000
LONGEST_LINE = 250


class Book:
    """A log in the making: lines with times, then files of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, at: float, *texts: str) -> None:
        for number, text in enumerate(texts):
            self.lines.append(f"{tai64n.render(BEGIN * NS + int(at * NS) + number * 1_000_000)} {text}\n")

    def log(self, *cuts: int, end: str = ".s") -> archive.Log:
        """Return the log, cut into files behind so many bytes; a line may be cut, too."""
        whole = "".join(sorted(self.lines, key=lambda line: line[:25])).encode("utf-8", "surrogateescape")
        places = [0]
        for place in sorted(cut % (len(whole) + 1) for cut in cuts):
            if place - places[-1] > LONGEST_LINE:  # no line goes over three files
                places.append(place)
        places.append(len(whole))
        parts = [whole[first:last] for first, last in zip(places, places[1:])]
        return archive.Log([file(part, end) for part in parts])


def file(data: bytes, end: str = ".s") -> archive.File:
    first = None
    for line in data.split(b"\n"):
        if re.fullmatch(rb"@[0-9a-f]{24}", line[:25]):
            first = tai64n.parse(line[:25].decode())
            break
    return archive.File(first, lambda: data, bool(data) and not data.endswith(b"\n") and end == ".s")
