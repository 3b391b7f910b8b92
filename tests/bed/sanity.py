# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity, over a copy of what a user installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .collection import copy_project
from .common import BED, Trouble, run, say, write_atomically
from .python_venv import venv_path, venv_program

GET_PIP = '''\
"""Stands in for the downloaded get-pip: installs pip from the wheel that Python carries."""
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"])
rest = [item for item in sys.argv[1:] if item not in ("--no-setuptools", "--no-wheel")]
if rest:
    sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *rest]))
'''


def command_sanity(arguments: Sequence[str]) -> None:
    begin = time.monotonic()
    target = BED / "sanity" / "ansible_collections" / "mailgate" / "qmail"
    # What a user installs is judged; ruff and pytest hold the tests.
    copy_project(target, without=("tests/", "molecule/"))
    # A repository of its own: below an ignored directory ansible-test would see no files at all.
    run(["git", "init", "-q", str(target)], why="making the copy for ansible-test")
    # A home of its own, so that nothing is put into the user's; pip's settings come along.
    home = BED / "sanity" / "home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for entry in (".config", ".pip"):
        if (Path.home() / entry).exists() and not (home / entry).exists():
            (home / entry).symlink_to(Path.home() / entry)
    version = "24_2"
    requirements = next(
        venv_path().glob("lib/python*/site-packages/ansible_test/_util/target/setup/requirements.py"), None
    )
    if requirements is not None:
        named = re.findall(r"pip_version = '([\d.]+)'", requirements.read_text(encoding="utf-8"))
        version = named[-1].replace(".", "_") if named else version
    write_atomically(cache / f"get_pip_{version}.py", GET_PIP)
    search = [entry for entry in os.environ.get("PATH", "").split(":") if entry and "pyenv" not in entry]
    program = venv_program("ansible-test")
    real = os.path.realpath(venv_path() / "bin" / "python")
    env = dict(
        os.environ,
        HOME=str(home),
        PATH=":".join([str(Path(program).parent), *search, str(Path(real).parent)]),
    )
    env.pop("ANSIBLE_COLLECTIONS_PATH", None)
    python = "{}.{}".format(*sys.version_info[:2])
    argv = [program, "sanity", "--venv", "--python", python, "--color", "no", *arguments]
    say("sanity", f"ansible-test sanity with Python {python} (one to two minutes the first time)")
    done = subprocess.run(argv, cwd=target, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Trouble("ansible-test sanity found something; it stands above")
    say("sanity", f"passed, {time.monotonic() - begin:.1f} s")
