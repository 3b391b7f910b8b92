# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our C programs in src/, and the one way in which tests compile them.

Warnings are errors, with gcc and, where it is, with clang; what runs in a test runs under ASan and UBSan.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support import c_compiler

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("src/*/"))
INCLUDES = [word for directory in SOURCES for word in ("-I", str(directory))]
TESTS = ROOT / "tests" / "unit" / "c"
FUZZ = ROOT / "tests" / "fuzz"
CACHE = Path(os.environ.get("MAILGATE_CACHE") or Path.home() / ".cache" / "mailgate") / "sources"

STRICT = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wdeclaration-after-statement"]
# For what is installed, beside STRICT.
STRICTER = ["-Wconversion", "-Wformat=2", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wpointer-arith"]
STRICTER += ["-Wundef", "-Wvla"]
SANITIZE = [
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]

# As the roles compile the programs, and stricter: upstream's old C for what is built in its tree.
_OWN = (["-std=c99", "-pedantic"], ["-std=gnu11", "-funsigned-char", "-D_FORTIFY_SOURCE=2"])
DIALECTS = {
    "netqmail": (
        ["-std=c99", "-pedantic"],
        ["-std=gnu89"],
        ["-std=gnu89", "-include", "/usr/include/errno.h", "-fstack-protector-strong"],
        ["-std=gnu17"],
    ),
    "ripmime": (["-std=gnu89"], ["-std=gnu89", "-funsigned-char", "-D_FORTIFY_SOURCE=2"]),
    "simscan": (["-std=c99"], ["-std=gnu11"], ["-std=gnu17", "-D_FORTIFY_SOURCE=2"]),
}


def needed(program: Path) -> list[Path]:
    """Return our sources behind the headers that a program, or what it includes, names; not those in it."""
    found, inside, waiting = dict[Path, None](), set[Path](), [program]
    while waiting:
        for name, end in re.findall(r'^#include "(\w+)\.([ch])"', waiting.pop().read_text(), re.MULTILINE):
            for directory in SOURCES:
                both = (directory / f"{name}.c", directory / f"{name}.h")
                paths = [path for path in both if path.is_file()]
                if end == "c":
                    inside.update(paths[:1])
                waiting += [path for path in paths if path not in found]
                found.update(dict.fromkeys(paths))
    return [path for path in found if path.suffix == ".c" and path not in inside]


def sources(program: str) -> list[Path]:
    """Return the C files of a program, those of src/common that it needs among them."""
    own = sorted((ROOT / "src" / program).glob("*.c"))
    headers = sorted((ROOT / "src" / program).glob("*.h"))
    return sorted({*own, *(path for file in (*own, *headers) for path in needed(file))})


def dialects() -> list[tuple[Path, list[str]]]:
    """Return each C file of ours with each dialect that a program of which it is a part is compiled in."""
    found: dict[tuple[Path, str], tuple[Path, list[str]]] = {}
    for program in sorted(directory.name for directory in SOURCES if directory.name != "common"):
        for path in sources(program):
            for dialect in DIALECTS.get(program, _OWN):
                found[path, " ".join(dialect)] = (path, dialect)
    return [found[key] for key in sorted(found)]


def run(argv: Iterable[object], **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Return what became of a command; more is for subprocess."""
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, timeout=120, check=False, **more)


def gcc(*argv: object) -> None:
    assert shutil.which("gcc"), "gcc is missing; install gcc and libc6-dev"
    done = c_compiler.gcc([str(word) for word in argv])
    assert done.returncode == 0, done.stderr.decode()


def clang(*argv: object) -> None:
    done = run(["clang", *argv])
    assert (done.returncode, done.stderr.decode()) == (0, "")


def has_clang(*flags: str) -> bool:
    """Return whether clang is here, and what it needs for these flags."""
    if not shutil.which("clang"):
        return False
    done = run(["clang", *flags, "-x", "c", "-", "-o", "/dev/null"], input=_EMPTY)
    return (done.returncode, done.stderr) == (0, b"")


_EMPTY = (
    b"int LLVMFuzzerTestOneInput(const char *s, unsigned long n) { return s && n ? 0 : 0; }\n"
    b"#ifndef FUZZER\nint main(void) { return 0; }\n#endif\n"
)


def c_tests() -> list[tuple[str, str]]:
    return [
        (path.stem, name)
        for path in sorted(TESTS.glob("test_*.c"))
        for name in re.findall(r"^TEST\((\w+)\)", path.read_text(), re.MULTILINE)
    ]
