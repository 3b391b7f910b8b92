# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of the Qmail installation guide, 2007, line by line, and hostile text in the lines."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import state_items
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.model import kind_of
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.reputation import (
    SESSIONS_MAX,
    Reputation,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.settings import (
    Added,
    Settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtpd_log as smtplog
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from hypothesis import given
from hypothesis import strategies as st

BEGIN = 1_795_000_000
BAD = "198.51.100.7"
GOOD = "203.0.113.9"
DAY = 86_400


class Log:
    """Lines as the programs write them, second by second, put before a Reputation."""

    def __init__(self, never: dict[str, str] | None = None, **settings: Any) -> None:
        self.now = float(BEGIN)
        spared = never or {}
        self.known = Reputation(Settings(**settings), lambda address: spared.get(address, ""))
        self.pid = 100

    def say(self, text: str) -> None:
        label = tai64n.render(int(self.now * 10**9))
        self.known.observe(smtplog.parse(f"{label} {text}"))
        self.now += 0.001

    def connect(self, address: str = BAD) -> int:
        self.pid += 1
        self.say(f"tcpserver: pid {self.pid} from {address}")
        return self.pid

    def end(self, pid: int) -> None:
        self.say(f"tcpserver: end {pid} status 0")

    def refuse(self, address: str = BAD, who: str = "nobody@example.test", sender: str = "<>") -> None:
        self.say(f"qmail-smtpd: not in validrcptto: {who} from {sender} at {address}")

    def scan(
        self,
        pid: int,
        state: str = "CLEAN (0.30/5.00/10.00)",
        address: str = BAD,
        text: str = "Hi",
        seconds: float = 0.0,
        sender: str = "a@b.example",
    ) -> None:
        shown = f"[{address}]" if ":" in address else address
        self.say(f"simscan:[{pid}]:{state}:{seconds:.4f}s:{text}:{shown}:{sender}:joe@example.com")

    def bad(self, count: int, address: str = BAD) -> None:
        """So many refused recipients, each in a session of its own."""
        for _ in range(count):
            pid = self.connect(address)
            self.refuse(address)
            self.end(pid)

    def good(self, count: int, address: str = BAD) -> None:
        for _ in range(count):
            pid = self.connect(address)
            self.scan(pid, address=address)
            self.end(pid)

    @property
    def listed(self) -> list[str]:
        return [entry.address for entry in self.known.entries(int(self.now))]

    def told(self, address: str = BAD) -> dict[str, Any]:
        return self.known.explain(address, int(self.now))


def test_a_session_keeps_its_count_when_smtpfront_hands_it_over() -> None:
    """Refused recipients count for the session that its id or process names, wherever it is."""
    log = Log(session_attempts=2)
    log.say(f"smtpfront: pid 6kz3rt9qm4 from {BAD}")
    log.say(f"smtpfront: pid 6kz3rt9qm5 from {BAD}")
    refused = "qmail-smtpd: not in validrcptto: {}@example.test from <> at {} id {}"
    for number in range(4):
        log.say(refused.format(number, BAD, "6kz3rt9qm5"))
    log.say(refused.format(5, BAD, "6kz3rt9qm4"))
    log.say(f"smtplaunch: pid 300 from {BAD} id 6kz3rt9qm4")
    log.say("smtpfront: end 6kz3rt9qm4 status 0")
    for number in range(4):
        log.say(refused.format(number, BAD, "6kz3rt9qm4") + " pid 300")
    log.say(refused.format(6, GOOD, "6kz3rt9qm4") + " pid 300")  # not its client
    log.say(refused.format(7, BAD, "6kz3rt9qm7") + " pid 301")  # no session of the log
    assert log.told()["attempts"] == 4


def test_more_than_ten_attempts_and_more_than_half_of_them_bad() -> None:
    log = Log()
    log.bad(10)
    assert log.listed == []
    log.bad(1)
    (entry,) = log.known.entries(int(log.now))
    assert (entry.address, entry.why) == (BAD, "11 of 11 attempts bad in 60 minutes")
    assert entry.until == BEGIN + 14_400
    assert log.known.notes == [
        f"listed {BAD} until 2026-11-18 15:06:40 UTC: 11 of 11 attempts bad in 60 minutes"
    ]


def test_half_of_them_bad_is_not_enough() -> None:
    log = Log()
    log.good(10)
    log.bad(10)
    assert log.listed == []
    log.bad(1)
    assert log.known.entries(int(log.now))[0].why == "11 of 21 attempts bad in 60 minutes"


def test_a_clean_message_can_be_the_eleventh_attempt() -> None:
    log = Log()
    log.bad(10)
    log.good(1)
    assert log.known.entries(int(log.now))[0].why == "10 of 11 attempts bad in 60 minutes"


def test_the_window_slides_by_the_stamps() -> None:
    log = Log()
    log.bad(10)
    log.now = BEGIN + 3600  # the first ten are over with this second
    log.bad(10)
    assert log.listed == []
    log.bad(1)
    assert log.listed == [BAD]
    other = Log()
    other.bad(10)
    other.now = BEGIN + 3599
    other.bad(1)
    assert other.listed == [BAD]


def test_four_hours_later() -> None:
    log = Log()
    log.bad(11)
    log.known.expire(BEGIN + 14_399)
    assert [entry.address for entry in log.known.entries(BEGIN + 14_399)] == [BAD]
    assert log.known.entries(BEGIN + 14_400) == []
    log.known.changed = False
    log.known.expire(BEGIN + 14_400)
    assert log.known.changed
    assert log.known.notes[-1] == f"expired {BAD}: 11 of 11 attempts bad in 60 minutes"


def test_ten_attempts_of_a_session_count() -> None:
    log = Log()
    pid = log.connect()
    for _ in range(50):
        log.refuse()
        log.scan(pid, "SPAM REJECT (14.00/5.00/10.00)")
    assert (log.told()["attempts"], log.listed) == (10, [])
    log.end(pid)
    log.bad(1)
    assert log.listed == [BAD]


def test_sessions_that_were_killed_with_their_tcpserver_lend_no_attempts() -> None:
    log = Log()
    for _ in range(3):
        log.connect()
    log.say("tcpserver: status: 0/120")
    log.connect()
    for _ in range(60):
        log.refuse()
    assert log.known.explain(BAD, int(log.now))["attempts"] == 10
    assert not log.known.entries(int(log.now))


def test_sessions_side_by_side_have_ten_each() -> None:
    log = Log(attempts=100)
    for _ in range(3):
        log.connect()
    for _ in range(40):
        log.refuse()
    assert log.told()["attempts"] == 30


@pytest.mark.parametrize(
    "why", ["not in validrcptto: x@y from <>", "rcpthosts: x@y from <>", "badmailfrom: x@y to a@b"]
)
def test_every_refused_recipient_is_bad(why: str) -> None:
    log = Log()
    log.connect()
    log.say(f"qmail-smtpd: {why} at {BAD}")
    assert (log.told()["attempts"], log.told()["bad"]) == (1, 1)


# State with its numbers, setting, what it counts as.
KINDS = [
    ("CLEAN (0.30/5.00)", "spam", "ham"),
    ("CLEAN (-99.90/5.00/10.00)", "spam", "ham"),
    ("CLEAN (5.00/5.00)", "spam", "spam"),
    ("CLEAN (7.10/5.00)", "ham", "ham"),
    ("CLEAN (0.00/0.00)", "spam", None),
    ("CLEAN (0.00/0.00/10.00)", "spam", None),
    ("CLEAN (nan/5.00/10.00)", "spam", None),
    ("CLEAN (inf/5.00/10.00)", "spam", None),
    ("CLEAN", "spam", None),
    ("SPAM REJECT (10.00/5.00)", "ham", "spam"),
    ("SPAM DROPPED (10.00/5.00)", "ham", "spam"),
    ("SPAM PASS (7.10/5.00/10.00)", "spam", "spam"),
    ("SPAM PASS (7.10/5.00/10.00)", "ham", "ham"),
    ("SPAM PASS (7.10/5.00/10.00)", "neither", "other"),
    ("PASSTHRU (17.10/5.00/20.00)", "spam", "spam"),
    ("VIRUS", "ham", "virus"),
    ("VIRUS DROPPED", "ham", "virus"),
    ("REGEX", "ham", "other"),
    ("ATTACH", "spam", "other"),
    ("LIMIT", "spam", "other"),
    ("HEURISTIC", "spam", "other"),
    ("RELAYCLIENT", "spam", None),
]


@pytest.mark.parametrize(("state", "marked", "kind"), KINDS)
def test_what_a_verdict_counts_as(state: str, marked: str, kind: str | None) -> None:
    line = f"{tai64n.render(BEGIN * 10**9)} simscan:[7]:{state}:0.1000s:x:{BAD}:a@b.example:joe@example.com"
    verdict = smtplog.parse(line)
    assert isinstance(verdict, smtplog.Verdict)
    assert kind_of(verdict, marked) == kind


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("CLEAN (4.90/5.00/10.00)", "ham"),
        ("CLEAN (5.00/15.00/20.00)", "other"),  # of a lenient domain
        ("SPAM REJECT (4.90/2.00/4.00)", "other"),  # of a strict one
        ("SPAM PASS (4.90/2.00/10.00)", "other"),
        ("SPAM REJECT (5.00/2.00/4.00)", "spam"),
        ("SPAM PASS (5.00/5.00/10.00)", "spam"),
        ("CLEAN (0.00/0.00/0.00)", None),
        ("VIRUS", "virus"),
        ("ATTACH", "other"),
    ],
)
def test_the_limits_of_one_domain_count_neither_way(state: str, kind: str | None) -> None:
    line = f"{tai64n.render(BEGIN * 10**9)} simscan:[7]:{state}:0.1000s:x:{BAD}:a@b.example:joe@example.com"
    verdict = smtplog.parse(line)
    assert isinstance(verdict, smtplog.Verdict)
    assert kind_of(verdict, spam_score=5.0) == kind


def test_what_nobody_scanned_counts_neither_way() -> None:
    log = Log()
    pid = log.connect()
    log.scan(pid, "CLEAN (0.00/0.00/10.00)")
    assert (log.told()["attempts"], log.told()["ham"]) == (0, 0)


def test_a_virus_that_was_clean_to_the_spam_scanner_counts_once() -> None:
    log = Log()
    pid = log.connect()
    log.now += 1
    log.scan(pid, seconds=0.9)
    log.now += 0.2
    log.scan(pid, "VIRUS", text="Eicar", seconds=1.1)
    told = log.told()
    assert (told["attempts"], told["bad"], told["ham"]) == (1, 1, 0)
    assert [event["what"] for event in told["events"]] == ["virus"]


def test_a_clean_message_and_then_a_virus_are_two() -> None:
    log = Log()
    pid = log.connect()
    log.now += 1
    log.scan(pid, seconds=0.9)
    log.now += 0.5
    log.scan(pid, "VIRUS", text="Eicar", seconds=0.3)
    assert (log.told()["attempts"], log.told()["bad"], log.told()["ham"]) == (2, 1, 1)


def test_who_sent_good_mail_is_reported_and_not_refused() -> None:
    log = Log()
    for day in range(5):
        log.now = BEGIN + day * DAY
        log.good(10)
    log.now = BEGIN + 6 * DAY
    log.bad(20)
    assert log.listed == []
    assert log.known.notes == [
        f"spared {BAD}: 11 of 11 attempts bad in 60 minutes; 50 clean messages in 7 days"
    ]
    assert log.told()["spared"] == "11 of 11 attempts bad in 60 minutes; 50 clean messages in 7 days"


def test_good_mail_of_long_ago_spares_nobody() -> None:
    log = Log()
    for day in range(5):
        log.now = BEGIN + day * DAY
        log.good(10)
    log.now = BEGIN + 7 * DAY + 1  # the first ten are over
    log.bad(11)
    assert log.listed == [BAD]


def test_forty_nine_clean_messages_spare_nobody_and_zero_turns_it_off() -> None:
    for ham, more in ((49, {}), (60, {"spare_ham": 0})):
        log = Log(**more)
        log.good(ham)
        log.now += 3600
        log.bad(11)
        assert log.listed == [BAD]


def test_an_address_of_the_site_is_never_listed() -> None:
    log = Log(never={BAD: "it may relay"})
    log.bad(30)
    assert log.listed == []
    assert log.known.notes == [f"spared {BAD}: 11 of 11 attempts bad in 60 minutes; it may relay"]
    with pytest.raises(BadInput) as caught:
        log.known.add(BAD, BEGIN + 99, "x", BEGIN)
    assert str(caught.value) == f"address '{BAD}': never listed, it may relay; expected another one"


def test_an_entry_that_may_not_be_any_more_is_not_written() -> None:
    spared: dict[str, str] = {}
    log = Log(never=spared)
    log.known.never = lambda address: spared.get(address, "")
    log.bad(11)
    assert log.listed == [BAD]
    spared[BAD] = "it is protected"
    assert log.listed == []


# Whose line is it?


def test_a_line_of_nobody_counts_for_nobody() -> None:
    log = Log()
    for _ in range(5):
        log.refuse()  # nobody is connected
        log.scan(7, "VIRUS")
    assert log.told()["attempts"] == 0


def test_a_verdict_after_the_end_counts_for_nobody() -> None:
    log = Log()
    pid = log.connect()
    log.end(pid)
    log.scan(pid, "VIRUS")
    assert log.told()["attempts"] == 0


def test_a_verdict_whose_address_is_not_that_of_the_pid_counts_for_nobody() -> None:
    log = Log()
    mine, theirs = log.connect(BAD), log.connect(GOOD)
    log.scan(mine, "VIRUS", address=GOOD)
    log.scan(theirs, "VIRUS", address=BAD)
    log.scan(mine, "VIRUS", address="(null)")
    assert [log.told(address)["attempts"] for address in (BAD, GOOD)] == [0, 0]


def test_a_pid_that_is_used_again_is_the_later_client() -> None:
    log = Log()
    pid = log.connect(BAD)
    log.say(f"tcpserver: pid {pid} from {GOOD}")  # the end of the first one was lost
    log.scan(pid, "VIRUS", address=BAD)
    log.refuse(BAD)
    log.scan(pid, "VIRUS", address=GOOD)
    assert [log.told(address)["attempts"] for address in (BAD, GOOD)] == [0, 1]


def escaped(text: str) -> str:
    """Return a field as refusal.c writes it."""
    if not text:
        return "<>"
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b"\\<>" else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogatepass")
    )


def cleaned(text: str) -> str:
    """Return a text as the patched simscan writes it: no ':' and no control character."""
    return "".join("_" if char == ":" or ord(char) < 32 or ord(char) == 127 else char for char in text)


VICTIM_PID, ATTACKER_PID = 55, 66
WORDS = st.lists(
    st.sampled_from(
        [
            *(
                " ",
                ":",
                ",",
                "\n",
                "\r",
                " at ",
                " from ",
                "::",
                "(null)",
                "@",
                "x@y.example",
                "\u2028",
                "\x85",
            ),
            *(GOOD, f":{GOOD}:", f" at {GOOD}", f"simscan:[{VICTIM_PID}]:VIRUS:0.1s:x:{GOOD}:a@b:c@d"),
            *(f"\n@400000006743a1a21b2f5c84 tcpserver: pid {VICTIM_PID} from {GOOD}", "s:", "0.1000s:"),
            *(f"qmail-smtpd: rcpthosts: a@b from c@d at {GOOD}", f"tcpserver: end {VICTIM_PID} status 0"),
            *(
                "Allowing 192.0.2.7 , ",
                f"tcpserver: pid {ATTACKER_PID} from {GOOD}",
                "starting negotiation, ",
            ),
        ]
    ),
    max_size=6,
).map("".join)


def refusals(log: Log, text: str, other: str) -> None:
    log.refuse(BAD, escaped(text), escaped(other))
    log.say(f"qmail-smtpd: badmailfrom: {escaped(text)} to {escaped(other)} at {BAD}")
    log.say(f"qmail-smtpd: rcpthosts: {escaped(text)} from {escaped(other)} at {BAD}")


@given(WORDS, WORDS, st.booleans())
def test_no_text_of_a_stranger_counts_against_somebody_else(text: str, other: str, patched: bool) -> None:
    """Subjects, senders, recipients and names of files, also of a scanner that replaces no ':'."""
    log = Log(session_attempts=10_000)
    log.say(f"tcpserver: pid {VICTIM_PID} from {GOOD}")
    log.say(f"tcpserver: pid {ATTACKER_PID} from {BAD}")
    refusals(log, text, other)
    subject = cleaned(text)
    # Without the patch a sender's ':' stays; no scanner lets a subject hold one, or any text end a line.
    free = [cleaned(one) if patched else one.replace("\n", "_") for one in (text, other)]
    for state in ("CLEAN (0.10/5.00/10.00)", "SPAM REJECT (14.00/5.00/10.00)"):
        log.scan(ATTACKER_PID, state, text=subject, sender=free[1])
    for state in ("VIRUS", "ATTACH"):
        log.scan(ATTACKER_PID, state, text=free[0], sender=free[1])
    assert log.told(GOOD)["attempts"] == 0
    assert log.told(BAD)["attempts"] == 7
    # And the victim's session was not ended or given to another one by it.
    log.scan(VICTIM_PID, "VIRUS", address=GOOD)
    assert log.told(GOOD)["attempts"] == 1


# Orders.


def test_who_was_released_is_not_listed_again_for_the_same() -> None:
    log = Log()
    log.bad(11)
    pid = log.connect()
    log.refuse()  # while it is refused: a session that was open already
    log.end(pid)
    assert log.told()["more"] == 1
    log.now += 10
    assert log.known.release(BAD, int(log.now))
    assert log.listed == []
    log.now -= 5  # what the log says later of the time before
    log.bad(11)
    assert log.listed == []
    log.now += 10
    log.bad(10)
    assert log.listed == []
    log.bad(1)
    assert log.listed == [BAD]


def test_after_an_entry_its_events_do_not_count_again() -> None:
    log = Log(listing_seconds=10)
    log.bad(11)
    log.now += 11
    log.known.expire(int(log.now))
    log.bad(10)
    assert log.listed == []
    log.bad(1)
    assert log.listed == [BAD]


def test_added_by_hand() -> None:
    log = Log()
    log.bad(3)
    log.known.add(BAD, BEGIN + 500, "harvester", BEGIN + 1)
    assert [(one.address, one.until, one.why) for one in log.known.entries(BEGIN + 1)] == [
        (BAD, BEGIN + 500, "harvester")
    ]
    told = log.told()
    assert (told["by"], told["why"], len(told["events"])) == ("operator", "harvester", 3)
    assert not log.known.release("192.0.2.1", BEGIN + 2)


def test_added_and_released_by_the_site() -> None:
    log = Log()
    log.bad(11)
    settings = Settings(
        added=(Added("192.0.2.8", None, ""), Added("192.0.2.9", BEGIN + 50, "scanner")), released=(BAD,)
    )
    log.known.configure(settings, BEGIN + 1)
    entries = log.known.entries(BEGIN + 1)
    assert [(one.address, one.why) for one in entries] == [
        ("192.0.2.8", "added by the site"),
        ("192.0.2.9", "scanner"),
    ]
    assert BEGIN + DAY <= entries[0].until <= BEGIN + 2 * DAY
    assert [one.address for one in log.known.entries(BEGIN + 50)] == ["192.0.2.8"]


def test_a_clock_that_was_ahead_refuses_nobody_for_years() -> None:
    log = Log()
    log.now = BEGIN + 3650 * DAY
    log.bad(11)
    log.known.expire(BEGIN)
    assert [entry.until for entry in log.known.entries(BEGIN)] == [BEGIN + 14_400]


# Bounds.


def test_a_flood_of_addresses_forgets_who_was_silent_for_longest() -> None:
    log = Log(addresses_max=100)
    for number in range(150):
        log.bad(1, f"192.0.2.{number}")
        if number % 30 == 29:
            log.bad(1, BAD)
    assert log.known.counts()["addresses"] == 100
    assert log.told(BAD)["attempts"] == 5
    assert log.told("192.0.2.30")["attempts"] == 0
    assert log.told("192.0.2.149")["attempts"] == 1


def test_events_are_bounded_too() -> None:
    log = Log(addresses_max=100, attempts=1000, events_max=10_000)
    for number in range(50):
        log.bad(30, f"192.0.2.{number}")
    assert log.known.counts()["events"] <= 400
    one = Log(events_max=20)
    for _ in range(40):
        one.good(1)
        assert one.known.counts()["events"] <= 20
    one.bad(11)  # of the last twenty
    assert one.listed == [BAD]


def test_old_events_are_forgotten() -> None:
    log = Log()
    log.bad(1)
    log.now += 3600
    log.bad(1, GOOD)
    assert log.known.counts()["addresses"] == 1


def test_clean_messages_sessions_and_entries_are_bounded() -> None:
    log = Log(addresses_max=100, entries_max=2, spare_ham=5)
    for number in range(120):
        log.good(7, f"192.0.2.{number}")
    assert log.known.counts()["ham_addresses"] == 100
    assert log.told("192.0.2.119")["ham"] == 5
    for number in range(SESSIONS_MAX + 10):
        log.say(f"tcpserver: pid {10_000 + number} from {GOOD}")
    assert log.known.counts()["sessions"] == SESSIONS_MAX
    log = Log(entries_max=2)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        log.bad(11, address)
        log.now += 10
    assert log.listed == ["192.0.2.2", "192.0.2.3"]


# Memory that outlives a restart.


def test_a_state_in_the_middle_changes_nothing() -> None:
    """The result is the same whether the state is saved and loaded after each line or never."""

    def play(restart: bool) -> dict[str, Any]:
        chance = random.Random(3)
        log = Log(addresses_max=100)
        for _ in range(600):
            address = f"192.0.2.{chance.randrange(20)}"
            getattr(log, chance.choice(["bad", "bad", "good"]))(1, address)
            pid = log.connect(address)
            log.now += chance.randrange(60)
            if restart:
                other = Reputation(log.known.settings, log.known.never)
                other.restore(*state_items.flat(json.loads(json.dumps(log.known.to_json()))))
                log.known = other
            log.refuse(address)
            log.end(pid)
        return dict(json.loads(json.dumps(log.known.to_json())))

    assert play(True) == play(False)
    assert play(True)["entries"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"version": 2},
        {
            "version": 1,
            "sessions": [],
            "clients": [["x"]],
            "ham": [],
            "entries": [],
            "spared": [],
            "released": [],
        },
    ],
)
def test_a_damaged_state_is_refused(data: Any) -> None:
    log = Log()
    log.bad(3)
    with pytest.raises(BadInput):
        log.known.restore(*state_items.flat(data))
    assert log.told()["attempts"] == 3


# IPv6

SITE = "2001:db8:1::/48"


def net(number: int, host: str = "7") -> str:
    """Return an address in the network /64 of SITE with that number."""
    return f"2001:db8:1:{number:x}::{host}"


def key(number: int) -> str:
    return f"2001:db8:1:{number:x}::/64" if number else "2001:db8:1::/64"


def test_the_attempts_of_a_network_64_count_together() -> None:
    log = Log()
    for host in range(11):
        log.bad(1, net(2, f"{host:x}:1"))
    log.bad(10, net(3))
    assert log.listed == ["2001:db8:1:2::/64"]
    assert log.told("2001:db8:1:2::/64")["refused"]


def test_an_address_of_ipv4_counts_alone() -> None:
    log = Log()
    log.bad(10, "198.51.100.7")
    log.bad(10, "198.51.100.8")
    assert log.listed == []


def test_messages_of_ipv6_clients_count_and_a_virus_is_taken_for_the_message_before() -> None:
    log = Log()
    for _ in range(11):
        pid = log.connect(net(2))
        log.scan(pid, address=net(2))
        log.scan(pid, "VIRUS", address=net(2), text="Eicar", seconds=1.0)
        log.end(pid)
    told = log.told("2001:db8:1:2::/64")
    # The eleventh message was counted as clean when the rule was met.
    assert [one["what"] for one in told["events"]] == ["virus"] * 10 + ["ham"]


def test_a_48_is_refused_when_eight_of_its_64s_are() -> None:
    log = Log()
    for number in range(1, 8):
        log.bad(11, net(number))
    log.bad(11, "2001:db8:2:1::7")  # of another /48
    assert SITE not in log.listed
    log.bad(11, net(8))
    assert log.listed == sorted([SITE, "2001:db8:2:1::/64", *map(key, range(1, 9))])
    told = log.told(SITE)
    assert told["why"] == "8 networks /64 of it are refused"
    assert [one["what"] for one in told["events"]] == ["network"] * 8
    assert told["events"][0]["detail"] == f"{key(1)}: 11 of 11 attempts bad in 60 minutes"
    other = log.told(key(77))
    assert (other["refused"], other["why"]) == (True, f"{SITE}: 8 networks /64 of it are refused")


def test_the_evidence_against_a_48_is_limited() -> None:
    log = Log(ipv6_site_networks=50)
    for number in range(60):
        log.bad(11, net(number))
    assert len(log.told(SITE)["events"]) == 50


def test_attempts_from_a_refused_48_are_only_added_up() -> None:
    log = Log(ipv6_site_networks=2)
    log.bad(11, net(1))
    log.bad(11, net(2))
    log.bad(20, net(3))
    assert log.listed == sorted([SITE, key(1), key(2)])
    assert log.told(SITE)["more"] == 20


def test_no_48_is_refused_where_that_is_turned_off() -> None:
    log = Log(ipv6_site_networks=0)
    for number in range(1, 30):
        log.bad(11, net(number))
    assert SITE not in log.listed


def test_networks_that_a_person_refused_are_no_case_against_their_48() -> None:
    log = Log(ipv6_site_networks=2)
    log.known.add(key(1), BEGIN + DAY, "by hand", int(log.now))
    log.bad(11, net(2))
    assert SITE not in log.listed


def test_networks_whose_time_is_over_are_no_case_against_their_48() -> None:
    log = Log(ipv6_site_networks=2)
    log.bad(11, net(1))
    log.now += 14_401
    log.bad(11, net(2))
    assert log.listed == [key(2)]


def test_a_48_with_many_others_that_send_clean_mail_is_spared() -> None:
    log = Log(ipv6_site_networks=3)
    for number in range(10, 13):
        log.good(1, net(number))
    for number in range(1, 4):
        log.bad(11, net(number))
    assert SITE not in log.listed
    (spared,) = log.known.listing(int(log.now))["spared"]
    assert spared["why"] == "3 networks /64 of it are refused; 3 clean messages from 3 others of them"
    log.bad(11, net(4))
    assert SITE not in log.listed and log.known.notes[-1].startswith("listed 2001:db8:1:4::/64")


def test_a_48_with_one_good_sender_of_many_messages_is_spared() -> None:
    log = Log(ipv6_site_networks=3)
    log.good(50, net(10))
    for number in range(1, 4):
        log.bad(11, net(number))
    assert SITE not in log.listed


def test_clean_mail_of_the_refused_ones_themselves_spares_no_48() -> None:
    log = Log(ipv6_site_networks=2)
    for number in (1, 2):
        log.good(5, net(number))
        log.bad(11, net(number))
    assert SITE in log.listed


@pytest.mark.parametrize("number", [4, 2])
def test_the_exemption_of_a_48_leaves_its_64s_refused(number: int) -> None:
    log = Log({SITE: "it is protected"}, ipv6_site_networks=2)
    for one in range(1, number + 1):
        log.bad(11, net(one))
    assert log.listed == [key(one) for one in range(1, number + 1)]


def test_release_of_a_64_ends_the_refusal_of_its_48_which_needs_new_ones_then() -> None:
    log = Log(ipv6_site_networks=2)
    log.bad(11, net(1))
    log.bad(11, net(2))
    log.now += 10
    assert log.known.release(key(3), int(log.now))
    assert log.listed == [key(1), key(2)]
    log.now += 4000  # the window is over, the listings are not
    log.known.expire(int(log.now))
    log.bad(11, net(4))
    assert SITE not in log.listed
    log.bad(11, net(5))
    assert SITE in log.listed


def test_release_of_a_48_releases_all_of_it() -> None:
    log = Log(ipv6_site_networks=2)
    log.bad(11, net(1))
    log.bad(11, net(2))
    log.bad(11, "2001:db8:2:1::7")
    log.now += 10
    assert log.known.release(SITE, int(log.now))
    assert log.listed == ["2001:db8:2:1::/64"]
    assert not log.known.release(SITE, int(log.now))


def test_a_dropped_entry_is_no_case_against_its_48() -> None:
    log = Log(ipv6_site_networks=2, entries_max=1)
    log.bad(11, net(1))
    log.now += 10
    log.bad(11, BAD)
    log.now += 10
    log.bad(11, net(2))
    assert log.listed == [key(2)]


def test_the_state_holds_what_is_known_of_ipv6() -> None:
    log = Log(ipv6_site_networks=2)
    log.bad(11, net(1))
    pid = log.connect(net(2))
    data = json.loads(json.dumps(log.known.to_json()))
    other = Log(ipv6_site_networks=2)
    other.pid, other.now = log.pid, log.now
    other.known.restore(*state_items.flat(data))
    for _ in range(10):
        other.refuse(net(2))
    other.end(pid)
    other.bad(1, net(2))
    assert SITE in other.listed


@pytest.mark.parametrize("section", ["clients", "ham", "entries", "spared", "released"])
def test_a_client_in_the_state_that_is_none_is_refused(section: str) -> None:
    item: list[Any] = {
        "clients": ["x/64", [[1, "spam", ""]]],
        "ham": ["x/64", [1]],
        "entries": ["x/64", 1, 2, "why", "rule", [], 0],
        "spared": ["x/64", 1, "why"],
        "released": ["x/64", 1],
    }[section]
    with pytest.raises(BadInput, match="in it; expected"):
        Log().known.restore(1, [(section, item)])
