# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of what a service started with, and whether the running process has to be started again.

A run script writes the record as its first act, then becomes the service with exec, so both have one pid:

    pid 4711
    text HASH          the run script's own text, as the script says it
    run
    HASH  PATH         one line, as sha256sum prints it, or "absent  PATH"
    reads
    HASH  PATH         files that the service reads when it starts, and again when it is told to reload
    programs
    HASH  PATH         files of programs, which only a new process takes
    end                the last line; a record without it was cut
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..core.errors import BadInput

ABSENT = "absent"
SECTIONS = ("run", "reads", "programs")

_TEXT_LINE = re.compile(r"^ *echo \"text ([0-9a-f]{64})\"$", re.MULTILINE)
_ENTRY = re.compile(r"([0-9a-f]{64}|absent)  (/.*)")

# Deleted files that are mapped and are not programs: shared memory, code that a program wrote for itself.
_NO_PROGRAM = re.compile(r"/(?:dev/|memfd:|SYSV|tmp/|var/tmp/|run/|proc/|\[)")
_DELETED = " (deleted)"


@dataclass(frozen=True)
class StartRecord:
    """What one process started with: SHA-256 in hexadecimal by path, ABSENT for a file that was not there."""

    pid: int
    text: str
    run: Mapping[str, str]
    reads: Mapping[str, str]
    programs: Mapping[str, str]


def parse(content: str) -> StartRecord:
    """Parse a record; raises BadInput for one that is not complete."""
    lines = content.split("\n")
    pid = re.fullmatch(r"pid ([1-9][0-9]{0,9})", lines[0])
    text = re.fullmatch(r"text ([0-9a-f]{64})", lines[1]) if len(lines) > 1 else None
    if pid is None or text is None or lines[-2:] != ["end", ""]:
        raise BadInput(
            f"start record: {content[:100]!r} is not complete; expected 'pid', 'text', files and 'end'"
        )
    found: dict[str, dict[str, str]] = {}
    files: dict[str, str] | None = None
    for number, line in enumerate(lines[2:-2], 3):
        entry = _ENTRY.fullmatch(line)
        if line in SECTIONS and line not in found:
            files = found[line] = {}
        elif entry is not None and files is not None:
            files[entry.group(2)] = entry.group(1)
        else:
            raise BadInput(f"start record line {number}: {line!r} is not known; expected a hash and a path")
    if list(found) != list(SECTIONS):
        raise BadInput(f"start record: it has {', '.join(found)}; expected {', '.join(SECTIONS)}")
    return StartRecord(int(pid.group(1)), text.group(1), found["run"], found["reads"], found["programs"])


def render(record: StartRecord) -> str:
    """Render a record as a run script writes it."""
    lines = [f"pid {record.pid}", f"text {record.text}"]
    for section, files in zip(SECTIONS, (record.run, record.reads, record.programs)):
        lines += [section, *(f"{content}  {path}" for path, content in files.items())]
    return "".join(f"{line}\n" for line in [*lines, "end"])


def text_of(script: str) -> str:
    """Return the hash that a run script has of its own text; "" for a script that keeps no record."""
    found = _TEXT_LINE.search(script)
    return found.group(1) if found else ""


def reloaded(record: StartRecord, reads: Mapping[str, str]) -> StartRecord:
    """Return the record of a process that has read its files again."""
    return replace(record, reads=dict(reads))


def hash_of(content: bytes) -> str:
    """Return the hash of a file's content as a record has it."""
    return hashlib.sha256(content).hexdigest()


NOT_RECORDED = "what it started with is not recorded"


@dataclass(frozen=True)
class Owed:
    """Why a process has to be started again, in a clause; reload_does: a reload is enough."""

    reason: str
    reload_does: bool = False


def owed(
    record: StartRecord | None,
    pid: int,
    text: str,
    now: Callable[[str], str],
    replaced: Iterable[str] = (),
) -> Owed | None:
    """Return why the process with this pid has to be started again; None when it has what is there now.

    text is what the run script says of itself now, see text_of; now returns the hash of a file as it is, or
    ABSENT; replaced are the programs of the process that were replaced, see replaced_programs.
    """
    if record is None or record.pid != pid:
        return Owed(NOT_RECORDED)
    if record.text != text or any(now(path) != content for path, content in record.run.items()):
        return Owed("its run script changed")
    for path in replaced:
        return Owed(f"{path} was replaced")
    for path, content in record.programs.items():
        if now(path) != content:
            return Owed(f"{path} changed")
    for path, content in record.reads.items():
        if now(path) != content:
            return Owed(f"{path} changed", reload_does=True)
    return None


def replaced_programs(maps: str) -> list[str]:
    """Return the programs and libraries that a process runs and that are no longer on the disk.

    maps is the content of /proc/PID/maps, see proc_pid_maps(5): mappings with permission to execute, whose
    path ends with "(deleted)".
    """
    found = []
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 6 or "x" not in fields[1] or not fields[5].endswith(_DELETED):
            continue
        path = fields[5][: -len(_DELETED)]
        if path.startswith("/") and not _NO_PROGRAM.match(path) and path not in found:
            found.append(path)
    return found
