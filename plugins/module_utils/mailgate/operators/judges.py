# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scores that SpamAssassin gives to trusted and blocked senders."""

from __future__ import annotations

from .entries import BLOCKED, TRUSTED

NOTHING = "nothing changes for anybody at present"
SCORES = {TRUSTED: "never", BLOCKED: "always"}
