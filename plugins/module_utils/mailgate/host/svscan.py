# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Link services for svscan, send orders to supervise, and wait for the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..core.errors import BadInput, MailgateError
from ..formats import supervise, tai64n

POLL_SECONDS = 0.1
LOG_LINES = 5


def read_link(path: str) -> str:
    """Return the target of the link; "" when there is none; raises BadInput when something else is there."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadInput(f"service link {path}: there is something else; expected a link or nothing") from error


def last_lines(log_directory: str) -> list[str]:
    """Return the last lines of multilog's current file, printable and with times that a person can read."""
    if not log_directory:
        return []
    path = os.path.join(log_directory, "current")
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 65536))
            lines = stream.read().decode("ascii", "backslashreplace").splitlines()[-LOG_LINES:]
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
    printable = ("".join(c if c.isprintable() else "?" for c in line) for line in lines)
    return [f"the last lines of {path}:", *(tai64n.readable(line) for line in printable)]


@dataclass
class Steward:
    """Change one service and wait for the result; raises MailgateError, OSError.

    All of it may take timeout_seconds. An error shows the last lines of the log in log_directory, if any.
    """

    name: str
    log_directory: str
    stable_seconds: float
    timeout_seconds: float
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.timeout_seconds

    def wait(
        self, paths: Sequence[str], reached: Callable[[str, supervise.Service], bool], expected: str
    ) -> None:
        """Wait until the condition holds for every path; the error shows the first one that is missing."""
        while True:
            missing = ""
            for path in paths:
                service = supervise.look(path)
                try:
                    ready = reached(path, service)
                except supervise.Flapping as error:
                    raise self.error(path, service, f"{expected}; {error}") from error
                if not ready:
                    missing = missing or path
            if not missing:
                return
            if time.monotonic() >= self.deadline:
                limit = f"{self.timeout_seconds:g} seconds"
                raise self.error(missing, supervise.look(missing), f"{expected} within {limit}")
            time.sleep(POLL_SECONDS)

    def error(self, path: str, service: supervise.Service, expected: str) -> MailgateError:
        """Return an error that says how the service is and what was expected."""
        state = supervise.text(service, time.time_ns())
        text = f"service {self.name} in {path}: {state}; expected {expected}"
        return MailgateError("\n".join([text, *last_lines(self.log_directory)]))

    def retire(self, directory: str) -> None:
        """End the service, then its log, then both supervise; svscan no longer sees them."""
        for path in (directory, os.path.join(directory, "log")):
            if supervise.look(path).status is not None:
                supervise.tell(path, b"dx")
                self.wait([path], lambda _path, service: service.status is None, "supervise to end")

    def link(self, link: str, target: str, directory: str) -> None:
        """Let the link lead to the directory; another service that it led to is ended first."""
        if target and not (os.path.exists(link) and os.path.samefile(link, directory)):
            os.unlink(link)
            self.retire(os.path.join(os.path.dirname(link), target))
        # svscan ignores names that begin with a dot.
        temporary = os.path.join(os.path.dirname(link), f".{os.path.basename(link)}.{os.getpid()}")
        os.symlink(directory, temporary)
        os.rename(temporary, link)

    def order(self, watched: Sequence[str], wishes: Sequence[str], wait: bool = True) -> None:
        """Tell supervise of the service, and of its log, what is missing; wait until it is so.

        Without wait it is only waited for what is to end, so that who asks the service next is not answered
        by the process before.
        """
        expected = "svscan to start supervise (a log directory is only seen when the link is new)"
        self.wait(watched, lambda _path, service: service.status is not None, expected)
        settling: dict[str, supervise.Settling] = {}
        for path, wish in zip(watched, wishes):
            service = supervise.look(path)
            orders = supervise.orders(service, wish)
            status = service.status
            ends = status is not None and status.pid and (b"t" in orders or status.want == "down")
            settling[path] = supervise.Settling(
                self.stable_seconds,
                old_pid=status.pid if status and ends else 0,
                reloads=b"h" in orders,
                pid=status.pid if status and b"h" in orders else 0,
            )
            if orders:
                supervise.tell(path, orders)
        if wait and wishes[0] == "stopped":
            self.wait(watched[:1], lambda _path, service: supervise.words(service) == "down", "down")
            watched = watched[1:]
        told = [str(settling[path].old_pid) for path in watched if settling[path].old_pid]
        if not wait:
            ending = f"pid {' and '.join(told)} to end"
            self.wait(watched, lambda path, service: settling[path].ended(service), ending)
            return
        stable = f"up with the same pid for {self.stable_seconds:g} seconds"
        if told:
            stable = f"pid {' and '.join(told)} to end, then {stable}"

        def settled(path: str, service: supervise.Service) -> bool:
            return settling[path].settled(service, time.time_ns(), time.monotonic())

        self.wait(watched, settled, stable)
