# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sockets of the machine's own, whose other side the kernel vouches for."""

from __future__ import annotations

import contextlib
import os
import socket
import struct


def listen(path: str, backlog: int) -> socket.socket:
    """A listening stream socket that only its owner can reach; one that an earlier service left makes way."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(old)
    listener.listen(backlog)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """The user on the other side of a unix socket."""
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])
