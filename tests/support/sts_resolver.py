# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A resolver of MTA-STS policies at a unix socket that says what it is told, be it wrong or nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from support.played_scanners import listening


def netstring(text: str) -> bytes:
    return f"{len(text)}:{text},".encode()


def enforced(*patterns: str) -> bytes:
    """Return the answer for a policy with these patterns, '.domain' for '*.domain'."""
    return netstring(f"OK secure match={':'.join(patterns)} servername=hostname")


NO_POLICY = netstring("NOTFOUND ")


class StsResolver:
    """Gives each connection the pieces of the answer, then closes it; asked has the questions."""

    def __init__(self, path: Path, *pieces: bytes) -> None:
        self.asked: list[bytes] = []
        self._pieces: Sequence[bytes] = pieces
        self._socket = listening(path)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> StsResolver:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            peer.settimeout(60)
            with peer, contextlib.suppress(OSError):
                question = b""
                while not question.endswith(b","):
                    got = peer.recv(4096)
                    if not got:
                        break
                    question += got
                self.asked.append(question)
                for piece in self._pieces:
                    peer.sendall(piece)
