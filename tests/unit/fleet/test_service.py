# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three services with their threads, over the library and played engines: one entry stands on all of them."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import links
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.engine import (
    Address,
    Engine,
    RedisEngine,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.service import (
    Service,
    ServicePaths,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.settings import Peer, Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import entries
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.places import OperatorPaths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.apply import Paths
from support import waiting
from support.fleet_hosts import HostFiles
from support.played_engine import AnswersFromMemory, PlayedEngine

NAMES = ("mx1", "mx2", "mx3")
eventually = functools.partial(waiting.eventually, within_seconds=60)


class FilesOnDisk(HostFiles):
    """Writers whose lists are the files that the service follows."""

    def __init__(self, directory: Path) -> None:
        super().__init__(frozenset())
        self.directory = directory

    def edit(self, kind: str, value: str, action: str, by: str, note: str, until: int | None = None) -> None:
        super().edit(kind, value, action, by, note, until)
        written = self.directory / "new"
        written.write_text(self.texts[entries.CLIENTS])
        written.rename(self.directory / "20-operator")


class Running:
    """A service, its engine and its files, which step until stop() is called."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name, self.directory = name, directory
        for one in ("fleet", "smtp", "blacklist"):
            (directory / one).mkdir(parents=True)
        self.files = FilesOnDisk(directory)
        self.socket = str(directory / "engine.sock")
        self.engine = PlayedEngine(AnswersFromMemory(), self.socket)
        self.stopped = threading.Event()

    def start(self, others: list[Running]) -> None:
        places = ServicePaths(
            directory=str(self.directory / "fleet"),
            smtp_log=str(self.directory / "smtp"),
            blacklist_log=str(self.directory / "blacklist"),
            lists=OperatorPaths(
                rules=Paths(directory=str(self.directory), senders_directory=str(self.directory / "senders")),
                spamassassin=str(self.directory),
                state=str(self.directory),
            ),
        )
        peers = tuple(Peer(one.name, Address(path=one.socket)) for one in others)
        settings = Settings(self.name, Address(path=self.socket), peers)

        def engine_of(peer: Peer | None) -> Engine:
            return RedisEngine(settings.engine if peer is None else peer.engine)

        self.service = Service(places, settings, self.files, engine_of, lambda text: None)
        for worker in self.service.workers:
            worker.start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopped.is_set():
            if not self.service.step():
                time.sleep(0.02)

    def stop(self) -> None:
        self.stopped.set()
        for worker in self.service.workers:
            worker.stopped.set()
        self.thread.join(60)
        self.engine.close()

    def has(self, text: str) -> bool:
        return text in self.files.texts[entries.CLIENTS]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Running]]:
    monkeypatch.setattr(links, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(links, "WAIT_SECONDS", 0.05)
    with contextlib.ExitStack() as stack:
        found = [Running(tmp_path / name, name) for name in NAMES]
        for one in found:
            one.start([other for other in found if other is not one])
            stack.callback(one.stop)
        yield found


def test_an_entry_a_listing_and_a_network_reach_the_other_hosts(hosts: list[Running]) -> None:
    first, second, third = hosts
    first.files.edit("client", "198.51.100.0/24", "deny", "alice", "phishes")
    eventually(lambda: second.has("alice@mx1") and third.has("alice@mx1"), "the entry stands")
    until = int(time.time()) + 3600
    listed = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
    stamp = tai64n.render(time.time_ns())
    line = f"{stamp} adaptive-blacklist: listed 203.0.113.9 until {listed}: 5 of 6 attempts bad\n"
    (second.directory / "blacklist/current").write_text(line)
    line = f"{stamp} smtpfront[6kz3rt9qm4]: new 192.0.2.9 192.0.2.0/24 wait 60\n"
    (second.directory / "smtp/current").write_text(line)
    eventually(lambda: all(one.files.adaptive == {"203.0.113.9": until} for one in (first, third)), "listed")
    eventually(lambda: all("192.0.2.0/24" in one.files.networks for one in (first, third)), "pending")
    third.files.edit("client", "198.51.100.0/24", "remove", "", "")
    eventually(lambda: not first.has("198.51.100") and not second.has("198.51.100"), "the entry is removed")
    eventually(
        lambda: all(part["state"] == "connected" for part in first.service.member.status().peers.values()),
        "connected",
    )
