# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of a tree of files below one directory, and a link to the current version.

Layout of DIRECTORY: <16 hex digits>[-N]/... for each version, the link, and .new-* while one is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.errors import BadInput
from ..core.files import fsync_directory

TEMPORARY = ".new-"
FILE_MODE, DIRECTORY_MODE = 0o644, 0o755
_VERSION = re.compile(r"[0-9a-f]{16}(-[0-9]+)?")


@dataclass(frozen=True)
class Found:
    """A tree on the disk: the content of its regular files, and faults in its types, modes and owners."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def holds(self, wanted: Mapping[str, bytes]) -> bool:
        return not self.faults and self.files == wanted


@dataclass(frozen=True)
class Plan:
    """The steps to take: the version that becomes current, whether it must be written, what is removed."""

    name: str
    write: bool
    removed: tuple[str, ...]


# -- pure -----------------------------------------------------------------------------------------


def tree(files: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Collect files by their path below a version; raises BadInput for a path outside or given twice."""
    found: dict[str, bytes] = {}
    for path, content in files:
        if os.path.isabs(path) or os.path.normpath(path) != path or path.split("/")[0] in ("..", "."):
            raise BadInput(f"file {path!r}: not below the version; expected a path such as 'package/one.py'")
        if path in found:
            raise BadInput(f"file {path!r}: named twice; expected once")
        found[path] = content
    for path in found:
        above = os.path.dirname(path)
        while above:
            if above in found:
                raise BadInput(f"file {path!r}: lies in {above!r}, which is a file; expected a directory")
            above = os.path.dirname(above)
    if not found:
        raise BadInput("files: there is none; expected at least one")
    return found


def version_name(files: Mapping[str, bytes]) -> str:
    """Return the name of the version with these files: 16 hex digits of a hash over paths and contents."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{len(files[path])}\0".encode("utf-8", "surrogateescape") + files[path])
    return digest.hexdigest()[:16]


def is_version(name: str) -> bool:
    return _VERSION.fullmatch(name) is not None


def plan(
    wanted: Mapping[str, bytes],
    current: str | None,
    there: Mapping[str, Found],
    in_use: Iterable[str],
    leftovers: Iterable[str] = (),
) -> Plan | None:
    """Return the steps to take, or None when the current version is the wanted one and undamaged.

    there: every version on the disk; leftovers: other names to remove with the old versions. The versions
    that a process uses, and the one that was current, stay. A damaged version is never repaired in place,
    since a process may read it: the new copy gets the next free name.
    """
    if current is not None and current in there and there[current].holds(wanted):
        return None
    base = version_name(wanted)
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in there or there[name].holds(wanted))
    kept = {name, current, *in_use}
    removed = [*(other for other in there if other not in kept), *leftovers]
    return Plan(name, name not in there, tuple(sorted(removed)))


# -- the disk -------------------------------------------------------------------------------------


def link_target(path: str) -> str | None:
    """Return the target of the link, None without one; raises BadInput for anything but a link."""
    try:
        return os.readlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadInput(f"path {path}: there is something else; expected a link or nothing") from error


def read_version(top: str) -> Found:
    """Read the tree below the directory; anything but root's own files and directories is a fault."""
    files: dict[str, bytes] = {}
    faults: list[str] = []

    def judge(path: str, kind: Callable[[int], bool], mode: int) -> bool:
        now = os.lstat(path)
        if not kind(now.st_mode):
            faults.append(f"{path}: is something else")
            return False
        if (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) != (mode, 0, 0):
            faults.append(f"{path}: {stat.S_IMODE(now.st_mode):04o} {now.st_uid} {now.st_gid}")
        return True

    if judge(top, stat.S_ISDIR, DIRECTORY_MODE):
        for directory, names, others in os.walk(top):
            for name in sorted(names):
                judge(os.path.join(directory, name), stat.S_ISDIR, DIRECTORY_MODE)
            for name in sorted(others):
                path = os.path.join(directory, name)
                if judge(path, stat.S_ISREG, FILE_MODE):
                    with open(path, "rb") as stream:
                        files[os.path.relpath(path, top)] = stream.read()
    return Found(files, tuple(sorted(faults)))


def entries(directory: str) -> list[str]:
    """Return the names in the directory, sorted; none when it does not exist."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def command_lines(proc: str = "/proc") -> list[str]:
    """Return the command line of every process, a NUL after each argument; kernel threads have none."""
    found = []
    for number in entries(proc):
        if number.isdigit():
            # A process that ended meanwhile uses nothing.
            with contextlib.suppress(OSError), open(f"{proc}/{number}/cmdline", "rb") as stream:
                found.append(os.fsdecode(stream.read()))
    return [line for line in found if line]


def used(directory: str, names: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Return the versions whose path is in a command line."""
    text = "\n".join(lines)
    return [
        name
        for name in names
        if re.search(re.escape(os.path.join(directory, name)) + r"(?![0-9A-Za-z._-])", text)
    ]


def write_version(
    directory: str, name: str, files: Mapping[str, bytes], check: Callable[[str], None] | None = None
) -> None:
    """Write the version under a temporary name, sync it, and rename it to its name.

    check is called with the path of the complete tree, and raises to refuse it. Raises OSError; the name must
    be free.
    """
    temporary = tempfile.mkdtemp(prefix=TEMPORARY, dir=directory)
    try:
        made = {temporary}
        for path, content in files.items():
            whole = os.path.join(temporary, path)
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            above = os.path.dirname(whole)
            while above not in made:
                made.add(above)
                above = os.path.dirname(above)
            with open(whole, "xb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), FILE_MODE)
                os.fsync(stream.fileno())
        for path in made:
            os.chmod(path, DIRECTORY_MODE)
            fsync_directory(path)
        if check is not None:
            check(temporary)
        os.rename(temporary, os.path.join(directory, name))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(directory)


def switch(directory: str, link: str, name: str) -> None:
    """Change the target of the link to the version, atomically."""
    temporary = os.path.join(directory, f"{TEMPORARY}{link}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(name, temporary)
    os.rename(temporary, os.path.join(directory, link))
    fsync_directory(directory)


def remove(directory: str, names: Iterable[str]) -> None:
    """Remove files and directories of any kind. A version that a crash removed in part is seen as damaged."""
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    fsync_directory(directory)
