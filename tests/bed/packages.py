# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of this machine, and the sources that its apt is configured with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .common import BED, Trouble, answer, is_root, run, say, timed

TOOLS = ("gcc", "libc6-dev", "libssl-dev", "openssl", "patch", "publicsuffix", "strace", "iproute2")
ORACLES = ("daemontools", "ucspi-tcp", "freecdb", "tinydns", "dnscache", "axfrdns")


def missing_packages(names: Iterable[str]) -> list[str]:
    missing = []
    for name in names:
        status, text = answer(["dpkg-query", "-W", "-f=${db:Status-Status}", name])
        if status == 127:
            raise Trouble("this machine has no dpkg: the test bed is made for Debian 12 or 13")
        if status != 0 or text.strip() != "installed":
            missing.append(name)
    return missing


def install_packages(step: str, names: Iterable[str]) -> None:
    missing = missing_packages(names)
    if not missing:
        return
    if not is_root():
        raise Trouble(
            "packages are missing and only root can install them; "
            f"as root: apt-get install {' '.join(missing)}"
        )
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    log = BED / "apt.log"
    with timed(step, f"installing {' '.join(missing)}"):
        try:
            run(install, log=log, env=env)
        except Trouble:  # the lists may be missing or too old
            run(["apt-get", "update", "-q"], log=log, env=env, why="apt-get update")
            run(install, log=log, env=env, why="installing packages")


def command_system() -> None:
    install_packages("system", (*TOOLS, *ORACLES))
    say("system", "compiler and oracles are installed")


@dataclass(frozen=True)
class AptSource:
    uri: str
    release: str
    component: str


def machine_apt_sources() -> list[AptSource]:
    """Return the sources that apt itself says this machine has; empty while its lists are missing."""
    status, text = answer(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    if status != 0:
        return []
    return [AptSource(*fields) for fields in (line.split() for line in text.splitlines()) if len(fields) == 3]


def os_release() -> dict[str, str]:
    values = {}
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key] = value.strip('"')
    return values


def suite_sources(sources: Iterable[AptSource], own: str, suite: str) -> list[AptSource]:
    """Return the machine's Debian sources (main, updates, security) with `suite` for its own release."""
    found = []
    for source in sources:
        if source.release not in (own, f"{own}-updates", f"{own}-security") or source.component != "main":
            continue
        wanted = AptSource(source.uri, suite + source.release[len(own) :], "main")
        if wanted not in found:
            found.append(wanted)
    return found


def apt_settings(dump: str) -> str:
    """Return the settings of the machine's apt that a container needs, too, to reach the same mirrors."""
    wanted = re.compile(r'Acquire::(https?::Proxy(::\S+)?|Check-Valid-Until|Check-Date|Retries) "[^"]*";')
    kept = [line for line in dump.splitlines() if wanted.fullmatch(line)]
    return "\n".join([*kept, 'Acquire::Languages "none";', ""])


def derived_sources(suite: str) -> list[AptSource]:
    release = os_release()
    own = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian":
        return []
    found = suite_sources(machine_apt_sources(), own, suite)
    if not found and is_root():
        run(["apt-get", "update", "-q"], log=BED / "apt.log", why="apt-get update")
        found = suite_sources(machine_apt_sources(), own, suite)
    return found
