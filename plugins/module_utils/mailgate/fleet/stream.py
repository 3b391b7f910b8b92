# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host publishes: a snapshot and a bounded stream of batches, and how a peer follows them.

Each host writes to its own engine only, and its peers only read there:
  STREAM           batches of facts, numbered without a gap within an epoch; the oldest are trimmed
  SNAPSHOT         the head of the last whole snapshot: its epoch, its number, and the last batch before it
  SNAPSHOT:E:N     the snapshot's own batches, numbered from 1
An epoch begins when the engine has lost batches, and with a snapshot. A peer that finds another epoch, or a
batch that does not follow its last one, takes the snapshot and then the batches behind it. What is in both is
applied twice, which changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from . import facts
from .facts import Act, Fact
from .versions import check_host, check_number

FORMAT = 1
STREAM, SNAPSHOT = "mailgate:stream", "mailgate:snapshot"
STREAM_BATCHES_MAX = 20_000  # kept by the engine, about: 93 MB if each is full
SNAPSHOT_BATCHES = 10_000  # appended, until another snapshot is written: half of them
BATCH_FACTS_MAX = 64
BATCH_BYTES_MAX = 65_536
HEAD_BYTES_MAX = 4096
NUMBER_MAX = 2**53 - 1
BEGIN = "0-0"  # before every id of the engine
_EPOCH = re.compile(r"[0-9a-f]{16}")
_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_FIELDS = (b"e", b"n", b"f")

Entry = tuple[str, Mapping[bytes, bytes]]  # the engine's id, and its fields


@dataclass(frozen=True)
class Batch:
    """Facts that are published at once, and the batch's number in its epoch."""

    epoch: str
    number: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Head:
    """The head of a snapshot: it holds what its host knew after batch `after` of the epoch."""

    host: str
    epoch: str
    number: int
    after: int
    batches: int

    @property
    def key(self) -> str:
        return f"{SNAPSHOT}:{self.epoch}:{self.number}"


@dataclass(frozen=True)
class Position:
    """How far a peer's stream was read: the last batch's number, and the engine's id of it."""

    epoch: str
    number: int
    id: str = BEGIN

    def to_json(self) -> list[object]:
        return [self.epoch, self.number, self.id]


def check_epoch(value: object, where: str) -> str:
    """Return the name of an epoch; raises BadInput."""
    if isinstance(value, str) and _EPOCH.fullmatch(value):
        return value
    raise BadInput(f"{where}: {value!r:.80} is not an epoch; expected 16 hexadecimal digits")


def check_id(value: object, where: str) -> str:
    """Return an id of the engine; raises BadInput."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise BadInput(f"{where}: {value!r:.80} is not an id; expected one such as '1795000000000-0'")


def parse_position(value: object, where: str) -> Position:
    """Parse what Position.to_json() returned; raises BadInput."""
    if not isinstance(value, list) or len(value) != 3:
        raise BadInput(f"{where}: {value!r:.80} is not a position; expected an epoch, a number and an id")
    number = check_number(value[1], f"{where} number", 0, NUMBER_MAX)
    return Position(check_epoch(value[0], f"{where} epoch"), number, check_id(value[2], f"{where} id"))


def render_batch(batch: Batch) -> dict[bytes, bytes]:
    """Return the fields of a batch, as the engine keeps them; parse_batch() is its inverse."""
    lines = b"\n".join(facts.render(one) for one in batch.facts)
    return {b"e": batch.epoch.encode("ascii"), b"n": b"%d" % batch.number, b"f": lines}


def parse_batch(fields: Mapping[bytes, bytes], where: str, refused: list[str]) -> Batch:
    """Parse the fields of a batch; raises BadInput if they are not those of one.

    A malformed fact in it is left out, and why is appended to refused: a newer version may tell more kinds.
    """
    if set(fields) != set(_FIELDS):
        raise BadInput(
            f"{where}: fields {sorted(fields)!r:.80} are not those of a batch; expected e, f and n"
        )
    epoch = check_epoch(fields[b"e"].decode("ascii", "replace"), f"{where} epoch")
    digits = fields[b"n"]
    if not re.fullmatch(rb"[1-9][0-9]{0,15}", digits) or int(digits) > NUMBER_MAX:
        raise BadInput(f"{where} number: {digits!r:.80} is not a number; expected one from 1 to {NUMBER_MAX}")
    if len(fields[b"f"]) > BATCH_BYTES_MAX:
        raise BadInput(f"{where}: has {len(fields[b'f'])} bytes; expected at most {BATCH_BYTES_MAX}")
    lines = fields[b"f"].split(b"\n")
    if len(lines) > BATCH_FACTS_MAX:
        raise BadInput(f"{where}: has {len(lines)} facts; expected at most {BATCH_FACTS_MAX}")
    found: list[Fact] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(facts.parse(line, f"{where} fact {number}"))
        except BadInput as error:
            refused.append(str(error))
    return Batch(epoch, int(digits), tuple(found))


def batches(found: Iterable[Fact]) -> Iterator[tuple[Fact, ...]]:
    """Yield the facts in groups that each fit into a batch."""
    group: list[Fact] = []
    size = 0
    for fact in found:
        length = len(facts.render(fact)) + 1
        if group and (len(group) >= BATCH_FACTS_MAX or size + length > BATCH_BYTES_MAX):
            yield tuple(group)
            group, size = [], 0
        group.append(fact)
        size += length
    if group:
        yield tuple(group)


def render_head(head: Head) -> bytes:
    """Return the value of the key SNAPSHOT; parse_head() is its inverse."""
    values = {
        "format": FORMAT,
        "host": head.host,
        "epoch": head.epoch,
        "number": head.number,
        "after": head.after,
        "batches": head.batches,
    }
    return json.dumps(values, separators=(",", ":")).encode("ascii")


def parse_head(data: bytes, host: str, where: str) -> Head:
    """Parse the head of that host's snapshot; raises BadInput."""
    try:
        values = json.loads(data) if len(data) <= HEAD_BYTES_MAX else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BadInput(f"{where}: {data[:80]!r} is not the head of a snapshot; expected an object")
    if values.get("format") != FORMAT:
        raise BadInput(
            f"{where} format: {values.get('format')!r:.80} is not known; expected {FORMAT}, the same version"
        )
    names = {"format", "host", "epoch", "number", "after", "batches"}
    if set(values) != names:
        raise BadInput(f"{where}: {data[:80]!r} has other fields; expected {', '.join(sorted(names))}")
    head = Head(
        check_host(values["host"], f"{where} host"),
        check_epoch(values["epoch"], f"{where} epoch"),
        check_number(values["number"], f"{where} number", 1, NUMBER_MAX),
        check_number(values["after"], f"{where} after", 0, NUMBER_MAX),
        check_number(values["batches"], f"{where} batches", 0, NUMBER_MAX),
    )
    if head.host != host:
        raise BadInput(f"{where} host: {head.host!r} answers; expected {host!r}, see gateway_peers")
    return head


# Reading


def must_take_snapshot(position: Position | None, head: Head) -> bool:
    """Return whether a peer at this position has to take the snapshot before it reads the stream."""
    return (
        position is None or position.epoch != head.epoch or position.number < head.after - STREAM_BATCHES_MAX
    )


@dataclass(frozen=True)
class Read:
    """A piece of the stream: its batches in order, the new position, and whether a gap follows.

    refused says why facts were left out.
    """

    batches: tuple[Batch, ...]
    position: Position
    gap: bool = False
    refused: tuple[str, ...] = ()


def follow(position: Position, entries: Sequence[Entry], host: str) -> Read:
    """Return the batches that follow a position, up to the first gap; raises BadInput for malformed ones.

    Batches that were read before are left out, and acts of other hosts: a stream tells its own host's.
    """
    found: list[Batch] = []
    refused: list[str] = []
    for entry_id, fields in entries:
        check_id(entry_id, f"{host} id")
        wrong: list[str] = []
        batch = parse_batch(fields, f"{host} {entry_id}", wrong)
        if batch.epoch == position.epoch and batch.number <= position.number:
            position = Position(position.epoch, position.number, entry_id)
        elif batch.epoch == position.epoch and batch.number == position.number + 1:
            position = Position(batch.epoch, batch.number, entry_id)
            found.append(_own(batch, host, wrong))
            refused += wrong
        else:
            return Read(tuple(found), position, True, tuple(refused))
    return Read(tuple(found), position, False, tuple(refused))


def _own(batch: Batch, host: str, refused: list[str]) -> Batch:
    kept = []
    for one in batch.facts:
        if isinstance(one, Act) and one.version.host != host:
            refused.append(f"{host}: an act of {one.version.host!r}; expected its own in its stream")
        else:
            kept.append(one)
    return Batch(batch.epoch, batch.number, tuple(kept))


def snapshot_batches(head: Head, done: int, entries: Sequence[Entry], refused: list[str]) -> list[Batch]:
    """Return the next batches of a snapshot of which `done` were read; raises BadInput if one is missing."""
    where = f"{head.host} snapshot"
    found = []
    for number, (_id, fields) in enumerate(entries, done + 1):
        batch = parse_batch(fields, where, refused)
        if (batch.epoch, batch.number) != (head.epoch, number) or number > head.batches:
            raise BadInput(
                f"{where}: batch {batch.number} of epoch {batch.epoch}; "
                f"expected {number} of {head.batches} of {head.epoch}"
            )
        found.append(batch)
    return found


# Writing


@dataclass
class Outgoing:
    """What this host published: the epoch, the last batch's number, and those since the last snapshot.

    due: a snapshot has to be written before the next batch, because the engine or the service lost some.
    """

    epoch: str
    number: int = 0
    snapshots: int = 0
    since: int = 0
    due: bool = True

    def to_json(self) -> list[object]:
        return [self.epoch, self.number, self.snapshots, self.since, self.due]

    def resume(self, last: Batch | None, fresh: str) -> bool:
        """Compare with the engine's last batch; if any was lost, begin the epoch `fresh` and return True."""
        if last is not None and last.epoch == self.epoch and last.number >= self.number:
            self.since += last.number - self.number  # appended before the service was killed
            self.number = last.number
            return False
        self.begin(fresh)
        return True

    def begin(self, fresh: str) -> None:
        """Begin an epoch, with a snapshot."""
        self.epoch, self.number, self.snapshots, self.since, self.due = fresh, 0, 0, 0, True

    def skip(self) -> None:
        """Leave a number out because facts were lost before they were published: every peer finds a gap."""
        self.number += 1
        self.due = True

    def next(self, found: tuple[Fact, ...]) -> Batch:
        """Return the next batch; appended() is called when the engine has it."""
        return Batch(self.epoch, self.number + 1, found)

    def appended(self) -> None:
        self.number += 1
        self.since += 1
        if self.since >= SNAPSHOT_BATCHES:
            self.due = True

    def snapshot(self, host: str) -> Head:
        """Return the head of the snapshot that is written now, with its batches not counted yet."""
        return Head(host, self.epoch, self.snapshots + 1, self.number, 0)

    def published(self, head: Head, *, more: int) -> None:
        """Record that a snapshot was published; more is how many batches were appended meanwhile."""
        self.snapshots, self.since, self.due = head.number, more, False


def parse_outgoing(value: object, where: str) -> Outgoing:
    """Parse what Outgoing.to_json() returned; raises BadInput."""
    if not isinstance(value, list) or len(value) != 5 or not isinstance(value[4], bool):
        raise BadInput(
            f"{where}: {value!r:.80} is damaged; expected an epoch, three numbers and a truth value"
        )
    number, snapshots, since = (check_number(one, where, 0, NUMBER_MAX) for one in value[1:4])
    return Outgoing(check_epoch(value[0], f"{where} epoch"), number, snapshots, since, value[4])
