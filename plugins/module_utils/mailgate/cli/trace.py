# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate trace`: the journey of a message or a session, from all logs."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..core import times
from ..core.errors import BadInput
from ..core.exits import PERMANENT, TEMPORARY
from ..core.files import open_regular
from ..core.paths import SEND_LOG, SMTP_LOG
from ..core.text import one_line
from ..formats.smtpd_log import LABEL_CHARACTERS, NANOSECONDS, unix_nanoseconds
from ..maillog.archive import File, Log, ordered
from ..maillog.journey import Attempt, Journey, Message
from ..maillog.search import Found, Search, wanted
from .parser import Parser

SMTP_USER = "qmaild"
LIMIT, LIMIT_MAX = 20, 10_000
TEXT_CHARACTERS_MIN, TEXT_CHARACTERS_MAX = 1, 1000
NOTHING_FOUND = 1
LOG_READERS = "mailgate-log"  # the group of the logs' directories
_BY_SITE = "by gateway_operators or gateway_log_readers of the site, and a new login"
_FIRST_BYTES = 1 << 16
_FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")

_EPILOG = f"""\
what can be searched:
  an id              of a session or a message, as in the reply "250 ok ... id 6kz3rt9qm4.1", in Received,
                     and in the log
  an IP address      the sessions of that client; IPv6 in any form
  a network          those of all its clients, such as 192.0.2.0/24 or 2001:db8:1:2::/64
  a mail address     as sender or recipient; @example.com means every address of a domain
  anything else      a subject, or any other text of a line; case is ignored

reads:
  {SMTP_LOG}/*   tcpserver, dnsbl, cqgreylist, clientname, smtpfront, qmail-smtpd, simscan
  {SEND_LOG}/*    qmail-send
  including all rotated files; nothing is written. Root, operators and the other members of the group
  that owns these directories may read them.

The lines of a session and its messages are joined by their ids, and by the process number of qmail-queue.
Lines of version 0.2 and before have none: sender, recipients and time join them, which is said below the
timeline ("by inference"). Times are UTC.

exit status:
  0 found, 1 nothing found, 100 bad argument, 111 a log cannot be read

example:
  mailgate trace alice@example.com --since 2h
"""


def moment(text: str, now: float) -> int:
    """Parse '2h' (ago), '18:30' (today) or '2026-12-24 18:30', UTC, to unix nanoseconds; raises BadInput."""
    with contextlib.suppress(BadInput):
        return int((now - times.duration(text)) * NANOSECONDS)
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text, re.ASCII):
        text = f"{time.strftime('%Y-%m-%d', time.gmtime(now))} {text}"
    at = times.parse_utc(text, _FORMS)
    if at is None:
        raise BadInput(
            f"time: {text!r} is not a time; expected one such as 2h (ago), 18:30 or '2026-12-24 18:30' in UTC"
        )
    return at * NANOSECONDS


def open_log(directories: Sequence[str]) -> Log:
    """Return the log of these directories, with its files opened now; raises OSError."""
    files = []
    for directory in directories:
        for name in ordered(os.listdir(directory)):
            try:
                file = _open(os.path.join(directory, name), name)
            except FileNotFoundError:
                continue  # removed or renamed meanwhile
            files.append(file)
    if len(directories) > 1:
        files.sort(key=lambda one: one.first or 0)
    return Log(files)


def _open(path: str, name: str) -> File:
    stream = os.fdopen(open_regular(path), "rb", buffering=0)
    size = os.fstat(stream.fileno()).st_size
    first = None
    for line in os.pread(stream.fileno(), _FIRST_BYTES, 0).split(b"\n"):
        first = (
            unix_nanoseconds(line[:LABEL_CHARACTERS].decode("ascii", "replace")) if line[:1] == b"@" else None
        )
        if first is not None:
            break
    whole = size == 0 or os.pread(stream.fileno(), 1, size - 1) == b"\n"
    return File(first, _reader(stream.fileno(), size, stream), not whole and name.endswith(".s"))


def _reader(descriptor: int, size: int, _keep: object) -> Callable[[], bytes]:
    def read() -> bytes:
        kept = _keep  # keeps the stream open as long as this function exists
        blocks, at = [], 0
        while kept is not None and at < size:
            block = os.pread(descriptor, size - at, at)
            if not block:
                break
            blocks.append(block)
            at += len(block)
        return b"".join(blocks)

    return read


def utc(at: int) -> str:
    seconds, rest = divmod(at, NANOSECONDS)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03d}"


def describe(journey: Journey) -> list[str]:
    """Return a journey as lines for people."""
    session = journey.session
    if session is not None:
        name = session.id or str(session.pid)
        head = f"session {name} from {session.address or 'a client that is no longer in the log'}"
        head += f", over {one_line(session.tls)}" if session.tls else ""
    else:
        number = journey.message.number if journey.message is not None else 0
        head = f"message {number} of the queue; no session for it in the log"
    steps = journey.steps()
    day = utc(journey.begun)[:10]
    lines = [f"{day} {head}"]
    for step in steps:
        stamp = utc(step.at)
        shown = stamp[11:] if stamp[:10] == day else stamp
        lines.append(f"  {shown}  {step.program:11} {step.words}")
    lines += [f"  note: {one_line(text)}" for text in journey.inferences()]
    lines += [f"  = {one_line(words)}" for _kind, words in journey.verdicts()]
    return lines


def _seconds(at: int | None) -> float | None:
    return None if at is None else at / NANOSECONDS


def message_values(message: Message) -> dict[str, Any]:
    """Return a message as JSON values."""
    return {
        "number": message.number,
        "at": _seconds(message.begun),
        "bytes": message.size_bytes,
        "sender": message.sender,
        "deliveries": [
            {
                "at": _seconds(one.begun),
                "ended": _seconds(one.ended),
                "channel": one.channel,
                "recipient": one.recipient,
                "result": one.result,
                "text": one.text,
            }
            for one in message.deliveries
        ],
        "ended": _seconds(message.ended),
        "outcomes": [{"kind": kind, "words": words} for kind, words in message.outcomes()],
        "children": [message_values(child) for child in message.children],
    }


def _attempt_values(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": _seconds(attempt.at),
        "kind": attempt.kind,
        "words": attempt.words,
        "sender": attempt.sender,
        "recipients": list(attempt.recipients),
        "subject": attempt.subject,
        "scan_seconds": attempt.seconds,
        "id": attempt.id,
        "queue_pid": attempt.queue_pid,
        "message": None if attempt.message is None else message_values(attempt.message),
        "inference": attempt.inference,
    }


def values(journey: Journey) -> dict[str, Any]:
    """Return a journey as JSON values; times are unix seconds."""
    session = journey.session
    return {
        "session": None
        if session is None
        else {
            "id": session.id,
            "pid": session.pid,
            "address": session.address,
            "begun": _seconds(session.begun),
            "ended": _seconds(session.ended),
            "status": session.status,
            "tls": session.tls,
            "attempts": [_attempt_values(attempt) for attempt in session.attempts],
        },
        "message": None if journey.message is None else message_values(journey.message),
        "verdicts": [{"kind": kind, "words": words} for kind, words in journey.verdicts()],
        "timeline": [{"at": _seconds(s.at), "program": s.program, "words": s.words} for s in journey.steps()],
        "inferences": journey.inferences(),
    }


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _print(found: Found, as_json: bool, limit: int) -> None:
    if as_json:
        what = {"journeys": [values(journey) for journey in found.journeys], "more": found.more}
        sys.stdout.write(json.dumps(what, indent=2) + "\n")
        return
    for journey in found.journeys:
        sys.stdout.write("\n".join(describe(journey)).encode("utf-8", "backslashreplace").decode() + "\n\n")
    if found.more:
        sys.stdout.write(f"these are the newest {limit}; there are more, see --limit and --until\n")


def _arguments(argv: Sequence[str] | None) -> Any:
    parser = Parser(
        prog="mailgate trace",
        description="The journey of a message or a session through the gateway, as one timeline.",
        epilog=_EPILOG,
    )
    parser.add_argument("what", metavar="ID|ADDRESS|IP|SUBJECT|TEXT", help="what to search for, see below")
    parser.add_argument(
        "--since", metavar="TIME", help="only what happened from then on (default: the whole log)"
    )
    parser.add_argument("--until", metavar="TIME", help="only what happened before then (default: now)")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help="the newest N journeys (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON (default: as text)")
    parser.add_argument(
        "--logs",
        nargs="+",
        metavar="DIR",
        default=[],
        help=f"directories of multilog's files; qmail-send's are recognised by their lines "
        f"(default: {SMTP_LOG} {SEND_LOG})",
    )
    return parser.parse_args(argv)


def _is_send(directory: str) -> bool:
    """Return whether a directory given as argument has qmail-send's log, by the first line that shows it."""
    for name in reversed(ordered(os.listdir(directory))):
        with os.fdopen(open_regular(os.path.join(directory, name)), "rb") as stream:
            for line in stream.read(_FIRST_BYTES).split(b"\n"):
                text = line[LABEL_CHARACTERS + 1 :]
                if text.startswith(
                    (b"tcpserver: ", b"smtpfront", b"smtplaunch: ", b"simscan:", b"qmail-smtpd: ")
                ):
                    return False
                if re.match(
                    rb"status: local |new msg |info msg |starting delivery |delivery |end msg ", text
                ):
                    return True
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Print the journeys that match; return 0, 1 when there is none, 100 or 111."""
    given = _arguments(argv)
    try:
        now = time.time()
        text = given.what
        if not TEXT_CHARACTERS_MIN <= len(text) <= TEXT_CHARACTERS_MAX or not text.isprintable():
            raise BadInput(
                f"text: {text!r:.60} cannot be searched for; expected {TEXT_CHARACTERS_MIN} to "
                f"{TEXT_CHARACTERS_MAX} printable characters"
            )
        if not 1 <= given.limit <= LIMIT_MAX:
            raise BadInput(f"--limit: {given.limit!r} is out of range; expected 1 to {LIMIT_MAX}")
        since = None if given.since is None else moment(given.since, now)
        until = None if given.until is None else moment(given.until, now)
        smtp, send = [SMTP_LOG], [SEND_LOG]
        if given.logs:
            send = [directory for directory in given.logs if _is_send(directory)]
            smtp = [directory for directory in given.logs if directory not in send]
        search = Search(open_log(smtp), open_log(send), None if given.logs else _uid(SMTP_USER))
        found = search.find(wanted(text), since, until, given.limit)
        _print(found, given.json, given.limit)
    except BadInput as error:
        return _complain(error, PERMANENT)
    except BrokenPipeError:
        return TEMPORARY
    except PermissionError as error:
        return _complain(BadInput(_who_may(str(error.filename or ""))), PERMANENT)
    except OSError as error:
        return _complain(error, TEMPORARY)
    if not found.journeys and not given.json:
        sys.stderr.write(f"mailgate trace: nothing about {one_line(text)!r} in the logs\n")
    return 0 if found.journeys else NOTHING_FOUND


def _who_may(path: str) -> str:
    """Return the message for a log that this user may not read: it names the group that may."""
    place = path
    while place not in ("", "/"):
        with contextlib.suppress(OSError, KeyError):
            status = os.stat(place)
            if status.st_mode & 0o040 and status.st_gid:
                members = grp.getgrgid(status.st_gid).gr_name
                who = f"log {path}: not allowed; expected root or a member of the group {members!r}"
                return f"{who}, {_BY_SITE}" if members == LOG_READERS else who
            break
        place = os.path.dirname(place)
    return f"log {path}: not allowed; expected root"


def _complain(error: Exception, status: int) -> int:
    sys.stderr.write(f"mailgate trace: {one_line(str(error))}\n")
    return status
