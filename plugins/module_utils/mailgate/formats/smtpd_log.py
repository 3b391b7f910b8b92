# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse /var/log/qmail/smtpd: connections, refusals, greylisting, and the scanner's verdicts.

Sources: tcpserver.c and rblsmtpd.c of ucspi-tcp 0.88; refusal.h and the validrcptto patch of 2006-08-23;
log_message() of simscan 1.4.0 to 1.4.6.2; cqgreylist, dnsbl, clientname, smtpfront, smtplaunch of ours.

The lines contain untrusted text: recipients, senders, subjects, names of files. A line is recognised by its
beginning alone, never by a word further on. Where untrusted text can contain a separator, the last one
counts; where that is still ambiguous, the record returns all readings (Verdict.splits).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import session_id
from .logged_address import IP as _IP
from .smtpd_records import (
    Accepted,
    Admitted,
    CommandRefused,
    Connected,
    DnsListed,
    Ended,
    EnvelopeAsked,
    Greylisted,
    HungUp,
    Listed,
    RecipientAsked,
    RecipientRefused,
    Record,
    ScannerNote,
    SessionCount,
    Trouble,
    Unnamed,
    Verdict,
)

__all__ = [
    "Accepted",
    "Admitted",
    "CommandRefused",
    "Connected",
    "DnsListed",
    "Ended",
    "EnvelopeAsked",
    "Greylisted",
    "HungUp",
    "Listed",
    "RecipientAsked",
    "RecipientRefused",
    "Record",
    "ScannerNote",
    "SessionCount",
    "Trouble",
    "Unnamed",
    "Verdict",
]

NANOSECONDS = 1_000_000_000
_TAI_EPOCH = 2**62 + 10  # as in tai64n.py; repeated here for speed, as it is used for each line
LABEL_CHARACTERS = 25

_PID = rf"[0-9]{{1,10}}|{session_id.SESSION}"  # of a process, or of a session of smtpfront
# What stands behind the client's address, in place of simscan's state.
_SESSION = rf"(?: id ({session_id.ANY})(?: pid ([0-9]{{1,10}}))?)?"
_OF_MAIL = rf"(?:id ({session_id.MESSAGE})[ :])?(?:qp ([0-9]{{1,10}}):)?"
_NUMBER = r"(-?(?:[0-9]+\.[0-9]+|inf|nan))"
# cqgreylist 0.2 writes these without a newline, so they stand before the next line of the same session.
_GLUED = re.compile(
    r"(?:(?:Created directory \S+|Directory \S+ already exists - opened|Could not stat file \S+ ?"
    rf"|could not create file \S+ - this is bad|created file \S+ ?|{_IP} Back too soon ?|Allowing {_IP} ?"
    r"|executing [\w/. -]+ ?|starting negotiation|accepted mail for relay client or it is whitelisted ?), )+"
    r"(?=simscan:\[|qmail-smtpd: )"
)

# Of a session with TLS the lines of smtpfront and of refusal.h end with this; its value may be any text.
_TLS = " tls="
_TLS_LINES = ("qmail-smtpd: ", "smtpfront[", "cqgreylist[")
_NOT_TLS_LINES = "qmail-smtpd: validrcptto "  # of the patch of 2006 they end with a recipient as it came
TLS_CHARACTERS = 100
NO_TLS = ("no-tls-of-sender", "no-tls-for-recipient", "no-tls-of-client")  # in plain text, put off for that
LATER = ("other-rule", "greylisted")  # by itself, or when the client has come back

Make = Callable[[int, "re.Match[str]"], Record]


def _session(found: re.Match[str], group: int) -> tuple[str, int | None]:
    """Return (id, pid) of a refusal; a session that smtpfront holds has its number in place of the pid."""
    if found[group] is None:
        return "", None
    pid = found[group + 1]
    return found[group], int(pid) if pid else session_id.number_of(session_id.session_of(found[group]))


def _front(text: str) -> tuple[int, str]:
    """Return (number, id) of a session of smtpfront; lines of version 0.2 have no id."""
    return session_id.number_of(text), text if session_id.is_id(text) else ""


def _make_refused(why: str, swapped: bool = False) -> Make:
    def make(at: int, found: re.Match[str]) -> Record:
        recipient, sender = (found[2], found[1]) if swapped else (found[1], found[2])
        sender = "" if sender == "<>" else sender
        return RecipientRefused(at, why, recipient, sender, found[3], *_session(found, 4))

    return make


def _make_command_refused(at: int, found: re.Match[str]) -> Record:
    sender = "" if found[4] == "<>" else found[4]
    return CommandRefused(at, found[1], found[2], found[3], sender, found[5], *_session(found, 6))


def _make_accepted(at: int, found: re.Match[str]) -> Record:
    sender = "" if found[1] == "<>" else found[1]
    return Accepted(at, sender, found[2], found[3], int(found[4]), int(found[5]))


def _make_trouble(program: str) -> Make:
    return lambda at, found: Trouble(at, program, found[1])


def _make_verdict(at: int, found: re.Match[str]) -> Record:
    score, required, refused_from = found[5], found[6], found[7]
    return Verdict(
        at,
        int(found[1]),
        found[4],
        None if score is None else float(score),
        None if required is None else float(required),
        None if refused_from is None else float(refused_from),
        float(found[8]),
        found[9],
        found[2] or "",
        None if found[3] is None else int(found[3]),
    )


def _make_connected(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Connected(at, number, found[2], found[3] or front_id)


def _make_ended(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Ended(at, number, int(found[2]), front_id)


def _make_denied(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Admitted(at, number, False, "", f":{found[2]}::", front_id)


def _make_of_front(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Trouble(at, "smtpfront", found[2], front_id, number)


_TCPSERVER = ("pid", "end", "ok or deny", "status")  # names of forms below
_CONNECTIONS = {"tcpserver": _TCPSERVER, "smtplaunch": _TCPSERVER, "smtpfront": ("pid", "end")}
_CONNECTION_FORMS: tuple[tuple[str, str, str, Make], ...] = (
    (
        "pid",
        ": pid ",
        rf"({_PID}) from ({_IP})(?: id ({session_id.SESSION}))?",
        _make_connected,
    ),
    (
        "end",
        ": end ",
        rf"({_PID}) status ([0-9]{{1,10}})",
        _make_ended,
    ),
    (
        "ok or deny",
        ": ",
        r"(ok|deny) ([0-9]{1,10}) (\S*) (\S*)",
        lambda at, found: Admitted(at, int(found[2]), found[1] == "ok", found[3], found[4]),
    ),
    (
        "status",
        ": status: ",
        r"([0-9]{1,10})/([0-9]{1,10})",
        lambda at, found: SessionCount(at, int(found[1]), int(found[2])),
    ),
)


def _make_greylisted(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Greylisted(at, number, found[2], found[3], found[4], found[5] or "", front_id)


def _make_dns_listed(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return DnsListed(at, number, found[2], found[3], found[4], found[5], front_id)


def _make_unnamed(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    return Unnamed(at, number, found[2], found[3], found[4], front_id)


_GREYLIST: tuple[str, Make] = (
    rf"({_PID})\]: (new|early|passed|known|skipped|refused|open) ({_IP}) (\S+)(?: (.*))?",
    _make_greylisted,
)


def _make_envelope_asked(at: int, found: re.Match[str]) -> Record:
    number, front_id = _front(found[1])
    sender = "" if found[3] == "<>" else found[3]
    return EnvelopeAsked(at, number, found[2], sender, found[4], front_id)


_ASKED: tuple[str, Make] = (
    rf"({_PID})\]: asked ({_IP}) ([!-~]+) to ([!-~]+)",
    _make_envelope_asked,
)
_LIST: tuple[str, Make] = (
    rf"({_PID})\]: (listed|ignored|trouble) ({_IP}) (\S+) (.*)",
    _make_dns_listed,
)

# Name of a form: how the text after the label begins, its pattern, and how its record is made. The first
# pattern that matches counts. Each name has at least one sample in tests/fixtures/smtplog.
_FORMS: tuple[tuple[str, str, str, Make], ...] = (
    *(
        (f"{program} {name}", f"{program}{start}", words, make)
        for program, names in _CONNECTIONS.items()
        for name, start, words, make in _CONNECTION_FORMS
        if name in names
    ),
    *(
        (
            f"{program} trouble",
            f"{program}: ",
            r"((?:fatal:|warning:|refused|line|trouble|dropped) .*)",
            _make_trouble(program),
        )
        for program in _CONNECTIONS
    ),
    (
        "smtpfront session",
        "smtpfront[",
        rf"({_PID})\]: ((?:busy|ended|put off|lost) {_IP} .*)",
        _make_of_front,
    ),
    ("smtpfront deny", "smtpfront[", rf"({_PID})\]: deny ({_IP})", _make_denied),
    (
        "simscan verdict",
        "simscan:[",
        rf"([0-9]{{1,10}})\]:{_OF_MAIL}"
        r"(CLEAN|SPAM REJECT|SPAM DROPPED|SPAM PASS|PASSTHRU|VIRUS|VIRUS DROPPED|ATTACH"
        r"|REGEX|LIMIT|HEURISTIC|RELAYCLIENT)"
        rf"(?: \({_NUMBER}/{_NUMBER}(?:/{_NUMBER})?\))?:([0-9]+\.[0-9]+)s:(.*)",
        _make_verdict,
    ),
    (
        "simscan note",
        "simscan:",
        rf"(?:\[([0-9]{{1,10}})\]:(?:id ({session_id.MESSAGE}):)?)? (.*)",
        lambda at, found: ScannerNote(at, int(found[1]) if found[1] else None, found[3], found[2] or ""),
    ),
    (
        "validrcptto",
        "qmail-smtpd: not in validrcptto: ",
        rf"(\S+) from (\S+) at ({_IP}){_SESSION}",
        _make_refused("validrcptto"),
    ),
    (
        "validrcptto of 2006",
        "qmail-smtpd: not in validrcptto: ",
        rf"(.*) at ({_IP})",
        lambda at, found: RecipientRefused(at, "validrcptto", found[1], None, found[2]),
    ),
    (
        "rcpthosts",
        "qmail-smtpd: rcpthosts: ",
        rf"(\S+) from (\S+) at ({_IP}){_SESSION}",
        _make_refused("rcpthosts"),
    ),
    (
        "badmailfrom",
        "qmail-smtpd: badmailfrom: ",
        rf"(\S+) to (\S+) at ({_IP}){_SESSION}",
        _make_refused("badmailfrom", swapped=True),
    ),
    (
        "too many recipients",
        "qmail-smtpd: excessive validrcptto violations, hanging up on ",
        rf"({_IP}){_SESSION}",
        lambda at, found: HungUp(at, "recipients", found[1], *_session(found, 2)),
    ),
    (
        "too many refusals or commands",
        "qmail-smtpd: excessive ",
        rf"(refusals|commands), hanging up on ({_IP}){_SESSION}",
        lambda at, found: HungUp(at, found[1], found[2], *_session(found, 3)),
    ),
    (
        "mail, rcpt or data refused",
        "qmail-smtpd: ",
        rf"(mail|rcpt|data|starttls) refused: ([a-z-]+)(?: for (\S+))? from (\S+) at ({_IP}){_SESSION}",
        _make_command_refused,
    ),
    (
        "accepted",
        "qmail-smtpd: accepted: ",
        rf"from (\S+) at ({_IP}) id ({session_id.MESSAGE}) pid ([0-9]{{1,10}}) qp ([0-9]{{1,10}})",
        _make_accepted,
    ),
    (
        "recipient asked",
        "qmail-smtpd: validrcptto ",
        r"(RCPT TO|found): (.*)",
        lambda at, found: RecipientAsked(at, found[1] == "found", found[2]),
    ),
    (
        "qmail-smtpd trouble",
        "qmail-smtpd: ",
        r"((?:validrcptto\.cdb|rcpthosts|requiretls|domainrules|client) trouble: .*"
        r"|/var/qmail/control/\S+ is missing .*|dropped [0-9]{1,10} lines of the log)",
        lambda at, found: Trouble(at, "qmail-smtpd", found[1]),
    ),
    (
        "rblsmtpd",
        "rblsmtpd: ",
        rf"({_IP}) pid ([0-9]{{1,10}}): (451|553) (.*)",
        lambda at, found: Listed(at, int(found[2]), found[1], int(found[3]), found[4]),
    ),
    ("cqgreylist", "cqgreylist[", *_GREYLIST),
    ("cqgreylist envelope", "cqgreylist[", *_ASKED),
    ("dnsbl", "dnsbl[", *_LIST),
    ("smtpfront greylist", "smtpfront[", *_GREYLIST),
    ("smtpfront envelope", "smtpfront[", *_ASKED),
    ("smtpfront list", "smtpfront[", *_LIST),
    ("smtpfront name", "smtpfront[", rf"({_PID})\]: (unconfirmed|unnamed) ({_IP}) (.*)", _make_unnamed),
    (
        "clientname",
        "clientname[",
        rf"([0-9]{{1,10}})\]: (unconfirmed|trouble) ({_IP}) (.*)",
        lambda at, found: Unnamed(at, int(found[1]), found[2], found[3], found[4]),
    ),
    *(
        (
            f"{program} trouble",
            f"{program}[",
            r"[0-9]{1,10}\]: ((?:setting|line|cannot run) .*)",
            _make_trouble(program),
        )
        for program in ("cqgreylist", "dnsbl", "clientname")
    ),
)

PATTERNS: dict[str, tuple[str, re.Pattern[str], Make]] = {
    name: (start, re.compile(re.escape(start) + pattern, re.DOTALL | re.ASCII), make)
    for name, start, pattern, make in _FORMS
}

# The same patterns by the first characters of the text: as many as distinguish the programs.
_KEY_CHARACTERS = 6
_BY_KEY: dict[str, list[tuple[str, str, re.Pattern[str], Make]]] = {}


for _name, (_start, _pattern, _make) in PATTERNS.items():
    _BY_KEY.setdefault(_start[:_KEY_CHARACTERS], []).append((_name, _start, _pattern, _make))


def parse(line: str) -> Record | None:
    """Return the record of one line of the log, or None for an unknown line."""
    return classify(line)[1]


def classify(line: str) -> tuple[str, Record | None]:
    """Return the name of the line's form in PATTERNS and its record; ('', None) for an unknown line."""
    if line[:1] != "@" or line[LABEL_CHARACTERS : LABEL_CHARACTERS + 1] != " ":
        return "", None
    begin = LABEL_CHARACTERS + 1
    forms = _BY_KEY.get(line[begin : begin + _KEY_CHARACTERS])
    if forms is None:
        glued = _GLUED.match(line, begin)
        if glued is None:
            return "", None
        begin = glued.end()
        forms = _BY_KEY[line[begin : begin + _KEY_CHARACTERS]]
    line, tls = _without_tls(line, begin)
    for name, start, pattern, make in forms:
        if line.startswith(start, begin):
            found = pattern.fullmatch(line, begin)
            if found is not None:
                at = unix_nanoseconds(line)
                if at is None:
                    return "", None
                record = make(at, found)
                if tls and hasattr(record, "tls"):
                    record.tls = tls
                return name, record
    return "", None


def _without_tls(line: str, begin: int) -> tuple[str, str]:
    """Return a line, whose text begins there, without what it says of TLS at its end, and that."""
    place = line.rfind(_TLS, begin)
    if place == -1 or not line.startswith(_TLS_LINES, begin) or line.startswith(_NOT_TLS_LINES, begin):
        return line, ""
    value = line[place + len(_TLS) :]
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        return line, ""
    return line[:place], value[:TLS_CHARACTERS]


def unix_nanoseconds(line: str) -> int | None:
    """Return the time of the TAI64N label at the start of a line, or None when it is not a label."""
    try:
        nanoseconds = int(line[17:LABEL_CHARACTERS], 16)
        if nanoseconds < NANOSECONDS:
            return (int(line[1:17], 16) - _TAI_EPOCH) * NANOSECONDS + nanoseconds
    except ValueError:
        pass
    return None
