# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Size of a tmpfs, and its lines in /etc/fstab and /proc/self/mounts.

The formats are those of fstab(5) and proc(5); the options are tmpfs(5)'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import BadInput

FLAGS = ("nosuid", "nodev", "noexec")
COPIES = 3  # of a message at one time: itself, its parts or SpamAssassin's answer, and room for the next one
_CAP_SYS_ADMIN = 21
_PAGE_BYTES = 4096


@dataclass(frozen=True)
class Mount:
    """A mounted file system: its type and its options."""

    kind: str
    options: tuple[str, ...]

    @property
    def size_bytes(self) -> int | None:
        """The size option in bytes; None without a size in bytes (half of the memory, then)."""
        for option in self.options:
            found = re.fullmatch(r"size=([0-9]+)([kmg]?)", option)
            if found:
                return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]
        return None


def needed_bytes(
    largest_message_bytes: int,
    sessions: int,
    memory_bytes: int,
    session_bytes: int = 0,
    share_percent: int = 100,
) -> int:
    """Return the size: for the largest message of every session, at most a quarter of the memory.

    It is never less than what one session needs, also within its share. tmpfs takes memory only for the data
    stored; when it is full messages are deferred, not lost.
    """
    one = max(COPIES * largest_message_bytes, _size_for(session_bytes, share_percent))
    size = max(min(sessions * COPIES * largest_message_bytes, memory_bytes // 4), one, 16 * 1024 * 1024)
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES


def _size_for(session_bytes: int, share_percent: int) -> int:
    return -(-session_bytes * 100 // share_percent)


def check_share(size_bytes: int, session_bytes: int, share_percent: int) -> None:
    """Raise BadInput unless one session's share of a file system is enough for the largest message."""
    share = size_bytes * share_percent // 100
    if share < session_bytes:
        raise BadInput(
            f"size {size_bytes}: one session's share of it, {share_percent} percent, is {share} bytes; "
            f"the largest message with what its scanners write needs {session_bytes}; expected a size of at "
            f"least {_size_for(session_bytes, share_percent)} bytes, a larger share, or smaller messages"
        )


def memory_bytes(meminfo: str) -> int:
    """Return the memory size in the text of /proc/meminfo; raises BadInput."""
    found = re.search(r"^MemTotal: +([0-9]+) kB$", meminfo, re.MULTILINE)
    if not found:
        raise BadInput("file /proc/meminfo: has no line 'MemTotal: NUMBER kB'; expected one")
    return int(found[1]) * 1024


def may_mount(status: str) -> bool:
    """Return whether the process of this /proc/PID/status has the capability to mount, CAP_SYS_ADMIN."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAP_SYS_ADMIN & 1)


def _plain(field: str) -> str:
    """Decode the octal escapes (blank, tab, newline, backslash) in a field of either file."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _by_place(mounts: str) -> dict[str, Mount]:
    rows = [line.split(" ") for line in mounts.splitlines()]
    return {_plain(row[1]): Mount(row[2], tuple(row[3].split(","))) for row in rows if len(row) >= 4}


def mounted_at(path: str, mounts: str) -> Mount | None:
    """Return the topmost mount at this path, from the text of /proc/self/mounts; None without one."""
    return _by_place(mounts).get(path)


def mount_points(mounts: str) -> list[str]:
    """Return where file systems are mounted, from the text of /proc/self/mounts."""
    return list(_by_place(mounts))


def options(size_bytes: int, mode: int, uid: int | str, gid: int | str) -> str:
    """Return the mount options, in the order that fstab gets them."""
    return ",".join((f"size={size_bytes}", f"mode={mode:04o}", f"uid={uid}", f"gid={gid}", *FLAGS))


def fstab_with(fstab: str, path: str, wanted: str) -> str:
    """Return the text of fstab with one line for a tmpfs at this path; other lines are unchanged."""
    line = f"tmpfs {path} tmpfs {wanted} 0 0\n"
    lines = fstab.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    places = [number for number, text in enumerate(lines) if _names(text, path)]
    if not places:
        return "".join(lines) + line
    lines[places[0]] = line
    return "".join(text for number, text in enumerate(lines) if number not in places[1:])


def fstab_without(fstab: str, path: str) -> str:
    """Return the text of fstab without lines for a tmpfs at this path; other lines are unchanged."""
    lines = fstab.splitlines(keepends=True)
    return "".join(line for line in lines if not (_names(line, path) and line.split()[2:3] == ["tmpfs"]))


def _names(line: str, path: str) -> bool:
    words = line.split()
    return len(words) >= 2 and not words[0].startswith("#") and _plain(words[1]) == path


def faults(mount: Mount, least_bytes: int) -> list[str]:
    """Describe what is wrong with a file system that was mounted by someone else."""
    found = []
    if mount.kind != "tmpfs":
        return [f"it is of type {mount.kind!r}; expected 'tmpfs'"]
    missing = [flag for flag in FLAGS if flag not in mount.options]
    if missing:
        found.append(f"it lacks {', '.join(missing)}; expected {', '.join(FLAGS)}")
    if mount.size_bytes is not None and mount.size_bytes < least_bytes:
        found.append(f"it has {mount.size_bytes} bytes; expected at least {least_bytes}")
    return found
