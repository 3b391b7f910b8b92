# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What operators did: a file of lines that is only ever added to.

Each act is a line before it is done, {"number": N, "stage": "begun", ...all about it...}, and one after it,
{"number": N, "stage": "done" | "failed" | "unknown", "why": ""}. Both are on the disk before anything goes
on. So of an act that was interrupted it is known what it was to be, and the next start says what became
of it.
"""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..core.errors import BadInput

BEGUN, DONE, FAILED, UNKNOWN = "begun", "done", "failed", "unknown"
KEPT = 20_000  # acts that are remembered; the file keeps all of them
LINE_BYTES_MAX = 1 << 20
SHOWN_KEYS = ("number", "at", "by", "do", "list", "value", "action", "note", "until", "effects", "from")

Record = dict[str, Any]


class Audit:
    """The log of one service; nobody else writes to it."""

    def __init__(self, path: str, gid: int = -1) -> None:
        """Reads what is there; raises OSError."""
        self.path = path
        self.number = 0
        self._acts: collections.OrderedDict[int, Record] = collections.OrderedDict()
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
                    continue  # a line that was cut off, of an act that was not begun
                if isinstance(record, dict) and isinstance(record.get("number"), int):
                    self._take(record)
        if not end.endswith(b"\n"):
            os.write(self._descriptor, b"\n")

    def _take(self, record: Record) -> None:
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
            os.ftruncate(self._descriptor, start)  # of this line only, of which nobody was told
            raise
        self._take(record)

    def begin(self, record: Record) -> int:
        """Keeps what is about to be done; its number. Raises OSError, and then nothing may be done."""
        number = self.number + 1
        self._append({"number": number, "stage": BEGUN, **record})
        return number

    def end(self, number: int, stage: str = DONE, why: str = "") -> None:
        """Keeps what became of it."""
        self._append({"number": number, "stage": stage, "why": why})

    def settle(self, stage_of: Callable[[Record], str]) -> list[Record]:
        """Ends the acts that were interrupted at the stage that each has by what is there now; those acts."""
        open_acts = [one for one in self._acts.values() if one["stage"] == BEGUN]
        for record in open_acts:
            self.end(record["number"], stage_of(record), "interrupted")
        return [self._acts[one["number"]] for one in open_acts]

    def done(self) -> Iterator[Record]:
        """The acts that were done, newest first."""
        return (one for one in reversed(list(self._acts.values())) if one["stage"] == DONE)

    def shown(self, limit: int) -> list[Record]:
        """The newest acts, as operators see them."""
        found: list[Record] = []
        for one in reversed(list(self._acts.values())):
            if len(found) >= limit:
                break
            if one["stage"] in (DONE, UNKNOWN):
                found.append({key: one.get(key) for key in SHOWN_KEYS})
            if one["stage"] == UNKNOWN:
                found[-1]["effects"] = ["it was interrupted; nobody knows whether it took place"]
        return found
