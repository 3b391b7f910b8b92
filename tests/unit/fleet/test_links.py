# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two ends of the streams, step by step: what is interrupted begins again, and no loss goes unseen."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput, TryAgain
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import links
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.engine import (
    Address,
    Engine,
    EngineFault,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Fact, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.links import (
    Heard,
    Outbox,
    Publisher,
    Reader,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.member import OWN
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.service import (
    Service,
    ServicePaths,
    Worker,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.settings import Peer, Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.status import (
    CONNECTED,
    REFUSED,
    TROUBLE,
    WAITING,
    Parts,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.status import (
    parse as parse_status,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.stream import (
    SNAPSHOT,
    STREAM,
    Outgoing,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import OperatorPaths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.apply import Paths
from support.fleet_hosts import AT, Clock, HostFiles, MemoryEngine

EPOCH = "0123456789abcdef"


def grey(number: int) -> Grey:
    return Grey(f"10.{number // 256}.{number % 256}.0/24", True, AT)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "WAIT_SECONDS", 0)
    monkeypatch.setattr(links, "SNAPSHOT_AT_ONCE", 2)


class Ends:
    """A publisher and a reader at one engine."""

    def __init__(self, known: Sequence[Fact] = ()) -> None:
        self.engine, self.outbox, self.known = MemoryEngine(Clock()), Outbox(), list(known)
        self.outgoing = Outgoing(EPOCH)
        epochs = (f"{number:016x}" for number in itertools.count(1))
        self.seconds = 0.0  # of the publisher's clock
        self.publisher = Publisher(
            "mx2",
            self.engine,
            self.outgoing,
            self.outbox,
            self.everything,
            lambda: next(epochs),
            lambda: self.seconds,
        )
        self.heard: list[Heard] = []
        self.reader = Reader("mx2", self.engine, None, self.heard.append, Clock(60))

    def everything(self) -> Iterator[Sequence[Fact]]:
        yield self.known

    def facts(self) -> list[Fact]:
        return [fact for one in self.heard for fact in one.facts]


def steps(end: Publisher | Reader, number: int = 10) -> None:
    for _number in range(number):
        end.step()


def test_a_reader_takes_the_snapshot_and_then_the_stream() -> None:
    ends = Ends([grey(number) for number in range(1000)])
    assert not ends.reader.step()  # nothing is published yet
    steps(ends.publisher)
    ends.outbox.add([grey(5000)])
    steps(ends.publisher)
    steps(ends.reader)
    assert ends.facts() == [*ends.known, grey(5000)]
    assert [one.whole for one in ends.heard] == [False, False, False, True, True, True]
    assert [one.position is None for one in ends.heard] == [True, True, True, False, False, False]
    assert [one.all_read for one in ends.heard] == [False] * 5 + [True]
    assert {one.ahead_seconds for one in ends.heard} == {60.0}
    ends.heard.clear()
    steps(ends.reader)
    assert ends.heard == []


def test_the_stream_goes_on_while_a_long_snapshot_is_written() -> None:
    ends = Ends([grey(number) for number in range(1000)])
    ends.outbox.add([grey(5000)])
    ends.publisher.step()
    assert STREAM in ends.engine.streams
    assert SNAPSHOT not in ends.engine.values
    steps(ends.publisher)
    steps(ends.reader)
    assert ends.facts() == [*ends.known, grey(5000)]


def test_a_snapshot_that_was_interrupted_is_written_from_its_beginning() -> None:
    ends = Ends([grey(number) for number in range(1000)])
    ends.publisher.step()
    ends.engine.down = True
    with pytest.raises(EngineFault):
        ends.publisher.step()
    ends.engine.down = False
    steps(ends.publisher, 20)
    steps(ends.reader)
    assert ends.facts() == ends.known


@pytest.mark.parametrize("told", [True, False], ids=["stream", "snapshot alone"])
def test_an_engine_that_was_restarted_while_nothing_happened_is_filled_again(told: bool) -> None:
    """The library connects to it again by itself, so no request fails."""
    ends = Ends([grey(number) for number in range(100)])
    steps(ends.publisher)
    if told:
        ends.outbox.add([grey(5000)])
        steps(ends.publisher)
    ends.engine.lose_everything()
    assert not ends.reader.step()
    steps(ends.publisher)
    assert not ends.reader.step()
    ends.seconds += links.LOOK_SECONDS
    steps(ends.publisher)
    steps(ends.reader)
    assert ends.facts() == ends.known


def test_an_engine_that_was_restarted_right_before_a_batch_is_filled_again() -> None:
    ends = Ends([grey(number) for number in range(100)])
    steps(ends.publisher)
    for number in (5000, 5001):
        ends.outbox.add([grey(number)])
        steps(ends.publisher)
    steps(ends.reader)
    ends.outbox.add([grey(5002)])
    steps(ends.publisher)
    ends.engine.lose_everything()
    ends.outbox.add([grey(5003)])
    steps(ends.publisher)
    ends.heard.clear()
    steps(ends.reader)
    assert ends.facts() == []  # the third one is missing before it
    ends.known += [grey(5002), grey(5003)]
    ends.seconds += links.LOOK_SECONDS
    steps(ends.publisher, 20)
    steps(ends.reader, 20)
    assert ends.facts() == ends.known


def test_an_engine_that_is_dead_while_nothing_happens_is_noticed() -> None:
    ends = Ends()
    steps(ends.publisher)
    ends.engine.down = True
    ends.seconds += links.LOOK_SECONDS
    with pytest.raises(EngineFault):
        steps(ends.publisher)


def test_a_snapshot_that_another_one_replaced_is_taken_again() -> None:
    ends = Ends([grey(number) for number in range(1000)])
    steps(ends.publisher)
    steps(ends.reader, 2)
    ends.engine.streams.clear()
    ends.engine.values.clear()
    ends.publisher._resumed = False
    assert ends.heard[-1].whole is False
    steps(ends.publisher, 20)
    ends.heard.clear()
    steps(ends.reader, 20)
    assert ends.facts() == ends.known


def test_a_gap_that_no_snapshot_closes_yet_is_waited_for() -> None:
    ends = Ends()
    steps(ends.publisher)
    steps(ends.reader)
    ends.outgoing.number += 1  # as if a batch had been trimmed
    ends.outbox.add([grey(1)])
    steps(ends.publisher, 1)
    assert [ends.reader.step() for _number in range(3)] == [True, False, False]
    ends.outgoing.due = True
    ends.known = [grey(1), grey(2)]
    steps(ends.publisher)
    steps(ends.reader)
    assert ends.facts() == [grey(1), grey(2)]


def test_an_older_snapshot_is_dropped_later() -> None:
    ends = Ends([grey(1)])
    steps(ends.publisher)
    first = [key for key in ends.engine.streams if key != STREAM]
    ends.outgoing.due = True
    steps(ends.publisher)
    assert len([key for key in ends.engine.streams if key != STREAM]) == 2
    assert first[0] != [key for key in ends.engine.streams if key != STREAM][1]


def test_the_outbox_keeps_what_was_not_published() -> None:
    ends = Ends()
    steps(ends.publisher)
    ends.outbox.add([grey(number) for number in range(100)])
    ends.engine.down = True
    with pytest.raises(EngineFault):
        ends.publisher.step()
    assert len(ends.outbox) == 100
    ends.engine.down = False
    steps(ends.publisher)
    steps(ends.reader)
    assert ends.facts() == [grey(number) for number in range(100)]


def test_a_full_outbox_is_given_up_even_while_a_batch_is_published() -> None:
    outbox = Outbox(3)
    outbox.add([grey(1), grey(2)])
    found = outbox.first()
    outbox.add([grey(3), grey(4)])
    outbox.add([grey(5)])
    outbox.done(found)
    assert (len(outbox), outbox.take_lost(), outbox.take_lost()) == (1, True, False)


def test_who_waits_for_facts_is_woken() -> None:
    outbox = Outbox()
    thread = threading.Thread(target=outbox.wait, args=(60,))
    thread.start()
    outbox.add([grey(1)])
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("fault", "state"),
    [(EngineFault("gone"), TROUBLE), (TryAgain("later"), TROUBLE), (OSError("broken"), TROUBLE),
     (BadInput("not a batch"), REFUSED), (ZeroDivisionError("a bug"), TROUBLE)],
)  # fmt: skip
def test_a_link_in_trouble_says_so_once_and_goes_on(fault: Exception, state: str) -> None:
    parts, said = Parts(["mx2"], Clock()), []
    results: list[object] = [True, fault, fault, False, True]

    def step() -> bool:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return bool(result)

    worker = Worker("mx2", "mx2", step, parts, said.append)
    states = []
    for _number in range(5):
        worker.once()
        states.append(parts.values()["mx2"]["state"])
    assert states == [CONNECTED, state, state, WAITING, CONNECTED]
    assert len(said) == 4
    assert str(fault) in said[1]


def service(tmp_path: Path, engines: dict[str, MemoryEngine]) -> Service:
    for name in ("fleet", "smtp", "blacklist"):
        (tmp_path / name).mkdir(exist_ok=True)
    places = ServicePaths(
        directory=str(tmp_path / "fleet"),
        smtp_log=str(tmp_path / "smtp"),
        blacklist_log=str(tmp_path / "blacklist"),
        lists=OperatorPaths(
            rules=Paths(directory=str(tmp_path), senders_directory=str(tmp_path / "senders")),
            spamassassin=str(tmp_path), state=str(tmp_path),
        ),
    )  # fmt: skip
    settings = Settings("mx1", Address(path="/x"), (Peer("mx2", Address(host="mx2")),))

    def engine_of(peer: Peer | None) -> Engine:
        return engines["" if peer is None else peer.name]

    clock = Clock()
    return Service(places, settings, HostFiles(frozenset()), engine_of, lambda text: None, clock)


def test_the_service_saves_tells_and_goes_on(tmp_path: Path) -> None:
    engines = {name: MemoryEngine(Clock()) for name in ("", "mx2")}
    (tmp_path / "20-operator").write_text('# {"by": "alice", "note": "phishes"}\n198.51.100.:deny\n')
    one = service(tmp_path, engines)
    one.step()
    assert len(one.member.acts) == 0  # the peer might tell that it was removed
    one.member._clock.now += 61  # type: ignore[attr-defined]
    for _number in range(3):
        one.step()
        for worker in one.workers:
            worker.once()
    one.save()
    one.tell()
    told = parse_status((tmp_path / "fleet/status.json").read_bytes(), "status")
    assert (told.engine["state"], told.peers["mx2"]["state"], told.counts["client"]) == (
        CONNECTED,
        WAITING,
        1,
    )
    again = service(tmp_path, engines)
    assert [act.value for act in again.member.acts] == ["198.51.100.0/24"]
    again.member._clock.now += 61  # type: ignore[attr-defined]
    again.step()
    assert len(again.member.outbox) == 0  # it is not told again
    assert (tmp_path / "fleet/state").stat().st_mode & 0o777 == 0o600
    assert OWN in again.member.parts.values()


def test_a_damaged_state_is_kept_aside(tmp_path: Path) -> None:
    engines = {name: MemoryEngine(Clock()) for name in ("", "mx2")}
    service(tmp_path, engines)
    (tmp_path / "fleet/state").write_text("garbage\n")
    one = service(tmp_path, engines)
    assert len(one.member.acts) == 0
    assert (tmp_path / "fleet/state.damaged").read_text() == "garbage\n"
