# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees of the queue, of the clock and of the greylist."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import resources as doctor_probes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from support.doctor_host import NOW, context, put, told


def test_the_queue_is_counted_in_all_its_directories(tmp_path: Path) -> None:
    put(tmp_path, "/var/qmail/queue/mess/0/1")
    for number in range(3):
        put(tmp_path, f"/var/qmail/queue/info/{number}/{number}", at=NOW - 5 * 3600 - number)
    put(tmp_path, "/var/qmail/queue/remote/2/2")
    put(tmp_path, "/var/qmail/queue/todo/9", at=NOW - 3)
    put(tmp_path, "/var/qmail/queue/info/lost+found")
    line = "@400000006b00000000000000 delivery 7: deferral: Connected_to_192.0.2.1_but_sender_was_rejected./"
    put(tmp_path, "/var/log/qmail/send/current", f"{line}\n@400000006b00000000000000 status: local 0/10\n")
    assert told(doctor_probes.queue(context(tmp_path))) == [
        (
            1,
            "the oldest message has waited for 5 hours; the last deferral: Connected to 192.0.2.1 but sender was rejected.",
        )
    ]


def test_the_kernel_is_asked_for_its_clock() -> None:
    """The check answers here or refuses; its result is one of the three states."""
    found = doctor_probes.kernel_clock()
    assert found.synchronized in (True, False, None)
    if found.synchronized:
        assert found.error_milliseconds is not None
        assert 0 <= found.error_milliseconds < 1e6


@pytest.mark.parametrize(
    ("state", "status", "maxerror", "expected"),
    [
        (0, 0, 1500, (0, "synchronized, at most 2 ms off")),
        (5, 0, 0, (1, "the clock is not synchronized (by the kernel)")),
        (0, 0x40, 0, (1, "the clock is not synchronized (by the kernel)")),
        (-1, 0, 0, (1, "whether the clock is synchronized is unknown")),
    ],
)
def test_what_the_kernel_says_of_its_clock(
    state: int,
    status: int,
    maxerror: int,
    expected: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Libc:
        def __init__(self, *_given: object, **_options: object) -> None:
            pass

        @staticmethod
        def adjtimex(given: Any) -> int:
            given._obj.status, given._obj.maxerror = status, maxerror
            return state

    monkeypatch.setattr(doctor_probes.ctypes, "CDLL", Libc)
    assert told(doctor_probes.clock(context(tmp_path))) == [expected]
    if state < 0:
        put(tmp_path, "/run/systemd/timesync/synchronized")
        assert told(doctor_probes.clock(context(tmp_path))) == [(0, "synchronized (by systemd-timesyncd)")]


def test_a_greylist_that_lets_everybody_pass_is_critical(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "var/qmail/cqgreylist").mkdir(parents=True, mode=0o700)
    lines = [
        (
            NOW - 2000,
            "smtpfront[10004711]: open 198.51.100.7 198.51.100.0/24 cannot remember: Permission denied",
        ),
        (
            NOW - 800,
            "cqgreylist[4711]: open 198.51.100.8 198.51.100.0/24 cannot renew: Read-only file system",
        ),
        (NOW - 10, "smtpfront[10004712]: known 198.51.100.9 198.51.100.0/24"),
    ]
    text = "".join(f"{tai64n.render(int(at) * 10**9)} {line}\n" for at, line in lines)
    put(root, "/var/log/qmail/smtpd/current", text)
    said = "1 clients were not greylisted within 15 minutes: cannot renew: Read-only file system"
    assert (2, said) in told(doctor_probes.greylist(context(root)))
    off = doctor_probes.greylist(context(root, greylist=False))
    assert told(off) == [(0, "off: nobody is greylisted, as gateway_greylist is false")]
