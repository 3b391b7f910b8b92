# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The adaptive blacklist at the door: a flood is refused, explained, forgiven; nobody else is touched."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conversations import HELO, NOBODY, NOT_OURS, OFFICE, OK, SENDER
from support.gateway import GATEWAY_ADDRESS, Bed
from support.smtp_client import CLOSED, Session

GOOD, UNKNOWN, FOREIGN = "alice@example.test", "nobody@example.test", "victim@else.where"
BAD_SENDER = "spammer@bad.example"

# The rule is that of the Qmail installation guide, 2007; only its times are short.
LISTING_SECONDS = 8
SETTINGS = {"window_seconds": 60, "listing_seconds": LISTING_SECONDS}
LISTED_SECONDS = 60.0
FORCE_SECONDS = 60.0
GREYLIST_SECONDS = 90.0
SERVICE, MULTILOG = r"mailgate.* blacklist serve ", r"^multilog .* /var/log/qmail/smtpd $"


class Blacklist:
    """The service in the gateway, as an operator sees it."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.fragment = bed.root / "var/lib/mailgate/blacklist/30-adaptive"
        self.settings = bed.root / "etc/mailgate/blacklist.json"
        self.watched = (bed.root / "service/rules").is_symlink()

    def command(self, *argv: str) -> str:
        status, out, err = self.bed.inside("mailgate", "blacklist", *argv)
        assert status == 0, f"{argv}: {err}"
        return out

    def explain(self, address: str) -> dict[str, Any]:
        return dict(json.loads(self.command("explain", address, "--json")))

    def listed(self, address: str) -> bool:
        return f"\n{address}:deny\n" in self.fragment.read_text()

    def compile(self) -> None:
        """Compile the rules where no service does it."""
        if not self.watched:
            status, _out, err = self.bed.inside("mailgate", "rules", "compile")
            assert status == 0, err

    def wait(self, what: str, true: Callable[[], bool], within_seconds: float) -> float:
        begin = time.monotonic()
        while not true():
            assert time.monotonic() < begin + within_seconds, f"not within {within_seconds} s: {what}"
            time.sleep(0.05)
        return time.monotonic() - begin

    def counts(self, address: str, attempts: int, more: bool = False) -> None:
        """Wait until exactly so many attempts of the address are counted, or so many and more."""

        def true() -> bool:
            status, out, _err = self.bed.inside("mailgate", "blacklist", "explain", address, "--json")
            if status != 0:
                return False  # it is starting
            found = json.loads(out)["attempts"]
            return bool(found >= attempts if more else found == attempts)

        self.wait(f"{attempts} attempts of {address} are counted", true, 20)

    def shut(self, address: str) -> None:
        """Wait until the address is listed and its connections are closed."""
        self.wait(f"{address} is listed", lambda: self.listed(address), LISTED_SECONDS)
        self.compile()
        self.wait(f"{address} is shut out", lambda: greeting(address) == CLOSED, FORCE_SECONDS)

    def open(self, address: str, within_seconds: float = FORCE_SECONDS) -> None:
        """Wait until the address is not listed, and is greeted."""
        self.wait(f"{address} is free", lambda: not self.listed(address), within_seconds)
        self.compile()
        self.wait(f"{address} is greeted", lambda: greeting(address).startswith("220 "), FORCE_SECONDS)

    def kill(self, program: str) -> None:
        """Kill a service's process by SIGKILL, and wait until supervise has started another one."""
        before = self.pid(program)
        os.kill(before, 9)
        self.wait(f"{program} runs again", lambda: self.pid(program) not in (0, before), 10)

    def configure(self, settings: bytes) -> None:
        """Write the settings, and wait until the service has read them."""
        log = self.bed.root / "var/log/adaptive-blacklist/current"

        def times_read() -> int:
            return log.read_text(errors="replace").count(" the settings were read\n")

        before = times_read()
        self.settings.write_bytes(settings)
        self.wait("the settings are read", lambda: times_read() > before, LISTED_SECONDS)

    def pid(self, program: str) -> int:
        """Return the number on this machine of the process whose command line matches, or 0."""
        for pid in self.bed.processes():
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1").replace("\0", " ")
            except OSError:
                continue
            if re.search(program, line):
                return pid
        return 0


@pytest.fixture(scope="module")
def blacklist(bed: Bed) -> Iterator[Blacklist]:
    one = Blacklist(bed)
    if not one.settings.exists():
        pytest.skip("this gateway has no adaptive blacklist")
    kept = one.settings.read_bytes()
    one.configure(json.dumps(SETTINGS).encode())
    try:
        yield one
    finally:
        one.configure(kept)
        one.compile()


@pytest.fixture(scope="module")
def addresses() -> Iterator[str]:
    """Return unknown clients, at random, as a test may run twice."""
    return iter(random.sample([f"198.51.100.{number}" for number in range(201, 255)], 54))


@pytest.fixture
def spammer(blacklist: Blacklist, addresses: Iterator[str]) -> str:
    address = next(addresses)
    through(address)
    return address


@pytest.fixture
def other(blacklist: Blacklist, addresses: Iterator[str]) -> str:
    address = next(addresses)
    through(address)
    return address


def greeting(address: str) -> str:
    with Session(address, GATEWAY_ADDRESS, timeout_seconds=20) as session:
        return session.reply()


def begun(address: str, sender: str = SENDER) -> Session:
    session = Session(address, GATEWAY_ADDRESS, timeout_seconds=20)
    assert session.reply().startswith("220 ")
    session.send(HELO.send + f"MAIL FROM:<{sender}>\r\n".encode())
    session.reply()
    session.reply()
    return session


def asked(session: Session, recipient: str) -> str:
    session.send(f"RCPT TO:<{recipient}>\r\n".encode())
    return session.reply()


def through(address: str) -> None:
    """Wait until the greylist, if there is one, lets the client pass."""
    deadline = time.monotonic() + GREYLIST_SECONDS
    while True:
        with begun(address) as session:
            got = asked(session, GOOD)
        if got == OK:
            return
        assert time.monotonic() < deadline, f"{address} for {GOOD} heard {got!r}; expected {OK!r}"
        time.sleep(1)


def flood(address: str, count: int) -> None:
    """Send so many recipients that are refused, at most six in a session."""
    while count > 0:
        with begun(address) as session:
            for _ in range(min(count, 6)):
                assert asked(session, UNKNOWN) == NOBODY
            count -= 6


def test_a_flood_is_refused_explained_and_forgotten(blacklist: Blacklist, spammer: str, other: str) -> None:
    flood(spammer, 10)
    with begun(spammer) as session:
        assert asked(session, UNKNOWN) == NOBODY
    blacklist.shut(spammer)
    assert greeting(other).startswith("220 ")
    told = blacklist.explain(spammer)
    assert (told["refused"], told["by"], told["why"]) == (True, "rule", "11 of 11 attempts bad in 60 seconds")
    assert [event["detail"] for event in told["events"]] == [f"validrcptto: {UNKNOWN} from {SENDER}"] * 11
    assert spammer in blacklist.command("list")
    blacklist.open(spammer, LISTING_SECONDS + LISTED_SECONDS)
    with begun(spammer) as session:
        assert asked(session, GOOD) == OK


def test_ten_attempts_are_not_enough(blacklist: Blacklist, spammer: str) -> None:
    flood(spammer, 10)
    blacklist.counts(spammer, 10)
    time.sleep(1)
    assert not blacklist.listed(spammer)


@pytest.mark.parametrize("program", [SERVICE, MULTILOG])
def test_kill_9_in_the_middle(blacklist: Blacklist, program: str, spammer: str) -> None:
    said = 0
    for count in (4, 4, 2):
        flood(spammer, count)
        said += count
        if program == MULTILOG:  # what a killed multilog has not written yet is lost with it
            blacklist.counts(spammer, said)
        blacklist.kill(program)
    blacklist.counts(spammer, 10)
    flood(spammer, 1)
    blacklist.shut(spammer)


def test_the_log_goes_on_in_another_file(blacklist: Blacklist, spammer: str) -> None:
    for count in (4, 4, 2):
        flood(spammer, count)
        status, _out, err = blacklist.bed.inside("svc", "-a", "/service/qmail-smtpd/log")
        assert status == 0, err
    blacklist.counts(spammer, 10)
    flood(spammer, 1)
    blacklist.shut(spammer)
    assert blacklist.explain(spammer)["counted"] == 11


def test_released_and_added(blacklist: Blacklist, spammer: str, other: str) -> None:
    flood(spammer, 11)
    blacklist.shut(spammer)
    assert blacklist.command("release", spammer) == f"{spammer}: released\n"
    blacklist.open(spammer)
    blacklist.kill(SERVICE)
    time.sleep(1)
    assert not blacklist.listed(spammer), "listed again for what it was released from"
    assert f"{other}: refused until" in blacklist.command("add", other, "--for", "4h", "--note", "by a test")
    blacklist.shut(other)
    told = blacklist.explain(other)
    assert (told["by"], told["why"]) == ("operator", "by a test")
    blacklist.command("release", other)
    blacklist.open(other)


def test_who_may_relay_is_never_listed(blacklist: Blacklist) -> None:
    for _ in range(4):
        with begun(OFFICE, BAD_SENDER) as session:
            for _ in range(5):
                assert asked(session, GOOD).startswith("553 ")
    blacklist.counts(OFFICE, 20, more=True)  # other tests' mail comes from there as well
    assert blacklist.explain(OFFICE)["never"] == "it may relay"
    assert not blacklist.listed(OFFICE)
    status, _out, err = blacklist.bed.inside("mailgate", "blacklist", "add", OFFICE, "--for", "1h")
    assert (status, "never listed, it may relay" in err) == (100, True)


def test_no_words_count_against_somebody_else(blacklist: Blacklist, spammer: str, other: str) -> None:
    with begun(other) as victim:
        assert asked(victim, GOOD) == OK  # from now on it is qmail-smtpd's
        # The numbers in the log are those that processes have inside of the container.
        pids = [
            next(
                line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "NSpid" in line
            ).split()[-1]
            for pid, name in blacklist.bed.processes().items()
            if name == "qmail-smtpd"
        ]
        assert pids
        texts = [f'"x at {other}"', f'"\rqmail-smtpd: rcpthosts: a@b from c@d at {other}"']
        texts += [f"simscan:[{pid}]:VIRUS:0.1s:x:{other}:a@b.example:c" for pid in pids]
        for text in texts:
            with begun(spammer, f"{text}@else.where") as session:
                for _ in range(3):
                    asked(session, f"{text}@else.where")
        assert asked(victim, GOOD) == OK
        # A sender with a control byte is refused at MAIL, before there is a recipient.
        blacklist.counts(spammer, 3 * sum("\r" not in text for text in texts))
        told = blacklist.explain(other)
    assert (told["attempts"], told["refused"]) == (0, False)


def test_relaying_tried_is_an_attempt(blacklist: Blacklist, spammer: str) -> None:
    for _ in range(3):
        with begun(spammer) as session:
            for _ in range(4):
                assert asked(session, FOREIGN) == NOT_OURS
    blacklist.shut(spammer)
    assert blacklist.explain(spammer)["events"][0]["detail"].startswith(f"rcpthosts: {FOREIGN} from ")
