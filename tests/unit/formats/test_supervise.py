from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise, tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.supervise import (
    Row,
    Service,
    Status,
)

SECOND = tai64n.NANOSECONDS
SINCE = 1_700_000_000 * SECOND


def packed(pid: int = 0, paused: int = 0, want: bytes = b"u", since: int = SINCE) -> bytes:
    return tai64n.pack(since) + pid.to_bytes(4, "little") + bytes([paused]) + want


def service(pid: int = 0, want: str = "up", paused: bool = False, normally_up: bool = True) -> Service:
    return Service(normally_up, Status(SINCE, pid, paused, want))


UNSUPERVISED = Service(True, None, "supervise not running")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (packed(), Status(SINCE, 0, False, "up")),
        (packed(pid=0x01020304, want=b"d"), Status(SINCE, 0x01020304, False, "down")),
        (packed(pid=7, paused=1, want=b"\0"), Status(SINCE, 7, True, "")),
    ],
)
def test_the_status_is_read(status: bytes, expected: Status) -> None:
    assert supervise.parse(status) == expected


BAD_STATUS: list[tuple[bytes, str]] = [
    (b"", "supervise/status: b'' has 0 bytes; expected 18"),
    (packed()[:17], f"supervise/status: {packed()[:17]!r} has 17 bytes; expected 18"),
    (packed() + b"\0\0", f"supervise/status: {packed() + bytes(2)!r} has 20 bytes; expected 18"),
    (packed(want=b"x"), f"supervise/status: {packed(want=b'x')!r} ends with b'x'; expected 'u', 'd' or NUL"),
    (
        b"\xff" * 17 + b"u",
        f"supervise/status: {bytes([255] * 17) + b'u'!r} has no time; expected a TAI64N label first",
    ),
]


@pytest.mark.parametrize(("status", "message"), BAD_STATUS)
def test_what_supervise_did_not_write_is_refused(status: bytes, message: str) -> None:
    with pytest.raises(supervise.BadStatus) as caught:
        supervise.parse(status)
    assert str(caught.value) == message


def test_age_is_exact_and_never_negative() -> None:
    status = Status(SINCE, 7, False, "up")
    assert status.age_seconds(SINCE + 2_500_000_000) == 2.5
    assert status.age_seconds(SINCE - 1) == 0
    assert (status.is_ahead(SINCE - 1), status.is_ahead(SINCE)) == (True, False)


def test_the_text_counts_whole_seconds_as_svstat_does() -> None:
    late = Service(True, Status(SINCE + 900_000_000, 7, False, "up"))
    assert supervise.text(late, SINCE + SECOND) == "up (pid 7) 1 seconds"
    assert supervise.text(late, SINCE - SECOND) == "up (pid 7) 0 seconds"


# What there is, in words, and the orders for started, stopped, restarted, reloaded.
ORDERS: list[tuple[Service, str, tuple[bytes, bytes, bytes, bytes]]] = [
    (service(7), "up", (b"", b"d", b"t", b"h")),
    (service(7, paused=True), "up, paused", (b"c", b"d", b"ct", b"ch")),
    (service(7, want="down"), "up, want down", (b"u", b"d", b"ut", b"uh")),
    (service(7, want=""), "up, once", (b"u", b"d", b"ut", b"uh")),
    (service(7, want="down", paused=True), "up, paused, want down", (b"cu", b"d", b"cut", b"cuh")),
    (service(), "down, want up", (b"u", b"d", b"u", b"u")),
    (service(want="down"), "down", (b"u", b"", b"u", b"u")),
    (service(want=""), "down", (b"u", b"", b"u", b"u")),
    (UNSUPERVISED, "not supervised", (b"", b"", b"", b"")),
]


@pytest.mark.parametrize(("seen", "words", "expected"), ORDERS)
def test_words_and_orders(seen: Service, words: str, expected: tuple[bytes, ...]) -> None:
    assert supervise.words(seen) == words
    states = ("started", "stopped", "restarted", "reloaded")
    assert tuple(supervise.orders(seen, state) for state in states) == expected


LINK = "/var/qmail/supervise/send"
PREDICTIONS: list[tuple[str, str, str, bool, list[Service], list[Row]]] = [
    (
        "started", "", LINK, False, [UNSUPERVISED],
        [Row("link", "absent", LINK), Row("at boot", "up", "up"), Row("service", "not supervised", "up")],
    ),
    (
        "started", LINK, LINK, True, [service(want="down"), service(8)],
        [
            Row("link", LINK, LINK), Row("at boot", "down", "up"),
            Row("service", "down", "up"), Row("log", "up", "up"),
        ],
    ),
    (
        "stopped", LINK, LINK, False, [service(7), service(want="down")],
        [
            Row("link", LINK, LINK), Row("at boot", "up", "down"),
            Row("service", "up", "down"), Row("log", "down", "up"),
        ],
    ),
    (
        "stopped", LINK, "", True, [service(want="down")],
        [
            Row("link", LINK, "absent"), Row("at boot", "down", "down"),
            Row("service", "down", "not supervised"),
        ],
    ),
    (
        "restarted", LINK, LINK, False, [service(7), service(8)],
        [
            Row("link", LINK, LINK), Row("at boot", "up", "up"),
            Row("service", "up", "up, restarted"), Row("log", "up", "up, restarted"),
        ],
    ),
    (
        "reloaded", LINK, LINK, False, [service(7), service(8)],
        [
            Row("link", LINK, LINK), Row("at boot", "up", "up"),
            Row("service", "up", "up, told to reload"), Row("log", "up", "up"),
        ],
    ),
    (
        "reloaded", LINK, LINK, False, [service(want="down")],
        [Row("link", LINK, LINK), Row("at boot", "up", "up"), Row("service", "down", "up")],
    ),
    (
        "absent", LINK, "", True, [service(7), service(8)],
        [
            Row("link", LINK, "absent"),
            Row("service", "up", "not supervised"), Row("log", "up", "not supervised"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("state", "link", "wanted_link", "boots_down", "services", "rows"), PREDICTIONS)
def test_the_change_is_predicted(
    state: str, link: str, wanted_link: str, boots_down: bool, services: list[Service], rows: list[Row]
) -> None:
    assert supervise.predict(state, link, wanted_link, boots_down, services) == rows


def test_a_process_settles_when_it_has_lived_long_enough() -> None:
    settling = supervise.Settling(stable_seconds=3)
    assert not settling.settled(UNSUPERVISED, SINCE, 50)
    assert not settling.settled(service(0), SINCE, 50)
    assert not settling.settled(service(7), SINCE + 3 * SECOND - 1, 50)
    assert not settling.settled(service(7, paused=True), SINCE + 3 * SECOND, 50)
    assert not settling.settled(service(7, want="down"), SINCE + 3 * SECOND, 50)
    assert settling.settled(service(7), SINCE + 3 * SECOND, 50)


@pytest.mark.parametrize("now", [SINCE - 7200 * SECOND, SINCE + 1])
def test_a_process_settles_although_the_clock_was_set_back(now: int) -> None:
    settling = supervise.Settling(stable_seconds=3)
    assert not settling.settled(service(0), now, 40)
    assert not settling.settled(service(7), now, 50)
    assert not settling.settled(service(7), now, 52.9)
    assert settling.settled(service(7), now, 53)


def test_a_process_that_was_told_to_end_does_not_count() -> None:
    settling = supervise.Settling(stable_seconds=3, old_pid=7)
    assert not settling.settled(service(7), SINCE + 9 * SECOND, 50)
    assert not settling.settled(service(7), SINCE + 9 * SECOND, 59)
    assert not settling.settled(service(8), SINCE + 1 * SECOND, 60)
    assert settling.settled(service(8), SINCE + 9 * SECOND, 60)


@pytest.mark.parametrize("now", [SINCE - 7200 * SECOND, SINCE + 7200 * SECOND])
def test_what_it_lived_before_the_reload_does_not_count(now: int) -> None:
    settling = supervise.Settling(stable_seconds=3, reloads=True, pid=7)
    assert not settling.settled(service(7), now, 50)
    assert not settling.settled(service(7), now, 52.9)
    assert settling.settled(service(7), now, 53)


def test_another_process_in_its_place_is_flapping() -> None:
    settling = supervise.Settling(stable_seconds=3)
    settling.settled(service(7), SINCE, 50)
    settling.settled(service(0), SINCE, 51)
    with pytest.raises(supervise.Flapping) as caught:
        settling.settled(service(8), SINCE + 9 * SECOND, 52)
    assert str(caught.value) == "the process ended, its pid changed from 7 to 8"


def test_nobody_to_tell(tmp_path: Path) -> None:
    with pytest.raises(MailgateError) as caught:
        supervise.tell(str(tmp_path), b"u")
    assert str(caught.value) == (
        f"service {tmp_path}: b'u' cannot be sent, no such file or directory; expected a running supervise"
    )
