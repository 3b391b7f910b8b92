# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gateway is taken out until somebody takes it back; it waits for sessions and queue as long as told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import drain as command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import drained
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import OK, WARNING
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import drain

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
NOW = 1_800_000_000


def row(local: str, remote: str, state: str = "01") -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 1 1\n"


def message(queue: Path, number: int, done: bool = False) -> None:
    for name, text in (
        ("mess", b"x"),
        ("info", b"Fa@b.example\0"),
        ("remote", b"D" if done else b"T"),
    ):
        path = queue / name / "1" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text + (b"c@d.example\0" if name == "remote" else b""))


def test_the_mark_stays_as_it_was_made_until_it_is_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "drained")
    first = drain.Mark(NOW, "root", "kernel update")
    assert drain.read(path) is None and not drain.bring_back(path)
    assert drain.take_out(path, first)
    assert not drain.take_out(path, drain.Mark(NOW + 5, "else"))
    assert drain.read(path) == first
    assert (tmp_path / "drained").stat().st_mode & 0o777 == 0o644
    assert drain.bring_back(path) and drain.read(path) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"since": "x"}', "garbage", "[" * 100_000])
def test_a_mark_that_cannot_be_parsed_counts_as_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "drained"
    path.write_text(text)
    found = drain.read(str(path))
    assert found is not None and found.by == "unknown"


def test_only_sessions_of_other_hosts_count(tmp_path: Path) -> None:
    four = HEAD + row("0100007F:0019", "0100007F:A0B0") + row("010200C0:0019", "020200C0:A0B1")
    four += row("010200C0:0019", "030200C0:A0B2", "06") + row("00000000:0019", "00000000:0000", "0A")
    four += row("010200C0:0016", "020200C0:A0B3")
    four += row("010200C0:0019", "040200C0:A0B4", "08")  # gone, and its session goes on
    six = HEAD + row("B80D0120000000000000000001000000:0019", "B80D0120000000000000000002000000:A0B0")
    assert drain.sessions([four, six, ""]) == 3


def test_messages_without_a_recipient_left_do_not_count(tmp_path: Path) -> None:
    message(tmp_path, 11)
    message(tmp_path, 12, done=True)
    assert drain.left(str(tmp_path), [""]) == drain.Left(0, 1)


class Played:
    """A clock that sleeping moves, and a gateway whose state follows it."""

    def __init__(self, *states: tuple[float, int, int]) -> None:
        self.now, self.flushed = 0.0, list[float]()
        self._states = states
        self.said = list[str]()

    def look(self) -> drain.Left:
        sessions, messages = next((one[1:] for one in reversed(self._states) if one[0] <= self.now), (0, 0))
        return drain.Left(sessions, messages)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> drain.Left:
        def flush() -> None:
            self.flushed.append(self.now)

        return drain.wait_until_empty(
            self.look, flush, seconds, lambda: self.now, self.sleep, self.said.append
        )


def test_nothing_left_is_no_wait() -> None:
    played = Played()
    assert not played.wait(600) and played.now == 0 and not played.flushed


def test_deliveries_are_tried_at_once_when_sessions_end_and_each_minute() -> None:
    played = Played((0, 2, 1), (10, 0, 3), (130, 0, 0))
    assert not played.wait(600)
    assert played.flushed == [0, 10, 70]
    assert played.now == 130
    assert played.said[0] == "2 sessions, 1 message in the queue"


def test_what_is_left_at_the_deadline_is_told() -> None:
    played = Played((0, 0, 7))
    assert played.wait(90.5) == drain.Left(0, 7)
    assert played.now == 90.5 and played.flushed == [0, 60]


def test_without_waiting_deliveries_are_tried_once() -> None:
    played = Played((0, 1, 7))
    assert played.wait(0) == drain.Left(1, 7)
    assert played.now == 0 and played.flushed == [0]


def run(tmp_path: Path, *words: str) -> int:
    (tmp_path / "queue/mess").mkdir(parents=True, exist_ok=True)
    flush = tmp_path / "flush"
    if not flush.exists():
        flush.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/flushed\n")
        flush.chmod(0o755)
    mark = ("--mark", str(tmp_path / "drained"))
    more = ("--queue", str(tmp_path / "queue"), "--flush", str(flush)) if words[0] == "drain" else ()
    return command.main([*words, *mark, *more])


def test_the_command_marks_flushes_and_takes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message(tmp_path / "queue", 7)
    assert run(tmp_path, "drain", "--no-wait", "--note", "kernel update") == 1
    assert json.loads((tmp_path / "drained").read_text())["note"] == "kernel update"
    assert (tmp_path / "flushed").read_text() == "flush\n"
    assert run(tmp_path, "drain", "--no-wait") == 1
    assert "drained already, since " in capsys.readouterr().out
    assert run(tmp_path, "undrain") == 0
    assert "taken again" in capsys.readouterr().out
    assert run(tmp_path, "undrain") == 0
    assert "nothing is changed" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--within", "soon"), ("--note", "a\nb"), ("--note", 201 * "x")])
def test_wrong_usage_changes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, "drain", *words) == 100
    assert not (tmp_path / "drained").exists()


def test_a_flush_that_fails_leaves_the_gateway_taken_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message(tmp_path / "queue", 7)
    (tmp_path / "flush").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "flush").chmod(0o755)
    assert run(tmp_path, "drain") == 111
    assert "ended with status 3" in capsys.readouterr().err and (tmp_path / "drained").exists()


def test_the_doctor_says_that_a_gateway_is_drained(tmp_path: Path) -> None:
    context = Context(
        Settings(hostname="mx1.example.com", postmaster="p@example.com"), NOW + 7260, root=str(tmp_path)
    )
    (tmp_path / "var/qmail/control").mkdir(parents=True)
    assert [one.status for one in drained.drained(context)] == [OK]
    drain.take_out(f"{tmp_path}/var/qmail/control/drained", drain.Mark(NOW, "alice", "kernel update"))
    (found,) = drained.drained(context)
    assert found.status == WARNING and found.advice.endswith("mailgate undrain")
    assert "taken out 2 h 1 min ago" in found.text and "by alice (kernel update)" in found.text
