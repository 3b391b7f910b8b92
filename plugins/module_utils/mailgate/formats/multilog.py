# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow a log directory of multilog: each line once, across rotation, restart and kill -9 of either side.

multilog (daemontools 0.76) writes `current`. When that is full, multilog renames it to `@TIME.s`; when it
was killed, to `@TIME.u`. A position in the log is therefore a file's inode and an offset. Because an inode is
reused once its file is gone, the position also has the first bytes of the file, which begin with a time.
A line that does not fit into a file continues in the next one. Text without a newline at the end of a `.u`
file was lost with the multilog that wrote it. With a `!processor` files are copied, not renamed: this reader
does not support that.
A module of our own: no library knows multilog's file names and the incomplete line of a `.u` file.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import BadInput
from . import tai64n

CURRENT, PREVIOUS = "current", "previous"
HEAD_BYTES = 32
LABEL_CHARACTERS = 25
READ_BYTES = 1 << 20
LINE_BYTES_MAX = 1 << 18  # a longer line is dropped: no program of the gateway writes one

_ROTATED = re.compile(r"@[0-9a-f]{24}\.[su]")


@dataclass(frozen=True)
class Position:
    """The position of the first byte that was not yet returned as part of a whole line.

    head is the beginning of the file in hexadecimal; label is the TAI64N label, as text, of the last line
    that was read.
    """

    inode: int
    head: str
    offset: int
    label: str

    def to_json(self) -> dict[str, object]:
        return {"inode": self.inode, "head": self.head, "offset": self.offset, "label": self.label}

    @classmethod
    def from_json(cls, data: object) -> Position:
        """Parse what to_json() returned; raises BadInput."""
        if isinstance(data, Mapping):
            inode, head, offset, label = (data.get(name) for name in ("inode", "head", "offset", "label"))
            if (
                isinstance(inode, int)
                and isinstance(offset, int)
                and isinstance(head, str)
                and isinstance(label, str)
                and re.fullmatch(r"(?:[0-9a-f]{2}){0,32}", head)
                and offset >= 0
            ):
                return cls(inode, head, offset, label)
        raise BadInput(f"log position: {data!r} is not a position; expected inode, head, offset and label")


class Follower:
    """The lines of a log directory, from a position on, or from the oldest line.

    read() returns the lines that are available and never waits. notes holds messages for a person about lines
    that could not be read; the caller empties it.
    """

    def __init__(self, directory: str, position: Position | None = None) -> None:
        self.directory = directory
        self.notes: list[str] = []
        self._descriptor = -1
        self._inode = 0
        self._offset = 0  # of the next byte to read
        self._head = b""
        self._carry = b""  # the beginning of a line, from _carry_place on
        self._carry_place: tuple[int, bytes, int] | None = None
        self._too_long = False
        self._wanted = position
        self._label = position.label if position else ""
        self._skip_until = ""
        self._over = False  # multilog no longer writes to the file: the next read is its last

    @property
    def position(self) -> Position | None:
        """The position to continue from after a restart, or None as long as nothing was found to read."""
        if self._descriptor == -1:
            return self._wanted
        if self._carry and self._carry_place is not None:
            inode, head, offset = self._carry_place
        else:
            inode, head, offset = self._inode, self._begin(), self._offset
        return Position(inode, head.hex(), offset, self._label)

    def close(self) -> None:
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self) -> list[str]:
        """Return the next whole lines, without newlines; [] when there are none now. Raises OSError."""
        if self._descriptor == -1 and not self._open_first():
            return []
        while True:
            block = os.read(self._descriptor, READ_BYTES)
            if block:
                lines = self._lines(block)
                if lines:
                    return lines
            elif not self._over:
                # Read once more: multilog may have written between the read and the rename.
                if not self._left():
                    return []
                self._over = True
            elif not self._next():
                return []

    def _lines(self, block: bytes) -> list[str]:
        start = self._offset
        self._offset += len(block)
        whole, newline, rest = block.rpartition(b"\n")
        if not newline:
            self._keep(rest, start)
            return []
        if self._too_long:
            whole = whole.partition(b"\n")[2]
            self._too_long = False
        else:
            whole = self._carry + whole
        self._carry, self._carry_place = b"", None
        self._keep(rest, self._offset - len(rest))
        # Not splitlines(): untrusted text may hold other characters that Unicode counts as line ends.
        lines = whole.decode("utf-8", "backslashreplace").split("\n") if whole else []
        if self._skip_until:
            lines = [line for line in lines if line[:LABEL_CHARACTERS] > self._skip_until]
        if lines and lines[-1].startswith("@"):
            self._label = lines[-1][:LABEL_CHARACTERS]
        return lines

    def _keep(self, rest: bytes, offset: int) -> None:
        """Keep the beginning of a line until its rest arrives."""
        if not rest or self._too_long:
            return
        if not self._carry:
            self._carry_place = (self._inode, self._begin(), offset)
        self._carry += rest
        if len(self._carry) > LINE_BYTES_MAX:
            self.notes.append(f"a line of more than {LINE_BYTES_MAX} bytes is passed over")
            self._carry, self._carry_place, self._too_long = b"", None, True

    def _begin(self) -> bytes:
        if len(self._head) < HEAD_BYTES:
            self._head = os.pread(self._descriptor, HEAD_BYTES, 0)
        return self._head

    # The files of the directory

    def _files(self) -> list[tuple[str, int]]:
        """Return (name, inode) of the log's files, oldest first."""
        found = []
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.name in (CURRENT, PREVIOUS) or _ROTATED.fullmatch(entry.name):
                        found.append((entry.name, entry.inode()))
        except FileNotFoundError:
            return []
        order = {PREVIOUS: 1, CURRENT: 2}
        return sorted(found, key=lambda file: (order.get(file[0], 0), file[0]))

    def _open(self, name: str, inode: int) -> bool:
        """Open another file; return False when the name has another inode meanwhile."""
        try:
            descriptor = os.open(
                os.path.join(self.directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError:
            return False
        if os.fstat(descriptor).st_ino != inode:
            os.close(descriptor)
            return False
        self.close()
        self._descriptor, self._inode = descriptor, inode
        self._offset, self._head, self._over = 0, b"", False
        return True

    def _open_first(self) -> bool:
        files = self._files()
        wanted = self._wanted
        if wanted is not None:
            head = bytes.fromhex(wanted.head)
            for name, inode in files:
                if inode != wanted.inode or not self._open(name, inode):
                    continue
                if (
                    self._begin().startswith(head)
                    and (head or not wanted.offset)
                    and os.fstat(self._descriptor).st_size >= wanted.offset
                ):
                    self._offset = os.lseek(self._descriptor, wanted.offset, os.SEEK_SET)
                    self._wanted = None
                    return True
                self.close()
        if not files or not self._open(*files[0]):
            return False
        if wanted is not None:
            self.notes.append("the file that was read last is gone: lines may be lost; none is read twice")
            # No line that was read is later than now, whatever its stamp said.
            self._skip_until, self._wanted = min(wanted.label, tai64n.render(time.time_ns())), None
        return True

    def _left(self) -> bool:
        """Return whether multilog now writes to another file."""
        try:
            return os.stat(os.path.join(self.directory, CURRENT)).st_ino != self._inode
        except FileNotFoundError:
            return False

    def _next(self) -> bool:
        """Open the file after this one; return False when it cannot be determined now."""
        files = self._files()
        here = next((at for at, (_name, inode) in enumerate(files) if inode == self._inode), None)
        if here is None:
            if os.fstat(self._descriptor).st_nlink != 0 or not files:
                return False  # renamed while the directory was listed
            self.notes.append("the log went on faster than it was read: lines are lost")
            self._drop_carry()
            return self._open(*files[0])
        name = files[here][0]
        if here + 1 == len(files) or name == PREVIOUS:
            return False  # multilog has not given it its final name yet
        if not self._open(*files[here + 1]):
            return False
        if name.endswith(".u"):
            self._drop_carry()
        return True

    def _drop_carry(self) -> None:
        self._carry, self._carry_place, self._too_long = b"", None, False
