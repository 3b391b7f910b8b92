# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program is imported from the role, as it lies on the host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[2] / "roles" / "qmailadmin" / "files"
sys.path[:0] = [str(FILES), str(Path(__file__).resolve().parent)]

from scripted_service import Service  # noqa: E402


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of its own for each test."""
    one = Service(str(tmp_path / "socket")).start()
    yield one
    one.gate.set()
    one.stop()
