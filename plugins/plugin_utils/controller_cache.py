# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the controller's cache of archives, builds and bundles is."""

from __future__ import annotations

import os

DEFAULT_CACHE = "~/.cache/mailgate"


def cache_path(given=None):
    """Return the path that is given, else that of MAILGATE_CACHE, else the default."""
    return os.path.abspath(os.path.expanduser(given or os.environ.get("MAILGATE_CACHE") or DEFAULT_CACHE))
