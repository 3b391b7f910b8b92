# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restart of a service is owed: its record compared with the files and the process as they are."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ..core.errors import BadInput
from ..core.files import atomic_write
from ..core.paths import PACKAGE_FILES
from ..formats import start_record, supervise
from ..formats.start_record import ABSENT, Owed, StartRecord
from .run_script import start_records

# A process that was started this moment may not have written its record yet.
RECORDED_SECONDS = 20.0  # a busy machine hashes files slowly
_POLL_SECONDS = 0.05
ORDERED_SUFFIX = ".ordered"  # beside the record of a service


def hash_file(path: str) -> str:
    """Return the hash of a file as it is; ABSENT when there is no regular file that can be read."""
    try:
        with open(path, "rb") as stream:
            return start_record.hash_of(stream.read())
    except OSError:
        return ABSENT


def read_script(path: str) -> bytes:
    """Return the content of a run script; b"" when there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def read_record(path: str) -> StartRecord | None:
    """Return the record at the path; None when there is none, or one that is not complete."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return start_record.parse(stream.read())
    except (OSError, BadInput):
        return None


def read_maps(pid: int, root: str = "") -> str:
    """Return /proc/PID/maps; "" for a process that has ended."""
    try:
        with open(f"{root}/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


def keeps_record(directory: str) -> bool:
    """Return whether the run script in the directory records what the service starts with."""
    script = read_script(f"{directory}/run")
    return start_record.text_of(script.decode("utf-8", "surrogateescape")) != ""


def look(directory: str, record: str, script: bytes = b"", root: str = "") -> Owed | None:
    """Return why the service in the directory has to be started again; None when it is up to date.

    Without script its run script is taken as it lies on the disk, else it is what will be there. A service
    that is down, or whose script keeps no record, owes nothing. root is put in front of every path.
    """
    path = f"{directory}/run"
    script = script or read_script(f"{root}{path}")
    text = start_record.text_of(script.decode("utf-8", "surrogateescape"))
    if not text:
        return None

    def now(file: str) -> str:
        return start_record.hash_of(script) if file == path else hash_file(f"{root}{file}")

    # The clock may have been set back, or the process end again and again.
    deadline = time.monotonic() + RECORDED_SECONDS
    while True:
        status = supervise.look(f"{root}{directory}").status
        if status is None or not status.pid:
            return None
        kept = read_record(f"{root}{record}")
        starting = status.age_seconds(time.time_ns()) < RECORDED_SECONDS and time.monotonic() < deadline
        if (kept is not None and kept.pid == status.pid) or not starting:
            break
        time.sleep(_POLL_SECONDS)
    replaced = start_record.replaced_programs(read_maps(status.pid, root))
    return start_record.owed(kept, status.pid, text, now, replaced)


def replaced_by_package(directory: str, record: str, root: str = "") -> str:
    """Return which program of the running service, or library of it, was replaced on the disk; "" for none.

    A changed setting is no such thing, and neither is a service that is down.
    """
    status = supervise.look(f"{root}{directory}").status
    if status is None or not status.pid:
        return ""
    for path in start_record.replaced_programs(read_maps(status.pid, root)):
        return f"{path} was replaced"
    kept = read_record(f"{root}{record}")
    if kept is None or kept.pid != status.pid:
        return ""
    packages = {path: one for path, one in kept.reads.items() if path.startswith(f"{PACKAGE_FILES}/")}
    for path, content in {**kept.programs, **packages}.items():
        if hash_file(f"{root}{path}") != content:
            return f"{path} changed"
    return ""


def hashes_to_read(record: str) -> Mapping[str, str]:
    """Return the hashes, as they are, of the files that a reload of the service reads again."""
    kept = read_record(record)
    return {path: hash_file(path) for path in kept.reads} if kept is not None else {}


def note_order(record: str, begin: float, end: float) -> None:
    """Write down that the service was told to start or to stop between two unix times; raises OSError."""
    os.makedirs(os.path.dirname(record), exist_ok=True)
    with atomic_write(f"{record}{ORDERED_SUFFIX}", 0o600) as stream:
        stream.write(f"{begin:.3f} {end:.3f}\n".encode())


def ordered(record: str, root: str = "") -> tuple[float, float]:
    """Return between which unix times the service was told to start or to stop last; (0, 0) for never."""
    try:
        with open(f"{root}{record}{ORDERED_SUFFIX}", encoding="ascii") as stream:
            begin, end = stream.read(100).split()
        return float(begin), float(end)
    except (OSError, ValueError):
        return 0.0, 0.0


def renew(record: str, reads: Mapping[str, str]) -> None:
    """Write down that the service has read its files again, which had these hashes; raises OSError."""
    kept = read_record(record)
    if kept is None or dict(kept.reads) == dict(reads):
        return
    with atomic_write(record, 0o600) as stream:
        content = start_record.render(start_record.reloaded(kept, reads))
        stream.write(content.encode("utf-8", "surrogateescape"))


def with_log(directory: str, name: str, records: str, log: bool = False) -> list[tuple[str, str]]:
    """Return the directories of a service and of its log, when it has one, each with the path of its record.

    log says that it has one, although it may not be there yet.
    """
    record, log_record = start_records(records, name)
    found = [(directory, record)]
    if log or os.path.isdir(f"{directory}/log"):
        found.append((f"{directory}/log", log_record))
    return found
