# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the rules compiler: fragments read with checks, the lock, last good versions, the status."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..core import locks
from ..core.errors import BadInput, Busy
from ..core.files import atomic_write

LOCK_SECONDS = 10.0
MODE = 0o644
LIMIT_BYTES = 32 * 1024 * 1024


def read_text(path: str) -> str | None:
    """Read a file's text, bytes that are not UTF-8 as surrogates; return None when it does not exist."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def read_fragments(
    directory: str, names: Sequence[str], others: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts of the existing fragments, and why others cannot be read, both by name.

    others maps fragments that an unprivileged user writes to that user: such a fragment may be a link to a
    file of the user, which is then read as untrusted.
    """
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name in names:
        path, owner = os.path.join(directory, name), "root"
        if others and name in others and os.path.islink(path):
            path, owner = os.path.join(directory, os.readlink(path)), others[name]
        found, fault = read_owned(path, owner)
        if fault:
            faults[name] = fault
        elif found is not None:
            texts[name] = found
    return texts, faults


def read_owned(path: str, owner: str) -> tuple[str | None, str]:
    """Return the text of a regular file of an owner, or None when it is missing; or why it is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        what = (
            "is a link" if error.errno == errno.ELOOP else f"cannot be read: {os.strerror(error.errno or 0)}"
        )
        return None, _fault(path, what, owner)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        what = ""
        if not stat.S_ISREG(status.st_mode):
            what = "is not a regular file"
        elif status.st_uid not in _uids(owner):
            what = f"belongs to user {status.st_uid}"
        elif status.st_nlink != 1:
            what = f"has {status.st_nlink} links"
        elif status.st_size > LIMIT_BYTES:
            what = f"has {status.st_size} bytes"
        if what:
            return None, _fault(path, what, owner)
        content = stream.read(LIMIT_BYTES + 1)
    if len(content) > LIMIT_BYTES:
        return None, _fault(path, "grows beyond all bounds", owner)
    return content.decode("utf-8", "surrogateescape"), ""


def _fault(path: str, what: str, owner: str) -> str:
    expected = f"a regular file of {owner} with one link and at most {LIMIT_BYTES} bytes"
    return f"file {path}: {what}; expected {expected}"


def _uids(owner: str) -> tuple[int, ...]:
    """Return the user's number; for root the effective user's, too, so that the code also runs in tests."""
    if owner == "root":
        return 0, os.geteuid()
    try:
        return (pwd.getpwnam(owner).pw_uid,)
    except KeyError:
        return ()


@contextlib.contextmanager
def locked(directory: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock for reading fragments and writing compiled files; raises Busy after seconds."""
    path = os.path.join(directory, ".lock")
    try:
        descriptor = locks.acquire(path, seconds)
    except BlockingIOError as error:
        raise Busy(f"file {path}: locked by another run for {seconds:g} s; try later") from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def prepared(directory: str, check_mode: bool) -> Iterator[None]:
    """Create a missing directory and hold its lock; in check mode write nothing, not even a lock."""
    if check_mode:
        yield
        return
    if not os.path.isdir(directory):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
    with locked(directory):
        yield


def publish(path: str, content: bytes, check: Callable[[bytes], None] | None = None) -> bool:
    """Replace the file atomically if content or mode differ; return whether they did.

    check is called with the written bytes, read back, before the rename, and raises to refuse them.
    """
    try:
        with open(path, "rb") as old:
            if old.read() == content and stat.S_IMODE(os.fstat(old.fileno()).st_mode) == MODE:
                return False
    except FileNotFoundError:
        pass

    def check_written(temporary: str) -> None:
        if check is not None:
            with open(temporary, "rb") as written:
                check(written.read())

    with atomic_write(path, MODE, check=check_written) as new:
        new.write(content)
    return True


# Kept from one run to the next: the last good text of each fragment, and the status

CURRENT, LAST_GOOD, IN_PART, LEFT_OUT, ABSENT = "current", "last good", "in part", "left out", "absent"
_DONE = {
    LAST_GOOD: "its last good version is in force",
    IN_PART: "its last good version is in force without the rules that are no longer safe",
    LEFT_OUT: "it has no last good version and is left out",
}
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """Which version of a fragment is in force, and what is wrong with the current text, or ''."""

    version: str
    fault: str = ""


def describe_faults(states: Mapping[str, State]) -> list[str]:
    """Return a line for each fragment of which an older version is in force, or none."""
    return [f"{state.fault}; {_DONE[state.version]}" for state in states.values() if state.fault]


@dataclass(frozen=True)
class Versions:
    """The texts of a directory's fragments, the faults of unreadable ones, and last good texts, by name."""

    directory: str
    texts: Mapping[str, str]
    faults: Mapping[str, str] = field(default_factory=dict)
    good: Mapping[str, str] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def usable(self, name: str, parse: Callable[[str, str], T], missing: str = "") -> tuple[State, T | None]:
        """Return the state of a fragment and the result of parse(text, path) for the version in force.

        When parse raises BadInput for a version, the next one is tried, and None is the last resort. A
        fragment that does not exist is absent, whatever its last good version was, unless missing is given:
        the fault of its absence.
        """
        fault = "" if name in self.texts else self.faults.get(name, missing)
        for version, texts in ((CURRENT, self.texts), (LAST_GOOD, self.good)):
            if name in texts and (fault or version == CURRENT):
                try:
                    return State(version, fault), parse(texts[name], self.path(name))
                except BadInput as error:
                    fault = fault or str(error)
        return State(LEFT_OUT if fault else ABSENT, fault), None

    def to_keep(self, states: Mapping[str, State]) -> dict[str, str]:
        """Return the texts to keep as last good versions."""
        return {name: self.texts[name] for name, state in states.items() if state.version == CURRENT}


def read_versions(
    directory: str,
    names: Sequence[str],
    kept: str,
    others: Mapping[str, str] | None = None,
    own: Mapping[str, str] | None = None,
) -> Versions:
    """Read all fragments, and their last good texts from the directory kept; raises OSError.

    own texts replace those on the disk, and have no last good version.
    """
    own = own or {}
    texts, faults = read_fragments(directory, names, others)
    good = {name: read_text(os.path.join(kept, name)) for name in names if name not in own}
    return Versions(
        directory,
        {**texts, **own},
        {name: fault for name, fault in faults.items() if name not in own},
        {name: text for name, text in good.items() if text is not None},
    )


def keep_good(directory: str, texts: Mapping[str, str]) -> None:
    """Store texts as last good versions; raises OSError."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    for name, text in texts.items():
        publish(os.path.join(directory, name), text.encode("utf-8", "surrogateescape"))


def write_status(state: str, name: str, values: Mapping[str, object]) -> None:
    """Store values under a name in status.json, beside those of other names; raises OSError."""
    os.makedirs(state, mode=0o755, exist_ok=True)
    path = os.path.join(state, "status.json")
    try:
        whole = json.loads(read_text(path) or "{}")
    except ValueError:
        whole = {}
    if not isinstance(whole, dict):
        whole = {}
    if whole.get(name) != values:
        whole[name] = values
        publish(path, (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode("utf-8"))
