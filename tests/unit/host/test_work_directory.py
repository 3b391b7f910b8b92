# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only directories whose simscan is gone are removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import workdir as cli_workdir
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import work_directory as workdir
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.work_directory import Made, Process

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("1795000000.000012.345", Made(1795000000, 345)),
        ("1795000000.12.345", Made(1795000000, 345)),  # as simscan itself writes it
        ("1795000000.12", None),
        ("1795000000.12.345.6", None),
        ("1795000000.12.x", None),
        ("1795000000.1234567.3", None),
        (".1.2", None),
        ("lost+found", None),
        ("1795000000.12.345\n", None),
        ("1795000000.12.\u0661", None),
        ("..", None),
    ],
)
def test_a_name_says_who_made_it(name: str, made: Made | None) -> None:
    assert workdir.parse_name(name) == made


@pytest.mark.parametrize(
    ("process", "age", "expected"),
    [
        (None, 61, True),
        (None, 60, True),
        (None, 59, False),
        (Process("simscan", NOW - 500), 100, False),
        (Process("simscan", NOW - 100.4), 100, False),
        (Process("simscan", NOW - 98), 100, False),  # the clocks differ by less than they are rounded
        (Process("simscan", NOW - 90), 100, True),  # the number was given to another one
        (Process("spamc", NOW - 500), 100, True),
        (Process("simscan2", NOW - 500), 100, True),
        (Process("simscan", NOW - 500), -100, False),  # made in the future: the clock was set back
        (None, -100, False),
    ],
)
def test_whose_process_is_gone_is_abandoned(process: Process | None, age: int, expected: bool) -> None:
    assert workdir.abandoned(Made(int(NOW) - age, 1), process, NOW, 60) is expected


def test_a_line_of_proc_is_read_with_any_name() -> None:
    tail = " S " + " ".join(["1"] * 18) + " 250 " + " ".join(["1"] * 30)
    assert workdir.parse_stat(f"7 (simscan){tail}", 1000, 100) == Process("simscan", 1002.5)
    assert workdir.parse_stat(f"7 (a) (b) 9){tail}", 1000, 100).name == "a) (b) 9"
    with pytest.raises(ValueError, match="is not a line of /proc/PID/stat"):
        workdir.parse_stat("7 (simscan", 1000, 100)


def test_the_time_of_boot_is_read() -> None:
    assert workdir.boot_time("cpu 1\nbtime 1795000000\nctxt 2\n") == 1_795_000_000
    with pytest.raises(ValueError, match="btime"):
        workdir.boot_time("cpu 1\n")


def test_this_process_lives_and_began_before_now() -> None:
    process = workdir.living(os.getpid())
    assert process is not None
    assert process.name == Path("/proc/self/comm").read_text().strip()
    assert time.time() - 3600 * 24 < process.began_seconds < time.time() + 1


def test_a_process_that_has_ended_does_not_live() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert workdir.living(process.pid) is None


def test_a_process_that_proc_hides_lives(tmp_path: Path) -> None:
    assert workdir.living(os.getpid(), str(tmp_path)) == Process("simscan", 0)


def fill(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name / "parts").mkdir(parents=True)
        (directory / name / "message").write_bytes(b"x")
        (directory / name / "parts" / "a").write_bytes(b"x")


def test_only_what_is_abandoned_goes(tmp_path: Path) -> None:
    fill(tmp_path, "1794999000.1.10", "1794999000.1.11", "1794999990.1.12", "other")
    (tmp_path / "1794999000.1.13").write_bytes(b"a file")
    (tmp_path / "1794999000.1.14").symlink_to(tmp_path / "other")
    lives = {11: Process("simscan", NOW - 2000)}
    assert workdir.clean(str(tmp_path), NOW, 60, lives.get) == (["1794999000.1.10"], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1794999000.1.11",
        "1794999000.1.13",
        "1794999000.1.14",
        "1794999990.1.12",
        "other",
    ]
    assert (tmp_path / "other" / "message").exists()


def test_one_that_cannot_be_judged_stays_and_the_others_go(tmp_path: Path) -> None:
    fill(tmp_path, "1794999000.1.10", "1794999000.1.11")

    def process_of(pid: int) -> Process | None:
        if pid == 10:
            raise OSError(13, "Permission denied")
        return None

    removed, troubles = workdir.clean(str(tmp_path), NOW, 60, process_of)
    assert removed == ["1794999000.1.11"]
    assert troubles == [f"directory {tmp_path}/1794999000.1.10: [Errno 13] Permission denied"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    name = f"1794999000.000001.{process.pid}"
    fill(tmp_path, name)
    assert cli_workdir.main(["clean", str(tmp_path)], now=lambda: NOW) == 0
    assert capsys.readouterr() == (f"mailgate workdir: removed {name}, its simscan no longer runs\n", "")
    assert list(tmp_path.iterdir()) == []
    assert cli_workdir.main(["clean", str(tmp_path / "none")], now=lambda: NOW) == 111
    assert capsys.readouterr().err == (
        f"mailgate workdir: directory {tmp_path}/none: No such file or directory\n"
    )
    with pytest.raises(SystemExit) as left:
        cli_workdir.main(["sweep"])
    assert left.value.code == 100
