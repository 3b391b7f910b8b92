# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate backup`: what only this host knows, in one archive, and back from it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence

from ..core.errors import MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..formats import supervise
from ..host import backup
from .parser import Parser

STOP_SECONDS = 60
EPILOG = """\
In the archive are the operators' entries and their audit log, the adaptive blacklist, the greylist, the valid
recipients, the statistics, what SpamAssassin learned, and the certificates with their keys: keep it as secret
as a key. Settings are not, they come from the site file. With --queue the messages that wait are in it, too;
one that was delivered meanwhile comes a second time when it is restored.

Restoring ends the services that write these files meanwhile; mail that comes is put off, not lost. What the
host has newer stays: a list of recipients that serves, certificates that are better (valid, of an authority,
ending later), and its audit log, beside the archive's where neither continues the other.

exit status:
  0, 100 bad archive or argument, 111 something could not be read or written

examples:
  mailgate backup create /root/gateway.tar.gz
  mailgate backup create --queue /root/gateway.tar.gz
  mailgate backup restore /root/gateway.tar.gz
"""


def main(argv: Sequence[str] | None = None, host: backup.Host | None = None) -> int:
    """Run `mailgate backup create FILE | show FILE | restore FILE`; return the exit status."""
    parser = Parser(
        prog="mailgate backup", description="What only this host knows, in one archive.", epilog=EPILOG
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, words in (
        ("create", "write an archive"),
        ("show", "judge an archive and say from where and when it is"),
        ("restore", "put all of an archive back"),
    ):
        one = verbs.add_parser(verb, help=words)
        one.add_argument("file", metavar="FILE", help="the archive")
        if verb != "show":
            one.add_argument("--queue", action="store_true", help="the queued messages, too")
    given = parser.parse_args(argv)
    host = host or backup.Host()
    try:
        if given.verb == "create":
            lines = _created(backup.create(host, given.file, given.queue))
        else:
            lines = _restored(host, given.file, given.verb == "restore", getattr(given, "queue", False))
    except TryAgain as error:
        return _complain(str(error), TEMPORARY)
    except MailgateError as error:
        return _complain(str(error), PERMANENT)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}", TEMPORARY)
    for line in lines:
        sys.stdout.write(f"mailgate backup: {line}\n")
    for line in host.warnings:
        sys.stderr.write(f"mailgate backup: warning: {line}\n")
    return 0


def _created(counts: dict[str, int]) -> list[str]:
    return [f"{name}: {count}" for name, count in counts.items()]


def _restored(host: backup.Host, archive: str, really: bool, queue: bool) -> list[str]:
    found = backup.inspect(host, archive)
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.made))
    lines = [f"from {found.hostname}, {made}, {found.queued} queued messages"]
    if not really:
        return lines
    stopped = _stop(backup.chosen_services(host, found.services))
    try:
        counts = backup.restore(host, archive, queue)
    finally:
        for service in stopped:
            supervise.tell(service, b"u")
    return [*lines, *_created(counts), *host.notices]


def _stop(services: Iterable[str]) -> list[str]:
    """End those that run, and wait; return them."""
    stopped = []
    end = time.monotonic() + STOP_SECONDS
    for service in services:
        status = supervise.look(service).status
        if status is not None and status.pid:
            supervise.tell(service, b"d")
            stopped.append(service)
    for service in stopped:
        while (status := supervise.look(service).status) is not None and status.pid:
            if time.monotonic() > end:
                for one in stopped:
                    supervise.tell(one, b"u")
                raise TryAgain(
                    f"service {os.path.basename(service)} did not end within {STOP_SECONDS} seconds"
                )
            time.sleep(0.1)
    return stopped


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"mailgate backup: {text}\n")
    return status
