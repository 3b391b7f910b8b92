# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate fleet`: the states of the site's other gateways, and the service (serve)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from ..core.errors import MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.files import read_regular
from ..core.paths import FLEET_DIRECTORY, FLEET_SETTINGS
from ..core.text import printable
from ..fleet import status
from ..fleet.service import STATUS, ServicePaths, serve
from .parser import Parser

TROUBLE = 1
EPILOG = f"""\
reads:
  {FLEET_DIRECTORY}/{STATUS}   what the service fleet wrote last

exit status:
  0, 1 an engine is not connected or the service does not run, 100 bad argument, 111 there is no status

example:
  mailgate fleet status
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate fleet`; return 0, 1, 100 or 111."""
    parser = Parser(
        prog="mailgate fleet",
        description="The gateways of the site, and what they tell each other.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "status": "each engine's state and since when, and what is not in force here",
        "serve": "run the service (run it under supervise)",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--directory", default=FLEET_DIRECTORY, help="the service's own files (%(default)s)"
        )
        if name == "status":
            command.add_argument("--json", action="store_true", help="as JSON; times are unix seconds")
        else:
            command.add_argument("--settings", default=FLEET_SETTINGS, help="the settings (%(default)s)")
    given = parser.parse_args(argv)
    try:
        if given.command == "serve":
            return serve(ServicePaths(given.directory, given.settings))
        return _status(ServicePaths(given.directory).own(STATUS), given.json)
    except TryAgain as error:
        return _complain(error, TEMPORARY)
    except MailgateError as error:
        return _complain(error, PERMANENT)
    except OSError as error:
        return _complain(error, TEMPORARY)


def _status(path: str, as_json: bool) -> int:
    found = status.parse(read_regular(path, status.BYTES_MAX), f"file {path}")
    now = time.time()
    if as_json:
        sys.stdout.write(f"{json.dumps(found.values(), indent=2)}\n")
    else:
        for line in status.describe(found, now):
            sys.stdout.write(f"{line}\n")
    parts = [found.engine, *found.peers.values()]
    well = (
        all(one["state"] == status.CONNECTED for one in parts) and now - found.written <= status.OLD_SECONDS
    )
    return 0 if well else TROUBLE


def _complain(error: Exception, exit_status: int) -> int:
    sys.stderr.write(f"mailgate fleet: {printable(str(error))}\n")
    return exit_status
