# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the fleet: which of the site's other gateways is not reached, and since when."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput
from ..core.files import read_regular
from ..core.paths import FLEET_DIRECTORY, FLEET_SETTINGS
from ..core.times import span, utc
from ..fleet import status as fleet_status
from ..fleet.service import STATUS
from .context import Context
from .findings import OK, WARNING, Finding, several

SHORT_SECONDS = 60.0  # a restart of a peer is not yet trouble
CLOCK_SECONDS = 60.0
_LOG = "svstat /service/fleet, and see the end of /var/log/fleet/current"


def judge(found: fleet_status.Status, now: float) -> list[Finding]:
    """Judge the status that the service fleet wrote last."""
    age = now - found.written
    if age > fleet_status.OLD_SECONDS:
        text = f"the service fleet wrote its status {span(age)} ago; this gateway works alone"
        return [Finding("fleet", WARNING, text, _LOG)]
    findings = [_engine("the own engine", found.engine, now, _LOG)]
    for name, part in sorted(found.peers.items()):
        advice = f"on {name} run mailgate fleet status; see that its port is reachable from here"
        findings.append(_engine(name, part, now, advice))
        ahead = part["ahead_seconds"]
        if abs(ahead) >= CLOCK_SECONDS:
            text = f"the clocks of {name} and this host are {abs(ahead):.0f} s apart"
            findings.append(Finding("fleet", WARNING, text, "synchronize both: mailgate doctor --only clock"))
        if part["refused"]:
            text = f"refused {part['refused']} facts of {name}, the last one: {part['last_refused']}"
            findings.append(Finding("fleet", WARNING, text, f"run the same version on {name}; see its log"))
    findings += [Finding("fleet", WARNING, f"{what}: {why}", _LOG) for what, why in found.trouble.items()]
    refused = f", {len(found.refused)} acts of theirs not in force here" if found.refused else ""
    return several(findings, "fleet", f"{len(found.peers)} other gateways are heard{refused}")


def _engine(name: str, part: Mapping[str, Any], now: float, advice: str) -> Finding:
    long = now - part["since"]
    if part["state"] == fleet_status.CONNECTED or long < SHORT_SECONDS:
        return Finding("fleet", OK, f"{name}: {part['state']}")
    why = f": {part['why']}" if part["why"] else ""
    text = f"{name} has not been heard for {span(long)}, since {utc(part['since'])}{why}"
    return Finding("fleet", WARNING, text, advice)


def fleet(context: Context) -> list[Finding]:
    """Check the status file of the service fleet, on a host that has peers."""
    if not os.path.exists(context.path(FLEET_SETTINGS)):
        return [Finding("fleet", OK, "off: this site has one gateway")]
    path = context.path(f"{FLEET_DIRECTORY}/{STATUS}")
    try:
        found = fleet_status.parse(read_regular(path, fleet_status.BYTES_MAX), f"file {path}")
    except FileNotFoundError:
        return [Finding("fleet", WARNING, "the service fleet has not written its status yet", _LOG)]
    except (OSError, BadInput) as error:
        return [Finding("fleet", WARNING, str(error), _LOG)]
    return judge(found, context.now)
