# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""control/rcpthosts: the domains that qmail-smtpd accepts mail for; qmail-smtpd(8)."""

from __future__ import annotations


def parse(text: str) -> list[str]:
    """Return the domains of the file, in order; one with a leading dot stands for all names below it."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
