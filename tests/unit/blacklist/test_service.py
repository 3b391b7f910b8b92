# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on real directories and a real socket, with a clock of its own; and its settings."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import reputation
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import (
    service as blacklist_service,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import (
    settings as blacklist_settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.clients import EXPECTED
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.exemptions import (
    Exemptions,
    facts_of,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.service import (
    Service,
    ServicePaths,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.settings import Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import (
    blacklist as blacklist_command,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import times
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import fragments as tcprules
from support.parameters import slow_after_first

PACKAGE = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
BEGIN = 1_795_000_000
BAD = "203.0.113.9"
SITE = tcprules.FACTS + json.dumps(
    {
        "relay_networks": ["10.0.0.0/24"],
        "whitelisted_networks": ["192.0.2.0/28"],
        "protected_networks": ["198.18.0.10/32"],
        "scanner": "",
    }
)


class World:
    """A log, rules, settings and the service's directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = ServicePaths(
            str(root / "log"), str(root / "own"), str(root / "tcp.d"), str(root / "settings.json")
        )
        for name in ("log", "own", "tcp.d"):
            (root / name).mkdir()
        (root / "log" / "current").touch()
        (root / "tcp.d" / "10-site").write_text(SITE + "\n")
        (root / "settings.json").write_text("{}")
        self.now = float(BEGIN)
        self.said: list[str] = []
        self.pid = 0

    def service(self) -> Service:
        service = Service(self.places, lambda: self.now, self.said.append)
        service.begin()
        return service

    def say(self, *texts: str) -> None:
        with open(self.root / "log" / "current", "a") as stream:
            for text in texts:
                stream.write(f"{tai64n.render(int(self.now * 10**9))} {text}\n")

    def bad(self, count: int, address: str = BAD) -> None:
        for _ in range(count):
            self.pid += 1
            self.say(
                f"tcpserver: pid {self.pid} from {address}",
                f"qmail-smtpd: not in validrcptto: x@y from <> at {address}",
                f"tcpserver: end {self.pid} status 0",
            )

    def settle(self, service: Service) -> None:
        while service.step():
            pass

    @property
    def fragment(self) -> str:
        path = self.root / "own" / "30-adaptive"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ENTRY = f"# until {BEGIN + 14_400} why 11 of 11 attempts bad in 60 minutes\n{BAD}:deny\n"


def test_an_offence_reaches_the_fragment_and_leaves_it(world: World) -> None:
    service = world.service()
    world.settle(service)
    assert world.fragment == ""
    world.bad(11)
    world.settle(service)
    assert world.fragment == ENTRY
    assert tcprules.parse_adaptive(world.fragment, BEGIN)[0].address == BAD
    world.now += 14_401
    world.settle(service)
    assert world.fragment == ""
    assert (world.root / "own" / "30-adaptive").stat().st_mode & 0o7777 == 0o644


def test_a_stamp_of_next_year_takes_no_evidence_away_and_lists_nobody_for_a_year(world: World) -> None:
    """Written while the clock was ahead; the clock is right again when the line is read."""
    service = world.service()
    world.settle(service)
    world.bad(10)
    world.settle(service)
    world.now += 365 * 86_400
    world.bad(1, "203.0.113.77")
    world.now -= 365 * 86_400
    world.settle(service)
    world.bad(1)
    world.settle(service)
    assert world.fragment == ENTRY


def test_kill_9_at_any_step_loses_and_doubles_nothing(world: World) -> None:
    service = world.service()
    for count in range(11):
        assert world.fragment == ""
        world.bad(1)
        world.settle(service)
        if count % 4 == 1:
            service.save()
        if count % 3 == 0:
            (world.root / "own" / ".mailgate-left").touch()
            service = world.service()  # the other one is simply gone
            assert not (world.root / "own" / ".mailgate-left").exists()
    assert world.fragment == ENTRY
    assert service.reputation.counts()["entries"] == 1


def test_the_state_is_written_in_time(world: World) -> None:
    service = world.service()
    world.bad(5)
    world.settle(service)
    assert not (world.root / "own" / "state.json").exists()
    world.now += 31
    world.settle(service)
    other = world.service()
    assert other.reputation.counts()["addresses"] == 1
    assert (world.root / "own" / "state.json").stat().st_mode & 0o7777 == 0o600


def test_a_damaged_state_is_kept_and_the_log_read_again(world: World) -> None:
    world.bad(11)
    for damage in (
        "{",
        '{"position": {"inode": 1}}',
        "[]",
        '{"never": 3, "reputation": null}',
        '{"never": {"it may relay": 3}}',
        '{"never": {"it may relay": ["10.0.0.1/24"]}}',
    ):
        (world.root / "own" / "state.json").write_text(damage)
        world.settle(world.service())
        assert world.fragment == ENTRY
        assert (world.root / "own" / "state.json.damaged").read_text() == damage
        (world.root / "own" / "30-adaptive").unlink()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.0.0.7", "it may relay"),
        ("192.0.2.7", "it is whitelisted"),
        ("198.18.0.10", "it is protected"),
        ("127.0.0.1", "it is this host"),
        ("192.0.2.99", "it is whitelisted by 20-operator line 2"),
        ("192.0.2.100", "it may relay by 20-operator line 3"),
        ("192.0.2.101", ""),
        ("192.0.2.102", "it may relay"),
        ("198.51.100.4", "the settings exempt it"),
        ("198.51.100.99", "the settings release it"),
        (BAD, ""),
    ],
)
def test_who_is_never_listed(world: World, address: str, reason: str) -> None:
    (world.root / "tcp.d" / "20-operator").write_text(
        '# mailgate: {"relay_networks": ["192.0.2.102/32"]}\n'
        '192.0.2.99:allow,WHITELISTED=""\n192.0.2.100:allow,RELAYCLIENT=""\n192.0.2.101:deny\n'
    )
    values = {"never": ["198.51.100.0/26"], "released": ["198.51.100.99"]}
    (world.root / "settings.json").write_text(json.dumps(values))
    service = world.service()
    assert service.never(address) == reason
    world.bad(11, address)
    world.settle(service)
    assert (world.fragment == "") is bool(reason)


@pytest.mark.parametrize(
    ("address", "client", "listed"),
    [
        ("64:ff9b::c633:6407", "64:ff9b::/64", False),
        ("64:ff9b:1::c633:6407", "64:ff9b:1::/64", False),
        ("64:ff9b:1:7::c633:6407", "64:ff9b:1:7::/64", False),
        ("::ffff:0:c633:6407", "::/64", False),
        ("64:ff9b:2::7", "64:ff9b:2::/64", True),
        ("2002:c633:6407::7", "2002:c633:6407::/64", True),
    ],
)
def test_one_client_behind_nat64_shuts_out_no_other(
    world: World, address: str, client: str, listed: bool
) -> None:
    """A translator puts all of IPv4 into one /64."""
    service = world.service()
    assert (service.never(client) == "") is listed
    world.bad(11, address)
    world.settle(service)
    assert (f"[{client.partition('/')[0]}]/64:deny" in world.fragment) is listed


def test_an_operators_rule_that_comes_later_ends_the_entry(world: World) -> None:
    service = world.service()
    world.bad(11)
    world.settle(service)
    (world.root / "tcp.d" / "20-operator").write_text(f'{BAD}:allow,WHITELISTED=""\n')
    world.now += 1
    world.settle(service)
    assert world.fragment == ""


def test_nobody_is_listed_while_the_site_is_not_known(world: World) -> None:
    (world.root / "tcp.d" / "10-site").unlink()
    service = world.service()
    world.bad(11)
    world.settle(service)
    assert world.fragment == ""
    assert f"spared {BAD}: 11 of 11 attempts bad in 60 minutes; 10-site was never readable" in world.said


def test_bad_facts_and_settings_leave_the_last_good_ones_in_force(world: World) -> None:
    (world.root / "settings.json").write_text('{"attempts": 3}')
    service = world.service()
    service.save()
    for name, text in (("tcp.d/10-site", "nothing\n"), ("settings.json", '{"attempts": "x"}')):
        (world.root / name).write_text(text)
    for again in (service, world.service()):
        world.now += 1
        world.settle(again)
        assert again.never("10.0.0.7") == "it may relay"
        assert again.reputation.settings.attempts == 3
    assert sum("the last valid version stays in force" in line for line in world.said) == 4


def evidence(service: Service, addresses: int, entries: int) -> None:
    """Fill the service with evidence, as its bounds allow it."""
    for number in range(addresses):
        address = f"198.18.{number // 250}.{number % 250}"
        for kind in ("recipient", "ham", "spam", "other"):
            event = (BEGIN, kind, f"{number} {kind} ".ljust(80, "x"))
            service.reputation._clients.setdefault(address, reputation._Client()).events.append(event)
        for _ in range(50):
            service.reputation._ham.remember(address, BEGIN, 50, 100_000)
        service.reputation._spared[address] = (BEGIN + 60, "why")
        service.reputation._released[f"198.19.{number // 250}.{number % 250}"] = BEGIN
    for number in range(entries):
        address = f"203.0.{number // 250}.{number % 250}"
        events = [(BEGIN, "spam", f"{number} {place}".ljust(80, "y")) for place in range(50)]
        service.reputation._put(reputation.Entry(address, BEGIN, BEGIN + 14_400, "why", "rule", events, 7))
    service.reputation._events = 4 * addresses


@pytest.mark.slow
def test_a_state_needs_no_memory_for_a_second_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is written and read one item at a time."""
    monkeypatch.setattr(blacklist_service, "FILE_BYTES_MAX", 1 << 16)  # of the other files
    service = world.service()
    evidence(service, 1500, 300)
    before = service.reputation.to_json()
    tracemalloc.start()
    try:
        begin = tracemalloc.get_traced_memory()[0]
        assert service.save()
        save_bytes = tracemalloc.get_traced_memory()[1] - begin
        size = (world.root / "own/state.json").stat().st_size
        tracemalloc.reset_peak()
        begin = tracemalloc.get_traced_memory()[0]
        again = world.service()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 2_000_000
    assert save_bytes < size / 4
    assert peak - begin < 1.2 * (now - begin) + 500_000
    assert again.reputation.to_json() == before
    assert json.loads((world.root / "own/state.json").read_text())["reputation"] == json.loads(
        json.dumps(before)
    )


def test_the_state_of_an_older_version_is_read(world: World) -> None:
    """The state used to be one line."""
    service = world.service()
    evidence(service, 3, 2)
    service.save()
    path = world.root / "own/state.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole, separators=(",", ":")))
    assert world.service().reputation.to_json() == service.reputation.to_json()


def test_a_state_that_is_cut_off_anywhere_is_set_aside(world: World) -> None:
    service = world.service()
    evidence(service, 3, 2)
    service.save()
    path = world.root / "own/state.json"
    data = path.read_bytes()
    for cut in [*range(0, len(data) - 5, 211), len(data) - 4]:
        path.write_bytes(data[:cut])
        assert world.service().reputation.counts()["entries"] == 0
        assert (world.root / "own/state.json.damaged").read_bytes() == data[:cut]


STRANGE: tuple[Any, ...] = (None, -1, 1e300, 10**30, "a\nb:deny", "203.0.113.300", [], {}, [[]])


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_of(one, (*path, key))


@pytest.mark.parametrize("strange", slow_after_first(STRANGE), ids=repr)
def test_no_value_in_the_state_ends_the_service(world: World, strange: Any) -> None:
    """Whatever stands in one place, the service starts, works on and can be started again."""
    service = world.service()
    world.bad(11)
    world.bad(2, "2001:db8::7")
    world.settle(service)
    service.reputation.add("2001:db8:1::/64", BEGIN + 3600, "op", BEGIN)
    service.reputation.release("203.0.113.77", BEGIN)
    service.save()
    path = world.root / "own" / "state.json"
    text = path.read_text()
    for place in places_of(json.loads(text)):
        state = holder = [json.loads(text)]
        for key in (0, *place)[:-1]:
            holder = holder[key]
        holder[(0, *place)[-1]] = strange
        path.write_text(json.dumps(state[0]))
        begin = world.now
        again = world.service()
        world.settle(again)
        world.now += 61
        world.settle(again)
        assert again.save(), (place, strange)
        tcprules.parse_adaptive(world.fragment, int(world.now))
        again.reputation.listing(int(world.now))
        world.said.clear()
        world.service()
        assert not any("damaged" in one for one in world.said), (place, strange)
        world.now = begin


@pytest.mark.parametrize("what", ["directory", "fifo", "link"])
def test_a_state_that_is_no_regular_file_is_set_aside(world: World, what: str) -> None:
    path = world.root / "own" / "state.json"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    world.bad(11)
    service = world.service()
    world.settle(service)
    assert world.fragment == ENTRY
    assert service.save()
    assert path.is_file() and not path.is_symlink()


def test_a_state_for_which_there_is_no_memory_is_set_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.service()
    evidence(service, 3, 2)
    service.save()

    def none_left(self: object, version: object, items: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(reputation.Reputation, "restore", none_left)
        again = world.service()
    assert again.reputation.counts()["entries"] == 0
    assert (world.root / "own/state.json.damaged").exists()
    assert any("needs more memory than there is" in text for text in world.said)
    assert again.save()


@pytest.mark.parametrize("addresses", [100_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("limit", [10_000_000, 100_000_000, 500_000_000, 4_000_000_000])
def test_bounds_and_memory_limit_agree(
    world: World, monkeypatch: pytest.MonkeyPatch, addresses: int, limit: int
) -> None:
    settings = Settings(addresses_max=addresses)
    fits = blacklist_settings.fitting(settings, limit)
    assert blacklist_settings.needed_bytes(fits) <= max(limit, 61_000_000)
    assert (fits == settings) is (blacklist_settings.needed_bytes(settings) <= limit)
    assert blacklist_settings.make(blacklist_settings.as_values(fits)) == fits
    monkeypatch.setattr(blacklist_service, "memory_limit", lambda: limit)
    (world.root / "settings.json").write_text(json.dumps({"addresses_max": addresses}))
    service = world.service()
    assert service.reputation.settings.addresses_max == fits.addresses_max
    assert any("memory limit" in text for text in world.said) is (fits != settings)


def test_the_default_limit_suffices_for_the_default_bounds() -> None:
    role = Path(__file__).resolve().parents[3] / "roles/adaptive_blacklist/defaults/main.yml"
    limit = int(re.search(r"memory_limit_bytes: ([0-9]+)", role.read_text())[1])  # type: ignore[index]
    assert blacklist_settings.fitting(Settings(), limit) == Settings()


BAD_ADDED = [
    {"address": "192.0.2.1", "until": "9999-12-31"},
    {"address": "192.0.2.2", "until": 10**30},
    {"address": "192.0.2.3", "note": "n" * 300},
    {"address": "192.0.2.4", "note": "tab\there"},
    {"address": "192.0.2.5", "until": "soon"},
    {"address": "192.0.2.300"},
    {"address": "192.0.2.6", "why": "x"},
    {"address": "192.0.2.99"},
    "192.0.2.7",
    None,
]


def test_a_bad_entry_is_left_out_and_the_service_lives(world: World) -> None:
    """Settings of an older module are accepted at the start, in the state, and while it runs."""
    good = [{"address": "192.0.2.99", "note": "n" * 200, "until": "5138-11-16"}, {"address": "192.0.2.98"}]
    values = {"added": [*good, *BAD_ADDED], "released": ["192.0.2.50", "nonsense", 7]}
    settings = world.root / "settings.json"
    settings.write_text(json.dumps(values))
    world.bad(11)
    service = world.service()
    world.settle(service)
    assert (
        world.fragment.count(":deny") == 3 and "192.0.2.99:deny" in world.fragment and BAD in world.fragment
    )
    left_out = [text for text in world.said if text.startswith("left out: ")]
    assert len(left_out) == len(BAD_ADDED) + 2
    assert any("9999-12-31" in text for text in left_out) and any(
        "300 characters" in text for text in left_out
    )
    assert service.save()
    state = json.loads((world.root / "own/state.json").read_text())
    state["settings"]["added"] += [{"address": "192.0.2.9", "until": 10**11, "note": "n" * 300}]
    (world.root / "own/state.json").write_text(json.dumps(state))
    settings.write_text("{")  # the settings of the state count
    again = world.service()
    world.settle(again)
    assert BAD in world.fragment and world.fragment.count(":deny") == 3
    assert not (world.root / "own/state.json.damaged").exists()


def test_an_entry_that_cannot_be_written_is_left_out(world: World) -> None:
    """A bad entry, however it came there, is left out; the others are written."""
    service = world.service()
    world.bad(11)
    world.settle(service)
    service.reputation.add("203.0.113.8", 10**12, "x", BEGIN)
    service.reputation.add("203.0.113.7", BEGIN + 100, "x" * 300, BEGIN)
    assert service.write()
    assert world.fragment == ENTRY
    assert sum("left out" in text for text in world.said) == 2


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("hours_ahead", [0.1, 20])
def test_a_clock_that_jumps_ahead_and_back_deletes_no_entry(
    world: World, restart: bool, hours_ahead: float
) -> None:
    steady = [1000.0]

    def begun() -> Service:
        made = Service(world.places, lambda: world.now, world.said.append, lambda: steady[0])
        made.begin()
        return made

    def passes(seconds: float) -> None:
        world.now += seconds
        steady[0] += seconds
        world.settle(service)

    service = begun()
    world.bad(11)
    world.settle(service)
    service.reputation.add("203.0.113.8", int(world.now) + 86_400, "x", int(world.now))
    service.reputation.release("203.0.113.77", int(world.now))
    passes(60)
    before = world.fragment
    assert before.count(":deny") == 2
    world.now += 10 * 365 * 86_400
    passes(5)
    assert world.fragment == ""  # by that clock they are over
    service.reputation.release("203.0.113.78", int(world.now))
    service.reputation.add("203.0.113.6", int(world.now) + 3600, "x", int(world.now))
    passes(hours_ahead * 3600)
    if restart:
        service.save()
        service = begun()
        passes(5)
    world.now -= 10 * 365 * 86_400 + hours_ahead * 3600
    passes(5)
    assert before in world.fragment or set(before.splitlines()) <= set(world.fragment.splitlines())
    assert not any("expired" in text for text in world.said)
    made_ahead = service.reputation.explain("203.0.113.6", int(world.now))
    assert not made_ahead["refused"] or made_ahead["until"] <= world.now + 3600
    world.bad(11, "203.0.113.78")  # counts again, though it was released in ten years
    passes(30)
    world.bad(11, "203.0.113.78")
    passes(5)
    assert "203.0.113.78:deny" in world.fragment
    for _hour in range(30):
        passes(3600)
    assert BAD not in world.fragment and any(f"expired {BAD}" in text for text in world.said)


@pytest.mark.parametrize("restarts", ["", "while it is behind", "after it was", "killed while it is behind"])
@pytest.mark.parametrize("boot", [False, True])
def test_a_clock_that_falls_behind_and_returns_deletes_no_entry(
    world: World, boot: bool, restarts: str
) -> None:
    """As with a boot whose clock has lost the time, which a time server then sets."""
    steady = [1000.0]

    def begun() -> Service:
        made = Service(world.places, lambda: world.now, world.said.append, lambda: steady[0])
        made.begin()
        return made

    def passes(seconds: float) -> None:
        world.now += seconds
        steady[0] += seconds
        world.settle(service)

    service = begun()
    world.bad(11)
    world.settle(service)
    service.reputation.add("203.0.113.8", BEGIN + 7 * 86_400, "x", BEGIN)
    service.reputation.release("203.0.113.77", BEGIN)
    passes(60)
    before = world.fragment
    assert before.count(":deny") == 2
    world.now = 100.0
    if boot:
        service.save()
        steady[0] = 20.0
        service = begun()
    passes(5)
    assert world.fragment.count(":deny") == 2  # goes on refusing
    told = service.reputation.explain(BAD, int(world.now))
    assert world.now < told["until"] <= world.now + 14_400
    if restarts.endswith("behind"):
        if restarts != "killed while it is behind":
            service.save()
        service = begun()
        passes(60)
    world.now = BEGIN + 600.0
    if restarts.startswith("after"):
        service.save()
        service = begun()
    passes(5)
    assert world.fragment == before
    passes(4 * 3600)
    assert BAD not in world.fragment and "203.0.113.8" in world.fragment
    for _hour in range(30):
        passes(3600)
    assert any(f"expired {BAD}" in text for text in world.said)
    assert "203.0.113.8" in world.fragment


def test_entries_of_a_clock_that_was_ahead_for_long_end_in_time(world: World) -> None:
    """A set-back that lasts is the time: after a day no entry ends later than it could by now."""
    steady = [1000.0]
    service = Service(world.places, lambda: world.now, world.said.append, lambda: steady[0])
    service.begin()
    world.bad(11)
    world.settle(service)
    world.now -= 10 * 365 * 86_400
    for _hour in range(30):
        world.now += 3600
        steady[0] += 3600
        world.settle(service)
        assert all(entry.until <= world.now + 14_400 for entry in tcprules.parse_adaptive(world.fragment, 0))
    assert world.fragment == ""


def test_settings_are_taken_while_it_runs(world: World) -> None:
    service = world.service()
    world.bad(4)
    world.settle(service)
    (world.root / "settings.json").write_text('{"attempts": 4, "listing_seconds": 60}')
    world.now += 1
    world.settle(service)
    world.bad(1)
    world.settle(service)
    assert world.fragment.startswith(f"# until {BEGIN + 61} why 5 of 5 ")


def test_a_fragment_that_cannot_be_written_is_written_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.service()

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(blacklist_service, "atomic_write", full)
        world.bad(11)
        world.settle(service)
        world.settle(service)
    complaints = [line for line in world.said if "No space left" in line]
    assert len(complaints) == 1
    world.settle(service)
    assert world.fragment == ENTRY


# What people ask and order.


def test_orders_are_in_the_state_before_they_are_answered(world: World) -> None:
    service = world.service()
    world.bad(11)
    world.settle(service)
    assert service.answer({"do": "release", "address": BAD}) == {"address": BAD, "released": True}
    assert world.fragment == ""
    assert service.answer({"do": "add", "address": "192.0.2.200", "seconds": 60, "why": "x"})["refused"]
    other = world.service()
    world.settle(other)
    assert world.fragment == f"# until {BEGIN + 60} why x\n192.0.2.200:deny\n"
    assert [one["address"] for one in other.answer({"do": "list"})["entries"]] == ["192.0.2.200"]


def test_an_order_that_cannot_be_kept_is_not_confirmed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    service = world.service()

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blacklist_service, "atomic_write", full)
    answer = service.answer({"do": "add", "address": BAD, "seconds": 60, "why": "x"})
    assert answer == {
        "error": "accepted, but not written yet; see the log of adaptive-blacklist",
        "temporary": True,
    }


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (None, "request: None is not an object; expected one"),
        ({}, f"address: None is not an address; {EXPECTED}"),
        (
            {"do": "x", "address": BAD},
            "request: 'x' is unknown; expected list, explain, release, add or hear",
        ),
        (
            {"do": "add", "address": "2001:db8::/56"},
            f"address: '2001:db8::/56' is a network that cannot be one entry; {EXPECTED}",
        ),
        (
            {"do": "add", "address": "192.0.2.0/24"},
            f"address: '192.0.2.0/24' is a network that cannot be one entry; {EXPECTED}",
        ),
        (
            {"do": "add", "address": BAD, "seconds": 0, "why": "x"},
            "time: 0 is out of range; expected 1 to 2592000 seconds",
        ),
        (
            {"do": "add", "address": BAD, "seconds": 9, "why": "x\n1.2.3.4:allow"},
            "note: 'x\\n1.2.3.4:allow' is not plain; expected 1 to 150 characters of printable ASCII",
        ),
        (
            {"do": "add", "address": "10.0.0.9", "seconds": 9, "why": "x"},
            "address '10.0.0.9': never listed, it may relay; expected another one",
        ),
        (
            {"do": "release", "address": "192.0.2.250"},
            "address '192.0.2.250': added by the site; expected to release it there",
        ),
    ],
)
def test_a_request_that_is_refused(world: World, request_: Any, error: str) -> None:
    (world.root / "settings.json").write_text('{"added": [{"address": "192.0.2.250"}]}')
    assert world.service().answer(request_) == {"error": error}


# The real process.


@pytest.fixture
def process(world: World) -> Iterator[subprocess.Popen[str]]:
    with start(world) as running:
        yield running
        running.kill()


def start(world: World) -> subprocess.Popen[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); "
        "from mailgate.cli.main import main; sys.exit(main())"
    )
    options = ("directory", world.places.directory), ("log", world.places.log), ("rules", world.places.rules)
    running = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", code, "blacklist", "serve"]
        + [part for name, value in options for part in (f"--{name}", value)]
        + ["--settings", world.places.settings],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    while "reads " not in running.stderr.readline():
        assert running.poll() is None
    return running


def until(what: str, true: Any) -> float:
    begin = time.monotonic()
    while not true():
        assert time.monotonic() < begin + 10, what
        time.sleep(0.01)
    return time.monotonic() - begin


def command(world: World, *argv: str) -> int:
    return blacklist_command.main([argv[0], "--directory", world.places.directory, *argv[1:]])


def test_the_command_and_the_service(
    world: World, process: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.now = time.time()
    world.bad(11)
    seconds = until("nothing was listed", lambda: BAD in world.fragment)
    assert seconds < 1
    assert command(world, "list") == 0
    assert f"{BAD}     until " in capsys.readouterr().out
    assert command(world, "explain", BAD) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{BAD}: refused until ")
    assert told[1].startswith("by: rule, since ")
    assert told[2:4] == ["why: 11 of 11 attempts bad in 60 minutes", "counted:"]
    assert len(told) == 15
    assert told[4].endswith(" UTC recipient validrcptto: x@y from <>")
    assert command(world, "explain", BAD, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counted"] == 11
    assert command(world, "release", BAD) == 0
    assert capsys.readouterr().out == f"{BAD}: released\n"
    assert world.fragment == ""
    assert command(world, "add", BAD, "--for", "2h", "--note", "no") == 0
    assert f"{BAD}: refused until " in capsys.readouterr().out
    assert command(world, "add", "10.0.0.7", "--for", "2h") == 100
    assert command(world, "add", BAD, "--for", "2 hours") == 100
    assert capsys.readouterr().err == (
        "mailgate blacklist: address '10.0.0.7': never listed, it may relay; expected another one\n"
        "mailgate blacklist: time: '2 hours' is not a duration; expected one such as 30m, 4h, 2d or 1w\n"
    )
    assert command(world, "list", "--json") == 0
    assert [one["address"] for one in json.loads(capsys.readouterr().out)["entries"]] == [BAD]


def test_kill_9_and_term(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.now = time.time()
    with start(world) as running:
        world.bad(6)
        running.kill()
    with start(world) as running:
        world.bad(5)
        until("nothing was listed", lambda: BAD in world.fragment)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert json.loads((world.root / "own" / "state.json").read_text())["reputation"]["entries"][0][0] == BAD
    assert command(world, "list") == 111
    assert (
        "expected adaptive-blacklist to run, see svstat /service/adaptive-blacklist"
        in capsys.readouterr().err
    )


def test_hup_takes_settings_at_once(world: World, process: subprocess.Popen[str]) -> None:
    (world.root / "settings.json").write_text('{"added": [{"address": "192.0.2.250"}]}')
    process.send_signal(signal.SIGHUP)
    until("not taken", lambda: "192.0.2.250:deny" in world.fragment)


@pytest.mark.slow
def test_a_caller_that_says_nothing_holds_nobody_up_for_long(
    world: World, process: subprocess.Popen[str]
) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(world.places.own("socket"))
    assert command(world, "list") == 0
    silent.close()


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"[" * 60_000 + b"\n", "request: is not valid JSON"),
        (b"\xff\n", "request: is not valid JSON"),
        (b'{"do": "list"}\n{}\n', "request: goes on after its line"),
        (b'{"do": "list"}', "request: ends without a newline"),
        (b" " * 70_000, "request: is too long"),
        (b"[]\n", "request: [] is not an object"),
    ],
)
def test_a_bad_request_is_answered_and_ends_nothing(
    sent: bytes, fault: str, world: World, process: subprocess.Popen[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(20)
        caller.connect(world.places.own("socket"))
        caller.sendall(sent)
        caller.shutdown(socket.SHUT_WR)
        assert json.loads(caller.makefile("rb").read())["error"].startswith(fault)
    assert command(world, "list") == 0


def reachable(world: World) -> None:
    """Let other users into the world; only root can enter pytest's directories."""
    for directory in (Path(world.places.directory), world.root, *world.root.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_another_user_gets_no_answer(world: World, process: subprocess.Popen[str]) -> None:
    path = world.places.own("socket")
    os.chmod(path, 0o777)
    reachable(world)
    code = (
        "import os, socket, sys\nos.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        'try:\n    s.sendall(b\'{"do": "list"}\\n\')\n    print(s.recv(99))\n'
        "except (BrokenPipeError, ConnectionResetError):\n    print(b'')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, timeout=20, capture_output=True, text=True
    )
    assert done.stdout == "b''\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_the_command_trusts_no_socket_of_another_user(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chown(world.places.directory, 65533, 65533)
    reachable(world)
    for user, expected in ((65534, "another user listens there; expected adaptive-blacklist"), (65533, "")):
        os.chmod(world.places.directory, 0o777)
        pid = os.fork()
        if pid == 0:  # never returns to pytest
            try:
                os.setuid(user)
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(world.places.own("socket"))
                    listener.listen()
                    connection = listener.accept()[0]
                    connection.recv(99)
                    connection.sendall(b'{"entries": [], "spared": []}\n')
                    connection.close()
            finally:
                os._exit(0)
        until("nobody listens", lambda: os.path.exists(world.places.own("socket")))
        time.sleep(0.1)
        status = command(world, "list")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.unlink(world.places.own("socket"))
        assert expected in capsys.readouterr().err
        assert status == (111 if expected else 0)


# Settings.


def test_settings_come_back_as_they_are() -> None:
    values = {
        "attempts": 5,
        "marked": "ham",
        "spam_score": 4.5,
        "never": ["192.0.2.0/24"],
        "added": [
            {"address": "198.51.100.10", "until": "2026-12-24T18:00:00Z", "note": "scanner"},
            {"address": "198.51.100.9", "until": "2026-12-24", "note": None},
            {"address": "198.51.100.8"},
        ],
        "released": ["198.51.100.20", "198.51.100.3", "198.51.100.3"],
    }
    settings = blacklist_settings.make(values)
    assert blacklist_settings.parse(blacklist_settings.render(settings)) == settings
    assert [(one.address, one.until) for one in settings.added] == [
        ("198.51.100.8", None),
        ("198.51.100.9", 1_798_070_400),
        ("198.51.100.10", 1_798_135_200),
    ]
    assert settings.released == ("198.51.100.3", "198.51.100.20")
    assert blacklist_settings.describe(settings).splitlines()[-6:] == [
        "192.0.2.0/24 is never listed",
        "198.51.100.8 is refused permanently",
        "198.51.100.9 is refused until 2026-12-24 00:00:00 UTC",
        "198.51.100.10 is refused until 2026-12-24 18:00:00 UTC (scanner)",
        "198.51.100.3 is released and never listed",
        "198.51.100.20 is released and never listed",
    ]


def test_the_default_is_the_guides_rule() -> None:
    settings = blacklist_settings.parse("{}")
    assert settings == Settings()
    assert (settings.attempts, settings.window_seconds, settings.bad_percent) == (10, 3600, 50)
    assert (settings.listing_seconds, settings.spare_ham, settings.spare_ham_seconds) == (14_400, 50, 604_800)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attempts": 0}, "s attempts: 0 is out of range; expected 1 to 10000 attempts"),
        ({"attempts": True}, "s attempts: True is out of range; expected 1 to 10000 attempts"),
        ({"window_seconds": 1.5}, "s window_seconds: 1.5 is out of range; expected 1 to 604800 seconds"),
        (
            {"attempts": 200},
            "s events_max: 200 events cannot show more than 200 attempts; expected more than attempts",
        ),
        ({"spam_score": -1}, "s spam_score: -1 is not a score; expected 0, for none, to 1000"),
        ({"spam_score": "5"}, "s spam_score: '5' is not a score; expected 0, for none, to 1000"),
        ({"marked": "x"}, "s marked: 'x' is unknown; expected spam, ham, neither"),
        (
            {"never": ["192.0.2.1"]},
            "s never network 1: '192.0.2.1' has no prefix length; expected '192.0.2.1/32' for a host, "
            "or a network such as '10.0.0.0/24'",
        ),
        ({"never": "x"}, "s never: 'x' is not a list; expected a list"),
        (
            {"released": ["192.0.2.01"]},
            f"s released item 1: '192.0.2.01' is not an address; {EXPECTED}",
        ),
        (
            {"added": [{"address": "192.0.2.1"}, {"address": "192.0.2.1"}]},
            "s added item 2: '192.0.2.1' is there already; expected each address once",
        ),
        (
            {"added": [{"address": "192.0.2.1"}], "released": ["192.0.2.1"]},
            "s: '192.0.2.1' is added and released; expected it in one of the two lists",
        ),
        (
            {"added": [{"address": "192.0.2.1", "until": "soon"}]},
            "s added item 1 until: 'soon' is not a time; "
            "expected UTC as '2026-12-24' or '2026-12-24T18:00:00Z'",
        ),
        (
            {"added": [{"address": "192.0.2.1", "note": "a\nb"}]},
            "s added item 1 note: 'a\\nb' is not plain; expected printable ASCII of one line",
        ),
        (
            {"added": [{"address": "192.0.2.1", "note": "n" * 201}]},
            "s added item 1 note: 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn'... has 201 characters; "
            "expected at most 200",
        ),
        *(
            (
                {"added": [{"address": "192.0.2.1", "until": until}]},
                f"s added item 1 until: {until!r} is out of range; expected a time until the year 5138, "
                "or none, for as long as the address is in the list",
            )
            for until in ("9999-12-31", "9999-12-31T23:59:59Z", "5138-11-17", 100_000_000_000, "1969-12-31")
        ),
    ],
)
def test_settings_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        blacklist_settings.make(values, "s")
    assert str(caught.value) == message


def test_every_number_has_words_and_limits() -> None:
    numbers = {name for name, value in blacklist_settings.as_values(Settings()).items() if type(value) is int}
    assert numbers == set(blacklist_settings.LIMITS)
    assert numbers | {"marked", "spam_score"} == set(blacklist_settings._WORDS)


def test_facts_of_a_site() -> None:
    never = Exemptions()
    assert never(BAD) == "10-site was never readable"
    never.take_site(facts_of(SITE))
    assert never(BAD) == ""
    assert never("10.0.0.7") == "it may relay"
    assert never.known_texts() == {
        "it may relay": ["10.0.0.0/24"],
        "it is whitelisted": ["192.0.2.0/28"],
        "it is protected": ["198.18.0.10/32"],
    }


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("4h", 14_400), ("2d", 172_800), ("90m", 5400)])
def test_spans(text: str, seconds: int) -> None:
    assert times.duration(text) == seconds
    assert times.span(seconds) == {30: "30 s", 14_400: "4 h 0 min", 172_800: "2 d 0 min"}.get(
        seconds, "1 h 30 min"
    )


# IPv6

SIX = "2001:db8:1:2::7"


def six_site(world: World, **facts: list[str]) -> None:
    values = {"relay_networks": [], "scanner": "", **facts}
    (world.root / "tcp.d" / "10-site").write_text(f"# mailgate: {json.dumps(values)}\n")


def test_the_fragment_has_networks_of_ipv6_that_the_compiler_takes(world: World) -> None:
    (world.root / "settings.json").write_text(json.dumps({"ipv6_site_networks": 2}))
    service = world.service()
    world.bad(11, SIX)
    world.bad(11, "2001:db8:1:3::7")
    world.settle(service)
    until = BEGIN + 14_400
    attempts = "11 of 11 attempts bad in 60 minutes"
    assert world.fragment == (
        f"# until {until} why {attempts}\n[2001:db8:1:2::]/64:deny\n"
        f"# until {until} why {attempts}\n[2001:db8:1:3::]/64:deny\n"
        f"# until {until} why 2 networks /64 of it are refused\n[2001:db8:1::]/48:deny\n"
    )
    found = [one.address for one in tcprules.parse_adaptive(world.fragment, BEGIN)]
    assert found == ["2001:db8:1:2::/64", "2001:db8:1:3::/64", "2001:db8:1::/48"]
    assert service.save()
    again = world.service()
    assert [one.address for one in again.reputation.entries(BEGIN)] == found


@pytest.mark.parametrize("kind", ["relay_networks", "protected_networks", "whitelisted_networks"])
@pytest.mark.parametrize(
    ("network", "listed"),
    [
        ("2001:db8:1::/48", []),
        ("2001:db8:1:2::7/128", ["2001:db8:1:3::/64"]),  # inside of the /64, and of the /48
        ("2001:db8:1:9::/64", ["2001:db8:1:2::/64", "2001:db8:1:3::/64"]),  # inside of the /48 alone
        ("2001:db8:2::/48", ["2001:db8:1:2::/64", "2001:db8:1:3::/64", "2001:db8:1::/48"]),
    ],
)
def test_no_network_is_listed_around_or_inside_of_one_that_is_never_refused(
    world: World, kind: str, network: str, listed: list[str]
) -> None:
    six_site(world, **{kind: [network]})
    (world.root / "settings.json").write_text(json.dumps({"ipv6_site_networks": 2}))
    service = world.service()
    world.bad(11, SIX)
    world.bad(11, "2001:db8:1:3::7")
    world.settle(service)
    assert [one.address for one in service.reputation.entries(BEGIN)] == listed


@pytest.mark.parametrize("variable", ["RELAYCLIENT", "WHITELISTED"])
def test_a_client_that_an_operator_allows_keeps_its_network_off_the_list(world: World, variable: str) -> None:
    head = '# mailgate: {"relay_networks": ["2001:db8:1:2::7/128"]}\n' if variable == "RELAYCLIENT" else ""
    (world.root / "tcp.d" / "20-operator").write_text(f'{head}[2001:db8:1:2::7]:allow,{variable}=""\n')
    service = world.service()
    world.bad(11, "2001:db8:1:2::8")
    world.settle(service)
    assert world.fragment == ""


def test_orders_about_ipv6_take_any_form(world: World) -> None:
    service = world.service()
    added = service.answer({"do": "add", "address": "2001:DB8:1:2::9", "seconds": 60, "why": "x"})
    assert (added["address"], added["refused"]) == ("2001:db8:1:2::/64", True)
    assert "[2001:db8:1:2::]/64:deny" in world.fragment
    assert service.answer({"do": "explain", "address": "[2001:db8:1:2::1]"})["refused"]
    assert service.answer({"do": "list"})["entries"][0]["address"] == "2001:db8:1:2::/64"
    released = service.answer({"do": "release", "address": "2001:db8:1:2:ffff::/64"})
    assert released == {"address": "2001:db8:1:2::/64", "released": True}
    assert world.fragment == ""
    refused = service.answer({"do": "add", "address": "::1", "seconds": 60, "why": "x"})
    assert refused == {
        "error": "address '::/64': never listed, it is this host; expected another one",
    }


@pytest.mark.parametrize("released", ["2001:db8:1:9::/64", "2001:db8:1::/48"])
def test_what_the_settings_release_keeps_its_48_off_the_list(world: World, released: str) -> None:
    settings = {"ipv6_site_networks": 2, "released": [released]}
    (world.root / "settings.json").write_text(json.dumps(settings))
    service = world.service()
    world.bad(11, SIX)
    world.bad(11, "2001:db8:1:3::7")
    world.settle(service)
    single = [] if released.endswith("/48") else ["2001:db8:1:2::/64", "2001:db8:1:3::/64"]
    assert [one.address for one in service.reputation.entries(BEGIN)] == single


def test_a_network_that_the_site_adds_is_released_there(world: World) -> None:
    (world.root / "settings.json").write_text(json.dumps({"added": [{"address": "2001:db8:1::/48"}]}))
    service = world.service()
    world.settle(service)
    assert "[2001:db8:1::]/48:deny" in world.fragment
    answer = service.answer({"do": "release", "address": SIX})
    assert answer == {
        "error": "address '2001:db8:1:2::/64': added by the site; expected to release it there",
    }
