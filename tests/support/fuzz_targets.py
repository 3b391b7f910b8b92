# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find, compile and run the fuzz targets: each tests/fuzz/fuzz_NAME.c is one.

A target's comment at its beginning may say, each in a line of its own:

    fuzz-sources: PATH...   C files besides those of the headers that it includes
    fuzz-flags: FLAG...     for compiling and linking
    fuzz-length: BYTES      of its largest input; 100000 unless it says so
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import c_compiler
from support.c_programs import FUZZ, INCLUDES, ROOT, SANITIZE, STRICT, has_clang, needed

LENGTH = 100_000
SEED = 20070101
INPUT_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Target:
    path: Path
    sources: tuple[Path, ...]
    flags: tuple[str, ...]
    length: int

    @property
    def name(self) -> str:
        return self.path.stem[len("fuzz_") :]


def read(path: Path) -> Target:
    """Return what a target's own comment says about it."""
    head = path.read_text().partition("*/\n")[0]
    said = {
        name: " ".join(re.findall(rf"^ \* fuzz-{name}:(.*)$", head, re.MULTILINE)).split()
        for name in ("sources", "flags", "length")
    }
    sources = needed(path)
    for word in said["sources"]:
        sources += [one for one in [ROOT / word, *needed(ROOT / word)] if one not in sources]
    return Target(path, tuple(sources), tuple(said["flags"]), int((said["length"] or [str(LENGTH)])[0]))


def targets() -> list[Target]:
    return [read(path) for path in sorted(FUZZ.glob("fuzz_*.c"))]


def has_libfuzzer() -> bool:
    """Return whether clang is here, and the runtime that it needs for this."""
    return has_clang("-fsanitize=fuzzer,address,undefined", "-DFUZZER")


def run(argv: list[str], text: str = "", cwd: Path | None = None, timeout: float = 300) -> tuple[int, str]:
    """Run a command; return its exit status and its whole output."""
    done = subprocess.run(
        argv,
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def compile_target(target: Target, out: Path, libfuzzer: bool = False) -> tuple[int, str]:
    """Compile a target with libFuzzer, or with gcc and drive.c, both with ASan and UBSan."""
    language = ["-std=gnu11", "-D_GNU_SOURCE", *STRICT, *SANITIZE, *INCLUDES]
    files = [str(path) for path in (target.path, *target.sources)]
    words = [*language, *files, *target.flags, "-o", str(out)]
    if libfuzzer:
        return run(["clang", "-fsanitize=fuzzer", *words])
    done = c_compiler.gcc([str(FUZZ / "drive.c"), *words])
    return done.returncode, done.stderr.decode(errors="replace")


def fuzz(
    target: Target, program: Path, directory: Path, seconds: int, words: Path | None = None
) -> tuple[int, str]:
    """Run a target in that directory, where a failing input is left; under libFuzzer given a dictionary."""
    if words is None:
        return run([str(program), str(SEED), str(seconds), str(target.length)], "", directory, seconds + 120)
    options = {
        "max_total_time": seconds,
        "max_len": target.length,
        "len_control": 20,  # longer inputs sooner than the default, 100
        "timeout": INPUT_TIMEOUT_SECONDS,
        "dict": words,
        "print_final_stats": 1,
    }
    corpus = directory / "corpus"
    corpus.mkdir(exist_ok=True)
    return run(
        [str(program), *(f"-{name}={value}" for name, value in options.items()), str(corpus)],
        "",
        directory,
        seconds + 120,
    )
