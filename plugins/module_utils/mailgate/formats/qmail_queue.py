# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages in qmail's queue, read from its files.

netqmail 1.06, INTERNALS: info/N/ID holds 'F', the sender and NUL; local/N/ID and remote/N/ID hold for each
recipient 'T' (not done) or 'D' (done), the address and NUL; mess/N/ID is the message. Messages are added and
removed during the reading.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

SHOWN = 500
RECIPIENTS_SHOWN = 100
READ_SECONDS = 5.0
_FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Waiting:
    """One queued message: its recipients are (address, 'local' or 'remote', whether done)."""

    number: int
    at: int
    size: int
    sender: str
    recipients: tuple[tuple[str, str, bool], ...]


def read_queue(directory: str, search: str) -> tuple[list[Waiting], int]:
    """Return the messages whose number, sender or a recipient contains the text, and how many more there are.

    The oldest message comes first. Raises OSError when there is no queue.
    """
    found: list[Waiting] = []
    end = time.monotonic() + READ_SECONDS
    text = search.lower()
    for split, number in _numbers(os.path.join(directory, "info")):
        with contextlib.suppress(FileNotFoundError):
            one = _message(directory, split, number)
            words = (str(number), one.sender, *(address for address, dummy, dummy_done in one.recipients))
            if any(text in word.lower() for word in words):
                found.append(one)
        if time.monotonic() > end:
            break
    found.sort(key=lambda one: (one.at, one.number))
    return found[:SHOWN], max(0, len(found) - SHOWN)


@dataclass(frozen=True)
class Unfinished:
    """One queued message with those of its recipients that are not done."""

    number: int
    message: str  # the path of its file
    sender: bytes
    recipients: tuple[bytes, ...]


def unfinished(directory: str) -> Iterator[Unfinished]:
    """Yield each message that has a recipient left; those that qmail-send has not taken yet are among them.

    A message that is delivered meanwhile may be yielded nevertheless. Raises OSError when there is no queue.
    """
    mess = os.path.join(directory, "mess")
    for split, number in _numbers(mess):
        path = (split, str(number))
        with contextlib.suppress(FileNotFoundError):
            todo = os.path.join(directory, "todo", str(number))
            if os.path.exists(todo):
                records = _records(todo)
            else:
                records = _records(directory, "info", *path)
                for channel in ("local", "remote"):
                    with contextlib.suppress(FileNotFoundError):
                        records += _records(directory, channel, *path)
            senders = [one[1:] for one in records if one[:1] == b"F"]
            recipients = tuple(one[1:] for one in records if one[:1] == b"T")
            if senders and recipients:
                yield Unfinished(number, os.path.join(mess, *path), senders[0], recipients)


def waiting_hosts(directory: str) -> set[str]:
    """Return the domains of all remote recipients that are not done, in lower case; raises OSError.

    Of messages that qmail-send has not taken yet the envelopes in todo are read. Without a queue there are
    none.
    """
    addresses: list[str] = []
    todo = os.path.join(directory, "todo")
    with contextlib.suppress(FileNotFoundError):
        for split, number in _numbers(os.path.join(directory, "remote")):
            with contextlib.suppress(FileNotFoundError):
                found = _read(directory, "remote", split, str(number))
                addresses += [one[1:] for one in found if one[:1] == "T"]
        for name in sorted(os.listdir(todo)):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                addresses += [one[1:] for one in _read(todo, name) if one[:1] == "T"]
    return {address.rpartition("@")[2].lower() for address in addresses}


def _numbers(info: str) -> Iterator[tuple[str, int]]:
    for split in sorted(os.listdir(info)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(os.path.join(info, split)):
                if name.isascii() and name.isdigit():
                    yield split, int(name)


def _records(*parts: str, most: int = -1) -> list[bytes]:
    with open(os.path.join(*parts), "rb") as stream:
        content = stream.read(most)
    return content.split(b"\0")[:-1]


def _read(*parts: str) -> list[str]:
    return [one.decode("utf-8", "backslashreplace") for one in _records(*parts, most=_FILE_BYTES_MAX)]


def _message(directory: str, split: str, number: int) -> Waiting:
    path = (split, str(number))
    at = os.stat(os.path.join(directory, "info", *path)).st_mtime
    sender = _read(directory, "info", *path)
    recipients: list[tuple[str, str, bool]] = []
    for channel in ("local", "remote"):
        with contextlib.suppress(FileNotFoundError):
            recipients += [(one[1:], channel, one[:1] == "D") for one in _read(directory, channel, *path)]
    size = os.stat(os.path.join(directory, "mess", *path)).st_size
    shown = tuple(recipients[:RECIPIENTS_SHOWN])
    return Waiting(number, int(at), size, sender[0][1:] if sender else "", shown)
