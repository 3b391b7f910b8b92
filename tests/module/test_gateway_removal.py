# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_removal ends services under the real supervise, but not while mail waits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import removal, svscan
from ansible_collections.mailgate.qmail.plugins.modules import gateway_removal
from support.daemontools_services import World, is_gone, pid_of, wait_for
from support.module_runner import run_module

SERVICES = ["/service/qmail-smtpd", "/service/stats"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def gateway(world: World) -> SimpleNamespace:
    (world.root / "etc").mkdir(exist_ok=True)
    return SimpleNamespace(params={"prefix": str(world.root), "other_accounts": []})


def linked(world: World) -> set[str]:
    return {one.name for one in world.scanned.iterdir()}


def test_mail_of_the_last_moment_opens_the_gateway_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = gateway(world)
    directories = [world.supervised("qmail-smtpd"), world.supervised("stats")]
    listener, other = (pid_of(one) for one in directories)
    monkeypatch.setattr(gateway_removal, "queued", lambda _prefix: 1)
    with pytest.raises(BadInput, match="1 messages wait; expected none, or gateway_remove_queued"):
        gateway_removal.stop(module, SERVICES, allowed=False)
    wait_for(lambda: pid_of(directories[0]) not in (0, listener))
    assert pid_of(directories[1]) == other
    assert linked(world) == {"qmail-smtpd", "stats"}
    gateway_removal.stop(module, SERVICES, allowed=True)
    assert linked(world) == set()
    assert all(is_gone(one) for one in directories)


STUBBORN = "#!/bin/sh\ntrap '' TERM\necho x >ready\nwhile :; do sleep 1; done\n"


@pytest.mark.slow
def test_a_service_that_does_not_end_leaves_the_gateway_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = gateway(world)
    directories = [world.define("qmail-smtpd"), world.define("stats")]
    for one in directories:
        (world.scanned / one.name).symlink_to(one)
    world.svscan()
    wait_for(lambda: all(pid_of(one) for one in directories))
    listener, other = (pid_of(one) for one in directories)
    retire = svscan.Steward.retire

    def fails(steward: svscan.Steward, directory: str) -> None:
        if steward.name == "stats":
            raise MailgateError("stats did not end")
        retire(steward, directory)

    monkeypatch.setattr(svscan.Steward, "retire", fails)
    with pytest.raises(MailgateError, match="stats did not end"):
        gateway_removal.stop(module, SERVICES, allowed=False)
    assert linked(world) == {"qmail-smtpd", "stats"}
    wait_for(lambda: pid_of(directories[0]) not in (0, listener), 30)
    assert pid_of(directories[1]) == other


def test_a_listener_that_does_not_end_takes_mail_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    module = gateway(world)
    directories = [world.supervised("qmail-smtpd", STUBBORN), world.supervised("smtpfront")]
    wait_for((directories[0] / "ready").exists)
    front = pid_of(directories[1])
    monkeypatch.setattr(gateway_removal, "END_SECONDS", -1)
    with pytest.raises(BadInput, match="did not end; expected them down"):
        gateway_removal.stop(module, ["/service/qmail-smtpd", "/service/smtpfront"], allowed=False)
    wait_for(lambda: pid_of(directories[1]) not in (0, front))

    def wanted_up() -> bool:
        status = supervise.look(str(directories[0])).status
        return status is not None and status.want == "up"

    wait_for(wanted_up)


def test_a_service_that_an_operator_ended_stays_down_after_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = gateway(world)
    directory = world.supervised("qmail-smtpd")
    supervise.tell(str(directory), b"d")
    wait_for(lambda: pid_of(directory) == 0)
    told: list[bytes] = []
    monkeypatch.setattr(supervise, "tell", lambda _directory, orders: told.append(orders))
    monkeypatch.setattr(gateway_removal, "queued", lambda _prefix: 1)
    with pytest.raises(BadInput, match="1 messages wait"):
        gateway_removal.stop(module, ["/service/qmail-smtpd"], allowed=False)
    monkeypatch.undo()
    assert told == [b"d"]


def test_a_run_that_broke_off_is_run_again(world: World) -> None:
    module = gateway(world)
    directory = world.supervised("stats")
    (world.scanned / "stats").rename(world.scanned / ".stats.ending")
    gateway_removal.stop(module, ["/service/.stats.ending"], allowed=False)
    assert linked(world) == set() and is_gone(directory)


def test_services_without_supervise_are_passed_over(world: World) -> None:
    module = gateway(world)
    (world.scanned / "qmail-smtpd").symlink_to(world.define("qmail-smtpd"))
    (world.scanned / "smtpfront").symlink_to("/nonexistent/smtpfront")
    directory = world.supervised("stats")
    gateway_removal.stop(module, ["/service/smtpfront", *SERVICES], allowed=False)
    assert linked(world) == set() and is_gone(directory)


@pytest.mark.parametrize("status", [2, 127, -9])
def test_packages_that_cannot_be_asked_are_an_error(status: int) -> None:
    module = SimpleNamespace(run_command=lambda _argv, **_more: (status, "", "the database is locked\n"))
    with pytest.raises(BadInput, match=f"'dpkg-query -S' ended with {status}; .*: the database is locked"):
        gateway_removal.packaged(module, ["/etc/clamav"])


def test_packages_own_some_of_the_paths() -> None:
    module = SimpleNamespace(run_command=lambda _argv, **_more: (1, "clamav-base: /etc/clamav\n", "no path"))
    assert gateway_removal.packaged(module, ["/etc/clamav", "/etc/tcp.d"]) == {"/etc/clamav"}


def test_processes_of_accounts_that_stay_go_on(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0::/root:/x\nstats:x:700:7::/s:/x\nqmaild:x:701:7::/q:/x\nalice:x:702:7::/a:/x\n"
        "qmailq:x:703:7::/q:/x\nqmails:x:0:7::/q:/x\ntheirs:x:703:7::/t:/x\n+::::::\n"
    )
    assert gateway_removal.our_uids(str(tmp_path), []) == {700, 701, 703}
    assert gateway_removal.our_uids(str(tmp_path), ["stats", "theirs", "unknown"]) == {701}


def test_the_role_names_the_accounts_that_stay_each_time() -> None:
    role = Path(__file__).resolve().parents[2] / "roles/remove/tasks/main.yml"
    tasks = [one.get("mailgate.qmail.gateway_removal") for one in yaml.safe_load(role.read_text())]
    given = [one for one in tasks if one]
    assert [one["state"] for one in given] == ["stopped", "absent"]
    assert all(one["other_accounts"] == "{{ remove_other_accounts }}" for one in given)


def test_sessions_end_between_the_listeners_and_the_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = gateway(world)
    directory = world.supervised("qmail-smtpd")
    seen: list[str] = []

    def sessions(_module: object) -> None:
        seen.append("sessions, listener down" if pid_of(directory) == 0 else "sessions, listener up")

    def count(_prefix: str) -> int:
        seen.append("count")
        return 0

    monkeypatch.setattr(gateway_removal, "end_sessions", sessions)
    monkeypatch.setattr(gateway_removal, "queued", count)
    gateway_removal.stop(module, ["/service/qmail-smtpd"], allowed=False)
    assert seen == ["sessions, listener down", "count"]


def test_sessions_are_processes_of_two_users(monkeypatch: pytest.MonkeyPatch) -> None:
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(4)]
    try:
        users = dict(zip((one.pid for one in children), (701, 702, 703, 704)))
        passwd = "qmaild:x:701:7::/:/x\nsmtpfront:x:702:7::/:/x\nqmails:x:703:7::/:/x\nalice:x:704:7::/:/x\n"
        monkeypatch.setattr(gateway_removal, "read", lambda _path: passwd)
        monkeypatch.setattr(
            gateway_removal,
            "processes",
            lambda: [(one.pid, "x", users[one.pid]) for one in children if one.poll() is None],
        )
        module = SimpleNamespace(params={"prefix": "", "other_accounts": ["smtpfront"]})
        gateway_removal.end_sessions(module)
        assert [one.poll() is None for one in children] == [False, True, True, True]
        module.params["other_accounts"] = []
        gateway_removal.end_sessions(module)
        assert [one.poll() is None for one in children] == [False, False, True, True]
        monkeypatch.setattr(gateway_removal, "end_processes", lambda _uids: [4711])
        with pytest.raises(BadInput, match=r"sessions: processes \[4711\] did not end"):
            gateway_removal.end_sessions(module)
    finally:
        for one in children:
            one.kill()
            one.wait()


def put(root: Path, number: int) -> Path:
    """Queue a message as qmail-queue does."""
    message = root / f"var/qmail/queue/mess/1/{number}"
    envelope = root / f"var/qmail/queue/todo/{number}"
    for path in (message, envelope):
        path.parent.mkdir(parents=True, exist_ok=True)
    message.write_text("Subject: x\n")
    envelope.write_bytes(b"u1\0p1\0Fa@example.test\0Tb@example.test\0")
    return message


def made(root: Path) -> tuple[Path, Path]:
    program, bayes = root / "var/qmail/bin/qmail-inject", root / "var/lib/spamd/bayes/bayes_toks"
    for path in (program, bayes):
        path.parent.mkdir(parents=True)
        path.write_text("x")
    (root / "etc").mkdir()
    for name in ("passwd", "group"):
        (root / "etc" / name).write_text("")
    (root / "var/qmail/queue/mess/1").mkdir(parents=True)
    return program, bayes


@pytest.mark.parametrize("check", [False, True])
def test_the_queue_is_counted_again_before_anything_goes(tmp_path: Path, check: bool) -> None:
    program, bayes = made(tmp_path)
    message = put(tmp_path, 24)
    arguments = {"state": "absent", "prefix": str(tmp_path), "data": True}
    said = run_module("gateway_removal", arguments, check)
    assert said["failed"] and "1 messages came meanwhile, and stay; expected none" in said["msg"]
    assert message.exists() and program.exists() and bayes.exists()
    assert run_module("gateway_removal", {**arguments, "queued": True}, check)["changed"]
    assert message.exists() == check and program.exists() == check


def test_the_queue_is_counted_again_when_nothing_can_queue(tmp_path: Path) -> None:
    program, bayes = made(tmp_path)
    asked: list[tuple[str, ...]] = []

    def judge(more: Sequence[str]) -> removal.Found:
        asked.append(tuple(more))
        if more:  # a program of the host queues while the removal has begun
            put(tmp_path, 25)
        return removal.judge(str(tmp_path), True, more, False)

    with pytest.raises(BadInput, match="1 messages came meanwhile"):
        gateway_removal.take_away(str(tmp_path), True, judge)
    assert (tmp_path / "var/qmail/queue/mess/1/25").exists()
    assert not program.exists() and not bayes.exists() and paths.QMAIL_QUEUE in asked[-1]
    gateway_removal.take_away(
        str(tmp_path), False, lambda more: removal.judge(str(tmp_path), True, more, False)
    )
    assert not (tmp_path / "var/qmail").exists()


def test_a_message_that_is_being_queued_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    status = tmp_path / "proc/4711/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tqmail-queue\nUid:\t1000\t903\t903\t903\n")
    monkeypatch.setattr(gateway_removal, "QUEUE_SECONDS", -1)
    with pytest.raises(BadInput, match="qmail-queue: takes a message"):
        gateway_removal.refuse_late_mail(str(tmp_path))
    status.write_text("Name:\tqmail-send\nUid:\t1000\t903\t903\t903\n")
    gateway_removal.refuse_late_mail(str(tmp_path))
