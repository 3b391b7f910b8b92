# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is healthy and what is not: facts in, findings out; each finding says what to do.

Nothing here touches the world. The states are those of monitoring plug-ins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from . import supervise
from .tai64n import NANOSECONDS

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
_RANK = {OK: 0, UNKNOWN: 1, WARNING: 2, CRITICAL: 3}

Limit = tuple[float, float]
# From which value on something is a warning, and from which on it is critical.
LIMITS: Mapping[str, Limit] = {
    "service_starts": (3, 8),
    "signature_age_hours": (48, 168),
    "freshclam_age_hours": (24, 72),
    "rules_age_days": (14, 60),
    "job_late_periods": (2, 4),
    "dns_milliseconds": (1000, 4000),
    "queue_messages": (500, 5000),
    "queue_age_hours": (4, 48),
    "disk_free_percent": (15, 5),
    "inode_free_percent": (15, 5),
    "ramdisk_free_percent": (50, 20),
    "leftover_age_seconds": (600, 3600),
    "clock_error_milliseconds": (1000, 10_000),
    "proof_seconds": (15, 30),
}
FALLING = frozenset(name for name in LIMITS if name.endswith("_free_percent"))  # less is worse
# One start too many would be a false alarm in the first seconds after a converge.
SETTLE_SECONDS = 6.0
QUICK_SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """What a check saw, and what a person should do about it ('' when it is OK)."""

    check: str
    status: int
    text: str
    advice: str = ""


def worst(statuses: Iterable[int]) -> int:
    """The state that counts: CRITICAL before WARNING before UNKNOWN before OK, as plug-ins have it."""
    return max(statuses, key=_RANK.__getitem__, default=OK)


def graded(name: str, value: float, limits: Mapping[str, Limit]) -> int:
    """The state of a value, by the limit of this name."""
    warning, critical = limits[name]
    if name in FALLING:
        return CRITICAL if value <= critical else WARNING if value <= warning else OK
    return CRITICAL if value >= critical else WARNING if value >= warning else OK


def ago(seconds: float) -> str:
    """A time span in words."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} seconds"


def several(findings: Sequence[Finding], check: str, text: str) -> list[Finding]:
    """The findings that are not OK; when there is none, one that says in a text that all is well."""
    bad = [finding for finding in findings if finding.status != OK]
    return bad or [Finding(check, OK, text)]


# Services


@dataclass(frozen=True)
class Watched:
    """A service as it was seen, perhaps twice, and its log; starts is how many were seen within the hour."""

    name: str
    first: supervise.Service
    last: supervise.Service
    log: supervise.Service | None
    starts: int = 1
    last_words: str = ""


def log_directory(name: str) -> str:
    """Where the log of a service lies."""
    return f"/var/log/qmail/{name[6:]}" if name in ("qmail-smtpd", "qmail-send") else f"/var/log/{name}"


def service(
    seen: Watched, now_nanoseconds: int, settle_seconds: float, limits: Mapping[str, Limit]
) -> Finding:
    """How a service does, which should be up and stay up with one process."""
    name = seen.name
    place = f"/service/{name}"
    see = f"see the end of {log_directory(name)}/current"
    status, before = seen.last.status, seen.first.status
    words = f", its last words: {seen.last_words}" if seen.last_words else ""

    def finding(level: int, text: str, advice: str) -> Finding:
        return Finding("services", level, f"{name} {text}", advice)

    if status is None:
        return finding(
            CRITICAL,
            f"is not supervised: {seen.last.trouble}",
            f"run the playbook again, or look whether svscan runs and {place} is there",
        )
    age = status.age_seconds(now_nanoseconds)
    if not status.pid:
        if status.want == "down":
            text = f"is down since {ago(age)}, as somebody wanted it"
            return finding(CRITICAL, text, f"start it: svc -u {place}")
        if before is not None and before.pid:
            return finding(CRITICAL, f"is flapping: it ended just now{words}", f"{see}; it starts and ends")
        return finding(CRITICAL, f"is down since {ago(age)}{words}", f"{see}, then svc -u {place}")
    if before is not None and before.pid != status.pid:
        return finding(CRITICAL, f"is flapping: another process runs than moments ago{words}", see)
    if status.paused:
        return finding(CRITICAL, "is paused", f"let it go on: svc -c {place}")
    if status.want != "up":
        text = "is told to go down" if status.want == "down" else "runs once and will not start again"
        return finding(WARNING, text, f"keep it up: svc -u {place}")
    level = graded("service_starts", seen.starts, limits)
    if level != OK:
        return finding(level, f"was seen to start {seen.starts} times within an hour{words}", see)
    if age < settle_seconds:
        return finding(WARNING, f"started {ago(age)} ago", f"look again in some seconds; {see}")
    if not seen.last.normally_up:
        return finding(WARNING, "will not start at the next boot", f"remove {place}/down")
    if seen.log is not None and (seen.log.status is None or not seen.log.status.pid):
        return finding(
            CRITICAL, "has no log service, and stops when nobody reads what it says", f"svc -u {place}/log"
        )
    return finding(OK, f"up since {ago(age)}", "")


def services(found: Sequence[Finding], svscan_runs: bool) -> list[Finding]:
    """All services together; without svscan nothing starts again."""
    findings = list(found)
    if not svscan_runs:
        advice = "systemctl start svscan; without it nothing starts again that ends"
        findings.append(Finding("services", CRITICAL, "svscan does not run", advice))
    return several(findings, "services", f"svscan and {len(found)} services are up, their logs, too")


def remember_starts(
    kept: object, now: float, seen: Mapping[str, float], seconds: float = 3600.0
) -> dict[str, list[float]]:
    """The starts of each service within the last hour: those that were kept, and those that are seen now."""
    starts: dict[str, list[float]] = {}
    for name, start in seen.items():
        old = kept.get(name) if isinstance(kept, dict) else None
        times = [one for one in old if isinstance(one, (int, float))] if isinstance(old, list) else []
        starts[name] = sorted({float(one) for one in (*times, start) if now - seconds < one <= now + 60})
    return starts


# The scanners


@dataclass(frozen=True)
class Proof:
    """What became of a test message: the command that was answered last, the answer, and how long it took."""

    command: str  # "connection", "MAIL", "RCPT", "DATA" or "message"
    answer: str  # '' for none
    seconds: float
    reason: str = ""  # what the scanner's log says of it


# What the refusals of the scanner say (simscan's custom-smtp-reject texts).
SCANNER_SAYS = {"virus": " virus", "spam": "spam-hits"}


def proof(check: str, name: str, got: Proof, limits: Mapping[str, Limit]) -> Finding:
    """Whether a message that every scanner knows, EICAR for a virus or GTUBE for spam, was refused by it."""
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
    """What is known of ClamAV: clamd's answer to VERSION ('' for none), and the age of what it reads."""

    version: str
    trouble: str
    official: bool  # whether the site wants the official database
    dated: float | None  # unix time of the daily database, as clamd says
    newest: float | None  # unix time of the newest database file
    checked: float | None = None  # unix time of freshclam's last success
    freshclam: bool = False


def signatures(seen: Signatures, now: float, limits: Mapping[str, Limit]) -> list[Finding]:
    """Whether clamd answers, how old its signatures are, and when they were last asked for."""
    check, found = "signatures", []
    see = "see /var/log/freshclam/current, and run it now: svc -a /service/freshclam"
    if not seen.freshclam:
        see = "no freshclam runs here: bring new ones with clamav_database_files and the playbook"
    if not seen.version:
        advice = "svstat /service/clamd, and see the end of /var/log/clamd/current"
        found.append(Finding(check, CRITICAL, f"clamd does not answer: {seen.trouble}", advice))
    elif seen.official and seen.dated is None:
        text = f"clamd has no official database: it says {seen.version!r}"
        found.append(Finding(check, CRITICAL, text, see))
    when = seen.dated if seen.dated is not None else seen.newest
    if when is None:
        if seen.version:
            advice = f"expected databases in /var/lib/clamav; {see}"
            found.append(Finding(check, CRITICAL, "the age of the signatures is not known", advice))
    else:
        level = graded("signature_age_hours", (now - when) / 3600, limits)
        found.append(Finding(check, level, f"the signatures are {ago(now - when)} old", see if level else ""))
    if seen.freshclam:
        if seen.checked is None:
            text = "freshclam's log knows no success"
            found.append(Finding(check, WARNING, text, see))
        else:
            level = graded("freshclam_age_hours", (now - seen.checked) / 3600, limits)
            text = f"freshclam's last success is {ago(now - seen.checked)} ago"
            found.append(Finding(check, level, text, see if level else ""))
    return several(found, check, "; ".join(["clamd answers", *(one.text for one in found)]))


def spam_rules(
    answers: bool, newest: float | None, updated: bool, now: float, limits: Mapping[str, Limit]
) -> list[Finding]:
    """Whether spamd answers, and how old its rules are; not updated means those of the release."""
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
        found.append(Finding(check, level, f"{what} are {ago(now - newest)} old", see if level else ""))
    return several(found, check, "; ".join(["spamd answers", *(one.text for one in found)]))


# Lists and rules


def recipients(
    facts: Mapping[str, object],
    alarms: Sequence[str],
    missing: bool,
    damage: str,
    unreadable: str,
    now: float,
) -> list[Finding]:
    """How the list of valid recipients does, from what `mailgate recipients status` knows."""
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
        text = f"{facts.get('file')} is none of its generations: it was not made by this gateway"
        found.append(Finding(check, WARNING, text, again))
    for alarm in alarms:
        if alarm != damage and not (missing and "missing" in alarm):
            advice = f"see /var/log/recipients/current; {again}"
            found.append(Finding(check, WARNING, alarm.removeprefix("alarm: "), advice))
    text = f"{facts.get('count')} recipients, generation {facts.get('generation')}"
    at = facts.get("last_export")
    if facts.get("directory_domains") and isinstance(at, (int, float)):
        text += f", exported {ago(now - at)} ago"
    return several(found, check, text)


@dataclass(frozen=True)
class Rules:
    """The compiled rules beside the fragments: how many there are and what is wrong with them."""

    rules: int = 0
    adaptive: int = 0
    senders: int = 0
    faults: tuple[str, ...] = ()
    in_force: bool = True
    edited: bool = False
    damage: str = ""  # why the compiled file cannot be read
    senders_in_force: bool = True


def rules(seen: Rules) -> list[Finding]:
    """Whether what the fragments say is in force, and who was refused by the compiler."""
    check = "rules"
    found = []
    if seen.damage:
        text = f"{seen.damage}: clients are turned away"
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
        advice = "mend the fragment, then see what 'mailgate rules check' says"
        found.append(Finding(check, WARNING, fault, advice))
    text = f"{seen.rules} rules, {seen.adaptive} of the blacklist, {seen.senders} bad senders, in force"
    return several(found, check, text)


@dataclass(frozen=True)
class Safety:
    """What must hold so that nobody relays and nothing goes unscanned."""

    domains: int | None = 1  # in control/rcpthosts; None for no such file
    queue: str | None = None  # QMAILQUEUE of the SMTP service's process; None when it does not run
    scanner: str = "/var/qmail/bin/simscan"
    mode: int | None = 0o4710  # of the scanner; None for no such file
    owner: str = "simscan:nofiles"
    unsafe: tuple[str, ...] = ()  # rules in force that let somebody relay or go unscanned


def safety(seen: Safety) -> list[Finding]:
    """Whether everybody is scanned, and only the site's own may relay."""
    check, found = "safety", []
    again = "run the playbook again"
    if not seen.domains:
        what = "is missing" if seen.domains is None else "is empty"
        text = f"control/rcpthosts {what}: every recipient gets 451"
        found.append(Finding(check, CRITICAL, text, again))
    if seen.queue is None:
        text = "the environment of qmail-smtpd's service cannot be seen: it does not run"
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


# What runs on a schedule


@dataclass(frozen=True)
class Run:
    """The last runs of a job, from the state file of `mailgate every`; trouble is why it cannot be read."""

    name: str
    period_seconds: float
    last_success: float | None = None
    finished: float | None = None
    status: int | None = None
    trouble: str = ""


def job(seen: Run, now: float, limits: Mapping[str, Limit]) -> Finding:
    """Whether a job succeeded lately, by its own period."""
    advice = f"see the end of {log_directory(seen.name)}/current, and run it now: svc -a /service/{seen.name}"
    if seen.trouble:
        return Finding("jobs", WARNING, f"{seen.name}: {seen.trouble}", advice)
    failed = seen.status not in (None, 0) and seen.finished is not None
    how = f", its last run ended with status {seen.status}" if failed else ""
    if seen.last_success is None:
        return Finding("jobs", WARNING, f"{seen.name} has never succeeded{how}", advice)
    age = now - seen.last_success
    level = graded("job_late_periods", age / seen.period_seconds, limits)
    text = f"{seen.name} succeeded {ago(age)} ago, expected every {ago(seen.period_seconds)}{how}"
    return Finding("jobs", level, text, advice if level else "")


def jobs(found: Sequence[Finding]) -> list[Finding]:
    """All jobs together."""
    names = ", ".join(one.text.split(" ", 1)[0] for one in found)
    return several(found, "jobs", f"{names} succeeded in time" if found else "none are listed")


# The network


@dataclass(frozen=True)
class Answer:
    """What a name server said to a question."""

    name: str
    answers: tuple[str, ...] = ()
    error: str = ""
    milliseconds: float = 0.0


def dns(server: str, asked: Sequence[Answer], limits: Mapping[str, Limit]) -> list[Finding]:
    """Whether the cache answers, and names resolve; the first question is one that needs no other server."""
    check, found = "dns", []
    for number, one in enumerate(asked):
        if one.error or not one.answers:
            why = one.error or "no such name"
            if number == 0:
                text = f"dnscache on {server} does not answer: {why}"
                advice = "svstat /service/dnscache, and see the end of /var/log/dnscache/current"
            else:
                text = f"{one.name} does not resolve: {why}"
                advice = "look whether UDP and TCP 53 are open to the world's name servers, or the forwarders"
            found.append(Finding(check, CRITICAL, text, advice))
            continue
        level = graded("dns_milliseconds", one.milliseconds, limits)
        if level != OK:
            text = f"{one.name} took {one.milliseconds:.0f} ms to resolve"
            advice = "every scan waits for names: look at the way to the world's name servers"
            found.append(Finding(check, level, text, advice))
    said = ", ".join(f"{one.name} in {one.milliseconds:.0f} ms" for one in asked)
    return several(found, check, f"dnscache on {server} answers: {said}")


def reverse(hostname: str, forward: Answer, back: Mapping[str, Answer]) -> list[Finding]:
    """Whether each public address has the gateway's name, and the name has the address."""
    check, found = "reverse", []
    advice = f"have whoever runs the reverse zone set PTR to {hostname}; other servers refuse mail otherwise"
    if not back:
        why = forward.error or "no such name"
        text = f"{hostname} does not resolve: {why}"
        return [Finding(check, WARNING, text, f"set an A record for {hostname}, or doctor_public_addresses")]
    for address, got in back.items():
        if hostname.lower() not in (name.lower().rstrip(".") for name in got.answers):
            shown = f"the name {', '.join(got.answers)}" if got.answers else "no name"
            why = f" ({got.error})" if got.error else ""
            text = f"{address} has {shown} in DNS{why}; expected {hostname}"
            found.append(Finding(check, WARNING, text, advice))
        elif address not in forward.answers:
            shown = ", ".join(forward.answers) or "no address"
            why = f" ({forward.error})" if forward.error else ""
            text = f"{hostname} has {shown} in DNS{why}; expected {address}, whose name it is"
            found.append(Finding(check, WARNING, text, f"set the A record of {hostname} to {address}"))
    return several(found, check, f"{', '.join(back)}: {hostname}, both ways")


@dataclass(frozen=True)
class Reached:
    """A try to reach a port; trouble is '' when it answered (and greeted, where it should)."""

    host: str
    port: int
    trouble: str = ""

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


_PORTS = {
    "backends": (
        CRITICAL,
        "mail for it waits in the queue: look whether the server runs, and whether the firewall lets "
        "the gateway in",
    ),
    "directories": (
        WARNING,
        "the last list goes on serving: look whether the server runs, and whether the firewall lets the "
        "gateway in",
    ),
    "ports": (WARNING, "open it in the firewall, or take it out of doctor_ports"),
}


def ports(check: str, tried: Sequence[Reached]) -> list[Finding]:
    """Whether what the gateway needs out there can be reached; check is backends, directories or ports."""
    level, advice = _PORTS[check]
    found = [
        Finding(check, level, f"{one.place} cannot be reached: {one.trouble}", advice)
        for one in tried
        if one.trouble
    ]
    places = ", ".join(one.place for one in tried)
    return several(found, check, f"{places} answer" if tried else "none are listed")


# Queue, disks, clock


@dataclass(frozen=True)
class Queue:
    """What waits in the queue; times in unix seconds, None for nothing."""

    messages: int = 0
    oldest: float | None = None
    new: int = 0  # not taken up yet
    oldest_new: float | None = None
    remote: int = 0  # for other hosts
    deferral: str = ""  # what qmail-send said last of a delivery that failed


_TAKEN_UP_SECONDS = 600


def queue(seen: Queue, now: float, limits: Mapping[str, Limit]) -> list[Finding]:
    """How much waits, and for how long."""
    check, found = "queue", []
    because = f"; the last deferral: {seen.deferral}" if seen.deferral else ""
    see = "qmailctl stat, qmail-qread, and the end of /var/log/qmail/send/current"
    count = seen.messages + seen.new
    level = graded("queue_messages", count, limits)
    if level:
        text = f"{count} messages wait, {seen.remote} for back ends{because}"
        found.append(Finding(check, level, text, see))
    if seen.oldest is not None:
        age = now - seen.oldest
        level = graded("queue_age_hours", age / 3600, limits)
        if level:
            advice = f"{see}; when the back end is back: qmailctl doqueue"
            found.append(Finding(check, level, f"the oldest message waits for {ago(age)}{because}", advice))
    if seen.oldest_new is not None and now - seen.oldest_new > _TAKEN_UP_SECONDS:
        text = f"{seen.new} messages are not taken up, the oldest since {ago(now - seen.oldest_new)}"
        advice = "svstat /service/qmail-send; see the end of /var/log/qmail/send/current"
        found.append(Finding(check, CRITICAL, text, advice))
    text = f"{count} messages wait" if count else "empty"
    if seen.oldest is not None:
        text += f", {seen.remote} for back ends, the oldest for {ago(now - seen.oldest)}"
    return several(found, check, text)


@dataclass(frozen=True)
class Space:
    """Room on the file system of a path."""

    path: str
    free_percent: float
    inode_free_percent: float
    read_only: bool = False


def disks(spaces: Sequence[Space], limits: Mapping[str, Limit]) -> list[Finding]:
    """Whether there is room to work."""
    check, found = "disk", []
    for one in spaces:
        if one.read_only:
            advice = "see dmesg for why; mount it for writing again"
            found.append(Finding(check, CRITICAL, f"{one.path} is read-only", advice))
        level = graded("disk_free_percent", one.free_percent, limits)
        if level:
            advice = f"make room: du -x --max-depth=2 {one.path} | sort -n | tail"
            found.append(Finding(check, level, f"{one.path} has {one.free_percent:.0f} % free", advice))
        level = graded("inode_free_percent", one.inode_free_percent, limits)
        if level:
            text = f"{one.path} has {one.inode_free_percent:.0f} % of its inodes free"
            advice = f"remove small files: du -x --inodes --max-depth=2 {one.path} | sort -n | tail"
            found.append(Finding(check, level, text, advice))
    said = ", ".join(f"{one.path} {one.free_percent:.0f} %" for one in spaces)
    return several(found, check, f"free: {said}")


@dataclass(frozen=True)
class Ramdisk:
    """simscan's work directory."""

    path: str
    trouble: str = ""
    tmpfs: bool = True  # whether it is one
    wanted: bool = True  # whether the site wants one
    owner: str = "simscan:simscan"
    mode: int = 0o750
    free_percent: float = 100.0
    leftovers: tuple[float, ...] = ()  # ages in seconds of directories that nobody needs any more


def ramdisk(seen: Ramdisk, limits: Mapping[str, Limit]) -> list[Finding]:
    """Whether simscan has a place to work in."""
    check, found = "ramdisk", []
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; mail is deferred"
        return [Finding(check, CRITICAL, text, f"run the playbook again, or mount {seen.path}")]
    if (seen.owner, seen.mode) != ("simscan:simscan", 0o750):
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}; expected 0750 simscan:simscan"
        advice = f"chown simscan:simscan {seen.path}; chmod 0750 {seen.path}"
        found.append(Finding(check, CRITICAL, text, advice))
    if seen.wanted and not seen.tmpfs:
        text = f"{seen.path} is not in memory"
        found.append(Finding(check, WARNING, text, f"mount {seen.path}, which stands in /etc/fstab"))
    level = graded("ramdisk_free_percent", seen.free_percent, limits)
    if level:
        text = f"{seen.path} has {seen.free_percent:.0f} % free"
        advice = "when it is full mail is deferred: look for leftovers, or raise simscan_work_directory_bytes"
        found.append(Finding(check, level, text, advice))
    if seen.leftovers:
        level = graded("leftover_age_seconds", max(seen.leftovers), limits)
        if level:
            count = len(seen.leftovers)
            text = f"{count} leftovers in {seen.path}, the oldest {ago(max(seen.leftovers))} old"
            advice = f"svstat /service/simscan-cleaner; mailgate workdir clean {seen.path}"
            found.append(Finding(check, level, text, advice))
    return several(found, check, f"{seen.path} has {seen.free_percent:.0f} % free, no leftovers")


@dataclass(frozen=True)
class Clock:
    """Whether something keeps the clock right; None when that cannot be known."""

    synchronized: bool | None
    error_milliseconds: float | None = None  # the largest error that the kernel thinks possible
    source: str = ""


def clock(seen: Clock, limits: Mapping[str, Limit]) -> list[Finding]:
    """Times in the log, greylisting and expiry of entries need a right clock."""
    check = "clock"
    advice = "run one time service: apt-get install chrony, then chronyc tracking"
    if seen.synchronized is None:
        return [Finding(check, WARNING, "whether the clock is right cannot be known", advice)]
    if not seen.synchronized:
        return [Finding(check, WARNING, f"nothing keeps the clock right ({seen.source})", advice)]
    if seen.error_milliseconds is not None:
        level = graded("clock_error_milliseconds", seen.error_milliseconds, limits)
        text = f"synchronized, at most {seen.error_milliseconds:.0f} ms off"
        see = "chronyc tracking, or timedatectl timesync-status"
        return [Finding(check, level, text, see if level else "")]
    return [Finding(check, OK, f"synchronized ({seen.source})")]


# Greylist, and the services with a socket


@dataclass(frozen=True)
class Greylist:
    """The directory of the networks that cqgreylist remembers."""

    path: str
    trouble: str = ""
    owner: str = "qmaild"
    mode: int = 0o700
    space: Space = field(default_factory=lambda: Space("", 100.0, 100.0))
    entries: int = 0


def greylist(seen: Greylist, limits: Mapping[str, Limit]) -> list[Finding]:
    """Whether cqgreylist can remember; when it cannot, mail passes ungreylisted."""
    check, found = "greylist", []
    passes = "mail passes without greylisting"
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; {passes}"
        return [Finding(check, WARNING, text, "run the playbook again: it makes the directory")]
    if seen.owner != "qmaild" or seen.mode & 0o700 != 0o700:
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}; expected 0700 qmaild: {passes}"
        advice = f"chown qmaild:nofiles {seen.path}; chmod 0700 {seen.path}"
        found.append(Finding(check, WARNING, text, advice))
    full = disks([seen.space], limits)
    found += [
        Finding(check, one.status, f"{one.text}; when it is full {passes}", one.advice)
        for one in full
        if one.status
    ]
    return several(found, check, f"{seen.entries} networks are remembered")


def listening(check: str, what: str, trouble: str, text: str, status: int = WARNING) -> Finding:
    """Whether a service answers on its socket; check is its service's name, too."""
    if not trouble:
        return Finding(check, OK, text)
    name = {"blacklist": "adaptive-blacklist"}.get(check, check)
    advice = f"svstat /service/{name}, and see the end of /var/log/{name}/current"
    return Finding(check, status, f"{what} does not answer: {trouble}", advice)


def since_nanoseconds(found: supervise.Service) -> float | None:
    """When the process of a service began, in unix seconds; None when it does not run."""
    status = found.status
    return status.since_nanoseconds / NANOSECONDS if status is not None and status.pid else None
