# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate rules: makes /etc/tcp.smtp.cdb and its readable copy from the fragments in /etc/tcp.d.

Exit status: 0 done; 1 the copy was edited by hand; 100 a fragment or an argument is bad; 111 try again.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import ipaddress
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from . import cdb, tcprules
from .atomic import replacing
from .cli import PERMANENT, TEMPORARY, Parser
from .errors import BadInput, MailgateError

DIRECTORY, COMPILED, COPY = "/etc/tcp.d", "/etc/tcp.smtp.cdb", "/etc/tcp.smtp"
EDITED = 1
LOCK_SECONDS = 10.0
_MODE = 0o644
_SHOWN_LINES = 10


class EditedByHand(MailgateError):
    """The readable copy holds changes that a new one would lose."""


class Busy(OSError):
    """Another run holds the lock."""


def read_text(path: str) -> str | None:
    """The file's text, bytes that are no UTF-8 as surrogates; None when there is no such file."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def read_fragments(directory: str) -> dict[str, str]:
    """The texts of the fragments that are there, by name."""
    texts = {name: read_text(os.path.join(directory, name)) for name in tcprules.FRAGMENTS}
    return {name: text for name, text in texts.items() if text is not None}


def stray_files(directory: str) -> list[str]:
    """A notice for each file in the directory that is no fragment, and so has no effect."""
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [
        f"file {directory}/{name}: has no effect; expected only {', '.join(tcprules.FRAGMENTS)}"
        for name in names
        if name not in tcprules.FRAGMENTS and not name.startswith(".")
    ]


def refuse_edited(copy: str | None, wanted: str, path: str, directory: str) -> None:
    """Raises EditedByHand, showing the rules that would be lost, unless the copy is a generated one."""
    if copy is None or not tcprules.edited_by_hand(copy):
        return
    now = [line for line in copy.splitlines() if line and not line.startswith("#")]
    then = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    changes = [line for line in difflib.ndiff(then, now) if line[:2] in ("+ ", "- ")]
    shown = [f"\n  {line}" for line in changes[:_SHOWN_LINES]]
    if len(changes) > len(shown):
        shown.append(f"\n  and {len(changes) - len(shown)} more")
    operator = os.path.join(directory, tcprules.OPERATOR)
    raise EditedByHand(
        f"file {path}: was edited by hand since it was generated, nothing is changed; expected changes in "
        f"{operator}: move them there, remove {path}, and run 'qmailctl cdb' again" + "".join(shown)
    )


@contextlib.contextmanager
def locked(directory: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Holds the lock under which fragments are read and compiled files written; raises Busy after seconds."""
    path = os.path.join(directory, ".lock")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    raise Busy(f"file {path}: locked by another run for {seconds:g} s; try later") from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def publish(path: str, content: bytes, check: Callable[[bytes], None] | None = None) -> bool:
    """Puts content into place so that a reader finds the old file or the new one, whole; whether anything
    changed.

    check sees what the disk holds before the new file gets its name, and raises to refuse it.
    """
    try:
        with open(path, "rb") as old:
            if old.read() == content and stat.S_IMODE(os.fstat(old.fileno()).st_mode) == _MODE:
                return False
    except FileNotFoundError:
        pass

    def check_written(temporary: str) -> None:
        if check is not None:
            with open(temporary, "rb") as written:
                check(written.read())

    with replacing(path, _MODE, check=check_written) as new:
        new.write(content)
    return True


def compile_rules(directory: str, compiled: str, copy: str) -> list[str]:
    """Brings the compiled files up to date and returns what to tell; raises MailgateError and OSError."""
    if not os.path.isdir(directory):
        raise BadInput(f"directory {directory}: missing; expected what mailgate.qmail.tcp_rules makes")
    with locked(directory):
        wanted = tcprules.compile_fragments(read_fragments(directory), directory)
        refuse_edited(read_text(copy), wanted.copy, copy, directory)
        changed = publish(
            compiled, wanted.cdb, lambda data: tcprules.verify_cdb(data, wanted.rules, compiled)
        )
        publish(copy, wanted.copy.encode("utf-8", "surrogateescape"))
    said = [*stray_files(directory), *wanted.notices]
    number = len(wanted.rules.rules)
    return [*said, f"{compiled}: {number} rules, {'in force now' if changed else 'in force already'}"]


def check_rules(directory: str, compiled: str, copy: str) -> list[str]:
    """Does all that compile_rules() does but write."""
    wanted = tcprules.compile_fragments(read_fragments(directory), directory)
    refuse_edited(read_text(copy), wanted.copy, copy, directory)
    said = [*stray_files(directory), *wanted.notices]
    return [*said, _state(compiled, wanted)]


def explain(directory: str, compiled: str, ip: str, host: str | None, info: str | None) -> list[str]:
    """Which rule decides about an address, and what it does."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError as error:
        raise BadInput(f"address: {ip!r} is no address; expected one such as 192.0.2.1") from error
    if not isinstance(address, ipaddress.IPv4Address):
        raise BadInput(f"address: {ip!r} is IPv6, which is not supported yet; expected an IPv4 address")
    wanted = tcprules.compile_fragments(read_fragments(directory), directory)
    rule = tcprules.lookup(wanted.rules, address, host, info)
    effects = tcprules.effects(rule)
    words = "is refused" if "refused" in effects else "may connect"
    if "relay" in effects:
        words += " and relay"
    variables = [effect for effect in effects if effect not in ("refused", "relay")]
    if variables:
        words += f", with {', '.join(variables)}"
    why = f"{rule.where}: {rule.text}" if rule else "no rule matches"
    said = [f"{address} {words}", f"  {why}"]
    state = _state(compiled, wanted)
    return said if state.endswith("in force already") else [*said, f"  {state}"]


def _state(compiled: str, wanted: tcprules.Compiled) -> str:
    try:
        with open(compiled, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        return f"{compiled}: missing; run 'mailgate rules compile'"
    if data == wanted.cdb:
        return f"{compiled}: {len(wanted.rules.rules)} rules, in force already"
    try:
        cdb.Reader(data, compiled)
    except BadInput as error:
        return f"{error}; run 'mailgate rules compile'"
    return f"{compiled}: older than the fragments; run 'mailgate rules compile'"


def main(argv: Sequence[str] | None = None) -> int:
    """mailgate rules compile | check | explain ADDRESS."""
    parser = Parser(
        prog="mailgate rules", description="Who may connect and relay: the fragments in /etc/tcp.d."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "compile": "make the compiled file and its readable copy from the fragments",
        "check": "say what compile would say, and change nothing",
        "explain": "say which rule decides about an address",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--directory", default=DIRECTORY, help="the fragments (%(default)s)")
        command.add_argument("--compiled", default=COMPILED, help="the compiled file (%(default)s)")
        if name == "explain":
            command.add_argument("address", metavar="ADDRESS", help="the client's IPv4 address")
            command.add_argument("--host", help="the client's name, in lower case")
            command.add_argument("--info", help="what the client's ident service says")
        else:
            command.add_argument("--copy", default=COPY, help="its readable copy (%(default)s)")
    given = parser.parse_args(argv)
    try:
        if given.command == "compile":
            said = compile_rules(given.directory, given.compiled, given.copy)
        elif given.command == "check":
            said = check_rules(given.directory, given.compiled, given.copy)
        else:
            said = explain(given.directory, given.compiled, given.address, given.host, given.info)
    except MailgateError as error:
        return _complain(error, EDITED if isinstance(error, EditedByHand) else PERMANENT)
    except OSError as error:
        return _complain(error, TEMPORARY)
    for line in said:
        sys.stdout.write(f"{_printable(line)}\n")
    return 0


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"mailgate rules: {_printable(str(error))}\n")
    return status


def _printable(text: str) -> str:
    """Text that any terminal takes: a fragment may hold bytes that are no characters."""
    return "".join(char if char == "\n" or char.isprintable() else ascii(char)[1:-1] for char in text)
