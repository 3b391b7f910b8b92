# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The export of a large directory beside ldapsearch, which reads the same entries from the same slapd.

`python3 tests/bench recipients [ENTRIES]`: wall, CPU and peak memory of each, alternating, the best of
three runs, and their ratio, which the aims hold for. Both run in slapd's own container, over LDAPS, in pages
of 1,000. Two lines more tell of a whole first update, exported, sorted, compiled, written, read back key by
key and published, and of one that finds nothing new.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from support.directory_servers import CANARY, SLAPD_BASE, SLAPD_NAME, SLAPD_READER, Authority, Slapd, put

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = 100_000
RUNS = 3
AIM_RATIO, AIM_MB = 1.2, 150
NAME = "mailgate-bench-ldap"
TIME = ["/usr/bin/time", "-f", "MEASURED %e %U %S %M"]
FILTER = "(proxyAddresses=smtp:*)"

SEARCH = (
    f"ldapsearch -x -LLL -o ldif-wrap=no -H ldaps://{SLAPD_NAME} -D {SLAPD_READER} -y /tmp/password "
    f"-b {SLAPD_BASE} -E pr=1000/noprompt '{FILTER}' proxyAddresses >/tmp/ldif"
)
EXPORT = """
import sys
sys.path.insert(0, "/usr/local/lib")
from mailgate.recipients.keys import sort_exported
from mailgate.recipients.process import read_settings
from mailgate.recipients.update import export_all
addresses, said = export_all(read_settings("/tmp/recipients.json"))
print(len(sort_exported(addresses, frozenset(["example.test"])).kept))
"""
UPDATE = """
import sys
sys.path.insert(0, "/usr/local/lib")
from mailgate.cli.recipients import main
sys.exit(main(["update", "--settings", "/tmp/recipients.json", "--directory", "/tmp/list"]))
"""


def settings() -> dict[str, object]:
    directory = {
        "servers": [SLAPD_NAME],
        "bases": [SLAPD_BASE],
        "user": SLAPD_READER,
        "password_file": "/tmp/password",
        "ca_file": "/etc/ldap/ca.pem",
        "filter": FILTER,
    }
    domains = [{"name": "example.test", "recipients": "directory"}]
    return {"hostname": "mx1.example.test", "domains": domains, "directories": [directory]}


def measured(slapd: Slapd, *argv: str) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MB) of a command."""
    output = slapd.server.run("sh", "-c", 'exec "$@" 2>&1', "sh", *TIME, *argv, within_seconds=300)
    found = re.search(r"MEASURED ([\d.]+) ([\d.]+) ([\d.]+) (\d+)", output)
    if found is None:
        raise SystemExit(f"no measurement: {output}")
    wall, user, system, kilobytes = (float(one) for one in found.groups())
    return wall, user + system, kilobytes / 1024


def main(argv: list[str]) -> int:
    entries = int(argv[0]) if argv else ENTRIES
    with tempfile.TemporaryDirectory() as place:
        slapd = Slapd(NAME, Authority(Path(place)), entries)
    try:
        slapd.server.run(
            "sh", "-c", f"echo 127.0.0.1 {SLAPD_NAME} >>/etc/hosts; mkdir -p /usr/local/lib/mailgate"
        )
        slapd.server.run("sh", "-c", "echo TLS_CACERT /etc/ldap/ca.pem >/etc/ldap/ldap.conf")
        put(slapd.server, "/tmp/recipients.json", json.dumps(settings()))
        slapd.server.run("sh", "-c", "printf %s '" + CANARY + "' >/tmp/password; chmod 400 /tmp/password")
        package = ROOT / "plugins/module_utils/mailgate"
        for file in package.rglob("*.py"):
            path = f"/usr/local/lib/mailgate/{file.relative_to(package).as_posix()}"
            slapd.server.run("mkdir", "-p", path.rpartition("/")[0])
            put(slapd.server, path, file.read_text())
        best: dict[str, tuple[float, float, float]] = {}
        walls: dict[str, list[float]] = {}
        for _run in range(RUNS):
            for name, command in (
                ("ldapsearch", ["sh", "-c", SEARCH]),
                ("export", ["python3", "-I", "-c", EXPORT]),
            ):
                now = measured(slapd, *command)
                walls.setdefault(name, []).append(now[0])
                best[name] = min(best.get(name, now), now)
        slapd.server.run("mkdir", "/tmp/list")
        best["whole update"] = measured(slapd, "python3", "-I", "-c", UPDATE)
        best["same again"] = measured(slapd, "python3", "-I", "-c", UPDATE)
    finally:
        slapd.close()
    print(f"{entries} entries, {2 * entries} addresses        wall s   CPU s   peak MB")
    for name, (wall, cpu, megabytes) in best.items():
        print(f"  {name:<32} {wall:>8.2f} {cpu:>7.2f} {megabytes:>9.0f}")
    ratio = best["export"][0] / best["ldapsearch"][0]
    peak = best["export"][2]
    rows = [
        {
            "row": f"export of {entries:,} entries beside ldapsearch",
            "ratio": [ours / theirs for ours, theirs in zip(walls["export"], walls["ldapsearch"])],
            "seconds": walls["export"],
            "memory_mb": peak,
        }
    ]
    print(f"FIGURES {json.dumps(rows)}")
    print(f"export / ldapsearch: {ratio:.2f} (aim {AIM_RATIO}), peak {peak:.0f} MB (aim {AIM_MB})")
    return 0 if ratio <= AIM_RATIO and peak <= AIM_MB else 1
