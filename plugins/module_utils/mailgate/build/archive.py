# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of built artifacts: packed on one host, restored on others of the same platform."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping

from ..core.errors import BadInput
from ..core.files import atomic_write
from ..core.paths import STATE_DIRECTORY
from . import manifest as build_manifest
from . import spec as source
from .artifacts import differences, observe, put_directory_modes
from .layout import BuildFailed, remove_stamp
from .manifest import Entry, Manifest

# -- the archive of what was built ----------------------------------------------------------------


TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def _info(entry: Entry, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path[1:])
    info.type = TAR_TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.linkname, info.size = (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.target,
        size,
    )
    return info


def built_path(digest: str) -> str:
    return f"{STATE_DIRECTORY}/built/{digest}.tar.gz"


def pack(manifest: Manifest) -> str:
    """Write the archive of the manifest's files and return its path; equal files give equal bytes."""
    path = built_path(manifest.recipe_hash)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    os.makedirs(os.path.dirname(path), 0o700)
    text = manifest.text().encode()
    with atomic_write(path, 0o600) as raw:
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            first = tarfile.TarInfo("manifest.json")
            first.size, first.mode = len(text), 0o644
            tar.addfile(first, io.BytesIO(text))
            for entry in build_manifest.wanted_entries(manifest):
                if entry.kind == "file":
                    with open(entry.path, "rb") as content:
                        tar.addfile(_info(entry, os.fstat(content.fileno()).st_size), content)
                else:
                    tar.addfile(_info(entry))
    return path


def verified(tar: tarfile.TarFile, digest: str) -> tuple[Manifest, list[tuple[tarfile.TarInfo, Entry]]]:
    """Return the manifest and every member with its entry, compared with each other; raises BadInput."""
    where = "archive of what was built"
    infos = tar.getmembers()
    content = tar.extractfile(infos[0]) if infos and infos[0].isreg() else None
    if content is None or infos[0].name != "manifest.json":
        raise BadInput(f"{where}: first member is not a manifest.json; expected one")
    manifest = build_manifest.parse_manifest(content.read().decode("utf-8", "replace"), "of the archive")
    if manifest.recipe_hash != digest:
        raise BadInput(f"{where}: recipe {manifest.recipe_hash!r} is another; expected {digest!r}")
    build_manifest.check_manifest(manifest)
    entries = build_manifest.wanted_entries(manifest)
    if [info.name for info in infos[1:]] != [entry.path[1:] for entry in entries]:
        raise BadInput(f"{where}: members are not those of its manifest; expected the same")
    for info, entry in zip(infos[1:], entries):
        same = _info(entry, info.size)
        what = ("type", "mode", "uid", "gid", "linkname")
        if any(getattr(info, name) != getattr(same, name) for name in what):
            raise BadInput(f"{where}: member {info.name!r} differs from its manifest; expected {entry}")
        stream = tar.extractfile(info) if entry.sha256 else None
        if stream is not None and source.sha256(stream.read()) != entry.sha256:
            raise BadInput(f"{where}: content of {info.name!r} is wrong; expected {entry.sha256}")
    return manifest, list(zip(infos[1:], entries))


def restore(path: str, name: str, digest: str, directory_modes: Mapping[str, int]) -> Manifest:
    """Install the content of the archive; raises BadInput, before any change, when it is not valid."""
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            manifest, members = verified(tar, digest)
            remove_stamp(name)
            for entry in manifest.parents:
                if not os.path.isdir(entry.path):
                    os.mkdir(entry.path)
                    _own(entry)
            skeleton = {entry.path for entry in manifest.skeleton}
            for info, entry in members:
                _put(tar, info, entry, keep=entry.path in skeleton)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadInput(f"archive of what was built: {error!s}; expected a whole tar archive") from error
    put_directory_modes(directory_modes)
    left = differences(manifest)
    if left:
        raise BuildFailed(
            f"restore of {name}: {left[0][0]} is {left[0][1]!r} afterwards; expected {left[0][2]!r}"
        )
    return manifest


def _own(entry: Entry) -> None:
    os.lchown(entry.path, entry.uid, entry.gid)
    if entry.kind != "link":
        os.chmod(entry.path, entry.mode)


def _put(tar: tarfile.TarFile, info: tarfile.TarInfo, entry: Entry, keep: bool) -> None:
    """Create one path as recorded. keep: an existing one only gets the recorded owner and mode."""
    there = observe(entry.path, hashed=bool(entry.sha256))
    if there == entry:
        return
    if there is not None and there.kind != entry.kind:
        if keep or there.kind == "directory":
            raise BuildFailed(f"restore: {entry.path} is a {there.kind}; expected a {entry.kind} or nothing")
        os.unlink(entry.path)
        there = None
    if entry.kind == "file" and not (keep and there):
        content = tar.extractfile(info)
        if content is None:
            raise BadInput(f"restore: {entry.path} has no content in the archive; expected a file")
        with atomic_write(entry.path, entry.mode, entry.uid, entry.gid) as stream:
            shutil.copyfileobj(content, stream)
        return
    if entry.kind == "link":
        temporary = f"{os.path.dirname(entry.path)}/.mailgate-link-{os.getpid()}"
        os.symlink(entry.target, temporary)
        os.lchown(temporary, entry.uid, entry.gid)
        os.rename(temporary, entry.path)
        return
    if there is None and entry.kind == "directory":
        os.mkdir(entry.path)
    elif there is None and entry.kind == "fifo":
        os.mkfifo(entry.path)
    _own(entry)
