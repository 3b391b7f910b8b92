# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a playbook on the gateway has printed."""

from __future__ import annotations

import re

RECAP = re.compile(r"^gateway\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0\b", re.MULTILINE)
_STEP = re.compile(r"^(?=RUNNING HANDLER |TASK |PLAY )", re.MULTILINE)
_SERVICE = re.compile(
    r"(?:RUNNING HANDLER|TASK) \[[^\]]*: (?:Restart|Run) ([a-z-]+)(?: behind [a-z]+)?\]",
)
_CHANGED = re.compile(r"^changed: \[", re.MULTILINE)


def restarted_services(text: str) -> set[str]:
    """Return the services that a handler, or a task where what follows needs the service, restarts."""
    return {
        found.group(1)
        for part in _STEP.split(text)
        if (found := _SERVICE.match(part)) and _CHANGED.search(part)
    }
