# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who runs a command, for what is kept of it."""

from __future__ import annotations

import os
import pwd


def caller() -> str:
    """Return the login of the person behind sudo, else of the session, else of the user."""
    name = os.environ.get("SUDO_USER") or os.environ.get("LOGNAME") or ""
    if name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
