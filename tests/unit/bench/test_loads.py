# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of `make bench`, what they demand of their sessions, and what is made of their figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench import loads
from bench.figures import METRICS, Figure

PEER = Path(loads.__file__).parent / "peer"
ROWS = loads.loads(loads.SMALL)
MET = {"done": 100, "handshakes": 100, "resumed": 0, "without_reply": 0}


def load(row: str, system: str = "gateway") -> loads.Load:
    return next(one for one in ROWS if (one.row, one.system) == (row, system))


def test_each_row_has_a_gateway_and_a_peer_once() -> None:
    for row in {one.row for one in ROWS}:
        systems = [one.system for one in ROWS if one.row == row]
        assert len(set(systems)) == len(systems)
        assert {one.container for one in ROWS if one.row == row} == {loads.GATEWAY, loads.PEER}


def test_what_is_measured_over_tls_is_measured_in_plain_text_as_well() -> None:
    over = [one for one in ROWS if one.row.endswith(loads.OVER_TLS)]
    assert len(over) == 10
    for one in over:
        plain = load(one.row[: -len(loads.OVER_TLS)], one.system)
        assert (*plain.options, *loads.TLS) == one.options
        assert (plain.container, plain.expected, plain.scanned) == (one.container, one.expected, one.scanned)


def test_the_peer_listens_where_its_rows_connect() -> None:
    ports = {one.options[one.options.index("-p") + 1] for one in ROWS if one.container == loads.PEER}
    ports |= {one.port for one in loads.held(loads.SMALL) if one.container == loads.PEER}
    listening = re.findall(r"^127\.0\.0\.1:(\d+) inet", (PEER / "master.cf").read_text(), re.MULTILINE)
    assert ports <= set(listening)


@pytest.mark.parametrize(
    ("row", "said", "codes", "fault"),
    [
        ("unknown recipient", {}, {"550": 98, "451": 2}, ""),
        ("unknown recipient", {}, {"550": 97, "451": 3}, "expected 550 each time"),
        ("unknown recipient", {"done": 0}, {}, "expected 550 each time"),
        ("refused by rule", {"without_reply": 100}, {}, ""),
        ("refused by rule", {}, {"220": 100}, "expected an end each time"),
        ("unknown recipient, over TLS", {}, {"550": 100}, ""),
        ("unknown recipient, over TLS", {"handshakes": 97}, {"550": 100}, "expected TLS each time"),
        ("handshake, RSA", {}, {"220": 100}, ""),
        ("handshake, RSA", {}, {"454": 100}, "expected 220 each time"),
        ("handshake, RSA", {"resumed": 1}, {"220": 100}, "expected full handshakes alone"),
        ("handshake, RSA, resumed", {"resumed": 92}, {"220": 100}, ""),
        ("handshake, RSA, resumed", {"resumed": 89}, {"220": 100}, "expected sessions that are resumed"),
    ],
)
def test_what_a_row_demands_of_its_sessions(
    row: str, said: dict[str, float], codes: dict[str, int], fault: str
) -> None:
    assert load(row).fault({**MET, **said}, codes) == fault


@pytest.mark.parametrize(("descriptors", "expected"), [(1 << 20, (12_000, 10_000)), (19_000, (6_000, 5_000))])
def test_as_many_places_as_there_are_descriptors(descriptors: int, expected: tuple[int, int]) -> None:
    size = loads.within(loads.Size(), descriptors)
    assert (size.places, size.held_by_many) == expected


def test_silent_sessions_over_tls_are_those_of_plain_text_behind_a_handshake() -> None:
    held = loads.held(loads.Size())
    plain = {one.system: one for one in held if one.sessions == 90 and "-x" not in one.options}
    over = [one for one in held if "-x" in one.options]
    assert [one.system for one in over] == ["gateway", "tcpserver", "smtpd"]
    for one in over:
        assert (one.row, one.port) == ("silent sessions held, over TLS", plain[one.system].port)
        assert one.options == (*plain[one.system].options, *loads.TLS)


def figure(row: str, system: str, disturbed: bool = False, **runs: tuple[float, ...]) -> Figure:
    made = Figure(row, system, 8, disturbed=disturbed)
    made.runs = {name: list(values) for name, values in runs.items()}
    return made


def test_what_tls_adds_is_told_run_by_run() -> None:
    both = [
        figure(loads.UNSCANNED, "tcpserver", cpu_per_1000=(2.0, 2.5)),
        figure(loads.UNSCANNED, "smtpd", cpu_per_1000=(1.0, 1.0)),
        figure(loads.UNSCANNED + loads.OVER_TLS, "tcpserver", disturbed=True, cpu_per_1000=(3.0, 3.75)),
    ]
    (added,) = loads.added(both)
    assert (added.row, added.system, added.at_once, added.disturbed) == (loads.ADDED, "tcpserver", 8, True)
    assert added.runs == {"added_ms": [1.0, 1.25]} and set(added.runs) <= set(METRICS)


def test_what_runs_beside_the_scanners_is_told_run_by_run() -> None:
    measured = [
        figure(loads.SCANNED, "tcpserver", cpu_per_1000=(180.0, 190.0), scanners_ms=(160.0, 165.0)),
        figure(loads.SCANNED, "amavisd-new", cpu_per_1000=(200.0, 200.0)),
        figure(loads.DELIVERED, "tcpserver", disturbed=True, cpu_per_1000=(14.0, 19.5)),
    ]
    whole, simscan = loads.beside(measured)
    assert (whole.key, whole.disturbed) == ((loads.BESIDE, "tcpserver", 8), False)
    assert whole.runs == {"own_ms": [20.0, 25.0]}
    assert (simscan.key, simscan.disturbed) == ((loads.SIMSCAN, "tcpserver", 8), True)
    assert simscan.runs == {"own_ms": [6.0, 5.5]} and set(simscan.runs) <= set(METRICS)
    assert loads.beside(measured[:1]) == [whole]  # nothing is told of what was not measured


@pytest.mark.parametrize(("own", "word"), [(6.0, "met"), (6.1, "not met")])
def test_what_simscan_adds_has_a_limit(own: float, word: str) -> None:
    said = f"{loads.SIMSCAN}, 8 at once: at most 6.0 ms of CPU, {own:.2f} measured: {word}"
    assert loads.aims([figure(loads.SIMSCAN, "tcpserver", own_ms=(own,))]) == [said]


def test_scanned_mail_is_measured_with_as_many_senders_as_its_aim_names() -> None:
    assert all(row in {one.row for one in ROWS} for rows in loads.AT_ONCE.values() for row in rows)
    for row in (loads.SCANNED, loads.DELIVERED):
        assert {at_once for at_once, rows in loads.AT_ONCE.items() if row in rows} == {1, 4, 16}


@pytest.mark.parametrize(("ours", "word"), [(1500.0, "met"), (1400.0, "met"), (1399.0, "not met")])
def test_a_handshake_is_to_be_at_the_peers_rate(ours: float, word: str) -> None:
    rows = [
        figure("handshake, ECDSA", "gateway", rate=(1.0, ours, 9000.0)),
        figure("handshake, ECDSA", "smtpd", rate=(1400.0,)),
        figure("handshake, RSA", "gateway", rate=(1.0,)),
    ]
    said = f"handshake, ECDSA: at least 1,400 a second as smtpd, {ours:,.0f} measured: {word}"
    assert loads.aims(rows) == [said]


@pytest.mark.parametrize(("added", "word"), [(1.49, "met"), (1.5, "not met")])
def test_what_tls_adds_to_a_mail_has_a_limit(added: float, word: str) -> None:
    rows = [figure(loads.ADDED, system, added_ms=(added,)) for system in ("tcpserver", "smtpd")]
    said = f"{loads.ADDED}: less than 1.5 ms of CPU, {added:.2f} measured: {word}"
    assert loads.aims(rows) == [said]
