# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts of operators take effect, end, are undone and survive a run of Ansible; only operators can do them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.conversations import OFFICE, STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed
from support.policy_playbook import change
from support.smtp_client import CLOSED, Session

OPERATOR, OTHER = "olga", "oscar"
GOOD, FOREIGN, SENDER = "alice@example.test", "victim@else.where", "ann@sender.example"
FORCE_SECONDS = 60.0
SPAMD_SECONDS = 120.0
REMOVERS = {
    "relay": "relay",
    "clients": "deny",
    "senders": "block-sender",
    "trusted": "trust-sender",
    "blocked": "distrust-sender",
    "recipients": "recipient",
}
FILES = (
    "/etc/tcp.d/20-operator",
    "/etc/badmailfrom.d/20-operator",
    "/etc/mail/spamassassin/operator.cf",
    "/var/lib/mailgate/operator/recipients",
    "/var/lib/mailgate/operator/audit.jsonl",
    "/etc/tcp.smtp.cdb",
    "/etc/mailgate/operator.json",
)


class Operators:
    """Two people with logins, one of them an operator, and root for what is read afterwards."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    def run(self, user: str, *argv: str) -> tuple[int, str, str]:
        return self.bed.inside("setpriv", f"--reuid={user}", "--init-groups", f"--regid={user}", *argv)

    def do(self, *argv: str) -> str:
        status, out, err = self.run(OPERATOR, "mailgate", *argv)
        assert status == 0, f"{argv}: {err}"
        return out

    def refused(self, *argv: str) -> str:
        status, out, err = self.run(OPERATOR, "mailgate", *argv)
        assert (status, out) == (100, ""), f"{argv}: {out}{err}"
        return err

    def wait_for_spamd(self) -> None:
        """Wait until spamd has read its lists, so that it judges what tests after these send."""
        deadline = time.monotonic() + SPAMD_SECONDS
        while (self.bed.root / "var/lib/mailgate/operator/spamd.wanted").exists():
            assert time.monotonic() < deadline, "spamd is still to be reloaded"
            time.sleep(0.5)

    def audit(self) -> list[dict[str, Any]]:
        return list(json.loads(self.do("operator", "audit", "--json"))["records"])

    def entries(self, name: str) -> list[dict[str, Any]]:
        found = json.loads(self.do("operator", "entries", name, "--json"))["entries"]
        return [one for one in found if one["origin"] == "operator"]


@pytest.fixture(scope="module")
def operators(bed: Bed) -> Iterator[Operators]:
    if bed.inside("test", "-S", "/var/lib/mailgate/operator/socket")[0] != 0:
        pytest.skip("this gateway has no service operator: role operator did not run there")
    one = Operators(bed)
    for user in (OPERATOR, OTHER):
        bed.inside("useradd", "--no-create-home", user)
    assert bed.inside("usermod", "--append", "--groups", "operators,mailgate-log", OPERATOR)[0] == 0
    try:
        yield one
    finally:
        for name, act in REMOVERS.items():
            for entry in one.entries(name):
                one.do(act, entry["value"], "--remove", "--note", "the tests are over")
        for user in (OPERATOR, OTHER):
            bed.inside("userdel", user)
        one.wait_for_spamd()


@pytest.fixture(scope="module")
def addresses() -> Iterator[str]:
    """Return unknown clients, at random, as a test may run twice."""
    return iter(random.sample([f"198.18.{number}.7" for number in range(60, 200)], 100))


def answers(source: str, *commands: str) -> list[str]:
    with Session(source, GATEWAY_ADDRESS, timeout_seconds=20) as session:
        said = [session.reply()]
        for command in commands:
            if said[-1] == CLOSED:
                break
            session.send(command.encode() + b"\r\n")
            said.append(session.reply())
        return said


def asked(source: str, recipient: str = GOOD, sender: str = SENDER) -> str:
    """Return the reply to one recipient, or the first refusal before it."""
    return answers(source, "HELO client.example", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>")[-1]


def soon(source: str, expected: str, recipient: str = GOOD, sender: str = SENDER) -> None:
    """Wait until the reply begins with the expected text."""
    deadline = time.monotonic() + FORCE_SECONDS
    while not (got := asked(source, recipient, sender)).startswith(expected):
        assert time.monotonic() < deadline, f"{source} for {recipient} heard {got!r}; expected {expected!r}"
        time.sleep(0.1)


def test_a_denied_client_is_refused_and_comes_back_after_undo(operators: Operators) -> None:
    client = "198.51.100.13"
    assert asked(client).startswith(("250 ", "451 4.7.1"))
    preview = operators.do("deny", client, "--note", "a test", "--preview")
    assert preview == f"{client}/32 is refused\n"
    assert asked(client) != CLOSED
    assert operators.do("deny", client, "--note", "a test").endswith(f": {client}/32 is refused\n")
    assert answers(client) == [CLOSED]
    assert asked(STRANGER).startswith("250 ")
    assert operators.entries("clients")[-1]["by"] == OPERATOR
    assert operators.do("operator", "undo").endswith(f": {client}/32 is no longer refused\n")
    assert asked(client) != CLOSED
    last, first = operators.audit()[:2]
    assert (last["do"], first["do"], first["by"], first["note"]) == ("undo", "add", OPERATOR, "a test")


def test_relay_relays_until_it_ends(operators: Operators, addresses: Iterator[str]) -> None:
    client = next(addresses)
    operators.do("operator", "pass", client)
    assert asked(client, FOREIGN).startswith("553 ")
    said = operators.do("relay", f"{client}/32", "--note", "a test", "--for", "8s")
    ends = time.monotonic() + 8
    assert f"{client}/32 gains relay\n" in said
    assert asked(client, FOREIGN).startswith("250 ")
    assert asked(STRANGER, FOREIGN).startswith("553 ")
    time.sleep(max(0.0, ends - time.monotonic()))
    soon(client, "553 ", FOREIGN)
    deadline = time.monotonic() + FORCE_SECONDS
    while f"{client}/32" in [one["value"] for one in operators.entries("relay")]:
        assert time.monotonic() < deadline, "the entry stays although it has ended"
        time.sleep(0.2)
    assert operators.audit()[0]["do"] == "expire"


def test_a_blocked_sender_is_refused(operators: Operators) -> None:
    sender = f"x{random.randrange(10**9)}@blocked.example"
    assert asked(STRANGER, sender=sender).startswith("250 ")
    operators.do("block-sender", sender, "--note", "a test")
    assert asked(STRANGER, sender=sender).startswith("553 ")
    operators.do("block-sender", sender, "--note", "a test", "--remove")
    assert asked(STRANGER, sender=sender).startswith("250 ")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("deny", "198.18.0.10"), "it is protected by the site file: nobody may refuse it"),
        (("relay", "198.51.100.64/26", "--remove"), "it may relay by the site file; change it there"),
        (("deny", "198.51.100.64/26"), "has no effect, /etc/tcp.d/10-site line "),
        (("allow", OFFICE), "relays by '198.51.100.64/26', which this would end"),
        (("relay", "0.0.0.0/0"), "'0.0.0.0/0' is wider than /8"),
        (("block-sender", "spammer@bad.example"), "the site file refuses it; change it there"),
        (("recipient", "x@else.where"), "'else.where' is not served here"),
    ],
)
def test_what_the_site_protects_stays(operators: Operators, argv: tuple[str, ...], words: str) -> None:
    assert words in operators.refused(*argv, "--note", "a test")
    assert asked(OFFICE, FOREIGN).startswith("250 ")
    assert asked(STRANGER, FOREIGN).startswith("553 ")


def test_an_allowed_client_and_one_that_passes_wait_no_more(
    operators: Operators, addresses: Iterator[str]
) -> None:
    if not asked(next(addresses)).startswith("451 4.7.1"):
        pytest.skip("this gateway has no greylist")
    allowed, passes = next(addresses), next(addresses)
    operators.do("allow", allowed, "--note", "a test", "--for", "1h")
    assert asked(allowed).startswith("250 ")
    assert "has passed the greylist" in operators.do("operator", "pass", passes, "--note", "a test")
    assert asked(passes).startswith("250 ")
    found = json.loads(operators.do("operator", "greylist", passes, "--json"))["entries"]
    assert [one["passed"] for one in found] == [True]
    waits = next(addresses)
    assert asked(waits).startswith("451 4.7.1")
    assert [
        one["passed"] for one in json.loads(operators.do("operator", "greylist", waits, "--json"))["entries"]
    ] == [False]
    operators.do("operator", "pass", waits)
    assert asked(waits).startswith("250 ")


def test_an_extra_recipient_is_accepted_and_outlives_an_update(operators: Operators) -> None:
    address = f"new{random.randrange(10**9)}@example.test"
    assert asked(STRANGER, address).startswith("550 ")
    said = operators.do("recipient", address, "--note", "a test")
    assert said.endswith(f"recipient {address} will be accepted\n")
    assert asked(STRANGER, address).startswith("250 ")
    status, _out, err = operators.bed.inside("mailgate", "recipients", "update")
    assert status == 0, err
    assert asked(STRANGER, address).startswith("250 ")
    assert f"{address}: added by {OPERATOR}: a test" in operators.do("operator", "recipient", address)
    operators.do("operator", "undo")
    assert asked(STRANGER, address).startswith("550 ")


def test_entries_and_audit_survive_a_run_of_the_playbook(operators: Operators) -> None:
    operators.do("deny", "198.51.100.14", "--note", "stays")
    address = f"kept{random.randrange(10**9)}@example.test"
    operators.do("recipient", address, "--note", "stays")
    audit = operators.audit()
    made = change(operators.bed, gateway_operators=[OPERATOR])
    assert made.changed() == 0, made.text
    assert operators.audit() == audit
    assert answers("198.51.100.14") == [CLOSED]
    assert asked(STRANGER, address).startswith("250 ")
    operators.do("operator", "undo")
    operators.do("operator", "undo")
    assert answers("198.51.100.14") != [CLOSED]


def test_a_name_that_leaves_the_site_file_has_no_rights_any_more(operators: Operators) -> None:
    change(operators.bed, gateway_operators=[])
    status, _out, err = operators.run(OPERATOR, "mailgate", "operator", "audit")
    assert (status, "expected root or a member of 'operators'" in err) == (100, True), err
    change(operators.bed, gateway_operators=[OPERATOR])
    assert operators.audit()


def test_nobody_else_can_and_no_operator_writes_a_file(operators: Operators) -> None:
    status, out, err = operators.run(OTHER, "mailgate", "deny", STRANGER, "--note", "a test")
    assert (status, out) == (100, "")
    assert "not allowed; expected root or a member of 'operators'" in err
    operators.do("trust-sender", "a@b.example", "--note", "a test")
    for user in (OPERATOR, OTHER):
        for path in FILES:
            assert operators.bed.inside("test", "-e", path)[0] == 0, path
            for what in (path, path.rpartition("/")[0]):
                assert operators.run(user, "test", "-w", what)[0] == 1, f"{user} may write {what}"
    assert operators.run(OPERATOR, "test", "-r", "/var/lib/mailgate/operator/audit.jsonl")[0] == 0
    assert operators.run(OTHER, "test", "-r", "/var/lib/mailgate/operator/audit.jsonl")[0] == 1
    operators.do("operator", "undo")


def test_spamassassin_takes_what_is_written_for_it(operators: Operators) -> None:
    path = "/etc/mail/spamassassin/operator.cf"
    operators.do("trust-sender", "ox+y@good.example", "--note", "a test")
    operators.do("distrust-sender", "@bad.example", "--note", "a test", "--for", "1h")
    text = (operators.bed.root / path.lstrip("/")).read_text()
    assert "\nwelcomelist_from ox+y@good.example\n" in text
    assert "\nblocklist_from *@bad.example\n" in text
    status, _out, err = operators.bed.inside("mailgate", "sa-update", "--check", f"operator.cf={path}")
    assert status == 0, err
    operators.do("operator", "undo")
    operators.do("operator", "undo")


def test_who_leaves_the_group_can_no_more(operators: Operators) -> None:
    operators.do("operator", "audit")
    assert operators.bed.inside("gpasswd", "--delete", OPERATOR, "operators")[0] == 0
    try:
        # The session that was begun as a member still reaches the socket.
        status, _out, err = operators.bed.inside(
            "setpriv",
            f"--reuid={OPERATOR}",
            f"--regid={OTHER}",
            "--groups=operators",
            "mailgate",
            "operator",
            "audit",
        )
        assert status == 100
        assert "may not ask; expected root or a member of operators" in err
    finally:
        assert operators.bed.inside("usermod", "--append", "--groups", "operators", OPERATOR)[0] == 0


def test_kill_9_of_the_service_loses_nothing(operators: Operators) -> None:
    operators.do("deny", "198.51.100.15", "--note", "a test")
    before = operators.audit()
    assert operators.bed.inside("svc", "-k", "/service/operator")[0] == 0
    deadline = time.monotonic() + 20
    while operators.run(OPERATOR, "mailgate", "operator", "audit")[0] != 0:
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.2)
    assert operators.audit() == before
    assert operators.do("operator", "undo").endswith(": 198.51.100.15/32 is no longer refused\n")


def test_queue_answers(operators: Operators) -> None:
    why = operators.bed.only_real("the stand-in has no queue")
    if why:
        pytest.skip(why)
    assert "messages" in json.loads(operators.do("operator", "queue", "--json"))


def test_blacklist_and_status_answer(operators: Operators) -> None:
    assert "entries" in json.loads(operators.do("operator", "blacklist", "--json"))
    assert operators.do("operator", "explain", "203.0.113.7").startswith("203.0.113.7: not refused")
    assert "was not refused" in operators.do("operator", "release", "203.0.113.7", "--note", "a test")
    assert operators.audit()[0]["do"] == "release"
