# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rotated files of a service's log: their order, and lines found by offset."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..formats.smtpd_log import LABEL_CHARACTERS, unix_nanoseconds

LOADED_MAX = 6
_NAME = re.compile(r"@[0-9a-f]{24}\.[su]")


@dataclass(frozen=True)
class LineRef:
    """The position of a line in a log: the file's number, and the offset of its first byte."""

    file: int
    offset: int

    def __lt__(self, other: LineRef) -> bool:
        return (self.file, self.offset) < (other.file, other.offset)

    def __le__(self, other: LineRef) -> bool:
        return (self.file, self.offset) <= (other.file, other.offset)


@dataclass(frozen=True)
class File:
    """One file of a log; first is the time of its first line, or None when it is empty.

    broken: its last line continues in the next file, because multilog rotates in the middle of a long line.
    """

    first: int | None
    load: Callable[[], bytes]
    broken: bool = False


def ordered(names: Sequence[str]) -> list[str]:
    """Return multilog's names of a log's files, oldest first; other names are left out."""
    last = {"previous": 1, "current": 2}
    kept = [name for name in names if name in last or _NAME.fullmatch(name)]
    return sorted(kept, key=lambda name: (last.get(name, 0), name))


class Log:
    """The lines of a log as bytes: in lower case for searching, unchanged for reading."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files = list(files)
        self._loaded: OrderedDict[int, tuple[bytes, bytes]] = OrderedDict()

    def text(self, file: int) -> tuple[bytes, bytes]:
        """Return the bytes of a file, (unchanged, in lower case), whole lines only.

        A line that continues in the next file is complete here, in the file where it begins.
        """
        found = self._loaded.get(file)
        if found is not None:
            self._loaded.move_to_end(file)
            return found
        data = self.files[file].load()
        if file and self.files[file - 1].broken:
            head = data.find(b"\n") + 1
            data = b" " * (head - 1) + b"\n" + data[head:] if head else b""  # offsets stay as they are
        if not data.endswith(b"\n"):
            if self.files[file].broken and file + 1 < len(self.files):
                data += self.files[file + 1].load().partition(b"\n")[0] + b"\n"
            else:
                data = data[: data.rfind(b"\n") + 1]
        self._loaded[file] = (data, data.lower())
        if len(self._loaded) > LOADED_MAX:
            self._loaded.popitem(last=False)
        return self._loaded[file]

    def line(self, place: LineRef) -> str:
        data = self.text(place.file)[0]
        end = data.find(b"\n", place.offset)
        return data[place.offset : len(data) if end == -1 else end].decode("utf-8", "backslashreplace")

    def time(self, place: LineRef) -> int | None:
        data = self.text(place.file)[0]
        return unix_nanoseconds(
            data[place.offset : place.offset + LABEL_CHARACTERS].decode("ascii", "replace")
        )

    def end(self) -> LineRef:
        return LineRef(len(self.files), 0)

    def at(self, time: int) -> LineRef:
        """Return the first line at or after the time."""
        if not self.files:
            return self.end()
        file = self.around(time)
        data = self.text(file)[1]
        low, high = 0, len(data)  # low: the start of a line before the time; high: of one that is not
        while low < high:
            middle = data.rfind(b"\n", low, (low + high) // 2) + 1 or low
            seen = self.time(LineRef(file, middle))
            after = data.find(b"\n", middle) + 1 or len(data)
            if seen is None or seen < time:
                low = after
            elif middle == low:
                high = low
            else:
                high = middle
        return LineRef(file, low) if low < len(data) else LineRef(file + 1, 0)

    def around(self, time: int) -> int:
        """Return the number of the file that contains the time, by the files' first lines alone."""
        file = 0
        for number, one in enumerate(self.files):
            if one.first is not None and one.first < time:
                file = number
        return file

    def forward(self, needle: bytes, begin: LineRef, end: LineRef) -> Iterator[LineRef]:
        """Yield the lines that contain the needle, from begin to before end."""
        for file in range(begin.file, min(end.file + 1, len(self.files))):
            data = self.text(file)[1]
            at = begin.offset if file == begin.file else 0
            stop = end.offset if file == end.file else len(data)
            while True:
                at = data.find(needle, at, stop)
                if at == -1:
                    break
                if at == len(data):
                    break
                yield LineRef(file, data.rfind(b"\n", 0, at) + 1)
                at = data.find(b"\n", at) + 1
                if not at:
                    break
                data = self.text(file)[1]

    def backward(self, needle: bytes, begin: LineRef, end: LineRef) -> Iterator[LineRef]:
        """Yield the lines that contain the needle, from before end back to begin."""
        for file in range(min(end.file, len(self.files) - 1), begin.file - 1, -1):
            data = self.text(file)[1]
            at = end.offset if file == end.file else len(data)
            stop = begin.offset if file == begin.file else 0
            while True:
                # An empty needle stands before the end of the line as well, and never in the line before.
                at = data.rfind(needle, stop, at) if needle else at - 1
                if at < stop:
                    break
                at = data.rfind(b"\n", 0, at) + 1
                yield LineRef(file, at)
                data = self.text(file)[1]

    def after(self, place: LineRef) -> LineRef:
        """Return the beginning of the next line."""
        data = self.text(place.file)[1]
        end = data.find(b"\n", place.offset)
        return LineRef(place.file, len(data) if end == -1 else end + 1)
