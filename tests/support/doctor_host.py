# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a directory, for the checks of the doctor: its files, and what the checks said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import Finding
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings

NOW = 1_795_000_000.0


def context(root: Path, **settings: Any) -> Context:
    return Context(Settings("mx.example", "postmaster@example", **settings), NOW, True, str(root))


def put(root: Path, path: str, text: str | bytes = "", at: float = NOW) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(place, (at, at))
    return place


def told(findings: list[Finding]) -> list[tuple[int, str]]:
    return [(one.status, one.text) for one in findings]
