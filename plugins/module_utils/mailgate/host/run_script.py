# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run scripts of services, and of their logs, under supervise."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core.errors import BadInput
from ..formats.start_record import hash_of

LOG_SUFFIX = ".log"  # of the record of a service's log

_NO_TEXT = "0" * 64

_RECORD = """\
# Record what this process starts with: the playbook and mailgate doctor see by it when a restart is owed.
(
  umask 077
  hashes() {{
    for file; do
      sha256sum "$file" 2>/dev/null || echo "absent  $file"
    done
  }}
  record={record}
  content="$(
    echo "pid $$"
    echo "text {text}"
    echo run
    hashes{run}
    echo reads
    hashes{reads}
    echo programs
    hashes{programs}
    echo end
  )" && mkdir -p "${{record%/*}}" && printf '%s\n' "$content" >"$record.new" &&
    mv -f "$record.new" "$record"
) || echo {service}": what it starts with could not be recorded" >&2
"""

_ACCOUNTS = """\
# Without its accounts the service does not run: it must not go on as root.
for account in {accounts}; do
  uid="$(id -u "$account" 2>/dev/null)"
  gid="$(id -g "$account" 2>/dev/null)"
  if ! [ "$uid" -gt 0 ] 2>/dev/null || ! [ "$gid" -gt 0 ] 2>/dev/null ||
    ! getent group "$gid" >/dev/null; then
    echo {service}": the account $account is missing, is root, or has no group (uid '$uid', gid '$gid'):" \\
      "refusing to run; run the playbook again" >&2
    sleep 5
    exit 111
  fi
done
"""


@dataclass(frozen=True)
class Definition:
    """A service as its run script makes it.

    commands is sh, the last of which is an exec; reads and programs are paths, see formats/start_record.
    With accounts the script ends unless each of them is there; $uid and $gid are the ids of the last one.
    """

    name: str
    directory: str
    commands: str
    accounts: Sequence[str] = ()
    reads: Sequence[str] = ()
    programs: Sequence[str] = ()
    code: str = ""  # a hash of what the service is made of, beside files


@dataclass(frozen=True)
class Log:
    """The log of a service: multilog's file size and number of files, and which lines it keeps."""

    directory: str
    bytes: int
    files: int
    user: str = "qmaill"
    select: Sequence[str] = field(default_factory=tuple)


def start_records(records: str, name: str) -> tuple[str, str]:
    """Return the paths of the records of a service and of its log, below the directory of all records."""
    return f"{records}/{name}", f"{records}/{name}{LOG_SUFFIX}"


def _words(values: Sequence[str]) -> str:
    return " ".join(shlex.quote(value) for value in values)


def _paths(paths: Sequence[str]) -> str:
    return "".join(f" \\\n      {shlex.quote(path)}" for path in paths)


def _refuse_bad_paths(name: str, paths: Sequence[str]) -> None:
    for path in paths:
        # sha256sum writes a name with a backslash or a line feed in another form.
        if re.fullmatch(r"/[^\\\x00-\x1f\x7f]+", path) is None:
            raise BadInput(f"service {name}: {path!r} cannot be recorded; expected an absolute plain path")


def _script(definition: Definition, service: str, records: str, log: bool) -> str:
    run = f"{definition.directory}/run"
    _refuse_bad_paths(service, [run, records, *definition.reads, *definition.programs])
    head = "#!/bin/sh\n"
    if definition.code:
        head += f"# Its code is {definition.code}.\n"
    if not log:
        head += "exec 2>&1\n"
    record = _RECORD.format(
        record=shlex.quote(start_records(records, definition.name)[0]),
        text=_NO_TEXT,
        run=_paths([run]),
        reads=_paths(definition.reads),
        programs=_paths(definition.programs),
        service=shlex.quote(service),
    )
    accounts = ""
    if definition.accounts:
        accounts = _ACCOUNTS.format(accounts=_words(definition.accounts), service=shlex.quote(service))
    text = f"{head}{record}{accounts}{definition.commands.rstrip()}\n"
    return text.replace(_NO_TEXT, hash_of(text.encode("utf-8", "surrogateescape")), 1)


def run_script(definition: Definition, records: str) -> str:
    """Return the run script of a service; records is the directory of the records; raises BadInput."""
    return _script(definition, definition.name, records, log=False)


def log_script(definition: Definition, log: Log, records: str) -> str:
    """Return the run script of a service's log: multilog with times; raises BadInput."""
    if log.bytes < 4096 or log.files < 2:
        raise BadInput(
            f"service {definition.name}: log of {log.files} files of {log.bytes} bytes is too small; "
            "expected 2 or more of 4096 or more, see multilog(8)"
        )
    multilog = ["t", *log.select, f"s{log.bytes}", f"n{log.files}", log.directory]
    made = Definition(
        f"{definition.name}{LOG_SUFFIX}",
        f"{definition.directory}/log",
        f"exec setuidgid {shlex.quote(log.user)} multilog {_words(multilog)}",
        accounts=[log.user],
    )
    return _script(made, f"{definition.name}/log", records, log=True)
