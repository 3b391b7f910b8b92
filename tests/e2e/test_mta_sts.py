# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's postfix-mta-sts-resolver: brought, asked by qmail-remote, down, ended."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.backend_tls import CONTROL
from support.certificates import Signer
from support.gateway import Bed
from support.name_servers import ROOT_ZONE, resolving, world
from support.policy_playbook import change_mta_sts
from support.queue_checks import changed
from support.sts_web import policy, records, web
from support.tls_mail_server import TlsMailServer, Ways
from support.told_resolver import A as ADDRESS
from support.told_resolver import Records, Resolver, a, record, wire
from support.waiting import eventually

MX = 15
DOMAIN, HOST = "sts.example", "mx.sts.example"
RESOLVER_PORT = 5312
NOWHERE = "255.255.255.255"  # TCP does not connect there, and sends nothing
SERVER = "198.18.0.62"
SOCKET = "/run/mta-sts/socket"
REMOTE = (
    "printf 'Subject: x\\n\\nbody\\n' | "
    "setuidgid qmailr /var/qmail/bin/qmail-remote {domain} s@a.example r@{domain}"
)
UNCONNECTED = "I wasn't able to establish an SMTP connection. (#4.4.1)"
UNLISTED = "and there was no connection to a host that it lists. (#4.7.5)"
ANOTHER_NAME = "its TLS is not as the policy mta-sts asks: the certificate is of another name"
UNREACHABLE = "The domain's policy of MTA-STS is not known: its resolver cannot be reached. (#4.4.3)"


@pytest.fixture(scope="module", autouse=True)
def resolver(bed: Bed) -> Iterator[None]:
    """Run the role, a second time without a change, and end it again."""
    reason = bed.only_real("the stand-in has no qmail-remote")
    if reason:
        pytest.skip(reason)
    change_mta_sts(bed, True)
    assert change_mta_sts(bed, True).changed() == 0
    assert (bed.root / CONTROL[1:] / "stsresolver").read_text() == f"{SOCKET}\n"
    yield
    change_mta_sts(bed, False)
    assert (bed.root / CONTROL[1:] / "stsresolver").read_text() == "\n"
    assert not (bed.root / "service/mta-sts").is_symlink()


def answer(bed: Bed) -> bytes:
    """Return what the resolver says of a domain that nobody has, or b'' while it is not there."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(30)
        try:
            one.connect(str(bed.root / SOCKET[1:]))
            one.sendall(b"19:mta-sts sts.example,")
            return one.recv(100)
        except OSError:
            return b""


def sent(bed: Bed) -> str:
    """Return qmail-remote's report of a message that goes by MX to an address to which TCP cannot connect."""
    mx = record(DOMAIN, MX, (10).to_bytes(2, "big") + wire(HOST))
    told: Records = {(DOMAIN, MX): [mx], (HOST, ADDRESS): [a(HOST, NOWHERE)]}
    control = bed.root / CONTROL[1:]
    with ExitStack() as stack:
        stack.enter_context(changed(control / "daneresolver", f"127.0.0.1:{RESOLVER_PORT}\n"))
        stack.enter_context(Resolver(RESOLVER_PORT, told))
        return report(bed, DOMAIN)


def report(bed: Bed, domain: str) -> str:
    with changed(bed.root / CONTROL[1:] / "smtproutes", ""):
        status, said, trouble = bed.inside("sh", "-c", REMOTE.format(domain=domain))
    assert status == 0, trouble
    return said


def test_it_runs_as_its_own_user_and_answers(bed: Bed) -> None:
    eventually(lambda: answer(bed) == b"9:NOTFOUND ,", "the resolver answers")
    assert bed.inside("stat", "-c", "%U %a", SOCKET)[1].strip() == "mtasts 666"
    assert UNCONNECTED in sent(bed)


@contextmanager
def down(bed: Bed) -> Iterator[None]:
    """End the resolver for a while; it is up again, and answers, behind the block."""
    bed.inside("svc", "-d", "/service/mta-sts")
    try:
        eventually(lambda: answer(bed) == b"", "the resolver is down")
        yield
    finally:
        bed.inside("svc", "-u", "/service/mta-sts")
    eventually(lambda: answer(bed) != b"", "the resolver answers")


def test_mail_waits_while_it_is_down(bed: Bed) -> None:
    with down(bed):
        assert UNREACHABLE in sent(bed)
    assert UNCONNECTED in sent(bed)


# The domain, its policy ("" for none), its MX's address, and what becomes of mail. There is nobody at
# NOWHERE; SERVER has a certificate of mx.valid.example alone.
PUBLISHED = {
    "listed.example": (policy("enforce", "mx.listed.example"), NOWHERE, UNCONNECTED),
    "wild.example": (policy("enforce", "mx.elsewhere.example", "*.wild.example"), NOWHERE, UNCONNECTED),
    "other.example": (policy("enforce", "mx.elsewhere.example"), NOWHERE, UNLISTED),
    "deep.example": (policy("enforce", "*.example"), NOWHERE, UNLISTED),
    "testing.example": (policy("testing", "mx.elsewhere.example"), NOWHERE, UNCONNECTED),
    "nothing.example": ("", NOWHERE, UNCONNECTED),
    "valid.example": (policy("enforce", "mx.valid.example"), SERVER, ",mta-sts\n"),
    "invalid.example": (policy("enforce", "mx.invalid.example"), SERVER, ANOTHER_NAME),
    "tested.example": (policy("testing", "mx.tested.example"), SERVER, ",may\n"),
    "none.example": (policy("none"), SERVER, ",may\n"),
}


@contextmanager
def asking_this_dns(bed: Bed, place: Path) -> Iterator[None]:
    """Let the gateway see the domains of PUBLISHED; the resolver reads resolv.conf when it starts."""
    zone = list(ROOT_ZONE)
    for domain, (text, address, _said) in PUBLISHED.items():
        zone += [f"@{domain}::mx.{domain}:10:1", f"+mx.{domain}:{address}:1"]
        zone += records(domain) if text else []
    with ExitStack() as stack:
        with down(bed):
            stack.enter_context(world(place, zone))
            stack.enter_context(resolving(bed))
        yield
    with down(bed):
        pass


@contextmanager
def without_front(bed: Bed) -> Iterator[None]:
    """Free port 25 for a while: the front has it on every address."""
    bed.inside("svc", "-d", "/service/smtpfront")
    try:
        eventually(lambda: not listens(), "the front is down")
        yield
    finally:
        bed.inside("svc", "-u", "/service/smtpfront")
    eventually(listens, "the front is up")


def listens() -> bool:
    with socket.socket() as one:
        one.settimeout(30)
        return one.connect_ex((SERVER, 25)) == 0


def test_a_published_policy_is_kept(bed: Bed, tmp_path: Path) -> None:
    if not shutil.which("tinydns"):
        pytest.fail("tinydns is missing; install tinydns")
    published = {domain: text for domain, (text, _address, _said) in PUBLISHED.items() if text}
    signer = Signer(tmp_path / "authority")
    (tmp_path / "zone").mkdir()
    with ExitStack() as stack:
        stack.enter_context(asking_this_dns(bed, tmp_path / "zone"))
        asked = stack.enter_context(web(signer, bed.root / "etc/ssl/certs", published))
        certificate = signer.issue("mx", hosts=("mx.valid.example",))
        stack.enter_context(without_front(bed))
        server = stack.enter_context(TlsMailServer(Ways(certificate), SERVER, 25))
        for domain, (_text, _address, said) in PUBLISHED.items():
            assert said in report(bed, domain), domain
        assert sorted(asked) == sorted(published)
        assert [len(one.messages) for one in server.connections()] == [1, 0, 1, 1]
