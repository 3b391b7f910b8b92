# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated, commented copy of the rules, /etc/tcp.smtp, and the detection of edits by hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ..formats import cdb, tcprules
from ..formats.tcprules import Rules
from .compiled import Compiled
from .fragments import ADAPTIVE, OPERATOR, AdaptiveEntry

_HEAD_LINES = 3
_SUM = "# sha256 of everything below this line: "


# The readable copy


def copied_fragment(part: Rules) -> list[str]:
    if not part.lines:
        return []
    lines = [f"\n# {part.name}\n", *part.lines]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def readable_copy(rules: Rules, listed: Mapping[str, AdaptiveEntry], directory: str) -> str:
    body = tcprules.render(rules)
    if listed:
        body += f"\n# {directory}/{ADAPTIVE}\n" + "".join(
            f"# until {one.until} why {one.why}\n{one.rule_address}:deny\n" for one in listed.values()
        )
    return (
        f"# Made from the fragments in {directory} by 'mailgate rules compile': changes here are lost.\n"
        f"# Rules of your own belong into {directory}/{OPERATOR}; 'qmailctl cdb' puts them into force.\n"
        f"{_SUM}{_digest(body)}\n{body}"
    )


def parse_copy(copy: str, name: str) -> tuple[Rules, tuple[str, ...]]:
    """Parse a readable copy: its rules without the adaptive ones, and the keys that those deny.

    Raises BadInput for any other text.
    """
    found = re.search(rf"\n# [^\n]*/{ADAPTIVE}\n(?=# until )", copy)
    if found is None:
        return tcprules.parse(copy, name), ()
    addresses = re.findall(r"^([0-9.]+|\[[0-9a-f:.]+\]/[0-9]+):deny$", copy[found.end() :], re.MULTILINE)
    keys = tuple(tcprules.address_keys(one)[0] if one[0] == "[" else one for one in addresses)
    return tcprules.parse(copy[: found.start()], name), keys


def is_made_of(copy: str, compiled: bytes, made: Compiled) -> bool:
    """Return whether copy and compiled file agree, and differ from made at most in adaptive entries.

    Adaptive entries change by themselves, so a change of them alone needs no report.
    """
    if edited_by_hand(copy):
        return False
    rules, listed = parse_copy(copy, "copy")
    same = "".join(rules.lines[_HEAD_LINES:]) == tcprules.render(made.rules)
    return same and cdb.build(tcprules.compile_records(rules, listed)) == compiled


def edited_by_hand(copy: str) -> bool:
    """Return whether a text is not a copy of this package's: its head has the checksum of the rest."""
    head, found, rest = copy.partition(_SUM)
    digest, newline, body = rest.partition("\n")
    return not (found and newline and digest == _digest(body) and _is_head(head))


def _is_head(head: str) -> bool:
    return (
        re.fullmatch(r"# Made from the fragments in [^\n]*\n# Rules of your own belong into [^\n]*\n", head)
        is not None
    )


def _digest(body: str) -> str:
    return hashlib.sha256(tcprules.to_bytes(body)).hexdigest()
