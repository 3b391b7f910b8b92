# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our C programs lie, and how the tests compile and run them: gcc's words, sanitizers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support import c_compiler

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("src/*/"))
INCLUDES = [word for directory in SOURCES for word in ("-I", directory)]
TESTS = ROOT / "tests" / "unit" / "c"
CACHE = Path(os.environ.get("MAILGATE_CACHE") or Path.home() / ".cache" / "mailgate") / "sources"
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wdeclaration-after-statement"]
SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def run(argv: Iterable[object], **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(word) for word in argv], capture_output=True, timeout=120, **more)


def gcc(*argv: object) -> None:
    if not shutil.which("gcc"):
        pytest.fail("gcc is missing; install gcc and libc6-dev")
    done = c_compiler.gcc([str(word) for word in argv])
    assert done.returncode == 0, done.stderr.decode()


def c_tests() -> list[tuple[str, str]]:
    return [
        (path.stem, name)
        for path in sorted(TESTS.glob("test_*.c"))
        for name in re.findall(r"^TEST\((\w+)\)", path.read_text(), re.MULTILINE)
    ]
