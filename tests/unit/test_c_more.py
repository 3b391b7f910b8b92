# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our C files once more: with unsigned chars, under fuzzers, and by the system calls that they make.

The tests in c/test_*.c are run by test_c.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_c import INCLUDES, SANITIZE, SOURCE, STRICT, TESTS, c_tests, gcc, needed, run

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
TARGETS = sorted(FUZZ.glob("fuzz_*.c"))
SEED = 20070101
SECONDS = 3

UNSIGNED = [
    (name, test)
    for name, test in c_tests()
    if name == "test_envelopesender"
    or (name == "test_scannertext" and not test.startswith(("a_", "no_", "wh")))
]


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles a test program as on ARM, where a plain char has no sign."""
    made = tmp_path_factory.mktemp("unsigned")

    def compiled(name: str) -> Path:
        target = made / name
        if not target.exists():
            source = TESTS / f"{name}.c"
            gcc(
                "-std=c99",
                "-funsigned-char",
                *STRICT,
                *SANITIZE,
                "-I",
                SOURCE,
                source,
                *SOURCE.glob("*.c"),
                "-o",
                target,
            )
        return target

    return compiled


@pytest.mark.parametrize(("name", "test"), UNSIGNED)
def test_with_unsigned_chars(name: str, test: str, unsigned: Callable[[str], Path], tmp_path: Path) -> None:
    done = run([unsigned(name), test], cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


# --- fuzzers ---


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_fuzz_with_seeded_mutations(target: Path, tmp_path: Path) -> None:
    program = tmp_path / "fuzz"
    gcc(
        "-std=c99",
        "-D_GNU_SOURCE",
        *STRICT,
        *SANITIZE,
        *INCLUDES,
        target,
        FUZZ / "drive.c",
        *needed(target),
        "-o",
        program,
    )
    done = run([program, SEED, SECONDS], cwd=tmp_path)
    crash = tmp_path / "crash"
    assert done.returncode == 0, (
        f"{done.stderr.decode(errors='replace')}\ninput: {crash.read_bytes() if crash.exists() else b''!r}"
    )
    inputs = re.fullmatch(rb"([0-9]+) inputs\n", done.stdout)
    assert inputs and int(inputs[1]) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_fuzz_with_libfuzzer(target: Path, tmp_path: Path) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is missing, so libFuzzer cannot be used; test_fuzz_with_seeded_mutations did run")
    program = tmp_path / "fuzz"
    made = run(
        [
            "clang",
            "-D_GNU_SOURCE",
            "-g",
            "-O1",
            "-fsanitize=fuzzer,address,undefined",
            "-fno-sanitize-recover=all",
            *INCLUDES,
            target,
            *needed(target),
            "-o",
            program,
        ]
    )
    if b"cannot find" in made.stderr:
        pytest.skip("clang has no runtime of libFuzzer; Debian's is libclang-rt-dev of its version")
    assert made.returncode == 0, made.stderr.decode(errors="replace")
    done = run(
        [program, f"-seed={SEED}", f"-max_total_time={SECONDS}", "-max_len=3000", "-timeout=5"], cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-5000:]


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
        "-I",
        SOURCE,
        tmp_path / "caller.c",
        SOURCE / "syncdir.c",
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
