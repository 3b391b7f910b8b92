# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gcc made before is taken only for the same sources, headers and words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import c_compiler


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(c_compiler, "STORE", tmp_path / "store")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "far.h").write_text("#define FAR 1\n")
    (tmp_path / "near.h").write_text("#define NEAR 2\n")
    (tmp_path / "a.c").write_text(
        '#include "near.h"\n#include "far.h"\n#ifndef EXTRA\n#define EXTRA 0\n#endif\n'
        "int main(void) { return NEAR + FAR + EXTRA; }\n"
    )
    return tmp_path


def status(place: Path, *more: str) -> int:
    words = ["-I", str(place / "include"), *more, str(place / "a.c"), "-o", str(place / "a")]
    done = c_compiler.gcc(words)
    assert done.returncode == 0, done.stderr
    return subprocess.run([str(place / "a")], check=False).returncode


def stored(place: Path) -> int:
    return sum(1 for path in (place / "store").iterdir() if path.suffix == "")


def test_the_same_is_compiled_once(place: Path) -> None:
    assert [status(place), status(place)] == [3, 3]
    assert stored(place) == 1


def test_another_source_header_or_word_is_another_program(place: Path) -> None:
    assert status(place) == 3
    (place / "near.h").write_text("#define NEAR 3\n")
    assert status(place) == 4
    (place / "include" / "far.h").write_text("#define FAR 4\n")
    assert status(place) == 7
    assert status(place, "-DEXTRA=5") == 12
    (place / "a.c").write_text("int main(void) { return 9; }\n")
    assert status(place) == 9
    assert stored(place) == 5


def test_what_failed_or_warned_is_compiled_again(place: Path) -> None:
    (place / "a.c").write_text("int main(void) { int unused; return 0; }\n")
    words = ["-Wall", str(place / "a.c"), "-o", str(place / "a")]
    for _dummy in range(2):
        assert b"unused" in c_compiler.gcc(words).stderr
        assert c_compiler.gcc(["-Werror", *words]).returncode == 1
    assert stored(place) == 0
