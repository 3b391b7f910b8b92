# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of support/conversations.py against a real gateway."""

from __future__ import annotations

import pytest
from support.conversations import Asked, Crowd, Row, selected
from support.gateway import Bed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        rows = selected(metafunc.config.getoption("--rows"))
        metafunc.parametrize("row", rows, ids=[row.name for row in rows])


def test_row(bed: Bed, row: Row | Crowd | Asked) -> None:
    outcome = bed.play(row)
    if outcome.not_run:
        pytest.skip(outcome.not_run)
    assert not outcome.problems, "\n".join([f"{row.who} {row.tries}", *outcome.problems])


def test_nothing_else_arrived(bed: Bed) -> None:
    """Run as the last test: what a refused row sent must not arrive later either."""
    assert bed.leftovers() == []
