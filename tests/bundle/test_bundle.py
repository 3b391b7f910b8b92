# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare host that reaches nothing becomes a gateway from a bundle, and a run again changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from bed import containers, converged
from bed.common import BED, ROOT, timed
from bed.images import make_base
from bed.python_venv import venv_program
from support.playbook_output import RECAP

NAME = f"mailgate-alone-{os.getpid()}"
SUITE, RELEASE = "bookworm", "12"


def play(playbook: str, log: str, *options: str, cache: Path | None = None) -> str:
    """Run a playbook on the host and return what it said, which is kept in .bed/bundle."""
    path = BED / "bundle" / f"{log}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = {**containers.ansible_environment(NAME), "ANSIBLE_NOCOLOR": "1"}
    if cache is not None:
        environment["MAILGATE_CACHE"] = str(cache)
    argv = [venv_program("ansible-playbook"), "-i", "tests/inventory", f"playbooks/{playbook}.yml", *options]
    with open(path, "w", encoding="utf-8") as handle, timed("bundle", f"{log} on {NAME}"):
        subprocess.run(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return path.read_text(encoding="utf-8", errors="replace")


def changed(said: str) -> int:
    found = RECAP.search(said)
    assert found and " failed=0 " in said[found.start() :], said[-4000:]
    return int(found[1])


def test_a_host_without_any_network_becomes_a_gateway_from_a_bundle(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    said = play(
        "sources",
        "sources",
        *("-e", f"gateway_bundle_directory={tmp_path}", "-e", f"bundle_release={RELEASE}"),
        *("-e", "bundle_packages=true"),
        *("-e", '{"bundle_leave_out": ["rules"]}'),  # they need the DNS of the internet
    )
    bundles = list(tmp_path.iterdir())
    assert len(bundles) == 1, said[-4000:]
    # Nothing of this machine's cache, and no directory of wheels.
    own = tmp_path / "own.yml"
    own.write_text(yaml.safe_dump({"gateways": {"hosts": {"gateway": {"qmailadmin_wheels": ""}}}}))
    options = ("-i", str(own), "-e", f"gateway_bundle={bundles[0]}")
    make_base(SUITE)
    containers.command_up(NAME, SUITE, systemd=False, alone=True)
    try:
        assert changed(play("gateway", "gateway", *options, cache=tmp_path / "cache")) > 0
        assert changed(play("gateway", "again", *options, cache=tmp_path / "cache")) == 0
        converged.command_await(NAME)
        assert containers.in_container(NAME, "sh", "-c", "ls /var/lib/apt/lists/*_Packages")[0] != 0
        assert containers.in_container(NAME, "qmailadmin", "--help")[0] == 0
    finally:
        if not request.config.getoption("--keep"):
            containers.command_down(NAME)
