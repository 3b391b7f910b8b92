# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listings of other gateways of the site, judged by this host's own exemptions and evidence."""

from __future__ import annotations

from ..core.errors import BadInput
from ..rules.fragments import ADAPTIVE_UNTIL_MAX, ADAPTIVE_WHY_CHARACTERS
from .model import ORDER_SECONDS_MAX, PEER
from .reputation import Reputation


def hear(reputation: Reputation, address: str, until: object, why: object, peer: object, now: int) -> str:
    """List an address that a peer listed; return why it is spared here, or ''. Raises BadInput."""
    if isinstance(until, bool) or not isinstance(until, int) or not 0 <= until <= ADAPTIVE_UNTIL_MAX:
        raise BadInput(f"until: {until!r:.80} is not a time; expected unix seconds")
    for name, text in (("peer", peer), ("why", why)):
        if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
            raise BadInput(f"{name}: {text!r:.80} is not plain; expected a text of printable ASCII")
    reason = reputation.never(address)
    settings = reputation.settings
    clean = reputation.ham(address, now)
    if not reason and settings.spare_ham and clean >= settings.spare_ham:
        reason = f"{clean} clean messages came from it"
    if reason:
        return reason
    until = min(until, now + ORDER_SECONDS_MAX)
    known = reputation.explain(address, now)
    if until > now and not (known["refused"] and known["until"] >= until):
        reputation.add(address, until, f"{peer}: {why}"[:ADAPTIVE_WHY_CHARACTERS], now, PEER)
    return ""
