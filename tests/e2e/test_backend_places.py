# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More deliveries at once than a back end takes connections: the others wait for a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.conversations import SENDER, A
from support.gateway import Bed
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import changed

PATCH = pytest.mark.patch("99-backend-places")
RECIPIENTS = [f"place{number}@example.test" for number in range(12)]
CONTENT = b"From: ann@sender.example\nSubject: x\n\nbody\n"


@pytest.fixture(autouse=True)
def slow(bed: Bed, empty_queue: None) -> Iterator[None]:
    """Make the back end of example.test take its time for each message."""
    backend = bed.backends[A]
    backend.delay_seconds, backend.most_at_once = 0.4, 0
    yield
    backend.delay_seconds = 0.0


def arrived(bed: Bed) -> set[str]:
    return {
        one.recipient
        for name in RECIPIENTS
        if (one := bed.mailroom.claim(lambda got, name=name: got.recipient == name, 20))  # type: ignore[misc]
    }


@PATCH
@pytest.mark.parametrize("places", [1, 3])
def test_no_more_connections_than_places(bed: Bed, places: int) -> None:
    log = SendLog(bed)
    control = bed.root / "var/qmail/control"
    with changed(control / "concurrencybackend", f"{places}\n"), changed(control / "backendwait", "60\n"):
        put_into_queue(bed, SENDER.encode(), *(one.encode() for one in RECIPIENTS), content=CONTENT)
        assert arrived(bed) == set(RECIPIENTS)
    assert bed.backends[A].most_at_once == places
    assert " deferral: " not in log.text()


@PATCH
def test_a_back_end_that_takes_seconds_for_each_message_gets_three_rounds_at_once(bed: Bed) -> None:
    """As 60 messages, 20 places and 4 s each: the last ones wait twice as long as a message takes."""
    log = SendLog(bed)
    bed.backends[A].delay_seconds = 4.0
    with changed(bed.root / "var/qmail/control/concurrencybackend", f"{len(RECIPIENTS) // 3}\n"):
        put_into_queue(bed, SENDER.encode(), *(one.encode() for one in RECIPIENTS), content=CONTENT)
        assert arrived(bed) == set(RECIPIENTS)
    assert bed.backends[A].most_at_once == len(RECIPIENTS) // 3
    assert " deferral: " not in log.text()


@PATCH
def test_who_waits_too_long_is_deferred(bed: Bed) -> None:
    log = SendLog(bed)
    bed.backends[A].delay_seconds = 3.0
    control = bed.root / "var/qmail/control"
    with ExitStack() as stack:
        stack.enter_context(changed(control / "concurrencybackend", "1\n"))
        stack.enter_context(changed(control / "backendwait", "1\n"))
        put_into_queue(bed, SENDER.encode(), *(one.encode() for one in RECIPIENTS[:2]), content=CONTENT)
        log.wait_for("deferral: Sorry,_this_host_has_all_the_connections_that_it_may_have.")
        log.wait_for(": success: ")


def shell(bed: Bed, script: str) -> None:
    status, out, err = bed.inside("sh", "-c", f"cd /var/qmail && {script}")
    assert status == 0, f"{out}{err}"


def test_without_a_limit_or_its_directory_all_go_at_once(bed: Bed) -> None:
    place = bed.root / "var/qmail/backends"
    for how in ("no-limit", "no-directory"):
        bed.backends[A].most_at_once = 0
        with ExitStack() as stack:
            limit = "0\n" if how == "no-limit" else "1\n"
            stack.enter_context(changed(bed.root / "var/qmail/control/concurrencybackend", limit))
            if how == "no-directory" and place.exists():
                # a directory of an image's layer cannot be renamed, its copy can
                shell(bed, "cp -a backends backends.kept && rm -r backends")
                stack.callback(shell, bed, "rm -rf backends && mv backends.kept backends")
            put_into_queue(bed, SENDER.encode(), *(one.encode() for one in RECIPIENTS), content=CONTENT)
            assert arrived(bed) == set(RECIPIENTS)
        assert bed.backends[A].most_at_once > 3
