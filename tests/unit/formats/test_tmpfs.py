# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scanner's work directory: its size, its line in fstab, what is wrong with one of others."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tmpfs
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tmpfs import Mount

MIB, GIB = 1 << 20, 1 << 30
GOOD = ("rw", "nosuid", "nodev", "noexec", "size=1048576k", "mode=750")
WANTED = "size=100,nosuid"


@pytest.mark.parametrize(
    ("largest", "sessions", "memory", "expected"),
    [
        (50 * MIB, 120, 8 * GIB, 2 * GIB),  # a quarter of the memory
        (50 * MIB, 4, 8 * GIB, 600 * MIB),  # every session's
        (500 * MIB, 120, 2 * GIB, 1500 * MIB),  # one message fits, whatever the memory
        (1000, 1, 8 * GIB, 16 * MIB),
        (50 * MIB, 1, 8 * GIB, 150 * MIB),
        (10_000_001, 1, 8 * GIB, 30_003_200),  # whole pages
    ],
)
def test_the_size_fits(largest: int, sessions: int, memory: int, expected: int) -> None:
    assert tmpfs.needed_bytes(largest, sessions, memory) == expected


def test_the_memory_is_read() -> None:
    assert tmpfs.memory_bytes("MemTotal:       24682796 kB\nMemFree: 1 kB\n") == 24682796 * 1024
    with pytest.raises(BadInput, match="MemTotal"):
        tmpfs.memory_bytes("MemFree: 1 kB\n")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [("000001ffffffffff", True), ("00000000a80425fb", False), ("0000000000200000", True), ("0", False)],
)
def test_who_may_mount(capabilities: str, expected: bool) -> None:
    assert tmpfs.may_mount(f"Name:\tx\nCapPrm:\tffffffff\nCapEff:\t{capabilities}\n") is expected


def test_what_is_mounted() -> None:
    mounts = (
        "overlay / overlay rw 0 0\ntmpfs /a\\040b tmpfs rw,size=1024k 0 0\n"
        "tmpfs /c tmpfs rw 0 0\n/dev/sda1 /c ext4 rw 0 0\n"
    )
    assert tmpfs.mounted_at("/a b", mounts) == Mount("tmpfs", ("rw", "size=1024k"))
    assert tmpfs.mounted_at("/c", mounts) == Mount("ext4", ("rw",))
    assert tmpfs.mounted_at("/d", mounts) is None
    assert tmpfs.mount_points(mounts)[:2] == ["/", "/a b"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("size=4096", 4096),
        ("size=8k", 8192),
        ("size=2m", 2 * MIB),
        ("size=1g", GIB),
        ("size=50%", None),
        ("rw", None),
    ],
)
def test_a_size_is_read(option: str, expected: int | None) -> None:
    assert Mount("tmpfs", ("rw", option)).size_bytes == expected


LINE = f"tmpfs /work tmpfs {WANTED} 0 0\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", LINE),
        ("# a comment\n/dev/sda1 / ext4 rw 0 1", f"# a comment\n/dev/sda1 / ext4 rw 0 1\n{LINE}"),
        (LINE, LINE),
        ("none /work tmpfs size=1 0 0\n/dev/sda1 / ext4 rw 0 1\n", f"{LINE}/dev/sda1 / ext4 rw 0 1\n"),
        (f"{LINE}x /y z w 0 0\nnone\t/work\ttmpfs\n", f"{LINE}x /y z w 0 0\n"),
        ("# tmpfs /work tmpfs\n", f"# tmpfs /work tmpfs\n{LINE}"),
        ("tmpfs /work2 tmpfs rw 0 0\n", f"tmpfs /work2 tmpfs rw 0 0\n{LINE}"),
    ],
)
def test_fstab_has_one_line_for_it(before: str, after: str) -> None:
    assert tmpfs.fstab_with(before, "/work", WANTED) == after


def test_the_options() -> None:
    assert tmpfs.options(4096, 0o750, 951, 952) == ("size=4096,mode=0750,uid=951,gid=952,nosuid,nodev,noexec")


def test_what_others_mounted_is_judged() -> None:
    assert tmpfs.faults(Mount("tmpfs", GOOD), GIB) == []
    assert tmpfs.faults(Mount("tmpfs", GOOD), GIB + 1) == [
        "it has 1073741824 bytes; expected at least 1073741825"
    ]
    assert tmpfs.faults(Mount("tmpfs", ("rw", "nosuid")), 1) == [
        "it lacks nodev, noexec; expected nosuid, nodev, noexec"
    ]
    assert tmpfs.faults(Mount("ext4", GOOD), 1) == ["it is of type 'ext4'; expected 'tmpfs'"]


@pytest.mark.parametrize(
    ("size", "needed", "percent", "fits"),
    [
        (400, 100, 25, True),
        (399, 100, 25, False),
        (400, 101, 25, False),
        (100, 100, 100, True),
        (100, 0, 1, True),
    ],
)
def test_one_sessions_share_is_enough_for_the_largest_message(
    size: int, needed: int, percent: int, fits: bool
) -> None:
    if fits:
        tmpfs.check_share(size, needed, percent)
        return
    with pytest.raises(BadInput) as caught:
        tmpfs.check_share(size, needed, percent)
    assert str(caught.value) == (
        f"size {size}: one session's share of it, {percent} percent, is {size * percent // 100} bytes; the "
        f"largest message with what its scanners write needs {needed}; expected a size of at least "
        f"{-(-needed * 100 // percent)} bytes, a larger share, or smaller messages"
    )


def test_a_computed_size_is_enough_for_a_share() -> None:
    size = tmpfs.needed_bytes(50_000_000, 120, 512 << 20, 60_000_000, 25)
    assert size == -(-240_000_000 // 4096) * 4096
    tmpfs.check_share(size, 60_000_000, 25)
