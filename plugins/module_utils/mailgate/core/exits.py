# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exit statuses of the commands, as daemontools and qmail use them: 100 permanent, 111 temporary."""

from __future__ import annotations

PERMANENT, TEMPORARY = 100, 111
