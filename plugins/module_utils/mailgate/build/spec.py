# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of source_build, and the recipe among them: parsed and checked.

Nothing here reads a file, a clock or a socket.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import BadInput
from ..core.text import without_passwords

RECIPE_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "archives": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "directory": {"type": "str", "default": "."},
            "strip": {"type": "int", "default": 1},
            "sources": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"url": {"type": "str"}, "pool": {"type": "str"}, "sha256": {"type": "str"}},
            },
        },
    },
    "patches": {"type": "list", "elements": "str", "default": []},
    "series": {"type": "str"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str"},
            "src": {"type": "str"},
        },
    },
    "chdir": {"type": "str", "default": "."},
    "build": {"type": "list", "elements": "raw", "default": []},
    "install": {"type": "list", "elements": "raw", "required": True},
    "toolchain": {"type": "list", "elements": "str", "default": []},
    "toolchain_minimum": {"type": "dict", "default": {}},
    "packages": {"type": "list", "elements": "str", "default": []},
    "ids": {
        "type": "dict",
        "default": {},
        "options": {
            "users": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
        },
    },
    "artifacts": {"type": "list", "elements": "str", "required": True},
    "skeleton": {"type": "list", "elements": "str", "default": []},
    "directory_modes": {"type": "dict", "default": {}},
    "build_user": {"type": "str", "default": "mailgate-build"},
    "step_timeout_seconds": {"type": "int", "default": 3600},
    "package_method": {"type": "str"},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "recipe": {"type": "dict", "required": True, "options": RECIPE_SPEC},
    "cache": {"type": "str"},
    "keep_archive": {"type": "bool", "default": True},
    "repository": {"type": "str"},
}


# -- what is asked for -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """One place of an archive: a URL, or a path below the pool of a Debian mirror; exactly one of the two."""

    sha256: str
    url: str | None = None
    pool: str | None = None

    @property
    def place(self) -> str:
        """What people and files are told of it: never a password."""
        return without_passwords(self.url or f"pool {self.pool}")


@dataclass(frozen=True)
class Archive:
    directory: str
    strip: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class File:
    path: str
    content: str | None
    src: str | None


@dataclass(frozen=True)
class Step:
    argv: tuple[str, ...]
    chdir: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Spec:
    """A validated recipe. directory_modes maps paths to ints; every relative path is below the build tree."""

    name: str
    version: str
    archives: tuple[Archive, ...]
    patches: tuple[str, ...]
    series: str | None
    files: tuple[File, ...]
    chdir: str
    build: tuple[Step, ...]
    install: tuple[Step, ...]
    toolchain: tuple[str, ...]
    toolchain_minimum: Mapping[str, str]
    packages: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]
    artifacts: tuple[str, ...]
    skeleton: tuple[str, ...]
    directory_modes: Mapping[str, int]
    build_user: str
    step_timeout_seconds: int


def _match(pattern: str, value: object, where: str, expected: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise BadInput(f"{where}: {value!r} is refused; expected {expected}")
    return value


def _below(value: object, where: str) -> str:
    """Normalize a path; raises BadInput unless it stays below the directory that it is relative to."""
    expected = "a path relative to the build tree, without '..'"
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadInput(f"{where}: {value!r} is not a path; expected {expected}")
    if value.startswith("/"):
        raise BadInput(f"{where}: {value!r} is absolute; expected {expected}")
    if ".." in value.split("/"):
        raise BadInput(f"{where}: {value!r} leads upwards; expected {expected}")
    return posixpath.normpath(value)


def absolute_path(value: object, where: str) -> str:
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"(/[^/\0\n]+)+", value)
        or posixpath.normpath(value) != value
    ):
        raise BadInput(f"{where}: {value!r} is refused; expected an absolute path without '.', '..' and '//'")
    return value


def _unique(values: Sequence[str], where: str) -> tuple[str, ...]:
    for value in values:
        if values.count(value) > 1:
            raise BadInput(f"{where}: {value!r} is there twice; expected it once")
    return tuple(values)


def _source(raw: Mapping[str, Any], where: str) -> Source:
    url, pool, sha256 = raw.get("url"), raw.get("pool"), raw.get("sha256")
    if (url is None) == (pool is None):
        what = "has neither url nor pool" if url is None else "has both url and pool"
        raise BadInput(f"{where}: {dict(raw)!r} {what}; expected exactly one of them")
    if sha256 is None:
        raise BadInput(f"{where}: {url or pool!r} has no sha256; expected 64 hexadecimal digits")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise BadInput(f"{where}.sha256: {sha256!r} is not a sha256; expected 64 hexadecimal digits")
    if url is not None:
        _match(
            r"(https?://[^\s/]+/\S+|file:///\S+)",
            url,
            f"{where}.url",
            "'http://…', 'https://…' or 'file:///…'",
        )
    else:
        _match(r"[A-Za-z0-9][A-Za-z0-9+._~:/-]*", pool, f"{where}.pool", "'main/d/name/name_1.0.orig.tar.gz'")
        _below(pool, f"{where}.pool")
    return Source(sha256.lower(), url, pool)


def _archive(raw: Mapping[str, Any], where: str) -> Archive:
    strip = raw.get("strip", 1)
    if not isinstance(strip, int) or isinstance(strip, bool) or strip < 0:
        raise BadInput(f"{where}.strip: {strip!r} is refused; expected a number of directories, 0 or more")
    sources = raw.get("sources") or []
    if not sources:
        raise BadInput(f"{where}.sources: {sources!r} names no source; expected one or more")
    return Archive(
        _below(raw.get("directory", "."), f"{where}.directory"),
        strip,
        tuple(_source(one, f"{where}.sources[{index}]") for index, one in enumerate(sources)),
    )


def _file(raw: Mapping[str, Any], where: str) -> File:
    content, src = raw.get("content"), raw.get("src")
    if (content is None) == (src is None):
        what = "has neither content nor src" if src is None else "has both content and src"
        raise BadInput(f"{where}: {raw.get('path')!r} {what}; expected exactly one of them")
    path = _below(raw.get("path"), f"{where}.path")
    if path == ".":
        raise BadInput(f"{where}.path: '.' is the build tree; expected a file below it")
    return File(path, content, src)


def _step(raw: object, where: str, chdir: str) -> Step:
    argv: Any = raw
    environment: Any = {}
    if isinstance(raw, Mapping):
        unknown = sorted(set(raw) - {"argv", "chdir", "environment"})
        if unknown:
            raise BadInput(f"{where}: {unknown[0]!r} is unknown; expected argv, chdir or environment")
        argv, environment = raw.get("argv"), raw.get("environment") or {}
        chdir = _below(raw.get("chdir", chdir), f"{where}.chdir")
    if not isinstance(argv, (list, tuple)) or not argv or not argv[0]:
        raise BadInput(f"{where}: {raw!r} is not a command; expected a list such as ['make', 'it']")
    for word in argv:
        if not isinstance(word, (str, int)) or isinstance(word, bool) or "\0" in str(word):
            raise BadInput(f"{where}: {word!r} is not a word of a command; expected a string")
    if not isinstance(environment, Mapping):
        raise BadInput(f"{where}.environment: {environment!r} is refused; expected names and values")
    for key in environment:
        _match(r"[A-Za-z_][A-Za-z0-9_]*", key, f"{where}.environment", "the name of a variable")
    pairs = {str(key): str(value) for key, value in environment.items()}
    return Step(tuple(str(word) for word in argv), chdir, pairs)


def _mode(value: object, where: str) -> int:
    return int(_match(r"0?[0-7]{3,4}", value, where, "an octal mode in quotes such as '0755'"), 8)


def is_inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def parse(params: Mapping[str, Any]) -> Spec:
    """Parse a task's recipe, with RECIPE_SPEC's types and defaults, to a Spec; raises BadInput."""
    name = _match(r"[a-z0-9][a-z0-9-]*", params["name"], "name", "lower-case letters, digits and '-'")
    version = _match(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*", params["version"], "version", "one such as '1.06'")
    for required in ("archives", "install", "artifacts"):
        if not params[required] and not (required == "archives" and params["files"]):
            raise BadInput(f"{required}: {params[required]!r} is empty; expected one or more")
    chdir = _below(params["chdir"], "chdir")
    ids = params["ids"] or {}
    package, account = r"[a-z0-9][a-z0-9+.-]+", r"[a-z_][a-z0-9_-]*"

    def names(key: str, values: Sequence[str], pattern: str, expected: str) -> tuple[str, ...]:
        return _unique([_match(pattern, value, key, expected) for value in values], key)

    spec = Spec(
        name=name,
        version=version,
        archives=tuple(_archive(raw, f"archives[{index}]") for index, raw in enumerate(params["archives"])),
        patches=tuple(params["patches"]),
        series=None if params["series"] is None else _below(params["series"], "series"),
        files=tuple(_file(raw, f"files[{index}]") for index, raw in enumerate(params["files"])),
        chdir=chdir,
        build=tuple(_step(raw, f"build[{index}]", chdir) for index, raw in enumerate(params["build"])),
        install=tuple(_step(raw, f"install[{index}]", chdir) for index, raw in enumerate(params["install"])),
        toolchain=names("toolchain", params["toolchain"], package, "the name of a Debian package"),
        toolchain_minimum={
            name: _match(
                r"[0-9]+(\.[0-9]+)*", version, f"toolchain_minimum[{name}]", "a version such as '1.87'"
            )
            for name, version in params["toolchain_minimum"].items()
        },
        packages=names("packages", params["packages"], package, "the name of a Debian package"),
        users=names("ids.users", ids.get("users") or [], account, "the name of a user"),
        groups=names("ids.groups", ids.get("groups") or [], account, "the name of a group"),
        artifacts=_unique([absolute_path(path, "artifacts") for path in params["artifacts"]], "artifacts"),
        skeleton=_unique([absolute_path(path, "skeleton") for path in params["skeleton"]], "skeleton"),
        directory_modes={
            absolute_path(path, "directory_modes"): _mode(mode, f"directory_modes[{path}]")
            for path, mode in params["directory_modes"].items()
        },
        build_user=_match(account, params["build_user"], "build_user", "the name of a user"),
        step_timeout_seconds=params["step_timeout_seconds"],
    )
    strange = sorted(set(spec.toolchain_minimum) - set(spec.toolchain))
    if strange:
        raise BadInput(f"toolchain_minimum: {strange[0]!r} is not in the toolchain; expected one of it")
    if spec.step_timeout_seconds < 1:
        raise BadInput(f"step_timeout_seconds: {spec.step_timeout_seconds!r} is refused; expected 1 or more")
    _unique([file.path for file in spec.files], "files")
    for path in spec.skeleton:
        for artifact in spec.artifacts:
            if is_inside(path, artifact) or is_inside(artifact, path):
                raise BadInput(f"skeleton: {path!r} overlaps the artifact {artifact!r}; expected them apart")
    if spec.build_user == "root" or spec.build_user in spec.users:
        raise BadInput(
            f"build_user: {spec.build_user!r} runs more than builds;"
            " expected a user whose every process may be killed"
        )
    return spec


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def series(text: str, where: str) -> list[str]:
    """Return the names in a series file of quilt, in order (quilt(1), "series files").

    Raises BadInput for a name that leaves the directory of the series, and for options other than -p1.
    """
    names = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[1:] not in ([], ["-p1"]):
            raise BadInput(
                f"series {where} line {number}: {line!r} has options; expected the name of a patch"
            )
        names.append(_below(words[0], f"series {where} line {number}"))
    if not names:
        raise BadInput(f"series {where}: {text[:60]!r} names no patch; expected one or more")
    return names
