# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the queue, the disks, the clock and the greylist: facts from the host, and their judgement.

A probe may raise any exception; the caller reports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.paths import (
    CLOCK_SYNCHRONIZED,
    GREYLIST_DIRECTORY,
    QMAIL_QUEUE,
    SEND_LOG,
    SMTP_LOG,
    SMTPFRONT_SERVICE,
)
from ..core.times import rounded
from ..formats import greylist as greylist_state
from ..formats import smtpd_log as smtplog
from ..formats import tmpfs
from ..host import work_directory as workdir
from .context import Context, log_tail, mode_and_owner
from .findings import CRITICAL, OK, WARNING, Finding, Limit, graded, several

# Queue, disks, clock


@dataclass(frozen=True)
class Queue:
    """The waiting messages; times in unix seconds, None without any."""

    messages: int = 0
    oldest: float | None = None
    new: int = 0  # not processed by qmail-send yet
    oldest_new: float | None = None
    remote: int = 0  # for other hosts
    deferral: str = ""  # qmail-send's last report of a deferred delivery


_TAKEN_UP_SECONDS = 600


def judge_queue(seen: Queue, now: float, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge how many messages wait, and for how long."""
    check, found = "queue", []
    because = f"; the last deferral: {seen.deferral}" if seen.deferral else ""
    see = "qmailctl stat, qmail-qread, and the end of /var/log/qmail/send/current"
    count = seen.messages + seen.new
    level = graded("queue_messages", count, limits)
    if level:
        text = f"{count} messages wait, {seen.remote} for back ends{because}"
        found.append(Finding(check, level, text, see))
    if seen.oldest is not None:
        age = now - seen.oldest
        level = graded("queue_age_hours", age / 3600, limits)
        if level:
            advice = f"{see}; when the back end is back: qmailctl doqueue"
            text = f"the oldest message has waited for {rounded(age)}{because}"
            found.append(Finding(check, level, text, advice))
    if seen.oldest_new is not None and now - seen.oldest_new > _TAKEN_UP_SECONDS:
        waited = rounded(now - seen.oldest_new)
        text = f"{seen.new} messages are not processed by qmail-send, the oldest for {waited}"
        advice = "svstat /service/qmail-send; see the end of /var/log/qmail/send/current"
        found.append(Finding(check, CRITICAL, text, advice))
    text = f"{count} messages wait" if count else "empty"
    if seen.oldest is not None:
        text += f", {seen.remote} for back ends, the oldest for {rounded(now - seen.oldest)}"
    return several(found, check, text)


@dataclass(frozen=True)
class Space:
    """The free space of a path's file system."""

    path: str
    free_percent: float
    inode_free_percent: float
    read_only: bool = False


def judge_disks(spaces: Sequence[Space], limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge the free space of the file systems."""
    check, found = "disk", []
    for one in spaces:
        if one.read_only:
            advice = "see dmesg for why; mount it for writing again"
            found.append(Finding(check, CRITICAL, f"{one.path} is read-only", advice))
        level = graded("disk_free_percent", one.free_percent, limits)
        if level:
            advice = f"make room: du -x --max-depth=2 {one.path} | sort -n | tail"
            found.append(Finding(check, level, f"{one.path} has {one.free_percent:.0f} % free", advice))
        level = graded("inode_free_percent", one.inode_free_percent, limits)
        if level:
            text = f"{one.path} has {one.inode_free_percent:.0f} % of its inodes free"
            advice = f"remove small files: du -x --inodes --max-depth=2 {one.path} | sort -n | tail"
            found.append(Finding(check, level, text, advice))
    said = ", ".join(f"{one.path} {one.free_percent:.0f} %" for one in spaces)
    return several(found, check, f"free: {said}")


@dataclass(frozen=True)
class Ramdisk:
    """The work directory of simscan."""

    path: str
    trouble: str = ""
    tmpfs: bool = True  # whether it is one
    wanted: bool = True  # whether the site wants one
    owner: str = "simscan:simscan"
    mode: int = 0o750
    free_percent: float = 100.0
    leftovers: tuple[float, ...] = ()  # ages in seconds of abandoned directories


def judge_ramdisk(seen: Ramdisk, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge simscan's work directory."""
    check, found = "ramdisk", []
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; mail is deferred"
        return [Finding(check, CRITICAL, text, f"run the playbook again, or mount {seen.path}")]
    if (seen.owner, seen.mode) != ("simscan:simscan", 0o750):
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}; expected 0750 simscan:simscan"
        advice = f"chown simscan:simscan {seen.path}; chmod 0750 {seen.path}"
        found.append(Finding(check, CRITICAL, text, advice))
    if seen.wanted and not seen.tmpfs:
        text = f"{seen.path} is not in memory"
        found.append(Finding(check, WARNING, text, f"mount {seen.path}, which is in /etc/fstab"))
    level = graded("ramdisk_free_percent", seen.free_percent, limits)
    if level:
        text = f"{seen.path} has {seen.free_percent:.0f} % free"
        advice = "when it is full mail is deferred: look for leftovers, or raise simscan_work_directory_bytes"
        found.append(Finding(check, level, text, advice))
    if seen.leftovers:
        level = graded("leftover_age_seconds", max(seen.leftovers), limits)
        if level:
            count = len(seen.leftovers)
            text = f"{count} leftovers in {seen.path}, the oldest {rounded(max(seen.leftovers))} old"
            advice = f"svstat /service/simscan-cleaner; mailgate workdir clean {seen.path}"
            found.append(Finding(check, level, text, advice))
    return several(found, check, f"{seen.path} has {seen.free_percent:.0f} % free, no leftovers")


@dataclass(frozen=True)
class Clock:
    """The synchronization of the clock; None when it is unknown."""

    synchronized: bool | None
    error_milliseconds: float | None = None  # the maximum error by the kernel's estimate
    source: str = ""


def judge_clock(seen: Clock, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge the clock: the times in logs, greylisting and expiry of entries depend on it."""
    check = "clock"
    advice = "run one time service: apt-get install chrony, then chronyc tracking"
    if seen.synchronized is None:
        return [Finding(check, WARNING, "whether the clock is synchronized is unknown", advice)]
    if not seen.synchronized:
        return [Finding(check, WARNING, f"the clock is not synchronized ({seen.source})", advice)]
    if seen.error_milliseconds is not None:
        level = graded("clock_error_milliseconds", seen.error_milliseconds, limits)
        text = f"synchronized, at most {seen.error_milliseconds:.0f} ms off"
        see = "chronyc tracking, or timedatectl timesync-status"
        return [Finding(check, level, text, see if level else "")]
    return [Finding(check, OK, f"synchronized ({seen.source})")]


# Greylist, and the services with a socket


OPEN_SECONDS = 900.0  # a client that passed longer ago is no sign of a fault that is still there


@dataclass(frozen=True)
class Greylist:
    """The directory with the greylist's state."""

    path: str
    trouble: str = ""
    owner: str = "qmaild"
    mode: int = 0o700
    space: Space = field(default_factory=lambda: Space("", 100.0, 100.0))
    passed: int = 0  # networks, COUNTED_MAX if there are more
    expected: str = "qmaild"  # the user of the program that greylists
    opened: int = 0  # clients that passed lately because nothing could be remembered
    opened_because: str = ""


def judge_greylist(seen: Greylist, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge whether the greylist can store its state; when it cannot, mail passes without greylisting."""
    check, found = "greylist", []
    passes = "mail passes without greylisting"
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; {passes}"
        return [Finding(check, CRITICAL, text, "run the playbook again: it makes the directory")]
    if seen.owner != seen.expected or seen.mode & 0o700 != 0o700:
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}; expected 0700 {seen.expected}: {passes}"
        advice = f"chown -R {seen.expected}: {seen.path}; chmod 0700 {seen.path}"
        found.append(Finding(check, CRITICAL, text, advice))
    if seen.opened:
        within = rounded(OPEN_SECONDS)
        text = f"{seen.opened} clients were not greylisted within {within}: {seen.opened_because}"
        advice = f"see the lines 'open' at the end of {SMTP_LOG}/current, and the owners below {seen.path}"
        found.append(Finding(check, CRITICAL, text, advice))
    full = judge_disks([seen.space], limits)
    found += [
        Finding(check, one.status, f"{one.text}; when it is full {passes}", one.advice)
        for one in full
        if one.status
    ]
    more = "at least " if seen.passed >= greylist_state.COUNTED_MAX else ""
    return several(found, check, f"{more}{seen.passed} networks have passed")


# Queue, disks, clock


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    """Yield the messages' files in a part of the queue, which may be split into numbered directories."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.isdigit():
                yield entry


def _times(directory: str) -> list[float]:
    found = []
    for entry in _files(directory):
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.stat(follow_symlinks=False).st_mtime)
    return found


def deferral(lines: Sequence[str]) -> str:
    """Return qmail-send's last report of a deferred delivery, with blanks restored."""
    for line in reversed(lines):
        found = re.search(r"delivery [0-9]+: deferral: (.+)", line)
        if found:
            return found[1].replace("_", " ").strip("/ ")[:160]
    return ""


def queue(context: Context) -> list[Finding]:
    """Check the files of qmail's queue; a message's info file is as old as the message."""
    top = context.path(QMAIL_QUEUE)
    os.stat(f"{top}/mess")  # raises an error without a queue
    known, new = _times(f"{top}/info"), _times(f"{top}/todo")
    remote = sum(1 for dummy in _files(f"{top}/remote"))
    seen = Queue(
        len(known),
        min(known, default=None),
        len(new),
        min(new, default=None),
        remote,
        deferral(log_tail(context.path(f"{SEND_LOG}/current"))) if known else "",
    )
    return judge_queue(seen, context.now, context.settings.limits)


def space(path: str, name: str) -> Space:
    """Return the free space of a path's file system."""
    found = os.statvfs(path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    free = 100.0 * found.f_bavail / usable if usable > 0 else 100.0
    inodes = 100.0 * found.f_ffree / found.f_files if found.f_files > 0 else 100.0
    return Space(name, free, inodes, bool(found.f_flag & os.ST_RDONLY))


def disks(context: Context) -> list[Finding]:
    """Check each file system once, under the first path that is on it."""
    spaces: dict[int, Space] = {}
    for name in context.settings.disks:
        path = context.path(name)
        while not os.path.exists(path):
            path = os.path.dirname(path)
        device = os.stat(path).st_dev
        if device not in spaces:
            spaces[device] = space(path, name)
    return judge_disks(list(spaces.values()), context.settings.limits)


def ramdisk(context: Context) -> list[Finding]:
    """Check simscan's work directory, and what was left there."""
    name = context.settings.ramdisk_directory
    path = context.path(name)
    try:
        mode, owner = mode_and_owner(path)
        names = os.listdir(path)
        free = space(path, name)
    except OSError as error:
        seen = Ramdisk(name, f"{error.strerror}".lower())
        return judge_ramdisk(seen, context.settings.limits)
    with open(context.path("/proc/self/mounts"), encoding="utf-8", errors="replace") as stream:
        mount = tmpfs.mounted_at(name, stream.read())
    least = context.settings.limits["leftover_age_seconds"][0]
    ages = []
    for one in names:
        made = workdir.parse_name(one)
        if made is None:
            continue
        process = workdir.living(made.pid, context.path("/proc"))
        if workdir.abandoned(made, process, context.now, least):
            ages.append(context.now - made.seconds)
    seen = Ramdisk(
        name,
        "is read-only" if free.read_only else "",
        mount is not None and mount.kind == "tmpfs",
        context.settings.ramdisk,
        owner,
        mode,
        min(free.free_percent, free.inode_free_percent),
        tuple(ages),
    )
    return judge_ramdisk(seen, context.settings.limits)


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and more room than the rest needs."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_TIME_ERROR, _UNSYNCHRONIZED = 5, 0x40


def kernel_clock() -> Clock:
    """Return the kernel's synchronization state, which adjtimex() with modes 0 only reads."""
    try:
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return Clock(None)
    if state < 0:
        return Clock(None)
    if state == _TIME_ERROR or timex.status & _UNSYNCHRONIZED:
        return Clock(False, None, "by the kernel")
    return Clock(True, timex.maxerror / 1000, "by the kernel")


def clock(context: Context) -> list[Finding]:
    """Check the clock by the kernel's state, then by systemd-timesyncd's."""
    seen = kernel_clock()
    if seen.synchronized is None and os.path.exists(context.path(CLOCK_SYNCHRONIZED)):
        seen = Clock(True, None, "by systemd-timesyncd")
    return judge_clock(seen, context.settings.limits)


# Greylist, and the services with a socket


def opened(lines: Sequence[str], now: float) -> tuple[int, str]:
    """Return how many clients passed lately though nothing could be remembered, and why the last one did."""
    number, because = 0, ""
    for line in lines:
        record = smtplog.parse(line)
        if not isinstance(record, smtplog.Greylisted) or record.decision != "open":
            continue
        if now - record.at / smtplog.NANOSECONDS <= OPEN_SECONDS:
            number, because = number + 1, record.text[:160]
    return number, because


def greylist(context: Context) -> list[Finding]:
    """Check the directory of the greylist, and what its program said of it."""
    if not context.settings.greylist:
        return [Finding("greylist", OK, "off: nobody is greylisted, as gateway_greylist is false")]
    path = context.path(GREYLIST_DIRECTORY)
    try:
        mode, owner = mode_and_owner(path)
        room = space(path, GREYLIST_DIRECTORY)
        passed = greylist_state.count(path)
    except OSError as error:
        return judge_greylist(
            Greylist(GREYLIST_DIRECTORY, str(error.strerror).lower()), context.settings.limits
        )
    expected = "smtpfront" if os.path.lexists(context.path(SMTPFRONT_SERVICE)) else "qmaild"
    log = log_tail(context.path(f"{SMTP_LOG}/current"))
    user = owner.partition(":")[0]
    seen = Greylist(GREYLIST_DIRECTORY, "", user, mode, room, passed, expected, *opened(log, context.now))
    return judge_greylist(seen, context.settings.limits)
