# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks the service operator: one request, one answer."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput, MailgateError
from ..core.sockets import peer_uid

PATH = "/var/lib/mailgate/operator/socket"
ANSWER_SECONDS = 60.0
ANSWER_BYTES_MAX = 64 << 20


class NoAnswer(MailgateError):
    """The service did not answer, or could not do just now what it was told."""


def ask(request: Mapping[str, object], path: str = PATH) -> dict[str, Any]:
    """The service's answer without 'ok'; raises BadInput with what it refuses, and NoAnswer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            if peer_uid(connection) != os.stat(os.path.dirname(path)).st_uid:
                raise NoAnswer(f"socket {path}: another user listens there; expected the service operator")
            connection.sendall(json.dumps(request).encode("ascii") + b"\n")
            data = bytearray()
            while block := connection.recv(1 << 20):
                data += block
                if len(data) > ANSWER_BYTES_MAX:
                    raise NoAnswer(f"socket {path}: the answer does not end; expected the service operator")
    except PermissionError as error:
        raise BadInput(f"socket {path}: not allowed; expected root or a member of 'operators'") from error
    except OSError as error:
        raise NoAnswer(
            f"socket {path}: {error.strerror or error}; expected the service to run, "
            "see svstat /service/operator"
        ) from error
    try:
        answer = json.loads(bytes(data))
    except ValueError as error:
        raise NoAnswer(f"socket {path}: no answer; expected the service to be well, see its log") from error
    if not isinstance(answer, dict) or "ok" not in answer:
        raise NoAnswer(f"socket {path}: {answer!r:.80} is no answer; expected the same version")
    if not answer.pop("ok"):
        raise (NoAnswer if answer.get("temporary") else BadInput)(str(answer.get("error")))
    return answer
