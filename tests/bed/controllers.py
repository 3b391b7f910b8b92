# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that is controller and gateway at once: a checkout, ansible-core in a venv, archives.

A container reaches no index of Python packages: pip of this machine fetches the wheels for its Python.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from .collection import copy_project
from .common import BED, ROOT, Trouble, run, tail, timed
from .containers import command_up
from .sources import cache_directory
from .wheels import wheel_directory

CHECKOUT = "/root/checkout"
LOG = BED / "controllers.log"
# The oldest C libraries for which wheels are made, up to that of Debian 12.
LIBRARIES = ("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34")


def inside(name: str, script: str, why: str) -> str:
    """Return the output of a script of bash's, which must succeed, in a container."""
    return run(["docker", "exec", name, "bash", "-ec", script], log=LOG, why=why)


def copy_into(name: str, source: Path, target: str) -> None:
    """Copy a file, or what lies in a directory, into a container, as root's."""
    inside(name, f"mkdir -p {target if source.is_dir() else Path(target).parent}", "making a directory")
    if source.is_dir():
        argv = ["tar", "-C", str(source), "--owner=0", "--group=0", "-cf", "-", "."]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as pack:
            unpack = ["docker", "exec", "-i", name, "tar", "-C", target, "-xf", "-"]
            done = subprocess.run(unpack, stdin=pack.stdout, capture_output=True, text=True, check=False)
        if done.returncode != 0 or pack.returncode != 0:
            raise Trouble(f"copying {source} to {name} failed: {tail(done.stderr)}")
    else:
        run(["docker", "cp", "-q", str(source), f"{name}:{target}"], why=f"copying {source} to {name}")


def make_controller(name: str, suite: str) -> None:
    """Start a bare container that has what a controller has: git, Python's venv, a checkout, archives."""
    command_up(name, suite, systemd=False)
    packages = "apt-get install -y -q --no-install-recommends git python3-venv"
    with timed(name, "installing git and python3-venv"):
        inside(name, f"apt-get update -q; DEBIAN_FRONTEND=noninteractive {packages}", "installing packages")
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "checkout"
        run(["git", "clone", "-q", "--no-checkout", "--depth=1", f"file://{ROOT}", str(clone)], why="cloning")
        copy_project(clone)
        copy_into(name, clone, CHECKOUT)
    copy_into(name, cache_directory(), "/root/.cache/mailgate/sources")
    for chosen in (wheel_directory(), BED / "standins"):  # by the paths that `choose` has written
        if chosen.is_dir():
            copy_into(name, chosen, str(chosen))


def install_core(name: str, venv: str, requirement: str) -> str:
    """Make a venv with an ansible-core in the container; return the release that it has."""
    version = inside(name, "python3 -c 'import platform; print(platform.python_version())'", "asking python3")
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-d", wheels]
        pins = ["--only-binary", ":all:", "--python-version", version.strip()]
        for library in LIBRARIES:
            pins += ["--platform", f"{library}_{platform.machine()}"]
        run([*pip, *pins, requirement], log=LOG, why=f"fetching {requirement} for Python {version.strip()}")
        copy_into(name, Path(wheels), f"{venv}-wheels")
    with timed(name, f"installing {requirement}"):
        offline = f"{venv}/bin/pip install -q --no-index --find-links {venv}-wheels '{requirement}'"
        inside(name, f"python3 -m venv {venv}; {offline}", f"installing {requirement}")
    return core_of(name, venv)


def core_of(name: str, venv: str) -> str:
    """Return the release of ansible-core in a venv of the container."""
    asked = f"{venv}/bin/python -c 'import ansible.release; print(ansible.release.__version__)'"
    return inside(name, asked, "asking ansible-core").strip()
