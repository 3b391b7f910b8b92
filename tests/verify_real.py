#!/usr/bin/env python3
# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make verify-real`: end-to-end tests with the real programs, those of patches without the patches too.

The second time each of them must fail, in one of its cases at least: a test that stays green without the
patch that it is there for proves nothing.  docs/generated/VERIFIED-PROGRAM.md says what ran, with a digest of
what ran, and tests/unit/docs/test_verified.py fails as soon as a patch, or a C file of ours, is another one.
Programs named on the command line are verified, else all of them.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # pytest has the path from pyproject.toml
    sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "plugins" / "module_utils"))

from bed.common import BED, ONLY_REAL, ROOT, Trouble, run, write_atomically
from bed.containers import STAMPS, command_converge, command_down, command_up
from bed.converged import command_start
from bed.python_venv import venv_program
from bed.signals import reset_signals
from bed.targets import command_prepare
from mailgate.build.c_files import program_files

PATCHED = "mailgate-verify-real"
PATCHED_ROLES = ("netqmail", "simscan")

# The tests of simscan's patch; the other tests of patches are netqmail's.
SCANNING = tuple(f"tests/e2e/test_scan_{name}.py" for name in ("clamd", "contract", "messages", "refused"))

# As it comes, qmail-smtpd takes no session over from smtpfront.
BARE = {"netqmail": {"gateway_front": "tcpserver"}}

# As it comes, simscan has clamdscan name a directory to clamd, which only root could open there.
READABLE = (
    "sed -i 's/^exec setuidgid clamav sh/exec sh/' /service/clamd/run; "
    "svc -t /service/clamd; sleep 2; "
    "for second in 1 2 3 4 5 6 7 8 9 10; do "
    "clamdscan --config-file=/etc/clamav/clamd.conf --ping 1 && break; sleep 1; done"
)


def report_path(role: str) -> Path:
    return ROOT / "docs" / "generated" / f"VERIFIED-{role}.md"


def sources(role: str) -> list[Path]:
    """Return the files that change the real program: the patches and the C files that they call."""
    patches = sorted(ROOT.glob(f"roles/{role}/files/patches/*.patch"))
    return [*patches, *program_files(ROOT / "src", [role]).values()]


def belonging(role: str) -> list[str]:
    """Return the arguments that tell pytest to run this program's tests."""
    scanning = list(SCANNING)
    return scanning if role == "simscan" else ["tests/e2e", *(f"--ignore={path}" for path in scanning)]


def digest(paths: Sequence[Path]) -> str:
    """Return one sha256 over names and contents."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


@dataclass(frozen=True)
class Result:
    """One test of a run.

    The verdict is passed, failed or skipped, unready when what it needs was missing, or not run when it took
    a stand-in for the gateway's program.
    """

    name: str
    verdict: str


def results(report: Path) -> list[Result]:
    """Return what a JUnit report says of each test."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        verdict = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        if any(child.get("message", "").startswith("failed on setup") for child in case):
            verdict = "unready"
        if any(child.get("message", "").startswith(ONLY_REAL) for child in case if child.tag == "skipped"):
            verdict = "not run"
        found.append(Result(f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}", verdict))
    return found


def green_throughout(results_without: Sequence[Result]) -> list[str]:
    """Return the tests that failed in none of their cases."""
    functions: dict[str, bool] = {}
    for one in results_without:
        name = one.name.partition("[")[0]
        functions[name] = functions.get(name, False) or one.verdict == "failed"
    return [name for name, failed in functions.items() if not failed]


def tests(name: str, *options: str) -> list[Result]:
    report = BED / f"{name}.xml"
    report.unlink(missing_ok=True)
    argv = [venv_program("python"), "-m", "pytest", "--ignore=tests/e2e/test_archive.py"]
    subprocess.run(
        [*argv, f"--gateway={name}", f"--junitxml={report}", *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return results(report)


def unpatched(role: str) -> str:
    """Start the container in which this one program is unpatched."""
    return f"mailgate-verify-{role}"


def without_patches(role: str, *options: str, first: str = "") -> list[Result]:
    name = unpatched(role)
    command_up(name, "bookworm", systemd=False)
    command_converge(name, ("-e", json.dumps({f"{role}_patches": [], **BARE.get(role, {})})))
    if first:
        run(["docker", "exec", name, "sh", "-c", first], why=f"preparing {name}")
    try:
        return tests(name, "-m", "patch", *options)
    finally:
        command_down(name)


def stamps(name: str) -> list[tuple[str, str, str]]:
    """Return (component, recipe hash, sha256 of the archive) of everything built in the container."""
    listing = run(["docker", "exec", name, "sh", "-c", f"cat {STAMPS}/*.json"], why="reading stamps")
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(listing.rstrip()):
        stamp, at = decoder.raw_decode(listing, at + len(listing[at:]) - len(listing[at:].lstrip()))
        recipe = stamp["recipe"]
        origin = ", ".join(source["sha256"][:16] for source in stamp["sources"])
        found.append((f"{recipe['name']} {recipe['version']}", stamp["recipe_hash"], origin))
    return found


def report(
    role: str, green: Sequence[Result], red: Sequence[Result], built: Sequence[tuple[str, str, str]]
) -> str:
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    lines = [
        f"# What ran with the real {role}",
        "",
        "Written by `make verify-real`; `make test` fails when a patch or a C file has changed since.",
        "",
        f"- date: {today}",
        f"- patches and C files: `{digest(sources(role))}`",
        f"- with our patches: {sum(one.verdict == 'passed' for one in green)} tests passed, none failed, "
        f"{sum(one.verdict == 'skipped' for one in green)} skipped",
        f"- without them: each test of a patch failed; of their {len(red)} cases "
        f"{sum(one.verdict == 'failed' for one in red)} did, the others are guards",
        "",
        "| built | recipe | archive (sha256, first 16 digits) |",
        "|---|---|---|",
        *(f"| {what} | `{recipe}` | `{origin}` |" for what, recipe, origin in built),
        "",
        "## Red without the patches",
        "",
        *(f"- {one.name}" for one in red if one.verdict == "failed"),
        "",
        "## Green with them",
        "",
        *(f"- {one.name}" for one in green if one.verdict == "passed"),
    ]
    return "\n".join(lines) + "\n"


def verify(role: str) -> list[str]:
    """Run and report one program; return what is wrong with it."""
    green = tests(PATCHED, *belonging(role))
    red = without_patches(role, *belonging(role), first=READABLE if role == "simscan" else "")
    wrong = [
        f"with our patches {one.verdict}: {one.name}"
        for one in green
        if one.verdict in ("failed", "unready", "not run")
    ]
    wrong += [f"without the patches unready: {one.name}" for one in red if one.verdict == "unready"]
    wrong += [f"without the patches green in every case: {name}" for name in green_throughout(red)]
    if not green or not red:
        wrong.append(f"{len(green)} tests ran with the patches and {len(red)} without; expected some of both")
    if not wrong:
        write_atomically(report_path(role), report(role, green, red, stamps(PATCHED)))
        print(f"{len(green) + len(red)} passed, 0 failed: {report_path(role).relative_to(ROOT)} is written")
    return wrong


def main(argv: Sequence[str]) -> int:
    reset_signals()
    os.environ["MAILGATE_STANDINS"] = "never"
    unknown = sorted(set(argv) - set(PATCHED_ROLES))
    if unknown:
        print(f"verify-real: {unknown} are not patched programs; expected {PATCHED_ROLES}", file=sys.stderr)
        return 1
    try:
        command_prepare(("bookworm",))
        command_start(PATCHED, "bookworm", systemd=False)
        wrong = [fault for role in argv or PATCHED_ROLES for fault in verify(role)]
        command_down(PATCHED)
    except Trouble as trouble:
        print(f"verify-real: {trouble}", file=sys.stderr)
        return 1
    if wrong:
        print("\n".join(["verify-real: not verified", *wrong]), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
