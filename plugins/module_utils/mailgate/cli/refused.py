# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate refused: the kept copies of messages that were refused as spam.

Exit status: 0 done; 100 refused, nothing changed; 111 try again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import OPERATOR_SOCKET
from ..core.sockets import NoAnswer
from ..core.text import one_line
from ..core.times import utc
from ..operators.client import ask
from .parser import Parser

_VERBS = {
    "list": "list what is kept, the newest first",
    "show": "show a message: envelope, verdict, rules that hit, its text",
    "release": "scan it with today's signatures, and deliver it to its recipients, once",
    "learn": "let Bayes learn it as ham or as spam",
    "forget": "delete the copy",
}
_EPILOG = """\
Sends a request to the service operator; for root and members of the group operators. A copy of a message that
was refused as spam is kept for gateway_keep_refused_days; its sender was told that it was refused. Every act
is in the audit log, see 'mailgate operator audit'.

exit status:
  0    done
  100  refused, nothing is changed; the message says why
  111  not possible now; try again

examples:
  mailgate refused list partner.example
  mailgate refused release 0123456789abcdef --note 'invoice, asked for by accounting'
  mailgate refused learn 0123456789abcdef ham
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, 100 or 111."""
    given = _parser().parse_args(argv)
    try:
        answer = ask(_request(given), given.socket)
        lines = [json.dumps(answer, indent=2)] if given.json else _described(given.verb, answer)
    except TryAgain as error:
        return _complain(error, TEMPORARY)
    except MailgateError as error:
        return _complain(error, PERMANENT)
    except OSError as error:
        return _complain(error, TEMPORARY)
    with contextlib.suppress(BrokenPipeError):  # whoever wanted to read it has seen enough; it is done
        for line in lines:
            sys.stdout.write(f"{line}\n" if given.json else f"{one_line(line)}\n")
        sys.stdout.flush()
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="mailgate refused",
        description="Kept copies of messages that were refused as spam.",
        epilog=_EPILOG,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, words in _VERBS.items():
        verb = verbs.add_parser(name, help=words, description=words)
        if name == "list":
            verb.add_argument(
                "search",
                nargs="?",
                default="",
                metavar="TEXT",
                help="a part of sender, recipient, subject, client or rule (default: all)",
            )
        else:
            verb.add_argument("name", metavar="NAME", help="of the message, see 'list'")
        if name == "learn":
            verb.add_argument("kind", choices=("ham", "spam"), metavar="KIND", help="ham or spam")
        if name == "release":
            verb.add_argument(
                "--again",
                action="store_true",
                help="also when an interrupted release may have delivered it (default: refuse)",
            )
        if name in ("release", "learn", "forget"):
            verb.add_argument("--note", default="", metavar="TEXT", help="who asked for it, and why")
        verb.add_argument("--json", action="store_true", help="print the answer as JSON (default: text)")
        verb.add_argument("--socket", default=OPERATOR_SOCKET, help="where the service listens (%(default)s)")
    return parser


def _request(given: argparse.Namespace) -> dict[str, object]:
    names = ("search", "name", "kind", "note", "again")
    asked = {name: getattr(given, name) for name in names if hasattr(given, name)}
    return {"do": "refused" if given.verb == "list" else f"refused-{given.verb}", **asked}


def _described(verb: str, answer: Mapping[str, Any]) -> list[str]:
    try:
        return describe(verb, answer)
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer(f"answer of the service operator: {error!r}; expected the same version") from error


def describe(verb: str, answer: Mapping[str, Any]) -> list[str]:
    """Return an answer as lines for people; strangers' characters are still in them."""
    if verb == "list":
        lines = [line for one in answer["messages"] for line in _listed(one)]
        more = [f"and {answer['more']} more: search for them"] if answer["more"] else []
        return [*lines, *more] or ["nothing is kept"]
    if verb == "show":
        cut = ["[cut here: there is more]"] if answer["cut"] else []
        return [*facts(answer["message"]), "", *answer["header"], "", *answer["body"], *cut]
    lines = [str(one) for one in answer["effects"]]
    if answer.get("trust"):
        lines.append(f"so that it is not refused again: mailgate trust-sender {answer['trust']} --note '...'")
    return lines


def verdict(one: Mapping[str, Any]) -> str:
    """Describe why a message was refused."""
    if one["virus"]:
        return f"virus {one['virus']}"
    if one["score"] is None:
        return str(one["verdict"]).lower()
    return (
        f"spam {one['score']:g} of {one['limit']:g}" if one["limit"] is not None else f"spam {one['score']:g}"
    )


def _listed(one: Mapping[str, Any]) -> list[str]:
    recipients = ", ".join(one["recipients"])
    return [
        f"{one['name']} {utc(one['at'])} {verdict(one)} from <{one['sender']}> to {recipients}",
        f"    {one['subject'] or '(no subject)'}",
        *([f"    {one['released']}"] if one["released"] else []),
    ]


def facts(one: Mapping[str, Any]) -> list[str]:
    """Return what is known of a copy, beside its text."""
    return [
        f"refused {utc(one['at'])}: {verdict(one)}, {one['bytes']} bytes",
        f"client {one['client'] or '-'}, id {one['id'] or '-'}",
        f"sender <{one['sender']}>",
        *(f"recipient {to}" for to in one["recipients"]),
        f"rules {', '.join(one['rules']) or '-'}",
        *([one["released"]] if one["released"] else []),
    ]


def _complain(error: Exception, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"mailgate refused: {one_line(str(error))}\n")
    return status
