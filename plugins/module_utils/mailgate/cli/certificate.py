# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate certificate`: the certificates that the gateway speaks TLS with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import CERTIFICATES_DIRECTORY
from ..host.certificates import (
    CURRENT,
    check_pairs,
    facts,
    group_id,
    install,
    install_self_signed,
    installed,
    read_pair,
    set_rights,
    told,
)
from .parser import Parser

GROUP = "smtptls"
EPILOG = """\
A certificate file has the chain behind the certificate, as fullchain.pem of certbot. Give a second pair for a
gateway that has a key of ECDSA and one of RSA. Nothing is changed unless each key matches its certificate and
each certificate is valid now. Sessions go on; the next one uses the new certificate.

exit status:
  0, 100 a bad certificate or key, 111 something could not be read or written

examples, the second for certbot --deploy-hook:
  mailgate certificate install fullchain.pem privkey.pem
  cd "$RENEWED_LINEAGE" && mailgate certificate install fullchain.pem privkey.pem
"""


def _parser() -> Parser:
    parser = Parser(
        prog="mailgate certificate", description="The certificates of the gateway.", epilog=EPILOG
    )
    parser.add_argument(
        "--directory", default=CERTIFICATES_DIRECTORY, help="where they are kept (%(default)s)"
    )
    parser.add_argument("--group", default=GROUP, help="who may read the keys (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("install", help="use a certificate from now on")
    one.add_argument("certificate", metavar="CERTIFICATE", help="a file of PEM, with its chain")
    one.add_argument("key", metavar="KEY", help="the file of its key, without a passphrase")
    one.add_argument("second", nargs="*", metavar="CERTIFICATE KEY", help="a pair of the other kind of key")
    one = verbs.add_parser("self-signed", help="make certificates where there are none")
    one.add_argument("name", metavar="NAME", help="the gateway's host name")
    verbs.add_parser("show", help="say which are in use")
    return parser


def _install(directory: str, group: str, words: Sequence[str], now: datetime) -> list[str]:
    if len(words) % 2:
        raise BadInput(f"{words[-1]}: has no key behind it; expected CERTIFICATE KEY")
    places = list(zip(words[::2], words[1::2]))
    pairs = [read_pair(*place) for place in places]
    found = check_pairs(pairs, places, now)
    changed = install(directory, pairs, group_id(group))
    return [f"{'installed' if changed else 'unchanged'}: {told(one)}" for one in found]


def _self_signed(directory: str, group: str, name: str) -> list[str]:
    number = group_id(group)
    pairs = install_self_signed(directory, name, number)
    if not pairs:
        done = [f"set right: {one.after}" for one in set_rights(directory, number)]
        return done or ["unchanged: there are certificates"]
    return [f"installed: {told(facts(pair.certificate, name))}" for pair in pairs]


def _show(directory: str) -> list[str]:
    pairs = installed(directory)
    return [told(facts(pair.certificate, os.path.join(directory, CURRENT))) for pair in pairs] or ["none"]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def main(argv: Sequence[str] | None = None, now: Callable[[], datetime] = _now) -> int:
    given = _parser().parse_args(argv)
    try:
        if given.verb == "show":
            lines = _show(given.directory)
        elif given.verb == "install":
            lines = _install(
                given.directory, given.group, [given.certificate, given.key, *given.second], now()
            )
        else:
            lines = _self_signed(given.directory, given.group, given.name)
    except TryAgain as error:
        return _complain(str(error), TEMPORARY)
    except MailgateError as error:
        return _complain(f"{error}; nothing was changed", PERMANENT)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}; nothing was changed", TEMPORARY)
    for line in lines:
        sys.stdout.write(f"mailgate certificate: {line}\n")
    return 0


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"mailgate certificate: {text}\n")
    return status
