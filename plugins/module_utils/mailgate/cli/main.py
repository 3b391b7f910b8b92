# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate`: imports the module of the subcommand and runs it with the other arguments."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .parser import Parser


class Command(NamedTuple):
    """A subcommand: its description, its module in this package, and the first arguments of its main()."""

    words: str
    file: str
    first: tuple[str, ...] = ()


# Each module is imported by name when its command is called, so that an Ansible module which needs only
# the parser does not take all of them to the host.
COMMANDS = {
    "doctor": Command("problems of the gateway, and what to do about them", "doctor"),
    "trace": Command("the journey of a message or a session, from all logs", "trace"),
    "stats": Command("numbers of the gateway: connections, refusals, deliveries", "stats"),
    "allow": Command("admit a client despite greylist and lists", "operators", ("allow",)),
    "deny": Command("refuse a client", "operators", ("deny",)),
    "relay": Command("allow a network to relay", "operators", ("relay",)),
    "block-sender": Command("refuse an envelope sender", "operators", ("block-sender",)),
    "trust-sender": Command("never treat a sender's mail as spam", "operators", ("trust-sender",)),
    "distrust-sender": Command("always treat a sender's mail as spam", "operators", ("distrust-sender",)),
    "recipient": Command("add a valid recipient that is not in the directory", "operators", ("recipient",)),
    "operator": Command("the operators' entries and acts; undo; the service", "operators", ("operator",)),
    "refused": Command("kept copies of refused spam: list, show, release, learn, forget", "refused"),
    "rules": Command("compile, check and explain who may connect and relay", "rules"),
    "recipients": Command("export, verify, publish and look up the valid recipients", "recipients"),
    "blacklist": Command("the adaptive blacklist: list, explain, release, add", "blacklist"),
    "fleet": Command("the site's other gateways: their states, the service", "fleet"),
    "drain": Command("take this gateway out: no new sessions, its queue delivered", "drain", ("drain",)),
    "undrain": Command("take new sessions again", "drain", ("undrain",)),
    "backup": Command("what only this host knows, in one archive, and back", "backup"),
    "certificate": Command("install or show the certificates of TLS", "certificate"),
    "every": Command("run a command on a schedule, under supervise", "every"),
    "workdir": Command("remove what killed scanners left, and kept copies that are over", "workdir"),
    "version": Command("the version of this gateway, and what was built from where", "version"),
    "restart-owed": Command("restart scanners of which a package replaced the program", "restart_owed"),
    "sa-update": Command("update SpamAssassin's rules, and reload", "sa_update"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, 1 where it is defined, 100 for permanent or 111 for temporary failure."""
    parser = Parser(
        prog="mailgate",
        description="The tools of the mail gateway.",
        epilog="\n".join(f"  {name:16} {command.words}" for name, command in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="see mailgate COMMAND --help"
    )
    parser.add_argument("--version", action="store_true", help="the same as mailgate version")
    words = list(sys.argv[1:] if argv is None else argv)
    given = parser.parse_args(["version"] if words == ["--version"] else words)
    command = COMMANDS[given.command]
    program = importlib.import_module(f".{command.file}", __package__)
    return int(program.main([*command.first, *given.arguments]))
