# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qmail-smtpd goes on with a session that smtpfront has begun, and judges each command once more."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator

import pytest
from support.gateway import Bed
from support.smtpd_alone import HELLO, MAIL, PLACE, RCPT, SmtpdBed, client_part, recipients_of

PATCH = pytest.mark.patch("99-handover")
LETTER = b"Subject: hello\r\n\r\nA letter.\r\n.\r\n"


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    why = bed.only_real("the stand-in begins every session itself")
    if why:
        pytest.skip(why)
    with SmtpdBed(bed) as made:
        yield made


def goes_on(bed: Bed, said: bytes, unanswered: bytes, then: bytes, **settings: str) -> list[bytes]:
    """Return the replies of a qmail-smtpd that gets this session, and then these bytes of the client."""
    counts = struct.pack("<3L", 0, 20, 8) if said else bytes(12)
    session = b"MGH1" + counts + struct.pack("<2L", len(said), len(unanswered)) + said + unanswered
    (bed.root / PLACE / "session").write_bytes(session)
    environment = {
        "QMAILQUEUE": f"/{PLACE}/queue",
        "TCPREMOTEIP": "198.51.100.7",
        "HANDOVER": "3",
        **settings,
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    command = f"exec /var/qmail/bin/qmail-smtpd 3</{PLACE}/session"
    argv = ["docker", "exec", "-i", bed.name, "env", *words, "sh", "-c", command]
    done = subprocess.run(argv, input=then, capture_output=True, timeout=60, check=False)
    return done.stdout.split(b"\r\n")[:-1]


@PATCH
def test_the_first_reply_is_that_to_the_recipient(bed: Bed, smtpd: SmtpdBed) -> None:
    replies = goes_on(bed, HELLO + MAIL, RCPT + b"DATA\r\nSubj", LETTER[4:] + b"QUIT\r\n")
    assert [reply[:3] for reply in replies] == [b"250", b"354", b"250", b"221"], replies
    found = re.search(rb" qp ([0-9]+)", replies[2])
    assert found
    kept = bed.root / PLACE / found[1].decode()
    assert client_part(kept.with_suffix(".message").read_bytes()) == b"Subject: hello\n\nA letter.\n"
    assert recipients_of(kept.with_suffix(".envelope").read_bytes()) == [b"joe@example.org"]


@PATCH
def test_nothing_is_accepted_that_was_only_handed_over(bed: Bed, smtpd: SmtpdBed) -> None:
    """The front's word about a recipient counts for nothing, and a session that has begun never relays."""
    foreign = b"RCPT TO:<ann@elsewhere.example>\r\n"
    replies = goes_on(bed, HELLO + MAIL, foreign, b"DATA\r\n", RELAYCLIENT="")
    assert [reply[:3] for reply in replies] == [b"553", b"503"], replies


@PATCH
def test_the_counts_go_on(bed: Bed, smtpd: SmtpdBed) -> None:
    unknown = b"RCPT TO:<nobody@example.test>\r\n"
    replies = goes_on(bed, HELLO + MAIL, unknown, 2 * unknown)
    assert [reply[:3] for reply in replies] == [b"550", b"421"], replies


@PATCH
def test_what_is_no_session_ends_at_once(bed: Bed, smtpd: SmtpdBed) -> None:
    replies = goes_on(bed, HELLO + MAIL + RCPT, RCPT, b"NOOP\r\n")
    assert replies == [b"421 4.3.0 unable to read controls"]


@pytest.mark.patch("99-unshared-client")
def test_a_socket_that_did_not_come_to_the_port_is_not_listened_to(bed: Bed, smtpd: SmtpdBed) -> None:
    """The launcher demands it for who may relay, and a pipe did not come to a port."""
    words = ["TCPREMOTEIP=198.51.100.7", "RELAYCLIENT=", "TCPACCEPTED=1", f"QMAILQUEUE=/{PLACE}/queue"]
    argv = ["docker", "exec", "-i", bed.name, "env", *words, "/var/qmail/bin/qmail-smtpd"]
    said = HELLO + MAIL + b"RCPT TO:<ann@elsewhere.example>\r\n"
    done = subprocess.run(argv, input=said, capture_output=True, timeout=60, check=False)
    assert [reply[:4] for reply in done.stdout.split(b"\r\n")] == [b"220 ", b""], done.stdout
    assert b"somebody else takes part in the session of 198.51.100.7" in done.stderr
