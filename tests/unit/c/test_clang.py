# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All C files of ours once more with clang, where it is: its warnings are not gcc's. Nothing is linked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, ROOT, SOURCES, STRICT, TESTS, run
from support.fuzz_targets import read

FILES = [
    *(path for directory in SOURCES for path in sorted(directory.glob("*.c"))),
    *sorted(TESTS.glob("*.c")),
    *sorted((ROOT / "tests" / "fuzz").glob("*.c")),
]


@pytest.mark.skipif(
    not shutil.which("clang"), reason="clang is missing; gcc's warnings are errors everywhere"
)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compiles_without_a_warning(path: Path) -> None:
    flags = [flag for flag in read(path).flags if re.match("-[DUI]", flag)]
    if path.parent.name == "fuzz":
        flags.append("-D_GNU_SOURCE")  # as fuzz_targets.py has it
    done = run(["clang", "-fsyntax-only", "-std=gnu11", *STRICT, *INCLUDES, *flags, path])
    assert (done.returncode, done.stderr.decode()) == (0, "")
