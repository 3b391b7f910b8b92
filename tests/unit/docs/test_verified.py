# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/generated/VERIFIED-*.md speak of the patches and C files that lie here now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import verify_real

ROOT = Path(__file__).resolve().parents[3]

VERIFIED = [role for role in verify_real.PATCHED_ROLES if verify_real.report_path(role).exists()]


def test_netqmail_ran() -> None:
    assert "netqmail" in VERIFIED


@pytest.mark.parametrize("role", VERIFIED)
def test_nothing_has_changed_since_the_real_programs_ran(role: str) -> None:
    report = verify_real.report_path(role)
    found = re.search(
        r"^- patches and C files: `([0-9a-f]{64})`$", report.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, f"{report.name} names no digest; run: make verify-real"
    assert found.group(1) == verify_real.digest(verify_real.sources(role)), (
        f"a patch below roles/{role} or a C file below src/{role} is not what ran with the real program; "
        "run: make verify-real"
    )


def test_what_belongs_to_simscan_runs_without_simscans_patch() -> None:
    """A test of its patch in any other file would run only where netqmail's are missing."""
    ours = {path.stem for path in ROOT.glob("roles/simscan/files/patches/*.patch")}
    for path in (ROOT / "tests" / "e2e").glob("test_*.py"):
        marked = set(re.findall(r'pytest\.mark\.patch\("([^"]+)"', path.read_text(encoding="utf-8")))
        assert marked <= ours if str(path.relative_to(ROOT)) in verify_real.SCANNING else not marked & ours


def test_each_patch_has_a_test_that_was_red_without_it() -> None:
    """Names the patches that no test is marked with."""
    marked = set()
    for path in (ROOT / "tests" / "e2e").glob("test_*.py"):
        marked |= set(re.findall(r"pytest\.mark\.patch\(([^)]*)\)", path.read_text(encoding="utf-8")))
    named = {name for names in marked for name in re.findall(r'"([^"]+)"', names)}
    paths = [path for role in verify_real.PATCHED_ROLES for path in verify_real.sources(role)]
    patches = {path.stem for path in paths if path.suffix == ".patch"}
    assert named == patches


def test_a_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "a.c", tmp_path / "b.c"
    one.write_bytes(b"x")
    two.write_bytes(b"y")
    before = verify_real.digest([one, two])
    two.write_bytes(b"z")
    assert verify_real.digest([one, two]) != before


def test_a_test_that_stays_green_without_the_patch_is_found() -> None:
    cases = [("x::a[1]", "passed"), ("x::a[2]", "failed"), ("x::b", "failed"), ("x::c[1]", "passed")]
    assert verify_real.green_throughout([verify_real.Result(*case) for case in cases]) == ["x::c"]


def test_a_report_of_pytest_is_read(tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.e2e.test_x" name="a"/>'
        '<testcase classname="tests.e2e.test_x" name="b"><failure message="m"/></testcase>'
        '<testcase classname="tests.e2e.test_x" name="c"><skipped/></testcase>'
        '<testcase classname="tests.e2e.test_x" name="d"><skipped message="only with the real netqmail: y"/>'
        "</testcase></testsuite></testsuites>",
        encoding="utf-8",
    )
    assert verify_real.results(report) == [
        verify_real.Result("test_x::a", "passed"),
        verify_real.Result("test_x::b", "failed"),
        verify_real.Result("test_x::c", "skipped"),
        verify_real.Result("test_x::d", "not run"),
    ]
