# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every line counts once, for what it says: over any split, rotation, restart and crash."""

from __future__ import annotations

import calendar
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import stats as stats_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import send_log as sendlog
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtpd_log as smtplog
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import counters as stats
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import service as stats_service
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import textfile
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog.counter_names import (
    COUNTERS,
    TIMES,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support.parameters import slow_after_first

BEGIN = 1_795_000_200  # a minute's and a quarter's first second
IP = "198.51.100.7"


def line(at: float, text: str) -> str:
    return f"{tai64n.render(BEGIN * 10**9 + int(at * 10**9))} {text}"


def smtp(*lines: tuple[float, str]) -> stats.Stats:
    made = stats.Stats()
    for at, text in lines:
        made.observe_smtp(smtplog.parse(line(at, text)))
    return made


def send(*lines: tuple[float, str]) -> stats.Stats:
    made = stats.Stats()
    for at, text in lines:
        made.observe_send(sendlog.parse(line(at, text)))
    return made


def verdict(state: str) -> str:
    return f"simscan:[7]:{state}:0.1500s:Hello:{IP}:a@b.example:c@d.example"


PID = f"tcpserver: pid 7 from {IP}"
ID, OTHER = "6kz3rt9qm4", "6kz3rt9qm5"
TLS = "TLSv1.3/TLS_AES_256_GCM_SHA384"
FRONT = f"smtpfront: pid {ID} from {IP}"
LAUNCHED = f"smtplaunch: pid 7 from {IP} id {ID}"


def judged(number: int, state: str = "CLEAN (1.20/5.00/10.00)") -> str:
    return verdict(state).replace("]:", f"]:id {ID}.{number} qp 9:")


def accepted(number: int) -> str:
    return f"qmail-smtpd: accepted: from a@b.example at {IP} id {ID}.{number} pid 7 qp 9"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([PID], "connections"),
        ([f"tcpserver: deny 7 a:b:25 :{IP}::1"], "refused_rule"),
        ([f"smtpfront[6kz3rt9qm4]: deny {IP}"], "connections refused_rule"),
        ([f"tcpserver: ok 7 a:b:25 :{IP}::1"], ""),
        ([f"cqgreylist[7]: new {IP} 198.51.100.0/24 wait 60"], "greylisted"),
        ([f"cqgreylist[7]: early {IP} 198.51.100.0/24 2 of 60"], "greylisted"),
        ([f"cqgreylist[7]: known {IP} 198.51.100.0/24"], ""),
        ([f"cqgreylist[7]: refused {IP} - 553 go away"], "refused_rule"),
        (
            [
                PID,
                f"dnsbl[7]: listed {IP} zen.example 127.0.0.2",
                f"cqgreylist[7]: refused {IP} - 553 listed",
            ],
            "connections refused_dnsbl",
        ),
        (
            [PID, f"dnsbl[7]: ignored {IP} zen.example 127.0.0.2", f"cqgreylist[7]: refused {IP} - 553 x"],
            "connections refused_rule",
        ),
        ([f"rblsmtpd: {IP} pid 7: 451 listed"], "refused_dnsbl"),
        ([f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP}"], "refused_recipient"),
        ([f"qmail-smtpd: rcpthosts: a@b from c@d at {IP}"], "refused_relay"),
        ([f"qmail-smtpd: badmailfrom: a@b to c@d at {IP}"], "refused_sender"),
        ([f"qmail-smtpd: mail refused: control-byte from a\\x0d@b at {IP}"], "refused_protocol"),
        ([f"qmail-smtpd: rcpt refused: too-many for a@b from <> at {IP}"], "refused_protocol"),
        ([f"qmail-smtpd: excessive refusals, hanging up on {IP}"], "hung_up"),
        ([f"qmail-smtpd: excessive validrcptto violations, hanging up on {IP}"], "hung_up"),
        ([verdict("VIRUS")], "refused_virus"),
        ([verdict("SPAM REJECT (14.20/5.00/10.00)")], "refused_spam"),
        ([verdict("ATTACH")], "refused_content"),
        ([verdict("HEURISTIC")], "refused_content"),
        ([verdict("LIMIT")], "refused_limit"),
        ([verdict("SPAM PASS (7.20/5.00/10.00)")], "marked"),
        ([verdict("CLEAN (7.20/5.00)")], "marked"),
        ([verdict("CLEAN (1.20/5.00/10.00)")], "clean"),
        ([verdict("CLEAN (0.00/0.00/0.00)")], "unchecked"),
        ([verdict("RELAYCLIENT")], "relayed"),
        ([f"simscan:[7]: put off for {IP}: no clamd"], "put_off"),
        ([f"qmail-smtpd: data refused: put-off from a@b at {IP}"], "put_off"),
        (
            [
                "simscan:[7]: put off for [2001:db8::7]: x",
                "qmail-smtpd: data refused: put-off from a@b at 2001:db8::7",
            ],
            "put_off",
        ),
        (
            [f"simscan:[7]: put off for {IP}: x", f"qmail-smtpd: data refused: put-off from a@b at {IP}"],
            "put_off",
        ),
        ([f"qmail-smtpd: data refused: client-left from a@b at {IP}"], "unfinished"),
        ([f"qmail-smtpd: data refused: bare-lf from a@b at {IP}"], "refused_protocol"),
        # With ids: each session and each message counts once.
        ([FRONT, LAUNCHED, f"smtpfront: end {ID} status 0"], "connections"),
        ([LAUNCHED], "connections"),
        ([f"smtpfront[{ID}]: new {IP} 198.51.100.0/24 wait 60"], "connections greylisted"),
        ([f"smtpfront[{ID}]: refused {IP} - 553 go away"], "connections refused_rule"),
        (
            [FRONT, f"smtpfront[{ID}]: early {IP} 198.51.100.0/24 2 of 60", f"smtpfront: end {ID} status 0"],
            "connections greylisted",
        ),
        ([judged(1), accepted(1)], "clean accepted_plain"),
        ([accepted(1)], "unjudged accepted_plain"),
        # by a simscan of another version
        ([verdict("CLEAN (1.20/5.00/10.00)"), accepted(1)], "clean accepted_plain"),
        ([judged(1), accepted(2)], "clean unjudged accepted_plain"),
        ([judged(2, "VIRUS"), accepted(1)], "refused_virus unjudged accepted_plain"),
        # A session with TLS counts once, by its version.
        ([judged(1), f"{accepted(1)} tls={TLS}"], "clean accepted_tls tls_1_3"),
        (
            [f"smtpfront[{ID}]: new {IP} 198.51.100.0/24 wait 60 tls=TLSv1.2/X"],
            "connections greylisted tls_1_2",
        ),
        (
            [f"qmail-smtpd: rcpt refused: too-many for a@b from <> at {IP} tls=x"],
            "refused_protocol tls_other",
        ),
        ([f"qmail-smtpd: rcpt refused: no-tls-of-sender for a@b from c@d at {IP} id {ID}"], "refused_plain"),
        ([f"qmail-smtpd: rcpt refused: other-rule for a@b from c@d at {IP} id {ID}"], ""),
        ([f"qmail-smtpd: starttls refused: followed from <> at {IP} id {ID} pid 7"], "refused_protocol"),
        (
            [
                f"simscan:[7]:id {ID}.1: put off for {IP}: x",
                f"qmail-smtpd: data refused: put-off from a@b at {IP} id {ID}.1 pid 7",
            ],
            "put_off",
        ),
        ([f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP} id {ID}"], "refused_recipient"),
        (["simscan:[7]: no envelope came: qmail-smtpd has given the message up"], ""),
        (["simscan:[7]: not checked for spam: too big"], ""),
        (["qmail-smtpd: rcpthosts trouble: missing"], "trouble"),
        (["what is this?"], ""),
    ],
)
def test_what_a_line_of_the_smtp_log_counts(lines: list[str], expected: str) -> None:
    counted = smtp(*((0.001 * number, text) for number, text in enumerate(lines)))
    plain = {name for name in counted.totals if name in COUNTERS} - {"lines_smtpd"}
    assert plain == set(expected.split())
    assert all(counted.totals[name] == 1 for name in plain)
    assert counted.totals["lines_smtpd"] == len(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("new msg 7", "queued"),
        ("info msg 7: bytes 1 from <> qp 1 uid 2", ""),
        ("starting delivery 1: msg 7 to remote a@b", ""),
        ("delivery 1: success: ok", "delivered"),
        ("delivery 1: deferral: no", "deferred"),
        ("delivery 1: report mangled, will defer", "deferred"),
        ("delivery 1: failure: no", "failed"),
        ("bounce msg 7 qp 9", "bounces"),
        ("bounce withheld msg 7: spam, from <a@b>", "bounces_withheld"),
        ("bounce withheld msg 7: invalid sender, from <a@b_c>", "bounces_withheld"),
        ("end msg 7", ""),
        ("warning: trouble in select", "trouble"),
    ],
)
def test_what_a_line_of_the_queues_log_counts(text: str, expected: str) -> None:
    assert set(send((0, text)).totals) - {"lines_send"} == set(expected.split())


def test_a_session_with_tls_counts_once_by_whichever_of_its_lines_says_so() -> None:
    made = smtp(
        (0, f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP} id {ID} tls={TLS}"),
        (1, f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP} id {ID}.1 pid 7 tls={TLS}"),
        (2, f"{accepted(1)} tls={TLS}"),
        (3, f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP} id {OTHER} tls={TLS}"),
        (4, accepted(2)),
    )
    assert (made.totals["tls_1_3"], made.totals["accepted_tls"], made.totals["accepted_plain"]) == (2, 1, 1)
    again = stats.Stats.from_json(json.loads(json.dumps(made.to_json())))
    again.observe_smtp(smtplog.parse(line(5, f"{accepted(3)} tls={TLS}")))
    assert (again.totals["tls_1_3"], again.totals["accepted_tls"]) == (2, 2)


def test_times() -> None:
    made = smtp(
        (0, PID),
        (0.4, verdict("VIRUS")),
        (1.5, "tcpserver: end 7 status 0"),
        (2, "tcpserver: end 7 status 0"),
    )
    for text, at in (("starting delivery 3: msg 7 to remote a@b", 3.0), ("delivery 3: success: ok", 3.004)):
        made.observe_send(sendlog.parse(line(at, text)))
    assert stats.classes(made.totals, "session") == [1 if bound == 2.5 else 0 for bound in (*stats.BOUNDS, 0)]
    assert stats.classes(made.totals, "scan") == [1 if bound == 0.25 else 0 for bound in (*stats.BOUNDS, 0)]
    assert stats.classes(made.totals, "delivery") == [
        1 if bound == 0.01 else 0 for bound in (*stats.BOUNDS, 0)
    ]
    assert made.totals["session_milliseconds"] == 1500
    assert made.open_sessions == 0


def test_two_messages_that_are_put_off_at_once_count_twice() -> None:
    made = smtp(
        (0, f"simscan:[7]:id {ID}.1: put off for {IP}: x"),
        (1, f"qmail-smtpd: data refused: put-off from a@b at {IP} id {OTHER}.1 pid 8"),
    )
    assert made.totals["put_off"] == 2


def test_a_session_that_is_handed_over_takes_from_its_beginning_in_smtpfront() -> None:
    made = smtp(
        (0, FRONT), (2, LAUNCHED), (2.001, f"smtpfront: end {ID} status 0"), (3, "smtplaunch: end 7 status 0")
    )
    assert sum(stats.classes(made.totals, "session")) == 1
    assert made.totals["session_milliseconds"] == 3000
    assert made.open_sessions == 0


@pytest.mark.parametrize("late", [True, False])
def test_a_session_that_is_handed_over_is_one_connection(late: bool) -> None:
    """The launcher's lines may come before smtpfront's own."""
    lines = [LAUNCHED, FRONT] if late else [FRONT, LAUNCHED]
    lines += [f"smtpfront: end {ID} status 0", "smtplaunch: end 7 status 0", LAUNCHED]
    made = smtp(*enumerate(lines))
    assert (made.totals["connections"], made.open_sessions) == (2, 1)


def test_sessions_that_were_killed_with_their_tcpserver_are_not_open() -> None:
    made = smtp((0, PID), (1, "tcpserver: status: 1/120"))
    assert made.open_sessions == 1
    assert smtp((0, PID), (1, "tcpserver: status: 0/120")).open_sessions == 0


def test_percentiles() -> None:
    counts = {"scan:4": 90, "scan:6": 9, "scan:17": 1}
    assert stats.percentile(counts, "scan", 50) == pytest.approx(0.1 + 0.15 * 50 / 90)
    assert stats.percentile(counts, "scan", 90) == pytest.approx(0.25)
    assert stats.percentile(counts, "scan", 99) == pytest.approx(1.0)
    assert stats.percentile(counts, "scan", 100) == 1200.0
    assert stats.percentile({}, "scan", 50) is None


def day(seed: int, count: int) -> list[tuple[str, str]]:
    """(log, line) of some sessions and deliveries, over more than two days, a few lines damaged."""
    chance = random.Random(seed)
    lines = []
    at = 0.0
    for number in range(count):
        at += chance.choice((0.2, 3, 50, 700, 9000))
        pid = chance.randrange(100, 106)  # used again soon
        texts = [f"tcpserver: pid {pid} from {IP}"]
        what = chance.randrange(6)
        if what == 0:
            texts.append(f"tcpserver: deny {pid} a:b:25 :{IP}::1")
        elif what == 1:
            texts.append(f"cqgreylist[{pid}]: new {IP} 198.51.100.0/24 wait 60")
        elif what == 2:
            texts += [
                f"dnsbl[{pid}]: listed {IP} z.example 127.0.0.2",
                f"cqgreylist[{pid}]: refused {IP} - 553 no",
            ]
        elif what == 3:
            texts.append(f"qmail-smtpd: not in validrcptto: a@b from c@d at {IP}")
        else:
            texts.append(
                f"simscan:[{pid}]:CLEAN (1.00/5.00/10.00):{number % 7}.5s:S:{IP}:a@b.example:c@d.example"
            )
        if chance.random() < 0.8:
            texts.append(f"tcpserver: end {pid} status 0")
        if chance.random() < 0.1:
            texts.append("tcpserver: pid 10")
        lines += [("smtpd", line(at + 0.01 * place, text)) for place, text in enumerate(texts)]
        if what > 3:
            delivery = chance.randrange(5)
            lines.append(("send", line(at + 0.02, f"starting delivery {delivery}: msg 9 to remote a@b")))
            result = chance.choice(("success", "deferral", "failure"))
            lines.append(("send", line(at + 0.5, f"delivery {delivery}: {result}: x")))
    return lines


def count(made: stats.Stats, lines: list[tuple[str, str]]) -> stats.Stats:
    for log, text in lines:
        if log == "smtpd":
            made.observe_smtp(smtplog.parse(text))
        else:
            made.observe_send(sendlog.parse(text))
    return made


@given(st.integers(0, 9999), st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_restart_anywhere_changes_nothing(seed: int, places: list[int]) -> None:
    lines = day(seed, 60)
    whole = count(stats.Stats(), lines)
    parts = stats.Stats()
    cuts = sorted(place % (len(lines) + 1) for place in places)
    for first, last in zip([0, *cuts], [*cuts, len(lines)]):
        count(parts, lines[first:last])
        parts = stats.Stats.from_json(json.loads(json.dumps(parts.to_json())))
    assert parts.to_json() == stats.Stats.from_json(json.loads(json.dumps(whole.to_json()))).to_json()


@given(st.integers(0, 9999), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_counters_are_additive_over_any_split(seed: int, place: int) -> None:
    """Two counters that know nothing of each other have the sum of both, as a log gap counts no lines."""
    lines = [one for one in day(seed, 60) if "dnsbl" not in one[1]]
    place %= len(lines) + 1
    whole = count(stats.Stats(), lines).totals
    parts = [count(stats.Stats(), lines[:place]).totals, count(stats.Stats(), lines[place:]).totals]
    both = stats.added(parts)
    assert {name: both.get(name, 0) for name in COUNTERS} == {name: whole.get(name, 0) for name in COUNTERS}


@given(st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_minutes_and_quarters_are_those_of_the_lines(seed: int) -> None:
    lines = day(seed, 60)
    made = count(stats.Stats(), lines)
    times = {text: smtplog.unix_nanoseconds(text) or 0 for _log, text in lines}
    newest = max(times.values()) // 10**9
    for seconds in (3600, 7000, 86_400, 48 * 3600):
        step = stats.MINUTE if seconds <= stats.MINUTES_SECONDS - 60 else stats.QUARTER
        begin = newest + 1 - seconds
        first = begin - begin % step
        expected = sum(
            1
            for _log, text in lines
            if " pid 1" in text and text.endswith(IP) and times[text] >= first * 10**9
        )
        assert made.between(begin, newest + 1).get("connections", 0) == expected
    assert len(made.minutes) <= 121
    assert len(made.quarters) <= 197


def test_what_is_open_is_bounded() -> None:
    made = stats.Stats()
    for number in range(stats.SESSIONS_MAX + 500):
        made.observe_smtp(smtplog.Connected(BEGIN * 10**9, number, IP))
        made.observe_send(sendlog.DeliveryStarted(BEGIN * 10**9, number, 1, "remote", "a@b"))
    assert made.open_sessions == stats.SESSIONS_MAX
    assert len(made.to_json()["deliveries"]) == stats.DELIVERIES_MAX


def test_minutes_and_quarters_are_bounded() -> None:
    made = stats.Stats()
    for number in range(4000):
        made.observe_smtp(smtplog.Connected((BEGIN + number * 60) * 10**9, number, IP))
    assert len(made.minutes) == stats.MINUTES_SECONDS // stats.MINUTE
    assert len(made.quarters) <= stats.QUARTERS_SECONDS // stats.QUARTER + 1
    assert made.totals["connections"] == 4000


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"totals": {"evil\nmailgate_x 1": 1}},
        {"totals": {"clean": -1}},
        {"minutes": []},
        {"sessions": [[1]]},
        {"bounds": [1]},
    ],
)
def test_a_state_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="expected what the service wrote"):
        stats.Stats.from_json({**stats.Stats().to_json(), **change})


# Prometheus.


def test_the_textfile() -> None:
    made = count(stats.Stats(), day(1, 60))
    text = textfile.prometheus(made, BEGIN + 0.5)
    assert text.endswith("\n")
    told, typed = set(), {}
    values: dict[str, float] = {}
    for one in text.splitlines():
        if one.startswith("# HELP "):
            assert re.fullmatch(r"# HELP [a-z_]+ [ -~]+\.", one)
        elif one.startswith("# TYPE "):
            _hash, _type, name, kind = one.split()
            typed[name] = kind
        else:
            found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"\\]+"\})? ([0-9.]+)', one)
            assert found, one
            assert one.rpartition(" ")[0] not in values, "twice"
            values[one.rpartition(" ")[0]] = float(found[3])
            told.add(found[1])
    for name in told:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        kind = typed.get(name) or typed[base]
        assert (kind == "counter") == name.endswith("_total")
    assert values["mailgate_connections_total"] == made.totals["connections"] == 60
    assert values['mailgate_refused_total{layer="rule"}'] == made.totals["refused_rule"]
    for time_name in TIMES:
        buckets = [
            value for name, value in values.items() if name.startswith(f"mailgate_{time_name}_seconds_bucket")
        ]
        assert buckets == sorted(buckets)
        assert (
            buckets[-1]
            == values[f"mailgate_{time_name}_seconds_count"]
            == sum(stats.classes(made.totals, time_name))
        )


# The service, on files as multilog leaves them.


class Multilog:
    """A log that is written and rotated."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.number = 0

    def write(self, text: str) -> None:
        with open(self.directory / "current", "a") as stream:
            stream.write(text)

    def turn(self, end: str = ".s") -> None:
        if (self.directory / "current").exists():
            self.number += 1
            os.rename(self.directory / "current", self.directory / f"@{self.number:024x}{end}")
        self.write("")


class Clock:
    def __init__(self) -> None:
        self.now = float(BEGIN)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[stats_service.ServicePaths, Multilog, Multilog]]:
    (tmp_path / "own").mkdir()
    yield (
        stats_service.ServicePaths(
            str(tmp_path / "smtpd"),
            str(tmp_path / "send"),
            str(tmp_path / "own"),
            str(tmp_path / "own/mailgate.prom"),
        ),
        Multilog(tmp_path / "smtpd"),
        Multilog(tmp_path / "send"),
    )


def begun(places: stats_service.ServicePaths, clock: Clock) -> stats_service.Service:
    service = stats_service.Service(places, clock, lambda text: None)
    service.begin()
    return service


@pytest.mark.parametrize("seed", slow_after_first(range(8)))
def test_killed_and_rotated_at_any_moment_every_line_counts_once(
    seed: int, world: tuple[stats_service.ServicePaths, Multilog, Multilog]
) -> None:
    """What was not saved is counted after the restart, what was saved is not counted again."""
    places, smtpd, queue = world
    logs = {"smtpd": smtpd, "send": queue}
    chance = random.Random(seed)
    clock = Clock()
    lines = day(seed, 150)
    service = begun(places, clock)
    for log, text in lines:
        half = chance.randrange(len(text)) if chance.random() < 0.2 else 0
        logs[log].write(text[:half])
        if chance.random() < 0.3:
            service.step()
        if half and chance.random() < 0.3:
            logs[log].turn()  # in the middle of a line
        logs[log].write(text[half:] + "\n")
        clock.now += chance.choice((0.1, 2.0, 40.0))
        if chance.random() < 0.1:
            logs[log].turn()
        if chance.random() < 0.1:  # kill -9: nothing is saved
            service.smtp.close()
            service.send.close()
            service = begun(places, clock)
    while service.step():
        pass
    assert service.save()
    assert service.stats.totals == count(stats.Stats(), lines).totals
    state = stats_service.read_state(Path(places.own("state.json")).read_text())
    assert state.stats.totals == service.stats.totals
    text = Path(places.textfile).read_text()
    assert text == textfile.prometheus(state.stats, clock.now)
    assert os.stat(places.textfile).st_mode & 0o7777 == 0o644


YEAR = 365 * 86_400


@pytest.mark.parametrize("begun_anew", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("log", ["smtpd", "send"])
@pytest.mark.parametrize("ahead", [90, 3600, 3 * 86_400, YEAR])
def test_a_stamp_that_is_ahead_of_the_clock_counts_now(
    ahead: int, log: str, begun_anew: bool, world: tuple[stats_service.ServicePaths, Multilog, Multilog]
) -> None:
    """Lines after it count by their own time."""
    places, smtpd, queue = world
    clock = Clock()
    service = begun(places, clock)
    texts = {"smtpd": PID, "send": "new msg 7"}
    names = {"smtpd": "connections", "send": "queued"}
    written = smtpd if log == "smtpd" else queue
    clock.now += 600
    written.write(line(500, texts[log]) + "\n" + line(600 + ahead, texts[log]) + "\n")
    service.step()
    if begun_anew:
        service.save()
        service.smtp.close()
        service.send.close()
        service = begun(places, clock)
    clock.now += 120
    written.write(line(700, texts[log]) + "\n")
    service.step()
    service.save()
    for state in (service.stats, stats_service.read_state(Path(places.own("state.json")).read_text()).stats):
        assert state.totals[names[log]] == 3
        assert state.between(BEGIN, BEGIN + 1000)[names[log]] == 3  # by minutes
        assert state.between(BEGIN - 4 * 3600, BEGIN + 1000)[names[log]] == 3  # by quarters
        assert state.between(BEGIN + 600, BEGIN + 660)[names[log]] == 1
        assert state.last[log] == (BEGIN + 700) * 10**9


def test_a_state_that_was_spoiled_by_such_a_stamp_is_good_again(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog],
) -> None:
    """As it was written before stamps were capped: newest lies in the next year."""
    places, smtpd, _queue = world
    spoiled = smtp((10.0, PID), (YEAR, PID))
    Path(places.own("state.json")).write_text(
        json.dumps(stats_service.State(spoiled, None, None, BEGIN).to_json())
    )
    clock = Clock()
    clock.now += 60
    service = begun(places, clock)
    smtpd.write(line(59, PID) + "\n")
    service.step()
    assert service.stats.between(BEGIN, BEGIN + 100)["connections"] == 1


def test_a_clock_that_is_wrong_for_a_while_takes_no_counter_away(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog],
) -> None:
    """A host that begins in 1970, until its clock is set."""
    places, smtpd, _queue = world
    clock = Clock()
    clock.now += 60
    service = begun(places, clock)
    smtpd.write(line(59, PID) + "\n")
    service.step()
    clock.now = 1000.0
    smtpd.write(line(999 - BEGIN, PID) + "\n")
    service.step()
    service.save()
    clock.now = BEGIN + 120.0
    smtpd.write(line(119, PID) + "\n")
    service.step()
    service.save()
    assert service.stats.between(BEGIN, BEGIN + 200)["connections"] == 2
    assert service.stats.totals["connections"] == 3


def test_what_is_ahead_of_the_clock_is_bounded() -> None:
    made = stats.Stats()
    for number in range(2000):
        made.observe_smtp(smtplog.parse(line(number * 900.0, PID)))
        made.clock_is(BEGIN)
        made._newest = 0
    assert len(made.minutes) <= 2 * stats.MINUTES_SECONDS // 60 + 1
    assert len(made.quarters) <= 2 * stats.QUARTERS_SECONDS // 900 + 1


def test_a_duration_over_a_jump_of_the_clock_is_none() -> None:
    counted = smtp((0, PID), (YEAR, "tcpserver: end 7 status 0"))
    assert "session_milliseconds" not in counted.totals
    queue = send((0, "starting delivery 1: msg 7 to remote a@b"), (YEAR, "delivery 1: success: x"))
    assert queue.totals["delivered"] == 1 and "delivery_milliseconds" not in queue.totals


def test_a_damaged_state_is_kept_and_the_logs_are_counted_anew(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog],
) -> None:
    places, smtpd, _queue = world
    smtpd.write(line(0, PID) + "\n")
    Path(places.own("state.json")).write_text('{"written": 1')
    service = begun(places, Clock())
    service.step()
    assert service.stats.totals["connections"] == 1
    assert Path(places.own("state.json.damaged")).exists()


def test_lines_that_are_gone_are_said(world: tuple[stats_service.ServicePaths, Multilog, Multilog]) -> None:
    places, smtpd, _queue = world
    smtpd.write(line(0, PID) + "\n")
    service = begun(places, Clock())
    service.step()
    service.save()
    service.smtp.close()
    os.unlink(smtpd.directory / "current")
    smtpd.write(line(1, "tcpserver: status: 1/9") + "\n" + line(2, PID) + "\n")
    service = begun(places, Clock())
    service.step()
    assert service.stats.totals["gaps"] == 1
    assert service.stats.totals["connections"] == 2


def test_a_textfile_that_cannot_be_written_stops_nothing(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog],
) -> None:
    places, smtpd, _queue = world
    said: list[str] = []
    other = stats_service.ServicePaths(
        places.smtp_log, places.send_log, places.directory, "/nowhere/mailgate.prom"
    )
    service = stats_service.Service(other, Clock(), said.append)
    service.begin()
    smtpd.write(line(0, PID) + "\n")
    service.step()
    assert service.save()
    assert any("/nowhere/mailgate.prom" in text for text in said)


# The command.


def shown(
    places: stats_service.ServicePaths, capsys: pytest.CaptureFixture[str], *argv: str
) -> tuple[int, str, str]:
    status = stats_command.main([*argv, "--directory", places.directory])
    told = capsys.readouterr()
    return status, told.out, told.err


def saved(places: stats_service.ServicePaths, at: float) -> None:
    clock = Clock()
    clock.now = at
    service = begun(places, clock)
    now = int(at)
    for text in (PID, verdict("VIRUS")):
        service.stats.observe_smtp(smtplog.parse(f"{tai64n.render((now - 600) * 10**9)} {text}"))
    service.stats.observe_smtp(smtplog.parse(f"{tai64n.render((now - 30 * 3600) * 10**9)} {PID}"))
    assert service.save()


def test_the_numbers_are_shown(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog], capsys: pytest.CaptureFixture[str]
) -> None:
    places = world[0]
    saved(places, time.time())
    status, out, err = shown(places, capsys, "--ascii")
    assert (status, err) == (0, "")
    assert out.isascii()
    lines = out.splitlines()
    assert all(len(one) <= 80 for one in lines)
    row = next(one for one in lines if one.startswith("connections"))
    assert re.fullmatch(r"connections +1 +@ *", row)
    assert any(re.fullmatch(r"  virus +1 +@ *", one) for one in lines)
    status, out, _err = shown(places, capsys, "--json", "--last", "40h")
    told = json.loads(out)
    assert status == 0
    assert told["running"] is True
    assert told["last"]["counts"]["connections"] == told["totals"]["counts"]["connections"] == 2
    assert told["last"]["seconds"]["scan"]["p50"] == pytest.approx(0.175)
    assert told["totals"]["tls"] == {
        "sessions": {"1.3": 0, "1.2": 0, "other": 0},
        "accepted": {"tls": 0, "plain": 0},
    }


def test_old_numbers_are_said_to_be_old(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog], capsys: pytest.CaptureFixture[str]
) -> None:
    places = world[0]
    saved(places, time.time() - 600)
    status, out, err = shown(places, capsys)
    assert status == 1
    assert "connections" in out
    assert re.search(r"the service stats does not run: these numbers are of .*, 10 minutes old", err)
    assert json.loads(shown(places, capsys, "--json")[1])["running"] is False


def test_no_numbers_and_bad_arguments(
    world: tuple[stats_service.ServicePaths, Multilog, Multilog], capsys: pytest.CaptureFixture[str]
) -> None:
    places = world[0]
    status, out, err = shown(places, capsys)
    assert (status, out) == (111, "")
    assert "expected the service stats to run" in err
    Path(places.own("state.json")).write_text("[]")
    assert shown(places, capsys)[0] == 111
    for wrong in ("", "1", "50h", "0h", "30s", "x"):
        assert shown(places, capsys, "--last", wrong)[0] == 100


@pytest.mark.parametrize(("text", "seconds"), [("1h", 3600), ("30m", 1800), ("24h", 86_400), ("2d", 172_800)])
def test_a_span(text: str, seconds: int) -> None:
    assert stats_command.span_of(text, BEGIN + 0.5) == BEGIN - seconds


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
HAVANA = "CST5CDT,M3.2.0/0,M11.1.0/1"  # no midnight in March, two of them in November
LORD_HOWE = "LHST-10:30LHDT-11,M10.1.0,M4.1.0"  # by half an hour
CAIRO = "EET-2EEST,M4.5.5/0,M10.5.4/24"  # back at 24:00, to 23:00 of the same day


@pytest.mark.parametrize(
    ("name", "noon", "begin"),
    [
        ("UTC0", "2026-10-25 12:00", "2026-10-25 00:00"),
        (BERLIN, "2026-10-24 10:00", "2026-10-23 22:00"),
        (BERLIN, "2026-10-25 00:30", "2026-10-24 22:00"),  # 02:30, the first time
        (BERLIN, "2026-10-25 01:30", "2026-10-24 22:00"),  # 02:30 again
        (BERLIN, "2026-10-25 11:00", "2026-10-24 22:00"),
        (BERLIN, "2026-10-25 22:59", "2026-10-24 22:00"),
        (BERLIN, "2026-10-25 23:00", "2026-10-25 23:00"),
        (BERLIN, "2026-03-29 00:30", "2026-03-28 23:00"),
        (BERLIN, "2026-03-29 10:00", "2026-03-28 23:00"),
        (BERLIN, "2026-03-30 10:00", "2026-03-29 22:00"),
        (HAVANA, "2026-03-08 16:00", "2026-03-08 05:00"),  # begins at 01:00
        (HAVANA, "2026-11-01 04:30", "2026-11-01 04:00"),
        (HAVANA, "2026-11-01 05:30", "2026-11-01 04:00"),  # 00:30 again
        (HAVANA, "2026-11-01 17:00", "2026-11-01 04:00"),
        (LORD_HOWE, "2026-10-04 02:00", "2026-10-03 13:30"),
        (LORD_HOWE, "2026-04-05 02:00", "2026-04-04 13:00"),
        (CAIRO, "2026-10-30 10:00", "2026-10-29 22:00"),
    ],
)
def test_today_on_the_days_when_clocks_change(
    zone: Callable[[str], None], name: str, noon: str, begin: str
) -> None:
    zone(name)
    now, wanted = (calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M")) for text in (noon, begin))
    assert stats_command.span_of("today", now + 0.5) == wanted


def test_today_begins_at_midnight() -> None:
    begin = stats_command.span_of("today", BEGIN)
    assert time.localtime(begin)[3:6] == (0, 0, 0)
    assert 0 <= BEGIN - begin < 90_000


def test_a_chart() -> None:
    parts = [(BEGIN + 60 * number, {"clean": number}) for number in range(60)]
    fine = stats_command.chart(parts, "clean", BEGIN, BEGIN + 3600, 60, True)
    assert len(fine) == 30  # two minutes each
    assert (fine[0], fine[-1]) == ("▁", "█")
    assert list(fine) == sorted(fine)
    assert stats_command.chart(parts, "marked", BEGIN, BEGIN + 3600, 60, True) == ""


def test_numbers_that_are_a_pipe_make_nobody_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory is that of the service's user, who reads the text of strangers."""
    os.mkfifo(tmp_path / "state.json")
    assert stats_command.main(["--directory", str(tmp_path)]) == 111
    assert "is not a regular file" in capsys.readouterr().err
