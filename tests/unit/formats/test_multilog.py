# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log directory is followed as multilog makes it: each line once, whatever is renamed, cut or killed."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import multilog, tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.multilog import (
    Follower,
    Position,
)

BEGIN = 1_795_000_000 * 10**9


class World:
    """What multilog does to its directory, one step at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = BEGIN
        self.current = directory / "current"
        self.current.touch()

    def label(self) -> str:
        self.now += 1_000_003
        return tai64n.render(self.now)

    def line(self, text: str) -> str:
        return f"{self.label()} {text}"

    def write(self, text: str) -> None:
        with open(self.current, "ab") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))

    def say(self, *texts: str) -> list[str]:
        lines = [self.line(text) for text in texts]
        self.write("".join(f"{line}\n" for line in lines))
        return lines

    def rotate(self, suffix: str = "s") -> Path:
        path = self.directory / f"{self.label()}.{suffix}"
        self.current.rename(path)
        self.current.touch()
        return path


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "lock").touch()
    (tmp_path / "state").touch()
    return World(tmp_path)


def drain(follower: Follower) -> list[str]:
    found: list[str] = []
    while True:
        lines = follower.read()
        if not lines:
            return found
        found += lines


def again(follower: Follower) -> Follower:
    """Another one that goes on where this one is, through JSON as the service keeps it."""
    position = follower.position
    follower.close()
    return Follower(follower.directory, None if position is None else Position.from_json(position.to_json()))


def test_lines_come_once_and_whole(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one", "two")
    assert drain(follower) == said
    assert drain(follower) == []
    line = world.line("three")
    world.write(line[:30])
    assert drain(follower) == []
    world.write(line[30:] + "\n")
    assert drain(follower) == [line]


def test_old_files_come_first_and_in_order(world: World) -> None:
    said = world.say("one")
    world.rotate()
    said += world.say("two")
    world.rotate("u")
    said += world.say("three")
    (world.directory / "@notes.s").write_text("x\n")
    assert drain(Follower(str(world.directory))) == said


def test_rotation_while_it_is_followed(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    assert drain(follower) == said
    more = world.say("two")  # not read before the file has another name
    world.rotate()
    more += world.say("three")
    world.rotate()
    world.rotate()  # an empty one, too
    more += world.say("four")
    assert drain(follower) == more


def test_what_is_written_just_before_the_rename(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    assert drain(follower) == said
    late: list[str] = []
    look = follower._left

    def left() -> bool:
        """Write and rotate once, after the end of the file has been seen, and then look."""
        if not late:
            late.extend(world.say("two"))
            world.rotate()
            late.extend(world.say("three"))
        return look()

    monkeypatch.setattr(follower, "_left", left)
    assert drain(follower) == late


def test_while_multilog_is_between_two_names(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    assert drain(follower) == said
    world.current.rename(world.directory / "previous")
    assert drain(follower) == []
    world.current.touch()
    more = world.say("two")
    assert drain(follower) == []  # whether the last one is whole is not known yet
    (world.directory / "previous").rename(world.directory / f"{world.label()}.s")
    assert drain(follower) == more


def test_a_line_that_goes_on_in_the_next_file(world: World) -> None:
    follower = Follower(str(world.directory))
    forged = "@400000006743a1a21b2f5c84 tcpserver: pid 1 from 203.0.113.9"
    line = world.line(f"simscan: {forged}")
    world.write(line[:34])
    assert drain(follower) == []
    world.rotate()
    world.write(line[34:] + "\n")  # the file begins as a line of its own would
    assert drain(follower) == [line]


def test_a_line_over_two_files_and_a_restart_between(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    line = world.line("two")
    world.write(line[:28])
    assert drain(follower) == said
    world.rotate()
    follower = again(follower)
    assert drain(follower) == []
    follower = again(follower)
    world.write(line[28:] + "\n")
    assert drain(follower) == [line]


def test_what_a_killed_multilog_left_unfinished_is_no_line(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    world.write(world.line("half a li"))
    assert drain(follower) == said
    world.rotate("u")
    more = world.say("two")
    assert drain(follower) == more
    assert drain(Follower(str(world.directory))) == said + more


def test_nothing_is_lost_or_doubled_by_restarts(world: World) -> None:
    chance = random.Random(5)
    follower = Follower(str(world.directory))
    said: list[str] = []
    read: list[str] = []
    for number in range(400):
        what = chance.randrange(10)
        if what < 5:
            said += world.say(*(f"{number} {'x' * chance.randrange(90)}" for _ in range(chance.randrange(4))))
        elif what == 5:
            line = world.line(f"{number} in two")
            world.write(line[:20])
            read += drain(follower) if chance.random() < 0.5 else []
            if chance.random() < 0.5:
                world.rotate()
            world.write(line[20:] + "\n")
            said.append(line)
        elif what == 6:
            world.rotate(chance.choice("su"))
        elif what == 7:
            follower = again(follower)
        else:
            read += drain(follower)
    assert read + drain(follower) == said
    assert follower.notes == []


def test_a_file_of_the_same_inode_is_another_file(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one", "two")
    assert drain(follower) == said
    position = follower.position
    assert position is not None
    follower.close()
    # The inode of a removed file is given to the next one: the same file with other content stands for that.
    with open(world.current, "r+b") as stream:
        stream.truncate(0)
    said = world.say("three, which is long enough to go past the place", "four")
    reader = Follower(str(world.directory), position)
    assert drain(reader) == said
    assert reader.notes == ["the file that was read last is gone: lines may be lost; none is read twice"]


def test_a_stamp_of_next_year_keeps_nothing_from_being_read(world: World) -> None:
    """The last line read said next year; then its file was gone."""
    now = time.time_ns()
    world.now = now - 3600 * 10**9
    follower = Follower(str(world.directory))
    world.write(f"{tai64n.render(now + 365 * 86_400 * 10**9)} early\n")
    assert len(drain(follower)) == 1
    position = follower.position
    follower.close()
    world.current.unlink()
    world.now = time.time_ns() + 10**9
    more = world.say("two", "three")
    assert drain(Follower(str(world.directory), position)) == more


def test_a_log_that_was_copied_is_not_read_twice(world: World, tmp_path: Path) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    world.rotate()
    said += world.say("two")
    assert drain(follower) == said
    position = follower.position
    follower.close()
    for path in list(world.directory.iterdir()):  # every file gets another inode
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        os.rename(copy, path)
    more = world.say("three")
    assert drain(Follower(str(world.directory), position)) == more


def test_a_log_that_is_faster(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("one")
    assert drain(follower) == said
    first = world.rotate()
    world.say("lost")
    second = world.rotate()
    more = world.say("three")
    first.unlink()
    second.unlink()
    assert drain(follower) == more
    assert follower.notes == ["the log went on faster than it was read: lines are lost"]


def test_a_line_without_end_is_bounded(world: World) -> None:
    follower = Follower(str(world.directory))
    for _ in range(6):
        world.write("x" * 100_000)
        assert drain(follower) == []
    world.write("\n")
    said = world.say("one")
    assert drain(follower) == said
    assert follower.notes == ["a line of more than 262144 bytes is passed over"]


def test_only_a_newline_ends_a_line(world: World) -> None:
    follower = Follower(str(world.directory))
    said = world.say("a\u2028b\x85c\x0cd\re")
    world.write(f"{world.label()} \udcfc\n")
    assert drain(follower) == [*said, f"{tai64n.render(world.now)} \\xfc"]


def test_no_directory_yet(tmp_path: Path) -> None:
    follower = Follower(str(tmp_path / "smtpd"))
    assert (follower.read(), follower.position) == ([], None)
    (tmp_path / "smtpd").mkdir()
    assert follower.read() == []
    said = World(tmp_path / "smtpd").say("one")
    assert drain(follower) == said


def test_links_are_not_followed(world: World, tmp_path: Path) -> None:
    world.current.unlink()
    (tmp_path / "elsewhere").write_text("secret\n")
    world.current.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Follower(str(world.directory)).read()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"inode": "1", "head": "", "offset": 0, "label": ""},
        {"inode": 1, "head": "x", "offset": 0, "label": ""},
        {"inode": 1, "head": "", "offset": -1, "label": ""},
        {"inode": 1, "head": "00" * 33, "offset": 0, "label": ""},
    ],
)
def test_what_is_no_position(data: object) -> None:
    with pytest.raises(BadInput) as caught:
        Position.from_json(data)
    assert (
        str(caught.value)
        == f"log position: {data!r} is not a position; expected inode, head, offset and label"
    )


def test_blocks_end_anywhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multilog, "READ_BYTES", 7)
    said = world.say("one", "two \u20ac\u20ac\u20ac", "three")
    world.rotate()
    said += world.say("four")
    assert drain(Follower(str(world.directory))) == said
