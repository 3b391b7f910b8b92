# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the scanners: test messages, signatures, and SpamAssassin's rules."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput, MailgateError
from ..core.paths import (
    CLAMAV_DATABASES,
    CLAMD_SOCKET,
    FRESHCLAM_LOG,
    SERVICES,
    SMTP_LOG,
    SPAMASSASSIN_RELEASED_RULES,
    SPAMASSASSIN_UPDATED_RULES,
    SPAMD_SOCKET,
)
from ..core.times import parse_english, rounded
from ..formats import smtpd_log as smtplog
from ..formats import supervise, tai64n
from ..host import sa_update
from . import findings as doctor
from . import sample_mail
from . import sample_mail as doctor_mail
from .context import Context, log_tail
from .findings import CRITICAL, WARNING, Finding, Limit, graded, several
from .sample_mail import Proof

_DATABASE = r"\.[a-z0-9]{2,4}$(?<!\.dat)(?<!\.tmp)"  # names of clamd's databases
_COUNTED_BYTES = 1 << 20
_ABOUT_COPIES = ("kept as ", "no copy is kept: ")  # notes about a message that was refused
# Parts of the scanner's refusals (simscan's custom-smtp-reject texts)
SCANNER_SAYS = {"virus": " virus", "spam": "spam-hits"}


def judge_proof(check: str, name: str, got: Proof, limits: Mapping[str, Limit]) -> Finding:
    """Judge whether the scanner refused its test message: EICAR for a virus, GTUBE for spam."""
    engine = "clamd" if check == "virus" else "spamd"
    because = f": {got.reason}" if got.reason else ""
    look = f"see /var/log/qmail/smtpd/current and /var/log/{engine}/current; svstat /service/{engine}"
    if not got.answer:
        text = f"{name}: no answer within {got.seconds:.0f} s to the {got.command}{because}"
        return Finding(check, CRITICAL, text, f"{look}, and svstat /service/qmail-smtpd")
    if got.command != "message":
        text = f"{name} could not be sent: the {got.command} was answered {got.answer!r}"
        return Finding(
            check,
            CRITICAL,
            text,
            "the gateway does not take mail for its own postmaster: see what the other checks say of "
            "recipients and rules, and /var/log/qmail/smtpd/current",
        )
    if got.answer.startswith("2"):
        return Finding(
            check,
            CRITICAL,
            f"{name} was delivered unscanned: {got.answer!r}",
            "stop mail at once with 'svc -d /service/qmail-smtpd', run the playbook again, then see what "
            "'mailgate doctor --only safety' says",
        )
    if got.answer.startswith("4"):
        return Finding(
            check, CRITICAL, f"the scanner is broken, mail is deferred ({got.answer}){because}", look
        )
    if SCANNER_SAYS[check] not in got.answer:
        text = f"{name} was refused, but not by the scanner: {got.answer!r}"
        return Finding(check, CRITICAL, text, look)
    level = graded("proof_seconds", got.seconds, limits)
    text = f"{name} is refused by the scanner, in {got.seconds:.1f} s"
    return Finding(check, level, text, f"the scanner is slow: see the load, and {look}" if level else "")


@dataclass(frozen=True)
class Signatures:
    """The state of ClamAV: clamd's answer to VERSION ('' for none), and the age of its databases."""

    version: str
    trouble: str
    official: bool  # whether the site wants the official database
    dated: float | None  # unix time of the daily database, reported by clamd
    newest: float | None  # unix time of the newest database file
    checked: float | None = None  # unix time of freshclam's last success
    freshclam: bool = False
    count: int | None = None  # of signatures in all files; None when not asked, or they cannot be read


def judge_signatures(seen: Signatures, now: float, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge whether clamd answers, how old its signatures are, and when they were last updated."""
    check, found = "signatures", []
    see = "see /var/log/freshclam/current, and run it now: svc -a /service/freshclam"
    if not seen.freshclam:
        see = "bring new ones with clamav_database_files and the playbook"
    if not seen.version:
        advice = "svstat /service/clamd, and see the end of /var/log/clamd/current"
        found.append(Finding(check, CRITICAL, f"clamd does not answer: {seen.trouble}", advice))
    elif seen.official and seen.dated is None:
        text = f"clamd has no official database: its version is {seen.version!r}"
        found.append(Finding(check, CRITICAL, text, see))
    elif seen.dated is None and seen.count is not None:
        level = graded("signature_count", seen.count, limits)
        few = f"its files hold {seen.count} signatures: few viruses are found"
        text = f"clamd has no official database, and {few}"
        advice = f"{see}; a site that wants no more sets doctor_limits: {{signature_count: [0, 0]}}"
        found.append(Finding(check, level, text if level else "", advice if level else ""))
    when = seen.dated if seen.dated is not None else seen.newest
    if when is None:
        if seen.version:
            advice = f"expected databases in /var/lib/clamav; {see}"
            found.append(Finding(check, CRITICAL, "the age of the signatures is unknown", advice))
    else:
        level = graded("signature_age_hours", (now - when) / 3600, limits)
        text = f"the signatures are {rounded(now - when)} old"
        found.append(Finding(check, level, text, see if level else ""))
    if seen.freshclam:
        if seen.checked is None:
            text = "freshclam's log has no successful update"
            found.append(Finding(check, WARNING, text, see))
        else:
            level = graded("freshclam_age_hours", (now - seen.checked) / 3600, limits)
            text = f"freshclam's last success is {rounded(now - seen.checked)} ago"
            found.append(Finding(check, level, text, see if level else ""))
    return several(found, check, "; ".join(["clamd answers", *(one.text for one in found if one.text)]))


def judge_spam_rules(
    answers: bool, newest: float | None, updated: bool, now: float, limits: Mapping[str, Limit]
) -> list[Finding]:
    """Judge whether spamd answers, and how old its rules are; not updated means those of the release."""
    check, found = "spam-rules", []
    if not answers:
        advice = "svstat /service/spamd, and see the end of /var/log/spamd/current"
        found.append(Finding(check, CRITICAL, "spamd does not answer on its socket", advice))
    see = "see /var/log/sa-update/current, and run it now: svc -a /service/sa-update"
    if newest is None:
        found.append(Finding(check, CRITICAL, "SpamAssassin has no rules", see))
    else:
        what = "the rules" if updated else "the rules, never updated,"
        level = graded("rules_age_days", (now - newest) / 86400, limits)
        found.append(Finding(check, level, f"{what} are {rounded(now - newest)} old", see if level else ""))
    return several(found, check, "; ".join(["spamd answers", *(one.text for one in found)]))


# The scanners


def smtpd_process(context: Context) -> tuple[int, dict[str, str]]:
    """Return the process of the SMTP service and its environment; 0 when it does not run."""
    status = supervise.look(context.path(f"{SERVICES}/qmail-smtpd")).status
    if status is None or not status.pid:
        return 0, {}
    try:
        with open(context.path(f"/proc/{status.pid}/environ"), "rb") as stream:
            pairs = stream.read().decode("utf-8", "surrogateescape").split("\0")
    except FileNotFoundError:
        return 0, {}
    split = (one.partition("=") for one in pairs)
    return status.pid, {name: value for name, equals, value in split if equals}


def _complaint(context: Context, since: float) -> str:
    """Return the scanner's last note in the log since a time."""
    for line in reversed(log_tail(context.path(f"{SMTP_LOG}/current"))):
        record = smtplog.parse(line)
        if not isinstance(record, smtplog.ScannerNote) or record.text.startswith(_ABOUT_COPIES):
            continue
        if record.at >= since * tai64n.NANOSECONDS:
            return record.text
    return ""


def _send(context: Context, check: str) -> sample_mail.Proof:
    settings = context.settings
    content = doctor_mail.message(check, settings.hostname, settings.postmaster, context.now)
    seconds = doctor_mail.ANSWER_SECONDS
    if check == "virus" and settings.proof is not None:
        began = time.time()
        got = doctor_mail.over_smtp(settings.proof, content, settings.hostname, settings.postmaster, seconds)
        if got.command == "message" and got.answer[:1] in ("4", ""):
            time.sleep(0.3)  # the log is written by another process
            return sample_mail.Proof(got.command, got.answer, got.seconds, _complaint(context, began))
        return got
    return own_session(context, content, settings.postmaster, {})


def own_session(
    context: Context, content: bytes, recipient: str, more: Mapping[str, str]
) -> sample_mail.Proof:
    """Send a message in a qmail-smtpd of its own, as for a client without a rule but with more environment.

    Raises BadInput without the service, and OSError.
    """
    pid, environment = smtpd_process(context)
    if not pid:
        raise BadInput("qmail-smtpd does not run; expected its service")
    with open(context.path(f"/proc/{pid}/limits"), encoding="ascii", errors="replace") as stream:
        limit = doctor_mail.memory_limit(stream.read())
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return doctor_mail.in_session(
        doctor_mail.session_command(limit, path),
        {**doctor_mail.stranger(environment), **more},
        content,
        context.settings.hostname,
        recipient,
        doctor_mail.ANSWER_SECONDS,
    )


def _proof(context: Context, check: str) -> list[Finding]:
    name = doctor_mail.TESTS[check][0]
    try:
        got = _send(context, check)
    except (OSError, MailgateError) as error:
        text = f"{name} could not be sent: {error}"
        advice = "svstat /service/qmail-smtpd, and see the end of /var/log/qmail/smtpd/current"
        return [Finding(check, doctor.CRITICAL, text, advice)]
    return [judge_proof(check, name, got, context.settings.limits)]


def virus(context: Context) -> list[Finding]:
    """Check that EICAR, sent over SMTP, is refused."""
    return _proof(context, "virus")


def spam(context: Context) -> list[Finding]:
    """Check that GTUBE, sent as by an unknown client, is refused."""
    return _proof(context, "spam")


def _ask_unix(path: str, request: bytes, within_seconds: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(within_seconds)
        peer.connect(path)
        peer.sendall(request)
        return peer.recv(4096)


def daily_date(version: str) -> float | None:
    """Return the date of the daily database in clamd's 'ClamAV 1.4.6/27700/Sat Nov 21 08:29:41 2026'."""
    parts = version.split("/")
    if len(parts) < 3:
        return None
    date = parse_english(parts[2])
    try:
        return None if date is None else time.mktime(date)
    except OverflowError:
        return None


def freshclam_success(lines: Sequence[str]) -> float | None:
    """Return when freshclam last found its databases up to date or updated them, from its log's lines."""
    for line in reversed(lines):
        if re.search(r"database is up-to-date|\bupdated \(version", line):
            at = smtplog.unix_nanoseconds(line)
            if at is not None:
                return at / tai64n.NANOSECONDS
    return None


def _newest(directory: str, pattern: str) -> float | None:
    """Return the latest change of a file whose name matches in a directory; None without any."""
    times = []
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if re.search(pattern, entry.name) and entry.is_file():
                times.append(entry.stat().st_mtime)
    return max(times, default=None)


def count_signatures(directory: str) -> int:
    """Return how many signatures the databases of a directory have, as far as it matters.

    A database of ClamAV has the number in the fourth field of its header; in other files each line is one.
    """
    total = 0
    for entry in os.scandir(directory):
        if not entry.is_file() or not re.search(_DATABASE, entry.name):
            continue
        with open(entry.path, "rb") as stream:
            head = stream.read(_COUNTED_BYTES)
        if head.startswith(b"ClamAV-VDB:"):
            fields = head.split(b":", 4)
            total += int(fields[3]) if len(fields) > 4 and fields[3].isdigit() else 0
        else:
            total += sum(1 for line in head.splitlines() if line.strip() and not line.startswith(b"#"))
    return total


def signatures(context: Context) -> list[Finding]:
    """Check clamd's answer, and the files of its databases."""
    version, trouble = "", ""
    try:
        answer = _ask_unix(context.path(CLAMD_SOCKET), b"zVERSION\0", 3)
        version = answer.rstrip(b"\0\n").decode("ascii", "replace")
        trouble = "" if version else "the answer is empty"
    except OSError as error:
        trouble = str(error.strerror or error)
    freshclam = "freshclam" in context.settings.services
    checked = None
    if freshclam:
        log = context.path(FRESHCLAM_LOG)
        with contextlib.suppress(FileNotFoundError):
            for name in ["current", *sorted((one for one in os.listdir(log) if one[0] == "@"), reverse=True)]:
                checked = freshclam_success(log_tail(f"{log}/{name}", 1 << 20))
                if checked is not None:
                    break
    dated, count = daily_date(version), None
    if dated is None:  # of an official database the number does not matter
        with contextlib.suppress(OSError):
            count = count_signatures(context.path(CLAMAV_DATABASES))
    seen = Signatures(
        version,
        trouble,
        context.settings.official_signatures,
        dated,
        _newest(context.path(CLAMAV_DATABASES), _DATABASE),
        checked,
        freshclam,
        count,
    )
    return judge_signatures(seen, context.now, context.settings.limits)


def spam_rules(context: Context) -> list[Finding]:
    """Check spamd's answer, and the files of its rules: the updated ones, else those of the release."""
    answers = sa_update.ping(context.path(SPAMD_SOCKET), 0)
    updated: list[float] = []
    state = context.path(SPAMASSASSIN_UPDATED_RULES)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(state):
            if re.fullmatch(r"[0-9]+\.[0-9]{6}", name):
                newest = _newest(f"{state}/{name}", r"\.cf$")
                updated += [newest] if newest is not None else []
    released = (_newest(context.path(one), r"\.cf$") for one in SPAMASSASSIN_RELEASED_RULES)
    found = max(updated) if updated else next((one for one in released if one is not None), None)
    return judge_spam_rules(answers, found, bool(updated), context.now, context.settings.limits)
