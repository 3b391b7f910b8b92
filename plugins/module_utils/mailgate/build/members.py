# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of a source archive: the checks of their types, names and links, and their paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import BadInput

# -- what an archive of a source may hold ----------------------------------------------------------

COMPRESSIONS = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x1f\x9d": "Z"}


def compression(head: bytes, where: str) -> str:
    """Return the compression by the first bytes of an archive: 'gz', 'bz2', 'xz' or 'Z'."""
    for magic, name in COMPRESSIONS.items():
        if head.startswith(magic):
            return name
    raise BadInput(
        f"archive {where}: first bytes {head[:6]!r} are not those of a known compression;"
        " expected gzip, bzip2, xz or compress"
    )


@dataclass(frozen=True)
class Member:
    """A member of a tar archive: kind is file, directory, symlink, hardlink or other; link is its target."""

    name: str
    kind: str
    link: str = ""


@dataclass(frozen=True)
class Placed:
    """The path of a member below its archive's directory; link is a symlink's text or a hard link's path."""

    path: str
    link: str = ""


def place_members(members: Sequence[Member], strip: int, where: str) -> list[Placed | None]:
    """Return each member's place, None for the leading directories that are stripped; raises BadInput.

    Refused are members outside, members below a symbolic link, and members that come twice. A symbolic link
    may lead upwards only with its first components, whose directories are real ones, and not above the top:
    so no link leaves the tree.
    """
    here = f"archive {where}"
    links = set()
    seen: set[str] = set()
    placed: list[Placed | None] = []
    for member in members:
        path = _stripped(member.name, strip, here)
        if path is None:
            if member.kind != "directory":
                raise BadInput(
                    f"{here}: member {member.name!r} lies above the directory that is stripped;"
                    f" expected {strip} leading directories"
                )
            placed.append(None)
            continue
        link = ""
        parts = path.split("/")
        if any("/".join(parts[:depth]) in links for depth in range(1, len(parts))) or path in links:
            raise BadInput(f"{here}: member {member.name!r} passes through a symbolic link; expected none")
        if path in seen and member.kind != "directory":
            raise BadInput(f"{here}: member {member.name!r} is there twice; expected it once")
        if member.kind == "symlink":
            link = member.link
            _check_symlink(link, len(parts) - 1, f"{here}: symbolic link {member.name!r} to {link!r}")
            links.add(path)
        elif member.kind == "hardlink":
            link = _stripped(member.link, strip, here) or ""
            if link not in seen or link in links:
                raise BadInput(
                    f"{here}: hard link {member.name!r} to {member.link!r} has no target;"
                    " expected an earlier file of the archive"
                )
        elif member.kind not in ("file", "directory"):
            raise BadInput(
                f"{here}: member {member.name!r} is a device or fifo; expected files, directories and links"
            )
        if member.kind != "directory":
            seen.add(path)
        placed.append(Placed(path, link))
    return placed


def _stripped(name: str, strip: int, where: str) -> str | None:
    if name.startswith("/"):
        raise BadInput(f"{where}: member {name!r} is absolute; expected a relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadInput(f"{where}: member {name!r} leads upwards; expected a path without '..'")
    return "/".join(parts[strip:]) or None


def _check_symlink(link: str, depth: int, what: str) -> None:
    parts = [part for part in link.split("/") if part not in ("", ".")]
    upwards = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if link.startswith("/") or not parts or upwards > depth or ".." in parts[upwards:]:
        raise BadInput(f"{what} leaves the tree; expected a relative link that stays inside")
