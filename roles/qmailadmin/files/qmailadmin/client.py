# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the operator's service over its socket: one JSON object on a line, one answer, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

SOCKET = "/var/lib/mailgate/operator/socket"
GROUP = "operators"
REQUEST_BYTES_MAX = 65_536
ANSWER_BYTES_MAX = 64 << 20
ANSWER_SECONDS = 60.0

Answer = dict[str, Any]
Ask = Callable[[Answer], Answer]


class Trouble(Exception):
    """The service gave no answer; the text says why, and what to do."""


class Refused(Trouble):
    """The service refuses the request; the text is its reason."""

    def __init__(self, text: str, temporary: bool) -> None:
        super().__init__(text)
        self.temporary = temporary


def ask(path: str, request: Answer, seconds: float = ANSWER_SECONDS) -> Answer:
    """Return the service's answer; raises Refused with the reason of a refusal, and Trouble for no answer."""
    line = json.dumps(request).encode("ascii") + b"\n"
    if len(line) > REQUEST_BYTES_MAX:
        raise Trouble(f"request: {len(line)} bytes are too long; expected at most {REQUEST_BYTES_MAX}")
    try:
        answer = json.loads(_exchange(path, line, time.monotonic() + seconds))
    except PermissionError as error:
        raise Trouble(
            f"{_person()} may not use {path}; expected root or a member of the group {GROUP} "
            "(log in again if you were added just now)"
        ) from error
    except TimeoutError as error:
        raise Trouble(
            f"the operator's service gave no answer in {seconds:.0f} s; "
            "expected it to work, see svstat /service/operator"
        ) from error
    except OSError as error:
        raise Trouble(
            f"the operator's service cannot be reached at {path}: {error.strerror or error}; "
            "expected it to run, see svstat /service/operator"
        ) from error
    except (ValueError, RecursionError) as error:
        raise Trouble(
            "the operator's service ended without an answer; expected a JSON object, see /var/log/operator"
        ) from error
    if not isinstance(answer, dict):
        raise Trouble("the operator's service answered something else; expected a JSON object")
    if answer.get("ok") is not True:
        raise Refused(str(answer.get("error", "refused, without a reason")), answer.get("temporary") is True)
    return answer


def _exchange(path: str, line: bytes, deadline: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        connection.connect(path)
        with contextlib.suppress(
            BrokenPipeError
        ):  # it may refuse before it has read the line; its answer says why
            connection.sendall(line)
        blocks: list[bytes] = []
        size = 0
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            block = connection.recv(1 << 20)
            if not block:
                return b"".join(blocks)
            blocks.append(block)
            size += len(block)
            if size > ANSWER_BYTES_MAX:
                raise ValueError("the answer does not end")


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


async def in_thread(work: Callable[[], Answer]) -> Answer:
    """Return or raise what `work` does, in a thread that does not block the screen or the program's end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        elif answer is not None:
            result.set_result(answer)

    def run() -> None:
        answer: Answer | None = None
        trouble: Exception | None = None
        try:
            answer = work()
        except Exception as error:
            trouble = error
        with contextlib.suppress(RuntimeError):  # the program may have ended meanwhile
            loop.call_soon_threadsafe(settle, answer, trouble)

    threading.Thread(target=run, daemon=True).start()
    return await result
