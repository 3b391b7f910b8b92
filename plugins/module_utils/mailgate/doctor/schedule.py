# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the scheduled jobs: the time since each last success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.files import read_regular
from ..core.times import rounded
from ..host import scheduler as every
from .context import Context
from .findings import WARNING, Finding, Limit, graded, several
from .services import log_directory

_STATE_BYTES_MAX = 1 << 20

# Scheduled jobs


@dataclass(frozen=True)
class Run:
    """The last runs of a job, from the state file of `mailgate every`; trouble is why it cannot be read."""

    name: str
    period_seconds: float
    last_success: float | None = None
    finished: float | None = None
    status: int | None = None
    trouble: str = ""


def judge_job(seen: Run, now: float, limits: Mapping[str, Limit]) -> Finding:
    """Judge the time since a job's last success, by the job's own period."""
    advice = f"see the end of {log_directory(seen.name)}/current, and run it now: svc -a /service/{seen.name}"
    if seen.trouble:
        return Finding("jobs", WARNING, f"{seen.name}: {seen.trouble}", advice)
    failed = seen.status not in (None, 0) and seen.finished is not None
    how = f", its last run ended with status {seen.status}" if failed else ""
    if seen.last_success is None:
        return Finding("jobs", WARNING, f"{seen.name} has never succeeded{how}", advice)
    age = now - seen.last_success
    level = graded("job_late_periods", age / seen.period_seconds, limits)
    text = f"{seen.name} succeeded {rounded(age)} ago, expected every {rounded(seen.period_seconds)}{how}"
    return Finding("jobs", level, text, advice if level else "")


def judge_jobs(found: Sequence[Finding]) -> list[Finding]:
    """Join the findings of all jobs."""
    names = ", ".join(one.text.split(" ", 1)[0] for one in found)
    return several(found, "jobs", f"{names} succeeded in time" if found else "none is configured")


def jobs(context: Context) -> list[Finding]:
    """Check the state file of each job."""
    found = []
    for one in context.settings.jobs:
        run = Run(one.name, one.period_seconds)
        try:
            text = read_regular(context.path(one.state), _STATE_BYTES_MAX).decode("utf-8", "replace")
            state = every.parse_state(text)
            if state == every.State():
                run = Run(one.name, one.period_seconds, trouble=f"{one.state} is damaged")
            else:
                run = Run(one.name, one.period_seconds, state.last_success, state.finished, state.status)
        except OSError as error:
            trouble = "has never run" if isinstance(error, FileNotFoundError) else f"{error.strerror}"
            run = Run(one.name, one.period_seconds, trouble=f"{one.state}: {trouble}")
        except BadInput as error:
            run = Run(one.name, one.period_seconds, trouble=str(error))
        found.append(judge_job(run, context.now, context.settings.limits))
    return judge_jobs(found)
