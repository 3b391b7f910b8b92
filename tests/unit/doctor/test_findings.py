# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings from facts: each state of each part, at its limits."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.times import rounded
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import findings as doctor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    neighbours,
    network,
    policy,
    resources,
    scanners,
    schedule,
    services,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    LIMITS,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.network import Answer, Reached
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.policy import Rules, Safety
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.resources import (
    Clock,
    Greylist,
    Queue,
    Ramdisk,
    Space,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.sample_mail import Proof
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.scanners import Signatures
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.schedule import Run
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.services import Watched
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise

NOW = 1_795_000_000.0
SECOND = 1_000_000_000
HOUR, DAY = 3600.0, 86400.0


def told(findings: list[Finding]) -> list[tuple[int, str]]:
    """Check state and text; a finding has advice only when it is not ok."""
    for one in findings:
        assert bool(one.advice) == (one.status != OK), one
    return [(one.status, one.text) for one in findings]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], OK),
        ([OK, UNKNOWN], UNKNOWN),
        ([UNKNOWN, WARNING, OK], WARNING),
        ([WARNING, CRITICAL, UNKNOWN], CRITICAL),
    ],
)
def test_the_worst_state_counts_as_plug_ins_have_it(statuses: list[int], expected: int) -> None:
    assert doctor.worst(statuses) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("queue_messages", 499, OK),
        ("queue_messages", 500, WARNING),
        ("queue_messages", 5000, CRITICAL),
        ("disk_free_percent", 15.1, OK),
        ("disk_free_percent", 15, WARNING),
        ("disk_free_percent", 5, CRITICAL),
    ],
)
def test_a_limit_is_reached_from_its_side(name: str, value: float, expected: int) -> None:
    assert doctor.graded(name, value, LIMITS) == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (DAY, "24 hours"),
        (3 * DAY, "3 days"),
    ],
)
def test_a_span_in_words(seconds: float, words: str) -> None:
    assert rounded(seconds) == words


def up(
    pid: int = 7, age: float = 100, want: str = "up", paused: bool = False, normally_up: bool = True
) -> supervise.Service:
    since = int((NOW - age) * SECOND)
    return supervise.Service(normally_up, supervise.Status(since, pid, paused, want))


DOWN, GONE = up(0, 5), supervise.Service(False, None, "supervise not running")


@pytest.mark.parametrize(
    ("seen", "status", "text"),
    [
        (Watched("clamd", up(), up(), up()), OK, "clamd up for 100 seconds"),
        (Watched("clamd", up(), up(), None), OK, "clamd up for 100 seconds"),
        (Watched("clamd", up(), up(age=6), up()), OK, "clamd up for 6 seconds"),
        (Watched("clamd", up(), up(age=5), up()), WARNING, "clamd started 5 seconds ago"),
        (Watched("clamd", up(age=-7200), up(age=-7200), up()), OK, "clamd up for 0 seconds"),
        (
            Watched("clamd", up(), up(), up(), owed="/etc/clamav/clamd.conf changed"),
            CRITICAL,
            "clamd runs as it was before a change: /etc/clamav/clamd.conf changed",
        ),
        (
            Watched("clamd", up(), up(), up(), owed="/usr/sbin/clamd was replaced"),
            CRITICAL,
            "clamd runs a deleted program: /usr/sbin/clamd was replaced",
        ),
        (
            Watched("clamd", up(), up(), up(), log_owed="its run script changed"),
            CRITICAL,
            "clamd has a log service that runs as it was before a change: its run script changed",
        ),
        (Watched("clamd", GONE, GONE, None), CRITICAL, "clamd is not supervised: supervise not running"),
        (Watched("clamd", DOWN, DOWN, up(), 1, "'oops'"), CRITICAL, "clamd has been down for 5 seconds, its last log line: 'oops'"),
        (Watched("clamd", DOWN, up(0, 5, "down"), up()), CRITICAL, "clamd has been down for 5 seconds, as it was told"),
        (Watched("clamd", up(), DOWN, up()), CRITICAL, "clamd is flapping: it ended just now"),
        (Watched("clamd", up(6), up(7), up()), CRITICAL, "clamd is flapping: its process has changed"),
        (Watched("clamd", DOWN, up(7, 9), up()), CRITICAL, "clamd is flapping: its process has changed"),
        (Watched("clamd", up(), up(paused=True), up()), CRITICAL, "clamd is paused"),
        (Watched("clamd", up(), up(want="down"), up()), WARNING, "clamd was told to stop"),
        (Watched("clamd", up(), up(want=""), up()), WARNING, "clamd runs once and will not start again"),
        (Watched("clamd", up(), up(normally_up=False), up()), WARNING, "clamd will not start at the next boot"),
        (Watched("clamd", up(), up(), DOWN), CRITICAL, "clamd has no running log service, and will block once its output is not read"),
        (Watched("clamd", up(), up(), GONE), CRITICAL, "clamd has no running log service, and will block once its output is not read"),
        (Watched("clamd", up(), up(), up(), 3), WARNING, "clamd was seen to start 3 times within an hour"),
        (Watched("clamd", up(), up(), up(), log_mode=0o755), WARNING, "clamd has a log that every local user may read: /var/log/clamd is 0755"),
        (Watched("clamd", up(), up(), up(), log_mode=0o701), WARNING, "clamd has a log that every local user may read: /var/log/clamd is 0701"),
        (Watched("clamd", up(), up(), up(), 8), CRITICAL, "clamd was seen to start 8 times within an hour"),
    ],
)  # fmt: skip
def test_services(seen: Watched, status: int, text: str) -> None:
    found = services.judge_service(seen, int(NOW * SECOND), 6, LIMITS)
    assert told([found]) == [(status, text)]


def test_the_log_of_the_two_qmail_services_is_where_the_guide_has_it() -> None:
    found = services.judge_service(Watched("qmail-send", DOWN, DOWN, None), int(NOW * SECOND), 6, LIMITS)
    assert found.advice == "see the end of /var/log/qmail/send/current, then svc -u /service/qmail-send"


def test_without_svscan_nothing_is_well() -> None:
    fine = Finding("services", OK, "clamd up for 9 days")
    assert told(services.judge_services([fine, fine], True)) == [
        (OK, "svscan and 2 services are up, their logs, too")
    ]
    assert told(services.judge_services([fine], False)) == [(CRITICAL, "svscan does not run")]


def test_starts_are_remembered_for_an_hour() -> None:
    kept = {"a": [NOW - 3601, NOW - 3599, "x", NOW + 100], "gone": [NOW - 5], "b": "garbage"}
    seen = {"a": NOW - 10, "b": NOW - 20, "new": NOW - 99999}
    assert services.remember_starts(kept, NOW, seen) == {
        "a": [NOW - 3599, NOW - 10],
        "b": [NOW - 20],
        "new": [],
    }
    assert services.remember_starts(kept, NOW, {"a": NOW - 3599}) == {"a": [NOW - 3599]}
    assert services.remember_starts(["no"], NOW, {"a": NOW}) == {"a": [NOW]}


VIRUS = "554 Your email was rejected because it contains the Eicar-Test-Signature virus"
SPAM = "554 Your email is considered spam (1004.60 spam-hits)"


@pytest.mark.parametrize(
    ("check", "got", "status", "text"),
    [
        ("virus", Proof("message", VIRUS, 0.2), OK, "EICAR is refused by the scanner, in 0.2 s"),
        ("spam", Proof("message", SPAM, 2), OK, "EICAR is refused by the scanner, in 2.0 s"),
        ("virus", Proof("message", VIRUS, 15), WARNING, "EICAR is refused by the scanner, in 15.0 s"),
        ("virus", Proof("message", VIRUS, 30), CRITICAL, "EICAR is refused by the scanner, in 30.0 s"),
        ("virus", Proof("message", SPAM, 1), CRITICAL, f"EICAR was refused, but not by the scanner: {SPAM!r}"),
        ("spam", Proof("message", VIRUS, 1), CRITICAL, f"EICAR was refused, but not by the scanner: {VIRUS!r}"),
        ("virus", Proof("message", "250 ok", 1), CRITICAL, "EICAR was delivered unscanned: '250 ok'"),
        ("virus", Proof("message", "451 qq (#4.3.0)", 1, "no clamd"), CRITICAL, "the scanner is broken, mail is deferred (451 qq (#4.3.0)): no clamd"),
        ("virus", Proof("message", "", 35), CRITICAL, "EICAR: no answer within 35 s to the message"),
        ("virus", Proof("connection", "", 1), CRITICAL, "EICAR: no answer within 1 s to the connection"),
        ("virus", Proof("RCPT", "553 sorry", 1), CRITICAL, "EICAR could not be sent: the RCPT was answered '553 sorry'"),
        ("virus", Proof("RCPT", "451 sorry", 1), CRITICAL, "EICAR could not be sent: the RCPT was answered '451 sorry'"),
    ],
)  # fmt: skip
def test_proofs(check: str, got: Proof, status: int, text: str) -> None:
    assert told([scanners.judge_proof(check, "EICAR", got, LIMITS)]) == [(status, text)]


FRESH = Signatures("ClamAV 1.4.6/27700/x", "", True, NOW - 5 * HOUR, NOW - 90 * DAY)
NO_DATE = replace(FRESH, dated=None)
FEW = "clamd has no official database, and its files hold {} signatures: few viruses are found"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (FRESH, [(OK, "clamd answers; the signatures are 5 hours old")]),
        (replace(FRESH, dated=NOW - 47 * HOUR), [(OK, "clamd answers; the signatures are 47 hours old")]),
        (replace(FRESH, dated=NOW - 2 * DAY), [(WARNING, "the signatures are 2 days old")]),
        (replace(FRESH, dated=NOW - 7 * DAY), [(CRITICAL, "the signatures are 7 days old")]),
        (replace(NO_DATE, official=False), [(CRITICAL, "the signatures are 90 days old")]),
        (replace(NO_DATE, official=False, newest=NOW), [(OK, "clamd answers; the signatures are 0 seconds old")]),
        (replace(NO_DATE, newest=NOW), [(CRITICAL, "clamd has no official database: its version is 'ClamAV 1.4.6/27700/x'")]),
        (replace(NO_DATE, official=False, newest=None), [(CRITICAL, "the age of the signatures is unknown")]),
        (replace(NO_DATE, official=False, newest=NOW, count=1), [(WARNING, FEW.format(1))]),
        (replace(NO_DATE, official=False, newest=NOW, count=0), [(CRITICAL, FEW.format(0))]),
        (replace(NO_DATE, official=False, newest=NOW, count=1001), [(OK, "clamd answers; the signatures are 0 seconds old")]),
        (replace(FRESH, count=1), [(OK, "clamd answers; the signatures are 5 hours old")]),
        (Signatures("", "no such file", True, None, NOW), [(CRITICAL, "clamd does not answer: no such file")]),
        (Signatures("", "no such file", True, None, None), [(CRITICAL, "clamd does not answer: no such file")]),
        (replace(FRESH, freshclam=True), [(WARNING, "freshclam's log has no successful update")]),
        (replace(FRESH, freshclam=True, checked=NOW - DAY), [(WARNING, "freshclam's last success is 24 hours ago")]),
        (replace(FRESH, freshclam=True, checked=NOW - 3 * DAY), [(CRITICAL, "freshclam's last success is 3 days ago")]),
        (replace(FRESH, freshclam=True, checked=NOW - HOUR), [(OK, "clamd answers; the signatures are 5 hours old; freshclam's last success is 60 minutes ago")]),
    ],
)  # fmt: skip
def test_signatures(seen: Signatures, expected: list[tuple[int, str]]) -> None:
    judged = scanners.judge_signatures(seen, NOW, LIMITS)
    assert told(judged) == expected
    assert seen.freshclam or not any("freshclam" in one.text + one.advice for one in judged)
    # a site that wants few signatures says so
    few = scanners.judge_signatures(replace(seen, count=1), NOW, {**LIMITS, "signature_count": (0, 0)})
    assert FEW.format(1) not in [one.text for one in few]


@pytest.mark.parametrize(
    ("answers", "newest", "updated", "expected"),
    [
        (True, NOW - 13 * DAY, True, [(OK, "spamd answers; the rules are 13 days old")]),
        (True, NOW - 14 * DAY, True, [(WARNING, "the rules are 14 days old")]),
        (True, NOW - 60 * DAY, False, [(CRITICAL, "the rules, never updated, are 60 days old")]),
        (True, None, False, [(CRITICAL, "SpamAssassin has no rules")]),
        (False, NOW, True, [(CRITICAL, "spamd does not answer on its socket")]),
    ],
)
def test_spam_rules(answers: bool, newest: Any, updated: bool, expected: list[tuple[int, str]]) -> None:
    assert told(scanners.judge_spam_rules(answers, newest, updated, NOW, LIMITS)) == expected


FACTS = {"file": "v.cdb", "generation": 3, "count": 12, "directory_domains": ["d"], "last_export": NOW - HOUR}


@pytest.mark.parametrize(
    ("facts", "alarms", "missing", "damage", "unreadable", "expected"),
    [
        (FACTS, [], False, "", "", [(OK, "12 recipients, generation 3, exported 60 minutes ago")]),
        ({**FACTS, "directory_domains": []}, [], False, "", "", [(OK, "12 recipients, generation 3")]),
        (FACTS, ["v.cdb: missing, x"], True, "", "", [(CRITICAL, "v.cdb is missing: every recipient gets 451")]),
        (FACTS, ["cdb bad"], False, "cdb bad", "", [(CRITICAL, "cdb bad")]),
        (FACTS, [], False, "", "no way in", [(CRITICAL, "no way in")]),
        (FACTS, ["alarm: old"], False, "", "", [(WARNING, "old")]),
        (FACTS, ["cdb bad", "held"], False, "cdb bad", "", [(CRITICAL, "cdb bad"), (WARNING, "held")]),
        ({**FACTS, "generation": 0}, [], False, "", "", [(WARNING, "v.cdb matches none of its generations: it was not made by this gateway")]),
    ],
)  # fmt: skip
def test_recipients(
    facts: dict[str, object],
    alarms: list[str],
    missing: bool,
    damage: str,
    unreadable: str,
    expected: list[tuple[int, str]],
) -> None:
    assert told(policy.judge_recipients(facts, alarms, missing, damage, unreadable, NOW)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Rules(3, 1, 2), [(OK, "3 rules, 1 of the blacklist, 2 bad senders, in force")]),
        (Rules(faults=("a: bad", "b: bad")), [(WARNING, "a: bad"), (WARNING, "b: bad")]),
        (Rules(in_force=False), [(WARNING, "/etc/tcp.smtp.cdb is older than the fragments in /etc/tcp.d")]),
        (Rules(in_force=False, damage="x is missing"), [(CRITICAL, "x is missing: clients are refused")]),
        (Rules(edited=True), [(WARNING, "/etc/tcp.smtp was edited by hand, which has no effect")]),
        (Rules(senders_in_force=False), [(WARNING, "control/badmailfrom is older than the fragments in /etc/badmailfrom.d")]),
    ],
)  # fmt: skip
def test_rules(seen: Rules, expected: list[tuple[int, str]]) -> None:
    assert told(policy.judge_rules(seen)) == expected


SCANNER = "/var/qmail/bin/simscan"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Safety(2, SCANNER), [(OK, "2 domains, every session is scanned, only the site's networks may relay")]),
        (Safety(0, SCANNER), [(CRITICAL, "control/rcpthosts is empty: every recipient gets 451")]),
        (Safety(None, SCANNER), [(CRITICAL, "control/rcpthosts is missing: every recipient gets 451")]),
        (Safety(1, None), [(CRITICAL, "the environment of qmail-smtpd cannot be read: its service does not run")]),
        (Safety(1, ""), [(WARNING, f"qmail-smtpd's QMAILQUEUE is ''; expected {SCANNER!r}: only its own default scans")]),
        (Safety(1, "/q"), [(CRITICAL, f"qmail-smtpd's QMAILQUEUE is '/q'; expected {SCANNER!r}: mail goes unscanned")]),
        (Safety(1, SCANNER, mode=None), [(CRITICAL, f"{SCANNER} is missing: mail is deferred")]),
        (Safety(1, SCANNER, mode=0o755), [(CRITICAL, f"{SCANNER} is 0755 simscan:nofiles; expected 4710 simscan:nofiles")]),
        (Safety(1, SCANNER, owner="root:root"), [(CRITICAL, f"{SCANNER} is 4710 root:root; expected 4710 simscan:nofiles")]),
        (Safety(1, SCANNER, unsafe=("x relays",)), [(CRITICAL, "x relays")]),
    ],
)  # fmt: skip
def test_safety(seen: Safety, expected: list[tuple[int, str]]) -> None:
    assert told(policy.judge_safety(seen)) == expected


DAILY = Run("bayes", DAY, NOW - DAY, NOW - DAY, 0)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (DAILY, (OK, "bayes succeeded 24 hours ago, expected every 24 hours")),
        (replace(DAILY, finished=NOW, status=111), (OK, "bayes succeeded 24 hours ago, expected every 24 hours, its last run ended with status 111")),
        (replace(DAILY, last_success=NOW - 2 * DAY), (WARNING, "bayes succeeded 2 days ago, expected every 24 hours")),
        (replace(DAILY, last_success=NOW - 4 * DAY), (CRITICAL, "bayes succeeded 4 days ago, expected every 24 hours")),
        (replace(DAILY, last_success=None), (WARNING, "bayes has never succeeded")),
        (replace(DAILY, last_success=None, status=1), (WARNING, "bayes has never succeeded, its last run ended with status 1")),
        (Run("bayes", DAY, trouble="x is damaged"), (WARNING, "bayes: x is damaged")),
    ],
)  # fmt: skip
def test_jobs(seen: Run, expected: tuple[int, str]) -> None:
    assert told([schedule.judge_job(seen, NOW, LIMITS)]) == [expected]


def test_all_jobs_in_one_line() -> None:
    fine = schedule.judge_job(DAILY, NOW, LIMITS)
    bad = schedule.judge_job(replace(DAILY, last_success=None), NOW, LIMITS)
    assert told(schedule.judge_jobs([fine, fine])) == [(OK, "bayes, bayes succeeded in time")]
    assert told(schedule.judge_jobs([])) == [(OK, "none is configured")]
    assert schedule.judge_jobs([fine, bad]) == [bad]


LOCAL = Answer("localhost", ("127.0.0.1",), "", 2)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([LOCAL], [(OK, "dnscache on 127.0.0.1 answers: localhost in 2 ms")]),
        ([Answer("localhost", (), "timeout")], [(CRITICAL, "dnscache on 127.0.0.1 does not answer: timeout")]),
        ([LOCAL, Answer("a.example")], [(CRITICAL, "a.example does not resolve: no such name")]),
        ([LOCAL, Answer("a.example", ("192.0.2.1",), "", 1000)], [(WARNING, "a.example took 1000 ms to resolve")]),
        ([LOCAL, Answer("a.example", ("192.0.2.1",), "", 4000)], [(CRITICAL, "a.example took 4000 ms to resolve")]),
    ],
)  # fmt: skip
def test_dns(asked: list[Answer], expected: list[tuple[int, str]]) -> None:
    assert told(network.judge_dns("127.0.0.1", asked, LIMITS)) == expected


HOST, ADDRESS = "mx.example", "192.0.2.1"
FORWARD = Answer(HOST, (ADDRESS,))


@pytest.mark.parametrize(
    ("forward", "back", "expected"),
    [
        (FORWARD, {ADDRESS: Answer("", ("MX.example.",))}, [(OK, f"{ADDRESS}: {HOST}, both ways")]),
        (FORWARD, {ADDRESS: Answer("", ("other.example",))}, [(WARNING, f"{ADDRESS} has the name other.example in DNS; expected {HOST}")]),
        (FORWARD, {ADDRESS: Answer("")}, [(WARNING, f"{ADDRESS} has no name in DNS; expected {HOST}")]),
        (FORWARD, {ADDRESS: Answer("", (), "refused")}, [(WARNING, f"{ADDRESS} has no name in DNS (refused); expected {HOST}")]),
        (Answer(HOST), {ADDRESS: Answer("", (HOST,))}, [(WARNING, f"{HOST} has no address in DNS; expected {ADDRESS}, whose name it is")]),
        (Answer(HOST, (), "server failure"), {}, [(WARNING, f"{HOST} does not resolve: server failure")]),
        (
            Answer(HOST, ("192.0.2.25", "2001:DB8:0::25")),
            {"192.0.2.25": Answer("", (HOST,)), "2001:db8::25": Answer("", (HOST,))},
            [(OK, f"192.0.2.25, 2001:db8::25: {HOST}, both ways")],
        ),
        (
            Answer(HOST, ("192.0.2.25",)),
            {"2001:db8::25": Answer("", (HOST,))},
            [(WARNING, f"{HOST} has 192.0.2.25 in DNS; expected 2001:db8::25, whose name it is")],
        ),
    ],
)  # fmt: skip
def test_reverse(forward: Answer, back: dict[str, Answer], expected: list[tuple[int, str]]) -> None:
    assert told(network.judge_reverse(HOST, forward, back)) == expected


@pytest.mark.parametrize(
    ("check", "status"), [("backends", CRITICAL), ("directories", WARNING), ("ports", WARNING)]
)
def test_ports(check: str, status: int) -> None:
    fine, bad = Reached("a.example", 25), Reached("b.example", 2525, "connection refused")
    assert told(network.judge_ports(check, [fine])) == [(OK, "a.example:25 answer")]
    assert told(network.judge_ports(check, [])) == [(OK, "none is configured")]
    assert told(network.judge_ports(check, [fine, bad])) == [
        (status, "b.example:2525 cannot be reached: connection refused")
    ]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Queue(), [(OK, "empty")]),
        (Queue(2, NOW - HOUR, remote=1), [(OK, "2 messages wait, 1 for back ends, the oldest for 60 minutes")]),
        (Queue(400, NOW, 100, NOW), [(WARNING, "500 messages wait, 0 for back ends")]),
        (Queue(5000, NOW, remote=7, deferral="no"), [(CRITICAL, "5000 messages wait, 7 for back ends; the last deferral: no")]),
        (Queue(1, NOW - 4 * HOUR), [(WARNING, "the oldest message has waited for 4 hours")]),
        (Queue(1, NOW - 48 * HOUR, deferral="no"), [(CRITICAL, "the oldest message has waited for 2 days; the last deferral: no")]),
        (Queue(new=3, oldest_new=NOW - 601), [(CRITICAL, "3 messages are not processed by qmail-send, the oldest for 10 minutes")]),
        (Queue(new=3, oldest_new=NOW - 599), [(OK, "3 messages wait")]),
    ],
)  # fmt: skip
def test_queue(seen: Queue, expected: list[tuple[int, str]]) -> None:
    assert told(resources.judge_queue(seen, NOW, LIMITS)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([Space("/a", 50, 60), Space("/b", 16, 16)], [(OK, "free: /a 50 %, /b 16 %")]),
        ([Space("/a", 15, 60)], [(WARNING, "/a has 15 % free")]),
        ([Space("/a", 5, 60)], [(CRITICAL, "/a has 5 % free")]),
        ([Space("/a", 50, 5)], [(CRITICAL, "/a has 5 % of its inodes free")]),
        ([Space("/a", 50, 50, True)], [(CRITICAL, "/a is read-only")]),
    ],
)
def test_disks(seen: list[Space], expected: list[tuple[int, str]]) -> None:
    assert told(resources.judge_disks(seen, LIMITS)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Ramdisk("/w"), [(OK, "/w has 100 % free, no leftovers")]),
        (Ramdisk("/w", "no such directory"), [(CRITICAL, "/w: no such directory; mail is deferred")]),
        (
            Ramdisk("/w", owner="root:root"),
            [(CRITICAL, "/w is 0750 root:root; expected 0750 simscan:simscan")],
        ),
        (
            Ramdisk("/w", mode=0o777),
            [(CRITICAL, "/w is 0777 simscan:simscan; expected 0750 simscan:simscan")],
        ),
        (Ramdisk("/w", tmpfs=False), [(WARNING, "/w is not in memory")]),
        (Ramdisk("/w", tmpfs=False, wanted=False), [(OK, "/w has 100 % free, no leftovers")]),
        (Ramdisk("/w", free_percent=50), [(WARNING, "/w has 50 % free")]),
        (Ramdisk("/w", free_percent=20), [(CRITICAL, "/w has 20 % free")]),
        (
            Ramdisk("/w", leftovers=(601.0, 700.0)),
            [(WARNING, "2 leftovers in /w, the oldest 12 minutes old")],
        ),
        (Ramdisk("/w", leftovers=(3600.0,)), [(CRITICAL, "1 leftovers in /w, the oldest 60 minutes old")]),
    ],
)
def test_ramdisk(seen: Ramdisk, expected: list[tuple[int, str]]) -> None:
    assert told(resources.judge_ramdisk(seen, LIMITS)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Clock(None), (WARNING, "whether the clock is synchronized is unknown")),
        (
            Clock(False, None, "by the kernel"),
            (WARNING, "the clock is not synchronized (by the kernel)"),
        ),
        (Clock(True, 12.4), (OK, "synchronized, at most 12 ms off")),
        (Clock(True, 1000), (WARNING, "synchronized, at most 1000 ms off")),
        (Clock(True, 10_000), (CRITICAL, "synchronized, at most 10000 ms off")),
        (Clock(True, None, "timesyncd says so"), (OK, "synchronized (timesyncd says so)")),
    ],
)
def test_clock(seen: Clock, expected: tuple[int, str]) -> None:
    assert told(resources.judge_clock(seen, LIMITS)) == [expected]


PASSES = "mail passes without greylisting"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Greylist("/g", passed=4), [(OK, "4 networks have passed")]),
        (Greylist("/g", passed=100_000), [(OK, "at least 100000 networks have passed")]),
        (Greylist("/g", "no such directory"), [(CRITICAL, f"/g: no such directory; {PASSES}")]),
        (Greylist("/g", owner="root"), [(CRITICAL, f"/g is 0700 root; expected 0700 qmaild: {PASSES}")]),
        (Greylist("/g", mode=0o500), [(CRITICAL, f"/g is 0500 qmaild; expected 0700 qmaild: {PASSES}")]),
        (
            Greylist("/g", owner="smtpfront", expected="smtpfront", passed=4),
            [(OK, "4 networks have passed")],
        ),
        (
            Greylist("/g", expected="smtpfront"),
            [(CRITICAL, f"/g is 0700 qmaild; expected 0700 smtpfront: {PASSES}")],
        ),
        (
            Greylist("/g", space=Space("/g", 4, 90)),
            [(CRITICAL, f"/g has 4 % free; when it is full {PASSES}")],
        ),
    ],
)
def test_greylist(seen: Greylist, expected: list[tuple[int, str]]) -> None:
    assert told(resources.judge_greylist(seen, LIMITS)) == expected


def test_services_with_a_socket() -> None:
    assert told([neighbours.judge_listening("blacklist", "x", "", "answers")]) == [(OK, "answers")]
    found = neighbours.judge_listening("blacklist", "the blacklist", "no socket", "")
    assert told([found]) == [(WARNING, "the blacklist does not answer: no socket")]
    assert "/service/adaptive-blacklist" in found.advice
