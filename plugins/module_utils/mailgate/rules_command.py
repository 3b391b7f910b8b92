# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate rules: makes /etc/tcp.smtp.cdb from /etc/tcp.d, and control/badmailfrom from /etc/badmailfrom.d.

Exit status: 0 done; 1 the readable copy was edited by hand; 100 a fragment or an argument is bad (what could
be done is done); 111 try again.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import ipaddress
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import bad_senders, cdb, notes, rules_compiler, tcprules
from .cli import PERMANENT, TEMPORARY, Parser
from .errors import BadInput, MailgateError
from .rules_files import (
    keep_good,
    locked,
    publish,
    read_fragments,
    read_good,
    read_text,
    write_status,
)
from .text import printable

DIRECTORY, COMPILED, COPY = "/etc/tcp.d", "/etc/tcp.smtp.cdb", "/etc/tcp.smtp"
SENDERS_DIRECTORY, SENDERS = "/etc/badmailfrom.d", "/var/qmail/control/badmailfrom"
STATE = "/var/lib/mailgate/rules"
ADAPTIVE_USER = "blacklist"
EDITED = 1
_SHOWN_LINES = 10
EPILOG = f"""\
reads and writes:
  {DIRECTORY}/10-site, 20-operator, 30-adaptive, 90-default   the fragments, each with one writer
  {COMPILED}, {COPY}   what tcpserver reads, and the same for people
  {SENDERS_DIRECTORY}, {SENDERS}   refused senders
  {STATE}   last good versions and status.json

A fragment with a fault is left as it was last good. The service rules compiles within a second of a change.

exit status:
  0, 1 the readable copy was edited by hand, 100 a fragment or argument is bad, 111 try again

example:
  mailgate rules explain 203.0.113.9"""


class EditedByHand(MailgateError):
    """The readable copy holds changes that a new one would lose."""


@dataclass(frozen=True)
class Paths:
    """Where everything is."""

    directory: str = DIRECTORY
    compiled: str = COMPILED
    copy: str = COPY
    senders_directory: str = SENDERS_DIRECTORY
    senders: str = SENDERS
    state: str = STATE
    adaptive_user: str = ADAPTIVE_USER

    @property
    def good(self) -> str:
        return os.path.join(self.state, "good")

    @property
    def good_senders(self) -> str:
        return os.path.join(self.good, "badmailfrom.d")


@dataclass(frozen=True)
class Done:
    """What a compilation found and did, in lines to tell."""

    changes: tuple[str, ...] = ()  # who is treated otherwise from now on
    notices: tuple[str, ...] = ()  # what has no effect
    faults: tuple[str, ...] = ()  # what a person must mend
    summary: tuple[str, ...] = ()
    next_expiry: int | None = None


def stray_files(directory: str, names: Sequence[str] = tcprules.FRAGMENTS) -> list[str]:
    """A notice for each file in the directory that is no fragment, and so has no effect."""
    found = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [
        f"file {directory}/{name}: has no effect; expected only {', '.join(names)}"
        for name in found
        if name not in names and not name.startswith(".")
    ]


def refuse_edited(copy: str | None, wanted: str, path: str, directory: str) -> None:
    """Raises EditedByHand, showing the rules that would be lost, unless the copy is a generated one."""
    if copy is None or not rules_compiler.edited_by_hand(copy):
        return
    now = [line for line in copy.splitlines() if line and not line.startswith("#")]
    then = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    changes = [line for line in difflib.ndiff(then, now) if line[:2] in ("+ ", "- ")]
    shown = [f"\n  {line}" for line in changes[:_SHOWN_LINES]]
    if len(changes) > len(shown):
        shown.append(f"\n  and {len(changes) - len(shown)} more")
    raise EditedByHand(_edited(path, directory, "nothing is changed") + "".join(shown))


def _edited(path: str, directory: str, done: str) -> str:
    operator = os.path.join(directory, tcprules.OPERATOR)
    return (
        f"file {path}: was edited by hand since it was generated, {done}; expected changes in "
        f"{operator}: move them there, remove {path}, and run 'qmailctl cdb' again"
    )


def load(paths: Paths, now: float, own: dict[str, str] | None = None) -> rules_compiler.Compiled:
    """The fragments of the disk, own ones instead of theirs, compiled; raises BadInput and OSError."""
    texts, faults = read_fragments(
        paths.directory, tcprules.FRAGMENTS, {tcprules.ADAPTIVE: paths.adaptive_user}
    )
    texts.update(own or {})
    faults = {name: fault for name, fault in faults.items() if name not in texts}
    good = read_good(paths.good, tcprules.FRAGMENTS)
    # What Ansible writes has to be good by itself.
    good = {name: text for name, text in good.items() if name not in (own or {})}
    return rules_compiler.compile_fragments(texts, paths.directory, now, faults=faults, good=good)


def load_senders(paths: Paths, now: float, own: dict[str, str] | None = None) -> bad_senders.Compiled:
    """The same for the bad senders."""
    texts, faults = read_fragments(paths.senders_directory, bad_senders.FRAGMENTS)
    texts.update(own or {})
    faults = {name: fault for name, fault in faults.items() if name not in texts}
    good = read_good(paths.good_senders, bad_senders.FRAGMENTS)
    return bad_senders.compile_fragments(texts, paths.senders_directory, now, faults=faults, good=good)


def rules_in_force(copy: str) -> tuple[tcprules.Rules, tuple[str, ...]]:
    """The rules of the readable copy, as they were compiled; none when it is missing or unreadable."""
    try:
        return rules_compiler.parse_copy(read_text(copy) or "", copy)
    except BadInput:
        return tcprules.Rules(copy, (), ()), ()


def compile_rules(paths: Paths, now: float, *, by_hand: bool) -> Done:
    """Brings the compiled rules up to date; raises MailgateError and OSError.

    A readable copy that was edited by hand stops the command, whose caller can mend it; the service leaves
    the copy alone and goes on.
    """
    if not os.path.isdir(paths.directory):
        raise BadInput(f"directory {paths.directory}: missing; expected what mailgate.qmail.tcp_rules makes")
    with locked(paths.directory):
        made = load(paths, now)
        copy = read_text(paths.copy)
        edited = copy is not None and rules_compiler.edited_by_hand(copy)
        if by_hand:
            refuse_edited(copy, made.copy, paths.copy, paths.directory)
        before = rules_in_force(paths.copy)
        changed = publish(
            paths.compiled, made.cdb, lambda data: rules_compiler.verify_cdb(data, made, paths.compiled)
        )
        if not edited:
            publish(paths.copy, made.copy.encode("utf-8", "surrogateescape"))
        keep_good(paths.good, made.good)
    faults = made.faults()
    if edited:
        faults.append(_edited(paths.copy, paths.directory, "the copy is left alone"))
    write_status(
        paths.state,
        "rules",
        {
            "rules": len(made.rules.rules),
            "adaptive": len(made.adaptive),
            "next_expiry": made.next_expiry,
            "copy_edited": edited,
            "error": "",
            "fragments": {
                name: {"version": state.version, "fault": state.fault} for name, state in made.states.items()
            },
        },
    )
    return Done(
        changes=tuple(rules_compiler.describe_changes(before, made)) if changed and not edited else (),
        notices=(*stray_files(paths.directory), *made.notices),
        faults=tuple(faults),
        summary=(
            f"{paths.compiled}: {made.count} rules, {'in force now' if changed else 'in force already'}",
        ),
        next_expiry=made.next_expiry,
    )


def compile_senders(paths: Paths, now: float) -> Done:
    """Brings control/badmailfrom up to date; raises MailgateError and OSError."""
    if not os.path.isdir(paths.senders_directory):
        return Done()
    with locked(paths.senders_directory):
        made = load_senders(paths, now)
        before = bad_senders.in_force(read_text(paths.senders) or "")
        changed = publish(paths.senders, made.text.encode("utf-8", "surrogateescape"))
        keep_good(paths.good_senders, made.good)
    write_status(
        paths.state,
        "bad_senders",
        {
            "senders": len(made.senders),
            "next_expiry": made.next_expiry,
            "error": "",
            "fragments": {
                name: {"version": version, "fault": fault} for name, (version, fault) in made.versions.items()
            },
        },
    )
    return Done(
        changes=tuple(bad_senders.describe_changes(before, made.senders)),
        notices=tuple(stray_files(paths.senders_directory, bad_senders.FRAGMENTS)),
        faults=tuple(made.faults()),
        summary=(
            f"{paths.senders}: {len(made.senders)} senders, in force {'now' if changed else 'already'}",
        ),
        next_expiry=made.next_expiry,
    )


def _check(paths: Paths, now: float) -> Done:
    """Says what compile would say, and changes nothing."""
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
    """Who would be treated otherwise by compile."""
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
    """Which rule decides about an address, whose it is, why and until when, and what does not count."""
    if "@" in given.address:
        return _explain_sender(paths, now, given.address)
    try:
        address = ipaddress.ip_address(given.address)
    except ValueError as error:
        expected = "expected one such as 192.0.2.1, or a sender such as user@host"
        raise BadInput(f"address: {given.address!r} is no address; {expected}") from error
    if not isinstance(address, ipaddress.IPv4Address):
        raise BadInput(
            f"address: {given.address!r} is IPv6, which is not supported yet; expected an IPv4 address"
        )
    ip = str(address)
    made = load(paths, now)
    rule, entry = rules_compiler.decide(made, ip, given.host, given.info)
    effects = tcprules.effects(rule)
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
        said.append(f"  by {rules_compiler.author(rule)}: {entry.why}, until {notes.when(entry.until)}")
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
    return text + (f", until {notes.when(note.until)}" if note.until is not None else "")


def _state(compiled: str, made: rules_compiler.Compiled) -> str:
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
    """mailgate rules compile | check | diff | explain ADDRESS | watch."""
    parser = Parser(
        prog="mailgate rules",
        description="Who may connect and relay, and which senders are refused.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "compile": "make the compiled files from the fragments",
        "check": "say what compile would say, and change nothing",
        "diff": "say in words what compile would change",
        "explain": "say which rule decides about an address, whose it is and why",
        "watch": "compile whenever a fragment changes or an entry ends, for ever",
    }
    default = Paths()
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        for option, value, words in (
            ("--directory", default.directory, "the fragments of rules"),
            ("--compiled", default.compiled, "the compiled file"),
            ("--copy", default.copy, "its readable copy"),
            ("--senders-directory", default.senders_directory, "the fragments of bad senders"),
            ("--senders", default.senders, "the file that is made of them"),
            ("--state", default.state, "where last good versions and the status are kept"),
            ("--adaptive-user", default.adaptive_user, f"who writes {tcprules.ADAPTIVE}"),
        ):
            command.add_argument(option, default=value, help=f"{words} (%(default)s)")
        if name == "explain":
            command.add_argument("address", metavar="ADDRESS", help="the client's IPv4 address, or a sender")
            command.add_argument("--host", help="the client's name, in lower case")
            command.add_argument("--info", help="what the client's ident service says")
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
        from .rules_service import watch

        watch(paths)
        return 0
    gc.disable()  # hundreds of thousands of rules, none of them garbage, are looked at again and again
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
