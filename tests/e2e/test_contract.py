# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the files that the front and qmail-smtpd judge by: each is broken below sessions."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.conversations import NOBODY, NOT_OURS, OFFICE, OK, STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed, gateway_pid, matches
from support.session_watch import UNCERTAIN, Allowed, Watch, asked, begun, verdict
from support.smtp_client import CLOSED, Session

SERVICE_SECONDS = 60.0

GOOD, UNKNOWN, FOREIGN = "alice@example.test", "nobody@example.test", "victim@else.where"


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(2048))


def without_records(path: Path) -> None:
    """Write a cdb that is well formed and empty: 256 tables without slots behind the header."""
    path.write_bytes(256 * ((2048).to_bytes(4, "little") + bytes(4)))


def first_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2048])


def cut_by_one(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(path.name).randbytes(max(path.stat().st_size, 3000)))


def unreadable(path: Path) -> None:
    path.chmod(0)


def comments_only(path: Path) -> None:
    path.write_bytes(b"# nothing here\n\n")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@contextmanager
def damaged(path: Path, harm: Callable[[Path], None]) -> Iterator[None]:
    """Break the file in place, or what a relative link there leads to, and put it back in one rename."""
    if path.is_symlink():
        path = path.parent / path.readlink()
    kept = path.with_name(path.name + ".kept")
    shutil.copy2(path, kept)
    owner = path.stat()
    os.chown(kept, owner.st_uid, owner.st_gid)
    harm(path)
    try:
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        kept.rename(path)


@pytest.fixture
def control(bed: Bed) -> Path:
    return Path(f"/proc/{gateway_pid(bed.name)}/root/var/qmail/control")


@pytest.fixture
def etc(bed: Bed) -> Path:
    return Path(f"/proc/{gateway_pid(bed.name)}/root/etc")


def hold(
    path: Path, harm: Callable[[Path], None], allowed: tuple[Allowed, ...], broken: dict[tuple[str, str], str]
) -> None:
    """Break the file below running sessions, ask by name what `broken` says, and repair it again."""
    with Watch(allowed) as watch:
        time.sleep(0.2)
        with damaged(path, harm):
            for (who, address), reply in broken.items():
                got = verdict(who, address)
                assert matches(reply, got), (
                    f"{path.name} {harm.__name__}: {who} for {address} heard {got!r}; expected {reply!r}"
                )
            time.sleep(0.2)
        deadline = time.monotonic() + 10
        while verdict(STRANGER, GOOD) != OK:
            assert time.monotonic() < deadline, f"{path.name} was mended and {GOOD} is still not accepted"
    assert watch.asked > 0
    assert watch.wrong == []


STRANGERS = (
    Allowed(STRANGER, GOOD, (OK, UNCERTAIN)),
    Allowed(STRANGER, UNKNOWN, (NOBODY, UNCERTAIN)),
    Allowed(STRANGER, FOREIGN, (NOT_OURS, UNCERTAIN)),
    Allowed(OFFICE, FOREIGN, (OK,)),
)


@pytest.mark.parametrize(
    "harm",
    [
        remove,
        empty,
        zeros,
        without_records,
        first_half,
        header_only,
        cut_by_one,
        garbage,
        unreadable,
        directory,
    ],
)
def test_a_damaged_validrcptto_is_451_for_everybody_it_judges(
    bed: Bed, control: Path, harm: Callable[[Path], None]
) -> None:
    hold(
        control / "validrcptto.cdb",
        harm,
        STRANGERS,
        {
            (STRANGER, GOOD): UNCERTAIN,
            (STRANGER, UNKNOWN): UNCERTAIN,
            (STRANGER, "postmaster"): UNCERTAIN,
            (STRANGER, FOREIGN): NOT_OURS,
            (OFFICE, UNKNOWN): OK,
        },
    )


@pytest.mark.patch("10-validrcptto")
def test_a_session_outlives_a_damaged_validrcptto(bed: Bed, control: Path) -> None:
    with begun(STRANGER) as session:
        assert asked(session, GOOD) == OK
        with damaged(control / "validrcptto.cdb", first_half):
            assert asked(session, GOOD) == UNCERTAIN
        assert asked(session, GOOD) == OK


@pytest.mark.patch("20-rcpthosts")
@pytest.mark.parametrize("harm", [remove, empty, comments_only, unreadable, directory])
def test_rcpthosts_never_means_everybody(bed: Bed, control: Path, harm: Callable[[Path], None]) -> None:
    hold(
        control / "rcpthosts",
        harm,
        STRANGERS,
        {(STRANGER, GOOD): UNCERTAIN, (STRANGER, FOREIGN): UNCERTAIN, (OFFICE, FOREIGN): OK},
    )


@pytest.fixture
def unwatched(bed: Bed) -> Iterator[None]:
    """Stop the service rules meanwhile, which would repair the file."""
    assert bed.inside("svc", "-d", "/service/rules")[0] == 0
    deadline = time.monotonic() + SERVICE_SECONDS
    while ": down " not in bed.inside("svstat", "/service/rules")[1]:
        assert time.monotonic() < deadline, "the service of the rules goes on"
        time.sleep(0.1)
    try:
        yield
    finally:
        assert bed.inside("svc", "-u", "/service/rules")[0] == 0


@pytest.mark.parametrize(
    "harm", [remove, empty, zeros, without_records, first_half, header_only, garbage, unreadable]
)
@pytest.mark.usefixtures("unwatched")
def test_broken_rules_never_relay(bed: Bed, etc: Path, harm: Callable[[Path], None]) -> None:
    dropped = (CLOSED, "no session: *")
    hold(
        etc / "tcp.smtp.cdb",
        harm,
        (
            Allowed(STRANGER, GOOD, (OK, *dropped)),
            Allowed(STRANGER, FOREIGN, (NOT_OURS, *dropped)),
        ),
        {},
    )


@pytest.mark.parametrize(
    "harm", [remove, empty, zeros, without_records, first_half, header_only, garbage, unreadable]
)
@pytest.mark.usefixtures("unwatched")
def test_broken_rules_make_nobody_a_relay_client(bed: Bed, etc: Path, harm: Callable[[Path], None]) -> None:
    with damaged(etc / "tcp.smtp.cdb", harm):
        for who in (STRANGER, OFFICE):
            got = verdict(who, FOREIGN)
            assert got in (NOT_OURS, CLOSED), (
                f"{who} heard {got!r}; expected a refusal or a closed connection"
            )


# --- smtpfront and its launcher ---


@pytest.fixture
def fronted(bed: Bed) -> Bed:
    if bed.front != "smtpfront":
        pytest.skip("tcpserver is the front: there is no launcher")
    return bed


def test_smtpfront_killed_loses_only_what_is_not_handed_over(fronted: Bed) -> None:
    with begun(STRANGER) as served, Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=20) as waiting:
        assert asked(served, GOOD) == OK
        assert waiting.reply().startswith("220 ")
        (front,) = (pid for pid, program in fronted.processes().items() if program == "smtpfront")
        os.kill(front, signal.SIGKILL)
        assert waiting.reply() == CLOSED
        fronted.wait_until_greeted(SERVICE_SECONDS)
        assert verdict(STRANGER, GOOD) == OK
        assert asked(served, UNKNOWN) == NOBODY
        served.send(b"QUIT\r\n")
        assert served.reply().startswith("221 ")


def critical(bed: Bed, *checks: str) -> list[str]:
    only = [word for check in checks for word in ("--only", check)]
    said = bed.inside("mailgate", "doctor", *only, "--json")[1]
    return [one["text"] for one in json.loads(said)["findings"] if one["status"] == 2]


def test_without_the_launcher_everybody_is_put_off(fronted: Bed) -> None:
    assert fronted.inside("svc", "-d", "/service/qmail-smtpd")[0] == 0
    try:
        deadline = time.monotonic() + SERVICE_SECONDS
        while "smtplaunch" in fronted.processes().values():
            assert time.monotonic() < deadline, "the launcher goes on"
            time.sleep(0.1)
        assert verdict(STRANGER, GOOD).startswith("451 ")
        assert verdict(STRANGER, FOREIGN) == NOT_OURS
        with Session(OFFICE, GATEWAY_ADDRESS, timeout_seconds=20) as session:
            assert session.reply().startswith("421 ")
        assert any("qmail-smtpd" in text for text in critical(fronted, "services"))
    finally:
        assert fronted.inside("svc", "-u", "/service/qmail-smtpd")[0] == 0
    fronted.wait_until_greeted(SERVICE_SECONDS)
    assert verdict(STRANGER, GOOD) == OK


def test_without_qmail_smtpd_everybody_is_put_off(fronted: Bed) -> None:
    program = fronted.root / "var/qmail/bin/qmail-smtpd"
    before = program.stat().st_mode & 0o7777
    program.chmod(0o644)
    try:
        assert verdict(STRANGER, GOOD).startswith("451 ")
        assert verdict(OFFICE, GOOD) == CLOSED
        assert any("qmail-smtpd" in text for text in critical(fronted, "programs"))
    finally:
        program.chmod(before)
    assert verdict(STRANGER, GOOD) == OK
