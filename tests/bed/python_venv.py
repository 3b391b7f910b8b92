# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the venv that the tests run in; not named venv.py, as the standard library has such a module."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from pathlib import Path

from .common import BED, ROOT, Trouble, answer, run, say, timed
from .packages import install_packages

REQUIREMENTS = ROOT / "requirements-test.txt"


def venv_path() -> Path:
    return Path(os.environ.get("MAILGATE_VENV") or ROOT / ".venv").absolute()


def venv_program(name: str) -> str:
    """Return a program of the venv, or of the environment that runs this file when there is no venv."""
    for directory in (venv_path() / "bin", Path(sys.executable).parent):
        if (directory / name).exists():
            return str(directory / name)
    raise Trouble(f"{name} is not in {venv_path()}; run: make venv")


def command_venv() -> None:
    venv = venv_path()
    if os.environ.get("MAILGATE_VENV"):
        if not (venv / "bin" / "ansible-playbook").exists():
            raise Trouble(
                f"MAILGATE_VENV={venv} has no bin/ansible-playbook; "
                "put requirements-test.txt into it or unset it"
            )
        say("venv", f"{venv} is used as it is (MAILGATE_VENV)")
        return
    version = "{}.{}.{}".format(*sys.version_info[:3])
    if sys.version_info < (3, 11):
        raise Trouble(
            f"the tests need Python 3.11 or newer and {sys.executable} is {version}; "
            "name another: make PYTHON=python3.11"
        )
    python = str(Path(getattr(sys, "_base_executable", sys.executable)))
    # Not the path of Python: with the venv active it is another one.
    recipe = f"{REQUIREMENTS.read_text(encoding='utf-8')}\n{version}\n{venv}\n"
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    stamp = venv / "mailgate-stamp"
    with contextlib.suppress(OSError):
        works = answer([str(venv / "bin" / "python"), "-c", "import ansible, molecule"])[0] == 0
        if works and stamp.read_text(encoding="utf-8").strip() == wanted:
            say("venv", f"{venv} is current (Python {version})")
            return
    if answer([python, "-c", "import ensurepip, venv"])[0] != 0:
        install_packages("venv", ("python3-venv", "python3-pip"))
        if answer([python, "-c", "import ensurepip, venv"])[0] != 0:
            raise Trouble(
                f"{python} cannot make a venv: it has no ensurepip; "
                "name another Python: make PYTHON=/usr/bin/python3"
            )
    log = BED / "venv.log"
    with timed("venv", f"making {venv} with Python {version} (one to two minutes)", "made"):
        run([python, "-m", "venv", "--clear", str(venv)], log=log, why="making the venv")
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "-r",
            str(REQUIREMENTS),
        ]
        run(pip, log=log, why="filling the venv")
        stamp.write_text(wanted + "\n", encoding="utf-8")


def floor_release() -> str:
    """Return the oldest release of ansible-core that the collection promises to work with."""
    text = (ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8")
    found = re.search(r'requires_ansible: ">=([0-9.]+)"', text)
    if found is None:
        raise Trouble(f"meta/runtime.yml: {text!r} names no release of ansible-core")
    return found[1]


def floor_venv() -> Path:
    """Return a venv with that release, made when it is missing."""
    release = floor_release()
    venv = BED / f"ansible-core-{release}"
    if (venv / "bin" / "ansible-playbook").exists():
        return venv
    log = BED / "venv.log"
    with timed("venv", f"making {venv} (half a minute)", "made"):
        run([sys.executable, "-m", "venv", "--clear", str(venv)], log=log, why="making the venv")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        run([*pip, f"ansible-core=={release}"], log=log, why="filling the venv")
    return venv
