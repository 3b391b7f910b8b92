# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates module: what it says beforehand, and what it then does."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.certificates import make_pair
from support.module_runner import run_module
from support.parameters import slow_after_first

Pair = dict[str, str]


def pair(place: Path, **more: Any) -> Pair:
    return dict(zip(("certificate", "key"), map(str, make_pair(place, **more))))


def run(root: Path, *pairs: Pair, check: bool = False, path: str = "") -> dict[str, Any]:
    given = {
        "directory": str(root / "tls"),
        "group": grp.getgrgid(os.getegid()).gr_name,
        "hostname": "mx.example.test",
        "pairs": list(pairs),
    }
    return run_module("certificates", given, check, environment={"PATH": path} if path else {})


def test_what_is_predicted_is_done(tmp_path: Path) -> None:
    one = pair(tmp_path / "one")
    predicted = run(tmp_path, one, check=True)
    assert not (tmp_path / "tls").exists()
    done = run(tmp_path, one)
    assert (done["changed"], done["diff"]) == (True, predicted["diff"])
    assert run(tmp_path, one)["changed"] is False


@pytest.mark.parametrize("given", [True, False])
def test_a_fresh_host_has_no_openssl_yet(tmp_path: Path, given: bool) -> None:
    """The role installs it right before; with --check nothing is installed."""
    (tmp_path / "bin").mkdir()
    one = pair(tmp_path / "one")
    pairs = [one] if given else []
    predicted = run(tmp_path, *pairs, check=True, path=str(tmp_path / "bin"))
    wanted = "pairs: certificate " if given else "self-signed for mx.example.test"
    assert (predicted["failed"], predicted["changed"]) == (False, True), predicted
    assert predicted["certificates"][0].startswith(wanted)
    done = run(tmp_path, *pairs, path=str(tmp_path / "bin"))
    assert done["failed"] and "openssl is not installed" in done["msg"]


def test_a_foreign_key_is_seen_without_openssl(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    mixed = {**pair(tmp_path / "one"), "key": pair(tmp_path / "other")["key"]}
    done = run(tmp_path, mixed, check=True, path=str(tmp_path / "bin"))
    assert done["failed"] and "is not the key of pairs: certificate" in done["msg"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("given", slow_after_first([True, False]))
@pytest.mark.parametrize("spoilt", slow_after_first(["current/key.pem", "current", ""]))
def test_wrong_modes_are_set_right(tmp_path: Path, given: bool, spoilt: str) -> None:
    pairs = [pair(tmp_path / "one")] if given else []
    run(tmp_path, *pairs)
    path = tmp_path / "tls" / spoilt
    right = mode(path)
    os.chmod(path, 0o700)
    predicted = run(tmp_path, *pairs, check=True)
    assert (predicted["changed"], mode(path)) == (True, 0o700)
    done = run(tmp_path, *pairs)
    assert (done["changed"], mode(path), done["diff"]) == (True, right, predicted["diff"])
    assert f"{path.resolve()}: 0700 " in done["diff"][0]["before"]
    assert f"{path.resolve()}: {right:04o} " in done["diff"][0]["after"]
    assert done["certificates"] == run(tmp_path, *pairs)["certificates"]
    assert run(tmp_path, *pairs)["changed"] is False


def test_the_umask_of_root_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        run(tmp_path / "etc")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "etc"), mode(tmp_path / "etc" / "tls")) == (0o755, 0o755)


@pytest.mark.parametrize("check", [True, False])
def test_a_broken_one_is_named_and_not_replaced_by_a_self_signed_one(tmp_path: Path, check: bool) -> None:
    run(tmp_path, pair(tmp_path / "one"))
    current = tmp_path / "tls" / "current"
    current.unlink()
    current.symlink_to("0123456789abcdef")
    done = run(tmp_path, check=check)
    assert done["failed"] and str(current) in done["msg"] and "mailgate certificate install" in done["msg"]
    assert os.readlink(current) == "0123456789abcdef"
    assert run(tmp_path, pair(tmp_path / "other"), check=check)["changed"]


def test_a_corrupt_one_does_not_stop_a_good_pair(tmp_path: Path) -> None:
    run(tmp_path, pair(tmp_path / "one"))
    (tmp_path / "tls" / "current" / "certificate.pem").write_text("nonsense\n")
    done = run(tmp_path, check=True)
    assert done["failed"] and "is not a certificate" in done["msg"]
    other = pair(tmp_path / "other")
    predicted, done = run(tmp_path, other, check=True), run(tmp_path, other)
    assert (done["changed"], done["diff"]) == (True, predicted["diff"])
    assert "not a certificate" in done["diff"][0]["before"]
    assert run(tmp_path, other)["changed"] is False
