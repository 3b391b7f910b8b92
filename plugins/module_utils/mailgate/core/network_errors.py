# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of connections, in words."""

from __future__ import annotations

import socket
import ssl


def cause(error: BaseException) -> str:
    """Return why a connection failed."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException) and not isinstance(error, ssl.SSLError):
        return cause(reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
