# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the doctor says of the site's other gateways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    FLEET_DIRECTORY,
    FLEET_SETTINGS,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import fleet
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import OK, WARNING
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.status import Part, Status

NOW = 1_795_000_000.0


def status(part: dict[str, Any] | None = None, **values: Any) -> Status:
    well = Part("connected", NOW - 9999, heard_at=NOW).values()
    peers = {"mx2": well, "mx3": {**well, **(part or {})}}
    return Status(**{"written": NOW, "host": "mx1", "engine": well, "peers": peers, "counts": {}, **values})


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            status({"state": "trouble", "since": NOW - 120, "why": "timed out"}),
            "mx3 has not been heard for 2 min, since 2026-11-18 11:04:40 UTC: timed out",
        ),
        (status({"state": "waiting", "since": NOW - 120}), "mx3 has not been heard for 2 min"),
        (status({"state": "refused", "since": NOW - 120}), "mx3 has not been heard for 2 min"),
        (status(engine=Part("trouble", NOW - 120).values()), "the own engine has not been heard"),
        (status({"ahead_seconds": -300.0}), "the clocks of mx3 and this host are 300 s apart"),
        (
            status({"refused": 2, "last_refused": "kind 'relay'"}),
            "refused 2 facts of mx3, the last one: kind 'relay'",
        ),
        (status(trouble={"writers": "nobody answers"}), "writers: nobody answers"),
        (
            status(written=NOW - 600),
            "the service fleet wrote its status 10 min ago; this gateway works alone",
        ),
    ],
    ids=lambda one: one[:40] if isinstance(one, str) else "",
)
def test_trouble_is_a_warning_with_its_time_and_what_to_do(found: Status, text: str) -> None:
    findings = fleet.judge(found, NOW)
    assert [(one.check, one.status) for one in findings] == [("fleet", WARNING)]
    assert text in findings[0].text
    assert findings[0].advice


def test_a_short_interruption_is_not_yet_trouble() -> None:
    findings = fleet.judge(status({"state": "trouble", "since": NOW - 30}), NOW)
    assert [one.status for one in findings] == [OK]


def test_all_is_heard() -> None:
    findings = fleet.judge(status(refused={"client 192.0.2.1/32": "protected"}), NOW)
    assert [(one.status, one.text) for one in findings] == [
        (OK, "2 other gateways are heard, 1 acts of theirs not in force here")
    ]


def test_the_file_is_read_where_there_are_peers(tmp_path: Path) -> None:
    context = Context(Settings("mx1", "postmaster@example.com"), NOW, root=str(tmp_path))
    assert [(one.status, one.text[:4]) for one in fleet.fleet(context)] == [(OK, "off:")]
    settings = Path(context.path(FLEET_SETTINGS))
    settings.parent.mkdir(parents=True)
    settings.write_text("{}")
    assert "has not written its status yet" in fleet.fleet(context)[0].text
    path = Path(context.path(FLEET_DIRECTORY)) / "status.json"
    path.parent.mkdir(parents=True)
    path.write_text("garbage")
    assert fleet.fleet(context)[0].status == WARNING
    path.write_text(json.dumps(status().values()))
    assert [one.status for one in fleet.fleet(context)] == [OK]
