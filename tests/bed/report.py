# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway is made of, and how to look around inside."""

from __future__ import annotations

import json
from collections.abc import Iterable

from .containers import STAMPS, in_container


def stamp_lines(texts: Iterable[str]) -> list[tuple[str, str]]:
    """(component and version, how it came here) for each stamp that source_build left."""
    lines = []
    for text in texts:
        stamp = json.loads(text)
        name = f"{stamp['recipe']['name']} {stamp['recipe'].get('version', '')}".strip()
        places = [
            source["place"] if source["via"] != "cache" else f"archive {source['sha256'][:12]} of the cache"
            for source in stamp["sources"]
        ]
        if any("/standins/" in source["place"] for source in stamp["sources"]):
            lines.append((name, "built from a STAND-IN, tests/standins"))
        else:
            lines.append((name, f"built from source, {', '.join(places)}"))
    return lines


def built(name: str) -> list[tuple[str, str]]:
    """Return stamp_lines of what a container has built."""
    status, listing = in_container(name, "sh", "-c", f"ls {STAMPS} 2>/dev/null")
    texts = []
    for entry in sorted(listing.split()) if status == 0 else []:
        if entry.endswith(".json"):
            texts.append(in_container(name, "cat", f"{STAMPS}/{entry}")[1])
    return stamp_lines(texts)


def command_report(name: str) -> None:
    """Print what was built from source, came as a package or is a stand-in, and how to look around."""
    lines = built(name)
    for package in (
        "freecdb",
        "tinycdb",
        "daemontools",
        "ucspi-tcp",
        "clamav-daemon",
        "spamassassin",
        "razor",
    ):
        status, text = in_container(name, "dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package)
        if status == 0 and text.startswith("installed "):
            lines.append((f"{package} {text.split()[1]}", "the distribution's package"))
    print("\nWhat is inside:")
    for what, how in lines or [("nothing", f"no stamp in {STAMPS}")]:
        print(f"  {what:<28} {how}")
    print(
        f"""
Look around inside:
  docker exec -it {name} bash                      a shell on the gateway
  docker exec {name} qmailctl stat                 its services
  docker exec {name} sh -c 'tail /var/log/qmail/smtpd/current'
  python3 tests/bed table {name}   the table once more
  python3 tests/bed down {name}                    remove it

On a real host (Debian 12 or 13, root by ssh), with an inventory and a site file of your own:
  ansible-playbook -i INVENTORY mailgate.qmail.gateway
  tests/inventory/group_vars/gateways/site.yml is an example of the site file.
""",
        flush=True,
    )
