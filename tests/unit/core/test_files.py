# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are read whole, up to a limit, and only regular ones."""

from __future__ import annotations

import os
import re
import tracemalloc
from pathlib import Path

import pytest
from mailgate.core.errors import BadInput
from mailgate.core.files import read_regular


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    assert read_regular(str(path), size) == path.read_bytes()
    path.write_bytes(b"x" * (size + 1))
    expected = f"file {path}: more than {size} bytes; expected a smaller one"
    with pytest.raises(BadInput, match=re.escape(expected)):
        read_regular(str(path), size)


def test_a_large_limit_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"small")
    tracemalloc.start()
    try:
        assert read_regular(str(path), 1 << 30) == b"small"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(BadInput, match="is not a regular file; expected one"):
        read_regular(str(path), 10)
