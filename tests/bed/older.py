# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway as an older version of this collection made it: what an upgrade begins with.

The older tree comes out of this repository's history, converges a container with its own playbook and its own
test bed, and the result is kept as an image, so that only the first run takes that time.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .common import BED, LABEL, ROOT, Trouble, answer, run, say, tail, timed
from .containers import command_up
from .images import base_image, image_recipe, make_base
from .python_venv import venv_path, venv_program

# The last version whose package lay in one plain directory.
OLD = "8e882497719a80316ee1a7efa2e9aaf43c30ecd2"
SUITE = "bookworm"

# Services first and their logs last, so that no file is caught half written.
STOP = """
svc -d /service/*
for try in $(seq 60); do svstat /service/* | grep -q ': up ' || break; sleep 0.5; done
svc -d /service/*/log
for try in $(seq 20); do svstat /service/*/log | grep -q ': up ' || break; sleep 0.5; done
"""


def old_tree(commit: str = OLD) -> Path:
    """Return the files of that commit, below .bed; raise Trouble when this checkout lacks its history."""
    target = BED / "older" / commit[:12]
    if target.is_dir():
        return target
    found = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if found.returncode != 0:
        raise Trouble(
            f"the older version, commit {commit[:7]}, is not in the history of {ROOT} "
            f"({tail(found.stderr.decode('utf-8', 'replace'), 1)}); the upgrade begins with it: "
            "use a clone with its whole history (git fetch --unshallow)"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=".fresh-"))
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        if sys.version_info >= (3, 12):
            archive.extractall(fresh, filter="data")
        else:
            archive.extractall(fresh)
    os.chmod(fresh, 0o755)
    os.rename(fresh, target)
    return target


def environment(container: str) -> dict[str, str]:
    """Return the environment of the older tree's test bed: this machine's caches and venv only."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))
    }
    return {
        **kept,
        "MAILGATE_VENV": str(venv_path()),
        "MAILGATE_GATEWAY": container,
        "ANSIBLE_FORCE_COLOR": "0",
    }


def bed_of(tree: Path, container: str, *command: str) -> None:
    run(
        [sys.executable, "tests/bed", *command],
        log=BED / "older" / "log",
        env=environment(container),
        why=f"the older version's test bed ({' '.join(command)})",
        directory=tree,
    )


def old_image(commit: str = OLD) -> str:
    """Return the image of a gateway that the commit's own playbook made; make it unless it exists.

    It has more than one generation of recipients, as any gateway does that has run for a while.
    """
    step, tree = "older", old_tree(commit)
    make_base(SUITE)
    builder = f"mailgate-older-{os.getpid()}"
    for command in ("link", "choose"):
        bed_of(tree, builder, command)
    chosen = (tree / "tests/inventory/group_vars/gateways/choice.yml").read_bytes()
    base = answer(["docker", "image", "inspect", "--format", "{{.Id}}", base_image(SUITE)])[1]
    recipe = hashlib.sha256(f"1 {commit} {base} ".encode() + chosen).hexdigest()[:16]
    image = f"mailgate-older:{commit[:7]}-{recipe}"
    if image_recipe(image) == recipe:
        say(step, f"{image} is current")
        return image
    try:
        with timed(step, f"converging a gateway of {commit[:7]} (some minutes, once)", f"made {image}"):
            bed_of(tree, builder, "up", builder, SUITE)
            bed_of(tree, builder, "converge", builder)
            for addresses in ("alice, bob", "alice, bob, carla", ""):
                change_recipients(tree, builder, addresses)
            run(["docker", "exec", builder, "sh", "-c", STOP], why="stopping the older gateway's services")
            run(
                ["docker", "commit", "-c", f"LABEL {LABEL}={recipe}", builder, image],
                why="keeping the older gateway",
            )
    finally:
        answer(["docker", "rm", "-f", "-v", builder], timeout_seconds=60)
    return image


def change_recipients(tree: Path, container: str, addresses: str) -> None:
    """Run the older policy.yml with other recipients, or the inventory's, which adds one generation."""
    domains = (
        f"[{{name: example.test, route: '198.18.0.10:2525', recipients: list, addresses: [{addresses}]}},"
        " {name: example.org, route: '198.18.0.20:2525', recipients: any}]"
    )
    more = ["-e", f"{{gateway_domains: {domains}}}"] if addresses else []
    run(
        [venv_program("ansible-playbook"), "-i", "tests/inventory", *more, "playbooks/policy.yml"],
        log=BED / "older" / "log",
        env={**environment(container), "ANSIBLE_CONFIG": str(tree / "ansible.cfg")},
        why="the older version's playbooks/policy.yml",
        directory=tree,
    )


def command_older(name: str) -> None:
    """Start a gateway of the older version."""
    command_up(name, SUITE, systemd=False, image=old_image())
