# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decisions of source_build: what is asked for, its recipe, what an archive may hold, what differs.

Nothing here reads a file, a clock or a socket.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .errors import BadInput

FORMAT = 1
DEFAULT_CACHE = "~/.cache/mailgate"

ARGUMENT_SPEC: dict[str, Any] = {
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
    "cache": {"type": "str"},
    "build_user": {"type": "str", "default": "mailgate-build"},
    "step_timeout_seconds": {"type": "int", "default": 3600},
    "keep_archive": {"type": "bool", "default": True},
    "package_method": {"type": "str"},
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
        return self.url or f"pool {self.pool}"


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
    """A validated task. directory_modes maps paths to ints; every relative path is below the build tree."""

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
    """The path normalized; raises BadInput unless it stays below the directory that it is relative to."""
    expected = "a path relative to the build tree, without '..'"
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadInput(f"{where}: {value!r} is not a path; expected {expected}")
    if value.startswith("/"):
        raise BadInput(f"{where}: {value!r} is absolute; expected {expected}")
    if ".." in value.split("/"):
        raise BadInput(f"{where}: {value!r} leads upwards; expected {expected}")
    return posixpath.normpath(value)


def _absolute(value: object, where: str) -> str:
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


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def parse(params: Mapping[str, Any]) -> Spec:
    """The task's arguments, with ARGUMENT_SPEC's types and defaults, as a Spec; raises BadInput."""
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
        artifacts=_unique([_absolute(path, "artifacts") for path in params["artifacts"]], "artifacts"),
        skeleton=_unique([_absolute(path, "skeleton") for path in params["skeleton"]], "skeleton"),
        directory_modes={
            _absolute(path, "directory_modes"): _mode(mode, f"directory_modes[{path}]")
            for path, mode in params["directory_modes"].items()
        },
        build_user=_match(account, params["build_user"], "build_user", "the name of a user"),
        step_timeout_seconds=params["step_timeout_seconds"],
    )
    strange = sorted(set(spec.toolchain_minimum) - set(spec.toolchain))
    if strange:
        raise BadInput(f"toolchain_minimum: {strange[0]!r} is not of the toolchain; expected one that is")
    if spec.step_timeout_seconds < 1:
        raise BadInput(f"step_timeout_seconds: {spec.step_timeout_seconds!r} is refused; expected 1 or more")
    _unique([file.path for file in spec.files], "files")
    for path in spec.skeleton:
        for artifact in spec.artifacts:
            if _inside(path, artifact) or _inside(artifact, path):
                raise BadInput(f"skeleton: {path!r} overlaps the artifact {artifact!r}; expected them apart")
    if spec.build_user == "root" or spec.build_user in spec.users:
        raise BadInput(
            f"build_user: {spec.build_user!r} runs more than builds;"
            " expected a user whose every process may be killed"
        )
    return spec


# -- the recipe ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """What a build reads of its host. None stands for what is not known there (yet)."""

    system: str
    release: str
    machine: str
    libc: str
    toolchain: Mapping[str, str | None]
    users: Mapping[str, int | None]
    groups: Mapping[str, int | None]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def recipe(spec: Spec, patches: Sequence[str], files: Sequence[str], host: Host) -> dict[str, Any]:
    """Everything that decides what a build makes, as plain data.

    patches and files are the sha256 of their contents, in the order of the spec. Where an archive comes
    from is not part of it, nor is Python, nor the name of the cache.
    """
    made = {
        "format": FORMAT,
        "name": spec.name,
        "version": spec.version,
        "archives": [
            {"directory": one.directory, "strip": one.strip, "sha256": [at.sha256 for at in one.sources]}
            for one in spec.archives
        ],
        "patches": list(patches),
        "files": [{"path": file.path, "sha256": digest} for file, digest in zip(spec.files, files)],
        "chdir": spec.chdir,
        "build": [_step_data(step) for step in spec.build],
        "install": [_step_data(step) for step in spec.install],
        "packages": sorted(spec.packages),
        "artifacts": sorted(spec.artifacts),
        "skeleton": sorted(spec.skeleton),
        "directory_modes": {path: f"{mode:04o}" for path, mode in spec.directory_modes.items()},
        "platform": {"system": host.system, "release": host.release, "machine": host.machine},
        "libc": host.libc,
        "toolchain": dict(host.toolchain),
        "ids": {"users": dict(host.users), "groups": dict(host.groups)},
    }
    return made if spec.series is None else {**made, "series": spec.series}


def _step_data(step: Step) -> dict[str, Any]:
    return {"argv": list(step.argv), "chdir": step.chdir, "environment": dict(step.environment)}


def recipe_hash(one: Mapping[str, Any]) -> str:
    return sha256(json.dumps(one, sort_keys=True, separators=(",", ":")).encode())


def readable(one: Mapping[str, Any] | None) -> str:
    """The recipe as sorted lines for a diff; '' for none."""
    return "" if one is None else json.dumps(one, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def upstream_version(version: str) -> str:
    """A Debian version without epoch and revision: '4:12.2.0-3' gives '12.2.0' (deb-version(7))."""
    rest = version.split(":", 1)[-1]
    return rest.rsplit("-", 1)[0] if "-" in rest else rest


def too_old(spec: Spec, toolchain: Mapping[str, str | None]) -> list[str]:
    """A sentence for each package of the toolchain whose known version is below what the build needs."""
    return [
        f"toolchain: {name} {found!r} is too old; expected {minimum} or newer"
        for name, minimum in spec.toolchain_minimum.items()
        for found in [toolchain.get(name)]
        if found is not None and _numbers(found) < _numbers(minimum)
    ]


def _numbers(version: str) -> list[int]:
    """The leading numbers of an upstream version: '1.96.0+dfsg1' gives [1, 96, 0]."""
    leading = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return [int(number) for number in leading.group().split(".")] if leading else []


def series(text: str, where: str) -> list[str]:
    """The names in a series file of quilt, in order (quilt(1), "series files").

    Raises BadInput for a name that leaves the directory of the series, and for options: only -p1 is done.
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


def os_release(text: str) -> dict[str, str]:
    """The fields of os-release(5), unquoted."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def apt_candidates(text: str) -> dict[str, str]:
    """The candidate version of each package in the output of `apt-cache policy` with LC_ALL=C."""
    found, package = {}, ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            package = line.rstrip(":")
        elif line.strip().startswith("Candidate: ") and line.split()[1] != "(none)":
            found[package] = line.split()[1]
    return found


def pool_urls(targets: str, pool: str) -> list[str]:
    """Where the pool file may be, in order, from lines `<repository's URI> <component>`."""
    urls = []
    for line in targets.splitlines():
        uri, _dummy, component = line.strip().rpartition(" ")
        if re.match(r"(https?|file):", uri) and component in pool.split("/")[:-1]:
            urls.append(f"{re.sub(r'^file:/+', 'file:///', uri).rstrip('/')}/pool/{pool}")
    return list(dict.fromkeys(urls))


# -- what an archive of a source may hold ----------------------------------------------------------

COMPRESSIONS = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x1f\x9d": "Z"}


def compression(head: bytes, where: str) -> str:
    """'gz', 'bz2', 'xz' or 'Z' by the first bytes of the archive."""
    for magic, name in COMPRESSIONS.items():
        if head.startswith(magic):
            return name
    raise BadInput(
        f"archive {where}: first bytes {head[:6]!r} are of no known compression;"
        " expected gzip, bzip2, xz or compress"
    )


@dataclass(frozen=True)
class Member:
    """A member of a tar archive: kind is file, directory, symlink, hardlink or other; link is its target."""

    name: str
    kind: str
    link: str = ""


@dataclass(frozen=True)
class Placed:
    """Where a member goes below its archive's directory; link is a symlink's text or a hard link's path."""

    path: str
    link: str = ""


def place_members(members: Sequence[Member], strip: int, where: str) -> list[Placed | None]:
    """Each member's place, None for the leading directories that are stripped; raises BadInput.

    No member lies outside, passes through a symbolic link, or comes twice. A symbolic link leads upwards only
    with its first components, whose directories are real ones, and not above the top: so none leaves.
    """
    here = f"archive {where}"
    links = set()
    seen: set[str] = set()
    placed: list[Placed | None] = []
    for member in members:
        path = _stripped(member.name, strip, here)
        if path is None:
            if member.kind != "directory":
                raise BadInput(
                    f"{here}: member {member.name!r} lies above the directory that is stripped;"
                    f" expected {strip} leading directories"
                )
            placed.append(None)
            continue
        link = ""
        parts = path.split("/")
        if any("/".join(parts[:depth]) in links for depth in range(1, len(parts))) or path in links:
            raise BadInput(f"{here}: member {member.name!r} passes through a symbolic link; expected none")
        if path in seen and member.kind != "directory":
            raise BadInput(f"{here}: member {member.name!r} is there twice; expected it once")
        if member.kind == "symlink":
            link = member.link
            _check_symlink(link, len(parts) - 1, f"{here}: symbolic link {member.name!r} to {link!r}")
            links.add(path)
        elif member.kind == "hardlink":
            link = _stripped(member.link, strip, here) or ""
            if link not in seen or link in links:
                raise BadInput(
                    f"{here}: hard link {member.name!r} to {member.link!r} leads nowhere;"
                    " expected an earlier file of the archive"
                )
        elif member.kind not in ("file", "directory"):
            raise BadInput(
                f"{here}: member {member.name!r} is a device or fifo; expected files, directories and links"
            )
        if member.kind != "directory":
            seen.add(path)
        placed.append(Placed(path, link))
    return placed


def _stripped(name: str, strip: int, where: str) -> str | None:
    if name.startswith("/"):
        raise BadInput(f"{where}: member {name!r} is absolute; expected a relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadInput(f"{where}: member {name!r} leads upwards; expected a path without '..'")
    return "/".join(parts[strip:]) or None


def _check_symlink(link: str, depth: int, what: str) -> None:
    parts = [part for part in link.split("/") if part not in ("", ".")]
    upwards = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if link.startswith("/") or not parts or upwards > depth or ".." in parts[upwards:]:
        raise BadInput(f"{what} leaves the tree; expected a relative link that stays inside")


# -- what was installed ----------------------------------------------------------------------------


ENTRY_KINDS = ("file", "directory", "link", "fifo")


@dataclass(frozen=True)
class Entry:
    """One path: kind is file, directory, link or fifo; sha256 only for artifacts that are files."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    sha256: str = ""
    target: str = ""

    def __str__(self) -> str:
        what = f"{self.kind} {self.mode:04o} {self.uid}:{self.gid}"
        what += f" sha256 {self.sha256}" if self.sha256 else ""
        return what + (f" to {self.target}" if self.target else "")


@dataclass(frozen=True)
class Manifest:
    """The stamp, and the first member of an archive of what was built.

    sources: for each archive {directory, place, via, sha256}. parents: the directories above the rest, made
    when missing and otherwise left as they are.
    """

    recipe: Mapping[str, Any]
    recipe_hash: str
    sources: Sequence[Mapping[str, str]]
    artifacts: tuple[Entry, ...]
    skeleton: tuple[Entry, ...]
    parents: tuple[Entry, ...]

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"


def parse_manifest(text: str, where: str) -> Manifest:
    """The manifest in the text; raises BadInput when it is none, or its hash is not that of its recipe."""
    try:
        raw = json.loads(text)

        def entries(key: str) -> tuple[Entry, ...]:
            return tuple(_entry(one) for one in raw[key])

        manifest = Manifest(
            raw["recipe"],
            raw["recipe_hash"],
            raw["sources"],
            entries("artifacts"),
            entries("skeleton"),
            entries("parents"),
        )
        if recipe_hash(manifest.recipe) != manifest.recipe_hash:
            raise BadInput("recipe_hash is not that of the recipe")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"manifest {where}: {text[:60]!r} is damaged ({error!s}); expected what was written"
        ) from error
    return manifest


def _entry(raw: Mapping[str, Any]) -> Entry:
    entry = Entry(**raw)
    _absolute(entry.path, "path")
    if entry.kind not in ENTRY_KINDS:
        raise BadInput(f"kind {entry.kind!r} is unknown")
    numbers = (entry.mode, entry.uid, entry.gid)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise BadInput("mode, uid or gid is no number")
    if entry.mode & ~0o7777 or not re.fullmatch(r"([0-9a-f]{64})?", entry.sha256):
        raise BadInput("mode or sha256 is out of range")
    return entry


def check_manifest(manifest: Manifest) -> None:
    """Raises BadInput when something lies outside the recipe's paths, or belongs to a stranger."""
    ids = manifest.recipe["ids"]
    uids, gids = {0, *ids["users"].values()}, {0, *ids["groups"].values()}
    tops = {"artifact": manifest.recipe["artifacts"], "skeleton": manifest.recipe["skeleton"]}
    for what, entries in (("artifact", manifest.artifacts), ("skeleton", manifest.skeleton)):
        for entry in entries:
            if not any(_inside(entry.path, top) for top in tops[what]):
                raise BadInput(f"{what} {entry.path}: not of the recipe; expected a path that is")
            if entry.kind not in ENTRY_KINDS:
                raise BadInput(f"{what} {entry.path}: a {entry.kind}; expected {', '.join(ENTRY_KINDS)}")
            _check_owner(what, entry, uids, gids)
    for entry in manifest.parents:
        if entry.kind != "directory" or not any(
            path.startswith(entry.path + "/") for path in [*tops["artifact"], *tops["skeleton"]]
        ):
            raise BadInput(f"directory {entry.path}: above nothing; expected a parent directory")
        _check_owner("directory", entry, uids, gids)


def _check_owner(what: str, entry: Entry, uids: set[Any], gids: set[Any]) -> None:
    if entry.uid not in uids or entry.gid not in gids:
        raise BadInput(
            f"{what} {entry.path}: owner {f'{entry.uid}:{entry.gid}'!r} is foreign to the recipe;"
            " expected root or one of ids"
        )


def wanted_entries(manifest: Manifest) -> list[Entry]:
    """Artifacts and skeleton in the order in which they are archived and put in place: parents first."""
    return sorted((*manifest.artifacts, *manifest.skeleton), key=lambda entry: entry.path.split("/"))


def differences(recorded: Iterable[Entry], found: Mapping[str, Entry | None]) -> list[tuple[str, str, str]]:
    """(path, what is there, what should be) for every recorded entry that is not as recorded."""
    return [
        (entry.path, str(found.get(entry.path) or "absent"), str(entry))
        for entry in recorded
        if found.get(entry.path) != entry
    ]
