# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the rules compiler: fragments that are read with suspicion, the lock, and what is kept."""

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
    """The file's text, bytes that are no UTF-8 as surrogates; None when there is no such file."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def read_fragments(
    directory: str, names: Sequence[str], others: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of the fragments that are there, and why others cannot be read, both by name.

    others names fragments that a user without rights writes: such a fragment may be a link to a file of that
    user, and is then read as something that a stranger prepared.
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
    """The text of a regular file of an owner, or None when there is none; or why it is not taken."""
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
            what = "is no regular file"
        elif status.st_uid != _uid(owner):
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


def _uid(owner: str) -> int:
    """The user's number; whoever runs this counts as root, for root is who runs it."""
    if owner == "root":
        return os.geteuid()
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        return -1


@contextlib.contextmanager
def locked(directory: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Holds the lock under which fragments are read and compiled files written; raises Busy after seconds."""
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
    """Makes a missing directory and keeps other compilers away; check mode writes not even a lock."""
    if check_mode:
        yield
        return
    if not os.path.isdir(directory):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
    with locked(directory):
        yield


def publish(path: str, content: bytes, check: Callable[[bytes], None] | None = None) -> bool:
    """Puts content into place so that a reader finds the old file or the new one, whole; whether anything
    changed.

    check sees what the disk holds before the new file gets its name, and raises to refuse it.
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


# What is kept from one run to the next: the last good text of each fragment, and the status.

CURRENT, LAST_GOOD, IN_PART, LEFT_OUT, ABSENT = "current", "last good", "in part", "left out", "absent"
_DONE = {
    LAST_GOOD: "its last good version is in force",
    IN_PART: "its last good version is in force without the rules that are not safe any more",
    LEFT_OUT: "it has no last good version and is left out",
}
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """Which version of a fragment is in force, and what is wrong with the fragment as it stands, or ''."""

    version: str
    fault: str = ""


def describe_faults(states: Mapping[str, State]) -> list[str]:
    """One line for each fragment that is not in force as it stands."""
    return [f"{state.fault}; {_DONE[state.version]}" for state in states.values() if state.fault]


@dataclass(frozen=True)
class Versions:
    """The texts of a directory's fragments, why others cannot be read, and their last good texts, by name."""

    directory: str
    texts: Mapping[str, str]
    faults: Mapping[str, str] = field(default_factory=dict)
    good: Mapping[str, str] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def usable(self, name: str, parse: Callable[[str, str], T], missing: str = "") -> tuple[State, T | None]:
        """Return the state of a fragment and what parse makes of (text, path) of the version in force.

        A version for which parse raises BadInput gives way to the next, in the end to None. A fragment that
        does not exist is absent, whatever its last good version was, unless missing says that it must exist.
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
        """Return the texts that are the last good ones from now on."""
        return {name: self.texts[name] for name, state in states.items() if state.version == CURRENT}


def read_versions(
    directory: str,
    names: Sequence[str],
    kept: str,
    others: Mapping[str, str] | None = None,
    own: Mapping[str, str] | None = None,
) -> Versions:
    """Read all fragments, and their last good texts from the directory kept; raises OSError.

    own texts stand for what the disk holds, and have to be good by themselves.
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
    """Remember texts as the last good ones; raises OSError."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    for name, text in texts.items():
        publish(os.path.join(directory, name), text.encode("utf-8", "surrogateescape"))


def write_status(state: str, name: str, values: Mapping[str, object]) -> None:
    """Puts values under a name into status.json, beside those of others; raises OSError."""
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
