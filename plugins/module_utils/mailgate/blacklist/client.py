# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the blacklist service over its unix socket, and descriptions of its answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core import sockets
from ..core.errors import BadInput
from ..core.sockets import BadPeer, NoAnswer
from ..core.times import span, utc
from .service import SOCKET

ANSWER_SECONDS = 30.0
ANSWER_BYTES_MAX = 256 << 20


def ask(directory: str, request: Mapping[str, object]) -> dict[str, Any]:
    """Return the service's answer; raises BadInput with the reason of a refusal, and NoAnswer."""
    path = os.path.join(directory, SOCKET)
    try:
        # Only the socket of root or the directory's owner is trusted; others could not create one there.
        users = (0, os.stat(directory).st_uid)
        answer = sockets.ask(path, request, users, ANSWER_SECONDS, ANSWER_BYTES_MAX)
    except PermissionError as error:
        raise NoAnswer(
            f"socket {path}: not allowed; expected root; members of the group operators "
            "have 'mailgate operator blacklist', 'explain' and 'release'"
        ) from error
    except OSError as error:
        raise NoAnswer(
            f"socket {path}: {error.strerror or error}; expected adaptive-blacklist to run, "
            "see svstat /service/adaptive-blacklist"
        ) from error
    except BadPeer as error:
        # The service closes the connection of a user whom it does not answer.
        expected = (
            "to run as root, and the service to work"
            if error.reason == sockets.NO_OBJECT
            else "adaptive-blacklist"
        )
        raise NoAnswer(f"socket {path}: {error}; expected {expected}") from error
    if "error" in answer:
        raise (NoAnswer if answer.get("temporary") else BadInput)(str(answer["error"]))
    return answer


def describe_list(answer: Mapping[str, Any], now: float) -> list[str]:
    """Return the lines that `list` prints."""
    width = max((len(one["address"]) for one in (*answer["entries"], *answer["spared"])), default=0)
    width = max(width, len("255.255.255.255"))
    lines = [
        f"{one['address']:{width}} until {utc(one['until'])} ({span(one['until'] - now)}), "
        f"by {one['by']}: {one['why']}"
        for one in answer["entries"]
    ]
    lines += [f"{one['address']:{width}} not refused: {one['why']}" for one in answer["spared"]]
    return lines or ["no address is refused"]


def describe(answer: Mapping[str, Any], now: float) -> list[str]:
    """Return the lines that `explain` prints."""
    address = answer["address"]
    if answer["refused"]:
        left = span(answer["until"] - now)
        lines = [
            f"{address}: refused until {utc(answer['until'])}, {left} more",
            f"by: {answer['by']}" + (f", since {utc(answer['since'])}" if answer["since"] else ""),
            f"why: {answer['why']}",
        ]
    else:
        lines = [f"{address}: not refused, {answer['bad']} of {answer['attempts']} attempts bad"]
    if answer["never"]:
        lines.append(f"never listed: {answer['never']}")
    if answer["spared"]:
        lines.append(f"reported: {answer['spared']}")
    if answer["ham"]:
        lines.append(f"clean messages: {answer['ham']}")
    if answer["events"]:
        lines.append("counted:")
        lines += [f"  {utc(one['at'])} {one['what']:9} {one['detail']}" for one in answer["events"]]
    if answer.get("more"):
        lines.append(f"  and {answer['more']} since then")
    return lines
