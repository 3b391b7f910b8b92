# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway that the rows are played against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.gateway import Bed
from support.queue_checks import drain


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--gateway"))


@pytest.fixture(scope="session")
def bed(gateway: str) -> Iterator[Bed]:
    with Bed(gateway) as one:
        one.wait_until_greeted(30)
        one.introduce()
        yield one


@pytest.fixture
def empty_queue(bed: Bed) -> Iterator[None]:
    """Begin and end with an empty queue; skip where a stand-in is, which has none."""
    reason = bed.only_real("the stand-in has no queue")
    if reason:
        pytest.skip(reason)
    drain(bed)
    yield
    drain(bed)
