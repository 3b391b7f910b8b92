# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three gateways, and a table of promises at the end: each with what was measured, and whether it was kept.

With MAILGATE_FLEET=NAME the containers NAME-1 to NAME-3 are used, made when they are not there, and stay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import gateways as site
from fleet.gateways import Gateway, await_all, heard_all

KEPT = os.environ.get("MAILGATE_FLEET", "")

PROMISE, MEASURED = "promise", "measured"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = []
    for outcome, word in (("passed", "kept"), ("failed", "BROKEN"), ("error", "NOT RUN")):
        for report in terminalreporter.stats.get(outcome, ()):
            known = dict(report.user_properties)
            if PROMISE in known and (report.when == "call" or outcome == "error"):
                rows.append((known[PROMISE], word, known.get(MEASURED, "")))
    if not rows:
        return
    width = max(len(promise) for promise, _word, _measured in rows)
    terminalreporter.write_sep("=", "what three gateways promise")
    for promise, word, measured in rows:
        terminalreporter.write_line(f"{promise:{width}}  {word:7}  {measured}".rstrip())


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return the function that records what was measured."""
    return lambda text: record_property(MEASURED, text)


@pytest.fixture(autouse=True)
def _promise(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Record what a test promises: the first line of its docstring."""
    words = (request.function.__doc__ or "").strip().splitlines()
    record_property(PROMISE, words[0].rstrip(".") if words else request.function.__name__)


@pytest.fixture(scope="session")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the inventory, hosts.yml, and the fleet's authority."""
    if not KEPT:
        return tmp_path_factory.mktemp("fleet")
    directory = Path(f"/tmp/mailgate-fleet-{KEPT}")
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def three(inventory: Path) -> Iterator[list[Gateway]]:
    """Return three gateways that hear each other."""
    names = [f"{KEPT or f'mailgate-fleet-{os.getpid()}'}-{number}" for number in range(1, site.COUNT + 1)]
    made = site.start(names)
    try:
        hosts = site.write_inventory(inventory, made)
        predicted = site.join(hosts, "--check")  # on hosts that have nothing of it yet
        done = site.join(hosts)
        assert KEPT or all(predicted[name] > 0 and done[name] > 0 for name in done)
        await_all(made, heard_all, "hears the others", 90)
        yield made
    finally:
        if not KEPT:
            site.stop(made)
