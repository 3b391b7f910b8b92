# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a playbook on the gateway has printed."""

from __future__ import annotations

import re

RECAP = re.compile(r"^gateway\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0\b", re.MULTILINE)
_SERVICE = re.compile(
    r"^\+\+\+ after: /service/([a-z-]+)\n(?:(?!--- before|changed: |\+service: ).*\n)*"
    r"\+service: up(?!, told to reload)",
    re.MULTILINE,
)


def restarted_services(text: str) -> set[str]:
    """Return the services that a run with --diff starts or restarts."""
    return set(_SERVICE.findall(text))
