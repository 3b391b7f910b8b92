# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states of the engines since when, the file of them, and what mailgate fleet status says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import fleet as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import status
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.status import (
    CONNECTED,
    TROUBLE,
    Parts,
    Status,
    describe,
    parse,
)

AT = 1_795_000_000.0


class Time:
    now = AT

    def __call__(self) -> float:
        return self.now


def made(**values: Any) -> Status:
    clock = Time()
    parts = Parts(["", "mx2", "mx3"], clock)
    parts.set("", CONNECTED)
    parts.set("mx2", CONNECTED)
    parts.heard("mx2", -300.4, ("mx2 1-0 fact 1: kind 'relay' does not travel",))
    parts.set("mx3", TROUBLE, "engine 192.0.2.3 port 6380: timed out")
    own, *_rest = (all_ := parts.values()).values()
    peers = {name: one for name, one in all_.items() if name}
    return Status(
        **{"written": AT, "host": "mx1", "engine": own, "peers": peers, "counts": {"client": 3}, **values}
    )


def test_a_state_has_a_time_that_stays_until_another_state() -> None:
    clock = Time()
    parts = Parts(["mx2"], clock)
    assert parts.set("mx2", CONNECTED)
    clock.now += 60
    assert not parts.set("mx2", CONNECTED)
    assert parts.values()["mx2"]["since"] == AT
    assert parts.set("mx2", TROUBLE, "x" * 1000)
    assert not parts.set("mx2", TROUBLE, "another reason")
    assert (parts.values()["mx2"]["since"], parts.values()["mx2"]["why"]) == (AT + 60, "another reason")


def test_the_file_is_read_again() -> None:
    one = made(refused={"client 192.0.2.1/32": "protected"}, trouble={"writers": "nobody"})
    assert parse(json.dumps(one.values()).encode(), "f") == one


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 2}', b"\xff", b"[" * 9999])
def test_what_is_not_a_status_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="expected the status of the service fleet"):
        parse(data, "f")


def test_the_lines_for_people_tell_since_when() -> None:
    one = made(refused={"client 192.0.2.1/32": "it is\nprotected"}, trouble={"writers": "nobody"})
    assert describe(one, AT + 120) == [
        "the service fleet wrote this 2 min ago; see svstat /service/fleet",
        "mx1 (this host)                connected for 2 min, since 2026-11-18 11:06:40 UTC",
        "mx2                            connected for 2 min, since 2026-11-18 11:06:40 UTC",
        "    its clock is 300 s ahead of this one",
        "    refused 1 of its facts, the last one: mx2 1-0 fact 1: kind 'relay' does not travel",
        "mx3                            trouble for 2 min, since 2026-11-18 11:06:40 UTC: "
        "engine 192.0.2.3 port 6380: timed out",
        "client 3",
        "not in force here: client 192.0.2.1/32: it is\\nprotected",
        "writers: nobody",
    ]


def test_the_command_tells_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> int:
        return cli.main(["status", "--directory", str(tmp_path), *more])

    assert run() == 111
    assert "status.json" in capsys.readouterr().err
    (tmp_path / "status.json").write_text("{}")
    assert run() == 100
    one = made(written=cli.time.time())
    (tmp_path / "status.json").write_text(json.dumps(one.values()))
    assert run() == 1  # mx3
    assert "mx3 " in capsys.readouterr().out
    well = made(written=cli.time.time(), peers={"mx2": made().peers["mx2"]})
    (tmp_path / "status.json").write_text(json.dumps(well.values()))
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out)["host"] == "mx1"
    (tmp_path / "status.json").write_text(json.dumps({**well.values(), "written": AT - 10**8}))
    assert run() == 1  # the service does not run


def test_the_service_does_not_start_without_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", "--directory", str(tmp_path), "--settings", str(tmp_path / "none")]) == 111
    assert status.FORMAT == 1
    assert "none" in capsys.readouterr().err
