# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""supervise: read a service's status, print it as svstat does, and choose control bytes.

The rules are those of daemontools 0.76, supervise.c and svstat.c.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import BadInput, MailgateError
from . import tai64n
from .start_record import Owed

STATUS_BYTES = 18

_WANTS = {b"u": "up", b"d": "down", b"\0": ""}
# djb's error_str.c has words of its own; svstat prints them.
_ERROR_TEXTS = {
    errno.ENOENT: "file does not exist",
    errno.EACCES: "access denied",
    errno.ENOTDIR: "not a directory",
}


class BadStatus(BadInput):
    """The status file was not written by supervise of daemontools."""


class Flapping(MailgateError):
    """A process ended although it should stay up."""


@dataclass(frozen=True)
class Status:
    """The content of supervise/status: time of the last change, process, and what supervise was told."""

    since_nanoseconds: int  # unix time of the last start or end of the process
    pid: int  # 0: down
    paused: bool
    want: str  # "up", "down", or "" after svc -o: it runs once

    def age_seconds(self, now_nanoseconds: int) -> float:
        """Return how long the process has been up, or down; 0 when the clock was set back."""
        return max(0, now_nanoseconds - self.since_nanoseconds) / tai64n.NANOSECONDS

    def is_ahead(self, now_nanoseconds: int) -> bool:
        """Return whether the clock was set back since the last change, so that the age is not known."""
        return self.since_nanoseconds > now_nanoseconds


@dataclass(frozen=True)
class Service:
    """A service as seen from outside; without a status, trouble is svstat's text for the reason."""

    normally_up: bool
    status: Status | None
    trouble: str = ""


def parse(status: bytes) -> Status:
    """Parse the 18 bytes of supervise/status; raises BadStatus.

    12 bytes TAI64N, 4 bytes process id (little endian), 1 byte paused, 1 byte 'u', 'd' or NUL.
    """
    if len(status) != STATUS_BYTES:
        raise BadStatus(f"supervise/status: {status!r} has {len(status)} bytes; expected {STATUS_BYTES}")
    want = _WANTS.get(status[17:])
    if want is None:
        raise BadStatus(f"supervise/status: {status!r} ends with {status[17:]!r}; expected 'u', 'd' or NUL")
    try:
        since = tai64n.unpack(status[: tai64n.PACKED_BYTES])
    except tai64n.BadLabel as error:
        raise BadStatus(f"supervise/status: {status!r} has no time; expected a TAI64N label first") from error
    return Status(since, int.from_bytes(status[12:16], "little"), status[16] != 0, want)


def text(service: Service, now_nanoseconds: int) -> str:
    """Return svstat's text for the service, such as 'up (pid 12) 5 seconds, normally down'."""
    status = service.status
    if status is None:
        return service.trouble
    # svstat subtracts whole seconds.
    seconds = max(0, now_nanoseconds // tai64n.NANOSECONDS - status.since_nanoseconds // tai64n.NANOSECONDS)
    if status.pid:
        marks = [
            (not service.normally_up, ", normally down"),
            (status.paused, ", paused"),
            (status.want == "down", ", want down"),
        ]
        return f"up (pid {status.pid}) {seconds} seconds" + "".join(mark for true, mark in marks if true)
    marks = [(service.normally_up, ", normally up"), (status.want == "up", ", want up")]
    return f"down {seconds} seconds" + "".join(mark for true, mark in marks if true)


def words(service: Service) -> str:
    """Return the state without numbers, for a diff, such as 'up', 'not supervised' or 'up, paused'."""
    status = service.status
    if status is None:
        return "not supervised"
    if not status.pid:
        return "down, want up" if status.want == "up" else "down"
    wants = {"up": "", "down": ", want down", "": ", once"}
    return "up" + (", paused" if status.paused else "") + wants[status.want]


def orders(service: Service, state: str) -> bytes:
    """Return the bytes for supervise/control that lead to the state; empty when none are needed.

    state is started, stopped, restarted or reloaded. A service that is down is only started by the last two.
    Empty also when supervise does not run.
    """
    status = service.status
    if status is None:
        return b""
    if state == "stopped":
        return b"d" if status.pid or status.want == "up" else b""
    if not status.pid:
        return b"u"
    wake = (b"c" if status.paused else b"") + (b"u" if status.want != "up" else b"")
    return wake + {"started": b"", "restarted": b"t", "reloaded": b"h"}[state]


@dataclass(frozen=True)
class Row:
    """One line of a diff: the thing, and its state before and after."""

    thing: str
    before: str
    after: str

    @property
    def starts(self) -> bool:
        """Whether a process of this service is started."""
        return self.after == "up, restarted" or (self.after == "up" and not self.before.startswith("up"))


def wishes(state: str, owed: Sequence[Owed | None]) -> list[str]:
    """Return the orders for each service, the service itself and then its log.

    owed is why each of them has to be started again, None for one that has what is there.
    """
    told = []
    for number, why in enumerate(owed):
        wish = "started" if number and state != "restarted" else state
        if why is not None and (wish == "started" or (wish == "reloaded" and not why.reload_does)):
            wish = "restarted"
        told.append(wish)
    return told


def predict(
    state: str,
    link: str,
    wanted_link: str,
    boots_down: bool,
    services: Sequence[Service],
    owed: Sequence[Owed | None] = (),
) -> list[Row]:
    """Return the states before and after, without numbers, so that check mode and the run report the same.

    state is as for orders(), or absent; link and wanted_link are targets of the link, empty when it is
    absent; boots_down is whether there is a file named down; services are the service and, if it has one, its
    log; owed as for wishes().
    """
    rows = [Row("link", link or "absent", wanted_link or "absent")]
    if state != "absent":
        rows.append(Row("at boot", "down" if boots_down else "up", "down" if state == "stopped" else "up"))
    reasons = [*owed, None, None][: len(services)]
    for thing, service, why, wish in zip(("service", "log"), services, reasons, wishes(state, reasons)):
        now = before = words(service)
        if not wanted_link:
            after = "not supervised"
        elif state == "stopped" and thing == "service":
            after = "down"
        elif wish == "restarted" and now.startswith("up"):
            after = "up, restarted"
            before = f"{now}; {why.reason}" if why is not None else now
        elif wish == "reloaded" and now.startswith("up"):
            after = "up, told to reload"
        else:
            after = "up"
        rows.append(Row(thing, before, after))
    return rows


@dataclass
class Settling:
    """Judge successive looks at a service that should come up and stay up with one process."""

    stable_seconds: float
    old_pid: int = 0  # a process that was told to end and does not count
    reloads: bool = False  # what the process lived before the first look does not count
    pid: int = 0
    seen_seconds: float | None = None  # when the process was first seen, monotonic

    def ended(self, service: Service) -> bool:
        """Return whether the process that was told to end, if any, has ended."""
        return not self.old_pid or service.status is None or service.status.pid != self.old_pid

    def settled(self, service: Service, now_nanoseconds: int, monotonic_seconds: float) -> bool:
        """Return whether one process has been up long enough; raise Flapping when another one replaced it.

        The clock may be set back while a process lives, so what was seen of its life counts as well.
        """
        status = service.status
        if status is None or not status.pid or status.pid == self.old_pid:
            return False
        if self.pid and status.pid != self.pid:
            raise Flapping(f"the process ended, its pid changed from {self.pid} to {status.pid}")
        self.pid = status.pid
        if self.seen_seconds is None:
            self.seen_seconds = monotonic_seconds
        watched = monotonic_seconds - self.seen_seconds
        lived = watched if self.reloads else max(status.age_seconds(now_nanoseconds), watched)
        return not status.paused and status.want == "up" and lived >= self.stable_seconds


# The functions below touch the disk.


def _trouble(doing: str, error: OSError) -> str:
    return f"unable to {doing}: {_ERROR_TEXTS.get(error.errno or 0, os.strerror(error.errno or 0).lower())}"


def look(directory: str) -> Service:
    """Return the service in the directory as it is now; raises BadStatus for a foreign status file."""
    try:
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        return Service(False, None, _trouble("chdir", error))
    try:
        os.stat(os.path.join(directory, "down"))
        normally_up = False
    except FileNotFoundError:
        normally_up = True
    try:
        # Only a running supervise has the fifo open for reading.
        os.close(os.open(os.path.join(directory, "supervise/ok"), os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return Service(normally_up, None, "supervise not running")
        return Service(normally_up, None, _trouble("open supervise/ok", error))
    try:
        with open(os.path.join(directory, "supervise/status"), "rb") as stream:
            return Service(normally_up, parse(stream.read(STATUS_BYTES + 1)))
    except OSError as error:
        return Service(normally_up, None, _trouble("open supervise/status", error))


def tell(directory: str, control: bytes) -> None:
    """Write the bytes to supervise's control pipe (see supervise(8)); raises MailgateError if it is down."""
    try:
        descriptor = os.open(os.path.join(directory, "supervise/control"), os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise MailgateError(
            f"service {directory}: {control!r} cannot be sent, {os.strerror(error.errno or 0).lower()}; "
            "expected a running supervise"
        ) from error
    try:
        os.write(descriptor, control)
    finally:
        os.close(descriptor)
