# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log of the operators' acts: a file to which lines are only appended.

Each act is a line before it is done, {"number": N, "stage": "begun", …all details…}, and one after it,
{"number": N, "stage": "done" | "failed" | "unknown", "why": ""}. Each line is synced before the next step. So
of an interrupted act it is known what it was to do, and the next start of the service records whether it
took effect. An act that was refused is one line, {"stage": "refused", "why": "…", …what was asked…}, without
a number.
"""

from __future__ import annotations

import collections
import heapq
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..core.errors import BadInput

BEGUN, DONE, FAILED, UNKNOWN, REFUSED = "begun", "done", "failed", "unknown", "refused"
KEPT = 20_000  # acts kept in memory; the file has all of them
REFUSED_KEPT = 1000  # refusals kept besides
REFUSED_MAX, REFUSED_SECONDS = (
    30,
    60,
)  # so many refusals of one caller are recorded in so long; more are counted
LINE_BYTES_MAX = 1 << 20
SHOWN_KEYS = ("number", "at", "by", "do", "list", "value", "action", "note", "until", "effects", "from")

Record = dict[str, Any]


class Audit:
    """The audit log of one service, its only writer."""

    def __init__(self, path: str, gid: int = -1) -> None:
        """Read the file; raises OSError."""
        self.path = path
        self.number = 0
        self._acts: collections.OrderedDict[int, Record] = collections.OrderedDict()
        # Each with the number of the act before it
        self._refused: collections.deque[tuple[int, Record]] = collections.deque(maxlen=REFUSED_KEPT)
        self._callers: dict[int, tuple[float, int]] = {}  # since when, and how many refusals
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o640)
        os.fchown(self._descriptor, -1, gid)
        os.fchmod(self._descriptor, 0o640)
        self._read()

    def close(self) -> None:
        os.close(self._descriptor)

    def _read(self) -> None:
        end = b"\n"
        with open(self.path, "rb") as stream:
            while line := stream.readline(LINE_BYTES_MAX):
                end = line
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # an incomplete line: its act was not begun
                if isinstance(record, dict) and (
                    isinstance(record.get("number"), int) or record.get("stage") == REFUSED
                ):
                    self._take(record)
        if not end.endswith(b"\n"):
            os.write(self._descriptor, b"\n")

    def _take(self, record: Record) -> None:
        if record.get("stage") == REFUSED:
            self._refused.append((self.number, record))
            return
        number = record["number"]
        self.number = max(self.number, number)
        if record.get("stage") == BEGUN:
            self._acts[number] = record
        elif number in self._acts:
            self._acts[number]["stage"] = record.get("stage")
        while len(self._acts) > KEPT:
            self._acts.popitem(last=False)

    def _append(self, record: Record) -> None:
        line = json.dumps(record).encode("ascii") + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise BadInput(f"audit record: would have {len(line)} bytes; expected at most {LINE_BYTES_MAX}")
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(f"file {self.path}: the disk is full")
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, start)  # only this line, which was not reported to anybody
            raise
        self._take(record)

    def begin(self, record: Record) -> int:
        """Record an act and return its number; raises OSError, and then the act must not be done."""
        number = self.number + 1
        self._append({"number": number, "stage": BEGUN, **record})
        return number

    def end(self, number: int, stage: str = DONE, why: str = "") -> None:
        """Record the result of an act."""
        self._append({"number": number, "stage": stage, "why": why})

    def refuse(self, record: Record) -> None:
        """Record an act that was refused, with why, at and from; raises OSError.

        Of a caller that is refused all the time only some are recorded, and how many were not.
        """
        since, count = self._callers.get(record["from"], (record["at"], 0))
        if not 0 <= record["at"] - since < REFUSED_SECONDS:
            if count > REFUSED_MAX:
                record = {**record, "left_out": count - REFUSED_MAX}
            since, count = record["at"], 0
        self._callers[record["from"]] = since, count + 1
        if count < REFUSED_MAX:
            self._append({"stage": REFUSED, **record})

    def settle(self, stage_of: Callable[[Record], str]) -> list[Record]:
        """End interrupted acts at the stage that the files show, and return them."""
        open_acts = [one for one in self._acts.values() if one["stage"] == BEGUN]
        for record in open_acts:
            self.end(record["number"], stage_of(record), "interrupted")
        return [self._acts[one["number"]] for one in open_acts]

    def done(self) -> Iterator[Record]:
        """Return the acts that were done, newest first."""
        return (one for one in reversed(list(self._acts.values())) if one["stage"] == DONE)

    def shown(self, limit: int) -> list[Record]:
        """Return the newest acts in the form that operators see."""
        found: list[Record] = []
        acts = ((number, 0, one) for number, one in reversed(list(self._acts.items())))
        refused = ((number, 1, one) for number, one in reversed(list(self._refused)))
        for _number, _kind, one in heapq.merge(acts, refused, key=lambda place: place[:2], reverse=True):
            if len(found) >= limit:
                break
            if one["stage"] in (DONE, UNKNOWN):
                found.append({key: one.get(key) for key in SHOWN_KEYS})
            if one["stage"] == REFUSED:
                more = one.get("left_out")
                words = [f"refused: {one.get('why')}"]
                words += [f"{more} more refusals before it are not recorded"] if more else []
                found.append({**{key: one.get(key) for key in SHOWN_KEYS}, "effects": words})
            if one["stage"] == UNKNOWN:
                found[-1]["effects"] = ["it was interrupted; whether it took effect is unknown"]
        return found
