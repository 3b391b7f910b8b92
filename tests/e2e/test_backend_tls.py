# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS to the back end through the queue: mail whose policy is not met waits, and comes by TLS when it is."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

import pytest
from support.backend_tls import CONTROL, name_of, offering, policies, tlsa, verify
from support.conversations import BACKENDS, SENDER, A
from support.gateway import Bed
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import changed, qmailctl
from support.sts_resolver import StsResolver, enforced
from support.told_resolver import A as ADDRESS
from support.told_resolver import Records, Resolver, Validated, a, record, wire

PATCH = pytest.mark.patch("99-tls-out")
pytestmark = pytest.mark.usefixtures("empty_queue")
RESOLVER_PORT = 5399
MX, TLSA = 15, 52
RECIPIENT = "alice@example.test"
CONTENT = b"From: ann@sender.example\nSubject: x\n\nbody\n"


def arrived(bed: Bed) -> str:
    """Return by which TLS the message came, "" for none."""
    one = bed.mailroom.claim(lambda got: got.recipient == RECIPIENT, 20)
    assert one is not None, "nothing arrived"
    assert one.content.endswith(b"\r\n\r\nbody\r\n")
    return one.tls


def put(bed: Bed) -> None:
    put_into_queue(bed, SENDER.encode(), RECIPIENT.encode(), content=CONTENT)


@PATCH
def test_mail_comes_by_verified_tls_and_the_log_says_so(bed: Bed) -> None:
    log = SendLog(bed)
    with offering(bed, A), policies(bed, verify("example.test", A)):
        put(bed)
        assert arrived(bed) == "TLSv1.3"
    assert "accepted_message./tls=TLSv1.3/TLS_AES_256_GCM_SHA384,verify/Remote_host_said:" in log.wait_for(
        ": success: "
    )


@PATCH
@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        (None, "it_offers_no_STARTTLS._(#4.7.4)"),
        (("other.example",), "the_certificate_is_of_another_name._(#4.7.5)"),
    ],
)
def test_mail_that_may_not_go_waits_and_comes_by_tls(
    bed: Bed, hosts: tuple[str, ...] | None, reason: str
) -> None:
    log = SendLog(bed)
    with policies(bed, verify("example.test", A)):
        with nullcontext() if hosts is None else offering(bed, A, *hosts):
            put(bed)
            deferral = log.wait_for(": deferral: ")
        assert f"_but_its_TLS_is_not_as_the_policy_verify_asks:_{reason}" in deferral
        assert bed.mailroom.take(lambda got: got.recipient == RECIPIENT) == []
        with offering(bed, A):
            qmailctl(bed, "doqueue")
            assert arrived(bed) == "TLSv1.3"


@PATCH
def test_without_policies_mail_waits(bed: Bed) -> None:
    log = SendLog(bed)
    path = bed.root / CONTROL[1:] / "tlspolicies"
    aside = path.with_name("tlspolicies.aside")
    path.rename(aside)
    try:
        put(bed)
        assert "cannot_read_control/tlspolicies:_No_such_file_or_directory._(#4.3.5)" in log.wait_for(
            ": deferral: "
        )
    finally:
        aside.rename(path)
    qmailctl(bed, "doqueue")
    assert arrived(bed) == ""
    assert "accepted_message./tls=none,may/Remote_host_said:" in log.wait_for(": success: ")


@pytest.mark.patch("99-tlsa")
def test_the_certificate_is_the_one_that_tlsa_records_name(bed: Bed) -> None:
    """The route is a name, which is looked up as its records are; first they name another certificate."""
    log = SendLog(bed)
    host, (address, port) = name_of(A), BACKENDS[A]
    service = f"_{port}._tcp.{host}"
    control = bed.root / CONTROL[1:]
    records: Records = {(host, ADDRESS): Validated([a(host, address)])}
    with ExitStack() as stack:
        stack.enter_context(changed(control / "smtproutes", f"example.test:{host}:{port}\n"))
        stack.enter_context(changed(control / "daneresolver", f"127.0.0.1:{RESOLVER_PORT}\n"))
        stack.enter_context(policies(bed, "example.test:dane\n:may\n"))
        stack.enter_context(offering(bed, A, "another.example"))
        stack.enter_context(Resolver(RESOLVER_PORT, records))
        right = record(service, TLSA, tlsa(bed, A))
        records[service, TLSA] = Validated([right[:-1] + bytes([right[-1] ^ 1])])
        put(bed)
        assert "_its_TLS_is_not_as_the_policy_dane_asks:_" in log.wait_for(": deferral: ")
        records[service, TLSA] = Validated([right])
        qmailctl(bed, "doqueue")
        assert arrived(bed) == "TLSv1.3"
        assert "/tls=TLSv1.3/TLS_AES_256_GCM_SHA384,dane/" in log.wait_for(": success: ")


@pytest.mark.patch("99-tlssts")
def test_a_host_that_a_policy_of_mta_sts_does_not_list_gets_no_mail(bed: Bed) -> None:
    """Mail that goes by MX waits; it is delivered when the route is back, about which nobody is asked."""
    log = SendLog(bed)
    host, (address, _port) = name_of(A), BACKENDS[A]
    control = bed.root / CONTROL[1:]
    mx = record("example.test", MX, (10).to_bytes(2, "big") + wire(host))
    records: Records = {("example.test", MX): [mx], (host, ADDRESS): [a(host, address)]}
    with ExitStack() as stack:
        stack.enter_context(changed(control / "smtproutes", ""))
        stack.enter_context(changed(control / "daneresolver", f"127.0.0.1:{RESOLVER_PORT}\n"))
        stack.enter_context(changed(control / "stsresolver", "/tmp/mta-sts\n"))
        stack.enter_context(Resolver(RESOLVER_PORT, records))
        resolver = stack.enter_context(
            StsResolver(bed.root / "tmp/mta-sts", enforced("mx.elsewhere.example"))
        )
        put(bed)
        assert "there_was_no_connection_to_a_host_that_it_lists._(#4.7.5)" in log.wait_for(": deferral: ")
        assert resolver.asked == [b"20:mta-sts example.test,"]
    (bed.root / "tmp/mta-sts").unlink()
    qmailctl(bed, "doqueue")
    assert arrived(bed) == ""


@pytest.mark.patch("99-whole-reply")
def test_a_reply_without_end_holds_no_delivery(bed: Bed) -> None:
    log = SendLog(bed)
    bed.backends[A].endless = True
    try:
        with changed(bed.root / CONTROL[1:] / "timeoutremote", "2\n"):
            put(bed)
            assert "_but_connection_died._(#4.4.2)" in log.wait_for(": deferral: ")
    finally:
        bed.backends[A].endless = False
    qmailctl(bed, "doqueue")
    assert arrived(bed) == ""
