# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `qmailadmin`."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
from collections.abc import Sequence

from .client import SOCKET, ask
from .pages import PAGES

DESCRIPTION = """\
The operator's screens of the mail gateway: relay networks, clients, senders, recipients, the adaptive
blacklist, the greylist, the queue, the audit and the gateway's state. By keyboard only, from 80x24 on."""

EPILOG = """\
The program decides nothing and writes no file: it asks the operator's service, which identifies you by your
user and requires a member of the group operators (or root). You see the effect of an act before it is done.

environment:
  NO_COLOR     set: no colours
  TERM         with at most 16 colours, the terminal's own are used

exit status:
  0            you left
  1            the terminal was closed
  100          standard input or error is not a terminal, or the arguments are wrong

example:
  qmailadmin --page queue

The same acts as plain commands: mailgate operator --help"""


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with status 100 for wrong arguments, as every command of the gateway."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(100, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the screens; return 0, 1 when the terminal was closed, or 100."""
    parser = Parser(
        prog="qmailadmin",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--socket", default=SOCKET, help="the operator's service (%(default)s)")
    names = [name for dummy, name, dummy, dummy in PAGES]
    parser.add_argument("--page", choices=names, default="trace", help="the first page (%(default)s)")
    given = parser.parse_args(argv)
    # The screen is drawn on standard error.
    if not (sys.__stdin__ and sys.__stdin__.isatty() and sys.__stderr__ and sys.__stderr__.isatty()):
        sys.stderr.write(
            "qmailadmin: this is not a terminal; expected one (over ssh: ssh -t), or see: mailgate --help\n"
        )
        return 100
    from .app import BARE, QmailAdmin  # imported here, as it is slow and --help does not need it

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    program = QmailAdmin(
        lambda request: ask(given.socket, request), page=given.page, host=socket.gethostname(), user=user
    )
    program.run(mouse=not os.environ.get("TERM", "").startswith(BARE))
    return program.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
