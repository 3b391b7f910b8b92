# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of promises at the end of a run: each with what was measured, and whether it was kept."""

from __future__ import annotations

import pytest

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
def measured(request: pytest.FixtureRequest, record_property: object) -> object:
    """Return the function that records what was measured."""
    return lambda text: record_property(MEASURED, text)  # type: ignore[operator]


@pytest.fixture(autouse=True)
def _promise(request: pytest.FixtureRequest, record_property: object) -> None:
    """Record what a test promises: the first line of its docstring."""
    words = (request.function.__doc__ or "").strip().splitlines()
    record_property(PROMISE, words[0].rstrip(".") if words else request.function.__name__)  # type: ignore[operator]
