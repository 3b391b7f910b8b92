# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command mailgate: finds the subcommand and hands it the rest of the arguments."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import NamedTuple

from .parser import Parser


class Command(NamedTuple):
    """What a command does, the file of this package whose main() does it, and what that is told first."""

    words: str
    file: str
    first: tuple[str, ...] = ()


# Each file is imported by name when its command is called: a module that needs the parser alone does not
# carry all of them to the host.
COMMANDS = {
    "doctor": Command("is the gateway healthy, and what to do when it is not", "doctor"),
    "trace": Command("the journey of a message or a session, out of all the logs", "trace"),
    "stats": Command("what the gateway does: connections, refusals, deliveries", "stats"),
    "allow": Command("let a client in that another rule would refuse", "operators", ("allow",)),
    "deny": Command("refuse a client", "operators", ("deny",)),
    "relay": Command("let a network send anywhere", "operators", ("relay",)),
    "block-sender": Command("refuse an envelope sender", "operators", ("block-sender",)),
    "trust-sender": Command("never call a sender's mail spam", "operators", ("trust-sender",)),
    "distrust-sender": Command("always call a sender's mail spam", "operators", ("distrust-sender",)),
    "recipient": Command("add a valid recipient that no directory knows", "operators", ("recipient",)),
    "operator": Command("what operators have set and did; undo; the service", "operators", ("operator",)),
    "rules": Command("compile, check and explain who may connect and relay", "rules"),
    "recipients": Command("export, prove, publish and look up the valid recipients", "recipients"),
    "blacklist": Command("who the adaptive blacklist refuses: list, explain, release", "blacklist"),
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
