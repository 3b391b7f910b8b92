# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the suite: what each runs, which suites it belongs to, what time it may take.

This is the only list: the Makefile's targets and the suites run these parts, and
`python3 tests/bed parts` lists it.  A new part is one entry in PARTS and one in HOLDS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAST, TEST, FULL = "fast", "test", "full"

# Seconds that a whole suite may take on an idle machine of two cores.
BUDGETS: Mapping[str, int] = {FAST: 60, TEST: 45 * 60, FULL: 90 * 60}


@dataclass(frozen=True)
class Part:
    """One command of the suite.

    budget_seconds: what it may take on two idle cores, in `make test`.
    suites: which of fast, test and full run it; the report of `full` is docs/generated/VERIFIED-full.md.
    fast: what is added to the command in `make fast`.
    makes: the platform of whose gateway it makes the image; parts with `image` wait for that meanwhile.
    image: the platform on whose converged gateway it begins.
    gateway: a container from that image is made for it, named to it by --gateway, and removed afterwards.
    env: what is added to the environment.
    inputs: globs of all that decides its result; `make fast` does not repeat it while nothing of that has
        changed since it passed. All other commands run it in any case.
    """

    name: str
    argv: tuple[str, ...]
    budget_seconds: int
    suites: tuple[str, ...] = (TEST, FULL)
    fast: tuple[str, ...] = ()
    makes: str = ""
    image: str = ""
    gateway: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


def pytest(*arguments: str) -> tuple[str, ...]:
    return ("python", "-m", "pytest", *arguments)


def molecule(scenario: str) -> tuple[str, ...]:
    return ("molecule", "test", "-s", scenario)


# The end-to-end tests by subject, each with a gateway of its own, so that they run beside each other: they
# wait more than they work.  A file that no part names belongs to `e2e-more`; what grows long is divided.
END_TO_END = {
    "e2e-queue": ("test_queue.py", "test_kill.py", "test_sync.py", "test_delivery_programs.py"),
    "e2e-scan": (
        "test_scan_contract.py",
        "test_scan_messages.py",
        "test_scanner_text.py",
        "test_data_refusals.py",
    ),
    "e2e-names": ("test_recipients.py", "test_dns.py", "test_dnscache.py"),
    "e2e-tls": (
        "test_tls_attacks.py",
        "test_starttls.py",
        "test_front_starttls.py",
        "test_backend_tls.py",
        "test_dane.py",
        "test_mta_sts.py",
    ),
    "e2e-clamav": ("test_clamav.py", "test_scan_clamd.py"),
    "e2e-spam": ("test_spamassassin.py", "test_scoring.py", "test_bounces.py"),
    "e2e-judging": ("test_dmarc.py", "test_phishing.py", "test_domain_rules.py", "test_scan_refused.py"),
    "e2e-smtp": ("test_conversations.py", "test_refusals.py", "test_contract.py", "test_session_limits.py"),
    "e2e-bytes": (
        "test_smuggling.py",
        "test_envelope.py",
        "test_envelope_out.py",
        "test_scanned_is_delivered.py",
        "test_backend_replies.py",
    ),
    "e2e-front": ("test_fronts.py", "test_front_dialogues.py", "test_handover.py", "test_drain.py"),
    "e2e-host": ("test_restarts.py", "test_policy.py", "test_doctor.py", "test_accounts.py"),
    "e2e-operators": ("test_operator.py", "test_knowing.py", "test_qmailadmin.py", "test_log_readers.py"),
    "e2e-more": (),
}


def end_to_end(name: str) -> tuple[str, ...]:
    """Return the pytest arguments of a part of the end-to-end tests: its files, or all that no part names."""
    if END_TO_END[name]:
        return tuple(f"tests/e2e/{file}" for file in END_TO_END[name])
    elsewhere = ["test_archive.py", *(file for files in END_TO_END.values() for file in files)]
    return ("tests/e2e", *(f"--ignore=tests/e2e/{file}" for file in elsewhere))


DOCS = ("--plugin-docs", "--check-extra-docs-refs", ".")
EVERY = (FAST, TEST, FULL)

_PACKAGE = "plugins/module_utils/mailgate"
_SHARED = ("tests/support/*.py", "tests/fuzz/*", "tests/standins/**/*")
C_INPUTS = (
    "src/*/*",
    "roles/*/files/**/*",
    "roles/*/vars/*",
    "tests/unit/c/*",
    *_SHARED,
    f"{_PACKAGE}/*.py",
    *(f"{_PACKAGE}/{layer}/*.py" for layer in ("build", "core", "formats", "operators")),
)
SCREEN_INPUTS = ("roles/qmailadmin/**/*", "tests/qmailadmin/*", *_SHARED, f"{_PACKAGE}/**/*.py")

# In the order in which they begin, each as soon as what it needs is there: first what makes an image that
# others wait for, and what waits for it before what could run at any time.
PARTS = (
    Part("default", molecule("default"), 900, makes="bookworm"),
    Part("ruff", ("ruff", "check", "."), 3, EVERY),
    Part("mypy", ("mypy", "plugins/module_utils/mailgate", "tests/bed", "tests/support"), 30, EVERY),
    Part("imports", ("lint-imports",), 3, EVERY, env={"PYTHONPATH": "plugins/module_utils"}),
    Part("yamllint", ("yamllint", "--strict", "."), 15, EVERY),
    Part("changelog", ("antsibull-changelog", "lint"), 5, EVERY),
    # A file is one worker's, for what it makes for its tests; those in C wait more than they work.
    Part(
        "c",
        pytest("tests/unit/c", "-n", "2", "--dist", "loadfile"),
        180,
        EVERY,
        fast=("-m", "not slow", "-n", "3"),
        inputs=C_INPUTS,
    ),
    Part(
        "unit",
        pytest("tests/unit", "--ignore=tests/unit/c", "-n", "2", "--dist", "loadfile"),
        120,
        EVERY,
        fast=("-m", "not slow"),
    ),
    Part(
        "screen",
        pytest("tests/qmailadmin", "-n", "2", "--dist", "loadfile"),
        60,
        EVERY,
        fast=("-m", "not slow"),
        inputs=SCREEN_INPUTS,
    ),
    Part(
        "module", pytest("tests/module"), 120, EVERY, fast=("-m", "not slow", "-n", "3", "--dist", "loadfile")
    ),
    Part("differential", pytest("tests/differential"), 30, EVERY, fast=("-m", "not slow")),
    Part("debian13", molecule("debian13"), 540),
    *(Part(name, pytest(*end_to_end(name)), 300, image="bookworm", gateway=True) for name in END_TO_END),
    Part("upgrade", pytest("tests/upgrade"), 600),
    Part("systemd", molecule("systemd"), 270, image="bookworm"),
    Part("archive", pytest("tests/e2e/test_archive.py"), 150),
    Part("cores", pytest("tests/cores"), 120),
    Part("docs", ("antsibull-docs", "lint-collection-docs", *DOCS), 30),
    Part("ansible-lint", ("ansible-lint", "--offline", "--profile", "production"), 90),
    Part("sanity", ("python", "tests/bed", "sanity"), 180),
    Part("mta", molecule("mta"), 120),
    Part("second-host", pytest("tests/second_host"), 900, (FULL,), image="bookworm", gateway=True),
    Part("bundle", pytest("tests/bundle"), 900, (FULL,)),
    Part("controllers", pytest("tests/controllers"), 900, (FULL,)),
    Part("fleet-quick", pytest("tests/fleet/test_fleet.py"), 300, (TEST,), image="bookworm"),
    Part("fleet", pytest("tests/fleet"), 900, (FULL,), image="bookworm"),
    Part("systemd-fresh", molecule("systemd"), 540, (FULL,), env={"MAILGATE_FROM": "nothing"}),
)
BY_NAME = {part.name: part for part in PARTS}

# What each part holds, for whoever looks for a test or for what a failure concerns.
HOLDS: Mapping[str, str] = {
    "default": "Debian 12 from a bare host: check mode, converge, nothing changes again; makes the image",
    "ruff": "style of all Python",
    "mypy": "types of the package, the test bed and tests/support",
    "imports": "imports of the package go down through its layers",
    "yamllint": "style of all YAML",
    "changelog": "the fragments of the change log",
    "c": "our C files: warnings as errors, their tests under sanitizers, fuzzers, whole programs",
    "unit": "the package, roles, plugins, pages, the bed",
    "screen": "the operators' screen, without a terminal and in one",
    "module": "every Ansible module through its contract: check mode, diff, idempotence, refusals",
    "differential": "our readers and writers beside tcprules, cdbget and svstat themselves",
    "debian13": "Debian 13 from a bare host: converge, ten conversations",
    "e2e-queue": "the queue, kills at any moment, power cuts",
    "e2e-scan": "simscan and what stands behind it, broken in every way; what a scanner may say",
    "e2e-names": "recipients from directories, DNS and lies of it",
    "e2e-tls": "TLS with clients and back ends: attacks on it, certificates, required TLS, DANE",
    "e2e-clamav": "ClamAV: what it finds, who may ask it, how it comes back",
    "e2e-spam": "SpamAssassin: what is refused, marked, and withheld as a bounce",
    "e2e-judging": "DMARC by each policy, macros, shortened links, text of PDFs, rules of single domains",
    "e2e-smtp": "the table of conversations, refusals, limits of a session, the fail-mode contract",
    "e2e-bytes": "strangers' bytes: smuggling in messages, envelopes, replies; scanned is delivered",
    "e2e-front": "smtpfront beside qmail-smtpd alone; the change to tcpserver and back; a gateway taken out",
    "e2e-host": "restarts that are owed, changes of policy, the doctor, accounts",
    "e2e-operators": "operators' commands and screen, trace and stats, who reads which log",
    "e2e-more": "all other files of tests/e2e: greylist, blacklist, IPv6, leaks",
    "upgrade": "a gateway of an older version becomes one of this tree while mail flows; nothing is lost",
    "systemd": "under systemd: converge over the image, a few conversations, again after a reboot",
    "archive": "the collection's archive: content, galaxy-importer, check mode from it on a bare host",
    "cores": "the oldest ansible-core that is promised, and the newest: what the playbooks write",
    "docs": "the web pages of modules, filters and roles, as antsibull-docs makes them",
    "ansible-lint": "the production profile",
    "sanity": "ansible-test sanity",
    "mta": "another mail server on port 25: refused by name, replaced when the site says so",
    "second-host": "backup, restore onto a fresh host of the other release, and remove",
    "bundle": "a bare host that reaches nothing becomes a gateway from a bundle",
    "controllers": "the oldest ansible-core and the newest, each on a host of its own: every file",
    "fleet-quick": "three gateways: what they tell, dead engines, one cut off, forged facts, one taken out",
    "fleet": "that, wrong clocks, an hour cut off, nonsense, a run that breaks one, many networks",
    "systemd-fresh": "systemd from a bare host",
}


def listing() -> list[str]:
    """Return a line for each part: its name, its budget, the suites that run it, what it holds."""
    return [
        f"{part.name:<14} {part.budget_seconds:>4} s  {', '.join(part.suites):<16}  {HOLDS[part.name]}"
        for part in PARTS
    ]
