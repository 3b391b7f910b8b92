# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that README.md says to paste."""

from __future__ import annotations

import re

from bed.common import ROOT

INSTALL = "In the checkout, and then"
RUN = "Run the last three outside"


def commands(begin: str) -> str:
    """Return the block of commands that follows the line of the README that begins so."""
    after = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n{begin}")[2].partition("\n\n")[2]
    block = re.match(r"(?:    .*\n)+", after)
    assert block is not None, begin
    return re.sub(r"(?m)^    ", "", block[0])
