# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings of the doctor, and the limits by which values are graded; each finding says what to do.

The functions here do not access the host. The states are those of monitoring plug-ins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
_RANK = {OK: 0, UNKNOWN: 1, WARNING: 2, CRITICAL: 3}

Limit = tuple[float, float]
# The values from which on a finding is a warning, and is critical
LIMITS: Mapping[str, Limit] = {
    "service_starts": (3, 8),
    "signature_age_hours": (48, 168),
    "signature_count": (1000, 0),
    "freshclam_age_hours": (24, 72),
    "rules_age_days": (14, 60),
    "job_late_periods": (2, 4),
    "dns_milliseconds": (1000, 4000),
    "queue_messages": (500, 5000),
    "queue_age_hours": (4, 48),
    "disk_free_percent": (15, 5),
    "inode_free_percent": (15, 5),
    "ramdisk_free_percent": (50, 20),
    "leftover_age_seconds": (600, 3600),
    "clock_error_milliseconds": (1000, 10_000),
    "proof_seconds": (15, 30),
    "certificate_days": (30, 7),
}
FALLING = frozenset(  # less is worse
    name for name in LIMITS if name.endswith(("_free_percent", "certificate_days", "signature_count"))
)


@dataclass(frozen=True)
class Finding:
    """A result of a check, and what a person should do about it ('' when it is OK)."""

    check: str
    status: int
    text: str
    advice: str = ""


def worst(statuses: Iterable[int]) -> int:
    """Return the worst state: CRITICAL before WARNING before UNKNOWN before OK, as plug-ins order them."""
    return max(statuses, key=_RANK.__getitem__, default=OK)


def graded(name: str, value: float, limits: Mapping[str, Limit]) -> int:
    """Return the state of a value, by the limit of this name."""
    warning, critical = limits[name]
    if name in FALLING:
        return CRITICAL if value <= critical else WARNING if value <= warning else OK
    return CRITICAL if value >= critical else WARNING if value >= warning else OK


def several(findings: Sequence[Finding], check: str, text: str) -> list[Finding]:
    """Return the findings that are not OK; without any, one OK finding with the text."""
    bad = [finding for finding in findings if finding.status != OK]
    return bad or [Finding(check, OK, text)]
