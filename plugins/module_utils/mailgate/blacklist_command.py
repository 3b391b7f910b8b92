# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate blacklist: asks the service adaptive-blacklist, gives it orders, and is the service (serve)."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import blacklist_settings
from .blacklist_service import DIRECTORY, LOG_DIRECTORY, RULES_DIRECTORY, SOCKET, Places, serve
from .blacklist_settings import check_address, utc
from .cli import PERMANENT, TEMPORARY, Parser
from .errors import BadInput, MailgateError
from .text import printable
from .unixsocket import peer_uid

ANSWER_SECONDS = 30.0
ANSWER_BYTES_MAX = 256 << 20
EPILOG = f"""\
asks:
  {DIRECTORY}/{SOCKET}   the service adaptive-blacklist; as root. Operators have the same
                         from the service operator, with an audit log: mailgate operator blacklist

exit status:
  0, 100 bad argument, or what the service refuses, 111 the service does not answer

example:
  mailgate blacklist add 203.0.113.9 --for 4h --note "guesses recipients\""""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class NoAnswer(MailgateError):
    """The service did not answer, or could not do what it was told just now."""


def seconds_of(text: str) -> int:
    """The seconds of a time such as '4h'; raises BadInput."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if found is None:
        raise BadInput(f"time: {text!r} is none; expected one such as 30m, 4h or 2d")
    return int(found[1]) * _UNITS[found[2]]


def ask(directory: str, request: Mapping[str, object]) -> dict[str, Any]:
    """The service's answer; raises BadInput with what the service refuses, and NoAnswer."""
    path = os.path.join(directory, SOCKET)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            # Whoever owns the directory could have put anything there.
            if peer_uid(connection) not in (0, os.stat(directory).st_uid):
                raise NoAnswer(f"socket {path}: another user listens there; expected adaptive-blacklist")
            connection.sendall(json.dumps(request).encode("ascii") + b"\n")
            blocks: list[bytes] = []
            size = 0
            while True:
                block = connection.recv(1 << 20)
                if not block:
                    break
                blocks.append(block)
                size += len(block)
                if size > ANSWER_BYTES_MAX:
                    raise NoAnswer(f"socket {path}: the answer does not end; expected adaptive-blacklist")
    except PermissionError as error:
        raise NoAnswer(f"socket {path}: not allowed; expected to run as root") from error
    except OSError as error:
        raise NoAnswer(
            f"socket {path}: {error.strerror or error}; expected adaptive-blacklist to run, "
            "see svstat /service/adaptive-blacklist"
        ) from error
    try:
        answer = json.loads(b"".join(blocks))
    except ValueError as error:
        raise NoAnswer(
            f"socket {path}: no answer; expected to run as root, and the service to be well"
        ) from error
    if not isinstance(answer, dict):
        raise NoAnswer(f"socket {path}: no answer; expected an object")
    if "error" in answer:
        raise (NoAnswer if answer.get("temporary") else BadInput)(str(answer["error"]))
    return answer


def span(seconds: float) -> str:
    """A time that is left, as people say it."""
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    days, hours = minutes // 1440, minutes // 60 % 24
    words = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min"]
    return " ".join(word for word in words if word)


def describe_list(answer: Mapping[str, Any], now: float) -> list[str]:
    """What `list` prints."""
    lines = [
        f"{one['address']:15} until {utc(one['until'])} ({span(one['until'] - now)}), "
        f"by {one['by']}: {one['why']}"
        for one in answer["entries"]
    ]
    lines += [f"{one['address']:15} not refused: {one['why']}" for one in answer["spared"]]
    return lines or ["nobody is refused"]


def describe(answer: Mapping[str, Any], now: float) -> list[str]:
    """What `explain` prints."""
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


def main(argv: Sequence[str] | None = None) -> int:
    """The adaptive blacklist: who is refused, why, and orders about it; status 0, 100 or 111."""
    parser = Parser(
        prog="mailgate blacklist",
        description="Who the adaptive blacklist refuses, and why.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "list": "every address that is refused, and those that would be but are spared",
        "explain": "what is known of an address, with the events that counted",
        "release": "refuse an address no longer; what was counted until now is forgotten",
        "add": "refuse an address for a time",
        "serve": "be the service: read the log and keep 30-adaptive (run it under supervise)",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--directory", default=DIRECTORY, help="the service's own files (%(default)s)")
        if name in ("explain", "release", "add"):
            command.add_argument("address", metavar="ADDRESS", help="an IPv4 address")
        if name in ("list", "explain"):
            command.add_argument("--json", action="store_true", help="as JSON; times are unix seconds")
        if name == "add":
            command.add_argument(
                "--for", dest="time", metavar="TIME", required=True, help="such as 30m, 4h, 2d"
            )
            command.add_argument("--note", default="added by hand", help="why (%(default)s)")
        if name == "serve":
            command.add_argument("--log", default=LOG_DIRECTORY, help="multilog's directory (%(default)s)")
            command.add_argument("--rules", default=RULES_DIRECTORY, help="the fragments (%(default)s)")
            command.add_argument(
                "--settings", default=blacklist_settings.PATH, help="the settings (%(default)s)"
            )
    given = parser.parse_args(argv)
    try:
        if given.command == "serve":
            return serve(Places(given.log, given.directory, given.rules, given.settings))
        lines = _client(given.command, given)
    except NoAnswer as error:
        return _complain(error, TEMPORARY)
    except MailgateError as error:
        return _complain(error, PERMANENT)
    except OSError as error:
        return _complain(error, TEMPORARY)
    for line in lines:
        sys.stdout.write(f"{printable(line)}\n")
    return 0


def _client(do: str, given: Any) -> list[str]:
    request: dict[str, object] = {"do": do}
    if do != "list":
        request["address"] = check_address(given.address, "address")
    if do == "add":
        request.update(seconds=seconds_of(given.time), why=given.note)
    answer = ask(given.directory, request)
    if getattr(given, "json", False):
        return [json.dumps(answer, indent=2)]
    now = time.time()
    try:
        if do == "list":
            return describe_list(answer, now)
        if do == "release":
            return [f"{given.address}: {'released' if answer['released'] else 'was not refused'}"]
        return describe(answer, now)
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer(f"answer of adaptive-blacklist: {error!r}; expected the same version") from error


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"mailgate blacklist: {printable(str(error))}\n")
    return status
