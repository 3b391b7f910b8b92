# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The C files that our programs are built from: a folder for each, and one for what several of them use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.errors import BadInput

COMMON = "common"
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)\.h"', re.MULTILINE)


def own_files(folder: Path) -> list[Path]:
    """Return the C files, headers and Makefile of a folder, sorted; never what a compiler left there."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".c", ".h") or path.name == "Makefile")


def included(folders: Iterable[Path], files: Iterable[Path]) -> list[Path]:
    """Return the headers of the folders that the files, or each other, include, each with its C file."""
    places, found, waiting = list(folders), dict[Path, None](), list(files)
    while waiting:
        for name in _INCLUDE.findall(waiting.pop().read_text(encoding="utf-8")):
            for path in (place / f"{name}{end}" for place in places for end in (".h", ".c")):
                if path.is_file() and path not in found:
                    found[path] = None
                    waiting.append(path)
    return list(found)


def program_files(directory: Path, programs: Iterable[str]) -> Mapping[str, Path]:
    """Return {name: path}, sorted, of the programs' own files and what these include of the common ones.

    Raises BadInput for a program that has no folder, and for two files of one name: in the source tree that
    is built all of them lie in one folder.
    """
    known = sorted(path.name for path in directory.iterdir() if path.is_dir() and path.name != COMMON)
    files: list[Path] = []
    for program in programs:
        if program not in known:
            raise BadInput(f"program {program!r} has no folder in {directory}; expected one of {known}")
        files += own_files(directory / program)
    found: dict[str, Path] = {}
    for path in [*files, *included([directory / COMMON], files)]:
        if found.setdefault(path.name, path) != path:
            places = f"{found[path.name].parent.name} and {path.parent.name}"
            raise BadInput(
                f"file {path.name!r} of {directory} is in {places}; expected one file of each name"
            )
    return dict(sorted(found.items()))
