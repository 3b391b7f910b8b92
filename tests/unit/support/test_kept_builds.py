# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree is built once for the same texts and files, and make goes on from what was kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import c_compiler
from support.kept_builds import keep

MAKEFILE = "out: middle where\n\tcat middle where > out\nmiddle: in\n\tcat in > middle\n\techo made >> log\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(c_compiler, "STORE", tmp_path / "store")
    (tmp_path / "in").write_text("one\n")
    return tmp_path


def make(directory: Path) -> None:
    subprocess.run(["make", "-s", "out"], cwd=directory, check=True)


def built(place: Path, name: str, *texts: str) -> str:
    def build(directory: Path) -> None:
        (directory / "in").write_bytes((place / "in").read_bytes())
        (directory / "Makefile").write_text(MAKEFILE)
        (directory / "where").write_text("nowhere\n")
        make(directory)
        with (place / "builds").open("a") as builds:
            builds.write(f"{name} ")

    keep(place / name, texts, [place / "in"], build)
    (place / name / "where").write_text(f"{name}\n")
    make(place / name)
    assert (place / name / "log").read_text() == "made\n"  # only what depends on the place is made again
    return (place / name / "out").read_text()


def test_the_same_is_built_once_and_finished_for_its_place(place: Path) -> None:
    assert [built(place, "a"), built(place, "b")] == ["one\na\n", "one\nb\n"]
    assert (place / "builds").read_text() == "a "


def test_another_file_or_text_is_another_tree(place: Path) -> None:
    assert built(place, "a") == "one\na\n"
    (place / "in").write_text("two and\n")
    assert built(place, "b") == "two and\nb\n"
    assert built(place, "c", "flag") == "two and\nc\n"
    assert (place / "builds").read_text() == "a b c "


def test_what_could_not_be_built_is_built_again(place: Path) -> None:
    def broken(_directory: Path) -> None:
        raise RuntimeError("no make")

    for name in ("a", "b"):
        with pytest.raises(RuntimeError, match="no make"):
            keep(place / name, [], [place / "in"], broken)
    assert built(place, "c") == "one\nc\n"
