# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that is taken out: 421 for others, what has begun ends, and the queue is delivered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.conversations import LOOPBACK, STRANGER, A
from support.gateway import GATEWAY_ADDRESS, Bed
from support.queue_checks import GOOD, accepted, drain, waiting, whole
from support.smtp_client import Session

RELAY_CLIENT = "198.51.100.70"


@pytest.fixture(autouse=True)
def normal(bed: Bed) -> Iterator[None]:
    yield
    bed.inside("mailgate", "undrain")
    for backend in bed.backends.values():
        if not backend.up:
            backend.start()


def greeting(client: str, address: str) -> str:
    with Session(client, address) as session:
        return session.reply()


def finding(bed: Bed, check: str) -> tuple[int, str]:
    said = bed.inside("mailgate", "doctor", "--json", "--only", check, within_seconds=90)[1]
    (one,) = json.loads(said)["findings"]
    return one["status"], one["text"]


def test_others_hear_421_until_the_gateway_is_taken_back(bed: Bed) -> None:
    with Session(STRANGER, GATEWAY_ADDRESS) as begun:
        assert begun.reply().startswith("220 ")
        status, said, trouble = bed.inside("mailgate", "drain", "--no-wait", "--note", "kernel update")
        assert (status, trouble) == (1, ""), said  # the session that has begun
        for client in (STRANGER, RELAY_CLIENT, "198.51.100.9"):
            assert greeting(client, GATEWAY_ADDRESS).startswith("421 4.3.2 ")
        assert greeting(LOOPBACK, LOOPBACK).startswith("220 ")
        assert greeting(GATEWAY_ADDRESS, GATEWAY_ADDRESS).startswith("220 ")
        begun.send(b"HELO client.example\r\n")
        assert begun.reply().startswith("250 ")
    level, text = finding(bed, "drained")
    assert level == 1 and "kernel update" in text
    assert finding(bed, "virus")[0] == 0
    bed.inside("svc", "-t", "/service/smtpfront")
    bed.wait_until_greeted(30)
    assert greeting(STRANGER, GATEWAY_ADDRESS).startswith("421 4.3.2 ")
    assert bed.inside("mailgate", "undrain")[0] == 0
    assert greeting(STRANGER, GATEWAY_ADDRESS).startswith("220 ")
    assert finding(bed, "drained")[0] == 0


def test_the_queue_is_delivered_and_what_is_left_is_told(bed: Bed) -> None:
    reason = bed.only_real("the stand-in has no queue")
    if reason:
        pytest.skip(reason)
    drain(bed)
    exchange = bed.backends[A]
    exchange.stop()
    content = accepted("drain", GOOD)
    status, said, trouble = bed.inside("mailgate", "drain", "--within", "2s")
    assert (status, trouble) == (1, "") and "1 message in the queue" in said
    exchange.start()
    status, said, trouble = bed.inside("mailgate", "drain", "--within", "60s", within_seconds=90)
    assert (status, trouble) == (0, ""), said
    assert waiting(bed) == []
    whole(bed, A, GOOD, content)
    assert finding(bed, "clean")[0] == 0  # also of a gateway that is taken out
