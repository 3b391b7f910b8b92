# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's postfix-mta-sts-resolver: brought, asked by qmail-remote, down, ended."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.backend_tls import CONTROL
from support.gateway import Bed
from support.policy_playbook import change_mta_sts
from support.queue_checks import changed, eventually
from support.told_resolver import A as ADDRESS
from support.told_resolver import Records, Resolver, a, record, wire

MX = 15
DOMAIN, HOST = "sts.example", "mx.sts.example"
RESOLVER_PORT = 5312
NOWHERE = "255.255.255.255"  # TCP does not connect there, and sends nothing
SOCKET = "/run/mta-sts/socket"
REMOTE = (
    "printf 'Subject: x\\n\\nbody\\n' | "
    f"setuidgid qmailr /var/qmail/bin/qmail-remote {DOMAIN} s@a.example r@{DOMAIN}"
)
UNCONNECTED = "I wasn't able to establish an SMTP connection. (#4.4.1)"
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
    records: Records = {(DOMAIN, MX): [mx], (HOST, ADDRESS): [a(HOST, NOWHERE)]}
    control = bed.root / CONTROL[1:]
    with ExitStack() as stack:
        stack.enter_context(changed(control / "smtproutes", ""))
        stack.enter_context(changed(control / "daneresolver", f"127.0.0.1:{RESOLVER_PORT}\n"))
        stack.enter_context(Resolver(RESOLVER_PORT, records))
        status, said, trouble = bed.inside("sh", "-c", REMOTE)
    assert status == 0, trouble
    return said


def test_it_runs_as_its_own_user_and_answers(bed: Bed) -> None:
    eventually(lambda: answer(bed) == b"9:NOTFOUND ,", "the resolver answers")
    assert bed.inside("stat", "-c", "%U %a", SOCKET)[1].strip() == "mtasts 666"
    assert UNCONNECTED in sent(bed)


def test_mail_waits_while_it_is_down(bed: Bed) -> None:
    eventually(lambda: answer(bed) != b"", "the resolver answers")
    bed.inside("svc", "-d", "/service/mta-sts")
    try:
        eventually(lambda: answer(bed) == b"", "the resolver is down")
        assert UNREACHABLE in sent(bed)
    finally:
        bed.inside("svc", "-u", "/service/mta-sts")
    eventually(lambda: answer(bed) != b"", "the resolver answers again")
    assert UNCONNECTED in sent(bed)
