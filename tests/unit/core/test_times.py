# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and times, as they are read and written."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import times
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.parametrize("month", range(1, 13))
@pytest.mark.parametrize("form", ["%b %d %H:%M:%S %Y GMT", "%b %e %H:%M:%S %Y GMT", "%a %b %e %H:%M:%S %Y"])
def test_dates_of_programs(month: int, form: str) -> None:
    """The tests run in the language C, whose names strftime gives."""
    wanted = (2026, month, 7, 8, 29, 41)
    text = time.strftime(form, time.strptime(f"{wanted}", "(%Y, %m, %d, %H, %M, %S)"))
    found = times.parse_english(text)
    assert found is not None and found[:6] == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mai  5 08:29:41 2026 GMT",
        "May 32 08:29:41 2026 GMT",
        "May  5 08:29 2026",
        "5 May 08:29:41 2026",
        "May  5 08:29:41 2026 CET",
        "May  5 08:29:41 20261 GMT",
    ],
)
def test_what_is_not_a_date_of_a_program(text: str) -> None:
    assert times.parse_english(text) is None


def test_no_date_is_read_or_written_with_names_of_the_host_s_language() -> None:
    """Each module of Ansible calls setlocale; in the site's tests that language is C."""
    found = []
    for path in sorted([*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/**/*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "\n" not in node.value  # a docstring
            and re.search(r"%[aAbBcxXpr](?![a-z])", node.value)
        ]
    assert found == []
