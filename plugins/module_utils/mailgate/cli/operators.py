# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate allow, deny, relay, block-sender, trust-sender, distrust-sender, recipient and operator.

Exit status: 0 done; 100 refused, nothing changed; 111 try again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import OPERATOR_SOCKET
from ..core.sockets import NoAnswer
from ..core.text import one_line
from ..core.times import duration, span, utc
from ..operators.client import ask
from ..operators.entries import BLOCKED, CLIENTS, LISTS, RECIPIENTS, RELAY, SENDERS, TRUSTED
from ..operators.lookups import ExternalPaths
from ..operators.places import OperatorPaths
from .parser import Parser

_STATUS = """\
exit status:
  0    done
  100  refused, nothing is changed; the message says why
  111  not possible now; try again
"""


@dataclass(frozen=True)
class _Act:
    """An act as a command: its list, the action for a client, its argument, its description, an example."""

    name: str
    action: str
    metavar: str
    words: str
    example: str


ACTS = {
    "allow": _Act(
        CLIENTS,
        "allow",
        "NETWORK",
        "Admit a client, whatever the greylist, the DNS lists and the adaptive blacklist decide.\n"
        "A client that the site file refuses stays refused.",
        "mailgate allow 203.0.113.7 --note 'partner, greylisting breaks their mailer' --for 30d",
    ),
    "deny": _Act(
        CLIENTS,
        "deny",
        "NETWORK",
        "Refuse a client: its connections are closed at once. Protected networks cannot be refused.",
        "mailgate deny 10.0.0.9 --note 'infected, until it is reinstalled' --for 2d",
    ),
    "relay": _Act(
        RELAY,
        "",
        "NETWORK",
        "Allow a network to relay, to any domain. Its mail is scanned.",
        "mailgate relay 10.9.0.0/24 --note 'new branch office, ticket 4711'",
    ),
    "block-sender": _Act(
        SENDERS,
        "",
        "SENDER",
        "Refuse an envelope sender in SMTP: user@host, or @host for every sender of a host.",
        "mailgate block-sender @spam.example --note 'newsletter that nobody wants'",
    ),
    "trust-sender": _Act(
        TRUSTED,
        "",
        "SENDER",
        "Never treat a sender's mail as spam: user@host, or @host. Viruses are refused all the same.",
        "mailgate trust-sender billing@partner.example --note 'invoices look like spam'",
    ),
    "distrust-sender": _Act(
        BLOCKED,
        "",
        "SENDER",
        "Always treat a sender's mail as spam: user@host, or @host.",
        "mailgate distrust-sender @shop.example --note 'asked for by the helpdesk'",
    ),
    "recipient": _Act(
        RECIPIENTS,
        "",
        "ADDRESS",
        "Add a valid recipient, in a served domain, that neither directory nor site file has.",
        "mailgate recipient fax2@example.com --note 'new fax gateway, not in the directory'",
    ),
}

_QUESTIONS = {
    "entries": ("list the entries of a list, the site's and the operators'", "list"),
    "check": ("check whether a value can be added to a list", "list"),
    "undo": ("undo an act: that of a number, or your last one that is still in effect", ""),
    "audit": ("list the operators' acts, newest first", ""),
    "recipient": ("tell whether an address is a valid recipient, and by what", "address"),
    "blacklist": ("list the addresses that the adaptive blacklist refuses", ""),
    "explain": ("show what the adaptive blacklist knows about an address", "address"),
    "release": ("end the adaptive blacklist's refusal of an address", "address"),
    "greylist": ("list networks that the greylist knows", "search"),
    "pass": ("let the network of an address pass the greylist", "address"),
    "queue": ("list the messages in the queue", "search"),
    "flush": ("try to deliver every message in the queue now", ""),
    "trace": ("tell what became of mail: by sender, recipient, client or subject", "search"),
    "status": ("show the findings of 'mailgate doctor --quick'", ""),
    "serve": ("run the service (as root under supervise)", ""),
}
_WITH_NOTE = ("release", "pass", "flush")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named by the first argument; return 0, 100 or 111."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words else "operator"
    parser = _act_parser(name) if name in ACTS else _operator_parser()
    given = parser.parse_args(words)
    try:
        if name in ACTS:
            _act(name, given)
            return 0
        if given.command == "serve":
            return _serve(given)
        _question(given)
        return 0
    except TryAgain as error:
        return _complain(name, error, TEMPORARY)
    except MailgateError as error:
        return _complain(name, error, PERMANENT)
    except OSError as error:
        return _complain(name, error, TEMPORARY)


def _act_parser(name: str) -> Parser:
    act = ACTS[name]
    parser = Parser(
        prog=f"mailgate {name}",
        description=act.words,
        epilog=(
            "Sends a request to the service operator; for root and members of the group operators.\n"
            f"The service checks the act, writes {OperatorPaths().file(act.name)}\n"
            f"and {OperatorPaths().audit}, and activates it at once.\n\n"
            f"{_STATUS}\nexample:\n  {act.example}\n"
        ),
    )
    parser.add_argument("value", metavar=act.metavar, help=_value_help(act))
    parser.add_argument("--note", required=True, metavar="TEXT", help="who asked for it, and why")
    parser.add_argument(
        "--for", dest="time", metavar="TIME", default="", help="such as 30m, 4h or 2d (default: for ever)"
    )
    parser.add_argument("--remove", action="store_true", help="remove the entry instead (default: add it)")
    parser.add_argument("--preview", action="store_true", help="only say what it would do (default: do it)")
    _common(parser)
    return parser


def _value_help(act: _Act) -> str:
    if act.name in (RELAY, CLIENTS):
        return "a network such as 10.0.0.0/24 or 2001:db8:1::/48, or one address"
    return (
        "an address such as user@host" if act.name == RECIPIENTS else "user@host, or @host for all of a host"
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the answer as JSON (default: text)")
    parser.add_argument("--socket", default=OPERATOR_SOCKET, help="where the service listens (%(default)s)")


def _operator_parser() -> Parser:
    parser = Parser(
        prog="mailgate operator",
        description="The operators' entries, acts and lookups.",
        epilog=(
            "Sends a request to the service operator; for root and members of the group operators.\n"
            f"Every act is recorded in {OperatorPaths().audit}.\n\n{_STATUS}\n"
            "examples:\n  mailgate operator entries clients\n  mailgate operator undo --preview\n"
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (words, what) in _QUESTIONS.items():
        command = commands.add_parser(
            name,
            help=words,
            description=words,
            epilog=_STATUS,
        )
        if what == "list":
            command.add_argument("list", choices=LISTS, metavar="LIST", help=f"one of {', '.join(LISTS)}")
        elif what == "address":
            command.add_argument("address", metavar="ADDRESS", help="an address")
        elif what == "search":
            command.add_argument(
                "search", nargs="?", default="", metavar="TEXT", help="a part (default: all)"
            )
        _more(name, command)
        if name != "serve":
            _common(command)
    return parser


def _more(name: str, command: argparse.ArgumentParser) -> None:
    if name == "check":
        command.add_argument("value", metavar="VALUE", help="the value to check")
        command.add_argument(
            "--action", default="", help="allow or deny, in the list clients (default: none)"
        )
    if name == "undo":
        command.add_argument(
            "number",
            nargs="?",
            type=int,
            metavar="NUMBER",
            help="of the act, see 'audit' (default: your last one)",
        )
        command.add_argument(
            "--preview", action="store_true", help="only say what it would do (default: do it)"
        )
        command.add_argument(
            "--yes", action="store_true", help="do it without a question (default: ask at a terminal)"
        )
    if name == "audit":
        command.add_argument("--limit", type=int, default=20, help="how many (default: %(default)s)")
    if name in _WITH_NOTE:
        command.add_argument("--note", default="", metavar="TEXT", help="the reason (default: none)")
    if name == "serve":
        default, outside = OperatorPaths(), ExternalPaths()
        for option, value, words in (
            ("--state", default.state, "socket, audit log and the operators' recipients"),
            ("--settings", default.settings, "the settings"),
            ("--spamassassin", default.spamassassin, "SpamAssassin's configuration"),
            ("--queue", outside.queue, "qmail's queue"),
            ("--greylist", outside.greylist, "the state of cqgreylist"),
            ("--blacklist", outside.blacklist, "the directory of the adaptive blacklist"),
        ):
            command.add_argument(option, default=value, help=f"{words} (%(default)s)")


def _serve(given: argparse.Namespace) -> int:
    # Imported here, because the clients do not need it.
    from ..operators.service import serve

    places = OperatorPaths(state=given.state, settings=given.settings, spamassassin=given.spamassassin)
    return serve(places, ExternalPaths(blacklist=given.blacklist, greylist=given.greylist, queue=given.queue))


def _act(name: str, given: argparse.Namespace) -> None:
    act = ACTS[name]
    request: dict[str, object] = {
        "do": "preview" if given.preview else "act",
        "act": "remove" if given.remove else "add",
        "list": act.name,
        "value": given.value,
        "action": act.action,
        "note": given.note,
        "seconds": duration(given.time) if given.time else None,
    }
    _tell(request, given)


def _question(given: argparse.Namespace) -> None:
    names = ("list", "value", "action", "address", "search", "note", "limit", "preview", "number")
    asked = {name: getattr(given, name) for name in names if hasattr(given, name)}
    if given.command == "undo" and not given.preview and not given.yes and sys.stdin.isatty():
        found = ask({"do": "undo", "preview": True, "number": given.number}, given.socket)
        if found["problem"]:
            raise BadInput(str(found["problem"]))
        sys.stdout.writelines(f"{one_line(line)}\n" for line in describe("undo", found, time.time()))
        asked["number"] = found["undoes"]["number"]  # not another one that came meanwhile
        sys.stdout.write("do it? y or n: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise BadInput("undo: not confirmed, so nothing is done")
    _tell({"do": given.command, **asked}, given)


def _tell(request: Mapping[str, object], given: argparse.Namespace) -> None:
    answer = ask(request, given.socket)
    if given.json:
        sys.stdout.write(f"{json.dumps(answer, indent=2)}\n")
    else:
        try:
            lines = describe(str(request["do"]), answer, time.time())
        except (KeyError, TypeError, ValueError) as error:
            raise NoAnswer(f"answer of the service operator: {error!r}; expected the same version") from error
        for line in lines:
            sys.stdout.write(f"{one_line(line)}\n")
    if answer.get("problem"):
        raise BadInput(str(answer["problem"]))


def describe(do: str, answer: Mapping[str, Any], now: float) -> list[str]:
    """Return an answer as lines for people."""
    if do in ("act", "undo", "preview", "release", "pass", "flush"):
        number = f"act {answer['number']}: " if "number" in answer else ""
        undoes = answer.get("undoes")
        head = [f"undoes act {_act_line(undoes)}"] if undoes else []
        return [*head, *(f"{number}{one}" for one in answer["effects"])]
    if do == "check":
        return [] if answer["problem"] else [f"{answer['value']}: could be added"]
    if do == "entries":
        return [_entry(one, now) for one in answer["entries"]] or ["no entries"]
    if do == "audit":
        return [line for one in answer["records"] for line in _record(one)] or ["no acts yet"]
    if do == "blacklist":
        lines = [
            f"{one['address']:18} {span(one['until'] - now)} more, by {one['by']}: {one['why']}"
            for one in answer["entries"]
        ]
        lines += [f"{one['address']:18} not refused: {one['why']}" for one in answer["spared"]]
        return lines or ["no address is refused"]
    if do == "greylist":
        lines = [
            f"{one['network']:18} {'passed, last' if one['passed'] else 'waits since'} {utc(one['since'])}"
            for one in answer["entries"]
        ]
        return _with_more(lines, answer["more"], "no such network")
    if do == "queue":
        lines = [line for one in answer["messages"] for line in _message(one)]
        return _with_more(lines, answer["more"], "no such message")
    if do == "trace":
        return [line for one in answer["journeys"] for line in _journey(one)] or ["nothing in the logs"]
    if do == "status":
        return [f"{one['check']}: {one['text']}" for one in answer["doctor"]["findings"]]
    return [str(one) for one in answer["words"]]


def _with_more(lines: list[str], more: int, nothing: str) -> list[str]:
    return [*lines, *([f"and {more} more"] if more else [])] or [nothing]


def _entry(one: Mapping[str, Any], now: float) -> str:
    words = [f"{one['value']:20}"]
    words += [f"{one['action']:5}"] if one["action"] else []
    words += [f"site: {one['fixed']}"] if one["fixed"] else [f"{one['by'] or '-'}: {one['note'] or '-'}"]
    if one["until"] is not None:
        words.append(f"({span(max(0, one['until'] - now))} more)")
    return " ".join(words)


def _record(one: Mapping[str, Any]) -> list[str]:
    return [_act_line(one), *(f"    {effect}" for effect in one["effects"])]


def _act_line(one: Mapping[str, Any]) -> str:
    what = " ".join(word for word in (one["do"], one["list"], one["action"], one["value"]) if word)
    until = f", until {utc(one['until'])}" if one["until"] is not None else ""
    number = "-" if one["number"] is None else one["number"]  # a refused act has none
    return f"{number} {utc(one['at'])} {one['by'] or 'mailgate'}: {what}: {one['note'] or '-'}{until}"


def _journey(one: Mapping[str, Any]) -> list[str]:
    who = f"<{one['sender']}> to {', '.join(one['recipients']) or '-'}" if one["sender"] is not None else "-"
    return [
        f"{utc(one['at'])} {one['client'] or '-'}: {who}",
        *(f"    {step['program']:11} {step['words']}" for step in one["steps"]),
        *(f"    note: {words}" for words in one["notes"]),
        *(f"    = {words}" for words in one["outcomes"]),
    ]


def _message(one: Mapping[str, Any]) -> list[str]:
    head = f"{one['id']} {utc(one['at'])} {one['bytes']} bytes from <{one['sender']}>"
    return [
        head,
        *(f"    {to['channel']} {'done ' if to['done'] else ''}{to['address']}" for to in one["recipients"]),
    ]


def _complain(name: str, error: Exception, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"mailgate {name}: {one_line(str(error))}\n")
    return status
