# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: daemontools_service
short_description: A service under svscan and supervise
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Links a service definition into the directory that svscan watches, starts, stops, restarts or reloads it,
    and waits until the same process has lived for a while, its log's process as well.
  - Reads the status that supervise writes and sends commands to supervise itself; svc and svstat are not run.
  - Check mode also works on a host where svscan does not run or the service definition is still missing.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  idempotent:
    support: partial
    details: O(state=restarted) and O(state=reloaded) change the service each time.
options:
  name:
    description: The name of the service, which is the name of its link in O(service_directory).
    type: str
    required: true
  directory:
    description:
      - The service definition, the absolute path of the directory that holds C(run) and perhaps C(log/run).
      - Required unless O(state=absent).
    type: path
  service_directory:
    description: The directory that svscan watches.
    type: path
    default: /service
  state:
    description:
      - V(started) removes the C(down) file of the service; it runs now and after a boot.
      - V(stopped) makes the C(down) file; it is down now and after a boot. Its log goes on.
      - V(restarted) is V(started), and a process that ran is ended first (TERM), its log's process as well.
      - V(reloaded) is V(started), and a process that ran gets HUP, and has to stay.
      - V(absent) removes the link and ends supervise; the service definition is left as it is.
    type: str
    choices: [started, stopped, restarted, reloaded, absent]
    default: started
  enabled:
    description: Whether the link exists. Only a stopped service can be without.
    type: bool
    default: true
  log:
    description: With V(auto) the service in C(log) below O(directory) is watched as well, if it exists.
    type: str
    choices: [auto, none]
    default: auto
  log_directory:
    description: The directory that the service's multilog writes to; an error shows its last lines.
    type: path
  stable_seconds:
    description: How long the same process must have been running.
    type: float
    default: 3
  timeout_seconds:
    description: How long all the waiting may take, including the five seconds between two scans of svscan.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Run the SMTP service
  mailgate.qmail.daemontools_service:
    name: qmail-smtpd
    directory: /var/qmail/supervise/qmail-smtpd
    log_directory: /var/log/qmail/smtpd

- name: Remove the SMTP service
  mailgate.qmail.daemontools_service:
    name: qmail-smtpd
    state: absent
"""

RETURN = r"""
status:
  description: What svstat prints of the service after its name.
  returned: always
  type: str
  sample: up (pid 4711) 3 seconds
pid:
  description: The process id of the service, 0 when it is down.
  returned: always
  type: int
  sample: 4711
uptime_seconds:
  description: How long that process has lived, 0 when it is down.
  returned: always
  type: int
  sample: 3
"""

import os
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)

POLL_SECONDS = 0.1
LOG_LINES = 5


def read_link(path: str) -> str:
    """Return the target of the link; '' without one; raises BadInput for anything but a link."""
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadInput(f"service link {path}: there is something else; expected a link or nothing") from error


class Host:
    """Changes links, files and services on this host, and waits for the results until the deadline."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.deadline = time.monotonic() + given["timeout_seconds"]

    def wait(
        self, paths: list[str], reached: Callable[[str, supervise.Service], bool], expected: str
    ) -> None:
        """Wait until the condition holds for every path; raises MailgateError for the first that fails."""
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
                limit = f"{self.given['timeout_seconds']:g} seconds"
                raise self.error(missing, supervise.look(missing), f"{expected} within {limit}")
            time.sleep(POLL_SECONDS)

    def error(self, path: str, service: supervise.Service, expected: str) -> MailgateError:
        state = supervise.text(service, time.time_ns())
        text = f"service {self.given['name']} in {path}: {state}; expected {expected}"
        return MailgateError("\n".join([text, *last_lines(self.given["log_directory"])]))

    def retire(self, directory: str) -> None:
        """End the service, then its log, then both supervise processes; svscan no longer sees them."""
        for path in (directory, os.path.join(directory, "log")):
            if supervise.look(path).status is not None:
                supervise.tell(path, b"dx")
                self.wait([path], lambda _path, service: service.status is None, "supervise to end")

    def link(self, link: str, target: str, directory: str) -> None:
        if target and not (os.path.exists(link) and os.path.samefile(link, directory)):
            os.unlink(link)
            self.retire(os.path.join(os.path.dirname(link), target))
        # svscan ignores names that begin with a dot.
        temporary = os.path.join(os.path.dirname(link), f".{os.path.basename(link)}.{os.getpid()}")
        os.symlink(directory, temporary)
        os.rename(temporary, link)

    def order(self, watched: list[str], state: str) -> None:
        """Send supervise the necessary commands and wait for their effect."""
        expected = "svscan to start supervise (a log directory is only seen when the link is new)"
        self.wait(watched, lambda _path, service: service.status is not None, expected)
        settling: dict[str, supervise.Settling] = {}
        for path, wish in zip(watched, (state, "restarted" if state == "restarted" else "started")):
            service = supervise.look(path)
            orders = supervise.orders(service, wish)
            status = service.status
            ends = status is not None and status.pid and (b"t" in orders or status.want == "down")
            settling[path] = supervise.Settling(
                self.given["stable_seconds"],
                old_pid=status.pid if status and ends else 0,
                since_nanoseconds=time.time_ns() if b"h" in orders else 0,
                pid=status.pid if status and b"h" in orders else 0,
            )
            if orders:
                supervise.tell(path, orders)
        if state == "stopped":
            self.wait(watched[:1], lambda _path, service: supervise.words(service) == "down", "down")
            watched = watched[1:]
        stable = f"up with the same pid for {self.given['stable_seconds']:g} seconds"
        told = [str(settling[path].old_pid) for path in watched if settling[path].old_pid]
        if told:
            stable = f"pid {' and '.join(told)} to end, then {stable}"
        self.wait(watched, lambda path, service: settling[path].settled(service, time.time_ns()), stable)


def last_lines(log_directory: str | None) -> list[str]:
    """Return the last lines of multilog's current file, printable and with readable times."""
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


def change(given: dict[str, Any], link: str, target: str, directory: str, watched: list[str]) -> None:
    """Change link and service to the wanted state; raises MailgateError or OSError when that fails."""
    host = Host(given)
    down = os.path.join(directory, "down")
    if given["state"] != "absent" and not os.access(os.path.join(directory, "run"), os.X_OK):
        raise BadInput(f"service {given['name']}: {directory!r} has no run program; expected 'run' in it")
    if given["state"] == "stopped":
        os.close(os.open(down, os.O_WRONLY | os.O_CREAT, 0o644))
    elif given["state"] != "absent" and os.path.lexists(down):
        os.unlink(down)
    if given["state"] == "absent" or not given["enabled"]:
        if target:
            os.unlink(link)
        host.retire(directory)
        return
    if not os.path.isdir(given["service_directory"]):
        scanned = given["service_directory"]
        raise BadInput(f"service {given['name']}: {scanned!r} is not a directory; expected that of svscan")
    if target != directory:
        host.link(link, target, directory)
    host.order(watched, given["state"])


def refuse_bad_input(given: dict[str, Any]) -> None:
    """Raise BadInput for contradictory or invalid arguments, before anything is read."""
    thing = f"service {given['name']!r}"
    if "/" in given["name"] or given["name"].startswith(".") or not given["name"]:
        raise BadInput(f"{thing}: the name is not one that svscan looks at; expected no '/' and no '.' first")
    if given["directory"] and not os.path.isabs(given["directory"]):
        raise BadInput(f"{thing}: directory {given['directory']!r} is not absolute; expected a path from '/'")
    if not given["enabled"] and given["state"] not in ("stopped", "absent"):
        raise BadInput(f"{thing}: state {given['state']!r} without a link cannot be; expected enabled: true")
    if not 0 <= given["stable_seconds"] < given["timeout_seconds"]:
        raise BadInput(
            f"{thing}: stable_seconds {given['stable_seconds']:g} cannot be reached; "
            f"expected less than timeout_seconds, which is {given['timeout_seconds']:g}"
        )


def main() -> None:
    present = ("started", "stopped", "restarted", "reloaded")
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "directory": {"type": "path"},
            "service_directory": {"type": "path", "default": "/service"},
            "state": {"type": "str", "choices": [*present, "absent"], "default": "started"},
            "enabled": {"type": "bool", "default": True},
            "log": {"type": "str", "choices": ["auto", "none"], "default": "auto"},
            "log_directory": {"type": "path"},
            "stable_seconds": {"type": "float", "default": 3},
            "timeout_seconds": {"type": "float", "default": 30},
        },
        required_if=[("state", state, ("directory",)) for state in present],
        supports_check_mode=True,
    )
    given = module.params
    link = os.path.join(given["service_directory"], given["name"])
    try:
        refuse_bad_input(given)
        target = read_link(link)
        directory = os.path.join(given["service_directory"], target)
        if given["directory"] and not (given["state"] == "absent" and target):
            directory = given["directory"]
        log = os.path.join(directory, "log")
        watched = [directory, log] if given["log"] == "auto" and os.path.isdir(log) else [directory]
        rows = supervise.predict(
            given["state"],
            target,
            directory if given["enabled"] and given["state"] != "absent" else "",
            os.path.lexists(os.path.join(directory, "down")),
            [supervise.look(path) for path in watched],
        )
        changed = any(row.before != row.after for row in rows)
        if not module.check_mode:
            change(given, link, target, directory, watched)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error))
    service, now = supervise.look(directory), time.time_ns()
    status = service.status
    pid = status.pid if status else 0
    module.exit_json(
        changed=changed,
        diff=[
            {
                "before_header": link,
                "after_header": link,
                "before": "".join(f"{row.thing}: {row.before}\n" for row in rows),
                "after": "".join(f"{row.thing}: {row.after}\n" for row in rows),
            }
        ]
        if changed
        else [],
        status=supervise.text(service, now),
        pid=pid,
        uptime_seconds=int(status.age_seconds(now)) if status and pid else 0,
    )


if __name__ == "__main__":
    main()
