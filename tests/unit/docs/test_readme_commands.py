# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's commands and the example of an inventory work as they stand there, twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import variable_names
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.check import check_site
from bed import collection
from bed.common import ROOT
from support.readme import INSTALL, RUN, commands

EXAMPLE = ROOT / "docs/examples/inventory.yml"
INSTALLED = ".ansible/collections/ansible_collections/mailgate/qmail"


def run(script: str, directory: Path, home: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment = {**kept, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_commands_install_what_the_checkout_has_each_time(tmp_path: Path) -> None:
    home, checkout = tmp_path / "home", tmp_path / "qmail"
    home.mkdir()
    collection.copy_project(checkout, ("tests/", "docs/generated/"))
    author = "-c user.name=x -c user.email=x@x.example"
    run(f"git init -q . && git add -A && git {author} commit -qm one", checkout, home)
    head = run("git rev-parse HEAD", checkout, home).strip()
    script = commands(INSTALL)
    for text in ("once", "twice"):
        (checkout / "README.md").write_text(text)
        run(script, checkout, home)
        assert (home / INSTALLED / "README.md").read_text() == text
        assert (home / INSTALLED / "COMMIT").read_text().strip() == head
    site = home / "mailgate-site"
    assert (site / "inventory.yml").read_text() == EXAMPLE.read_text()
    for line in commands(RUN).splitlines():
        said = run(f"{line} --list-hosts", site, home)
        assert "mx1.example.com" in said
    assert "mailgate.qmail.gateway" in commands(RUN)


def example() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return found["gateways"]


def test_the_example_is_a_site_without_a_fault() -> None:
    given = example()["vars"]
    site = {
        "hostname": given["gateway_hostname"],
        "postmaster": given["gateway_postmaster"],
        "domains": given["gateway_domains"],
        "relay_networks": given["gateway_relay_networks"],
    }
    assert check_site(site, ["192.0.2.1"]) == []
    assert list(example()["hosts"]) == [given["gateway_hostname"]]


def test_the_example_has_only_variables_that_exist() -> None:
    known = variable_names.site_names((ROOT / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
    named = re.findall(r"\bgateway_[a-z_]+", EXAMPLE.read_text(encoding="utf-8"))
    assert set(named) <= known


def test_ansible_reads_the_example(tmp_path: Path) -> None:
    said = run(f"ansible-inventory -i {EXAMPLE} --list", tmp_path, tmp_path)
    listed = json.loads(said)
    assert listed["gateways"]["hosts"] == ["mx1.example.com"]
    variables = listed["_meta"]["hostvars"]["mx1.example.com"]
    assert variables["gateway_domains"][0]["recipients"] == "list"
