# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All C of the collection: compiled without a warning; its tests in test_*.c, fuzzers, system calls.

What needs more than one C file with a header is in the other modules here, one a role.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import c_files
from support.c_programs import (
    FUZZ,
    INCLUDES,
    ROOT,
    SANITIZE,
    STRICT,
    STRICTER,
    TESTS,
    c_tests,
    clang,
    dialects,
    gcc,
    has_clang,
    needed,
    run,
)
from support.fuzz_targets import Target, compile_target, fuzz, has_libfuzzer, read, targets

CLANG = has_clang()
CLANG_SANITIZES = has_clang("-fsanitize=address,undefined")
WITH_CLANG = pytest.mark.skipif(not CLANG, reason="clang is missing; gcc's warnings are errors everywhere")
TARGETS = targets()
LIBFUZZER = has_libfuzzer()
SECONDS = 1  # a look; `make fuzz` takes longer

# --- warnings are errors ---

SEEN: set[Path] = set()


def in_dialect(path: Path, dialect: list[str]) -> ParameterSet:
    """Return a case; `make fast` takes the first dialect of each file."""
    marks = [pytest.mark.slow] if path in SEEN else []
    SEEN.add(path)
    return pytest.param(path, dialect, id=f"{path.parent.name}/{path.name} {' '.join(dialect)}", marks=marks)


DIALECTS = pytest.mark.parametrize(("path", "dialect"), [in_dialect(*one) for one in dialects()])


@DIALECTS
def test_compiles_without_a_warning(path: Path, dialect: list[str], tmp_path: Path) -> None:
    gcc("-O2", *dialect, *STRICT, *STRICTER, *INCLUDES, "-c", path, "-o", tmp_path / "out.o")


@WITH_CLANG
@DIALECTS
def test_compiles_with_clang_without_a_warning(path: Path, dialect: list[str]) -> None:
    clang("-fsyntax-only", "-O2", *dialect, *STRICT, *STRICTER, *INCLUDES, path)


@WITH_CLANG
@pytest.mark.parametrize("path", sorted([*TESTS.glob("*.c"), *FUZZ.glob("*.c")]), ids=lambda path: path.name)
def test_c_of_a_test_compiles_with_clang_without_a_warning(path: Path) -> None:
    flags = [flag for flag in read(path).flags if re.match("-[DUI]", flag)]
    if path.parent == FUZZ:
        flags.append("-D_GNU_SOURCE")  # as fuzz_targets.py has it
    clang("-fsyntax-only", "-std=gnu11", *STRICT, *INCLUDES, *flags, path)


def built_by_roles() -> list[list[str]]:
    """Return the programs that each role names to the lookup c_sources, where one of them has a Makefile."""
    named = [
        re.findall(r"'(\w+)'", words)
        for path in sorted(ROOT.glob("roles/*/vars/main.yml"))
        for words in re.findall(r"query\('mailgate\.qmail\.c_sources', ([^)]*)\)", path.read_text())
    ]
    return [names for names in named if any((ROOT / "src" / name / "Makefile").is_file() for name in names)]


@pytest.mark.slow
@pytest.mark.parametrize("names", built_by_roles(), ids=" ".join)
def test_a_makefile_builds_the_programs_from_the_files_that_the_role_gets(
    names: list[str], tmp_path: Path
) -> None:
    for name, path in c_files.program_files(ROOT / "src", names).items():
        shutil.copy(path, tmp_path / name)
    done = run(["make"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert all((tmp_path / name).is_file() for name in names)


# --- the tests in C ---

TENS_OF_THOUSANDS_OF_FILES = {"names_are_spread_over_the_directories"}
SLOW = TENS_OF_THOUSANDS_OF_FILES | {
    "it_waits_no_longer_than_it_may",
    "who_comes_in_any_order_when_it_passes_is_not_refused",
}


@pytest.mark.parametrize(
    ("name", "test"),
    [pytest.param(*one, marks=[pytest.mark.slow] if one[1] in SLOW else []) for one in c_tests()],
)
def test_in_c(name: str, test: str, program: Callable[[str], Path], tmp_path: Path) -> None:
    done = run([program(name), test], cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, dummy in c_tests()}))
def test_in_c_under_clangs_sanitizers(name: str, tmp_path: Path) -> None:
    if not CLANG_SANITIZES:
        pytest.skip("clang or its runtime is missing; test_in_c did run")
    made, main = tmp_path / name, TESTS / f"{name}.c"
    clang("-std=c99", *STRICT, *SANITIZE, *INCLUDES, main, *needed(main), "-o", made)
    for test in (test for one, test in c_tests() if one == name and test not in TENS_OF_THOUSANDS_OF_FILES):
        place = tmp_path / test
        place.mkdir()
        done = run([made, test], cwd=place)
        assert done.returncode == 0, (test, (done.stdout + done.stderr).decode(errors="replace"))


UNSIGNED = [
    (name, test)
    for name, test in c_tests()
    if name in ("test_envelopesender", "test_envelopeaddress")
    or (name == "test_scannertext" and not test.startswith(("a_", "no_", "wh")))
]


@pytest.mark.parametrize(("name", "test"), UNSIGNED)
def test_with_unsigned_chars(name: str, test: str, program: Callable[..., Path], tmp_path: Path) -> None:
    """The tests pass with unsigned plain char, as on ARM."""
    done = run([program(name, "-funsigned-char"), test], cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


# --- fuzzers ---


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_fuzz_with_seeded_mutations(target: Target, tmp_path: Path) -> None:
    program = tmp_path / "fuzz"
    assert compile_target(target, program) == (0, "")
    status, said = fuzz(target, program, tmp_path, SECONDS)
    crash = tmp_path / "crash"
    assert status == 0, f"{said}\ninput: {crash.read_bytes() if crash.exists() else b''!r}"
    inputs = re.fullmatch("([0-9]+) inputs\n", said)
    assert inputs and int(inputs[1]) >= 256


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_fuzz_with_libfuzzer(target: Target, tmp_path: Path) -> None:
    if not LIBFUZZER:
        pytest.skip("clang or its libFuzzer is missing; test_fuzz_with_seeded_mutations did run")
    program, words = tmp_path / "fuzz", tmp_path / "words"
    assert compile_target(target, program, libfuzzer=True) == (0, "")
    words.write_text(f'"{target.name}"\n')
    status, said = fuzz(target, program, tmp_path, SECONDS, words)
    assert status == 0, said[-5000:]


def test_what_a_target_says_about_itself(tmp_path: Path) -> None:
    path = tmp_path / "fuzz_x.c"
    path.write_text(
        "/* What holds.\n * fuzz-sources: src/dnsbl/dnsbl.c\n * fuzz-flags: -DA=1 -lm\n"
        ' * fuzz-length: 5000\n */\n#include "settings.h"\n/*\n * fuzz-flags: -DB\n */\n'
    )
    target = read(path)
    assert (target.name, target.flags, target.length) == ("x", ("-DA=1", "-lm"), 5000)
    names = [source.name for source in target.sources]
    assert (
        names[:4] == ["settings.c", "say.c", "number.c", "dnsbl.c"]
        and "dnsask.c" in names
        and len(names) == len(set(names))
    )
    path.write_text("#include <stdio.h>\n")
    assert (read(path).sources, read(path).flags, read(path).length) == ((), (), 100_000)


# --- system calls ---

DIRECTORIES_OF_A_CALLER = """
#include <unistd.h>
#include "syncdir.h"
int main(int argc, char **argv) { return argc != 2 || chdir(argv[1]) || syncdir("todo/1") || syncdir("2"); }
"""


def test_syncdir_asks_the_kernel_to_write_the_directory_out(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is missing; test_syncdir.c holds the same of libc's fsync()")
    (tmp_path / "caller.c").write_text(DIRECTORIES_OF_A_CALLER)
    (tmp_path / "queue" / "todo").mkdir(parents=True)
    gcc(
        "-O2",
        "-std=c99",
        *INCLUDES,
        tmp_path / "caller.c",
        *needed(tmp_path / "caller.c"),
        "-o",
        tmp_path / "caller",
    )
    done = run(
        ["strace", "-y", "-e", "trace=fsync,exit_group", tmp_path / "caller", tmp_path / "queue"],
        cwd=tmp_path,
    )
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    calls = re.findall(rb"^(\w+)\((?:[0-9]+<([^>]*)>|([0-9]+))\) += (\S+)", done.stderr, re.MULTILINE)
    queue = str(tmp_path / "queue").encode()
    assert calls == [
        (b"fsync", queue + b"/todo", b"", b"0"),
        (b"fsync", queue, b"", b"0"),
        (b"exit_group", b"", b"0", b"?"),
    ]
