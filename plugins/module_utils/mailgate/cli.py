# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command mailgate: finds the subcommand and hands it the rest of the arguments."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

PERMANENT, TEMPORARY = 100, 111


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves wrong usage with status 100, as the tools around it do.

    What stands below the options, in the manner of a man page, keeps its lines.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(PERMANENT, f"{self.prog}: {message}\n")


class Command(NamedTuple):
    """What a command does, the file of this package whose main() does it, and what that is told first."""

    words: str
    file: str
    first: tuple[str, ...] = ()


# Each file is imported by name when its command is called: a module that needs the parser alone does not
# carry all of them to the host.
COMMANDS = {
    "doctor": Command("is the gateway healthy, and what to do when it is not", "doctor_command"),
    "trace": Command("the journey of a message or a session, out of all the logs", "trace_command"),
    "stats": Command("what the gateway does: connections, refusals, deliveries", "stats_command"),
    "allow": Command("let a client in that another rule would refuse", "operator_command", ("allow",)),
    "deny": Command("refuse a client", "operator_command", ("deny",)),
    "relay": Command("let a network send anywhere", "operator_command", ("relay",)),
    "block-sender": Command("refuse an envelope sender", "operator_command", ("block-sender",)),
    "trust-sender": Command("never call a sender's mail spam", "operator_command", ("trust-sender",)),
    "distrust-sender": Command("always call a sender's mail spam", "operator_command", ("distrust-sender",)),
    "recipient": Command("add a valid recipient that no directory knows", "operator_command", ("recipient",)),
    "operator": Command(
        "what operators have set and did; undo; the service", "operator_command", ("operator",)
    ),
    "rules": Command("compile, check and explain who may connect and relay", "rules_command"),
    "recipients": Command("export, prove, publish and look up the valid recipients", "recipients_command"),
    "blacklist": Command("who the adaptive blacklist refuses: list, explain, release", "blacklist_command"),
    "every": Command("run a command on a schedule, under supervise", "every"),
    "workdir": Command("remove what scanners that are gone left in the work directory", "workdir"),
    "sa-update": Command("bring SpamAssassin's rules up to date, and reload", "sa_update"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; status 0, 1 where it says so, 100 permanent or 111 temporary failure."""
    parser = Parser(
        prog="mailgate",
        description="Tools of the mail gateway.",
        epilog="\n".join(f"  {name:16} {command.words}" for name, command in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="see mailgate COMMAND --help"
    )
    given = parser.parse_args(argv)
    command = COMMANDS[given.command]
    program = importlib.import_module(f".{command.file}", __package__)
    return int(program.main([*command.first, *given.arguments]))
