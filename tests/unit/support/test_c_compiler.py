# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gcc made before is taken only for the same sources, headers and flags."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

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
    assert stored(place) == 2  # the object, and the program


def test_another_source_header_or_word_is_another_program(place: Path) -> None:
    assert status(place) == 3
    (place / "near.h").write_text("#define NEAR 3\n")
    assert status(place) == 4
    (place / "include" / "far.h").write_text("#define FAR 4\n")
    assert status(place) == 7
    assert status(place, "-DEXTRA=5") == 12
    (place / "a.c").write_text("int main(void) { return 9; }\n")
    assert status(place) == 9
    assert stored(place) == 10


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the sources that gcc compiles, in order."""
    sources: list[str] = []
    run = subprocess.run

    def seen(argv: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        if "-c" in argv:
            sources.append(Path(argv[argv.index("-c") + 1]).name)
        return run(argv, check=False, **{name: more[name] for name in more if name != "check"})

    monkeypatch.setattr(subprocess, "run", seen)
    return sources


def test_only_what_has_changed_is_compiled_and_what_programs_share_once(
    place: Path, compiled: list[str]
) -> None:
    (place / "b.c").write_text("int b(void) { return 4; }\n")
    (place / "c.c").write_text("int b(void); int main(void) { return b(); }\n")
    assert status(place, str(place / "b.c")) == 3
    assert compiled == ["b.c", "a.c"]
    words = [str(place / "c.c"), str(place / "b.c"), "-o", str(place / "c")]
    assert c_compiler.gcc(words).returncode == 0
    assert compiled == ["b.c", "a.c", "c.c"]
    assert subprocess.run([str(place / "c")], check=False).returncode == 4
    (place / "a.c").write_text("int main(void) { return 9; }\n")
    assert status(place, str(place / "b.c")) == 9
    assert compiled == ["b.c", "a.c", "c.c", "a.c"]


def test_a_macro_counts_where_it_is_named(place: Path, compiled: list[str]) -> None:
    (place / "b.c").write_text('#include "b.h"\nint b(void) { return 4 + DEEP; }\n')
    (place / "b.h").write_text("#ifdef OUR_DIRECTORY\n#define DEEP 0\n#else\n#define DEEP 1\n#endif\n")
    for value in ("1", "2"):
        assert status(place, str(place / "b.c"), f"-DOUR_DIRECTORY={value}") == 3
    assert compiled == ["b.c", "a.c", "b.c"]
    assert status(place, str(place / "b.c"), "-D_GNU_SOURCE") == 3  # headers of the system ask for it
    assert compiled == ["b.c", "a.c", "b.c", "b.c", "a.c"]


def test_a_header_of_the_same_name_in_a_nearer_directory_counts(place: Path) -> None:
    (place / "first").mkdir()
    assert status(place, "-I", str(place / "first")) == 3
    words = ["-I", str(place / "first"), "-I", str(place / "include"), str(place / "a.c")]
    (place / "first" / "far.h").write_text("#define FAR 30\n")
    assert c_compiler.gcc([*words, "-o", str(place / "a")]).returncode == 0
    assert subprocess.run([str(place / "a")], check=False).returncode == 32


def test_what_the_linker_is_told_counts(place: Path) -> None:
    (place / "b.c").write_text("int __wrap_b(void) { return 5; }\nint b(void) { return 6; }\n")
    (place / "a.c").write_text("int b(void); int main(void) { return b(); }\n")
    (place / "other.c").write_text("int b(void);\nint main(void) { return b(); }\n")
    words = [str(place / "other.c"), str(place / "b.c"), "-o", str(place / "a")]
    for more, expected in ([], 6), (["-Wl,--wrap=b"], 5), ([], 6):
        assert c_compiler.gcc([*more, *words]).returncode == 0
        assert subprocess.run([str(place / "a")], check=False).returncode == expected


def test_what_failed_or_warned_is_compiled_again(place: Path) -> None:
    (place / "a.c").write_text("int main(void) { int unused; return 0; }\n")
    words = ["-Wall", str(place / "a.c"), "-o", str(place / "a")]
    for _dummy in range(2):
        assert b"unused" in c_compiler.gcc(words).stderr
        assert c_compiler.gcc(["-Werror", *words]).returncode == 1
    assert stored(place) == 0


def test_what_was_not_asked_for_lately_is_forgotten(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place / "store"
    store.mkdir()
    for age, size in enumerate((6, 3, 2, 1)):
        (store / f"{size}").write_bytes(b"x" * size)
        os.utime(store / f"{size}", (time.time() - age, time.time() - age))
    monkeypatch.setattr(c_compiler, "KEPT_BYTES", 11)
    monkeypatch.setattr(c_compiler, "KEPT_SECONDS", 1.9)
    c_compiler._forget_old.__wrapped__(store)
    assert sorted(path.name for path in store.iterdir()) == ["3", "6"]
    monkeypatch.setattr(c_compiler, "KEPT_BYTES", 8)
    c_compiler._forget_old.__wrapped__(store)
    assert sorted(path.name for path in store.iterdir()) == ["6"]
