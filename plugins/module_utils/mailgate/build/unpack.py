# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacking of verified archives into a tree; every member is checked.

The checks are our own until every Python from 3.9 on that a host may have includes tarfile.data_filter.
"""

from __future__ import annotations

import contextlib
import functools
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from typing import IO

from . import members as source
from .builder import Builder
from .layout import PATH, BuildFailed

UNPACKED_BYTES = 2_000_000_000


# -- the tree -------------------------------------------------------------------------------------


def unpack(stream: IO[bytes], directory: str, strip: int, where: str) -> None:
    """Unpack a compressed tar archive below the directory; runs as the build user."""
    kind = source.compression(stream.read(6), where)
    stream.seek(0)
    os.makedirs(directory, 0o755, exist_ok=True)
    try:
        with tarfile.open(
            fileobj=uncompressed(stream, directory) if kind == "Z" else stream, mode="r:*"
        ) as tar:
            infos = tar.getmembers()
            placed = source.place_members([_member(info) for info in infos], strip, where)
            for info, place in zip(infos, placed):
                if place is not None:
                    _unpack_member(tar, info, place, directory)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise BuildFailed(f"archive {where}: {error!s}; expected a whole tar archive") from error


def uncompressed(stream: IO[bytes], directory: str) -> IO[bytes]:
    """Decompress what compress(1) packed to an unnamed file, with gzip, as Python cannot read .Z."""
    os.lseek(stream.fileno(), 0, os.SEEK_SET)  # seek() moves only what Python has read ahead
    out = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
    child = subprocess.Popen(["gzip", "-dc"], env={"PATH": PATH}, stdin=stream, stdout=subprocess.PIPE)
    with child:
        if child.stdout is None:
            raise OSError("gzip has no output")
        for block in iter(functools.partial(child.stdout.read, 1 << 20), b""):
            out.write(block)
            if out.tell() > UNPACKED_BYTES:
                child.kill()
                raise OSError(f"unpacks to more than {UNPACKED_BYTES} bytes")
    if child.returncode != 0:
        raise OSError(f"gzip ended with status {child.returncode}")
    out.seek(0)
    return out


def _member(info: tarfile.TarInfo) -> source.Member:
    if info.isreg():
        kind = "file"
    elif info.isdir():
        kind = "directory"
    elif info.issym():
        kind = "symlink"
    else:
        kind = "hardlink" if info.islnk() else "other"
    return source.Member(info.name, kind, info.linkname)


def _unpack_member(tar: tarfile.TarFile, info: tarfile.TarInfo, place: source.Placed, directory: str) -> None:
    path = os.path.join(directory, place.path)
    if info.isdir():
        os.makedirs(path, 0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if info.issym():
        os.symlink(place.link, path)
        return
    if os.path.lexists(path):  # from an earlier archive
        os.unlink(path)
    if info.islnk():
        os.link(os.path.join(directory, place.link), path)
        return
    content = tar.extractfile(info)
    if content is None:
        raise BuildFailed(f"member {info.name!r}: cannot be read; expected a regular file")
    mode = (info.mode & 0o755) | 0o600
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as out:
        shutil.copyfileobj(content, out)
        os.fchmod(out.fileno(), mode)
    os.utime(path, (info.mtime, info.mtime))


def write_files(tree: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Write the files below the tree; runs as the build user."""
    for relative, content in files:
        path = os.path.join(tree, relative)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "wb") as stream:
            stream.write(content)


def give_to_root(tree: str, user: Builder) -> None:
    """Make root the owner of the tree; remove set-id bits and write permission of group and others."""
    for directory, names, others in os.walk(tree):
        for path in [directory, *(os.path.join(directory, name) for name in names + others)]:
            info = os.lstat(path)
            if info.st_uid not in (0, user.uid):
                raise BuildFailed(f"build tree {path}: belongs to uid {info.st_uid}; expected {user.name}")
            os.lchown(path, 0, 0)
            if not stat.S_ISLNK(info.st_mode):
                os.chmod(path, stat.S_IMODE(info.st_mode) & ~0o6022)
