# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each part of a running gateway is broken for real: the doctor reports it, and no fault afterwards."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import name_servers
from support.conversations import HOSTNAME
from support.gateway import Bed, submit
from support.waiting import eventually

SETTINGS = "/etc/mailgate/doctor-test.json"
OK, WARNING, CRITICAL = 0, 1, 2
WELL_SECONDS = 60.0
QUEUE = "var/qmail/queue"


@dataclass
class Said:
    status: int
    findings: list[dict[str, Any]]

    def of(self, check: str) -> list[tuple[int, str]]:
        return [(one["status"], one["text"]) for one in self.findings if one["check"] == check]


@dataclass
class Doctor:
    """The doctor in the gateway, with the site's settings and what the tests change in them."""

    bed: Bed

    @property
    def root(self) -> Path:
        return self.bed.root

    def ask(self, *options: str, settings: str = SETTINGS) -> Said:
        status, said, trouble = self.bed.inside(
            "mailgate", "doctor", "--json", "--settings", settings, *options, within_seconds=90
        )
        assert not trouble, trouble
        answer = json.loads(said)
        assert answer["status"] == status
        return Said(status, answer["findings"])

    def settle(self, **changed: Any) -> None:
        """Write the site's settings, which these tests may restart services under, with these changes."""
        given = json.loads((self.root / "etc/mailgate/doctor.json").read_text())
        limits = {**given["limits"], "service_starts": [1000, 1000], **changed.pop("limits", {})}
        (self.root / SETTINGS.lstrip("/")).write_text(json.dumps({**given, "limits": limits, **changed}))

    def expect(self, check: str, status: int, text: str) -> None:
        said = self.ask("--only", check)
        found = [words for level, words in said.of(check) if level == status and text in words]
        assert found, f"expected {status} {text!r} of {said.findings}"
        assert said.status == status
        advice = [one["advice"] for one in said.findings if one["text"] == found[0]]
        assert advice[0], "no advice"
        print(f"\n{check}: {found[0]}\n  -> {advice[0]}")

    def well(self, *checks: str) -> None:
        """Wait until the checks find no fault any more, at most the time that a service takes to start."""
        only = [word for check in checks for word in ("--only", check)]
        last: list[Said] = []

        def content() -> bool:
            last[:] = [self.ask(*only)]
            return last[0].status == OK

        try:
            eventually(content, f"well again: {checks}", WELL_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from error


@pytest.fixture
def doctor(bed: Bed) -> Iterator[Doctor]:
    one = Doctor(bed)
    one.settle()
    yield one
    (bed.root / SETTINGS.lstrip("/")).unlink()
    forget_starts(bed)


def forget_starts(bed: Bed) -> None:
    """Keep the restarts of the tests from counting against the gateway in a later check."""
    (bed.root / "var/lib/mailgate/doctor/starts.json").unlink(missing_ok=True)


@contextmanager
def down(doctor: Doctor, *services: str) -> Iterator[None]:
    places = [f"/service/{name}" for name in services]
    doctor.bed.inside("svc", "-d", *places)
    eventually(lambda: "up (" not in doctor.bed.inside("svstat", *places)[1], f"{services} are down", 20)
    try:
        yield
    finally:
        doctor.bed.inside("svc", "-u", *places)


@contextmanager
def written(path: Path, content: bytes) -> Iterator[None]:
    """Give the file another content, in place: owner and mode stay."""
    before = path.read_bytes()
    times = path.stat()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, (times.st_atime, times.st_mtime))


@contextmanager
def mode(path: Path, number: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(number)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def made(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    make(path)
    try:
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def test_a_converged_gateway_is_well(bed: Bed) -> None:
    """With the site's own settings there is no finding, so EICAR and GTUBE were refused."""
    forget_starts(bed)
    began = time.monotonic()
    status, said, trouble = bed.inside("mailgate", "doctor", within_seconds=90)
    took = time.monotonic() - began
    print(f"\n{said}\n{took:.1f} s")
    assert (status, trouble) == (0, ""), said
    assert said.startswith("MAILGATE OK: ")
    lines = said.splitlines()
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 80
    assert "\033" not in said
    assert "virus: EICAR is refused by the scanner" in said
    assert "spam: GTUBE is refused by the scanner" in said
    assert took < 60
    began = time.monotonic()
    status, said, _trouble = bed.inside("mailgate", "doctor", "--quick")
    assert status == 0, said
    assert time.monotonic() - began < 30  # a hang is found, not a busy machine
    assert "EICAR" not in said


def test_a_service_that_is_down(doctor: Doctor) -> None:
    with down(doctor, "simscan-cleaner"):
        doctor.expect("services", CRITICAL, "simscan-cleaner has been down")
        quick = doctor.ask("--quick", "--only", "services")
        assert quick.status == CRITICAL
    doctor.well("services")


def test_a_service_that_flaps(doctor: Doctor) -> None:
    run = doctor.root / "var/lib/mailgate/supervise/simscan-cleaner/run"
    with written(run, b"#!/bin/sh\necho no luck >&2\nsleep 1\nexit 1\n"):
        doctor.bed.inside("svc", "-t", "/service/simscan-cleaner")
        doctor.expect("services", CRITICAL, "simscan-cleaner is flapping")
    doctor.well("services")


def test_starts_within_the_hour_are_remembered(doctor: Doctor) -> None:
    doctor.settle(limits={"service_starts": [1, 1000]})
    doctor.expect("services", WARNING, "was seen to start 1 times within an hour")


def test_without_clamd(doctor: Doctor) -> None:
    with down(doctor, "clamd"):
        doctor.expect("virus", CRITICAL, "the scanner is broken, mail is deferred (451 ")
        assert "clamd" in doctor.ask("--only", "virus").of("virus")[0][1], "the scanner's own reason"
        doctor.expect("signatures", CRITICAL, "clamd does not answer")
    doctor.well("virus", "signatures")


def test_without_spamd(doctor: Doctor) -> None:
    with down(doctor, "spamd"):
        doctor.expect("spam", CRITICAL, "the scanner is broken, mail is deferred (451 ")
        doctor.expect("spam-rules", CRITICAL, "spamd does not answer")
    doctor.well("spam", "spam-rules")


def test_a_gateway_that_does_not_scan(doctor: Doctor) -> None:
    doctor.settle(proof="127.0.0.1:25")
    with doctor.bed.unscanned():
        doctor.expect("safety", CRITICAL, "qmail-smtpd's QMAILQUEUE is '/var/qmail/bin/qmail-queue'")
        doctor.expect("virus", CRITICAL, "EICAR was delivered unscanned")
        came = doctor.bed.mailroom.claim(lambda one: b"EICAR was not refused" in one.content, 30)
        assert came is not None
        assert came.recipient == json.loads((doctor.root / SETTINGS[1:]).read_text())["postmaster"]
    doctor.well("safety", "virus")


def test_old_signatures(doctor: Doctor) -> None:
    doctor.settle(limits={"signature_age_hours": [48, 168]}, official_signatures=False)
    files = [one for one in (doctor.root / "var/lib/clamav").iterdir() if one.is_file()]
    times = {one: one.stat().st_mtime for one in files}
    try:
        for one in files:
            os.utime(one, (time.time(), time.time() - 3 * 86400))
        doctor.expect("signatures", WARNING, "the signatures are 3 days old")
        for one in files:
            os.utime(one, (time.time(), time.time() - 8 * 86400))
        doctor.expect("signatures", CRITICAL, "the signatures are 8 days old")
    finally:
        for one, when in times.items():
            os.utime(one, (when, when))


def test_old_rules(doctor: Doctor) -> None:
    doctor.settle(limits={"rules_age_days": [1, 2]})
    updates = doctor.root / "var/lib/spamassassin/9.999999"
    old = time.time() - 1.5 * 86400
    with ExitStack() as stack:
        stack.enter_context(made(updates, lambda path: path.mkdir(parents=True)))
        rules = updates / "updates.cf"
        stack.enter_context(made(rules, lambda path: path.write_text("")))
        os.utime(rules, (old, old))
        doctor.expect("spam-rules", WARNING, "the rules are 36 hours old")


def test_a_list_that_nobody_exported_for_days(doctor: Doctor) -> None:
    settings = doctor.root / "etc/mailgate/recipients.json"
    given = json.loads(settings.read_text())
    given["domains"] = [*given["domains"], {"name": "ad.example", "recipients": "directory"}]
    given["directories"] = [
        {
            "servers": ["198.18.0.10"],
            "bases": ["DC=ad,DC=example"],
            "user": "reader@ad.example",
            "password_file": "/etc/mailgate/directory-ad.password",
            "preset": "exchange",
        }
    ]
    state = doctor.root / "var/lib/mailgate/recipients/state.json"
    old = json.dumps({"last_export": time.time() - 3 * 86400}).encode()
    with ExitStack() as stack:
        stack.enter_context(written(settings, json.dumps(given).encode()))
        if not state.exists():
            stack.enter_context(made(state, lambda path: path.write_text("{}")))
        stack.enter_context(written(state, old))
        doctor.expect("recipients", WARNING, "the directory's last export is 72.0 hours old")
        doctor.expect("directories", WARNING, "198.18.0.10:636 cannot be reached: connection refused")
    doctor.well("recipients", "directories")


def test_a_list_that_is_damaged_or_unreadable(doctor: Doctor) -> None:
    served = doctor.root / "var/lib/mailgate/recipients/validrcptto.cdb"
    with written(served, b"garbage"):
        doctor.expect("recipients", CRITICAL, "validrcptto.cdb")
    with mode(served, 0o600):
        doctor.expect("recipients", CRITICAL, "cannot be read by qmail-smtpd")
    doctor.well("recipients")


def test_a_bad_line_of_the_operators(doctor: Doctor) -> None:
    fragment = doctor.root / "etc/tcp.d/20-operator"
    with ExitStack() as stack:
        if not fragment.exists():
            stack.enter_context(made(fragment, lambda path: path.write_text("")))
        stack.enter_context(written(fragment, b":allow,RELAYCLIENT\n"))
        doctor.expect("rules", WARNING, "20-operator line 1: ':allow,RELAYCLIENT'")
    doctor.well("rules")


def test_rules_that_let_everybody_relay(doctor: Doctor) -> None:
    """Compiled rules that the compiler has not written are found."""
    with down(doctor, "rules"):
        compiled = doctor.root / "etc/tcp.smtp.cdb"
        before = compiled.read_bytes()
        try:
            status, said, trouble = doctor.bed.inside(
                "sh", "-ec", "cd /tmp; tcprules /etc/tcp.smtp.cdb evil.tmp", text=':allow,RELAYCLIENT=""\n'
            )
            assert status == 0, said + trouble
            doctor.expect("safety", CRITICAL, "lets everybody relay, and no fragment has that rule")
        finally:
            compiled.write_bytes(before)
    doctor.well("safety", "rules")


@pytest.mark.parametrize(
    ("path", "number", "check", "status", "text"),
    [
        ("var/qmail/bin/simscan", 0o755, "safety", CRITICAL, "bin/simscan is 0755 simscan:nofiles"),
        ("var/spool/simscan", 0o777, "ramdisk", CRITICAL, "/var/spool/simscan is 0777 simscan:simscan"),
        ("var/qmail/cqgreylist", 0o500, "greylist", CRITICAL, "/var/qmail/cqgreylist is 0500 "),
    ],
)  # fmt: skip
def test_modes(doctor: Doctor, path: str, number: int, check: str, status: int, text: str) -> None:
    with mode(doctor.root / path, number):
        doctor.expect(check, status, text)
    doctor.well(check)


def test_without_domains(doctor: Doctor) -> None:
    with written(doctor.root / "var/qmail/control/rcpthosts", b""):
        doctor.expect("safety", CRITICAL, "control/rcpthosts is empty")
    doctor.well("safety")


def test_a_job_that_is_late(doctor: Doctor) -> None:
    state = doctor.root / "var/lib/mailgate/simscan/every.json"
    kept = json.loads(state.read_text())
    doctor.settle(
        jobs=[
            {
                "name": "simscan-cleaner",
                "state": "/var/lib/mailgate/simscan/every.json",
                "period_seconds": 300,
            }
        ]
    )
    with written(state, json.dumps({**kept, "last_success": time.time() - 3600}).encode()):
        doctor.expect("jobs", CRITICAL, "simscan-cleaner succeeded 60 minutes ago")
    doctor.well("jobs")


def test_without_dnscache(doctor: Doctor) -> None:
    with down(doctor, "dnscache"):
        doctor.expect("dns", CRITICAL, "dnscache on 127.0.0.1 does not answer")
    doctor.well("dns")


def test_ports_that_are_closed(doctor: Doctor) -> None:
    doctor.settle(ports=["198.18.0.10:2525", "198.18.0.10:2526"])
    doctor.expect("ports", WARNING, "198.18.0.10:2526 cannot be reached: connection refused")
    doctor.settle(ports=["198.18.0.10:2525"])
    doctor.well("ports", "backends")
    title, backend = next(iter(doctor.bed.backends.items()))
    backend.stop()
    try:
        doctor.expect("backends", CRITICAL, f"{backend.address}:{backend.port} cannot be reached: connection")
    finally:
        backend.start()
    doctor.well("backends")
    assert title in doctor.bed.backends


def test_a_message_that_waits_for_its_back_end(doctor: Doctor) -> None:
    reason = doctor.bed.only_real("the stand-in has no queue")
    if reason:
        pytest.skip(reason)
    top = doctor.root / QUEUE
    backend = next(one for one in doctor.bed.backends.values() if one.address == "198.18.0.10")
    before = {one.name for one in top.glob("info/*/*")}
    subject = f"doctor {time.time_ns()}"
    backend.stop()
    try:
        said = submit(f"Subject: {subject}\r\n\r\nhello\r\n".encode(), "alice@example.test")
        assert said.startswith("250 "), said
        new = lambda: [one for one in top.glob("info/*/*") if one.name not in before]  # noqa: E731
        eventually(lambda: bool(new()), "the message is in the queue", 20)
        old = time.time() - 5 * 3600
        log = doctor.root / "var/log/qmail/send/current"
        eventually(lambda: "deferral" in log.read_text()[-2000:], "the message was deferred", 20)
        for one in new():
            os.utime(one, (old, old))
        doctor.expect("queue", WARNING, "the oldest message has waited for 5 hours; the last deferral: ")
    finally:
        backend.start()
        # qmail-tcpto keeps an hour what did not answer
        (top / "lock/tcpto").write_bytes(bytes((top / "lock/tcpto").stat().st_size))
        doctor.bed.inside("svc", "-a", "/service/qmail-send")
    assert doctor.bed.mailroom.claim(lambda one: subject.encode() in one.content, 30)
    doctor.well("queue")


def test_a_ramdisk_that_is_full(doctor: Doctor) -> None:
    directory = doctor.root / "var/spool/simscan"
    room = os.statvfs(directory)

    def fill(path: Path) -> None:
        with path.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, room.f_bavail * room.f_frsize * 6 // 10)

    with made(directory / "fill", fill):
        doctor.expect("ramdisk", WARNING, "/var/spool/simscan has 40 % free")
    with down(doctor, "simscan-cleaner"):
        left = directory / f"{int(time.time()) - 720}.000001.999999"
        with made(left, lambda path: path.mkdir()):
            doctor.expect("ramdisk", WARNING, "1 leftovers in /var/spool/simscan, the oldest 12 minutes old")
    doctor.well("ramdisk")


def test_a_disk_that_is_full(doctor: Doctor) -> None:
    doctor.settle(limits={"disk_free_percent": [100, 0]})
    doctor.expect("disk", WARNING, "/var/qmail/queue has ")


def test_without_the_blacklist(doctor: Doctor) -> None:
    with down(doctor, "adaptive-blacklist"):
        doctor.expect("blacklist", WARNING, "the adaptive blacklist does not answer")
    doctor.well("blacklist")


def test_without_the_operators_service(doctor: Doctor) -> None:
    if not (doctor.root / "service/operator").is_dir():
        pytest.skip("this gateway has no service operator")
    with down(doctor, "operator"):
        doctor.expect("operator", WARNING, "the operator's service does not answer")
    doctor.well("operator")


@pytest.mark.skipif(not shutil.which("tinydns"), reason="this machine has no tinydns")
def test_reverse_dns(doctor: Doctor, tmp_path: Path) -> None:
    address = "192.0.2.5"
    arpa = "5.2.0.192.in-addr.arpa"
    doctor.settle(public_addresses=[address], dns_name="there.example")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for place in (right, wrong):
        place.mkdir()
    known = "+there.example:192.0.2.9:1"
    records = (*name_servers.ROOT_ZONE, known, f"={HOSTNAME}:{address}:1")
    with name_servers.world(right, records), name_servers.resolving(doctor.bed):
        doctor.well("reverse", "dns")
    records = (*name_servers.ROOT_ZONE, f"+{HOSTNAME}:{address}:1", f"^{arpa}:other.example:1")
    with name_servers.world(wrong, records), name_servers.resolving(doctor.bed):
        doctor.expect("reverse", WARNING, f"{address} has the name other.example in DNS; expected {HOSTNAME}")
        doctor.expect("dns", CRITICAL, "there.example does not resolve: no such name")
