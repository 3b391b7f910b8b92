# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bundle: one file with everything that a converge of a platform fetches, each member with its sha256.

It is a tar archive. Its first member is the manifest, JSON: format, platform, the collection's version, and
for each file its sha256, its size and what it is. The others follow in the order of their names, below one of
KINDS. Nothing in it depends on when and where it was made, so the same files make the same bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

from ..core.errors import BadInput
from ..core.files import atomic_write, fsync_directory
from ..core.locks import acquire
from .layout import file_sha256

FORMAT = 1
MANIFEST = "manifest.json"
KINDS = ("packages", "rules", "signatures", "sources", "wheels")
_NAME = re.compile(rf"({'|'.join(KINDS)})/[A-Za-z0-9][A-Za-z0-9+._~%:-]*")
_MANIFEST_BYTES = 4 << 20
_BLOCK_BYTES = 1 << 20
LOCK_SECONDS = 600.0


@dataclass(frozen=True)
class Platform:
    """A release of a distribution on an architecture, as os-release(5) and uname(2) name them."""

    system: str
    release: str
    machine: str

    def __str__(self) -> str:
        return f"{self.system}-{self.release}-{self.machine}"


@dataclass(frozen=True)
class Entry:
    """A file of a bundle: what a person calls it, and what its bytes must be."""

    what: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    platform: Platform
    version: str
    files: Mapping[str, Entry]

    def text(self) -> str:
        """Return the manifest's only form, so that its hash is that of all contents."""
        whole = {
            "format": FORMAT,
            "platform": vars(self.platform),
            "version": self.version,
            "files": {name: vars(one) for name, one in self.files.items()},
        }
        return json.dumps(whole, sort_keys=True, indent=1) + "\n"

    def digest(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of its files of one of KINDS, in order."""
        return sorted(name for name in self.files if name.startswith(f"{kind}/"))


def file_name(platform: Platform) -> str:
    return f"mailgate-{platform}.bundle"


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Parse a manifest; raises BadInput."""
    try:
        given = json.loads(content)
        found = given.get("format") if isinstance(given, dict) else None
        if found != FORMAT:
            raise BadInput(f"{where}: format {found!r} is not known here; expected {FORMAT}")
        files = {name: Entry(**one) for name, one in given["files"].items()}
        manifest = Manifest(Platform(**given["platform"]), given["version"], files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{where}: {MANIFEST} is damaged, {error!r}; expected what a bundle has") from error
    for name, one in files.items():
        if _NAME.fullmatch(name) is None:
            kinds = ", ".join(KINDS)
            raise BadInput(f"{where}: {name!r} is not a name of a file; expected one below {kinds}")
        if re.fullmatch("[0-9a-f]{64}", str(one.sha256)) is None or not isinstance(one.size, int):
            raise BadInput(f"{where}: {name}: {one!r} is refused; expected a sha256 and a size")
    return manifest


# -- making -----------------------------------------------------------------------------------------


def describe(platform: Platform, version: str, files: Mapping[str, tuple[str, str]]) -> Manifest:
    """Return the manifest of files: their paths and what they are, by their names in the bundle."""
    entries = {}
    for name, (path, what) in files.items():
        if _NAME.fullmatch(name) is None:
            raise BadInput(
                f"file {path}: {name!r} cannot be its name in a bundle; expected letters and digits"
            )
        entries[name] = Entry(what, file_sha256(path), os.stat(path).st_size)
    return Manifest(platform, version, entries)


class _Hashing:
    """A stream that is read once, and hashed meanwhile."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.digest.update(block)
        return block


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def write(target: str, manifest: Manifest, files: Mapping[str, tuple[str, str]]) -> None:
    """Write a bundle to its place in one step; raises BadInput when a file is not what the manifest says.

    Until it is whole it lies beside that place as .NAME.part, which the next making overwrites.
    """
    directory, name = os.path.split(target)
    part = os.path.join(directory, f".{name}.part")
    with open(part, "ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = os.path.samestat(os.fstat(out.fileno()), os.stat(part))
        except (BlockingIOError, FileNotFoundError):
            own = False  # or it was renamed before it could be locked
        if not own:
            raise BadInput(f"bundle {target}: another run makes it; expected one at a time")
        try:
            out.truncate(0)
            out.seek(0)
            _fill(out, manifest, files)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
            os.rename(part, target)
        except BaseException:
            os.unlink(part)
            raise
    fsync_directory(directory or ".")


def _fill(out: IO[bytes], manifest: Manifest, files: Mapping[str, tuple[str, str]]) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        text = manifest.text().encode()
        archive.addfile(_member(MANIFEST, len(text)), BytesIO(text))
        for name in sorted(manifest.files):
            path, wanted = files[name][0], manifest.files[name]
            with open(path, "rb") as stream:
                hashing = _Hashing(stream)
                archive.addfile(_member(name, wanted.size), hashing)
            if hashing.digest.hexdigest() != wanted.sha256:
                raise BadInput(f"file {path}: has changed while the bundle was made; expected it to stay")


# -- taking -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise BadInput(
            f"bundle {path}: {error}; expected a whole bundle of mailgate.qmail.sources"
        ) from error
    except OSError as error:
        said = error.strerror or str(error)
        raise BadInput(f"bundle {path}: {said}; expected a file of the controller") from error


def _manifest(archive: tarfile.TarFile, path: str) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MANIFEST_BYTES:
        raise BadInput(
            f"bundle {path}: does not begin with {MANIFEST}; expected one of mailgate.qmail.sources"
        )
    stream = archive.extractfile(first)
    return parse_manifest(stream.read() if stream else b"", f"bundle {path}")


def _extract(archive: tarfile.TarFile, path: str, manifest: Manifest, target: str) -> None:
    """Write each member below target, or nowhere if it is ""; raises BadInput that names the faulty file."""
    missing = set(manifest.files)
    for kind in KINDS if target else ():
        os.mkdir(os.path.join(target, kind))
    while (member := archive.next()) is not None:
        name, wanted = member.name, manifest.files.get(member.name)
        if wanted is None or name not in missing or not member.isreg():
            raise BadInput(f"bundle {path}: {name!r} is not in its manifest once; expected only what is")
        source, digest = archive.extractfile(member), hashlib.sha256()
        with open(os.path.join(target, name) if target else os.devnull, "wb") as out:
            while block := source.read(_BLOCK_BYTES) if source else b"":
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != wanted.sha256:
            found = digest.hexdigest()
            raise BadInput(
                f"bundle {path}: {name} ({wanted.what}): sha256 {found!r} is wrong;"
                f" expected {wanted.sha256!r}"
            )
        missing.discard(name)
    for name in sorted(missing):
        what = manifest.files[name].what
        raise BadInput(f"bundle {path}: {name} ({what}) is missing, it is cut off; expected a whole bundle")


def is_whole(path: str, manifest: Manifest) -> bool:
    """Return whether the file is the bundle of that manifest, byte by byte."""
    try:
        with _opened(path) as archive:
            found = _manifest(archive, path)
            _extract(archive, path, found, "")
    except BadInput:
        return False
    return found == manifest


def damaged(directory: str, manifest: Manifest) -> str:
    """Return the name of a file below the directory that is not the manifest's; "" when all are."""
    for name, wanted in sorted(manifest.files.items()):
        try:
            if file_sha256(os.path.join(directory, name)) != wanted.sha256:
                return name
        except OSError:
            return name
    return ""


def take(path: str, cache: str, kept: int = 3) -> tuple[Manifest, str]:
    """Check every file of a bundle and unpack it in the cache; return its manifest and that directory.

    What it has of sources comes into the cache's own place. A bundle that is there already is checked all the
    same, and only the last kept ones stay. Raises BadInput when anything is damaged; nothing is changed then.
    """
    place = os.path.join(cache, "bundles")
    os.makedirs(place, exist_ok=True)
    lock = acquire(os.path.join(place, ".lock"), LOCK_SECONDS)
    try:
        fresh = tempfile.mkdtemp(prefix=".new-", dir=place)
        try:
            with _opened(path) as archive:
                manifest = _manifest(archive, path)
                target = os.path.join(place, manifest.digest())
                there = os.path.isdir(target) and not damaged(target, manifest)
                _extract(archive, path, manifest, "" if there else fresh)
            if not there:
                shutil.rmtree(target, ignore_errors=True)
                os.chmod(fresh, 0o755)
                os.rename(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        os.utime(target)
        _bring_sources(target, manifest, cache)
        _forget(place, os.path.basename(target), kept)
    finally:
        os.close(lock)
    return manifest, target


def _bring_sources(directory: str, manifest: Manifest, cache: str) -> None:
    sources = os.path.join(cache, "sources")
    os.makedirs(sources, exist_ok=True)
    for name in manifest.of_kind("sources"):
        wanted = manifest.files[name].sha256
        target = os.path.join(sources, wanted)
        if os.path.isfile(target) and file_sha256(target) == wanted:
            continue
        with open(os.path.join(directory, name), "rb") as source, atomic_write(target, 0o644) as out:
            shutil.copyfileobj(source, out)


def _forget(place: str, own: str, kept: int) -> None:
    """Remove the bundles that were used longest ago, and what an interrupted run left."""
    names = [name for name in os.listdir(place) if name != own and name != ".lock"]
    names.sort(key=lambda name: os.stat(os.path.join(place, name)).st_mtime, reverse=True)
    whole = [name for name in names if not name.startswith(".")]
    for name in [*whole[kept - 1 :], *(name for name in names if name.startswith("."))]:
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)


def faults(given: Mapping[str, Any], host: Platform, installed: Collection[str]) -> list[str]:
    """Return what is wrong with a bundle for a host: its platform, packages that neither of them has.

    given: path, platform and lacks (packages that the site needs and the bundle has not).
    """
    where = f"gateway_bundle: {given['path']}"
    if given["platform"] != str(host):
        return [f"{where}: is for {given['platform']}, and this host is {host}; expected {file_name(host)}"]
    lacks = [name for name in given["lacks"] if name not in installed]
    if not lacks:
        return []
    return [
        f"{where}: has no package {', '.join(lacks)}, and neither has this host; expected it made again by"
        " mailgate.qmail.sources with bundle_packages and the site file of today"
    ]


def names_of(manifest: Manifest) -> list[str]:
    """Return a line for each kind: how many files, how many bytes."""
    lines = []
    for kind in KINDS:
        names = manifest.of_kind(kind)
        size = sum(manifest.files[name].size for name in names)
        lines.append(f"{kind}: {len(names)} files, {size / 1e6:.1f} MB")
    return lines
