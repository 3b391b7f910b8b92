# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Atomic file writes: a reader, or a crash, finds the old file or the new one, never a part of it.

And files that somebody else may write: they are read without waiting, links and endless files are refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import IO, Callable

from .errors import BadInput

_BLOCK_BYTES = 1 << 20
_TEMPORARY = ".mailgate-"  # begins the names of temporary files


def open_regular(path: str) -> int:
    """Return a descriptor of a regular file, to read; raises BadInput for anything else, and OSError.

    What lies in a directory of another user can be a FIFO, which would block its reader, or a link.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
            raise BadInput(f"file {path}: is not a regular file; expected one") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"file {path}: is not a regular file; expected one")
    return descriptor


def read_regular(path: str, bytes_max: int) -> bytes:
    """Return the content of a regular file; raises BadInput for anything else, or a longer one; OSError."""
    blocks, rest = [], bytes_max + 1
    with os.fdopen(open_regular(path), "rb") as stream:
        # a single read() takes memory for all that it may get, not for what is there
        while block := stream.read(min(rest, _BLOCK_BYTES)):
            blocks.append(block)
            rest -= len(block)
    if not rest:
        raise BadInput(f"file {path}: more than {bytes_max} bytes; expected a smaller one")
    return b"".join(blocks)


def fsync_directory(path: str) -> None:
    """Sync a directory, so that the names in it survive a crash; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_beside(path: str, mode: int, uid: int = -1, gid: int = -1) -> Iterator[tuple[IO[bytes], str]]:
    """Yield a stream, and the path of its temporary file in the same directory as path.

    The file is complete, synced and has its mode and owners (-1: the caller's) when the block ends without
    an error, and is removed otherwise.  Raises OSError.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=os.path.dirname(path) or ".")
    complete = False
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream, temporary
            stream.flush()
            os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        complete = True
    finally:
        if not complete:
            os.unlink(temporary)


def remove_temporary(directory: str) -> None:
    """Remove the temporary files that a run left which was killed while it wrote; raises OSError."""
    for name in os.listdir(directory):
        if name.startswith(_TEMPORARY):
            os.unlink(os.path.join(directory, name))


@contextlib.contextmanager
def atomic_write(
    path: str, mode: int, uid: int = -1, gid: int = -1, check: Callable[[str], None] | None = None
) -> Iterator[IO[bytes]]:
    """Yield a stream whose content replaces the file when the block ends without an error.

    check is called with the path of the synced temporary file before the rename, and raises to refuse it.
    """
    with temporary_beside(path, mode, uid, gid) as (stream, temporary):
        yield stream
    try:
        if check is not None:
            check(temporary)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    fsync_directory(os.path.dirname(path) or ".")
