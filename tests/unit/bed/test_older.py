# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The older version that an upgrade begins with comes out of the history, and its absence is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bed import older
from bed.common import Trouble


def git(*argv: str, cwd: Path) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(["git", *who, *argv], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a repository of two commits in the place of this one."""
    root = tmp_path / "clone"
    root.mkdir()
    git("init", "-q", cwd=root)
    for number in (1, 2):
        (root / "file").write_text(f"{number}\n")
        git("add", "file", cwd=root)
        git("commit", "-q", "-m", f"{number}", cwd=root)
    monkeypatch.setattr(older, "ROOT", root)
    monkeypatch.setattr(older, "BED", tmp_path / "bed")
    return root


def test_the_older_tree_is_that_of_its_commit(clone: Path) -> None:
    tree = older.old_tree(git("rev-parse", "HEAD~1", cwd=clone))
    assert (tree / "file").read_text() == "1\n"
    assert sorted(path.name for path in tree.parent.iterdir()) == [tree.name]


def test_a_history_without_that_commit_is_said(clone: Path) -> None:
    wanted = git("rev-parse", "HEAD~1", cwd=clone)
    git("clone", "-q", "--depth", "1", clone.as_uri(), "shallow", cwd=clone.parent)
    older.ROOT = clone.parent / "shallow"  # the fixture's patch is undone all the same
    with pytest.raises(Trouble) as caught:
        older.old_tree(wanted)
    said = str(caught.value)
    assert said.startswith(f"the older version, commit {wanted[:7]}, is not in the history of {clone.parent}")
    assert said.endswith("use a clone with its whole history (git fetch --unshallow)")
    assert "\n" not in said


def test_a_tree_without_any_history_is_said(clone: Path, tmp_path: Path) -> None:
    older.ROOT = tmp_path / "unpacked"
    older.ROOT.mkdir()
    with pytest.raises(Trouble, match=r"is not in the history of .*: use a clone with its whole history"):
        older.old_tree(older.OLD)
