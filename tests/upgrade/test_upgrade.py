# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway of an older version is upgraded while mail flows; nothing of what it knew is lost."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from bed import choose, collection, containers, older
from bed.common import BED, ROOT, say, timed
from bed.python_venv import venv_program
from support.conversations import COME_BACK, SENDER, Arrival, B, message
from support.gateway import GATEWAY_ADDRESS, Bed, differences, row_of, submit
from support.mail_stream import ACCEPTED, LATER, NAME, REFUSED, Client, Message, Stream, compose
from support.playbook_output import RECAP, restarted_services
from support.smtp_client import CLOSED, Session, stuffed
from support.waiting import eventually

CONTAINER = f"mailgate-upgrade-{os.getpid()}"
UP_SECONDS = 180.0
SOON_SECONDS = 60.0
DELIVERED_SECONDS = 120.0
COUNTED_SECONDS = 60.0
MESSAGES_AT_LEAST = 60

PEST = "198.51.100.200"  # whom the adaptive blacklist refuses
DENIED = "198.51.100.220"  # whom an operator refuses
BRANCH = "198.51.100.230"  # whom an operator lets relay
PENDING = "198.19.77.9"  # of a network that the greylist has seen once
FAX = "fax2@example.test"  # a recipient whom an operator added
BLOCKED = "newsletter@nuisance.example"  # a sender whom an operator blocked

# What counts as an acceptance in the statistics.
COUNTED = ("clean", "marked", "unchecked", "relayed", "unjudged")
LISTS = ("clients", "relay", "senders", "trusted", "blocked", "recipients")
SA = ("env", "HOME=/var/lib/spamd", "setuidgid", "spamd", "sa-learn")

# What people, programs and mail have written down on the gateway: the same bytes afterwards.
KEPT = (
    "/etc/tcp.d/20-operator",
    "/etc/badmailfrom.d/20-operator",
    "/etc/mail/spamassassin/operator.cf",
    "/etc/mail/spamassassin/whitelist.cf",
    "/etc/mail/spamassassin/blocklist.cf",
    "/var/lib/mailgate/operator/recipients",
    "/var/qmail/control/validrcptto.cdb",
    "/var/qmail/control/rcpthosts",
    "/var/qmail/control/smtproutes",
)


@dataclass
class Said:
    """A run of the playbook."""

    status: int
    text: str = field(repr=False)

    @property
    def changed(self) -> int:
        found = RECAP.search(self.text)
        assert self.status == 0 and found, f"the playbook ended with {self.status}:\n{self.text[-4000:]}"
        return int(found.group(1))

    @property
    def restarts(self) -> set[str]:
        return restarted_services(self.text)


def site_as_before() -> str:
    """Return the domains of the older version's site, which an upgrade does not change, for --extra-vars."""
    path = older.old_tree() / "tests/inventory/group_vars/gateways/site.yml"
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    return json.dumps({"gateway_domains": given["gateway_domains"]})


def playbook(name: str, *options: str) -> Said:
    """Run gateway.yml of this tree; what it says is kept in .bed/upgrade/NAME.log."""
    command = [venv_program("ansible-playbook"), "-i", "tests/inventory", "--extra-vars", site_as_before()]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "MAILGATE_GATEWAY": CONTAINER}
    log = BED / "upgrade" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as handle, timed("upgrade", f"gateway.yml, {name}"):
        done = subprocess.run(
            [*command, "playbooks/gateway.yml", "--diff", *options],
            cwd=ROOT,
            env={**environment, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return Said(done.returncode, log.read_text(encoding="utf-8", errors="replace"))


@dataclass
class Gateway:
    """The gateway, asked as its operators ask it."""

    bed: Bed

    def run(self, *argv: str, text: str = "") -> str:
        status, said, trouble = self.bed.inside(*argv, text=text, within_seconds=300)
        assert status == 0, f"{argv} ended with {status}: {said + trouble}"
        return said

    def pids(self) -> dict[str, str]:
        """Return the process of each service and of its log; "" for one that is down."""
        said = self.run("sh", "-c", "svstat /service/* /service/*/log")
        found = {}
        for line in said.splitlines():
            name, _, state = line.partition(": ")
            pid = re.match(r"up \(pid (\d+)\)", state)
            found[name.removeprefix("/service/")] = pid.group(1) if pid else ""
        return found

    def all_up(self) -> bool:
        said = self.run("sh", "-c", "svstat /service/* /service/*/log")
        ages = [int(age) for age in re.findall(r": up \(pid \d+\) (\d+) seconds", said)]
        return len(ages) == len(said.splitlines()) and min(ages) > 3

    def file(self, path: str) -> bytes:
        return subprocess.run(
            ["docker", "exec", self.bed.name, "cat", path], stdout=subprocess.PIPE, check=True
        ).stdout

    def entries(self) -> dict[str, object]:
        return {
            name: [
                one
                for one in json.loads(self.run("mailgate", "operator", "entries", name, "--json"))["entries"]
                if one["value"] != "::1/128"  # the loopback, which the older version did not have
            ]
            for name in LISTS
        }

    def blacklist(self) -> object:
        return json.loads(self.run("mailgate", "blacklist", "list", "--json"))["entries"]

    def generations(self) -> list[str]:
        """Return the hash of each file of every generation of recipients, and of the list that serves."""
        script = "cd /var/lib/mailgate/recipients && find . -type f -exec sha256sum {} + | sort"
        return self.run("sh", "-c", script).splitlines()

    def learned(self) -> dict[str, int]:
        """Return how much spam and ham was learned."""
        said = self.run(*SA, "--dump", "magic")
        return {
            kind: int(number)
            for number, kind in re.findall(r" (\d+) +\d+ +non-token data: (nspam|nham)", said)
        }

    def counted(self) -> int:
        """Return how many messages were accepted by the statistics, once the number no longer changes."""
        last, deadline = -1, time.monotonic() + COUNTED_SECONDS
        while True:
            self.run("svc", "-h", "/service/stats")
            time.sleep(1.5)
            totals = json.loads(self.run("mailgate", "stats", "--json", "--last", "2h"))["totals"]["counts"]
            now = sum(totals.get(name, 0) for name in COUNTED)  # an older gateway has fewer
            if now == last or time.monotonic() > deadline:
                return now
            last = now

    def rule(self, address: str) -> str:
        # How long an entry goes on is another number at each look.
        return re.sub(
            r"\d+ (days?|h|hours?|min|minutes?|s|seconds?)\b",
            "N",
            self.run("mailgate", "rules", "explain", address),
        )

    def versions(self) -> tuple[str, set[str]]:
        names = set(self.run("ls", "-A", "/usr/local/lib/mailgate").split())
        return self.run("readlink", "/usr/local/lib/mailgate/current").strip(), names


@dataclass
class Story:
    """What was before, what was said, what happened."""

    gateway: Gateway
    before: dict[str, object] = field(default_factory=dict)
    after: dict[str, object] = field(default_factory=dict)
    files_before: dict[str, bytes] = field(default_factory=dict)
    files_after: dict[str, bytes] = field(default_factory=dict)
    audit_before: bytes = b""
    learned_before: dict[str, int] = field(default_factory=dict)
    learned_after: dict[str, int] = field(default_factory=dict)
    counted_before: int = 0
    counted_after: int = 0
    pids_before: dict[str, str] = field(default_factory=dict)
    pids_after: dict[str, str] = field(default_factory=dict)
    pids_again: dict[str, str] = field(default_factory=dict)
    predicted: Said = field(default_factory=lambda: Said(1, ""))
    upgrade: Said = field(default_factory=lambda: Said(1, ""))
    again: Said = field(default_factory=lambda: Said(1, ""))
    messages: list[Message] = field(default_factory=list)
    waited: Message | None = None  # of a session that was open all the time, before DATA
    half: Message | None = None  # of one that was in the middle of DATA
    greylisted: str = ""  # what the pending network heard first, and afterwards
    passed: str = ""

    @property
    def restarted(self) -> set[str]:
        names = {*self.pids_before, *self.pids_after}
        return {
            name
            for name in names
            if not name.endswith("/log") and self.pids_after.get(name) != self.pids_before.get(name)
        }


def facts(gateway: Gateway) -> dict[str, object]:
    return {
        "entries": gateway.entries(),
        "blacklist": gateway.blacklist(),
        "generations": gateway.generations(),
        "rules": {address: gateway.rule(address) for address in (PEST, DENIED, BRANCH, "198.51.100.70")},
    }


def first_try(who: str) -> str:
    """Return what a client hears at RCPT."""
    try:
        with Session(who, GATEWAY_ADDRESS, timeout_seconds=30) as session:
            heard = session.reply()
            for line in ("HELO client.example", f"MAIL FROM:<{SENDER}>", "RCPT TO:<alice@example.test>"):
                if not heard.startswith("2"):
                    break
                session.send(f"{line}\r\n".encode("ascii"))
                heard = session.reply()
            return heard
    except OSError as error:
        return str(error)


def teach(gateway: Gateway) -> None:
    """Give the gateway state of every kind, by its older version's own commands."""
    for name, value, *more in (
        ("allow", "198.51.100.240"),
        ("deny", DENIED, "--for", "4h"),
        ("relay", BRANCH),
        ("block-sender", BLOCKED),
        ("trust-sender", "billing@partner.example"),
        ("distrust-sender", "@shop.example"),
        ("recipient", FAX),
    ):
        gateway.run("mailgate", name, value, "--note", f"before the upgrade: {name}", *more)
    gateway.run("mailgate", "blacklist", "add", PEST, "--for", "4h", "--note", "sends junk")
    for kind, words in (("--spam", "quartzbat umbrellafig"), ("--ham", "meetingoak ledgerfox")):
        gateway.run(*SA, kind, "--mbox", "-", text=mailbox(words))
    gateway.run(*SA, "--sync")


def mailbox(words: str) -> str:
    return "".join(
        f"From x Thu Jan  1 00:00:00 2026\nFrom: p{number}@learn.example\nSubject: {words} {number}\n"
        f"Message-ID: <{words[:5]}{number}@learn.example>\n\n{words} number {number}\n\n"
        for number in range(50)
    )


def only_once(one: Message, deliveries: Counter[tuple[str, str]]) -> list[str]:
    """Return what is wrong with a message's deliveries; empty when each recipient got it as SMTP promises."""
    wrong = []
    for recipient in one.recipients:
        number = deliveries[one.name, recipient]
        if number == 0 and one.accepted:
            wrong.append(f"{one.name} for {recipient} was accepted and did not arrive: {one.words}")
        if number > 1 and not one.may_come_twice:
            wrong.append(f"{one.name} for {recipient} arrived {number} times: {one.words}")
    return wrong


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    image = older.old_image()
    collection.command_link()
    choose.command_choose()
    containers.command_up(CONTAINER, older.SUITE, systemd=False, image=image)
    try:
        with Bed(CONTAINER) as bed:
            bed.wait_until_greeted(UP_SECONDS)
            one = Gateway(bed)
            eventually(one.all_up, "every service of the older gateway is up", UP_SECONDS)
            bed.introduce()
            yield one
    finally:
        if not request.config.getoption("--keep"):
            containers.command_down(CONTAINER)


@pytest.fixture(scope="module")
def story(gateway: Gateway) -> Story:
    """Upgrade the gateway once; the tests below look at what happened."""
    bed, told = gateway.bed, Story(gateway)
    real = bed.kind == "source"
    chance = random.Random(CONTAINER)
    teach(gateway)
    told.greylisted = first_try(PENDING)
    told.counted_before = gateway.counted()
    told.learned_before = gateway.learned()
    told.before, told.audit_before = facts(gateway), gateway.file("/var/lib/mailgate/operator/audit.jsonl")
    told.files_before = {path: gateway.file(path) for path in KEPT}
    told.pids_before = gateway.pids()
    told.predicted = playbook("check", "--check")
    assert gateway.pids() == told.pids_before, "check mode restarted something"

    # Mail for one back end waits in the queue all the time; the stand-in has none.
    if real:
        bed.backends[B].stop()
    told.waited, told.half = (compose(f"{NAME}{name}", chance, "127.0.0.1") for name in ("waited", "half"))
    stream = Stream(CONTAINER)
    open_before, in_the_middle = Client(told.waited), Client(told.half)
    assert open_before.envelope() == ""
    raw = stuffed(told.half.content)
    assert in_the_middle.envelope() == "" and in_the_middle.say("DATA") == ""
    in_the_middle.session.send(raw[: len(raw) // 2])
    told.upgrade = playbook("upgrade")
    for client in (open_before, in_the_middle):
        if client is open_before:
            verdict = client.say("DATA")
            client.session.send(b"" if verdict else raw_of(client.one))
        else:
            verdict = ""
            client.session.send(raw[len(raw) // 2 :])
        client.one.verdicts.append(verdict or client.end())
        client.one.words.append(client.reply)
        client.session.__exit__()
    time.sleep(3)
    told.messages = stream.end()
    say("upgrade", stream.told())
    if real:
        bed.backends[B].start()
        gateway.run("qmailctl", "doqueue")
    told.pids_after = gateway.pids()
    told.passed = first_try(PENDING)
    told.after = facts(gateway)
    told.files_after = {path: gateway.file(path) for path in KEPT}
    told.learned_after = gateway.learned()
    told.counted_after = gateway.counted()
    told.again = playbook("again")
    told.pids_again = gateway.pids()
    return told


def raw_of(one: Message) -> bytes:
    return stuffed(one.content)


def test_the_run_ends_well_and_the_next_one_changes_nothing(story: Story) -> None:
    assert story.upgrade.changed > 0
    assert story.again.changed == 0
    assert story.pids_again == story.pids_after


def test_what_restarts_is_said_before(story: Story) -> None:
    assert story.predicted.restarts == story.restarted
    assert story.upgrade.restarts == story.restarted


def test_every_message_was_accepted_in_the_end(story: Story) -> None:
    assert len(story.messages) >= MESSAGES_AT_LEAST
    bad = [one for one in story.messages if REFUSED in one.verdicts or not one.accepted]
    assert bad == []


def test_a_session_that_was_open_all_the_time_goes_on(story: Story) -> None:
    for one in (story.waited, story.half):
        assert one is not None
        assert one.verdicts[-1] in (ACCEPTED, LATER), one.words


def test_what_was_accepted_arrives_once(story: Story) -> None:
    """A message arrives twice only if the client got no acceptance; nothing arrives that was not sent."""
    sent = {one.name: one for one in (*story.messages, story.waited, story.half) if one is not None}
    found: Counter[tuple[str, str]] = Counter()
    awaited = {(one.name, recipient) for one in sent.values() if one.accepted for recipient in one.recipients}
    arrived = []

    def all_there() -> bool:
        for delivery in story.gateway.bed.mailroom.take(lambda one: row_of(one).startswith(NAME)):
            found[row_of(delivery), delivery.recipient] += 1
            arrived.append(delivery)
        return awaited <= set(found)

    deadline = time.monotonic() + DELIVERED_SECONDS
    while not all_there() and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(3)  # a second copy would come now
    all_there()
    wrong = [line for one in sent.values() for line in only_once(one, found)]
    wrong += [
        f"{name} for {recipient} arrived and was not sent" for name, recipient in found if name not in sent
    ]
    for delivery in arrived:
        one = sent.get(row_of(delivery))
        if one is not None:
            arrival = Arrival(delivery.backend, delivery.recipient, content=one.content)
            difference = differences(arrival, delivery.content)
            wrong += [f"{one.name} for {delivery.recipient}: {difference}"] if difference else []
    assert wrong == []


def test_mail_that_waited_in_the_queue_was_still_there(story: Story) -> None:
    reason = story.gateway.bed.only_real(
        "the stand-in hands each message to the back end itself and has no queue"
    )
    if reason:
        pytest.skip(reason)
    eventually(
        lambda: story.gateway.run("/var/qmail/bin/qmail-qread") == "", "the queue is empty", DELIVERED_SECONDS
    )


@pytest.mark.parametrize("what", ["entries", "blacklist", "generations", "rules"])
def test_what_the_gateway_knew_is_what_it_knows(what: str, story: Story) -> None:
    assert story.before[what], f"there was nothing to keep of {what}"
    assert story.after[what] == story.before[what]


@pytest.mark.parametrize("path", KEPT)
def test_files_of_people_and_services_are_as_they_were(path: str, story: Story) -> None:
    assert story.files_after[path] == story.files_before[path]


def test_there_was_more_than_one_generation_of_recipients(story: Story) -> None:
    generations = story.before["generations"]
    assert isinstance(generations, list)
    assert len({line.split("/")[2] for line in generations if "/generations/" in line}) >= 3, generations


def test_the_audit_log_goes_on(story: Story) -> None:
    after = story.gateway.file("/var/lib/mailgate/operator/audit.jsonl")
    assert len(story.audit_before.splitlines()) >= 14
    assert after.startswith(story.audit_before)


def test_an_act_of_before_can_be_undone(story: Story) -> None:
    said = story.gateway.run("mailgate", "operator", "undo", "--preview")
    assert FAX in said


def test_smtpfront_has_taken_the_place_of_tcpserver(story: Story) -> None:
    """The port was free when it came, and what the greylist remembers is its own."""
    assert story.gateway.bed.front == "smtpfront"
    assert "fatal" not in story.gateway.file("/var/log/smtpfront/current").decode()
    assert " open " not in story.gateway.file("/var/log/qmail/smtpd/current").decode("latin-1")
    owners = story.gateway.run("find", "/var/qmail/cqgreylist", "-printf", "%u\n").split()
    assert set(owners) == {"smtpfront"} and len(owners) > 1


def test_the_greylist_remembers(story: Story) -> None:
    assert re.fullmatch(COME_BACK.replace("*", ".*"), story.greylisted), story.greylisted
    assert story.passed.startswith("250 "), story.passed


def test_whom_somebody_refused_stays_refused(story: Story) -> None:
    for who in (PEST, DENIED):
        assert not first_try(who).startswith("220"), who
        assert first_try(who) == CLOSED
    refused = submit(message(f"{NAME}blocked"), "alice@example.test", sender=BLOCKED)
    assert refused.startswith("553 "), refused


def test_whom_somebody_let_in_stays_let_in(story: Story) -> None:
    assert submit(message("after-fax"), FAX).startswith("250 ")
    assert submit(message("after-branch"), "someone@elsewhere.example", who=BRANCH).startswith("250 ")


def test_what_was_learned_is_known(story: Story) -> None:
    assert story.learned_before == {"nspam": 50, "nham": 50}
    assert all(story.learned_after[kind] >= number for kind, number in story.learned_before.items())
    said = story.gateway.run(*SA, "--spam", "--mbox", "-", text=mailbox("quartzbat umbrellafig"))
    assert "Learned tokens from 0 message(s) (50 message(s) examined)" in said


def test_each_acceptance_is_counted_once(story: Story) -> None:
    """The counters survive the restart; a message without a reply to the client may count or not."""
    sent = [*story.messages, *(one for one in (story.waited, story.half) if one is not None)]
    heard = sum(one.verdicts.count(ACCEPTED) for one in sent)
    unheard = sum(one.may_come_twice for one in sent)
    assert heard <= story.counted_after - story.counted_before <= heard + unheard


def test_the_package_is_a_version_behind_a_link(story: Story) -> None:
    current, names = story.gateway.versions()
    assert re.fullmatch(r"[0-9a-f]{16}", current)
    # What ran before read its files from the directory itself: they go with the next version.
    assert {current, "current", "cli.py"} <= names
    assert not [name for name in names if name.startswith(".")]


def test_every_program_of_the_package_runs_from_one_version(story: Story) -> None:
    current, _names = story.gateway.versions()
    place = "/usr/local/lib/mailgate"
    lines = [
        Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        for pid, program in story.gateway.bed.processes().items()
        if program == "python3"
    ]
    ours = [line for line in lines if any(place in word or "mailgate" in word for word in line)]
    assert len(ours) >= 6
    assert [line for line in ours if f"{place}/{current}" not in line] == []


def test_logs_of_before_are_closed_and_read_on(story: Story) -> None:
    """Files that the older version rotated stay where the services and trace find them, strangers do not."""
    gateway = story.gateway
    assert gateway.run("stat", "-c", "%a %U:%G", "/var/log/qmail/smtpd") == "750 qmaill:mailgate-log\n"
    for path in ("/var/log/qmail/smtpd/current", "/var/log/qmail/send/current"):
        gateway.run("setpriv", "--reuid=stats", "--regid=stats", "--groups=mailgate-log", "test", "-r", path)
        stranger = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat", path)
        assert gateway.bed.inside(*stranger)[0] == 1
    gateway.run("mailgate", "trace", BLOCKED)


def test_the_doctor_finds_nothing_new(story: Story) -> None:
    status, said, trouble = story.gateway.bed.inside("mailgate", "doctor", "--json", within_seconds=180)
    assert status in (0, 1), said + trouble
    assert '"critical"' not in said
