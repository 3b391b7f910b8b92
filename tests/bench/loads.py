# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of `make bench`: who connects where, with or without TLS, and what each session must meet."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .figures import Figure

GATEWAY, PEER = "mailgate-bench", "mailgate-bench-peer"
DOMAIN = "example.test"
FIRST_DENIED = "10.10.0.0"
# Each of a /24 of its own, so that the greylist has never seen it.
STRANGERS = ("-b", "10.64.0.1", "-k", "49000", "-j", "256")
KNOWN = ("-b", "198.18.20.1", "-k", "1400")
ONE_KNOWN = ("-b", "198.18.20.9", "-k", "1")
GOOD = f"user5.name@{DOMAIN}"
# The chains of tcpserver on the same gateway, beside smtpfront: one with a greylist of its own, one that
# throws mail away, and one that delivers it without scanning.
CHAIN_PORT, UNSCANNED_PORT, DELIVERED_PORT = "2026", "2027", "2028"

OVER_TLS = ", over TLS"
UNSCANNED = "mail of 5 kB, not scanned"
ADDED = "what TLS adds to a mail of 5 kB"
ADDED_MS_MOST = 1.5
SCANNED, DELIVERED = "clean mail of 5 kB scanned", "mail of 5 kB, delivered, not scanned"
BESIDE = "clean mail of 5 kB: all but clamd and spamd"
SIMSCAN = "what simscan adds to a mail of 5 kB, beside clamd and spamd"
SIMSCAN_MS_MOST = 6.0
MET_PERCENT, RESUMED_PERCENT = 98, 90  # the first sessions have no ticket yet

# The row, and the kind of handshake.
HANDSHAKES = {
    "handshake, ECDSA": ("-x", "full", "-a", "ecdsa", "-v", "1.3"),
    "handshake, ECDSA, resumed": ("-x", "resumed", "-a", "ecdsa", "-v", "1.3"),
    "handshake, RSA": ("-x", "full", "-a", "rsa", "-v", "1.3"),
    "handshake, RSA, resumed": ("-x", "resumed", "-a", "rsa", "-v", "1.3"),
    "handshake, ECDSA, TLS 1.2": ("-x", "full", "-a", "ecdsa", "-v", "1.2"),
}
TLS = HANDSHAKES["handshake, ECDSA"]


OTHER_DESCRIPTORS = 1000  # of smtpfront, and to spare


@dataclass(frozen=True)
class Size:
    """How large the run is."""

    seconds: float = 3.0
    scan_seconds: float = 20.0
    flood_seconds: float = 14.0
    held: int = 90  # all systems have more places than that
    held_by_many: int = 10_000  # by smtpfront alone
    places: int = 12_000  # of smtpfront; each may take three descriptors
    held_wait: float = 9.0
    flood: int = 300
    denied: int = 20_000
    recipients: int = 1_000_000


def within(size: Size, descriptors: int) -> Size:
    """Return the size with as many places of smtpfront, and sessions there, as descriptors allow."""
    places = min(size.places, (descriptors - OTHER_DESCRIPTORS) // 3)
    return replace(size, places=places, held_by_many=min(size.held_by_many, places * 5 // 6))


SMALL = Size(1.0, 5.0, 6.0, 10, 500, 1_000, 2.0, 30, 200, 5_000)


@dataclass(frozen=True)
class Load:
    """A row on one system: the container, its name, and the load."""

    row: str
    system: str
    container: str
    options: tuple[str, ...]
    expected: str  # the reply that each session must have met, "" for an end without one
    scanned: bool = False

    @property
    def mail(self) -> bool:
        """Whether a message is sent."""
        return "data" in self.options

    @property
    def after_seconds(self) -> float:
        """For how long the servers work for the last sessions when these have ended."""
        return 5.0 if self.row == DELIVERED else 2.0 if self.mail else 0.3

    @property
    def strangers(self) -> bool:
        """Whether each session comes from a network of its own."""
        return STRANGERS[1] in self.options

    def fault(self, said: Mapping[str, float], codes: Mapping[str, int]) -> str:
        """Return what most sessions should have met and did not, or ''."""
        done = said["done"]
        met = codes.get(self.expected, 0) if self.expected else said["without_reply"]
        if not done or met * 100 < done * MET_PERCENT:
            return f"expected {self.expected or 'an end'} each time"
        if "-x" not in self.options:
            return ""
        if said["handshakes"] * 100 < done * MET_PERCENT:
            return "expected TLS each time"
        if "resumed" in self.options:
            few = said["resumed"] * 100 < said["handshakes"] * RESUMED_PERCENT
            return "expected sessions that are resumed" if few else ""
        return "expected full handshakes alone" if said["resumed"] else ""


@dataclass(frozen=True)
class Held:
    """Sessions that are silent after the greeting, or after the handshake."""

    row: str
    system: str
    container: str
    port: str
    sessions: int
    options: tuple[str, ...]


def loads(size: Size) -> list[Load]:
    denied = ("-b", FIRST_DENIED, "-k", str(size.denied))
    found = [
        Load("refused by rule", "gateway", GATEWAY, ("-m", "drop", "-p", "25", *denied), ""),
        Load("refused by rule", "tcpserver", GATEWAY, ("-m", "drop", "-p", CHAIN_PORT, *denied), ""),
        Load("refused by rule", "postscreen", PEER, ("-m", "drop", "-p", "2002", *denied), "521"),
        Load("refused by rule", "smtpd", PEER, ("-m", "quit", "-p", "2001", *denied), "554"),
    ]
    found += _sessions("", ())
    for row, options in HANDSHAKES.items():
        quits = ("-m", "quit", *KNOWN, *options)
        found.append(Load(row, "gateway", GATEWAY, ("-p", "25", *quits), "220"))
        found.append(Load(row, "smtpd", PEER, ("-p", "2004", *quits), "220"))
    return found + _sessions(OVER_TLS, TLS) + _delivered()


def _sessions(suffix: str, tls: tuple[str, ...]) -> list[Load]:
    """Return the rows that are measured in plain text and over TLS."""
    greylist = ("-m", "rcpt", "-f", "s%@sender.test", "-r", GOOD, *STRANGERS, *tls)
    unknown = ("-m", "rcpt", "-r", f"nobody%@{DOMAIN}", *KNOWN, *tls)
    mail = ("-m", "data", "-r", GOOD, "-s", "5000", *KNOWN, *tls)
    first, nobody = f"greylisted for the first time{suffix}", f"unknown recipient{suffix}"
    unscanned, scanned = f"{UNSCANNED}{suffix}", f"{SCANNED}{suffix}"
    return [
        Load(first, "gateway", GATEWAY, ("-p", "25", *greylist), "451"),
        Load(first, "tcpserver", GATEWAY, ("-p", CHAIN_PORT, *greylist), "451"),
        Load(first, "postgrey", PEER, ("-p", "2003", *greylist), "450"),
        Load(nobody, "gateway", GATEWAY, ("-p", "25", *unknown), "550"),
        Load(nobody, "tcpserver", GATEWAY, ("-p", CHAIN_PORT, *unknown), "550"),
        Load(nobody, "smtpd", PEER, ("-p", "2004", *unknown), "550"),
        Load(unscanned, "tcpserver", GATEWAY, ("-p", UNSCANNED_PORT, *mail), "250"),
        Load(unscanned, "smtpd", PEER, ("-p", "2006", *mail), "250"),
        Load(scanned, "gateway", GATEWAY, ("-p", "25", *mail), "250", scanned=True),
        Load(scanned, "amavisd-new", PEER, ("-p", "2005", *mail), "250", scanned=True),
    ]


def _delivered() -> list[Load]:
    """Return what tells simscan's own price: the same chain of tcpserver with it, and without."""
    mail = ("-m", "data", "-r", GOOD, "-s", "5000", *KNOWN)
    few = ("-n", "300")  # which are delivered soon after the last is accepted
    return [
        Load(SCANNED, "tcpserver", GATEWAY, ("-p", CHAIN_PORT, *mail), "250", scanned=True),
        Load(DELIVERED, "tcpserver", GATEWAY, ("-p", DELIVERED_PORT, *mail, *few), "250"),
        Load(DELIVERED, "smtpd", PEER, ("-p", "2007", *mail, *few), "250"),
    ]


_QUICK, _MAIL = ("refused by rule", "unknown recipient"), (SCANNED, DELIVERED)
# How many sessions at once, and the rows that are measured so: all with eight.
AT_ONCE: dict[int, tuple[str, ...]] = {8: (), 1: (*_QUICK, *_MAIL), 4: _MAIL, 16: _MAIL, 32: _QUICK}
HELD = (
    ("gateway", GATEWAY, "25"),
    ("tcpserver", GATEWAY, CHAIN_PORT),
    ("smtpd", PEER, "2004"),
    ("postscreen", PEER, "2002"),
)
# Each of a network of its own, of which one has 200 places at most.
MANY = ("-b", "10.64.0.1", "-k", "10000", "-j", "256")


def held(size: Size) -> list[Held]:
    """Return the silent sessions; postscreen gives its own to smtpd before they ask for TLS."""
    row = "silent sessions held"
    found = [Held(row, *one, size.held, KNOWN) for one in HELD]
    found.append(Held(row, *HELD[0], size.held_by_many, MANY))
    encrypted = (*KNOWN, *TLS)
    return found + [
        Held(row + OVER_TLS, *one, size.held, encrypted) for one in HELD if one[0] != "postscreen"
    ]


DERIVED = (ADDED, BESIDE, SIMSCAN)


def derived(figures: Sequence[Figure]) -> list[Figure]:
    """Return the measured figures with what is made of them."""
    measured = [figure for figure in figures if figure.row not in DERIVED]
    return [*measured, *added(measured), *beside(measured)]


def added(figures: Sequence[Figure]) -> list[Figure]:
    """Return how much CPU time TLS adds to a mail that is not scanned, run by run, on each system."""
    known = {figure.key: figure for figure in figures}
    found = []
    for plain in figures:
        tls = known.get((UNSCANNED + OVER_TLS, plain.system, plain.at_once))
        if plain.row != UNSCANNED or tls is None:
            continue
        one = Figure(ADDED, plain.system, plain.at_once, disturbed=plain.disturbed or tls.disturbed)
        for before, after in zip(plain.runs["cpu_per_1000"], tls.runs["cpu_per_1000"]):
            one.add(added_ms=after - before)  # seconds for 1,000 are milliseconds for one
        found.append(one)
    return found


def beside(figures: Sequence[Figure]) -> list[Figure]:
    """Return what a scanned mail costs beside clamd's and spamd's own CPU time, and simscan's part of it."""
    known = {figure.key: figure for figure in figures}
    found = []
    for scanned in figures:
        if scanned.row != SCANNED or "scanners_ms" not in scanned.runs:
            continue
        whole = Figure(BESIDE, *scanned.key[1:], disturbed=scanned.disturbed)
        for cpu, scanners in zip(scanned.runs["cpu_per_1000"], scanned.runs["scanners_ms"]):
            whole.add(own_ms=cpu - scanners)
        found.append(whole)
        without = known.get((DELIVERED, scanned.system, scanned.at_once))
        if without is None:
            continue
        one = Figure(SIMSCAN, *scanned.key[1:], disturbed=scanned.disturbed or without.disturbed)
        for own, cpu in zip(whole.runs["own_ms"], without.runs["cpu_per_1000"]):
            one.add(own_ms=own - cpu)
        found.append(one)
    return found


def aims(figures: Sequence[Figure]) -> list[str]:
    """Return whether the gateway makes handshakes at Postfix's rate, and what TLS adds to its mail."""
    said = []
    rates = {one.key: statistics.median(one.runs["rate"]) for one in figures if one.runs.get("rate")}
    for row in HANDSHAKES:
        ours, theirs = (rates.get((row, system, 8)) for system in ("gateway", "smtpd"))
        if ours is not None and theirs is not None:
            met = "met" if ours >= theirs else "not met"
            said.append(f"{row}: at least {theirs:,.0f} a second as smtpd, {ours:,.0f} measured: {met}")
    for one in figures:
        if (one.row, one.system) == (ADDED, "tcpserver"):
            middle = statistics.median(one.runs["added_ms"])
            met = "met" if middle < ADDED_MS_MOST else "not met"
            said.append(f"{ADDED}: less than {ADDED_MS_MOST} ms of CPU, {middle:.2f} measured: {met}")
        elif one.row == SIMSCAN:
            middle = statistics.median(one.runs["own_ms"])
            met = "met" if middle <= SIMSCAN_MS_MOST else "not met"
            at_once = f"{SIMSCAN}, {one.at_once} at once"
            said.append(f"{at_once}: at most {SIMSCAN_MS_MOST} ms of CPU, {middle:.2f} measured: {met}")
    return said
