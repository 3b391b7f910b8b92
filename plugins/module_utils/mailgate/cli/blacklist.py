# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate blacklist`: requests to the service adaptive-blacklist, and the service (serve)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from ..blacklist.client import ask, describe, describe_list
from ..blacklist.clients import check_client
from ..blacklist.service import SOCKET, ServicePaths, serve
from ..core.errors import MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import BLACKLIST_DIRECTORY, BLACKLIST_SETTINGS, RULES_DIRECTORY, SMTP_LOG
from ..core.sockets import NoAnswer
from ..core.text import printable
from ..core.times import duration
from .parser import Parser

EPILOG = f"""\
connects to:
  {BLACKLIST_DIRECTORY}/{SOCKET}   the service adaptive-blacklist; as root. Operators have the
                         same with an audit log: mailgate operator blacklist

exit status:
  0, 100 bad argument, or refused by the service, 111 the service does not answer

example:
  mailgate blacklist add 203.0.113.9 --for 4h --note "guesses recipients\""""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate blacklist`; return 0, 100 or 111."""
    parser = Parser(
        prog="mailgate blacklist",
        description="The addresses that the adaptive blacklist refuses, and why.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "list": "every refused address, and those that are spared: reported instead of refused",
        "explain": "what is known about an address, with the counted events",
        "release": "end the refusal of an address and delete what was counted",
        "add": "refuse an address for a time",
        "serve": "run the service: read the log and write 30-adaptive (run it under supervise)",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--directory", default=BLACKLIST_DIRECTORY, help="the service's own files (%(default)s)"
        )
        if name in ("explain", "release", "add"):
            command.add_argument("address", metavar="ADDRESS", help="an address, or an IPv6 /64 or /48")
        if name in ("list", "explain"):
            command.add_argument("--json", action="store_true", help="as JSON; times are unix seconds")
        if name == "add":
            command.add_argument(
                "--for", dest="time", metavar="TIME", required=True, help="such as 30m, 4h, 2d"
            )
            command.add_argument("--note", default="added by hand", help="the reason (%(default)s)")
        if name == "serve":
            command.add_argument("--log", default=SMTP_LOG, help="multilog's directory (%(default)s)")
            command.add_argument("--rules", default=RULES_DIRECTORY, help="the fragments (%(default)s)")
            command.add_argument("--settings", default=BLACKLIST_SETTINGS, help="the settings (%(default)s)")
    given = parser.parse_args(argv)
    try:
        if given.command == "serve":
            return serve(ServicePaths(given.log, given.directory, given.rules, given.settings))
        lines = _client(given.command, given)
    except TryAgain as error:
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
        request["address"] = check_client(given.address, "address")
    if do == "add":
        request.update(seconds=duration(given.time), why=given.note)
    answer = ask(given.directory, request)
    if getattr(given, "json", False):
        return [json.dumps(answer, indent=2)]
    now = time.time()
    try:
        if do == "list":
            return describe_list(answer, now)
        if do == "release":
            return [f"{answer['address']}: {'released' if answer['released'] else 'was not refused'}"]
        return describe(answer, now)
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer(f"answer of adaptive-blacklist: {error!r}; expected the same version") from error


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"mailgate blacklist: {printable(str(error))}\n")
    return status
