# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of kept copies: hostile files in it, and what the cleaner removes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import workdir as cli_workdir
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.refused_copy import render
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.refused_store import (
    Limits,
    RefusedStore,
    opened,
)

NOW = 1_790_000_000
DAY = 86_400
ENVELOPE = b"Fann@sender.example\0Talice@example.test\0\0"
WEEK = Limits(7 * DAY, 1 << 30, 10_000)


def keep(
    place: Path, digit: str, *, score: float = 12, age: float = 0, message: bytes = b"A: b\n\nc\n"
) -> str:
    """Write a copy whose name is one digit 16 times, and return the name."""
    path = place / (digit * 16)
    head = {"verdict": "SPAM", "at": int(NOW - age), "score": f"{score:.2f}", "limit": "10.00"}
    path.write_bytes(render(head, ENVELOPE, message))
    os.utime(path, (NOW - age, NOW - age))
    return path.name


def test_copies_are_listed_the_newest_first_and_other_files_are_not(tmp_path: Path) -> None:
    keep(tmp_path, "a", age=5)
    keep(tmp_path, "b", age=1)
    keep(tmp_path, "c", age=9)
    (tmp_path / ".dddddddddddddddd").write_text("being written")
    (tmp_path / "eeeeeeeeeeeeeeee").mkdir()
    (tmp_path / "ffffffffffffffff").symlink_to("/etc/passwd")
    (tmp_path / "notes").write_text("x")
    with RefusedStore(str(tmp_path)) as store:
        assert [one.name[0] for one in store.items()] == ["b", "a", "c"]
        assert [one.name[1] for one in store.items(writing=True)] == ["d"]


def test_a_copy_is_read_whole_or_its_beginning(tmp_path: Path) -> None:
    message = b"Subject: x\n\n" + b"y" * 50_000
    name = keep(tmp_path, "a", message=message)
    with RefusedStore(str(tmp_path)) as store:
        assert store.read(name).message == message
        for length in (0, 10, 20_000, len(message), len(message) + 9):
            head, envelope, begin = store.begin(name, length)
            assert (head.message_bytes, envelope) == (len(message), ENVELOPE)
            assert begin == message[:length]


@pytest.mark.parametrize(
    "name", ["", "a", "../../etc/passwd", "A" * 16, "a" * 17, "a" * 15 + "/", "a" * 16 + "\n"]
)
def test_a_name_is_16_digits(tmp_path: Path, name: str) -> None:
    with RefusedStore(str(tmp_path)) as store, pytest.raises(BadInput, match="is not a name"):
        store.read(name)


def test_what_simscan_could_put_there_is_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    place = tmp_path / "refused"
    place.mkdir()
    (place / ("a" * 16)).symlink_to(outside)
    os.mkfifo(place / ("b" * 16))
    (place / ("c" * 16)).mkdir()
    with RefusedStore(str(place)) as store:
        for digit in "bc":
            with pytest.raises(BadInput, match="is not a regular file"):
                store.read(digit * 16)
        with pytest.raises(BadInput, match="is not a regular file"):
            store.forget("a" * 16)
        with pytest.raises(BadInput, match="is not kept"):
            store.read("d" * 16)
    assert outside.read_text() == "secret"
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(BadInput, match="is not a directory"):
        RefusedStore(str(tmp_path / "link"))


def test_without_a_directory_the_site_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="gateway_keep_refused_days"), opened(str(tmp_path / "none")):
        pass


def test_a_damaged_copy_is_reported_and_can_be_forgotten(tmp_path: Path) -> None:
    name = keep(tmp_path, "a")
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    with RefusedStore(str(tmp_path)) as store:
        with pytest.raises(BadInput, match="it is damaged"):
            store.begin(name, 10)
        with pytest.raises(BadInput, match="it is damaged"):
            store.read(name)
        store.forget(name)
        assert store.items() == []


def cleaned(place: Path, limits: Limits, now: float = NOW) -> str:
    with RefusedStore(str(place)) as store:
        return "".join(sorted(name.lstrip(".")[0] for name in store.clean(now, limits)))


def test_copies_end_after_their_days_and_with_no_days_at_once(tmp_path: Path) -> None:
    keep(tmp_path, "a", age=7 * DAY)
    keep(tmp_path, "b", age=7 * DAY - 1)
    keep(tmp_path, "c", age=-3 * DAY)  # the clock was wrong then, or is now
    keep(tmp_path, "d", age=-7 * DAY)
    assert cleaned(tmp_path, WEEK) == "ad"
    assert cleaned(tmp_path, WEEK) == ""
    assert cleaned(tmp_path, Limits(0, 1 << 30, 10_000)) == "bc"


def test_what_a_killed_simscan_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    for digit, age in (("a", 3600), ("b", 3599), ("c", -3600)):
        path = tmp_path / f".{digit * 16}"
        path.write_text("x")
        os.utime(path, (NOW - age, NOW - age))
    assert cleaned(tmp_path, WEEK) == "ac"


def test_a_full_store_loses_the_surest_refusals_first(tmp_path: Path) -> None:
    for number, digit in enumerate("0123456789"):
        keep(tmp_path, digit, score=10 + number, age=number)
    assert cleaned(tmp_path, Limits(7 * DAY, 1 << 30, 12)) == ""
    assert cleaned(tmp_path, Limits(7 * DAY, 1 << 30, 11)) == "89"
    assert cleaned(tmp_path, Limits(7 * DAY, 8 * 4096, 100)) == "67"


def test_of_the_same_score_the_oldest_goes_and_what_cannot_be_read_before_all(tmp_path: Path) -> None:
    keep(tmp_path, "a", age=1)
    keep(tmp_path, "b", age=3)
    keep(tmp_path, "c", age=2)
    path = tmp_path / ("d" * 16)
    path.write_text("garbage")
    os.utime(path, (NOW, NOW))
    assert cleaned(tmp_path, Limits(7 * DAY, 1 << 30, 4)) == "d"
    assert cleaned(tmp_path, Limits(7 * DAY, 1 << 30, 3)) == "b"


def test_the_cleaner_of_the_work_directory_removes_copies_that_are_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    place = tmp_path / "refused"
    place.mkdir()
    keep(place, "a", age=2 * DAY)
    keep(place, "b", age=DAY - 1)
    words = ["clean", str(tmp_path / "work"), "--kept", str(place), "--kept-days", "1"]
    assert cli_workdir.main(words, now=lambda: NOW) == 0
    assert capsys.readouterr() == ("mailgate workdir: removed 1 kept copies\n", "")
    assert [one.name[0] for one in place.iterdir()] == ["b"]
    assert cli_workdir.main([*words[:-1], "0"], now=lambda: NOW) == 0
    assert list(place.iterdir()) == []
    place.rmdir()
    assert cli_workdir.main(words, now=lambda: NOW) == 111
