# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that joins a site whose greylist has many networks: what it costs is said, and bounded.

MAILGATE_FLEET_NETWORKS=999000 is what a snapshot takes; a gateway that joins writes for minutes then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from fleet.gateways import Gateway, await_all, heard_all, seconds_until

NETWORKS = int(os.environ.get("MAILGATE_FLEET_NETWORKS", "30000"))
ENGINE_BYTES = 400_000_000  # fleet_engine_data_bytes
LATE_DENY = "198.51.100.207"

# Lets so many networks pass, as the greylist's own files say it.
FILL = """
import ipaddress, os, sys, time
sys.path.insert(0, "/usr/local/lib/mailgate/current")
from mailgate.formats.greylist import FAN, place_of
os.chdir("/var/qmail/cqgreylist")
owner = os.stat(".")
by_folder = {}
for number in range(int(sys.argv[1])):
    name = f"{ipaddress.ip_address((32 << 24) + (number << 8))}-24"
    by_folder.setdefault(place_of(name), []).append(name)
now = time.time()
for (one, two), names in by_folder.items():
    for folder in (one, f"{one}/{two}"):
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
            os.chown(folder, owner.st_uid, owner.st_gid)
    for name in names:
        os.mknod(f"{one}/{two}/{name}", 0o600)
        os.chown(f"{one}/{two}/{name}", owner.st_uid, owner.st_gid)
"""
EMPTY = "find /var/qmail/cqgreylist -type f -name '[34][0-9].*' -delete"
COUNT = "find /var/qmail/cqgreylist -type f -name '[34][0-9].*' ! -name '*.new' | wc -l"


def most_memory(one: Gateway, service: str) -> int:
    """Return the most megabytes that a service's process has had."""
    said = one.run("cat", f"/proc/{one.process(service)}/status")
    return int(said.partition("VmHWM:")[2].split()[0]) // 1024


def test_many_networks_reach_a_gateway_that_joins_within_bounds(
    three: list[Gateway], measured: Callable[[str], None]
) -> None:
    """Many networks reach a gateway that joins, within bounds; acts come first, and no session waits."""
    first, second, third = three
    for one in (second, third):
        one.fleet(up=False)
    try:
        first.run("python3", "-c", FILL, str(NETWORKS))
        assert int(first.sh(COUNT)) == NETWORKS
        first.run("mailgate", "deny", LATE_DENY, "--note", "before the third one joins")
        third.sh("rm -f /var/lib/mailgate/fleet/state")
        first.engine(up=False)
        first.engine(up=True)  # which begins with a snapshot
        begun = time.monotonic()
        third.fleet(up=True)
        seconds_until(lambda: third.denies(LATE_DENY), "the act has come", 300)
        act = time.monotonic() - begun
        reading = [third.process(service) for service in ("fleet", "operator")]
        assert int(third.sh(COUNT)) < NETWORKS  # they come behind it
        seconds_until(lambda: int(third.sh(COUNT)) > 0, "networks come", 300)
        slowest = max(third.try_from("198.18.7.7")[1] for _number in range(5))
        assert slowest < 5
        seconds_until(lambda: int(third.sh(COUNT)) == NETWORKS, "all networks have come", 3000, pause=2)
        took = time.monotonic() - begun
        # The same processes: both kept within their limits of memory.
        assert reading == [third.process(service) for service in ("fleet", "operator")]
        assert most_memory(first, "fleet-engine") * 1_000_000 < ENGINE_BYTES
        measured(
            f"{NETWORKS} in {took:.0f} s, the act after {act:.0f} s; slowest session {slowest:.2f} s; "
            f"at most {most_memory(first, 'fleet')} MB here, "
            f"{most_memory(first, 'fleet-engine')} MB its engine, {most_memory(third, 'fleet')} MB there"
        )
    finally:
        for one in three:
            one.fleet(up=True)
        for one in (first, third):
            one.sh(EMPTY)
    await_all(three, heard_all, "hears the others", 120)
