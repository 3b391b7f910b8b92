# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create the venv of qmailadmin, or report what is wrong with the existing one.

Run by the role on the host:  check VENV STAMP  or  build VENV STAMP REQUIREMENTS [WHEELS].
The venv has only the packages that the requirements pin, not even pip, and is moved to its
place once complete.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

STAMP = "mailgate-stamp"
LAST_CHARACTERS = 2000


class Trouble(Exception):
    """The venv cannot be made; the text says why."""


def run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-LAST_CHARACTERS:]
        raise Trouble(f"command {' '.join(argv)!r}: ended with status {done.returncode}; expected 0: {said}")


def works(venv: Path) -> bool:
    """Return whether its Python runs and finds textual; an upgrade of the system may have broken either."""
    try:
        run([str(venv / "bin" / "python"), "-I", "-B", "-c", "import textual.app"])
    except (OSError, Trouble):
        return False
    return True


def state(venv: Path, stamp: str) -> str:
    """Return 'current', or what is wrong with the venv."""
    try:
        found = (venv / STAMP).read_text(encoding="utf-8").strip()
    except OSError:
        return "missing"
    if found != stamp:
        return "of other requirements"
    return "current" if works(venv) else "broken"


def build(venv: Path, stamp: str, requirements: str, wheels: str) -> None:
    os.umask(0o022)  # the operators run it, not only root
    new, old = venv.with_name(f"{venv.name}.new"), venv.with_name(f"{venv.name}.old")
    for path in (new, old):
        shutil.rmtree(path, ignore_errors=True)
    try:
        fill(new, requirements, wheels)
    except (OSError, Trouble):
        shutil.rmtree(new, ignore_errors=True)
        raise
    (new / STAMP).write_text(f"{stamp}\n", encoding="utf-8")
    if venv.exists():
        venv.rename(old)
    new.rename(venv)
    shutil.rmtree(old, ignore_errors=True)


def fill(new: Path, requirements: str, wheels: str) -> None:
    run([sys.executable, "-I", "-m", "venv", str(new)])
    python = str(new / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "-q", "--disable-pip-version-check", "--no-input"]
    source = ["--no-index", "--find-links", wheels] if wheels else []
    install = ["install", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir", *source]
    run([*pip, *install, "-r", requirements])
    packages = [name for name in ("pip", "setuptools") if list(new.glob(f"lib/*/site-packages/{name}"))]
    run([*pip, "uninstall", "-y", *packages])
    for program in (new / "bin").iterdir():
        if not program.name.startswith("python"):
            program.unlink()  # its first line names the directory in which it was made
    if not works(new):
        raise Trouble(f"venv {str(new)!r}: does not find textual; expected the requirements to bring it")


def main(argv: list[str]) -> int:
    do, venv, stamp, *rest = argv
    if do == "check":
        sys.stdout.write(f"{state(Path(venv), stamp)}\n")
        return 0
    try:
        build(Path(venv), stamp, rest[0], rest[1] if len(rest) > 1 else "")
    except (OSError, Trouble) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
