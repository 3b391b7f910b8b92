# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate rules`: make /etc/tcp.smtp.cdb from /etc/tcp.d, and badmailfrom from its fragments.

Exit status: 0 done; 1 the readable copy was edited by hand; 100 a fragment or an argument is faulty (the rest
is done); 111 try again.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence

from ..core import times
from ..core.errors import BadInput, MailgateError
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import (
    RULES_COMPILED,
    RULES_COPY,
    RULES_DIRECTORY,
    RULES_STATE,
    SENDERS_COMPILED,
    SENDERS_DIRECTORY,
)
from ..core.text import printable
from ..formats import cdb, notes
from ..formats.networks import client_address
from ..rules import changes as rules_changes
from ..rules import compiled as rules_compiled
from ..rules import compiler as rules_compiler
from ..rules import fragments
from ..rules import senders as bad_senders
from ..rules.apply import (
    Done,
    EditedByHand,
    Paths,
    compile_rules,
    compile_senders,
    load,
    load_senders,
    refuse_edited,
    rules_in_force,
    stray_files,
)
from ..rules.files import read_text
from .parser import Parser

EDITED = 1
EPILOG = f"""\
reads and writes:
  {RULES_DIRECTORY}/10-site, 20-operator, 30-adaptive, 90-default   the fragments, each with one writer
  {RULES_COMPILED}, {RULES_COPY}   the file that tcpserver reads, and its readable copy
  {SENDERS_DIRECTORY}, {SENDERS_COMPILED}   refused senders
  {RULES_STATE}   last good versions and status.json

A faulty fragment is replaced by its last good version. The service rules compiles a change within a second.

exit status:
  0, 1 the readable copy was edited by hand, 100 a fragment or argument is faulty, 111 try again

example:
  mailgate rules explain 203.0.113.9"""


def _check(paths: Paths, now: float) -> Done:
    """Return what compile would report, without changing anything."""
    made = load(paths, now)
    refuse_edited(read_text(paths.copy), made.copy, paths.copy, paths.directory)
    notices = [*stray_files(paths.directory), *made.notices]
    summary, faults = [_state(paths.compiled, made)], made.faults()
    if os.path.isdir(paths.senders_directory):
        senders = load_senders(paths, now)
        faults += senders.faults()
        notices += stray_files(paths.senders_directory, bad_senders.FRAGMENTS)
        current = read_text(paths.senders) == senders.text
        state = "in force already" if current else "not in force; run 'mailgate rules compile'"
        summary.append(f"{paths.senders}: {len(senders.senders)} senders, {state}")
    return Done(notices=tuple(notices), summary=tuple(summary), faults=tuple(faults))


def _diff(paths: Paths, now: float) -> Done:
    """Return the changes that compile would make."""
    made = load(paths, now)
    changes = rules_compiler.describe_changes(rules_in_force(paths.copy), made)
    faults = made.faults()
    if os.path.isdir(paths.senders_directory):
        senders = load_senders(paths, now)
        faults += senders.faults()
        before = bad_senders.in_force(read_text(paths.senders) or "")
        changes += bad_senders.describe_changes(before, senders.senders)
    return Done(changes=tuple(changes), faults=tuple(faults))


def _explain(paths: Paths, now: float, given: argparse.Namespace) -> Done:
    """Explain which rule decides about an address, whose it is, and which rules are left out."""
    if "@" in given.address:
        return _explain_sender(paths, now, given.address)
    try:
        ip = str(client_address(given.address.strip("[]")))
    except BadInput as error:
        raise BadInput(f"{error}, or a sender such as 'user@host'") from error
    if ":" in ip and (given.host is not None or given.info is not None):
        raise BadInput(f"address: {ip!r} is IPv6, of which rules know no name; expected no --host or --info")
    made = load(paths, now)
    rule, entry = rules_compiled.decide(made, ip, given.host, given.info)
    effects = rules_changes.effects(rule)
    words = "is refused" if "refused" in effects else "may connect"
    if "relay" in effects:
        words += " and relay"
    variables = [effect for effect in effects if effect not in ("refused", "relay")]
    if variables:
        words += f", with {', '.join(variables)}"
    said = [f"{ip} {words}"]
    if rule is None:
        said.append("  no rule matches")
    elif entry is not None:
        said.append(f"  {rule.name}: {rule.text}")
        said.append(f"  by {rules_compiler.author(rule)}: {entry.why}, until {times.utc(entry.until)}")
    else:
        said.append(f"  {rule.where}: {rule.text}")
        said.append(f"  by {rules_compiler.author(rule)}{_noted(made.notes.get((rule.name, rule.line)))}")
    said += [
        f"  left out: {one.where}: {one.text!r}, {one.reason}"
        for one in made.dropped
        if rules_compiler.covers(one.key, ip)
    ]
    state = _state(paths.compiled, made)
    if not state.endswith("in force already"):
        said.append(f"  {state}")
    return Done(summary=tuple(said), faults=tuple(made.faults()))


def _explain_sender(paths: Paths, now: float, sender: str) -> Done:
    made = load_senders(paths, now)
    found = bad_senders.explain(made, sender)
    if found is None:
        return Done(summary=(f"{sender} is not refused as a sender",), faults=tuple(made.faults()))
    whose = "the operator" if found.name.endswith(bad_senders.OPERATOR) else "the site, by Ansible"
    said = (
        f"{sender} is refused as a sender",
        f"  {found.where}: {found.address}",
        f"  by {whose}{_noted(found.note)}",
    )
    return Done(summary=said, faults=tuple(made.faults()))


def _noted(note: notes.Note | None) -> str:
    if note is None or note == notes.NONE:
        return ""
    text = f" {note.by}" if note.by else ""
    text += f": {note.note}" if note.note else ""
    return text + (f", until {times.utc(note.until)}" if note.until is not None else "")


def _state(compiled: str, made: rules_compiled.Compiled) -> str:
    try:
        with open(compiled, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        return f"{compiled}: missing; run 'mailgate rules compile'"
    if data == made.cdb:
        return f"{compiled}: {made.count} rules, in force already"
    try:
        cdb.Reader(data, compiled)
    except BadInput as error:
        return f"{error}; run 'mailgate rules compile'"
    return f"{compiled}: older than the fragments; run 'mailgate rules compile'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate rules compile | check | diff | explain ADDRESS | watch`; return the exit status."""
    parser = Parser(
        prog="mailgate rules",
        description="Who may connect and relay, and which senders are refused.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "compile": "make the compiled files from the fragments",
        "check": "report what compile would report, and change nothing",
        "diff": "describe what compile would change",
        "explain": "explain which rule decides about an address",
        "watch": "run the service: compile whenever a fragment changes or an entry expires",
    }
    default = Paths()
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        for option, value, words in (
            ("--directory", default.directory, "the fragments of rules"),
            ("--compiled", default.compiled, "the compiled file"),
            ("--copy", default.copy, "its readable copy"),
            ("--senders-directory", default.senders_directory, "the fragments of bad senders"),
            ("--senders", default.senders, "the file compiled from them"),
            ("--state", default.state, "where last good versions and the status are stored"),
            ("--adaptive-user", default.adaptive_user, f"the user who writes {fragments.ADAPTIVE}"),
        ):
            command.add_argument(option, default=value, help=f"{words} (%(default)s)")
        if name == "explain":
            command.add_argument("address", metavar="ADDRESS", help="the client's address, or a sender")
            command.add_argument("--host", help="the client's name, in lower case")
            command.add_argument("--info", help="the answer of the client's ident service")
    given = parser.parse_args(argv)
    names = ("directory", "compiled", "copy", "senders_directory", "senders", "state", "adaptive_user")
    paths = Paths(**{name: getattr(given, name) for name in names})
    try:
        return _run(given, paths)
    except MailgateError as error:
        return _complain(str(error), EDITED if isinstance(error, EditedByHand) else PERMANENT)
    except OSError as error:
        return _complain(str(error), TEMPORARY)


def _run(given: argparse.Namespace, paths: Paths) -> int:
    now = time.time()
    if given.command == "watch":
        from ..rules.service import watch

        watch(paths)
        return 0
    gc.disable()  # hundreds of thousands of rules, none of them garbage, would be traversed repeatedly
    if given.command == "compile":
        all_done = [compile_rules(paths, now, by_hand=True), compile_senders(paths, now)]
    elif given.command == "check":
        all_done = [_check(paths, now)]
    elif given.command == "diff":
        all_done = [_diff(paths, now)]
    else:
        all_done = [_explain(paths, now, given)]
    for done in all_done:
        shown = done.changes if given.command == "diff" else ()
        for line in (*done.notices, *shown, *done.summary):
            sys.stdout.write(f"{printable(line)}\n")
    faults = [fault for done in all_done for fault in done.faults]
    for fault in faults:
        _complain(fault, PERMANENT)
    return PERMANENT if faults else 0


def _complain(error: str, status: int) -> int:
    sys.stderr.write(f"mailgate rules: {printable(error)}\n")
    return status
