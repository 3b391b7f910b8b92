# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen, the exit status, and checks that hang or fail; and what the settings may hold."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import doctor as doctor_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli.doctor import CHECKS, Check, main
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import threads as doctor_threads
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    settings as doctor_settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    LIMITS,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
)

FINE = Finding("dns", OK, "dnscache answers")
ODD = Finding("clock", WARNING, "the clock is not synchronized", "run chrony")
BAD = Finding(
    "queue", CRITICAL, "the oldest message has waited for 3 days; " + "x" * 100, "look; " + "do this, " * 12
)
BLUR = Finding("jobs", UNKNOWN, "cannot be judged", "run the playbook again")
SITE = {"hostname": "mx.example", "postmaster": "postmaster@example"}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "doctor.json"
    path.write_text(json.dumps(SITE))
    return path


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_command.os, "geteuid", lambda: 0)


def with_checks(monkeypatch: pytest.MonkeyPatch, **probes: Callable[[Any], list[Finding]]) -> None:
    monkeypatch.setattr(
        doctor_command,
        "CHECKS",
        {name: Check(name, probe, 0.4, 0.2) for name, probe in probes.items()},
    )


@pytest.mark.parametrize(
    ("findings", "line"),
    [
        ([FINE, FINE], "MAILGATE OK: 1 checks passed"),
        ([FINE, ODD, ODD], "MAILGATE WARNING: 2 warning; clock: the clock is not synchronized"),
        ([FINE, BLUR], "MAILGATE UNKNOWN: 1 unknown; jobs: cannot be judged"),
        ([BLUR, ODD], "MAILGATE WARNING: 1 warning, 1 unknown; clock: the clock is not synchronized"),
        ([ODD, BAD], f"MAILGATE CRITICAL: 1 critical, 1 warning; queue: {BAD.text}"),
    ],
)
def test_the_first_line_is_a_plug_ins(findings: list[Finding], line: str) -> None:
    assert doctor_command.summary(findings) == line


def test_the_screen_has_the_worst_first_within_80_columns() -> None:
    lines = doctor_command.render([FINE, BLUR, ODD, BAD], False)
    assert all(len(line) <= 80 for line in lines), lines
    heads = [line.split(":")[0] for line in lines if not line.startswith(" ")]
    assert heads == ["MAILGATE CRITICAL", "CRITICAL queue", "WARNING  clock", "UNKNOWN  jobs", "OK       dns"]
    joined = " ".join(" ".join(lines).split())
    assert "-> run chrony" in joined
    assert f"-> {BAD.advice.strip()}" in joined


def test_a_full_screen_names_what_is_well() -> None:
    fine = [replace(FINE, check=f"check-{number}") for number in range(20)]
    assert len(doctor_command.render(fine, False)) == 21
    many = [replace(FINE, check=f"check{number}") for number in range(30)]
    lines = doctor_command.render(many, False)
    assert len(lines) <= 24 and lines[21] == f"OK       check20: {FINE.text}"
    assert lines[22].startswith("OK       check21, check22, ") and lines[-1].endswith(" check29")
    lines = doctor_command.render([*[ODD] * 5, *fine], False)
    assert len(lines) <= 24
    assert lines[-3].startswith("OK       check-0, check-1, ")
    assert "check-19" in lines[-1]
    assert all(len(line) <= 80 for line in lines)


def test_colour_changes_no_column() -> None:
    findings = [FINE, BLUR, ODD, BAD]
    plain, painted = doctor_command.render(findings, False), doctor_command.render(findings, True)
    assert [re.sub(r"\033\[[0-9]*m", "", line) for line in painted] == plain
    assert "\033[31mCRITICAL\033[0m queue" in painted[1]
    assert not any("\033" in line for line in plain)


@pytest.mark.parametrize(
    ("tty", "no_color", "expected"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_is_for_a_terminal_that_wants_it(
    tty: bool,
    no_color: str,
    expected: bool,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_checks(monkeypatch, dns=lambda _context: [FINE])
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert main(["--settings", str(settings)]) == 0
    assert ("\033" in capsys.readouterr().out) is expected


@pytest.mark.parametrize("finding", [FINE, ODD, BAD, BLUR])
def test_the_exit_status_is_the_state(
    finding: Finding, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_checks(monkeypatch, a=lambda _context: [FINE], b=lambda _context: [finding])
    assert main(["--settings", str(settings), "--json"]) == finding.status
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == finding.status
    assert [one["check"] for one in answer["findings"]] == ["dns", finding.check]
    assert set(answer["findings"][0]) == {"check", "status", "text", "advice"}


def test_a_check_that_hangs_keeps_nobody_waiting(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forever = threading.Event()

    def hang(_context: Any) -> list[Finding]:
        forever.wait()
        return [FINE]

    with_checks(monkeypatch, hangs=hang, fine=lambda _context: [FINE])
    doctor_command.CHECKS["worse"] = Check("", hang, 0.4, 0.2, CRITICAL)
    began = time.monotonic()
    try:
        assert main(["--settings", str(settings), "--quick", "--json"]) == 2
    finally:
        forever.set()
    assert time.monotonic() - began < 2
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(one["check"], one["status"], one["text"]) for one in found] == [
        ("hangs", 3, "did not end within 0.2 s"),
        ("dns", 0, "dnscache answers"),
        ("worse", 2, "did not end within 0.2 s"),
    ]


@pytest.mark.parametrize(
    ("error", "text", "advice"),
    [
        (
            PermissionError(13, "Permission denied", "/x"),
            "not allowed: [Errno 13] Permission denied: '/x'",
            "sudo",
        ),
        (
            FileNotFoundError(2, "No such file", "/x"),
            "cannot be judged: [Errno 2] No such file: '/x'",
            "playbook",
        ),
        (BadInput("x is bad"), "cannot be judged: x is bad", "playbook"),
        (KeyError("k"), "the check failed: KeyError('k')", "maintainers"),
    ],
)
def test_a_check_that_fails_hides_nothing(
    error: Exception,
    text: str,
    advice: str,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_context: Any) -> list[Finding]:
        raise error

    with_checks(monkeypatch, fails=fail, fine=lambda _context: [FINE])
    assert main(["--settings", str(settings), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["status"] for one in found] == [3, 0]
    assert found[0]["text"] == text
    assert advice in found[0]["advice"]


def test_what_strangers_wrote_does_nothing_to_the_terminal(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = Finding("queue", WARNING, "a\033[2Jb\nMAILGATE OK\x07", "c\rd")
    with_checks(monkeypatch, queue=lambda _context: [evil])
    assert main(["--settings", str(settings)]) == 1
    said = capsys.readouterr().out
    assert "a\\x1b[2Jb MAILGATE OK\\x07" in said
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("only", "skip", "quick", "expected"),
    [
        (None, ["clock"], True, "dns rules"),
        (None, [], False, "clock dns rules virus"),
        (["virus", "clock"], ["clock"], False, "clock virus"),
        (["virus"], [], True, ""),
    ],
)
def test_which_checks_are_made(only: Any, skip: list[str], quick: bool, expected: str) -> None:
    mine = {"clock", "dns", "rules", "virus"}
    assert sorted(set(doctor_command.chosen(only, skip, quick)) & mine) == expected.split()


def test_quick_sends_no_mail_and_asks_nobody_out_there() -> None:
    left_out = {name for name, check in CHECKS.items() if not check.quick_seconds}
    assert left_out == {"virus", "spam", "clean", "reverse", "backends", "directories", "ports"}
    assert all(check.quick_seconds < 5 for check in CHECKS.values())


@pytest.mark.parametrize(
    ("patience", "expected", "looks"), [("", 2, 1), ("1m", 0, 3), ("1s", 2, 1), ("soon", 3, 0)]
)
def test_what_is_critical_is_looked_at_again_as_long_as_somebody_waits(
    patience: str, expected: int, looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clamd, which was started just now, answers at the third look."""
    seen: list[int] = []

    def probe(context: object) -> list[Finding]:
        seen.append(len(seen))
        return [Finding("virus", 2 if len(seen) < 3 else 0, "text")]

    monkeypatch.setitem(CHECKS, "virus", replace(CHECKS["virus"], probe=probe))
    monkeypatch.setattr(doctor_command, "AGAIN_SECONDS", 1.5)
    monkeypatch.setattr(doctor_command.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(doctor_command.os, "geteuid", lambda: 0)
    settings = tmp_path / "doctor.json"
    settings.write_text(json.dumps(SITE))
    words = ["--patience", patience] if patience else []
    assert main(["--settings", str(settings), "--only", "virus", *words]) == expected
    assert len(seen) == looks


def test_a_message_that_is_delivered_is_sent_only_when_somebody_asks_for_it() -> None:
    assert "clean" not in doctor_command.chosen(None, [], False)
    assert doctor_command.chosen(["clean"], ["clean"], False) == ["clean"]


@pytest.mark.parametrize("text", [None, "garbage", "[]", "{}", '{"hostname": "a"}'])
def test_without_settings_the_state_is_unknown(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "doctor.json"
    if text is not None:
        path.write_text(text)
    assert main(["--settings", str(path)]) == 3
    said = capsys.readouterr().out
    assert said.startswith("MAILGATE UNKNOWN: 1 unknown; settings: file ")


def test_only_root_can_look_everywhere(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command.os, "geteuid", lambda: 1000)
    assert main(["--settings", str(settings), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["text"] for one in found] == ["user: uid 1000 cannot read everything; expected root"]
    assert found[0]["advice"] == "run it as root: sudo mailgate doctor"
    assert main(["--check-settings", str(settings)]) == 0


def test_nothing_left_to_check_is_unknown(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--settings", str(settings), "--quick", "--only", "virus"]) == 3
    assert "no check is left" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--only", "nothing"], ["--so"], ["x"]])
def test_wrong_usage_is_unknown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 3
    assert "MAILGATE UNKNOWN: " in capsys.readouterr().err


def test_settings_are_judged_without_looking(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_context: Any) -> list[Finding]:
        raise AssertionError

    with_checks(monkeypatch, dns=fail)
    assert main(["--check-settings", str(settings)]) == 0
    settings.write_text(json.dumps({**SITE, "skip": ["dsn"]}))
    assert main(["--check-settings", str(settings)]) == 3
    assert "skip 'dsn' is not a check; expected some of dns" in " ".join(capsys.readouterr().out.split())


def test_help_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", said, re.MULTILINE) for name in CHECKS)
    assert max(len(line) for line in said.splitlines()) <= 80


def test_whole_settings() -> None:
    given = {
        **SITE,
        "services": ["clamd"],
        "jobs": [{"name": "a", "state": "/a.json", "period_seconds": 60}],
        "ports": ["a.example:443"],
        "proof": "",
        "skip": ["clock"],
        "ramdisk": False,
        "limits": {"queue_messages": [1, 2], "disk_free_percent": [9, 9]},
    }
    found = doctor_settings.parse(json.dumps(given), "x")
    assert found.services == ("clamd",)
    assert found.jobs == (doctor_settings.Job("a", "/a.json", 60.0),)
    assert found.ports == (("a.example", 443),)
    assert found.proof is None
    assert found.ramdisk is False
    assert found.limits == {**LIMITS, "queue_messages": (1, 2), "disk_free_percent": (9, 9)}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"hostname": ""}, "file x: hostname is missing; expected its value for the site"),
        ({"hostname": 1}, "file x: hostname: 1 is not a string; expected one"),
        ({"nonsense": 1}, "file x: 'nonsense' is unknown; expected disks, "),
        ({"services": "clamd"}, "file x: services: 'clamd' is not a list; expected one"),
        ({"services": ["../x"]}, "file x: services 1: '../x' is not a name; expected one without '/'"),
        ({"services": [""]}, "file x: services 1: '' is not a name; expected one without '/'"),
        ({"ramdisk": "yes"}, "file x: ramdisk: 'yes' is neither true nor false; expected one of them"),
        ({"ports": ["a:1", "a"]}, "file x: ports 2: 'a' is not a place; expected 'host:port'"),
        ({"ports": ["a:0"]}, "file x: ports 1: 'a:0' is not a place; expected 'host:port'"),
        ({"ports": ["a:65536"]}, "file x: ports 1: 'a:65536' is not a place; expected 'host:port'"),
        ({"ports": [":1"]}, "file x: ports 1: ':1' is not a place; expected 'host:port'"),
        ({"ports": [25]}, "file x: ports 1: 25 is not a place; expected 'host:port'"),
        ({"jobs": [{"name": "a"}]}, "file x: jobs 1: {'name': 'a'} is not a job; expected name, period_seconds, state"),
        ({"jobs": [{"name": "a", "state": "b", "period_seconds": 0}]}, "file x: jobs 1: period_seconds 0 is not a time; expected seconds above 0"),
        ({"limits": []}, "file x: limits: [] is not an object; expected names with [warning, critical]"),
        ({"limits": {"x": [1, 2]}}, "file x: limits: 'x' is unknown; expected one of certificate_days, clock_error_milliseconds, "),
        ({"limits": {"queue_messages": [2, 1]}}, "file x: limits: queue_messages [2, 1] is not a limit; expected [warning, critical], warning at most critical"),
        ({"limits": {"disk_free_percent": [1, 2]}}, "file x: limits: disk_free_percent [1, 2] is not a limit; expected [warning, critical], warning at least critical"),
        ({"limits": {"queue_messages": [1]}}, "file x: limits: queue_messages [1] is not a limit; "),
        ({"limits": {"queue_messages": 5}}, "file x: limits: queue_messages 5 is not a limit; "),
        ({"limits": {"queue_messages": [1, True]}}, "file x: limits: queue_messages [1, True] is not a limit; "),
    ],
)  # fmt: skip
def test_wrong_settings(given: dict[str, Any], error: str) -> None:
    with pytest.raises(BadInput) as raised:
        doctor_settings.parse(json.dumps({**SITE, **given}), "x")
    assert str(raised.value).startswith(error)


def test_tasks_are_done_at_the_same_time_and_keep_their_order() -> None:
    forever = threading.Event()

    def fail() -> str:
        raise KeyError("k")

    began = time.monotonic()
    tasks: list[tuple[Callable[[], str], float]] = [
        (lambda: "a", 1.0),
        (lambda: str(forever.wait()), 0.3),
        (fail, 1.0),
        (lambda: str(forever.wait()), 0.3),
    ]
    found = doctor_threads.run_parallel(tasks)
    assert time.monotonic() - began < 0.9
    assert [(one.value, type(one.error), one.ended) for one in found] == [
        ("a", type(None), True),
        (None, type(None), False),
        (None, KeyError, True),
        (None, type(None), False),
    ]
    forever.set()


def test_a_task_that_hangs_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import sys, threading; sys.path.insert(0, sys.argv[1]); from mailgate.core import threads;"
        "print(threads.run_parallel([(threading.Event().wait, 0.1)])[0].ended)"
    )
    package = Path(doctor_threads.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(package)], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "False\n"
