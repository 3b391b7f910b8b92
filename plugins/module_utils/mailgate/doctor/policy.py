# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the policy: recipients, rules, and the settings that keep the relay closed."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.paths import (
    ACCEPTED_DOMAINS,
    DOMAIN_RULES,
    RECIPIENTS_DIRECTORY,
    RECIPIENTS_SETTINGS,
    RULES_COMPILED,
    SCANNER,
    VALID_RECIPIENTS,
)
from ..core.times import rounded
from ..formats import accepted_domains, cdb, domain_rules, tcprules
from ..formats.rule_keys import shown_key
from ..recipients.process import read_settings
from ..recipients.store import Store
from ..recipients.update import status as recipients_status
from ..rules import apply as rules_command
from ..rules import readable_copy as rules_compiler
from ..rules import senders as bad_senders
from ..rules.files import read_text
from . import findings as doctor
from .context import LOOK_AGAIN_SECONDS, Context, mode_and_owner
from .findings import CRITICAL, WARNING, Finding, several
from .scanners import smtpd_process

# Lists and rules


def judge_recipients(
    facts: Mapping[str, object],
    alarms: Sequence[str],
    missing: bool,
    damage: str,
    unreadable: str,
    now: float,
) -> list[Finding]:
    """Judge the list of valid recipients by the facts of `mailgate recipients status`."""
    check, found = "recipients", []
    again = "mailgate recipients update; then mailgate recipients status"
    if missing:
        text = f"{facts.get('file')} is missing: every recipient gets 451"
        found.append(Finding(check, CRITICAL, text, again))
    elif damage:
        found.append(Finding(check, CRITICAL, damage, f"mailgate recipients rollback, or {again}"))
    elif unreadable:
        found.append(Finding(check, CRITICAL, unreadable, "run the playbook again: it sets links and modes"))
    elif not facts.get("generation"):
        text = f"{facts.get('file')} matches none of its generations: it was not made by this gateway"
        found.append(Finding(check, WARNING, text, again))
    for alarm in alarms:
        if alarm != damage and not (missing and "missing" in alarm):
            advice = f"see /var/log/recipients/current; {again}"
            found.append(Finding(check, WARNING, alarm.removeprefix("alarm: "), advice))
    text = f"{facts.get('count')} recipients, generation {facts.get('generation')}"
    at = facts.get("last_export")
    if facts.get("directory_domains") and isinstance(at, (int, float)):
        text += f", exported {rounded(now - at)} ago"
    return several(found, check, text)


@dataclass(frozen=True)
class Rules:
    """The compiled rules and their fragments: how many rules there are, and what is wrong with them."""

    rules: int = 0
    adaptive: int = 0
    senders: int = 0
    faults: tuple[str, ...] = ()
    in_force: bool = True
    edited: bool = False
    damage: str = ""  # why the compiled file cannot be read
    senders_in_force: bool = True


def judge_rules(seen: Rules) -> list[Finding]:
    """Judge whether the fragments are in force, and which faults the compiler found."""
    check = "rules"
    found = []
    if seen.damage:
        text = f"{seen.damage}: clients are refused"
        found.append(Finding(check, CRITICAL, text, "mailgate rules compile"))
    elif not seen.in_force:
        text = "/etc/tcp.smtp.cdb is older than the fragments in /etc/tcp.d"
        found.append(Finding(check, WARNING, text, "svstat /service/rules; mailgate rules compile"))
    if not seen.senders_in_force:
        text = "control/badmailfrom is older than the fragments in /etc/badmailfrom.d"
        found.append(Finding(check, WARNING, text, "svstat /service/rules; mailgate rules compile"))
    if seen.edited:
        text = "/etc/tcp.smtp was edited by hand, which has no effect"
        advice = "move the changes to /etc/tcp.d/20-operator, remove /etc/tcp.smtp, and run 'qmailctl cdb'"
        found.append(Finding(check, WARNING, text, advice))
    for fault in seen.faults:
        advice = "correct the fragment, then see what 'mailgate rules check' says"
        found.append(Finding(check, WARNING, fault, advice))
    text = f"{seen.rules} rules, {seen.adaptive} of the blacklist, {seen.senders} bad senders, in force"
    return several(found, check, text)


@dataclass(frozen=True)
class Safety:
    """The facts that prevent an open relay and unscanned mail."""

    domains: int | None = 1  # in control/rcpthosts; None for no such file
    queue: str | None = None  # QMAILQUEUE of the SMTP service's process; None when it does not run
    scanner: str = SCANNER
    mode: int | None = 0o4710  # of the scanner; None for no such file
    owner: str = "simscan:nofiles"
    unsafe: tuple[str, ...] = ()  # rules in force that allow relaying or skip the scanner


def judge_safety(seen: Safety) -> list[Finding]:
    """Judge whether all mail is scanned, and only the site's networks may relay."""
    check, found = "safety", []
    again = "run the playbook again"
    if not seen.domains:
        what = "is missing" if seen.domains is None else "is empty"
        text = f"control/rcpthosts {what}: every recipient gets 451"
        found.append(Finding(check, CRITICAL, text, again))
    if seen.queue is None:
        text = "the environment of qmail-smtpd cannot be read: its service does not run"
        found.append(Finding(check, CRITICAL, text, "svc -u /service/qmail-smtpd"))
    elif not seen.queue:
        text = f"qmail-smtpd's QMAILQUEUE is ''; expected {seen.scanner!r}: only its own default scans"
        found.append(Finding(check, WARNING, text, again))
    elif seen.queue != seen.scanner:
        text = f"qmail-smtpd's QMAILQUEUE is {seen.queue!r}; expected {seen.scanner!r}: mail goes unscanned"
        found.append(Finding(check, CRITICAL, text, f"svc -d /service/qmail-smtpd, then {again}"))
    if seen.mode is None:
        found.append(Finding(check, CRITICAL, f"{seen.scanner} is missing: mail is deferred", again))
    elif (seen.mode, seen.owner) != (0o4710, "simscan:nofiles"):
        text = f"{seen.scanner} is {seen.mode:04o} {seen.owner}; expected 4710 simscan:nofiles"
        advice = f"chown simscan:nofiles {seen.scanner}; chmod 4710 {seen.scanner}; then look who changed it"
        found.append(Finding(check, CRITICAL, text, advice))
    for words in seen.unsafe:
        advice = "mailgate rules compile; then look who wrote /etc/tcp.smtp.cdb, as only the compiler does"
        found.append(Finding(check, CRITICAL, words, advice))
    text = f"{seen.domains} domains, every session is scanned, only the site's networks may relay"
    return several(found, check, text)


# Lists and rules


def _unreadable(context: Context, served: str) -> str:
    """Return why qmail-smtpd cannot read the list, '' when it can."""
    link = context.path(VALID_RECIPIENTS)
    try:
        if not os.path.samefile(link, served):
            return f"{link} is not {served}: qmail-smtpd reads another list"
    except OSError as error:
        return f"{link}: {error.strerror}: every recipient gets 451"
    if not os.stat(served).st_mode & stat.S_IROTH:
        return f"{served} cannot be read by qmail-smtpd: every recipient gets 451"
    directory = os.path.dirname(served)
    if not os.stat(directory).st_mode & stat.S_IXOTH:
        return f"{directory} cannot be entered by qmail-smtpd: every recipient gets 451"
    return ""


def recipients(context: Context) -> list[Finding]:
    """Check the list that serves, its generation, and the facts of `mailgate recipients status`."""
    store = Store(context.path(RECIPIENTS_DIRECTORY))
    settings = read_settings(context.path(RECIPIENTS_SETTINGS))
    facts, alarms = recipients_status(settings, store, now=context.now)
    damage = store.damage()
    missing = not damage and store.served() is None
    unreadable = "" if missing else _unreadable(context, store.served_path)
    return judge_recipients(facts, alarms, missing, damage, unreadable, context.now)


def _rule_paths(context: Context) -> rules_command.Paths:
    usual = rules_command.Paths()
    return rules_command.Paths(
        context.path(usual.directory),
        context.path(usual.compiled),
        context.path(usual.copy),
        context.path(usual.senders_directory),
        context.path(usual.senders),
        context.path(usual.state),
        usual.adaptive_user,
    )


def _complaints(state: str) -> tuple[str, ...]:
    """Return the errors of the compiler, from its status.json."""
    with contextlib.suppress(OSError, ValueError), open(f"{state}/status.json", encoding="utf-8") as stream:
        whole = json.load(stream)
        if isinstance(whole, dict):
            errors = (one.get("error") for one in whole.values() if isinstance(one, dict))
            return tuple(str(error) for error in errors if error)
    return ()


def _look_at_rules(paths: rules_command.Paths, now: float) -> Rules:
    made = rules_command.load(paths, now)
    faults, damage, in_force = list(made.faults()), "", False
    try:
        with open(paths.compiled, "rb") as stream:
            data = stream.read()
        cdb.Reader(data, paths.compiled)
        in_force = data == made.cdb
    except FileNotFoundError:
        damage = f"{paths.compiled} is missing"
    except BadInput as error:
        damage = str(error)
    copy = read_text(paths.copy)
    count, senders_in_force = 0, True
    if os.path.isdir(paths.senders_directory):
        senders: bad_senders.Compiled = rules_command.load_senders(paths, now)
        faults += senders.faults()
        count = len(senders.senders)
        senders_in_force = read_text(paths.senders) == senders.text
    return Rules(
        len(made.rules.rules),
        len(made.adaptive),
        count,
        tuple(faults),
        in_force,
        copy is not None and rules_compiler.edited_by_hand(copy),
        damage,
        senders_in_force,
    )


def rules(context: Context) -> list[Finding]:
    """Check the fragments, as the compiler reads them, against the compiled files."""
    paths = _rule_paths(context)
    seen = _look_at_rules(paths, context.now)
    if not seen.in_force or not seen.senders_in_force:
        # The service may be about to compile a recent change.
        time.sleep(LOOK_AGAIN_SECONDS)
        seen = _look_at_rules(paths, time.time())
    found = judge_rules(seen)
    known = set(seen.faults)
    errors = [error for error in _complaints(paths.state) if error not in known]
    advice = "see /var/log/rules/current, and run 'mailgate rules compile'"
    told = [Finding("rules", doctor.WARNING, error, advice) for error in errors]
    return told + [one for one in found if one.status != doctor.OK] if told else found


def unsafe(data: bytes, made: bytes) -> tuple[str, ...]:
    """Return the compiled records that relay or set a queue, and that the compiler would not make."""
    rightful = set(cdb.Reader(made, "the compiler's").items())
    found = []
    for key, value in cdb.Reader(data, RULES_COMPILED).items():
        if (key, value) in rightful:
            continue
        # As tcpserver and smtpfront read the data: what is not a variable hides none.
        names = {item[1:].partition(b"=")[0] for item in value.split(b"\0") if item[:1] == b"+"}
        for name, words in ((b"RELAYCLIENT", "relay"), (b"QMAILQUEUE", "go past the scanner")):
            if name in names:
                client = _client(key)
                found.append(f"/etc/tcp.smtp.cdb lets {client} {words}, and no fragment has that rule")
    return tuple(found)


def _client(key: bytes) -> str:
    text = tcprules.to_text(key)
    try:
        return shown_key(text) or "everybody"
    except ValueError:  # not what the compiler writes
        return text


def rules_of_domains(context: Context) -> list[Finding]:
    """Check the rules of single domains: those that cannot be used put off all mail."""
    path = context.path(DOMAIN_RULES)
    again = "run the playbook again; the rules are spam of gateway_domains"
    try:
        text = read_text(path)
        line = "" if text is None else domain_rules.wrong_line(text)
    except OSError as error:
        text, line = "", str(error)
    if text is None:
        told = f"{path} is missing: every domain is judged by the site's rule"
        return [Finding("safety", WARNING, told, again)]
    if not line:
        return []
    told = f"{path} cannot be used, so that all mail is put off with 451: {line!r:.120}"
    return [Finding("safety", CRITICAL, told, again)]


def safety(context: Context) -> list[Finding]:
    """Check the rules and settings in force, independently of the files that they were made from."""
    text = read_text(context.path(ACCEPTED_DOMAINS))
    domains = None if text is None else len(accepted_domains.parse(text))
    pid, environment = smtpd_process(context)
    mode, owner = None, ""
    with contextlib.suppress(FileNotFoundError):
        mode, owner = mode_and_owner(context.path(SCANNER))
    paths = _rule_paths(context)
    found: tuple[str, ...] = ()
    with contextlib.suppress(BadInput, FileNotFoundError), open(paths.compiled, "rb") as stream:
        found = unsafe(stream.read(), rules_command.load(paths, context.now).cdb)
    queue = environment.get("QMAILQUEUE", "") if pid else None
    judged = judge_safety(Safety(domains, queue, SCANNER, mode, owner, found))
    return several([*judged, *rules_of_domains(context)], "safety", judged[0].text)
