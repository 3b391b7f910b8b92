# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore leaves of the host, as it is newer or better than what is in the archive."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Sequence
from datetime import datetime
from typing import IO

from ..core import paths
from ..core.errors import MailgateError
from . import certificates

AUDIT = f"{paths.OPERATOR_DIRECTORY}/audit.jsonl"
RECIPIENTS_STATE = f"{paths.RECIPIENTS_DIRECTORY}/state.json"
RECIPIENTS_SERVED = f"{paths.RECIPIENTS_DIRECTORY}/validrcptto.cdb"
CERTIFICATES_CURRENT = f"{paths.CERTIFICATES_DIRECTORY}/{certificates.CURRENT}"
_BLOCK_BYTES = 1 << 20


def put_audit_log(restored: str, path: str, now: float) -> str:
    """Put a restored audit log in the place of the host's, of which no line is lost; return a notice or ''.

    One of the two mostly continues the other, and then that one stays. Otherwise the host's is kept beside
    it: the numbers of its acts may stand for other acts in the archive.
    """
    if os.path.lexists(path):
        if _begins_with(path, restored):
            os.unlink(restored)
            return ""
        if not _begins_with(restored, path):
            beside = _link_beside(path, now)
            os.rename(restored, path)
            return f"audit log: what was done on this host is in {beside}"
    os.rename(restored, path)
    return ""


def _begins_with(path: str, other: str) -> bool:
    with open(path, "rb") as whole, open(other, "rb") as beginning:
        while block := beginning.read(_BLOCK_BYTES):
            if whole.read(len(block)) != block:
                return False
    return True


def _link_beside(path: str, now: float) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    for number in itertools.count(1):
        beside = f"{path}.{stamp}" + (f"-{number}" if number > 1 else "")
        with contextlib.suppress(FileExistsError):
            os.link(path, beside)
            return beside
    raise AssertionError("a count ended")


def without_hold(stream: IO[bytes]) -> bytes:
    """Return the state of the recipients' list without the hold of a person who did not mean this host."""
    content = stream.read()
    try:
        state = json.loads(content)
    except ValueError:
        return content  # damaged: it is read as an empty one
    if not isinstance(state, dict) or not state.get("held"):
        return content
    return json.dumps({**state, "held": ""}).encode()


def keep_certificates(directory: str, target: str, now: datetime) -> bool:
    """Return whether the host's certificates are better than the restored ones, which target leads to.

    Valid ones are better than others, those of an authority than self-signed ones, and of two that an
    authority signed the ones that end later. Of self-signed ones the archive's are known to the peers.
    """
    try:
        here = certificates.installed(directory)
    except (MailgateError, OSError):
        return False
    restored = os.path.join(directory, target)
    return bool(here) and _rank(here, now) > _rank(_pairs(restored), now)


def _pairs(place: str) -> list[certificates.Pair]:
    try:
        return certificates.pairs_in(place)
    except (MailgateError, OSError):
        return []


def _rank(pairs: Sequence[certificates.Pair], now: datetime) -> tuple[bool, bool, float]:
    places = [(f"certificate {number}", f"key {number}") for number in range(1, len(pairs) + 1)]
    try:
        found = certificates.check_pairs(pairs, places, now)
    except MailgateError:
        return False, False, 0.0
    signed = not any(one.is_self_signed for one in found)
    return True, signed, min(one.not_after for one in found).timestamp() if signed else 0.0
