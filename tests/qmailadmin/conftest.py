# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the operators' program share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scripted_service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Start a service of its own for each test."""
    one = Service(str(tmp_path / "socket")).start()
    yield one
    one.gate.set()
    one.stop()
