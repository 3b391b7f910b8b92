# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of connections in words."""

from __future__ import annotations

import socket
import ssl
import urllib.error

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.network_errors import cause


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "x"), "the name does not resolve"),
        (urllib.error.URLError(socket.gaierror(-2, "x")), "the name does not resolve"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError("x"), "no answer in time"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS failed: "),
        (ValueError("unknown url type"), "unknown url type"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_errors_in_words(error: BaseException, words: str) -> None:
    assert cause(error).startswith(words)
