# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed's own decisions, without a container."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bed import converged, packages, parts, sources, suite
from bed.common import ONLY_REAL, ROOT, Trouble
from bed.packages import AptSource
from bed.parts import FULL, TEST, Part
from bed.sources import Pinned

MACHINE = [
    AptSource("http://one.example/debian/", "bookworm", "main"),
    AptSource("http://one.example/debian/", "bookworm", "contrib"),
    AptSource("http://one.example/debian/", "bookworm-updates", "main"),
    AptSource("http://two.example/security/", "bookworm-security", "main"),
    AptSource("http://three.example/", "tool-bookworm", "main"),
]


def test_suite_sources_are_the_machines_own_under_another_name() -> None:
    assert packages.suite_sources(MACHINE, "bookworm", "trixie") == [
        AptSource("http://one.example/debian/", "trixie", "main"),
        AptSource("http://one.example/debian/", "trixie-updates", "main"),
        AptSource("http://two.example/security/", "trixie-security", "main"),
    ]


def test_apt_settings_keeps_proxies_and_clock_settings_alone() -> None:
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\n'
        'APT::Update::Post-Invoke:: "rm -rf /";\nAcquire::Languages:: "de";\n'
    )
    assert packages.apt_settings(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Date "false";',
        'Acquire::Languages "none";',
    ]


@pytest.mark.parametrize("role", ["netqmail", "simscan", "cdb"])
def test_releases_reads_the_roles_files_as_yaml_does(role: str) -> None:
    text = (ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8")
    (by_version,) = (value for key, value in yaml.safe_load(text).items() if key.endswith("_releases"))
    (release,) = by_version.values()
    urls = [source for source in release["sources"] if "url" in source]  # the host finds a file of the pool
    expected = [Pinned(source["url"], source["sha256"]) for source in urls]
    assert sources.releases(text) == expected
    assert expected


def test_standin_archive_depends_on_contents_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "BED", tmp_path / ".bed")
    source = tmp_path / "tests" / "standins" / "thing"
    source.mkdir(parents=True)
    (source / "b.c").write_text("int b;\n")
    (source / "a.sh").write_text("#!/bin/sh\n")
    first = sources.pack_standin("thing", "1").read_bytes()
    os.utime(source / "b.c", (1, 1))
    (source / "a.sh").touch()
    assert sources.pack_standin("thing", "1").read_bytes() == first
    (source / "b.c").write_text("int c;\n")
    assert sources.pack_standin("thing", "1").read_bytes() != first


@pytest.mark.parametrize(
    ("role", "choose"), [("netqmail", sources.choose_netqmail), ("simscan", sources.choose_simscan)]
)
def test_a_stand_in_is_chosen_where_the_real_source_cannot_be_had(
    role: str, choose: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "BED", tmp_path)
    monkeypatch.setattr(sources, "download", lambda pinned: "refused")
    for mode in ("auto", "always"):
        chosen = yaml.safe_load(choose(mode))
        assert (chosen[f"{role}_kind"], chosen[f"{role}_patches"]) == ("stand-in", [])
        (source,) = chosen[f"{role}_sources"]
        archive = Path(source["url"].removeprefix("file://"))
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == source["sha256"]
    with pytest.raises(Trouble, match=f"the source of {role} cannot be had"):
        choose("never")
    real = sources.role_releases(role)[0]
    monkeypatch.setattr(sources, "obtainable", lambda alternatives: (real.url, ""))
    assert choose("auto") == f"{role}_kind: source\n"


def test_obtainable_trusts_no_archive_of_another_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path))
    good = hashlib.sha256(b"good").hexdigest()
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / good).write_bytes(b"bad")
    monkeypatch.setattr(sources, "download", lambda pinned: "refused")
    assert sources.obtainable([Pinned("https://a.example/x", good)]) == ("", "a.example: refused")
    (tmp_path / "sources" / good).write_bytes(b"good")
    assert sources.obtainable([Pinned("https://a.example/x", good)])[0].endswith(good)


def test_download_refuses_another_content_and_keeps_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "origin"
    origin.write_bytes(b"right")
    right = hashlib.sha256(b"right").hexdigest()
    wrong = hashlib.sha256(b"wrong").hexdigest()
    assert sources.download(Pinned(origin.as_uri(), wrong)) == f"sha256 {right} instead of {wrong}"
    assert sources.download(Pinned(origin.as_uri(), right)) == ""
    assert [path.name for path in (tmp_path / "cache" / "sources").iterdir()] == [right]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 passed in 0.1s", (3, 0, 0, 0)),
        ("==== 2 failed, 3 passed, 1 skipped in 12.34s ====", (3, 2, 1, 0)),
        ("1 failed, 3 passed, 2 skipped, 12 not run in 12.34s", (3, 1, 2, 12)),
        ("12 not run in 0.3s", (0, 0, 0, 12)),
        ("1 error in 0.5s\n  msg: 70 passed, 1 skipped in 40.02s (0:00:40)", (70, 0, 1, 0)),
        ("70 passed, 2 failed in 4.0s\n'70 passed, 2 failed in 4.0s'", (70, 2, 0, 0)),
        ("nothing to see; 12 passed by the way", (0, 0, 0, 0)),
    ],
)
def test_counts_takes_the_last_line_of_pytest(text: str, expected: tuple[int, ...]) -> None:
    assert tuple(suite.counts(text).values()) == expected


def test_failures_are_named_once_each() -> None:
    text = """
    - FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no
    - ERROR tests/e2e/test_b.py::test_two - OSError
      FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no
    """
    assert suite.failures(text) == [
        "FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no",
        "ERROR tests/e2e/test_b.py::test_two - OSError",
    ]


def test_what_is_not_run_on_a_stand_in_is_named_with_its_reason() -> None:
    text = """
NOT RUN tests/e2e/test_a.py::test_one[x-y] - only with the real netqmail: the stand-in has no queue
NOT RUN tests/e2e/test_b.py::test_two - no such program
"""
    assert suite.not_run(text) == [
        ("tests/e2e/test_a.py::test_one[x-y]", "only with the real netqmail: the stand-in has no queue")
    ]


NOT_RUN_TESTS = """
import pytest
@pytest.fixture
def real():
    pytest.skip("only with the real netqmail: the stand-in has no queue")
def test_a(real): pass
def test_b(): pytest.skip("only with the real netqmail: no queue")
def test_c(): pytest.skip("no compiler")
def test_d(): pass
"""

LONG_NAME = """
import pytest
@pytest.mark.parametrize("value", ["x" * 100])
def test_a(value): assert value == 1, "the reason"
"""


def run_pytest(directory: Path, content: str) -> subprocess.CompletedProcess[str]:
    """Run one file of tests with this project's conftest.py."""
    (directory / "test_x.py").write_text(content)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest"]
    argv += [f"--rootdir={directory}", str(directory)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    env.pop("CI", None)
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_reason_stands_beside_a_long_name(tmp_path: Path) -> None:
    (line,) = suite.failures(run_pytest(tmp_path, LONG_NAME).stdout.replace("FAILED ", "FAILED tests/"))
    assert line.endswith("] - AssertionError: the reason")


@pytest.mark.slow
def test_pytest_counts_and_names_what_needs_a_real_program(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, NOT_RUN_TESTS)
    assert tuple(suite.counts(done.stdout).values()) == (1, 0, 1, 2), done.stdout + done.stderr
    assert "NOT RUN test_x.py::test_a - only with the real netqmail: the stand-in has no queue" in done.stdout
    assert done.returncode == 0


def test_the_harness_says_it_in_the_words_that_are_counted() -> None:
    """Each reason for which an end-to-end test skips on a stand-in begins with the words that count."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/*.py")}
    assert f'else f"{ONLY_REAL}netqmail: ' in texts["gateway.py"]
    for name, text in texts.items():
        for reason in re.findall(r'pytest\.skip\(\s*f?"([^"]*(?:real|stand-in)[^"]*)"', text):
            assert reason.startswith(ONLY_REAL), name


# --- signals ---

INHERITED = """
import os, signal, subprocess, sys
sys.path.insert(0, "tests")
if {reset}:
    from bed.signals import reset_signals
    reset_signals()
argv = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
print(subprocess.run(argv, capture_output=True, text=True).stdout)
if {reset}:
    os.kill(os.getpid(), signal.SIGHUP)
    print("survived")
"""


def _as_under_nohup() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})


def signal_sets(status: str) -> list[int]:
    """Return the ignored and the blocked signals in /proc/PID/status, except those without a name."""
    named = sum(1 << (number - 1) for number in signal.valid_signals())
    return [int(line.split()[1], 16) & named for line in status.splitlines() if line.startswith("Sig")]


@pytest.mark.parametrize("reset", [True, False])
def test_what_is_started_has_the_default_of_every_signal(reset: bool) -> None:
    """Under nohup, in the background, or by whoever blocks signals."""
    done = subprocess.run(
        [sys.executable, "-c", INHERITED.format(reset=reset)],
        cwd=ROOT,
        preexec_fn=_as_under_nohup,
        capture_output=True,
        text=True,
        check=True,
    )
    sets = signal_sets(done.stdout)
    assert len(sets) == 2
    assert (sets == [0, 0]) is reset
    assert ("survived" in done.stdout) is reset


def test_a_part_runs_with_the_default_of_every_signal(tmp_path: Path) -> None:
    """The whole way: the command line under nohup, a part of a suite, the process that it starts."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); from bed import suite, parts, __main__ as main; "
        "suite.BY_NAME['x'] = parts.Part('x', ('grep', '-E', 'Sig(Ign|Blk)', '/proc/self/status'), 1); "
        "sys.exit(main.main(['part', 'x']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "MAILGATE_VENV": sys.prefix},
        preexec_fn=_as_under_nohup,
        capture_output=True,
        text=True,
        check=False,
    )
    sets = signal_sets(done.stdout)
    assert (done.returncode, sets) == (0, [0, 0]), done.stdout + done.stderr


# --- the suites ---


def part(name: str, *argv: str, **more: Any) -> Part:
    return Part(name, argv, more.pop("budget_seconds", 60), **more)


def test_a_part_waits_for_the_image_that_another_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    there: set[str] = set()
    monkeypatch.setattr(suite, "is_fresh", lambda name: name in there)
    maker, user, other = part("maker", makes="a"), part("user", image="a"), part("other")
    queue = suite.Queue([maker, user, other], {"a": "image-a"})
    assert [queue.take(), queue.take()] == [maker, other]
    there.add("image-a")
    assert queue.take() == user
    assert queue.take() is None


def test_without_its_maker_a_part_begins_and_makes_the_image_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "is_fresh", lambda name: False)
    user = part("user", image="a")
    queue = suite.Queue([user], {"a": "image-a"})
    assert queue.take() == user
    assert queue.in_vain(user) == ""
    # Made for a tree that was changed meanwhile: its own is made when it is needed.
    maker = part("maker", makes="a")
    queue = suite.Queue([maker, user], {"a": "image-a"})
    assert queue.take() == maker
    queue.done(maker, 0)
    assert (queue.take(), queue.in_vain(user)) == (user, "")


def test_what_its_maker_could_not_converge_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "is_fresh", lambda name: False)
    monkeypatch.setattr(suite, "BED", tmp_path)
    monkeypatch.setattr(suite, "environment", lambda: dict(os.environ))
    monkeypatch.setattr(suite, "converged_image", lambda platform: f"image-{platform}")
    begun = tmp_path / "begun"
    made = [
        part("maker", "sh", "-c", "exit 2", makes="a"),
        part("user", "touch", str(begun), image="a"),
        part("other", "true"),
    ]
    ran = suite.run_all(made, TEST)
    assert [(one.part.name, one.status) for one in ran] == [("maker", 2), ("user", 1), ("other", 0)]
    assert ran[1].failed == ["not begun: maker made no image of a gateway"]
    assert not begun.exists()


def test_all_parts_run_also_after_one_has_failed_and_stand_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "BED", tmp_path)
    monkeypatch.setattr(suite, "environment", lambda: dict(os.environ))
    parts = [
        part("one", "sh", "-c", "sleep 0.3; echo 2 passed, 1 not run in 0.1s"),
        part("two", "sh", "-c", "echo FAILED tests/x.py::y - no; echo 1 failed in 0.1s; exit 3"),
        part("three", "nonsense-of-a-program"),
        part("four", "sh", "-c", 'echo "$COLOUR"; exit 0', env={"COLOUR": "green"}),
    ]
    ran = suite.run_all(parts, TEST)
    assert [(one.part.name, one.status, *one.found.values()) for one in ran] == [
        ("one", 0, 2, 0, 0, 1),
        ("two", 3, 0, 1, 0, 0),
        ("three", 1, 0, 1, 0, 0),
        ("four", 0, 1, 0, 0, 0),
    ]
    assert (tmp_path / "test" / "four.log").read_text() == "green\n"
    text, total = suite.table(ran, TEST, 12.3)
    assert text.splitlines()[-3:-1] == [
        "  two: FAILED tests/x.py::y - no",
        "  three: [Errno 2] No such file or directory: 'nonsense-of-a-program'",
    ]
    assert text.splitlines()[-1] == "3 passed, 2 failed, 0 skipped, 1 not run in 12s of 2700"
    assert total["failed"] == 2


def test_the_last_twenty_lines_tell_which_tests_failed_and_why() -> None:
    found = {**dict.fromkeys(suite.WORDS, 0), "failed": 30}
    many = [f"FAILED tests/a.py::test_{number} - no" for number in range(30)]
    ran = [
        suite.Ran(part("many"), 1, found, many, 1.0),
        suite.Ran(part("fine"), 0, found, [], 1.0),
        suite.Ran(part("lint"), 1, found, suite.reasons("one\n\nx.py:1: wrong\nFound 1 error\n"), 1.0),
    ]
    last = suite.table(ran, TEST, 1.0)[0].splitlines()[-20:]
    assert "  more failed: many 15" in last
    assert "  many: FAILED tests/a.py::test_14 - no" in last
    assert last[-2] == "  lint: one | x.py:1: wrong | Found 1 error"


def test_what_only_the_full_suite_runs_is_dated() -> None:
    found = {**dict.fromkeys(suite.WORDS, 0), "passed": 9, "skipped": 1}
    ran = [
        suite.Ran(part("often"), 0, found, [], 3.0),
        suite.Ran(part("bundle", suites=(FULL,)), 0, found, [], 77.7),
        suite.Ran(part("controllers", suites=(FULL,)), 1, found, ["why"], 5.0),
    ]
    before = (
        "| bundle | 2026-01-01 | 0123456789ab | 1 | 0 | 5 |\n"
        "| controllers | 2026-01-02 | 0123456789ab | 4 | 0 | 500 |\n"
        "| gone | 2026-01-03 | 0123456789ab | 4 | 0 | 500 |\n"
    )
    lines = suite.report(ran, before).splitlines()
    rows = [line for line in lines if re.search(r"\d{4}-\d\d-\d\d", line)]
    assert len(rows) == 2  # of a part that failed stays the last time it passed; one that is gone has no row
    assert re.fullmatch(r"\| bundle \| 20\d\d-\d\d-\d\d \| [0-9a-f]{12} \| 9 \| 1 \| 78 \|", rows[0])
    assert rows[1] == before.splitlines()[1]
    assert suite.report([], "\n".join(lines)).splitlines() == lines


def test_only_a_whole_part_is_dated() -> None:
    with pytest.raises(Trouble, match="--dated: expected no --also"):
        suite.command_part(["bundle"], ["-k", "one"], dated=True)


def test_a_budget_stands_beside_the_time() -> None:
    ran = suite.Ran(part("slow", budget_seconds=10), 0, dict.fromkeys(suite.WORDS, 0), [], 12.0)
    assert suite.line_of(ran).endswith("12.0 s of   10  over its budget")
    quick = dataclasses.replace(ran, seconds=9.0)
    assert suite.line_of(quick).endswith("9.0 s of   10")


def test_ending_a_run_ends_what_the_parts_started(tmp_path: Path) -> None:
    running = suite.Running(patience_seconds=0.5)
    pid = tmp_path / "pid"
    argv = ["sh", "-c", f"sh -c 'echo $$ >{pid}; exec sleep 60' & wait"]
    with running.start(argv, os.environ) as process:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.01)
        running.end()
        assert process.wait(60) != 0
    status = Path(f"/proc/{int(pid.read_text())}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()  # nobody has asked how it ended
    with pytest.raises(Trouble, match="the run was ended"), running.start(argv, os.environ):
        pass


def test_a_single_part_ends_with_its_caller() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from bed import suite, parts, __main__ as main; "
        "suite.BY_NAME['x'] = parts.Part('x', ('sh', '-c', 'echo pid $$; exec sleep 60'), 1); "
        "sys.exit(main.main(['part', 'x']))"
    )
    env = {**os.environ, "MAILGATE_VENV": sys.prefix}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = next(int(line.rpartition(" ")[2]) for line in process.stdout if "pid " in line)
        process.terminate()
        assert process.wait(60) == 143
    assert not Path(f"/proc/{pid}").exists()


def test_a_parts_tests_have_a_directory_that_others_enter(tmp_path: Path) -> None:
    """pytest's common directory is closed to others by each run that begins beside this one."""
    test = tmp_path / "test_it.py"
    test.write_text(
        "def test_it(tmp_path_factory):\n"
        "    base = tmp_path_factory.getbasetemp()\n"
        "    assert base.name == 'p' and base.parent.name.startswith('m')\n"
        "    assert base.parent.stat().st_mode & 0o777 == 0o755\n"
    )
    one = part("x", *parts.pytest(str(test), "--rootdir", str(tmp_path)))
    ran = suite.run_part(one, os.environ, tmp_path / "log", running=suite.Running(), prefix="")
    assert (ran.status, ran.found["passed"]) == (0, 1), (tmp_path / "log").read_text()


def test_a_part_on_a_gateway_makes_and_removes_it() -> None:
    one = part("e2e-9", "pytest", "x", image="bookworm", gateway=True)
    before, main, after = suite.commands(one, TEST, ["-k", "a"])
    assert before[2:] == ("start", "mailgate-e2e-9", "bookworm")
    assert main == ("pytest", "x", "--gateway=mailgate-e2e-9", "-k", "a")
    assert after[2:] == ("down", "mailgate-e2e-9")


def test_every_end_to_end_test_is_in_one_part() -> None:
    files = {path.name for path in (ROOT / "tests" / "e2e").glob("test_*.py")}
    named = [name for names in parts.END_TO_END.values() for name in names]
    assert len(named) == len(set(named)) and set(named) < files
    (more,) = (name for name, names in parts.END_TO_END.items() if not names)
    rest = parts.end_to_end(more)
    assert rest[0] == "tests/e2e"
    assert {word.rpartition("/")[2] for word in rest[1:]} == {*named, "test_archive.py"}


def test_each_part_says_what_it_holds() -> None:
    assert list(parts.HOLDS) == [one.name for one in parts.PARTS]


def test_the_readme_says_what_a_suite_may_take() -> None:
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    for name, seconds in parts.BUDGETS.items():
        assert re.search(rf"`make (test-)?{name}`[^\n]*\b{seconds} s", text), name


def test_the_makefile_knows_the_parts_only_by_name() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    used = [name for names in re.findall(r"\$\(PART\) ([a-z0-9 -]+)", text) for name in names.split()]
    assert used and set(used) <= set(parts.BY_NAME)
    scenarios = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")} - {"clamav_source"}
    assert scenarios <= set(parts.BY_NAME)


# --- images of converged gateways ---


def test_what_determines_a_gateway_is_in_its_images_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "roles/netqmail/tasks/main.yml",
        "roles/netqmail/README.md",
        "plugins/module_utils/mailgate/maillog/counters.py",
        "playbooks/gateway.yml",
        "src/common/say.c",
        "tests/inventory/hosts.yml",
        "tests/unit/bed/test_bed.py",
        "docs/PATCHES.md",
        "ansible.cfg",
    ]
    assert converged.determining(names) == sorted({*names} - {names[1], names[6], names[7]})


def test_another_content_choice_or_base_is_another_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = "sha256:1"
    monkeypatch.setattr(converged, "ROOT", tmp_path)
    monkeypatch.setattr(converged, "CHOICE", tmp_path / "choice.yml")
    monkeypatch.setattr(converged, "project_files", lambda: ["roles/a/tasks/main.yml"])
    monkeypatch.setattr(converged, "image_id", lambda name: base)
    task = tmp_path / "roles" / "a" / "tasks" / "main.yml"
    task.parent.mkdir(parents=True)
    found = {converged.recipe_of("bookworm")}
    task.write_text("one\n")
    found.add(converged.recipe_of("bookworm"))
    task.chmod(0o755)
    found.add(converged.recipe_of("bookworm"))
    (tmp_path / "choice.yml").write_text("netqmail_kind: source\n")
    found.add(converged.recipe_of("bookworm"))
    base = "sha256:2"
    found.add(converged.recipe_of("bookworm"))
    found.add(converged.recipe_of("trixie"))
    assert len(found) == 6
    assert converged.recipe_of("trixie") in found


def test_images_of_the_newest_recipes_are_kept() -> None:
    listing = [("s", "c"), ("g", "c"), ("g", "b"), ("s", "a"), ("g", "a"), ("g", "z")]
    assert converged.surplus(listing, 2) == ["s:a", "g:a", "g:z"]
    assert converged.surplus(listing, 9) == []


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("/service/a: up (pid 7) 2 seconds\n/service/a/log: up (pid 8) 10 seconds\n", True),
        ("/service/a: up (pid 7) 1 seconds\n/service/a/log: up (pid 8) 10 seconds\n", False),
        ("/service/a: down 3 seconds, normally up\n/service/a/log: up (pid 8) 10 seconds\n", False),
        ("/service/a: supervise not running\n", False),
        ("", False),
    ],
)
def test_settled_takes_services_that_stay_up(states: str, expected: bool) -> None:
    assert converged.settled(states) is expected


@pytest.mark.parametrize(
    ("states", "scanners", "expected"),
    [
        ("/service/a: up (pid 7) 2 seconds\n", 0, ""),
        ("/service/a: up (pid 7) 2 seconds\n", 1, "clamd or spamd does not answer"),
        ("/service/a: up (pid 7) 5 seconds\n/service/b: down 3 seconds\n", 0, "/service/b: down 3 seconds"),
        ("", 0, "no service in /service"),
    ],
)
def test_a_gateway_has_come_up_when_its_scanners_answer(
    states: str, scanners: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {converged.STATE: (0, states), converged.SCANNERS: (scanners, "")}
    monkeypatch.setattr(converged, "answer", lambda argv: answers[argv[-1]])
    monkeypatch.setattr(converged, "UP_SECONDS", 0)
    assert converged.comes_up("x") == expected


def test_an_image_that_does_not_come_up_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    coming = iter(["/service/a: down", ""])
    monkeypatch.setattr(converged, "make_converged", lambda platform: did.append("make") or "image")
    monkeypatch.setattr(converged, "command_up", lambda name, platform, systemd, image: did.append("up"))
    monkeypatch.setattr(converged, "command_down", lambda name: did.append("down"))
    monkeypatch.setattr(converged, "run", lambda argv, why: did.append(" ".join(argv)))
    monkeypatch.setattr(converged, "comes_up", lambda name: next(coming))
    converged.command_start("x", "bookworm", systemd=False)
    assert did == ["make", "up", "down", "docker rmi -f image", "make", "up"]


def test_without_docker_there_is_one_clear_sentence(tmp_path: Path) -> None:
    """A user who is not root, on a machine without a docker program."""
    (tmp_path / "bin").mkdir()
    code = (
        "import os, sys; sys.path.insert(0, 'tests'); from bed.__main__ import main; "
        "os.geteuid = lambda: 1000; sys.exit(main(['docker']))"
    )
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no docker program" in done.stderr and "run as root" in done.stderr


@pytest.mark.parametrize("place", ["tests/bed", "/"])
def test_runs_from_any_directory(place: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bed"), "--help"],
        cwd=ROOT / place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python3 tests/bed ")


def test_no_module_has_a_name_of_the_standard_library() -> None:
    """Below tests/bed, `python3 -m venv` would run a venv.py of ours."""
    names = {path.stem for path in (ROOT / "tests" / "bed").glob("*.py")}
    assert names & sys.stdlib_module_names == set()
