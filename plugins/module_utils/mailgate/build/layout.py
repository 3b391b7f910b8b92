# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of builds on the host: stamps, logs, and the lock that allows one build at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator

from ..core.errors import BadInput, MailgateError
from ..core.files import atomic_write, fsync_directory
from ..core.paths import STATE_DIRECTORY
from . import manifest as source
from .manifest import Manifest

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCE_BYTES = 200_000_000
NOBODY = 65534


class BuildFailed(MailgateError):
    """A step of a build, or its preparation, failed; no stamp was written."""


# -- files ----------------------------------------------------------------------------------------


def stamps_directory() -> str:
    return f"{STATE_DIRECTORY}/stamps"


def stamp_path(name: str) -> str:
    return f"{stamps_directory()}/{name}.json"


def log_path(name: str) -> str:
    return f"{STATE_DIRECTORY}/log/{name}.log"


def read_stamp(name: str) -> Manifest | None:
    """Return what was installed under that name; None when nothing was, or not completely."""
    try:
        with open(stamp_path(name), encoding="utf-8") as stream:
            return source.parse_manifest(stream.read(), stamp_path(name))
    except FileNotFoundError:
        return None
    except BadInput:  # a damaged stamp proves nothing
        return None


def stamped(since: int = 0) -> list[str]:
    """Return the names of what was built from source, or was installed from the cache, since a unix time."""
    place = stamps_directory()
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    stamps = [one[: -len(".json")] for one in names if one.endswith(".json")]
    return [one for one in stamps if os.stat(stamp_path(one)).st_mtime >= since]


def remove_stamp(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(stamp_path(name))
        fsync_directory(os.path.dirname(stamp_path(name)))


def write_stamp(name: str, manifest: Manifest) -> None:
    os.makedirs(os.path.dirname(stamp_path(name)), 0o755, exist_ok=True)
    with atomic_write(stamp_path(name), 0o644) as stream:
        stream.write(manifest.text().encode())


def file_sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of everything that builds or installs from source on this host."""
    os.makedirs(STATE_DIRECTORY, 0o755, exist_ok=True)
    with open(f"{STATE_DIRECTORY}/build.lock", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
