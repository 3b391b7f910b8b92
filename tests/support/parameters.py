# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases of a parametrized test of which some take seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

T = TypeVar("T")


def slow_where(is_slow: Callable[[T], bool], cases: Iterable[T]) -> list[T | ParameterSet]:
    """Mark those cases that are slow; a tuple is the values of one case."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        if is_slow(case)
        else case
        for case in cases
    ]


def slow_after_first(cases: Iterable[T]) -> list[T | ParameterSet]:
    """Mark all cases but the first as slow: `make fast` takes one of them."""
    first, *others = cases
    return [first, *slow_where(lambda _case: True, others)]
