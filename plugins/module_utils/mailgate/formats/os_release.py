# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/os-release, which names the distribution and its release; os-release(5)."""

from __future__ import annotations

import re


def parse_os_release(text: str) -> dict[str, str]:
    """Return the variables of os-release(5), without quotes."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"([A-Z0-9_]+)=(.*)", line.strip()):
            value = match.group(2)
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[match.group(1)] = value
    return values
