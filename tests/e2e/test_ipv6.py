# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of IPv6 on a real gateway: the blacklist by /64, Received lines, traces, and who listens.

What a client meets in a session is among the rows of support/conversations.py.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest
from support.conversations import SENDER
from support.gateway import Bed, submit
from support.mail_servers import Delivery
from support.network_namespace import GATEWAY_IPV6
from support.smtp_client import CLOSED, Session

STRANGER = "2001:db8:19::9"  # the rows have a stranger of their own
PEST, OTHER_PESTS, NEIGHBOUR = "2001:db8:66::7", ("2001:db8:66::8", "2001:db8:66::9"), "2001:db8:70::7"
PEST_NETWORK = "2001:db8:66::/64"
ALICE, NOBODY = "alice@example.test", "nobody@example.test"
GREYLIST_SECONDS, LISTED_SECONDS = 60.0, 60.0  # an event, on a busy machine

# SpamAssassin's own reading of a message's Received lines; 2001:db8:70::/64 is trusted.
RELAYS = r"""
use Mail::SpamAssassin;
my $sa = Mail::SpamAssassin->new({local_tests_only => 1, dont_copy_prefs => 1, userstate_dir => "/tmp",
  config_text => "trusted_networks 2001:db8:70::/64\n"});
$sa->init(0);
my $message = $sa->parse(join("", <STDIN>), 1);
$message->extract_message_metadata(Mail::SpamAssassin::PerMsgStatus->new($sa, $message));
print "trusted $message->{metadata}->{relays_trusted_str}\n";
print "untrusted $message->{metadata}->{relays_untrusted_str}\n";
"""


@pytest.fixture(scope="module")
def gate(bed: Bed) -> Bed:
    why = bed.without_ipv6()
    if why:
        pytest.skip(why)
    return bed


def wait(what: str, true: Callable[[], object], within_seconds: float) -> None:
    deadline = time.monotonic() + within_seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {within_seconds} s: {what}"
        time.sleep(0.2)


def through(who: str) -> None:
    """Bring a client's network past the greylist."""

    def passed() -> bool:
        with Session(who, GATEWAY_IPV6) as session:
            for line in (b"", b"HELO client.example\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode()):
                session.send(line)
                session.reply()
            session.send(f"RCPT TO:<{ALICE}>\r\n".encode())
            return str(session.reply()).startswith("250 ")

    wait(f"{who} passes the greylist", passed, GREYLIST_SECONDS)


def delivered(gate: Bed, who: str) -> bytes:
    """Return what arrived of a message that this client has sent."""
    word = f"{random.randrange(10**9)} of {who}".replace(":", ".")
    message = f"From: {SENDER}\r\nTo: {ALICE}\r\nSubject: {word}\r\n\r\nA letter.\r\n"
    assert submit(message.encode(), ALICE, who=who).startswith("250 ")

    def is_it(delivery: Delivery) -> bool:
        return word.encode() in delivery.content

    delivery = gate.mailroom.claim(is_it, 60)
    assert delivery is not None, f"the message of {who} did not arrive"
    return delivery.content


def relays(gate: Bed, content: bytes) -> dict[str, str]:
    """Return what SpamAssassin knows about the relays of a message."""
    status, said, trouble = gate.inside("perl", "-e", RELAYS, text=content.decode("latin-1"))
    assert status == 0, trouble
    return dict(line.partition(" ")[::2] for line in said.splitlines())


def test_spamassassin_reads_the_received_line(gate: Bed) -> None:
    why = gate.only_real("the stand-in has no queue")
    if why:
        pytest.skip(why)
    through(STRANGER)
    content = delivered(gate, STRANGER)
    received = re.search(rb"^Received: from [^\n]*\n", content, re.MULTILINE)
    assert received and f" ({STRANGER})".encode() in received[0]
    found = relays(gate, content)
    assert f"ip={STRANGER} " in found["untrusted"] and "helo=client.example" in found["untrusted"]
    assert "ip=" not in found["trusted"]
    through(NEIGHBOUR)
    found = relays(gate, delivered(gate, NEIGHBOUR))
    assert f"ip={NEIGHBOUR} " in found["trusted"]


@pytest.mark.parametrize(
    "form",
    [STRANGER, "2001:DB8:19:0:0:0:0:9", "[IPv6:2001:db8:19::9]", "2001:db8:19::/64", "2001:db8:19::9/48"],
)
def test_a_trace_takes_any_form(gate: Bed, form: str) -> None:
    through(STRANGER)
    status, said, trouble = gate.inside("mailgate", "trace", form, "--since", "1h", "--json")
    assert status == 0, trouble
    found = [one["session"]["address"] for one in json.loads(said)["journeys"] if one["session"]]
    assert STRANGER in found


def test_the_doctor_knows_who_listens(gate: Bed) -> None:
    status, said, _trouble = gate.inside("mailgate", "doctor", "--only", "listening", "--json")
    assert (status, json.loads(said)["findings"][0]["text"]) == (0, "0.0.0.0, :: port 25")


def greeting(who: str) -> str:
    with Session(who, GATEWAY_IPV6, timeout_seconds=20) as session:
        return str(session.reply())


@pytest.fixture
def blacklist(gate: Bed) -> Iterator[Bed]:
    path = gate.root / "etc/mailgate/blacklist.json"
    kept = path.read_bytes()
    path.write_text(json.dumps({"listing_seconds": 3600}))
    time.sleep(2)
    try:
        yield gate
    finally:
        gate.inside("mailgate", "blacklist", "release", PEST_NETWORK)
        path.write_bytes(kept)
        time.sleep(2)


def test_a_network_64_is_refused_for_what_its_addresses_did_together(blacklist: Bed) -> None:
    through(PEST)
    pests = cycle((PEST, *OTHER_PESTS))
    for _ in range(11):
        said = submit(b"", NOBODY, who=next(pests))
        assert said.startswith("550 "), said
    fragment = blacklist.root / "var/lib/mailgate/blacklist/30-adaptive"
    wait("the /64 is listed", lambda: "[2001:db8:66::]/64:deny\n" in fragment.read_text(), LISTED_SECONDS)
    wait("the /64 is refused", lambda: greeting(OTHER_PESTS[0]) == CLOSED, LISTED_SECONDS)
    assert greeting(NEIGHBOUR).startswith("220 ")
    status, said, trouble = blacklist.inside("mailgate", "blacklist", "explain", "2001:DB8:66:0::77")
    assert status == 0, trouble
    assert said.startswith(f"{PEST_NETWORK}: refused until ")
    assert said.count(NOBODY) >= 11
    status, said, _trouble = blacklist.inside("mailgate", "blacklist", "release", OTHER_PESTS[1])
    assert (status, said) == (0, f"{PEST_NETWORK}: released\n")
    wait("the /64 is free", lambda: greeting(PEST).startswith("220 "), LISTED_SECONDS)
