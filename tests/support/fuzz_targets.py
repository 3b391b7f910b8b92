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
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "fuzz"
SOURCES = sorted(ROOT.glob("src/*/"))
INCLUDES = [word for directory in SOURCES for word in ("-I", str(directory))]
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wdeclaration-after-statement"]
SANITIZE = ["-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
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


def needed(program: Path) -> list[Path]:
    """Return our sources behind the headers that a program, or what it includes, names; not those in it."""
    found, inside, waiting = dict[Path, None](), set[Path](), [program]
    while waiting:
        for name, end in re.findall(r'^#include "(\w+)\.([ch])"', waiting.pop().read_text(), re.MULTILINE):
            for directory in SOURCES:
                paths = [
                    path for path in (directory / f"{name}.c", directory / f"{name}.h") if path.is_file()
                ]
                if end == "c":
                    inside.update(paths[:1])
                waiting += [path for path in paths if path not in found]
                found.update(dict.fromkeys(paths))
    return [path for path in found if path.suffix == ".c" and path not in inside]


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
    return [read(path) for path in sorted(HERE.glob("fuzz_*.c"))]


def has_libfuzzer() -> bool:
    """Whether clang is here, and the runtime that it needs for this."""
    return bool(shutil.which("clang")) and run(
        ["clang", *_LIBFUZZER, "-x", "c", "-", "-o", "/dev/null"], _EMPTY
    ) == (0, "")


_LIBFUZZER = ["-fsanitize=fuzzer,address,undefined"]
_EMPTY = "int LLVMFuzzerTestOneInput(const char *s, unsigned long n) { return s && n ? 0 : 0; }"


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
    engine = (
        ["clang", *_LIBFUZZER]
        if libfuzzer
        else ["gcc", "-fsanitize=address,undefined", str(HERE / "drive.c")]
    )
    language = ["-std=gnu11", "-D_GNU_SOURCE", *STRICT, *SANITIZE, *INCLUDES]
    files = [str(path) for path in (target.path, *target.sources)]
    return run([*engine, *language, *files, *target.flags, "-o", str(out)])


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
