# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the recipients' list: the one that serves, its generations, and the state.

    validrcptto.cdb          what qmail-smtpd reads, by way of a symbolic link in its control directory
    generations/N/addresses  one key a line, ` directory` behind those that a directory gave
    generations/N/reason.json  when, why and by whom it was made, and the hashes of both files
    state.json               the last export, the last trouble, and whether a person holds the list

A generation keeps no cdb of its own: the writer makes the same bytes of the same addresses again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core import locks
from ..core.errors import BadInput, Busy
from ..core.files import atomic_write, fsync_directory, read_regular
from ..core.paths import RECIPIENTS_DIRECTORY
from ..formats import cdb
from .keys import Recipients

SERVED = "validrcptto.cdb"
MODE = 0o644
_GIVEN = " directory"
_FILE_BYTES_MAX = 1 << 30
_ROLLBACK = re.compile(r"rollback to generation ([0-9]+)", re.ASCII)


@dataclass(frozen=True)
class Last:
    """A generation: its number (0: unknown), its keys, and which of them a directory gave."""

    number: int
    recipients: Recipients
    directory_domains: frozenset[str]
    exported_at: float | None
    sha256: str
    origin: int = 0  # the generation that first had this export: an earlier one after a rollback or refresh


def verify(data: bytes, wanted: Recipients, name: str) -> None:
    """Raise BadInput unless the bytes are a valid cdb with exactly these keys."""
    reader = cdb.Reader(data, name)
    for key in wanted.keys:
        if reader.get(key.encode("ascii")) != b"":
            raise BadInput(f"{name}: {key!r} is not in its new copy; expected all {len(wanted.keys)} keys")
    count = sum(1 for dummy in reader.items())
    if count != len(wanted.keys):
        raise BadInput(f"{name}: {count} records are in its new copy; expected {len(wanted.keys)}")


def _origin(reason: Mapping[str, object], number: int) -> int:
    """Which generation first had the export of the one with this number and reason."""
    given = reason.get("origin")
    if isinstance(given, int):
        return given
    earlier = _ROLLBACK.fullmatch(str(reason.get("reason")))  # written before reasons had an origin
    return int(earlier[1]) if earlier else number


def _read(path: str) -> bytes | None:
    """Return a file's bytes, or None if it is missing; raises BadInput for a FIFO, a link and the like."""
    try:
        return read_regular(path, _FILE_BYTES_MAX)
    except FileNotFoundError:
        return None


def _text(wanted: Recipients) -> bytes:
    lines = (f"{key}{_GIVEN}\n" if key in wanted.exported else f"{key}\n" for key in wanted.keys)
    return "".join(lines).encode("ascii")


class Store:
    """The directory of the list; a writer holds its lock."""

    def __init__(self, directory: str = RECIPIENTS_DIRECTORY) -> None:
        self.directory = directory
        self.served_path = os.path.join(directory, SERVED)
        self._generations = os.path.join(directory, "generations")
        self._state = os.path.join(directory, "state.json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the writers' lock; raises Busy at once when another process has it."""
        path = os.path.join(self.directory, ".lock")
        try:
            descriptor = locks.acquire(path)
        except BlockingIOError as error:
            raise Busy(f"file {path}: another update holds the lock; try later") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def served(self) -> bytes | None:
        """Return the bytes that qmail-smtpd reads, or None; raises BadInput unless it is a regular file."""
        return _read(self.served_path)

    def _served_regular(self) -> bytes | None:
        with contextlib.suppress(BadInput):
            return self.served()
        return None

    def numbers(self) -> list[int]:
        """Return the numbers of the existing generations, ascending."""
        try:
            names = os.listdir(self._generations)
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def reason(self, number: int) -> dict[str, object]:
        """Return why a generation was made; raises BadInput when it is missing or incomplete."""
        path = os.path.join(self._generations, str(number), "reason.json")
        try:
            value = json.loads(_read(path) or b"null")
        except ValueError as error:
            raise BadInput(f"file {path}: {error}; expected JSON") from error
        if not isinstance(value, dict):
            raise BadInput(f"generation {number}: has no reason; expected one of {self.numbers()}")
        return value

    def origins(self) -> dict[int, int]:
        """Return the number of each existing generation that has a reason, ascending, and its origin."""
        found: dict[int, int] = {}
        for number in self.numbers():
            with contextlib.suppress(BadInput):
                found[number] = _origin(self.reason(number), number)
        return found

    def _by_worth(self) -> list[int]:
        """Return the numbers of all generations, the last to be deleted first.

        The newest generation of an export comes before those that only repeat another one's export, so that
        as many exports are kept as generations, however often the settings change.
        """
        origins = self.origins()
        newest = set({origin: number for number, origin in origins.items()}.values())

        def worth(number: int) -> tuple[bool, bool, int]:
            return number in newest, number in origins, number

        return sorted(self.numbers(), key=worth, reverse=True)

    def generation(self, number: int) -> Last:
        """Read the addresses of a generation; raises BadInput unless they have the recorded hash."""
        reason = self.reason(number)
        path = os.path.join(self._generations, str(number), "addresses")
        data = _read(path) or b""
        if hashlib.sha256(data).hexdigest() != reason.get("addresses_sha256"):
            raise BadInput(f"file {path}: is not what was written; expected its hash in reason.json")
        keys: list[str] = []
        exported: list[str] = []
        for line in data.decode("ascii").splitlines():
            key, given = (line[: -len(_GIVEN)], True) if line.endswith(_GIVEN) else (line, False)
            keys.append(key)
            if given:
                exported.append(key)
        domains = reason.get("directory_domains")
        at = reason.get("exported_at")
        return Last(
            number,
            Recipients(tuple(keys), frozenset(exported)),
            frozenset(str(one) for one in domains) if isinstance(domains, list) else frozenset(),
            float(at) if isinstance(at, (int, float)) else None,
            str(reason.get("sha256")),
            _origin(reason, number),
        )

    def whole(self, number: int) -> Last | None:
        """Return the addresses of a generation, or None if it is damaged or missing."""
        try:
            return self.generation(number)
        except BadInput:
            return None

    def last(self) -> Last | None:
        """Return the serving generation, else the newest valid one, else the keys of the file that serves."""
        data = self._served_regular()
        digest = hashlib.sha256(data).hexdigest() if data is not None else ""
        newest: Last | None = None
        for number in reversed(self.numbers()):
            one = self.whole(number)
            if one is None:
                continue
            if one.sha256 == digest:
                return one
            newest = newest or one
        if newest is not None or data is None:
            return newest
        try:
            keys = tuple(sorted(key.decode("ascii") for key, dummy in cdb.Reader(data).items()))
        except (BadInput, UnicodeDecodeError):
            return None
        domains = frozenset(key.rpartition("@")[2] for key in keys if "@" in key)
        return Last(0, Recipients(keys, frozenset(keys)), domains, None, digest)

    def damage(self) -> str:
        """Return what is wrong with the file that serves; '' when it is valid or missing."""
        try:
            data = self.served()
            if data is not None:
                cdb.Reader(data, self.served_path)
        except BadInput as error:
            return str(error)
        return ""

    def is_served(self, last: Last) -> bool:
        """Return whether qmail-smtpd reads the bytes of this generation."""
        return hashlib.sha256(self._served_regular() or b"").hexdigest() == last.sha256

    def serves(self, last: Last | None, wanted: Recipients) -> bool:
        """Return whether the file that serves has exactly these recipients, its mode, and a generation."""
        data = self._served_regular()
        if data is None or last is None or last.number == 0:
            return False
        right_mode = stat.S_IMODE(os.stat(self.served_path).st_mode) == MODE
        return right_mode and last.recipients == wanted and last.sha256 == hashlib.sha256(data).hexdigest()

    def publish(self, wanted: Recipients, reason: Mapping[str, object], keep: int) -> int:
        """Make a generation and let it serve; return its number.

        The new file is synced and every key was read back from it before it replaces the old file.
        """
        content = cdb.build((key.encode("ascii"), b"") for key in wanted.keys)
        if not wanted.keys:
            raise BadInput(f"{self.served_path}: would be empty; expected at least one recipient")
        os.makedirs(self._generations, mode=0o755, exist_ok=True)
        number = max(self.numbers(), default=0) + 1
        fresh = os.path.join(self._generations, f".new-{number}")
        shutil.rmtree(fresh, ignore_errors=True)
        os.mkdir(fresh, 0o755)
        addresses = _text(wanted)
        whole = {
            **reason,
            "number": number,
            "count": len(wanted.keys),
            "sha256": hashlib.sha256(content).hexdigest(),
            "addresses_sha256": hashlib.sha256(addresses).hexdigest(),
        }
        for name, data in (("addresses", addresses), ("reason.json", _json(whole))):
            with atomic_write(os.path.join(fresh, name), MODE) as stream:
                stream.write(data)
        os.rename(fresh, os.path.join(self._generations, str(number)))
        fsync_directory(self._generations)

        def check(temporary: str) -> None:
            with open(temporary, "rb") as stream:
                verify(stream.read(), wanted, self.served_path)

        try:
            with atomic_write(self.served_path, MODE, check=check) as stream:
                stream.write(content)
        except BaseException:
            shutil.rmtree(os.path.join(self._generations, str(number)), ignore_errors=True)
            raise
        for old in self._by_worth()[keep:]:
            shutil.rmtree(os.path.join(self._generations, str(old)), ignore_errors=True)
        return number

    def state(self) -> dict[str, object]:
        """Return the content of state.json; {} when it is missing or damaged, as serving does not need it."""
        try:
            value = json.loads(_read(self._state) or b"{}")
        except (ValueError, BadInput):
            return {}
        return value if isinstance(value, dict) else {}

    def set_state(self, **values: object) -> None:
        """Change some of the state's values."""
        old = self.state()
        new = {**old, **values}
        if new != old:
            with atomic_write(self._state, MODE) as stream:
                stream.write(_json(new))


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode("ascii")
