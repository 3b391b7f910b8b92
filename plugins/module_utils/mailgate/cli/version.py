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

from ..build.layout import read_stamp, stamped
from ..build.manifest import Manifest
from ..core.paths import START_RECORDS, STATE_DIRECTORY, VERSION_FILE
from ..host import restarts
from .parser import Parser

_EPILOG = f"""\
reads:
  {VERSION_FILE}   what the last run of the playbook was
  {STATE_DIRECTORY}/stamps/*   what was built, and from which archives

exit status:
  0

examples:
  mailgate version --since $(date -d '1 hour ago' +%s)
  mailgate version | grep -A 2 netqmail
"""


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


def _server(place: str) -> str:
    """Return the server of a place, "pool" for the distribution's archive; `mailgate version` has all."""
    return place.partition("://")[2].partition("/")[0] or place.partition(" ")[0]


def changes(since: int) -> list[str]:
    """Return what runs of the playbook built, from where, and which services they started."""
    made = []
    for name in stamped(since):
        manifest = read_stamp(name)
        places = [_server(one.get("place", "?")) for one in manifest.sources] if manifest is not None else []
        version = str(manifest.recipe.get("version", "")) if manifest is not None else ""
        made.append(
            f"{name} {version}".rstrip() + (f" ({', '.join(dict.fromkeys(places))})" if places else "")
        )
    suffix = restarts.ORDERED_SUFFIX
    names = sorted(os.listdir(START_RECORDS)) if os.path.isdir(START_RECORDS) else []
    orders = [one[: -len(suffix)] for one in names if one.endswith(suffix)]
    told = [one for one in orders if restarts.ordered(f"{START_RECORDS}/{one}")[0] >= since]
    return [
        f"built, or installed from the cache: {', '.join(made)}" if made else "built: nothing",
        f"started or stopped: {', '.join(told) or 'no service'}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the versions; return 0."""
    parser = Parser(
        prog="mailgate version",
        description="The version of this gateway, and what was built from source, from where.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--since",
        type=int,
        metavar="SECONDS",
        help="only what runs of the playbook built and started since that unix time",
    )
    given = parser.parse_args(argv)
    if given.since is not None:
        sys.stdout.write("".join(f"{line}\n" for line in changes(given.since)))
        return 0
    try:
        text: str | None = Path(VERSION_FILE).read_text(encoding="utf-8")
    except OSError:
        text = None
    # Below .../HASH/mailgate/cli
    package = Path(__file__).resolve().parents[2].name
    lines = [collection(text), f"package {package}, Python {sys.version.split()[0]}"]
    for name in stamped():
        manifest = read_stamp(name)
        lines += [f"{name}: its record is damaged"] if manifest is None else built(name, manifest)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
