# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and times, as they are read and written."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import times
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90m", 5400), ("4h", 14_400), ("2D", 172_800), ("1w", 604_800), ("1w 12h", 648_000)],
)
def test_durations(text: str, seconds: int) -> None:
    assert times.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "4", "h", "0h", "-4h", "1.5h", "1 h", "4h,", "1y", "٣h", "tomorrow"]
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        times.duration(text)
    assert str(caught.value) == f"time: {text!r} is not a duration; expected one such as 30m, 4h, 2d or 1w"


def test_a_time_that_no_calendar_holds() -> None:
    assert times.utc(0) == "1970-01-01 00:00:00 UTC"
    assert times.utc(10**18) == f"second {10**18}"


def test_the_first_form_that_fits() -> None:
    forms = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d")
    assert times.parse_utc("1970-01-02", forms) == 86_400
    assert times.parse_utc("1970-01-02T00:00:01Z", forms) == 86_401
    assert times.parse_utc("2nd of January", forms) is None
