# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of kept copies: list, read and remove them, and what the cleaner removes.

simscan, which reads mail of strangers, may write there. So whoever reads it, root above all, opens the
directory once, not through a link, and everything in it by its descriptor; what is not a regular file of a
valid name is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..core.errors import BadInput, MailgateError
from ..formats.refused_copy import (
    HEAD_BYTES_MAX,
    LEFTOVER_SECONDS,
    NAME,
    VIRUS,
    WRITING,
    Copy,
    Head,
    check_name,
    parse_copy,
    parse_head,
)

COPY_BYTES_MAX = 200_000_000
BLOCK_BYTES = 512  # of st_blocks
# When so much of a limit is used, room is made until there is less than the second part of it.
FULL_PERCENT, EMPTIER_PERCENT = 90, 75


@dataclass(frozen=True)
class Item:
    """A file of the directory: its last change in unix seconds, and its bytes as allocated."""

    name: str
    at: float
    size: int


@dataclass(frozen=True)
class Limits:
    """How long copies are kept, and how much; 0 seconds: none is."""

    seconds: float
    bytes: int
    files: int


class RefusedStore:
    """The directory, opened; to be closed, or used in a with statement."""

    def __init__(self, path: str) -> None:
        """Open the directory; raises BadInput when it is not one, and OSError."""
        self.path = path
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._directory = os.open(path, flags)
        except NotADirectoryError as error:
            raise BadInput(f"directory {path}: is not a directory; expected one of simscan's") from error

    def __enter__(self) -> RefusedStore:
        return self

    def __exit__(self, *_dummy: object) -> None:
        os.close(self._directory)

    def items(self, *, writing: bool = False) -> list[Item]:
        """Return the copies, or those that are being written, the newest first; raises OSError."""
        names = WRITING if writing else NAME
        found = []
        for name in os.listdir(self._directory):
            if not names.fullmatch(name):
                continue
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found.append(Item(name, status.st_mtime, status.st_blocks * BLOCK_BYTES))
        return sorted(found, key=lambda one: (-one.at, one.name))

    def _open(self, name: str) -> int:
        check_name(name)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._directory)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise BadInput(f"refused message {name}: is not kept (any more); see 'list'") from error
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise BadInput(f"refused message {name}: is not a regular file; expected one") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadInput(f"refused message {name}: is not a regular file; expected one")
        return descriptor

    def _read(self, name: str, bytes_max: int) -> tuple[bytes, int]:
        """Return at most so many bytes of a copy, and how many it has."""
        with os.fdopen(self._open(name), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return stream.read(min(bytes_max, size)), size

    def begin(self, name: str, message_bytes: int) -> tuple[Head, bytes, bytes]:
        """Return head, envelope and so much of the message, unproven; raises BadInput and OSError."""
        where = f"refused message {name}"
        data, size = self._read(name, HEAD_BYTES_MAX + message_bytes)
        head = parse_head(data, where)
        if size != head.file_bytes:
            raise BadInput(f"{where}: has {size} bytes; expected {head.file_bytes}: it is damaged")
        middle = head.end + head.envelope_bytes
        if len(data) < min(middle + message_bytes, size):  # of very many recipients
            data, _size = self._read(name, middle + message_bytes)
        return head, data[head.end : middle], data[middle : middle + message_bytes]

    def read(self, name: str) -> Copy:
        """Return a whole copy, proven; raises BadInput when it is damaged or not there, and OSError."""
        data, size = self._read(name, COPY_BYTES_MAX)
        if size > COPY_BYTES_MAX:
            raise BadInput(f"refused message {name}: has {size} bytes; expected at most {COPY_BYTES_MAX}")
        return parse_copy(data, f"refused message {name}")

    def forget(self, name: str) -> None:
        """Remove a copy; raises BadInput when it is not there, and OSError."""
        os.close(self._open(name))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)

    def clean(self, now: float, limits: Limits) -> list[str]:
        """Remove what is over, and what must make room; return the names removed. Raises OSError."""
        names = [one.name for one in self.items(writing=True) if leftover(one, now)]
        over: list[Item] = []
        kept: list[Item] = []
        for one in self.items():
            (over if is_over(one, now, limits.seconds) else kept).append(one)
        if is_full(kept, limits):
            over += to_make_room(((one, self._weight(one)) for one in kept), limits)
        names += [one.name for one in over]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory)
        return names

    def _weight(self, item: Item) -> tuple[bool, float]:
        """Return how certain a refusal was: a virus, or what cannot be read, above every score."""
        try:
            head, _envelope, _message = self.begin(item.name, 0)
        except (MailgateError, OSError):
            return True, 0.0
        return head.verdict == VIRUS, head.score or 0.0


def leftover(item: Item, now: float) -> bool:
    """Return whether a file that is being written is a killed simscan's; one of the future is, too."""
    return not -LEFTOVER_SECONDS < now - item.at < LEFTOVER_SECONDS


def is_over(item: Item, now: float, seconds: float) -> bool:
    """Return whether a copy is too old; one of a wrong clock that was far ahead would otherwise never be."""
    return seconds <= 0 or not -seconds < now - item.at < seconds


def is_full(items: Iterable[Item], limits: Limits) -> bool:
    """Return whether so much is kept that simscan is about to keep nothing more."""
    there = list(items)
    size = sum(one.size for one in there)
    return size * 100 > limits.bytes * FULL_PERCENT or len(there) * 100 > limits.files * FULL_PERCENT


def to_make_room(weighed: Iterable[tuple[Item, tuple[bool, float]]], limits: Limits) -> list[Item]:
    """Return which copies go first: the surest refusals, of the same certainty the oldest.

    Somebody who floods the gateway with spam of a high score cannot so push out what was refused by a narrow
    margin, which is what somebody may ask for.
    """
    there = sorted(weighed, key=lambda one: (*one[1], -one[0].at), reverse=True)
    size, files = sum(one.size for one, _weight in there), len(there)
    gone: list[Item] = []
    for one, _weight in there:
        if size * 100 <= limits.bytes * EMPTIER_PERCENT and files * 100 <= limits.files * EMPTIER_PERCENT:
            break
        gone.append(one)
        size, files = size - one.size, files - 1
    return gone


@contextlib.contextmanager
def opened(path: str) -> Iterator[RefusedStore]:
    """Yield the store; raises BadInput when the site keeps no copies, so that there is no directory."""
    try:
        store = RefusedStore(path)
    except FileNotFoundError as error:
        raise BadInput(
            f"directory {path}: does not exist; expected one where gateway_keep_refused_days is more than 0"
        ) from error
    with store:
        yield store
