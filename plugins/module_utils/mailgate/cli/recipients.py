# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate recipients`: export, verify, publish and look up the valid recipients.

Exit status: 0 done; 1 `check`: no such recipient, `status`: a person should look at it; 100 wrong usage or
settings; 111 the present list stays in use, try again.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from ..core.errors import BadInput, MailgateError
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import OPERATOR_RECIPIENTS, RECIPIENTS_DIRECTORY, RECIPIENTS_SETTINGS
from ..core.text import printable
from ..formats.cdb import Reader
from ..recipients import keys as recipients
from ..recipients.process import become, bound, read_settings, with_extra
from ..recipients.settings import Settings
from ..recipients.store import Store
from ..recipients.update import Outcome, Uncovered, age_alarm, refresh, rollback, status, update
from .caller import caller
from .parser import Parser

NOT_SO = 1
_SHOWN = 20


EPILOG = f"""\
reads and writes:
  {RECIPIENTS_SETTINGS}   domains, directories and limits, by Ansible
  {RECIPIENTS_DIRECTORY}   generations, the list that serves, and status.json
  {OPERATOR_RECIPIENTS}   what operators added

A list serves only once it is verified as complete; until then the last one does.

exit status:
  0, 1 check: no such recipient, or status: a person should look at it, 100 wrong usage or settings,
  111 the present list stays in use, try again

example:
  mailgate recipients check alice@example.com"""


def _parser() -> Parser:
    parser = Parser(
        prog="mailgate recipients",
        description="The valid recipients: control/validrcptto.cdb.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "status": "show the list that serves, its age, and what a person should look at",
        "update": "export, verify and publish",
        "refresh": "publish changes of the site file and the operators, without asking the directory",
        "diff": "export, and show what update would change",
        "rollback": "publish an earlier export again, with the present settings, and hold it",
        "check": "tell whether an address is a recipient",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--settings", default=RECIPIENTS_SETTINGS, help="the settings (%(default)s)")
        command.add_argument(
            "--directory", default=RECIPIENTS_DIRECTORY, help="the list and its generations (%(default)s)"
        )
        if name not in ("status", "check"):
            command.add_argument(
                "--extra", default=OPERATOR_RECIPIENTS, help="the operators' recipients (%(default)s)"
            )
        if name in ("status", "diff", "check", "update"):
            command.add_argument("--json", action="store_true", help="one JSON object")
        if name in ("update", "diff"):
            command.add_argument(
                "--accept-shrink",
                action="store_true",
                help="consent that the list may shrink this much",
            )
        if name == "update":
            command.add_argument("--release", action="store_true", help="end the hold of a rollback")
        if name == "diff":
            command.add_argument("--limit", type=int, default=_SHOWN, help="addresses shown (%(default)s)")
        if name == "rollback":
            command.add_argument(
                "number",
                nargs="?",
                type=int,
                metavar="GENERATION",
                help="default: the last one before the export that serves",
            )
        if name == "check":
            command.add_argument("address", metavar="ADDRESS")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate recipients COMMAND`; return the exit status."""
    given = _parser().parse_args(argv)
    try:
        return _run(given)
    except BrokenPipeError:
        return TEMPORARY
    except TimeoutError as error:
        return _complain(f"update: {error}; expected it to end", TEMPORARY)
    except Uncovered as error:
        return _complain(str(error), TEMPORARY)
    except MailgateError as error:
        return _complain(str(error), PERMANENT)
    except OSError as error:
        return _complain(str(error), TEMPORARY)


def _run(given: object) -> int:
    options = vars(given)
    command = str(options["command"])
    store = Store(str(options["directory"]))
    if command == "check":
        return _check(store, str(options["address"]), bool(options["json"]))
    settings = read_settings(str(options["settings"]))
    now = time.time()
    if command == "status":
        return _status(settings, store, now, bool(options["json"]))
    settings = with_extra(settings, now, str(options["extra"]))
    by = caller()
    person = os.geteuid() == 0
    if not person and (command == "rollback" or options.get("accept_shrink") or options.get("release")):
        raise BadInput(f"{command}: user {by!r} may not do that; expected root, as a person decides it")
    if person and os.path.isdir(store.directory) and os.stat(store.directory).st_uid != 0:
        become(pwd.getpwuid(os.stat(store.directory).st_uid).pw_name)
    bound(settings)
    if command == "diff":
        outcome = update(
            settings,
            store,
            now=now,
            by=by,
            write=False,
            accept_shrink=bool(options["accept_shrink"]),
            shown=max(0, int(str(options["limit"]))),
        )
        return _tell(
            outcome, bool(options["json"]), f"{outcome.before}{outcome.after}" or "nothing would change\n"
        )
    with store.locked():
        if command == "rollback":
            number = options["number"]
            made = rollback(store, None if number is None else int(str(number)), settings, now=now, by=by)
            told = store.reason(made)
            change = f"{told['count']} recipients, +{told['gained']} -{told['lost']}"
            _say(f"generation {made} serves, {change}; held until 'mailgate recipients update --release'")
            return 0
        if command == "refresh":
            outcome = refresh(settings, store, now=now, by=by)
            _say(f"generation {outcome.generation} serves, {outcome.count} recipients")
            return 0
        outcome = update(
            settings,
            store,
            now=now,
            by=by,
            accept_shrink=bool(options["accept_shrink"]),
            release=bool(options["release"]),
        )
    what = f"+{outcome.gained_count} -{outcome.lost_count}" if outcome.changed else "nothing changed"
    alarms = age_alarm(settings, store.state(), now) if settings.directory_domains else []
    line = "".join(f"{one}\n" for one in alarms)
    serving = f"generation {outcome.generation} serves, {outcome.count} recipients, {what}"
    return _tell(
        outcome, bool(options["json"]), line + (f"{serving}\n" if outcome.count else "nothing serves\n")
    )


def _tell(outcome: Outcome, as_json: bool, text: str) -> int:
    if as_json:
        _say(json.dumps(asdict(outcome), sort_keys=True))
    else:
        for line in (*outcome.notices, *text.splitlines()):
            _say(line)
    if outcome.problem:
        return _complain(outcome.problem, TEMPORARY)
    return 0


def _status(settings: Settings, store: Store, now: float, as_json: bool) -> int:
    facts, alarms = status(settings, store, now=now)
    if as_json:
        _say(json.dumps(facts, sort_keys=True))
    else:
        at = facts["last_export"]
        when = (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
            if isinstance(at, (int, float))
            else "never"
        )
        _say(f"generation {facts['generation']}: {facts['count']} recipients in {facts['file']}")
        domains = facts["domains"]
        for name, count in domains.items() if isinstance(domains, dict) else ():
            _say(f"  {name}: {count}{' (directory)' if name in settings.directory_domains else ''}")
        if settings.directory_domains:
            _say(f"last complete export: {when}")
        _say(f"generations: {' '.join(str(number) for number in store.numbers()) or 'none'}")
        for alarm in alarms:
            _say(f"look: {alarm}")
    return NOT_SO if alarms else 0


def _check(store: Store, address: str, as_json: bool) -> int:
    data = store.served()
    if data is None:
        return _complain(
            f"{store.served_path}: missing, every recipient gets 451; expected a list", TEMPORARY
        )
    reader = Reader(data, store.served_path)
    key = next((one for one in recipients.looked_up(address) if reader.get(one.encode()) is not None), "")
    if as_json:
        _say(json.dumps({"address": address, "accepted": bool(key), "key": key}, sort_keys=True))
    else:
        _say(f"{address}: accepted, by {key}" if key else f"{address}: refused, not in the list")
    return 0 if key else NOT_SO


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")


def _complain(text: str, exit_status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"mailgate recipients: {printable(text)}\n")
    return exit_status
