"""daemontools_service against the real svscan, supervise, svstat and multilog of Debian's daemontools."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts
from support.daemontools_services import World, pid_of, wait_for
from support.parameters import slow_after_first


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def svstat(directory: Path) -> str:
    done = subprocess.run(["svstat", str(directory)], capture_output=True, text=True, check=True)
    return done.stdout.removeprefix(f"{directory}: ").rstrip("\n")


def plain(text: str) -> str:
    """Return the text with changing numbers replaced."""
    text = re.sub(r"\b(pid|from|to) \d+", r"\1 N", text)
    return re.sub(r"\b(up \(pid N\)|down) \d+ seconds", r"\1 S seconds", text)


def diff_text(result: dict[str, Any]) -> tuple[str, str]:
    (entry,) = result["diff"]
    return entry["before"], entry["after"]


def listing(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_ctime_ns, path.lstat().st_mode) for path in root.rglob("*"))


def test_a_new_service_with_a_log_is_linked_started_and_watched(world: World) -> None:
    directory = world.define("smtpd", log=True)
    before = listing(world.root)
    predicted = world.run("smtpd", check=True)
    assert listing(world.root) == before
    world.svscan(after_seconds=0.3)
    made = world.run("smtpd")
    assert made["failed"] is False, made
    assert made["changed"] is predicted["changed"] is True
    assert made["diff"] == predicted["diff"]
    assert diff_text(made) == (
        "link: absent\nat boot: up\nservice: not supervised\nlog: not supervised\n",
        f"link: {directory}\nat boot: up\nservice: up\nlog: up\n",
    )
    assert os.readlink(world.scanned / "smtpd") == str(directory)
    assert made["pid"] == pid_of(directory)
    assert made["uptime_seconds"] >= 1
    assert plain(made["status"]) == plain(svstat(directory)) == "up (pid N) S seconds"
    assert pid_of(directory / "log") != 0

    began = time.monotonic()
    for check in (True, False):
        again = world.run("smtpd", check)
        assert (again["changed"], again["diff"], again["pid"]) == (False, [], made["pid"])
    assert time.monotonic() - began < 1, "a service that is stable already was waited for"

    log_pid = pid_of(directory / "log")
    restarted = world.run("smtpd", state="restarted")
    assert diff_text(restarted) == (
        f"link: {directory}\nat boot: up\nservice: up\nlog: up\n",
        f"link: {directory}\nat boot: up\nservice: up, restarted\nlog: up, restarted\n",
    )
    assert restarted["pid"] not in (0, made["pid"])
    assert pid_of(directory / "log") not in (0, log_pid)

    predicted = world.run("smtpd", check=True, state="absent")
    assert pid_of(directory) == restarted["pid"], "check mode ended the service"
    gone = world.run("smtpd", state="absent")
    assert gone["diff"] == predicted["diff"]
    assert diff_text(gone) == (
        f"link: {directory}\nservice: up\nlog: up\n",
        "link: absent\nservice: not supervised\nlog: not supervised\n",
    )
    assert (gone["status"], gone["pid"], gone["uptime_seconds"]) == ("supervise not running", 0, 0)
    assert svstat(directory / "log") == "supervise not running"
    assert not (world.scanned / "smtpd").is_symlink()
    assert (directory / "run").exists()
    assert world.run("smtpd", state="absent")["changed"] is False


@pytest.mark.slow
def test_a_stopped_service_stays_down_at_boot_until_it_is_started(world: World) -> None:
    directory = world.supervised("send")
    stopped = world.run("send", state="stopped")
    assert diff_text(stopped) == (
        f"link: {directory}\nat boot: up\nservice: up\n",
        f"link: {directory}\nat boot: down\nservice: down\n",
    )
    assert plain(svstat(directory)) == plain(stopped["status"]) == "down S seconds"
    assert world.run("send", state="stopped")["changed"] is False
    started = world.run("send")
    assert diff_text(started) == diff_text(stopped)[::-1]
    assert plain(svstat(directory)) == "up (pid N) S seconds"


def test_a_service_that_is_new_and_stopped_never_runs(world: World) -> None:
    directory = world.define("send", f"#!/bin/sh\ntouch {world.root}/ran\nexec sleep 1000\n")
    world.svscan(after_seconds=0.3)
    stopped = world.run("send", state="stopped")
    assert stopped["changed"] is True
    assert plain(svstat(directory)) == "down S seconds"
    assert not (world.root / "ran").exists()


def test_a_stopped_service_without_a_link_is_not_supervised(world: World) -> None:
    directory = world.supervised("send")
    result = world.run("send", state="stopped", enabled=False)
    assert diff_text(result)[1] == "link: absent\nat boot: down\nservice: not supervised\n"
    assert svstat(directory) == "supervise not running"
    assert not (world.scanned / "send").is_symlink()
    assert world.run("send", state="stopped", enabled=False)["changed"] is False


@pytest.mark.parametrize(
    ("control", "seen"),
    slow_after_first([(b"p", "up, paused"), (b"o", "up, once"), (b"d", "down")]),
)
def test_started_mends_what_somebody_did_by_hand(world: World, control: bytes, seen: str) -> None:
    directory = world.supervised("send")
    supervise.tell(str(directory), control)
    wait_for(lambda: supervise.words(supervise.look(str(directory))) == seen)
    result = world.run("send")
    assert diff_text(result) == (
        f"link: {directory}\nat boot: up\nservice: {seen}\n",
        f"link: {directory}\nat boot: up\nservice: up\n",
    )
    assert plain(svstat(directory)) == "up (pid N) S seconds"
    assert supervise.words(supervise.look(str(directory))) == "up"


def test_reloaded_sends_hup_and_the_process_stays(world: World) -> None:
    run = f"#!/bin/sh\ntrap 'echo >> {world.root}/reloaded' HUP\nwhile :; do sleep 0.1; done\n"
    directory = world.supervised("clamd", run)
    pid = pid_of(directory)
    time.sleep(0.2)  # until the trap is set
    result = world.run("clamd", state="reloaded")
    assert diff_text(result)[1] == f"link: {directory}\nat boot: up\nservice: up, told to reload\n"
    assert result["pid"] == pid
    told = world.root / "reloaded"
    wait_for(lambda: told.exists() and told.read_text() == "\n")  # sh runs the trap when its sleep has ended


@pytest.mark.slow
def test_a_process_that_hup_ends_fails_the_reload(world: World) -> None:
    run = "#!/bin/sh\ntrap 'sleep 0.4; exit 0' HUP\nwhile :; do sleep 0.1; done\n"
    directory = world.supervised("send", run)
    time.sleep(1.3)  # it was stable long before
    result = world.run("send", state="reloaded")
    assert plain(result["msg"]) == (
        f"service send in {directory}: up (pid N) S seconds; expected up with the same pid for 1.2 seconds; "
        "the process ended, its pid changed from N to N"
    )


@pytest.mark.slow
def test_a_flapping_service_fails_with_the_end_of_its_log(world: World) -> None:
    says = "echo one; echo two; echo three; echo 'four: \x01cannot bind'"
    directory = world.define("smtpd", f"#!/bin/sh\nexec 2>&1\n{says}\nsleep 0.1\nexit 1\n", log=True)
    world.svscan(after_seconds=0.2)
    result = world.run("smtpd", log_directory=str(world.log_directory), stable_seconds=3)
    assert result["failed"] is True
    first, title, *lines = result["msg"].splitlines()
    expected = (
        rf"service smtpd in {directory}: (up \(pid \d+\)|down) \d+ seconds(, normally up, want up)?; "
        r"expected up with the same pid for 3 seconds; the process ended, its pid changed from \d+ to \d+"
    )
    assert re.fullmatch(expected, first)
    assert title == f"the last lines of {world.log_directory}/current:"
    assert 4 <= len(lines) <= 5  # of the second process none, on a busy machine
    assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} ", line) for line in lines)
    words = [line.split(" ", 2)[2] for line in lines]
    assert {"one", "two", "three", "four: ?cannot bind"} >= set(words)
    assert "four: ?cannot bind" in words


def test_a_process_that_ignores_term_is_named(world: World) -> None:
    run = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"
    directory = world.supervised("send", run)
    pid = pid_of(directory)
    time.sleep(0.2)
    result = world.run("send", state="restarted", stable_seconds=0.2, timeout_seconds=1)
    assert re.sub(r"\) \d+ seconds", ") S seconds", result["msg"]) == (
        f"service send in {directory}: up (pid {pid}) S seconds; "
        f"expected pid {pid} to end, then up with the same pid for 0.2 seconds within 1 seconds"
    )


def test_without_waiting_the_process_before_does_not_answer_any_more(world: World) -> None:
    """A proof that follows would be the old process's; how the new one is, whoever waits finds out."""
    run = "#!/bin/sh\ntrap 'sleep 0.6; exit 0' TERM\n: >ready\nwhile :; do sleep 0.05; done\n"
    directory = world.supervised("clamd", run)
    wait_for((directory / "ready").exists)
    pid = pid_of(directory)
    done = world.run("clamd", state="restarted", wait=False, stable_seconds=8)
    assert (done["failed"], done["process_started"]) == (False, True), done
    assert pid_of(directory) != pid


def test_a_start_that_nobody_waits_for_was_ordered_as_well(world: World) -> None:
    """The doctor does not count it, however late svscan sees the link."""
    directory = world.define("clamd")
    begin = time.time()
    assert world.run("clamd", wait=False, timeout_seconds=30)["failed"] is False
    first, last = restarts.ordered(f"{world.records}/clamd")
    assert begin <= first and last >= begin + 30
    assert pid_of(directory) == 0


def test_without_svscan_check_mode_predicts_and_a_run_says_what_is_missing(world: World) -> None:
    directory = world.define("send")
    predicted = world.run("send", check=True)
    assert predicted["changed"] is True
    assert predicted["status"] == svstat(directory) == "unable to open supervise/ok: file does not exist"
    nowhere = f"{world.root}/none"
    result = world.run("send", stable_seconds=0.2, timeout_seconds=0.5, log_directory=nowhere)
    assert result["msg"] == (
        f"service send in {directory}: unable to open supervise/ok: file does not exist; expected "
        "svscan to start supervise (a log directory is only seen when the link is new) within 0.5 seconds\n"
        f"{nowhere}/current cannot be read: No such file or directory"
    )


def test_check_mode_predicts_on_a_host_where_nothing_exists_yet(world: World) -> None:
    nowhere = str(world.root / "none")
    for state in ("started", "restarted", "reloaded"):
        result = world.run("send", True, directory=f"{nowhere}/send", service_directory=nowhere, state=state)
        assert diff_text(result) == (
            "link: absent\nat boot: up\nservice: not supervised\n",
            f"link: {nowhere}/send\nat boot: up\nservice: up\n",
        )
        assert result["status"] == "unable to chdir: file does not exist"
    assert world.run("send", True, service_directory=nowhere, state="absent")["changed"] is False


@pytest.mark.slow
def test_a_link_to_another_service_is_replaced_and_that_one_ends(world: World) -> None:
    old = world.supervised("old")
    (world.scanned / "old").rename(world.scanned / "send")
    new = world.define("send")
    world.svscan(after_seconds=0.6)
    result = world.run("send")
    assert diff_text(result) == (
        f"link: {old}\nat boot: up\nservice: not supervised\n",
        f"link: {new}\nat boot: up\nservice: up\n",
    )
    assert svstat(old) == "supervise not running"


def test_a_relative_link_becomes_absolute_and_the_process_stays(world: World) -> None:
    directory = world.supervised("send")
    pid = pid_of(directory)
    (world.scanned / "send").unlink()
    (world.scanned / "send").symlink_to("../send")
    result = world.run("send")
    assert diff_text(result)[0] == "link: ../send\nat boot: up\nservice: up\n"
    assert os.readlink(world.scanned / "send") == str(directory)
    assert result["pid"] == pid


NO_NAME = "the name is not one that svscan looks at; expected no '/' and no '.' first"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "a/b"}, f"service 'a/b': {NO_NAME}"),
    ({"name": ".a"}, f"service '.a': {NO_NAME}"),
    (
        {"directory": "etc/send"},
        "service 'send': directory 'etc/send' is not absolute; expected a path from '/'",
    ),
    ({"enabled": False}, "service 'send': state 'started' without a link cannot be; expected enabled: true"),
    (
        {"stable_seconds": 9},
        "service 'send': stable_seconds 9 cannot be reached; expected less than timeout_seconds, which is 9",
    ),
]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(
    world: World, arguments: dict[str, Any], message: str, check: bool
) -> None:
    assert world.run(**{"name": "send", "check": check, **arguments})["msg"] == message


def test_what_is_missing_in_a_run_is_named(world: World) -> None:
    directory = world.root / "send"
    assert world.run("send")["msg"] == f"service send: '{directory}' has no run program; expected 'run' in it"
    world.define("send")
    nowhere = f"{world.root}/none"
    assert world.run("send", service_directory=nowhere)["msg"] == (
        f"service send: '{nowhere}' is not a directory; expected that of svscan"
    )
    (world.scanned / "send").mkdir()
    assert world.run("send", check=True)["msg"] == (
        f"service link {world.scanned}/send: there is something else; expected a link or nothing"
    )
    assert world.run("send", state="absent")["failed"] is True
