# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtptls as a test plays it: it offers TLS, and answers when, and as, the test says."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path


class PlayedSmtpTls:
    """Has smtptls's socket and offer below a directory; a test takes sessions one by one."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        place.chmod(0o755)
        self.socket = place / "socket"
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(str(self.socket))
        self.socket.chmod(0o666)
        self._listening.listen(10)
        self._listening.settimeout(20)
        self._offer = os.open(f"{self.socket}.offer", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.fcntl(self._offer, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        os.write(self._offer, b"1")

    def take(self) -> PlayedSession:
        """Return the next session that is asked for, unanswered."""
        control, _address = self._listening.accept()
        control.settimeout(20)
        said, fds, _flags, _from = socket.recv_fds(control, 300, 1)
        assert (said, len(fds)) == (b"B", 1)
        return PlayedSession(control, socket.socket(fileno=fds[0]))

    def deaf(self) -> None:
        """Take no connection any more, while TLS is still offered."""
        self._listening.close()

    def stop(self) -> None:
        self._listening.close()
        os.close(self._offer)


class PlayedSession:
    def __init__(self, control: socket.socket, client: socket.socket) -> None:
        self.control, self.client = control, client
        self.client.settimeout(20)
        self.plain, self._theirs = socket.socketpair()
        self.plain.settimeout(20)

    def answer_taken(self) -> None:
        socket.send_fds(self.control, [b"T"], [self._theirs.fileno()])
        self._theirs.close()

    def wait_go(self) -> bool:
        """Return whether the program said that the client may begin, and did not hang up instead."""
        return self.control.recv(300) == b"G"

    def say(self, packet: bytes) -> None:
        self.control.send(packet)

    def stop(self) -> None:
        for one in (self.control, self.client, self.plain, self._theirs):
            one.close()
