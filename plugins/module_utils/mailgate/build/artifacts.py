# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The installed files of a build: observed on the host, and compared with the manifest."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.files import atomic_write
from . import manifest as source
from .layout import file_sha256
from .manifest import Entry, Manifest


def fresh_inode(path: str) -> None:
    """Replace a file by a copy of itself, so that writing to it does not hit a running program's file."""
    info = os.lstat(path)
    with (
        open(path, "rb") as old,
        atomic_write(path, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) as new,
    ):
        shutil.copyfileobj(old, new)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def put_directory_modes(modes: Mapping[str, int]) -> None:
    for path, mode in modes.items():
        if os.path.isdir(path):
            os.chown(path, 0, 0)
            os.chmod(path, mode)


# -- what is installed ----------------------------------------------------------------------------

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}


def observe(path: str, hashed: bool) -> Entry | None:
    """Return the entry at the path, or None; hashed: with the sha256 of a file's content."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "device or socket")
    digest = file_sha256(path) if hashed and kind == "file" else ""
    target = os.readlink(path) if kind == "link" else ""
    return Entry(path, kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, digest, target)


def observe_all(tops: Iterable[str], hashed: bool) -> list[Entry]:
    """Return every path at and below the tops that exist, sorted, each once."""
    found: dict[str, Entry] = {}
    for top in tops:
        for path in _walk(top):
            entry = observe(path, hashed)
            if entry is not None:
                found[path] = entry
    return [found[path] for path in sorted(found)]


def observe_skeleton(tops: Sequence[str]) -> list[Entry]:
    """Return the directories and fifos at and below the tops, and the tops themselves of any kind."""
    return [
        entry
        for entry in observe_all(tops, hashed=False)
        if entry.kind in ("directory", "fifo") or entry.path in tops
    ]


def _walk(top: str) -> Iterator[str]:
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for directory, names, others in os.walk(top):
            for name in names + others:
                yield os.path.join(directory, name)


def parents(paths: Iterable[str], recipe: Mapping[str, Any]) -> list[Entry]:
    """Return the directories above the paths; an owner that is not in the recipe is recorded as root."""
    uids, gids = {0, *recipe["ids"]["users"].values()}, {0, *recipe["ids"]["groups"].values()}
    found = {}
    for path in paths:
        above = os.path.dirname(path)
        while above != "/":
            info = os.stat(above)
            own = info.st_uid in uids and info.st_gid in gids
            uid, gid = (info.st_uid, info.st_gid) if own else (0, 0)
            found[above] = Entry(above, "directory", stat.S_IMODE(info.st_mode), uid, gid)
            above = os.path.dirname(above)
    return [found[path] for path in sorted(found)]


def differences(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Return (path, state found, state recorded) for every path that differs from the manifest."""
    return source.differences(
        manifest.artifacts, {entry.path: observe(entry.path, hashed=True) for entry in manifest.artifacts}
    ) + source.differences(
        manifest.skeleton, {entry.path: observe(entry.path, hashed=False) for entry in manifest.skeleton}
    )
