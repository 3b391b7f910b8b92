# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a run goes on to the next gateway, by what the doctor said before and says now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..core.errors import BadInput

OK, WARNING, CRITICAL = 0, 1, 2  # as of monitoring plug-ins; doctor/findings.py
PROOFS = {"virus": "EICAR", "spam": "GTUBE", "clean": "a clean message"}


def faults(before: str, after: Sequence[str]) -> list[str]:
    """Return why the run ends here, one text each; [] when it may go on.

    before is the doctor's answer as JSON, '' for a host that was not a gateway; after are its answers now.
    Raises BadInput for what is not such an answer.
    """
    then = _critical(_findings(before) if before else [])
    now = [one for answer in after for one in _findings(answer)]
    critical = _critical(now)
    # Texts have times and numbers, so of one check the findings are counted.
    worse = Counter(check for check, _text in critical) - Counter(check for check, _text in then)
    found = [
        f"critical, and was not before: {check}: {text}"
        for check, text in critical
        if check in worse and (check, text) not in then
    ]
    for check, name in PROOFS.items():
        of_it = [one for one in now if one["check"] == check]
        wrong = [str(one["text"]) for one in of_it if one["status"] not in (OK, WARNING)]
        if wrong or not of_it:
            found.append(f"{name} is not proven: {'; '.join(wrong) or 'the doctor was not asked'}")
    return found


def _critical(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (one["check"], one["text"])
        for one in found
        if one["status"] == CRITICAL and one["check"] not in PROOFS
    ]


def _findings(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)["findings"]
        return [
            {"check": str(one["check"]), "status": int(one["status"]), "text": str(one["text"])}
            for one in found
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"doctor: {text[:80]!r} is not its answer; expected that of mailgate doctor --json"
        ) from error
