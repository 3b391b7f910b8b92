# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`choose`: try which real sources this machine can get, print them, and write them for the inventory."""

from __future__ import annotations

import os

from .common import Trouble, write_atomically
from .sources import CHOICE, choose_cdb, choose_dcc, choose_large, choose_netqmail, choose_simscan
from .wheels import choose_qmailadmin


def command_choose() -> None:
    mode = os.environ.get("MAILGATE_STANDINS", "auto")
    if mode not in ("auto", "always", "never"):
        raise Trouble(f"MAILGATE_STANDINS: {mode!r} is not a choice; expected auto, always or never")
    source = os.environ.get("MAILGATE_SOURCE", "") not in ("", "0")
    head = "---\n# Written by tests/bed choose: what this machine can have. Not for a real host.\n"
    chosen = [choose_netqmail(mode), choose_simscan(mode), choose_cdb(mode), choose_dcc()]
    chosen += [choose_large(role, source) for role in ("clamav", "spamassassin")]
    chosen.append(choose_qmailadmin())
    write_atomically(CHOICE, head + "".join(chosen))
