# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the supervised services: up, stable, and their logs."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.files import atomic_write
from ..core.paths import DOCTOR_STARTS, LOGS, SEND_LOG, SERVICES, SMTP_LOG, START_RECORDS
from ..core.times import rounded
from ..formats import supervise
from ..formats.tai64n import NANOSECONDS
from ..host import restarts
from ..host.run_script import start_records
from .context import Context, log_tail, without_stamp
from .findings import CRITICAL, OK, WARNING, Finding, Limit, graded, several

# A service that was started by a run of the playbook just before is given time to settle.
SETTLE_SECONDS = 6.0
QUICK_SETTLE_SECONDS = 2.0


# Services


@dataclass(frozen=True)
class Watched:
    """A service looked at once or twice, and its log; starts is how many were seen within the hour."""

    name: str
    first: supervise.Service
    last: supervise.Service
    log: supervise.Service | None
    starts: int = 1
    last_words: str = ""
    owed: str = ""  # why the service has to be started again
    log_owed: str = ""
    log_mode: int = 0o750  # of the directory of its log


def log_directory(name: str) -> str:
    """Return the directory of a service's log."""
    return {"qmail-smtpd": SMTP_LOG, "qmail-send": SEND_LOG}.get(name, f"{LOGS}/{name}")


def judge_service(
    seen: Watched, now_nanoseconds: int, settle_seconds: float, limits: Mapping[str, Limit]
) -> Finding:
    """Judge a service, which should be up and stay up with one process."""
    name = seen.name
    place = f"{SERVICES}/{name}"
    see = f"see the end of {log_directory(name)}/current"
    status, before = seen.last.status, seen.first.status
    words = f", its last log line: {seen.last_words}" if seen.last_words else ""

    def finding(level: int, text: str, advice: str) -> Finding:
        return Finding("services", level, f"{name} {text}", advice)

    if status is None:
        return finding(
            CRITICAL,
            f"is not supervised: {seen.last.trouble}",
            f"run the playbook again, or look whether svscan runs and {place} is there",
        )
    age = status.age_seconds(now_nanoseconds)
    if not status.pid:
        if status.want == "down":
            text = f"has been down for {rounded(age)}, as it was told"
            return finding(CRITICAL, text, f"start it: svc -u {place}")
        if before is not None and before.pid:
            return finding(CRITICAL, f"is flapping: it ended just now{words}", f"{see}; it starts and ends")
        return finding(CRITICAL, f"has been down for {rounded(age)}{words}", f"{see}, then svc -u {place}")
    if before is not None and before.pid != status.pid:
        return finding(CRITICAL, f"is flapping: its process has changed{words}", see)
    if status.paused:
        return finding(CRITICAL, "is paused", f"continue it: svc -c {place}")
    if status.want != "up":
        text = "was told to stop" if status.want == "down" else "runs once and will not start again"
        return finding(WARNING, text, f"keep it up: svc -u {place}")
    if seen.owed:
        deleted = seen.owed.endswith(" was replaced")
        text = f"runs {'a deleted program' if deleted else 'as it was before a change'}: {seen.owed}"
        return finding(CRITICAL, text, f"run the playbook again, or restart it now: svc -t {place}")
    level = graded("service_starts", seen.starts, limits)
    if level != OK:
        return finding(level, f"was seen to start {seen.starts} times within an hour{words}", see)
    if age < settle_seconds and not status.is_ahead(now_nanoseconds):
        return finding(WARNING, f"started {rounded(age)} ago", f"look again in some seconds; {see}")
    if not seen.last.normally_up:
        return finding(WARNING, "will not start at the next boot", f"remove {place}/down")
    if seen.log is not None and (seen.log.status is None or not seen.log.status.pid):
        return finding(
            CRITICAL,
            "has no running log service, and will block once its output is not read",
            f"svc -u {place}/log",
        )
    if seen.log_owed:
        text = f"has a log service that runs as it was before a change: {seen.log_owed}"
        return finding(CRITICAL, text, f"run the playbook again, or restart it now: svc -t {place}/log")
    if seen.log_mode & 0o007:
        text = f"has a log that every local user may read: {log_directory(name)} is {seen.log_mode:04o}"
        return finding(WARNING, text, f"chmod 0750 {log_directory(name)}")
    return finding(OK, f"up for {rounded(age)}", "")


def judge_services(found: Sequence[Finding], svscan_runs: bool) -> list[Finding]:
    """Join the findings of all services; without svscan no service is restarted."""
    findings = list(found)
    if not svscan_runs:
        advice = "systemctl start svscan; without it no service is restarted"
        findings.append(Finding("services", CRITICAL, "svscan does not run", advice))
    return several(findings, "services", f"svscan and {len(found)} services are up, their logs, too")


def remember_starts(
    kept: object, now: float, seen: Mapping[str, float], seconds: float = 3600.0
) -> dict[str, list[float]]:
    """Return each service's starts within the last hour: those recorded before and those seen now."""
    starts: dict[str, list[float]] = {}
    for name, start in seen.items():
        old = kept.get(name) if isinstance(kept, dict) else None
        times = [one for one in old if isinstance(one, (int, float))] if isinstance(old, list) else []
        starts[name] = sorted({float(one) for one in (*times, start) if now - seconds < one <= now + 60})
    return starts


def since_nanoseconds(found: supervise.Service) -> float | None:
    """Return when the process of a service started, in unix seconds; None when it does not run."""
    status = found.status
    return status.since_nanoseconds / NANOSECONDS if status is not None and status.pid else None


# Services


def unordered(context: Context, seen: Mapping[str, float]) -> dict[str, float]:
    """Return the starts that no run of a playbook and no change of packages ordered."""
    found = {}
    for name, start in seen.items():
        begin, end = restarts.ordered(start_records(START_RECORDS, name)[0], context.root)
        if not begin <= start <= end:
            found[name] = start
    return found


def _processes(context: Context) -> Iterator[str]:
    """Yield the names of the running programs."""
    for name in os.listdir(context.path("/proc")):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"{context.path('/proc')}/{name}/comm", "rb") as stream:
                yield stream.read().decode("utf-8", "replace").strip()


def _starts(context: Context, seen: Mapping[str, float]) -> dict[str, list[float]]:
    """Return the starts of the last hour seen by this command, now or before, and record them if possible."""
    path = context.path(DOCTOR_STARTS)
    kept: object = None
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        kept = json.load(stream)
    starts = remember_starts(kept, context.now, seen)
    if starts != kept:
        with contextlib.suppress(OSError), atomic_write(path, 0o644) as new:
            new.write(json.dumps(starts).encode())
    return starts


def _owed(context: Context, name: str) -> list[str]:
    """Return why the service, and then its log, has to be started again; "" for one that is up to date."""
    link = f"{SERVICES}/{name}"
    try:
        directory = os.path.join(SERVICES, os.readlink(context.path(link)))
    except OSError:
        directory = link
    found = []
    for number, record in enumerate(start_records(START_RECORDS, name)):
        place = f"{directory}/log" if number else directory
        why = restarts.look(place, record, root=context.root)
        found.append(why.reason if why is not None else "")
    return found


def _log_mode(context: Context, name: str) -> int:
    try:
        return stat.S_IMODE(os.stat(context.path(log_directory(name))).st_mode)
    except OSError:  # there is none, or it is closed to this caller, too
        return 0


def services(context: Context) -> list[Finding]:
    """Check each service by its supervise; those that have just started are looked at twice."""
    names = context.settings.services
    places = {name: context.path(f"{SERVICES}/{name}") for name in names}
    first = {name: supervise.look(place) for name, place in places.items()}
    ages = [one.status.age_seconds(time.time_ns()) for one in first.values() if one.status and one.status.pid]
    settle = QUICK_SETTLE_SECONDS if context.quick else SETTLE_SECONDS
    down = any(one.status is not None and not one.status.pid for one in first.values())
    wait = max([settle - min(ages, default=settle), 1.2 if down else 0.0])
    last = first
    if wait > 0:
        time.sleep(wait + 0.1)
        last = {name: supervise.look(place) for name, place in places.items()}
    began = {name: since_nanoseconds(one) for name, one in last.items()}
    seen_starts = {name: start for name, start in began.items() if start is not None}
    counted = unordered(context, seen_starts)
    starts = _starts(context, counted)
    found = []
    for name, place in places.items():
        log = f"{place}/log"
        log_lines = log_tail(context.path(f"{log_directory(name)}/current"), 4096)
        owed, log_owed = _owed(context, name)
        told = name in seen_starts and name not in counted  # another process is no flapping then
        seen = Watched(
            name,
            last[name] if told else first[name],
            last[name],
            supervise.look(log) if os.path.isdir(log) else None,
            len(starts.get(name, [])),
            repr(without_stamp(log_lines[-1])[:120]) if log_lines else "",
            owed,
            log_owed,
            _log_mode(context, name),
        )
        found.append(judge_service(seen, time.time_ns(), settle, context.settings.limits))
    return judge_services(found, "svscan" in _processes(context))
