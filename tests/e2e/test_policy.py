# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of policy is described before it is made, takes effect in seconds, and disturbs no session."""

# ruff: noqa: E501 - answers and words stand in one line, as they are printed

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import yaml
from support.conversations import OFFICE, STRANGER
from support.gateway import GATEWAY_ADDRESS, GREYLIST_SECONDS, Bed
from support.policy_playbook import ROOT, change
from support.policy_playbook import refused as policy_refused
from support.smtp_client import CLOSED, Session

SITE = yaml.safe_load((ROOT / "tests/inventory/group_vars/gateways/site.yml").read_text())
WALL_SECONDS = 240.0  # a hang is found, not a busy machine; an idle one takes about ten
PAUSE_SECONDS = 0.1
ACTS_WITHIN_SECONDS = 10.0  # a second on an idle machine
WATCHED = (
    "etc/tcp.d",
    "etc/tcp.smtp.cdb",
    "etc/tcp.smtp",
    "etc/badmailfrom.d",
    "var/qmail/control",
    "etc/mailgate",
)
NEW_OFFICE = "198.51.100.130"


def files(bed: Bed) -> dict[str, tuple[int, int, int]]:
    found = {}
    for name in WATCHED:
        top = bed.root / name
        for path in [top, *top.rglob("*")]:
            now = path.lstat()
            found[str(path.relative_to(bed.root))] = (now.st_ino, now.st_mtime_ns, now.st_mode)
    return found


def services(bed: Bed) -> list[str]:
    """Return the numbers of the processes that a change of policy must not restart."""
    names = ["qmail-smtpd", "qmail-send", "rules", *(["smtpfront"] if bed.front == "smtpfront" else [])]
    status, said, _error = bed.inside("svstat", *(f"/service/{name}" for name in names))
    assert status == 0, said
    return re.findall(r"\(pid \d+\)", said)


def answers(source: str, *commands: str, target: str = GATEWAY_ADDRESS) -> list[str]:
    with Session(source, target, timeout_seconds=20) as session:
        said = [session.reply()]
        for command in commands:
            if said[-1] == CLOSED:
                break
            session.send(command.encode() + b"\r\n")
            said.append(session.reply())
        return said


def recipient(source: str, address: str, sender: str = "ann@sender.example") -> str:
    """Return the reply to one recipient, or the first refusal before it."""
    said = answers(source, "HELO client.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>")
    return said[-1]


@dataclass
class Stream:
    """Sessions one after the other, each of which must go as it always goes."""

    source: str
    address: str
    expected: str
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self, until: threading.Event) -> None:
        while not until.is_set():
            said = answers(
                self.source,
                "HELO client.example",
                "MAIL FROM:<ann@sender.example>",
                f"RCPT TO:<{self.address}>",
                "QUIT",
            )
            self.count += 1
            time.sleep(PAUSE_SECONDS)
            codes = [one[:3] for one in said]
            if codes != ["220", "250", "250", self.expected, "221"]:
                self.wrong.append(f"{self.source} {self.address}: {said}")


@contextlib.contextmanager
def streams(*every: Stream) -> Iterator[None]:
    until = threading.Event()
    threads = [threading.Thread(target=one.run, args=(until,)) for one in every]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def site_as_before(bed: Bed) -> Iterator[None]:
    yield
    change(bed)


@pytest.fixture
def operator_as_before(bed: Bed) -> Iterator[None]:
    yield
    with contextlib.suppress(FileNotFoundError):
        (bed.root / "etc/tcp.d/20-operator").unlink()
    bed.inside("mailgate", "rules", "compile")


CHANGED = {
    "gateway_domains": [
        {"name": "example.test", "route": "198.18.0.10:2525", "recipients": "list", "addresses": ["alice", "carl"]},
        {"name": "new.example", "route": "198.18.0.10:2525", "recipients": "any"},
    ],
    "gateway_relay_networks": ["198.51.100.64/27", "198.51.100.128/26", "2001:DB8:77::/48"],
    "gateway_protected_networks": ["2001:db8:78::/48"],
    "gateway_bad_senders": ["@worse.example", "other@bad.example"],
}  # fmt: skip
WORDS = (
    "198.51.100.96/27 loses relay",
    "198.51.100.128/26 gains relay",
    "2001:db8:77::/48 gains relay",
    "sender spammer@bad.example will no longer be refused",
    "sender other@bad.example will be refused",
    "mail for new.example goes to 198.18.0.10:2525",
    "mail for example.org loses its route to 198.18.0.20:2525",
    "domain new.example will be accepted and goes to 198.18.0.10:2525",
    "domain example.org stops being accepted",
)


@pytest.mark.usefixtures("site_as_before")
def test_a_changed_site_file_is_told_in_words_and_then_done_under_a_stream_of_sessions(bed: Bed) -> None:
    before, running = files(bed), services(bed)
    predicted = change(bed, "--check", **CHANGED)
    for words in WORDS:
        assert words in predicted.text
    assert files(bed) == before, "check mode wrote"

    every = [
        Stream(STRANGER, "alice@example.test", "250"),
        Stream(STRANGER, "x@else.where", "553"),
        Stream("198.51.100.66", "x@else.where", "250"),
        Stream("198.51.100.7", "nobody@example.test", "550"),
    ]
    with streams(*every):
        done = change(bed, **CHANGED)
    print(
        f"\n{done.seconds:.1f} s (check mode {predicted.seconds:.1f} s), {sum(one.count for one in every)} sessions"
    )
    assert [wrong for one in every for wrong in one.wrong] == []
    assert all(one.count > 10 for one in every)
    assert done.seconds < WALL_SECONDS
    for words in WORDS:
        assert words in done.text
    assert services(bed) == running, "a service was restarted"

    assert recipient(STRANGER, "x@new.example").startswith("250 ")
    assert recipient(STRANGER, "x@example.org").startswith("553 ")
    assert recipient(STRANGER, "carl@example.test").startswith("250 ")
    assert recipient(STRANGER, "bob@example.test").startswith("550 ")
    assert recipient(NEW_OFFICE, "x@else.where").startswith("250 ")
    assert recipient("198.51.100.100", "x@else.where").startswith("553 ")
    assert recipient(STRANGER, "alice@example.test", "other@bad.example").startswith("553 ")
    assert recipient(STRANGER, "alice@example.test", "spammer@bad.example").startswith("250 ")

    for address, words in (
        ("2001:db8:77::1", "2001:db8:77::1 may connect and relay"),
        ("2001:db8:78::1", "2001:db8:78::1 may connect\n"),
    ):
        assert bed.inside("mailgate", "rules", "explain", address)[1].startswith(words)

    _status, trusted, _error = bed.inside("cat", "/etc/mail/spamassassin/trusted.cf")
    assert "198.51.100.128/26" in trusted and "198.51.100.64/26" not in trusted

    again = change(bed, **CHANGED)
    assert again.changed() == 0, again.text


def test_a_change_of_which_one_list_is_refused_leaves_nothing_half_changed(bed: Bed) -> None:
    before = files(bed)
    assert "no-such-user" in policy_refused(bed, **{**CHANGED, "gateway_operators": ["no-such-user"]})
    said = policy_refused(bed, **{**CHANGED, "gateway_relay_network": ["198.51.100.0/24"]})
    assert "gateway_relay_network: is not a variable of this collection" in said
    assert files(bed) == before


def operator(bed: Bed, text: str) -> None:
    """Put the operator's fragment into place as its tool does."""
    path = bed.root / "etc/tcp.d/20-operator"
    path.with_name(".new").write_text(text)
    path.with_name(".new").rename(path)


def within(seconds: float, what: Callable[[], bool]) -> float:
    """How long it took until something was so, at most three times as long as allowed."""
    begin = time.monotonic()
    while not what():
        assert time.monotonic() < begin + 3 * seconds, f"not within {3 * seconds:.0f} s"
        time.sleep(0.02)
    return time.monotonic() - begin


def refused(source: str) -> bool:
    return answers(source)[0] == CLOSED


@pytest.mark.usefixtures("operator_as_before")
def test_the_compiler_acts_within_a_second_and_an_entry_ends_by_itself(bed: Bed) -> None:
    assert not refused("198.51.100.9")
    end = int(time.time()) + 4
    operator(bed, f'# {{"by": "alice", "note": "a test", "until": {end}}}\n198.51.100.9:deny\n')
    took = within(ACTS_WITHIN_SECONDS, lambda: refused("198.51.100.9"))
    print(f"\nin force after {took:.2f} s")
    _status, said, _error = bed.inside("mailgate", "rules", "explain", "198.51.100.9")
    assert said.splitlines()[:2] == [
        "198.51.100.9 is refused",
        "  /etc/tcp.d/20-operator line 2: 198.51.100.9:deny",
    ]
    assert "by the operator alice: a test, until " in said
    assert not refused(STRANGER)
    time.sleep(max(0.0, end - time.time()))
    within(ACTS_WITHIN_SECONDS, lambda: not refused("198.51.100.9"))


@pytest.mark.usefixtures("operator_as_before")
def test_a_rule_of_ipv6_is_in_force_within_a_second_and_changes_nothing_for_ipv4(bed: Bed) -> None:
    operator(bed, "[2001:db8:9::]/48:deny\n")

    def first_line() -> str:
        return str(bed.inside("mailgate", "rules", "explain", "2001:db8:9::1")[1].splitlines()[0])

    within(
        ACTS_WITHIN_SECONDS, lambda: "older than" not in bed.inside("mailgate", "rules", "explain", "::2")[1]
    )
    assert first_line() == "2001:db8:9::1 is refused"
    assert "[2001:db8:9::]/48:deny\n" in (bed.root / "etc/tcp.smtp").read_text()
    assert not refused(STRANGER)
    assert recipient("198.51.100.66", "x@else.where").startswith("250 ")


@pytest.mark.usefixtures("operator_as_before")
def test_a_bad_line_leaves_the_last_good_version_in_force(bed: Bed) -> None:
    operator(bed, "198.51.100.9:deny\n")
    within(ACTS_WITHIN_SECONDS, lambda: refused("198.51.100.9"))
    log = bed.root / "var/log/rules/current"
    told = log.read_text().count("lets 0.0.0.0 relay")
    operator(bed, '198.51.100.9:deny\n:allow,RELAYCLIENT=""\n198.51.100.10:deny\n')
    status = bed.root / "var/lib/mailgate/rules/status.json"

    def version() -> str:
        return str(json.loads(status.read_text())["rules"]["fragments"]["20-operator"]["version"])

    within(ACTS_WITHIN_SECONDS, lambda: version() == "last good")
    assert refused("198.51.100.9")
    assert not refused("198.51.100.10")
    assert recipient(STRANGER, "x@else.where").startswith("553 ")
    assert log.read_text().count("lets 0.0.0.0 relay") == told + 1, "one line for one fault"


@pytest.mark.usefixtures("operator_as_before")
def test_a_denial_delays_mail_and_never_bounces_it(bed: Bed) -> None:
    """qmail's own sender, denied, keeps the message for later: its answer begins with Z, not with D."""
    reason = bed.only_real("the stand-in has no qmail-remote")
    if reason:
        pytest.skip(reason)
    routes = bed.root / "var/qmail/control/smtproutes"
    as_before = routes.read_text()
    send = ["/var/qmail/bin/qmail-remote", "loop.example", "ann@sender.example", "alice@example.test"]
    try:
        routes.write_text(f"{as_before}loop.example:{GATEWAY_ADDRESS}\n")
        within(GREYLIST_SECONDS, lambda: "451 4.7.1" not in bed.inside(*send, text="Subject: new\n\nx\n")[1])
        status, said, _error = bed.inside(*send, text="Subject: denied\n\nx\n")
        assert (status, said[:1], f"\0K{GATEWAY_ADDRESS} accepted" in said) == (0, "r", True), said
        operator(bed, f"{GATEWAY_ADDRESS}:deny\n")
        within(ACTS_WITHIN_SECONDS, lambda: refused(GATEWAY_ADDRESS))
        status, said, _error = bed.inside(*send, text="Subject: denied\n\nx\n")
        assert (status, said[:1]) == (0, "Z"), said
    finally:
        routes.write_text(as_before)


@pytest.mark.usefixtures("operator_as_before")
@pytest.mark.parametrize("source", [STRANGER, OFFICE])
def test_a_denial_closes_the_connection_without_a_word(bed: Bed, source: str) -> None:
    operator(bed, f"{source}:deny\n")
    within(ACTS_WITHIN_SECONDS, lambda: refused(source))
