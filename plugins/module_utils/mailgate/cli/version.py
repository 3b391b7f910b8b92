# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate version`: version and commit of the collection, and what was built from where."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..build.layout import read_stamp
from ..build.manifest import Manifest
from ..core.paths import STATE_DIRECTORY, VERSION_FILE
from .parser import Parser

_EPILOG = f"""\
reads:
  {VERSION_FILE}   what the last run of the playbook was
  {STATE_DIRECTORY}/stamps/*   what was built, and from which archives

exit status:
  0

example:
  mailgate version | grep -A 2 netqmail
"""
STAMPS = f"{STATE_DIRECTORY}/stamps"


def collection(text: str | None) -> str:
    """Return the line on the collection, from the text of its file, or None for no file."""
    try:
        made = json.loads(text or "")
        version, commit = str(made["version"]), str(made["commit"])
    except (ValueError, KeyError, TypeError):
        return "mailgate.qmail: version unknown; the next run of the playbook writes it"
    return f"mailgate.qmail {version}" + (f", commit {commit}" if commit else ", no commit known")


def built(name: str, manifest: Manifest) -> list[str]:
    """Return the lines on one program that was built from source."""
    lines = [f"{name} {manifest.recipe.get('version', '')}".rstrip()]
    for one in manifest.sources:
        lines.append(f"    from {one.get('place', '?')}, by the {one.get('via', '?')}")
        lines.append(f"    sha256 {one.get('sha256', '?')}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print the versions; return 0."""
    parser = Parser(
        prog="mailgate version",
        description="The version of this gateway, and what was built from source, from where.",
        epilog=_EPILOG,
    )
    parser.parse_args(argv)
    try:
        text: str | None = Path(VERSION_FILE).read_text(encoding="utf-8")
    except OSError:
        text = None
    # Below .../HASH/mailgate/cli
    package = Path(__file__).resolve().parents[2].name
    lines = [collection(text), f"package {package}, Python {sys.version.split()[0]}"]
    names = sorted(os.listdir(STAMPS)) if os.path.isdir(STAMPS) else []
    for name in (one[: -len(".json")] for one in names if one.endswith(".json")):
        manifest = read_stamp(name)
        lines += [f"{name}: its record is damaged"] if manifest is None else built(name, manifest)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
