# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `mailgate doctor` looks at: each probe gathers facts from the host and has doctor.py judge them.

A probe may raise whatever goes wrong with it; who runs it says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import json
import os
import pwd
import re
import socket
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import (
    bad_senders,
    blacklist_command,
    cdb,
    doctor,
    doctor_dns,
    doctor_mail,
    every,
    rules_command,
    rules_compiler,
    sa_update,
    smtplog,
    smtproutes,
    supervise,
    tai64n,
    tcprules,
    tmpfs,
    workdir,
)
from .atomic import replacing
from .blacklist_service import DIRECTORY as BLACKLIST
from .doctor import Answer, Finding, Reached
from .doctor_settings import Settings
from .doctor_threads import together
from .errors import BadInput, MailgateError
from .recipients_process import read_settings
from .recipients_settings import SETTINGS as RECIPIENTS_SETTINGS
from .recipients_store import DIRECTORY as RECIPIENTS_DIRECTORY
from .recipients_store import Store
from .recipients_update import status as recipients_status
from .rules_files import read_text

STATE = "/var/lib/mailgate/doctor/starts.json"
SCANNER = "/var/qmail/bin/simscan"
SMTPD_LOG = "/var/log/qmail/smtpd/current"
GREYLIST = "/var/qmail/cqgreylist"
OPERATOR = "/var/lib/mailgate/operator/socket"
CLAMD, CLAMAV = "/run/clamav/clamd.ctl", "/var/lib/clamav"
SPAMD = "/run/spamd/spamd.sock"
SPAM_RULES = "/var/lib/spamassassin"
RELEASED_RULES = ("/usr/local/share/spamassassin", "/usr/share/spamassassin")
_TAIL_BYTES = 65536
_LOOK_AGAIN_SECONDS = 1.5


@dataclass(frozen=True)
class Context:
    """What every probe is told; root is put in front of every path."""

    settings: Settings
    now: float
    quick: bool = False
    root: str = ""

    def path(self, path: str) -> str:
        return self.root + path


def _tail(path: str, size: int = _TAIL_BYTES) -> list[str]:
    """The last lines of a file, [] for none."""
    try:
        with open(path, "rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - size))
            lines = stream.read(size).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if end > size else lines


def _words(line: str) -> str:
    """A line of a log without its time."""
    return re.sub(r"^@[0-9a-f]{24} ?", "", line).strip()


# Services


def _processes(context: Context) -> Iterator[str]:
    """The names of the programs that run."""
    for name in os.listdir(context.path("/proc")):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"{context.path('/proc')}/{name}/comm", "rb") as stream:
                yield stream.read().decode("utf-8", "replace").strip()


def _starts(context: Context, seen: Mapping[str, float]) -> dict[str, list[float]]:
    """The starts of the last hour that this command saw, now or before; what it cannot keep is lost."""
    path = context.path(STATE)
    kept: object = None
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        kept = json.load(stream)
    starts = doctor.remember_starts(kept, context.now, seen)
    if starts != kept:
        with contextlib.suppress(OSError), replacing(path, 0o644) as new:
            new.write(json.dumps(starts).encode())
    return starts


def services(context: Context) -> list[Finding]:
    """Each service by its supervise; those that have just started are looked at twice."""
    names = context.settings.services
    places = {name: context.path(f"/service/{name}") for name in names}
    first = {name: supervise.look(place) for name, place in places.items()}
    ages = [one.status.age_seconds(time.time_ns()) for one in first.values() if one.status and one.status.pid]
    settle = doctor.QUICK_SETTLE_SECONDS if context.quick else doctor.SETTLE_SECONDS
    down = any(one.status is not None and not one.status.pid for one in first.values())
    wait = max([settle - min(ages, default=settle), 1.2 if down else 0.0])
    last = first
    if wait > 0:
        time.sleep(wait + 0.1)
        last = {name: supervise.look(place) for name, place in places.items()}
    began = {name: doctor.since_nanoseconds(one) for name, one in last.items()}
    starts = _starts(context, {name: start for name, start in began.items() if start is not None})
    found = []
    for name, place in places.items():
        log = f"{place}/log"
        log_lines = _tail(context.path(f"{doctor.log_directory(name)}/current"), 4096)
        seen = doctor.Watched(
            name,
            first[name],
            last[name],
            supervise.look(log) if os.path.isdir(log) else None,
            len(starts.get(name, [])),
            repr(_words(log_lines[-1])[:120]) if log_lines else "",
        )
        found.append(doctor.service(seen, time.time_ns(), settle, context.settings.limits))
    return doctor.services(found, "svscan" in _processes(context))


# The scanners


def _smtpd(context: Context) -> tuple[int, dict[str, str]]:
    """The process of the SMTP service and its environment; 0 when it does not run."""
    status = supervise.look(context.path("/service/qmail-smtpd")).status
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
    """What the scanner noted in the log since then."""
    for line in reversed(_tail(context.path(SMTPD_LOG))):
        record = smtplog.parse(line)
        if isinstance(record, smtplog.ScannerNote) and record.at >= since * tai64n.NANOSECONDS:
            return record.text
    return ""


def _send(context: Context, check: str) -> doctor.Proof:
    settings = context.settings
    content = doctor_mail.message(check, settings.hostname, settings.postmaster, context.now)
    seconds = doctor_mail.ANSWER_SECONDS
    if check == "virus" and settings.proof is not None:
        began = time.time()
        got = doctor_mail.over_smtp(settings.proof, content, settings.hostname, settings.postmaster, seconds)
        if got.command == "message" and got.answer[:1] in ("4", ""):
            time.sleep(0.3)  # the log is written by another process
            return doctor.Proof(got.command, got.answer, got.seconds, _complaint(context, began))
        return got
    pid, environment = _smtpd(context)
    if not pid:
        raise BadInput("qmail-smtpd does not run; expected its service")
    with open(context.path(f"/proc/{pid}/limits"), encoding="ascii", errors="replace") as stream:
        limit = doctor_mail.memory_limit(stream.read())
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return doctor_mail.in_session(
        doctor_mail.session_command(limit, path),
        doctor_mail.stranger(environment),
        content,
        settings.hostname,
        settings.postmaster,
        seconds,
    )


def _proof(context: Context, check: str) -> list[Finding]:
    name = doctor_mail.TESTS[check][0]
    try:
        got = _send(context, check)
    except (OSError, MailgateError) as error:
        text = f"{name} could not be sent: {error}"
        advice = "svstat /service/qmail-smtpd, and see the end of /var/log/qmail/smtpd/current"
        return [Finding(check, doctor.CRITICAL, text, advice)]
    return [doctor.proof(check, name, got, context.settings.limits)]


def virus(context: Context) -> list[Finding]:
    """EICAR over SMTP."""
    return _proof(context, "virus")


def spam(context: Context) -> list[Finding]:
    """GTUBE as from a stranger."""
    return _proof(context, "spam")


def _ask_unix(path: str, request: bytes, within_seconds: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(within_seconds)
        peer.connect(path)
        peer.sendall(request)
        return peer.recv(4096)


def daily_date(version: str) -> float | None:
    """When the daily database was made, from clamd's answer 'ClamAV 1.4.6/27700/Sat Nov 21 08:29:41 2026'."""
    parts = version.split("/")
    if len(parts) < 3:
        return None
    try:
        return time.mktime(time.strptime(parts[2].strip(), "%a %b %d %H:%M:%S %Y"))
    except (ValueError, OverflowError):
        return None


def freshclam_success(lines: Sequence[str]) -> float | None:
    """When freshclam last found its databases up to date or brought them there, from its log's lines."""
    for line in reversed(lines):
        if re.search(r"database is up-to-date|\bupdated \(version", line):
            at = smtplog.unix_nanoseconds(line)
            if at is not None:
                return at / tai64n.NANOSECONDS
    return None


def _newest(directory: str, pattern: str) -> float | None:
    """The latest change of a regular file of such a name in a directory; None when there is none."""
    times = []
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if re.search(pattern, entry.name) and entry.is_file():
                times.append(entry.stat().st_mtime)
    return max(times, default=None)


def signatures(context: Context) -> list[Finding]:
    """clamd's own word, and the files that it reads."""
    version, trouble = "", ""
    try:
        version = _ask_unix(context.path(CLAMD), b"zVERSION\0", 3).rstrip(b"\0\n").decode("ascii", "replace")
        trouble = "" if version else "it says nothing"
    except OSError as error:
        trouble = str(error.strerror or error)
    freshclam = "freshclam" in context.settings.services
    checked = None
    if freshclam:
        log = context.path("/var/log/freshclam")
        with contextlib.suppress(FileNotFoundError):
            for name in ["current", *sorted((one for one in os.listdir(log) if one[0] == "@"), reverse=True)]:
                checked = freshclam_success(_tail(f"{log}/{name}", 1 << 20))
                if checked is not None:
                    break
    seen = doctor.Signatures(
        version,
        trouble,
        context.settings.official_signatures,
        daily_date(version),
        _newest(context.path(CLAMAV), r"\.[a-z0-9]{2,4}$(?<!\.dat)(?<!\.tmp)"),
        checked,
        freshclam,
    )
    return doctor.signatures(seen, context.now, context.settings.limits)


def spam_rules(context: Context) -> list[Finding]:
    """spamd's answer, and the files of its rules: updated ones, else those of the release."""
    answers = sa_update.ping(context.path(SPAMD), 0)
    updated: list[float] = []
    state = context.path(SPAM_RULES)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(state):
            if re.fullmatch(r"[0-9]+\.[0-9]{6}", name):
                newest = _newest(f"{state}/{name}", r"\.cf$")
                updated += [newest] if newest is not None else []
    released = (_newest(context.path(one), r"\.cf$") for one in RELEASED_RULES)
    found = max(updated) if updated else next((one for one in released if one is not None), None)
    return doctor.spam_rules(answers, found, bool(updated), context.now, context.settings.limits)


# Lists and rules


def _unreadable(context: Context, served: str) -> str:
    """Why qmail-smtpd cannot read the list, '' when it can."""
    link = context.path("/var/qmail/control/validrcptto.cdb")
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
    """The list that serves, its generation, and what `mailgate recipients status` says of it."""
    store = Store(context.path(RECIPIENTS_DIRECTORY))
    settings = read_settings(context.path(RECIPIENTS_SETTINGS))
    facts, alarms = recipients_status(settings, store, now=context.now)
    missing = store.served() is None
    damage = store.damage()
    unreadable = "" if missing else _unreadable(context, store.served_path)
    return doctor.recipients(facts, alarms, missing, damage, unreadable, context.now)


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
    """What the compiler could not do at all, from its status.json."""
    with contextlib.suppress(OSError, ValueError), open(f"{state}/status.json", encoding="utf-8") as stream:
        whole = json.load(stream)
        if isinstance(whole, dict):
            errors = (one.get("error") for one in whole.values() if isinstance(one, dict))
            return tuple(str(error) for error in errors if error)
    return ()


def _look_at_rules(paths: rules_command.Paths, now: float) -> doctor.Rules:
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
    return doctor.Rules(
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
    """The fragments as the compiler reads them, beside what is in force."""
    paths = _rule_paths(context)
    seen = _look_at_rules(paths, context.now)
    if not seen.in_force or not seen.senders_in_force:
        # The service may be about to compile what has changed just now.
        time.sleep(_LOOK_AGAIN_SECONDS)
        seen = _look_at_rules(paths, time.time())
    found = doctor.rules(seen)
    known = set(seen.faults)
    errors = [error for error in _complaints(paths.state) if error not in known]
    advice = "see /var/log/rules/current, and run 'mailgate rules compile'"
    told = [Finding("rules", doctor.WARNING, error, advice) for error in errors]
    return told + [one for one in found if one.status != doctor.OK] if told else found


def unsafe(data: bytes, made: bytes) -> tuple[str, ...]:
    """The records of compiled rules that relay or choose a queue, and that the compiler did not make so."""
    rightful = set(cdb.Reader(made, "the compiler's").items())
    found = []
    for key, value in cdb.Reader(data, rules_command.COMPILED).items():
        if (key, value) in rightful:
            continue
        names = {name for name, dummy in tcprules.decode(value)[1]}
        for name, words in (("RELAYCLIENT", "relay"), ("QMAILQUEUE", "go past the scanner")):
            if name in names:
                client = tcprules.to_text(key) or "everybody"
                found.append(f"/etc/tcp.smtp.cdb lets {client} {words}, and no fragment says so")
    return tuple(found)


def safety(context: Context) -> list[Finding]:
    """What is in force now, whatever the files that it was made of say."""
    text = read_text(context.path("/var/qmail/control/rcpthosts"))
    domains = None
    if text is not None:
        domains = sum(1 for line in text.splitlines() if line.strip() and not line.startswith("#"))
    pid, environment = _smtpd(context)
    mode, owner = None, ""
    with contextlib.suppress(FileNotFoundError):
        mode, owner = _owner(context.path(SCANNER))
    paths = _rule_paths(context)
    found: tuple[str, ...] = ()
    with contextlib.suppress(BadInput, FileNotFoundError), open(paths.compiled, "rb") as stream:
        found = unsafe(stream.read(), rules_command.load(paths, context.now).cdb)
    queue = environment.get("QMAILQUEUE", "") if pid else None
    return doctor.safety(doctor.Safety(domains, queue, SCANNER, mode, owner, found))


def _owner(path: str) -> tuple[int, str]:
    """(mode, 'user:group') of a file."""
    status = os.stat(path)
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return stat.S_IMODE(status.st_mode), f"{user}:{group}"


def jobs(context: Context) -> list[Finding]:
    """The state file of each job."""
    found = []
    for one in context.settings.jobs:
        run = doctor.Run(one.name, one.period_seconds)
        try:
            with open(context.path(one.state), encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            state = every.parse_state(text)
            if state == every.State():
                run = doctor.Run(one.name, one.period_seconds, trouble=f"{one.state} is damaged")
            else:
                run = doctor.Run(
                    one.name, one.period_seconds, state.last_success, state.finished, state.status
                )
        except OSError as error:
            trouble = "has never run" if isinstance(error, FileNotFoundError) else f"{error.strerror}"
            run = doctor.Run(one.name, one.period_seconds, trouble=f"{one.state}: {trouble}")
        found.append(doctor.job(run, context.now, context.settings.limits))
    return doctor.jobs(found)


# The network


def _resolve(server: str, name: str, kind: str, within_seconds: float) -> Answer:
    try:
        answers, seconds = doctor_dns.ask(server, name, kind, within_seconds)
    except (OSError, MailgateError) as error:
        words = getattr(error, "strerror", None) or str(error)
        return Answer(name, (), words.removeprefix("answer: ").split("; expected")[0])
    return Answer(name, answers, "", seconds * 1000)


def dns(context: Context) -> list[Finding]:
    """dnscache's own 'localhost', and one name of the world."""
    settings = context.settings
    names = ["localhost"]
    if settings.dns_name and not context.quick:
        names.append(settings.dns_name)
    seconds = 3.0 if context.quick else 9.0
    asked = [_resolve(settings.dns_server, name, "A", seconds) for name in names]
    return doctor.dns(settings.dns_server, asked, settings.limits)


def reverse(context: Context) -> list[Finding]:
    """The names of the public addresses, and the address of the gateway's name."""
    settings = context.settings
    forward = _resolve(settings.dns_server, settings.hostname, "A", 6)
    addresses = settings.public_addresses or forward.answers
    back = {
        address: _resolve(settings.dns_server, doctor_dns.reverse_name(address), "PTR", 6)
        for address in addresses[:8]
    }
    return doctor.reverse(settings.hostname, forward, back)


def reach(host: str, port: int, greets: bool, within_seconds: float) -> Reached:
    """Whether a port answers, and greets as mail servers do when it should."""
    try:
        with socket.create_connection((host, port), within_seconds) as connection:
            if greets:
                connection.settimeout(within_seconds)
                said = connection.recv(512).decode("ascii", "replace").strip()
                if not said.startswith("220"):
                    return Reached(host, port, f"it says {said[:60]!r}" if said else "it hangs up")
                connection.sendall(b"QUIT\r\n")
    except socket.timeout:
        return Reached(host, port, f"no answer within {within_seconds:g} s")
    except OSError as error:
        return Reached(host, port, str(error.strerror or error).lower())
    return Reached(host, port)


def _reach_all(places: Sequence[tuple[str, int]], greets: bool) -> list[Reached]:
    seconds = 8.0
    tries = [
        (lambda host=host, port=port: reach(host, port, greets, seconds), seconds + 2)
        for host, port in dict.fromkeys(places)
    ]
    done = together(tries)
    return [
        one.value if one.value is not None else Reached(host, port, "no answer, not even of its name")
        for (host, port), one in zip(dict.fromkeys(places), done)
    ]


def backends(context: Context) -> list[Finding]:
    """The mail servers of control/smtproutes, each of which should greet."""
    text = read_text(context.path("/var/qmail/control/smtproutes")) or ""
    routes = smtproutes.parse(text).routes
    places = [(route.host, route.effective_port) for route in routes if route.relay]
    return doctor.ports("backends", _reach_all(places, True))


def directories(context: Context) -> list[Finding]:
    """The servers of the directories that the recipients come from."""
    settings = read_settings(context.path(RECIPIENTS_SETTINGS))
    places = [server for one in settings.directories for server in one.servers]
    return doctor.ports("directories", _reach_all(places, False))


def ports(context: Context) -> list[Finding]:
    """What else the site lists."""
    return doctor.ports("ports", _reach_all(context.settings.ports, False))


# Queue, disks, clock


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    """The messages' files in a part of the queue, which may be split into numbered directories."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.isdigit():
                yield entry


def _times(directory: str) -> list[float]:
    found = []
    for entry in _files(directory):
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.stat(follow_symlinks=False).st_mtime)
    return found


def deferral(lines: Sequence[str]) -> str:
    """What qmail-send said last of a delivery that it puts off, with blanks again."""
    for line in reversed(lines):
        found = re.search(r"delivery [0-9]+: deferral: (.+)", line)
        if found:
            return found[1].replace("_", " ").strip("/ ")[:160]
    return ""


def queue(context: Context) -> list[Finding]:
    """The files of qmail's queue; a message's info file is as old as the message."""
    top = context.path("/var/qmail/queue")
    os.stat(f"{top}/mess")  # a queue, or none
    known, new = _times(f"{top}/info"), _times(f"{top}/todo")
    remote = sum(1 for dummy in _files(f"{top}/remote"))
    seen = doctor.Queue(
        len(known),
        min(known, default=None),
        len(new),
        min(new, default=None),
        remote,
        deferral(_tail(context.path("/var/log/qmail/send/current"))) if known else "",
    )
    return doctor.queue(seen, context.now, context.settings.limits)


def space(path: str, name: str) -> doctor.Space:
    """The room of the file system that a path lies on."""
    found = os.statvfs(path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    free = 100.0 * found.f_bavail / usable if usable > 0 else 100.0
    inodes = 100.0 * found.f_ffree / found.f_files if found.f_files > 0 else 100.0
    return doctor.Space(name, free, inodes, bool(found.f_flag & os.ST_RDONLY))


def disks(context: Context) -> list[Finding]:
    """Each file system once, by the first path that lies on it."""
    spaces: dict[int, doctor.Space] = {}
    for name in context.settings.disks:
        path = context.path(name)
        while not os.path.exists(path):
            path = os.path.dirname(path)
        device = os.stat(path).st_dev
        if device not in spaces:
            spaces[device] = space(path, name)
    return doctor.disks(list(spaces.values()), context.settings.limits)


def ramdisk(context: Context) -> list[Finding]:
    """simscan's work directory, and what was left there."""
    name = context.settings.ramdisk_directory
    path = context.path(name)
    try:
        mode, owner = _owner(path)
        names = os.listdir(path)
        free = space(path, name)
    except OSError as error:
        seen = doctor.Ramdisk(name, f"{error.strerror}".lower())
        return doctor.ramdisk(seen, context.settings.limits)
    with open(context.path("/proc/self/mounts"), encoding="utf-8", errors="replace") as stream:
        mount = tmpfs.mounted_at(name, stream.read())
    least = context.settings.limits["leftover_age_seconds"][0]
    ages = []
    for one in names:
        made = workdir.parse_name(one)
        if made is None:
            continue
        process = workdir.living(made.pid, context.path("/proc"))
        if workdir.abandoned(made, process, context.now, least):
            ages.append(context.now - made.seconds)
    seen = doctor.Ramdisk(
        name,
        "is read-only" if free.read_only else "",
        mount is not None and mount.kind == "tmpfs",
        context.settings.ramdisk,
        owner,
        mode,
        min(free.free_percent, free.inode_free_percent),
        tuple(ages),
    )
    return doctor.ramdisk(seen, context.settings.limits)


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and more room than the rest needs."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_TIME_ERROR, _UNSYNCHRONIZED = 5, 0x40


def kernel_clock() -> doctor.Clock:
    """What the kernel knows of its clock; asks only (modes 0)."""
    try:
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return doctor.Clock(None)
    if state < 0:
        return doctor.Clock(None)
    if state == _TIME_ERROR or timex.status & _UNSYNCHRONIZED:
        return doctor.Clock(False, None, "the kernel says so")
    return doctor.Clock(True, timex.maxerror / 1000, "the kernel says so")


def clock(context: Context) -> list[Finding]:
    """The kernel's word, then systemd-timesyncd's."""
    seen = kernel_clock()
    if seen.synchronized is None and os.path.exists(context.path("/run/systemd/timesync/synchronized")):
        seen = doctor.Clock(True, None, "systemd-timesyncd says so")
    return doctor.clock(seen, context.settings.limits)


# Greylist, and the services with a socket


def greylist(context: Context) -> list[Finding]:
    """The directory of cqgreylist."""
    path = context.path(GREYLIST)
    try:
        mode, owner = _owner(path)
        room = space(path, GREYLIST)
        with os.scandir(path) as entries:
            count = sum(1 for dummy in entries)
    except OSError as error:
        return doctor.greylist(
            doctor.Greylist(GREYLIST, str(error.strerror).lower()), context.settings.limits
        )
    seen = doctor.Greylist(GREYLIST, "", owner.partition(":")[0], mode, room, count)
    return doctor.greylist(seen, context.settings.limits)


def blacklist(context: Context) -> list[Finding]:
    """The adaptive blacklist's own answer."""
    try:
        answer = blacklist_command.ask(context.path(BLACKLIST), {"do": "list"})
    except MailgateError as error:
        return [doctor.listening("blacklist", "the adaptive blacklist", str(error), "")]
    entries = answer.get("entries")
    count = len(entries) if isinstance(entries, (list, dict)) else 0
    return [doctor.listening("blacklist", "", "", f"answers, {count} addresses are refused")]


def operator(context: Context) -> list[Finding]:
    """Only whether somebody listens: the service itself may wait for this answer."""
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(2)
            peer.connect(context.path(OPERATOR))
    except OSError as error:
        trouble = f"{OPERATOR}: {error.strerror or error}".lower()
        return [doctor.listening("operator", "the operator's service", trouble, "")]
    return [doctor.listening("operator", "", "", "the operator's service listens")]
