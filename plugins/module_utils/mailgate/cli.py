# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command mailgate: finds the subcommand and hands it the rest of the arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

PERMANENT, TEMPORARY = 100, 111


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves wrong usage with status 100, as the tools around it do."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(PERMANENT, f"{self.prog}: {message}\n")


def _rules(arguments: Sequence[str]) -> int:
    from .rules_command import main as run

    return run(arguments)


def _recipients(arguments: Sequence[str]) -> int:
    from .recipients_command import main as run

    return run(arguments)


def _blacklist(arguments: Sequence[str]) -> int:
    from .blacklist_command import main as run

    return run(arguments)


def _every(arguments: Sequence[str]) -> int:
    from .every import main as run

    return run(arguments)


def _workdir(arguments: Sequence[str]) -> int:
    from .workdir import main as run

    return run(arguments)


def _sa_update(arguments: Sequence[str]) -> int:
    from .sa_update import main as run

    return run(arguments)


# Name: what it does, and its main(); each is imported only when it is called.
COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "rules": ("compile, check and explain the rules of who may connect and relay", _rules),
    "recipients": ("export, prove, publish and look up the valid recipients", _recipients),
    "blacklist": ("list, explain, release and add what the adaptive blacklist refuses", _blacklist),
    "every": ("run a command on a schedule, under supervise", _every),
    "workdir": ("remove what scanners that are gone left in the work directory", _workdir),
    "sa-update": ("bring SpamAssassin's rules up to date, and reload when something changed", _sa_update),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; status 0, 1 where it says so, 100 permanent or 111 temporary failure."""
    parser = Parser(
        prog="mailgate",
        description="Tools of the mail gateway.",
        epilog="\n".join(f"  {name:12} {words}" for name, (words, _run) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="see mailgate COMMAND --help"
    )
    given = parser.parse_args(argv)
    return COMMANDS[given.command][1](given.arguments)
