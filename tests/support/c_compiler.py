# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gcc, and what it made of the same text and flags before: compiled once, for whoever asks first.

Each C file is compiled by itself and kept as an object, so that a change of one file compiles that one
again, and a file that many programs share is compiled once for all; what is linked is kept, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STORE = Path(__file__).resolve().parents[2] / ".bed" / "c"
KEPT_SECONDS = 3 * 86400
KEPT_BYTES = 1 << 30
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
ONLY_LINKED = ("-l", "-L", "-Wl,")
Done = subprocess.CompletedProcess[bytes]


@functools.cache
def compiler() -> str:
    """Return what a result depends on beside the sources: the compiler, and the state of the headers."""
    version = subprocess.run(["gcc", "-v"], capture_output=True, text=True, check=False).stderr
    return f"{version} {os.stat('/usr/include').st_mtime_ns}"


@dataclass
class Words:
    """The words of a command of gcc, by what they are for; a flag of two words is one entry."""

    target: str = ""
    sources: list[str] = field(default_factory=list)
    flags: list[list[str]] = field(default_factory=list)  # for compiling; without -c
    directories: list[str] = field(default_factory=list)  # of headers, in order
    linked: list[str] = field(default_factory=list)  # sources and what is for the linker, in order
    only_compile: bool = False


def parse(words: Sequence[str]) -> Words:
    found, rest = Words(), list(words)
    while rest:
        word = rest.pop(0)
        if word == "-o":
            found.target = rest.pop(0)
        elif word == "-c":
            found.only_compile = True
        elif word.startswith("-I"):
            found.directories.append(word[2:] or rest.pop(0))
        elif word == "-include":
            found.flags.append([word, rest.pop(0)])
        elif word.startswith(ONLY_LINKED) or word.endswith((".o", ".a")):
            found.linked.append(word)
        elif word.endswith(".c") and os.path.isfile(word):
            found.sources.append(word)
            found.linked.append(word)
        else:
            found.flags.append([word])
    return found


@dataclass(frozen=True)
class Text:
    """What counts of a file: its hash, the (quote, name) of each include, and the names in it."""

    digest: str
    includes: tuple[tuple[str, str], ...]
    names: frozenset[str]


@functools.lru_cache(maxsize=4096)
def _text(path: str, _modified_ns: int, _size: int) -> Text:
    data = Path(path).read_bytes()
    text = data.decode("latin-1")
    names = frozenset(re.findall(r"[A-Za-z_]\w*", text))
    return Text(hashlib.sha256(data).hexdigest(), tuple(INCLUDE.findall(text)), names)


def text_of(path: str) -> Text:
    """Return it without reading the file again while that is as it was."""
    stat = os.stat(path)
    return _text(path, stat.st_mtime_ns, stat.st_size)


def _all_included(first: Iterable[str], directories: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return "PATH HASH" of these files and of all of ours that they include, and the names in them."""
    found: dict[str, str] = {}
    names: set[str] = set()
    waiting = list(first)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        text = text_of(path)
        found[path] = text.digest
        names |= text.names
        for quote, name in text.includes:
            places = [os.path.dirname(path), *directories] if quote == '"' else directories
            at = next((one for one in (f"{place}/{name}" for place in places) if os.path.isfile(one)), None)
            waiting += [at] if at else []
    return [f"{path} {digest}" for path, digest in found.items()], names


def digest(*parts: object) -> str:
    return hashlib.sha256(f"2 {compiler()} {parts!r}".encode()).hexdigest()


def object_key(words: Words, source: str) -> str:
    """Return a name for the object that these flags make of a source.

    A macro that neither the source nor a header of ours names does not count: the system's headers ask
    only for those that begin with an underscore.
    """
    given = [pair[1] for pair in words.flags if pair[0] == "-include"]
    files, names = _all_included([source, *given], words.directories)
    flags = [
        pair
        for pair in words.flags
        if not re.match("-D[A-Za-z]", pair[0]) or pair[0][2:].partition("=")[0] in names
    ]
    return digest(source, sorted(files), flags)


def _kept(key: str, argv: Sequence[str], run: Callable[[Sequence[str]], Done]) -> tuple[Path, Done]:
    """Return where the file of that key is kept, and what became of the command if it had to be run.

    The command ends with -o; only what it made without a message is kept.
    """
    kept, good = STORE / key, Done([], 0, b"", b"")
    STORE.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        with open(f"{kept}.lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # the other workers of pytest wait for the first
            if not kept.exists():
                fresh = kept.with_suffix(".new")
                done = run([*argv, str(fresh)])
                if done.returncode or done.stderr:
                    return fresh, done
                os.replace(fresh, kept)
                _forget_old(STORE)
                return kept, done
    os.utime(kept)
    return kept, good


def gcc(words: Sequence[str], timeout_seconds: float = 120) -> Done:
    """Run gcc, or take what it made before; only what compiled without a message is kept."""
    parsed = parse(words)

    def run(argv: Sequence[str]) -> Done:
        return subprocess.run(["gcc", *argv], capture_output=True, timeout=timeout_seconds, check=False)

    if not parsed.target or not parsed.sources:
        return run(words)
    target = Path(parsed.target)
    flags = [word for pair in parsed.flags for word in pair]
    includes = [word for directory in parsed.directories for word in ("-I", directory)]
    objects: dict[str, Path] = {}
    said = b""
    for source in parsed.sources:
        argv = [*flags, *includes, "-c", source, "-o"]
        objects[source], done = _kept(object_key(parsed, source), argv, run)
        said += done.stderr
        if done.returncode:
            return done
    if said:
        return run(words)  # with a warning: as it was asked for
    if parsed.only_compile:
        shutil.copy(objects[parsed.sources[0]], target)
        return Done(["gcc", *words], 0, b"", b"")
    linked = [str(objects.get(word, word)) for word in parsed.linked]
    others = [text_of(word).digest for word in parsed.linked if word not in objects and os.path.isfile(word)]
    options = [word for word in flags if not word.startswith("-D")]
    kept, done = _kept(digest("linked", linked, others, options), [*options, *linked, "-o"], run)
    if done.returncode == 0:
        shutil.copy(kept, target)
    return done


@functools.cache
def _forget_old(store: Path) -> None:
    """Remove, once a process, what was not asked for lately: above KEPT_BYTES, or after KEPT_SECONDS."""
    files: list[tuple[float, int, str]] = []
    for entry in os.scandir(store):
        with contextlib.suppress(OSError):  # other workers remove, too
            files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    kept_bytes = 0
    for asked, size, path in sorted(files, reverse=True):
        kept_bytes += size
        if kept_bytes > KEPT_BYTES or time.time() - asked > KEPT_SECONDS:
            with contextlib.suppress(OSError):
                os.unlink(path)
