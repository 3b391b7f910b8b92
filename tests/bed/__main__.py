# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make what the tests need on a bare Debian machine: one subcommand per thing, each of them idempotent.

Runs on the system's python3 (3.9 or newer) with nothing but the standard library, because the first thing
it makes is the venv.  Every step says what it did and how long that took; a failure is one sentence and
exit status 1.  `python3 tests/bed --help` lists the subcommands and the environment variables.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as `python3 tests/bed`: Python looks for modules in tests/bed itself, not in tests
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bed.choose import command_choose
from bed.collection import command_link
from bed.common import BED, Trouble, only_one
from bed.containers import GATEWAY, command_addresses, command_converge, command_down, command_up
from bed.converged import command_await, command_keep, command_start
from bed.engine import command_docker
from bed.images import SUITES, command_image
from bed.older import command_older
from bed.packages import command_system
from bed.parts import BY_NAME, FAST, FULL, TEST, listing
from bed.python_venv import command_venv
from bed.report import command_report
from bed.sanity import command_sanity
from bed.signals import reset_signals
from bed.sources import CHOICE
from bed.suite import command_part, command_test
from bed.targets import command_clean, command_gateway, command_prepare, command_table

EPILOG = """\
environment:
  MAILGATE_VENV             a venv of your own that has requirements-test.txt in it; used as it is
  MAILGATE_IMAGE_BOOKWORM   an image to take as Debian 12 (with python3 and ca-certificates); likewise _TRIXIE
  MAILGATE_IMAGE_SYSTEMD    an image to take as Debian 12 with systemd as PID 1
  MAILGATE_CACHE            where archives are kept (default: ~/.cache/mailgate)
  MAILGATE_STANDINS         auto (default): stand-ins where the real source cannot be had; always; never
  MAILGATE_SOURCE           1: build ClamAV and SpamAssassin from source where that can be had
  MAILGATE_GATEWAY          the name of the gateway's container (default: mailgate-gateway)
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python3 tests/bed",
        description=(__doc__ or "").splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    name = os.environ.get("MAILGATE_GATEWAY", GATEWAY)
    commands.add_parser("venv", help="make .venv from requirements-test.txt")
    commands.add_parser("system", help="install the packages that the tests need on this machine")
    commands.add_parser("docker", help="an engine that answers, started when need be")
    image = commands.add_parser("image", help="the base image of a suite")
    image.add_argument("suite", choices=SUITES)
    image.add_argument("--systemd", action="store_true", help="the variant with systemd as PID 1")
    commands.add_parser("link", help="the checkout under the name of its collection")
    commands.add_parser("choose", help="try the sources; write which are real and which are stand-ins")
    prepare = commands.add_parser("prepare", help="all of the above")
    prepare.add_argument("suites", nargs="*", choices=[*SUITES, []], help="default: bookworm")
    up = commands.add_parser("up", help="a new, bare container")
    up.add_argument("name")
    up.add_argument("suite", choices=SUITES)
    up.add_argument("--systemd", action="store_true")
    start = commands.add_parser("start", help="a container of the image of a converged gateway")
    start.add_argument("name")
    start.add_argument("suite", nargs="?", default="bookworm", choices=SUITES)
    start.add_argument("--systemd", action="store_true")
    keep = commands.add_parser("keep", help="make that image of a container that was converged")
    keep.add_argument("name")
    keep.add_argument("suite", choices=SUITES)
    for command, text in (
        ("down", "remove a container"),
        ("addresses", "give the clients' networks to a container's loopback"),
        ("await", "wait until the services of a gateway are up"),
        ("converge", "run playbooks/gateway.yml on a container"),
        ("table", "hold the conversations of tests/support/conversations.py with a gateway, and print them"),
        ("gateway", "prepare, up, converge, table, report"),
        ("older", "a running gateway of the version that tests/upgrade begins with"),
        ("report", "what a gateway is made of and how to look inside"),
    ):
        commands.add_parser(command, help=text).add_argument("name", nargs="?", default=name)
    test = commands.add_parser("test", help="a suite: `make fast`, `make test`, `make test-full`")
    test.add_argument("suite", nargs="?", default=TEST, choices=(FAST, TEST, FULL))
    listed = f"parts: {', '.join(BY_NAME)}"
    part = commands.add_parser("part", help="parts of the suites by name", epilog=listed)
    part.add_argument("names", nargs="+", metavar="NAME")
    part.add_argument("--also", default="", metavar="'...'", help="added to the command")
    part.add_argument("--dated", action="store_true", help="note in VERIFIED-full.md what passed")
    commands.add_parser("parts", help="list the parts: seconds that each may take, suites, what it holds")
    commands.add_parser("clean", help="remove the test bed's containers and .bed")
    sanity = commands.add_parser("sanity", help="ansible-test sanity over the project's files")
    sanity.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to ansible-test")
    return top


def dispatch(options: argparse.Namespace) -> None:
    command = options.command
    if command == "venv":
        command_venv()
    elif command == "system":
        command_system()
    elif command == "docker":
        command_docker()
    elif command == "image":
        command_image(options.suite, options.systemd)
    elif command == "link":
        command_link()
    elif command == "choose":
        command_choose()
    elif command == "prepare":
        command_prepare(options.suites or ("bookworm",))
    elif command == "up":
        command_up(options.name, options.suite, options.systemd)
    elif command == "down":
        command_down(options.name)
    elif command == "addresses":
        command_addresses(options.name)
    elif command == "await":
        command_await(options.name)
    elif command == "converge":
        command_converge(options.name)
    elif command == "table":
        command_table(options.name)
    elif command == "gateway":
        command_gateway(options.name)
    elif command == "older":
        command_older(options.name)
    elif command == "report":
        command_report(options.name)
    elif command == "start":
        if not CHOICE.is_file():
            command_prepare((options.suite,))
        command_start(options.name, options.suite, options.systemd)
    elif command == "keep":
        command_keep(options.name, options.suite)
    elif command == "test":
        command_test(options.suite)
    elif command == "part":
        command_part(options.names, shlex.split(options.also), options.dated)
    elif command == "parts":
        print("\n".join(listing()))
    elif command == "clean":
        command_clean()
    elif command == "sanity":
        command_sanity(options.arguments)


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    reset_signals()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        BED.mkdir(exist_ok=True)
        if options.command in ("venv", "system", "docker", "image", "link", "choose", "prepare"):
            with only_one():
                dispatch(options)
        else:
            dispatch(options)
    except Trouble as trouble:
        print(f"{options.command}: {trouble}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
