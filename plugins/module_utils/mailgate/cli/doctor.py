# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate doctor`: the problems of the gateway, and what to do about them.

Exit status, as for monitoring plug-ins: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN, wrong usage or settings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

from ..core.errors import BadInput, MailgateError
from ..core.paths import DOCTOR_SETTINGS, DOCTOR_STARTS
from ..core.text import printable
from ..core.threads import run_parallel
from ..core.times import duration
from ..doctor import (
    certificate,
    clamd,
    clean,
    drained,
    fleet,
    kept_copies,
    listening,
    neighbours,
    network,
    policy,
    programs,
    scanners,
    schedule,
    services,
    tls,
)
from ..doctor import resources as probes
from ..doctor.context import Context
from ..doctor.findings import CRITICAL, OK, UNKNOWN, WARNING, WORDS, Finding, worst
from ..doctor.settings import Settings, read
from .parser import Parser

WIDTH = 80
SCREEN_LINES = 24
_NAMES_LINES = 2
_COLOURS = {OK: "32", WARNING: "33", CRITICAL: "31", UNKNOWN: "35"}
_ORDER = (CRITICAL, WARNING, UNKNOWN, OK)


@dataclass(frozen=True)
class Check:
    """One check: its description, its function, its time limit, and that with --quick (0: left out)."""

    words: str
    probe: Callable[[Context], list[Finding]]
    seconds: float = 15.0
    quick_seconds: float = 4.0
    late: int = UNKNOWN
    asked: bool = False  # it runs only by --only


CHECKS = {
    "services": Check("services are up and stay up", services.services),
    "drained": Check("new sessions of other hosts are taken", drained.drained),
    "listening": Check("somebody listens at each address for mail", listening.listening),
    "tls": Check("clients are offered TLS, and a session works", tls.tls),
    "certificate": Check("the certificate: dates, names, DANE, MTA-STS", certificate.certificate, 30.0),
    "virus": Check("EICAR is refused, by the scanner", scanners.virus, 45.0, 0.0, CRITICAL),
    "spam": Check("GTUBE is refused, by the scanner", scanners.spam, 45.0, 0.0, CRITICAL),
    "clean": Check("a clean message is delivered whole", clean.clean, 55.0, 0.0, CRITICAL, asked=True),
    "signatures": Check("clamd answers, its signatures are new", scanners.signatures),
    "clamd": Check("clamd has room to unpack, and no warning about its settings", clamd.clamd),
    "spam-rules": Check("spamd answers, its rules are new", scanners.spam_rules),
    "safety": Check("no open relay, all mail is scanned", policy.safety),
    "recipients": Check("the list of valid recipients", policy.recipients, 30.0),
    "rules": Check("the compiled rules and bad senders", policy.rules),
    "jobs": Check("the scheduled jobs succeeded in time", schedule.jobs),
    "dns": Check("dnscache answers, names resolve", network.dns, 20.0),
    "reverse": Check("the gateway's name and addresses agree", network.reverse, 60.0, 0.0),
    "backends": Check("the mail servers behind the gateway greet", network.backends, 20.0, 0.0),
    "directories": Check("the directory servers can be reached", network.directories, 20.0, 0.0),
    "ports": Check("other ports that must be reachable", network.ports, 20.0, 0.0),
    "programs": Check("the programs that take and deliver mail can be run", programs.programs),
    "queue": Check("number and age of queued messages", probes.queue),
    "disk": Check("free space and inodes", probes.disks),
    "ramdisk": Check("the scanner's work directory", probes.ramdisk),
    "copies": Check("copies of refused mail can be kept, and nobody else reads them", kept_copies.copies),
    "clock": Check("the clock is synchronized", probes.clock),
    "greylist": Check("the greylist can store its state", probes.greylist),
    "blacklist": Check("the adaptive blacklist answers", neighbours.blacklist),
    "operator": Check("the operator's service listens", neighbours.operator),
    "mta-sts": Check("the resolver of MTA-STS answers", neighbours.mta_sts),
    "fleet": Check("the site's other gateways are heard", fleet.fleet),
}
_WHOLE_SECONDS = 55.0
AGAIN_SECONDS = 5.0


def examine(names: Sequence[str], context: Context) -> list[Finding]:
    """Run the checks in parallel; return their findings in order, including late and failed checks."""
    limits = []
    for name in names:
        check = CHECKS[name]
        seconds = check.quick_seconds if context.quick else check.seconds
        limits.append(min(seconds, _WHOLE_SECONDS))
    probed = run_parallel(
        [
            ((lambda name=name: CHECKS[name].probe(context)), seconds)  # type: ignore[misc]
            for name, seconds in zip(names, limits)
        ]
    )
    findings: list[Finding] = []
    for name, seconds, outcome in zip(names, limits, probed):
        if not outcome.ended:
            text = f"did not end within {seconds:g} s"
            advice = f"run 'mailgate doctor --only {name}' again; see the load and dmesg"
            findings.append(Finding(name, CHECKS[name].late, text, advice))
        elif outcome.error is not None:
            findings.append(_failed(name, outcome.error))
        else:
            findings += outcome.value or [
                Finding(name, UNKNOWN, "no findings", "report it to the maintainers")
            ]
    return findings


def _failed(name: str, error: Exception) -> Finding:
    if isinstance(error, PermissionError):
        return Finding(name, UNKNOWN, f"not allowed: {error}", "run it as root: sudo mailgate doctor")
    if isinstance(error, (OSError, MailgateError)):
        return Finding(name, UNKNOWN, f"cannot be judged: {error}", "run the playbook again")
    # An error of the check itself must not hide the findings of the others.
    return Finding(
        name, UNKNOWN, f"the check failed: {error!r}", "report it to the maintainers of the collection"
    )


def summary(findings: Sequence[Finding]) -> str:
    """Return the first line, in the form of monitoring plug-ins."""
    status = worst(one.status for one in findings)
    if status == OK:
        checks = len({one.check for one in findings})
        return f"MAILGATE OK: {checks} checks passed"
    counts = [
        f"{sum(1 for one in findings if one.status == level)} {WORDS[level].lower()}"
        for level in _ORDER
        if level != OK and any(one.status == level for one in findings)
    ]
    first = next(one for one in findings if one.status == status)
    return f"MAILGATE {WORDS[status]}: {', '.join(counts)}; {first.check}: {first.text}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def render(findings: Sequence[Finding], colour: bool) -> list[str]:
    """Return the lines of the report: summary, problems with advice, worst first, then what is OK."""

    def painted(text: str, level: int) -> str:
        return f"\033[{_COLOURS[level]}m{text}\033[0m" if colour else text

    status = worst(one.status for one in findings)
    lines = [painted(_cut(summary(findings), WIDTH), status)]
    for level in _ORDER[:-1]:
        for one in findings:
            if one.status != level:
                continue
            head = f"{WORDS[level]:8} {one.check}: "
            told = textwrap.wrap(
                f"{head}{one.text}", WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False
            )
            lines.append(told[0].replace(WORDS[level], painted(WORDS[level], level), 1))
            lines += told[1:]
            if one.advice:
                lines += textwrap.wrap(
                    f"-> {one.advice}",
                    WIDTH,
                    initial_indent=" " * 9,
                    subsequent_indent=" " * 12,
                    break_on_hyphens=False,
                    break_long_words=False,
                )
    well = [one for one in findings if one.status == OK]
    room = SCREEN_LINES - len(lines)
    if len(well) > room:  # a healthy gateway fills the screen, another one has its problems alone
        room = room - _NAMES_LINES if status == OK else 0
    lines += [painted("OK", OK) + _cut(f"       {one.check}: {one.text}", WIDTH - 2) for one in well[:room]]
    if rest := well[room:]:
        shown = (f"{one.check} (off)" if one.text.startswith("off:") else one.check for one in rest)
        names = ", ".join(dict.fromkeys(shown))
        told = textwrap.wrap(f"OK       {names}", WIDTH, subsequent_indent=" " * 9)
        lines.append(told[0].replace("OK", painted("OK", OK), 1))
        lines += told[1:]
    return lines


class _Plugin(Parser):
    """A parser whose usage errors exit with UNKNOWN, as for a monitoring plug-in."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNKNOWN, f"MAILGATE UNKNOWN: {message}\n")


def _when(check: Check) -> str:
    if check.asked:
        return " (by --only alone)"
    return "" if check.quick_seconds else " (not with --quick)"


def _parser() -> Parser:
    width = max(len(name) for name in CHECKS)
    checks = "\n".join(f"  {name:{width}}  {check.words}{_when(check)}" for name, check in CHECKS.items())
    parser = _Plugin(
        prog="mailgate doctor",
        description="Report the problems of the gateway, and what to do about them.",
        epilog=f"""\
checks:
{checks}

reads:
  {DOCTOR_SETTINGS}: services, limits, checks left out
  {DOCTOR_STARTS}: starts of services within the last hour
  the state, logs and sockets of the services

writes:
  the file of starts. It sends EICAR and GTUBE to the gateway, which has to
  refuse them. It changes nothing else.

exit status:
  0 OK   1 WARNING   2 CRITICAL   3 UNKNOWN, or wrong usage

examples:
  mailgate doctor
  mailgate doctor --quick --json
  mailgate doctor --only virus --only spam
""",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out checks that send mail or wait for the network; less than 5 s (default: all checks)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object with status, summary and findings (default: a report for people)",
    )
    parser.add_argument(
        "--settings", default=DOCTOR_SETTINGS, metavar="FILE", help="the settings (default: %(default)s)"
    )
    parser.add_argument(
        "--check-settings",
        metavar="FILE",
        help="check only whether this settings file is valid (default: check the gateway)",
    )
    parser.add_argument(
        "--patience",
        default="",
        metavar="TIME",
        help="look again while something is critical, for so long, such as 3m (default: look once)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=CHECKS,
        metavar="CHECK",
        help="only this check, even if the settings leave it out; may be repeated (default: all checks)",
    )
    return parser


def chosen(only: Sequence[str] | None, skip: Sequence[str], quick: bool) -> list[str]:
    """Return the names of the checks to run, in order."""
    names = [
        name for name in CHECKS if (name in only if only else name not in skip and not CHECKS[name].asked)
    ]
    return [name for name in names if not quick or CHECKS[name].quick_seconds]


def main(argv: Sequence[str] | None = None, root: str = "") -> int:
    """Run `mailgate doctor [--quick] [--json] [--settings FILE] [--only CHECK]`; return the exit status."""
    given = _parser().parse_args(argv)
    began = time.time()
    try:
        settings = read(given.check_settings or given.settings)
        unknown = [name for name in settings.skip if name not in CHECKS]
        if unknown:
            expected = f"expected some of {', '.join(CHECKS)}"
            path = given.check_settings or given.settings
            raise BadInput(f"file {path}: skip {unknown[0]!r} is not a check; {expected}")
        if given.check_settings:
            return OK
        if os.geteuid() != 0:
            raise BadInput(f"user: uid {os.geteuid()} cannot read everything; expected root")
        names = chosen(given.only, settings.skip, given.quick)
        findings = _patiently(names, settings, given, root)
        if not names:
            text = "no check is left"
            findings.append(
                Finding("settings", UNKNOWN, text, "leave out fewer checks, or run without --quick")
            )
    except MailgateError as error:
        advice = "run the playbook again" if os.geteuid() == 0 else "run it as root: sudo mailgate doctor"
        findings = [Finding("settings", UNKNOWN, str(error), advice)]
    clean = [Finding(one.check, one.status, _one_line(one.text), _one_line(one.advice)) for one in findings]
    status = worst(one.status for one in clean)
    if given.json:
        answer = {
            "status": status,
            "summary": summary(clean),
            "findings": [asdict(one) for one in clean],
            "at": began,
            "seconds": round(time.time() - began, 3),
        }
        sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write("\n".join(render(clean, colour)) + "\n")
    sys.stdout.flush()
    return status


def _patiently(
    names: Sequence[str], settings: Settings, given: argparse.Namespace, root: str
) -> list[Finding]:
    """Examine, and again while something is critical and there is time: clamd loads for half a minute."""
    end = time.monotonic() + (duration(given.patience, "--patience") if given.patience else 0)
    while True:
        findings = examine(names, Context(settings, time.time(), given.quick, root))
        well = all(one.status != CRITICAL for one in findings)
        if well or time.monotonic() + AGAIN_SECONDS > end:
            return findings
        time.sleep(AGAIN_SECONDS)


def _one_line(text: str) -> str:
    """Return text as one printable line, because what it quotes may be untrusted."""
    return " ".join(printable(text).split())
