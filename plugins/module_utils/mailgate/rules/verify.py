# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification that a compiled file has the same content as the rules."""

from __future__ import annotations

from ..core.errors import BadInput
from ..formats import cdb, tcprules
from ..formats.rule_keys import LENGTHS_KEY
from .compiled import Compiled


def verify_cdb(data: bytes, made: Compiled, name: str) -> None:
    """Raise BadInput unless a cdb, read independently of the writer, has exactly the rules' keys and data."""
    index, adaptive = made.rules.index, made.adaptive
    reader = cdb.Reader(data, name)
    # The reader has verified that a lookup of each key finds its first record, so these are all answers.
    found = dict(reversed(list(reader.items())))
    lengths = found.pop(LENGTHS_KEY.encode("ascii"), b"")
    decoded: dict[bytes | None, object] = {value: tcprules.decode(value) for value in set(found.values())}
    wrong = next(
        (
            key
            for key, rule in index.items()
            if decoded.get(found.pop(tcprules.to_bytes(key), None)) != rule[4:6]
        ),
        None,
    )
    if wrong is None:
        wrong = next((key for key in adaptive if found.pop(key.encode("ascii"), None) != b"D\0"), None)
    if wrong is None and lengths != bytes(made.ipv6_lengths):
        wrong = LENGTHS_KEY
    if wrong is None and found:
        wrong = tcprules.to_text(next(iter(found)))
    if wrong is not None:
        raise BadInput(
            f"cdb {name}: the key {wrong!r} does not hold its rule; expected the rules of {made.directory}"
        )
