# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A back end that says what is no reply of SMTP: the mail waits, and comes when the back end is mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.conversations import BACKENDS, SENDER, A
from support.gateway import Bed
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import qmailctl, waiting
from support.tls_mail_server import TlsMailServer, Ways

pytestmark = pytest.mark.usefixtures("empty_queue")
RECIPIENT = "alice@example.test"
CONTENT = b"From: ann@sender.example\nSubject: x\n\nbody\n"
HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


@contextmanager
def saying(bed: Bed, raw: dict[str, bytes]) -> Iterator[None]:
    """Replace exchange-a meanwhile by a server with these replies."""
    bed.backends[A].stop()
    try:
        with TlsMailServer(Ways(raw=raw), *BACKENDS[A]):
            yield
    finally:
        bed.backends[A].start()


@pytest.mark.patch("99-wrong-reply")
@pytest.mark.parametrize(
    ("raw", "report"),
    [
        ({"": HTTP}, "the_connection_is_no_SMTP_reply._(#4.5.0)/Remote_host_said:_HTTP/1.1_400_Bad_Request/"),
        (
            {"EHLO": b"502 what?\r\n", "HELO": b"\n"},
            "HELO_is_no_SMTP_reply._(#4.5.0)/Remote_host_said:_(an_empty_line)/",
        ),
        ({"MAIL": b"abc\r\n"}, "MAIL_is_no_SMTP_reply._(#4.5.0)/Remote_host_said:_abc/"),
        ({"MAIL": b"250 ok\r\n550 no\r\n"}, "RCPT_came_too_early._(#4.5.0)/Remote_host_said:_550_no/"),
        ({"RCPT": b"999\0D\0\nno\r\n"}, "RCPT_is_no_SMTP_reply._(#4.5.0)/Remote_host_said:_999?D?/"),
        ({"DATA": b"\0\0\0\0\r\n"}, "DATA_is_no_SMTP_reply._(#4.5.0)/Remote_host_said:_????/"),
        (
            {".": b"550-no\r\n250 ok\r\n"},
            "the_message_has_lines_with_different_codes._Possible_duplicate!_(#4.5.0)"
            "/Remote_host_said:_550-no_/_250_ok/",
        ),
        ({".": b"554-no\r\n" * 20_000}, "the_message_does_not_end._Possible_duplicate!_(#4.5.0)/"),
    ],
    ids=["HTTP", "an empty line", "letters", "too early", "999", "NULs", "two codes", "without end"],
)
def test_what_is_no_reply_defers_the_mail(bed: Bed, raw: dict[str, bytes], report: str) -> None:
    log = SendLog(bed)
    with saying(bed, raw):
        put_into_queue(bed, SENDER.encode(), RECIPIENT.encode(), content=CONTENT)
        ended = log.wait_for("Remote_host_said:")
    assert f": deferral: Connected_to_{BACKENDS[A][0]}_but_its_reply_to_{report}" in ended
    assert len(waiting(bed)) == 2
    qmailctl(bed, "doqueue")
    one = bed.mailroom.claim(lambda got: got.recipient == RECIPIENT, 20)
    assert one is not None and one.content.endswith(b"\r\n\r\nbody\r\n")
    assert log.text().count(" new msg ") == 1, "there is a bounce"
