# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the service operator: one request, one answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core import sockets
from ..core.errors import BadInput
from ..core.paths import OPERATOR_SOCKET
from ..core.sockets import BadPeer, NoAnswer

ANSWER_SECONDS = 60.0
ANSWER_BYTES_MAX = 64 << 20


def ask(request: Mapping[str, object], path: str = OPERATOR_SOCKET) -> dict[str, Any]:
    """Return the service's answer without 'ok'; raises BadInput for a refusal, and NoAnswer."""
    try:
        owner = os.stat(os.path.dirname(path)).st_uid
        answer = sockets.ask(path, request, (owner,), ANSWER_SECONDS, ANSWER_BYTES_MAX)
    except PermissionError as error:
        raise BadInput(f"socket {path}: not allowed; expected root or a member of 'operators'") from error
    except OSError as error:
        raise NoAnswer(
            f"socket {path}: {error.strerror or error}; expected the service to run, "
            "see svstat /service/operator"
        ) from error
    except BadPeer as error:
        raise NoAnswer(f"socket {path}: {error}; expected the service operator, see its log") from error
    if "ok" not in answer:
        raise NoAnswer(f"socket {path}: {answer!r:.80} is not an answer; expected the same version")
    if not answer.pop("ok"):
        raise (NoAnswer if answer.get("temporary") else BadInput)(str(answer.get("error")))
    return answer
