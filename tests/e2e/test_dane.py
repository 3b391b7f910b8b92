# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DANE on the way out with the distribution's unbound and a signed zone: right, wrong, missing, bogus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest
from support.backend_tls import CONTROL, offering, policies, tlsa
from support.conversations import BACKENDS, SENDER, A
from support.gateway import Bed
from support.policy_playbook import change_dane
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import changed, drain
from support.signed_zone import ADDRESS, PORT, NameServer, make_zone
from support.waiting import eventually

ORIGIN, HOST = "corp.test.", "exchange.corp.test"
RESOLVER = "127.0.0.3"
RECIPIENT = "alice@example.test"
SETTINGS = "etc/unbound/test.conf"
SERVER = """server:
  trust-anchor: "{anchor}"
  do-not-query-localhost: no
  local-zone: "test." nodefault
"""
ZONE = f"""stub-zone:
  name: "{ORIGIN}"
  stub-addr: {ADDRESS}@{PORT}
"""


@pytest.fixture(scope="module", autouse=True)
def unbound(bed: Bed) -> Iterator[None]:
    """Run the role, a second time without a change, and end it again."""
    reason = bed.only_real("the stand-in has no qmail-remote")
    if reason:
        pytest.skip(reason)
    change_dane(bed, True)
    assert change_dane(bed, True).changed() == 0
    assert (bed.root / CONTROL[1:] / "daneresolver").read_text() == "127.0.0.2\n"
    yield
    change_dane(bed, False)
    assert (bed.root / CONTROL[1:] / "daneresolver").read_text() == "\n"
    assert not (bed.root / "service/unbound").is_symlink()
    drain(bed)


def settings(bed: Bed, anchor: str) -> str:
    """Return the role's settings, with another address and the anchor and server of the test's zone."""
    text = (bed.root / "etc/unbound/mailgate.conf").read_text()
    assert text.count("server:\n") == text.count("interface: 127.0.0.2\n") == 1
    text = text.replace("server:\n", SERVER.format(anchor=anchor))
    return text.replace("interface: 127.0.0.2", f"interface: {RESOLVER}") + ZONE


def answers() -> bool:
    query = dns.message.make_query("localhost.", "A")
    try:
        return bool(dns.query.udp(query, RESOLVER, timeout=1).answer)
    except (OSError, dns.exception.DNSException):
        return False


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("right", ": success: "),
        ("wrong", "the_certificate_is_not_valid:_no_matching_DANE_TLSA_records._(#4.7.5)"),
        ("missing", "no_host_has_TLSA_records_that_are_validated._(#4.7.5)"),
        ("bogus", "the_TLSA_records_of_no_host_could_be_looked_up._(#4.7.5)"),
        ("another key", "I_couldn't_find_any_host_by_that_name._(#4.1.2)"),
    ],
)
def test_what_the_zone_says(bed: Bed, case: str, words: str) -> None:
    log = SendLog(bed)
    control, (address, port) = bed.root / CONTROL[1:], BACKENDS[A]
    with ExitStack() as stack:
        stack.enter_context(offering(bed, A, "another.example"))
        data = tlsa(bed, A)[3:]
        data = data[:-1] + bytes([data[-1] ^ (case == "wrong")])
        records = f"{HOST}. 300 IN A {address}\n"
        if case != "missing":
            records += f"_{port}._tcp.{HOST}. 300 IN TLSA 3 1 1 {data.hex()}\n"
        zone, anchor = make_zone(ORIGIN, records)
        if case == "another key":
            anchor = make_zone(ORIGIN, records)[1]
        unsigned = (dns.rdatatype.TLSA,) if case == "bogus" else ()
        stack.enter_context(NameServer(zone, unsigned))
        (bed.root / SETTINGS).write_text(settings(bed, anchor))
        script = f"unbound -c /{SETTINGS} -d -p >/dev/null 2>&1 & echo $!"
        status, pid, trouble = bed.inside("sh", "-c", script)
        assert status == 0, trouble
        stack.callback(bed.inside, "kill", pid.strip())
        eventually(answers, "unbound answers")
        stack.enter_context(changed(control / "smtproutes", f"example.test:{HOST}:{port}\n"))
        stack.enter_context(changed(control / "daneresolver", f"{RESOLVER}\n"))
        stack.enter_context(policies(bed, "example.test:dane\n:may\n"))
        put_into_queue(bed, SENDER.encode(), RECIPIENT.encode(), content=b"Subject: x\n\nbody\n")
        line = log.wait_for(words)
        assert case != "right" or "/tls=TLSv1.3/TLS_AES_256_GCM_SHA384,dane/" in line
    (bed.root / SETTINGS).unlink()
    assert len(bed.mailroom.take(lambda one: one.recipient == RECIPIENT)) == (case == "right")
