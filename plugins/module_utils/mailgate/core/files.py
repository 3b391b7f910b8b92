# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Atomic file writes: a reader, or a crash, finds the old file or the new one, never a part of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO, Callable


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
    descriptor, temporary = tempfile.mkstemp(prefix=".mailgate-", dir=os.path.dirname(path) or ".")
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
