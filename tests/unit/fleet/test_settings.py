# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the fleet: this host, its engine, its peers; secrets stand in no message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.engine import Address

PEER = {"name": "mx2.example.com", "address": "192.0.2.2", "port": 6380, "user": "peer"}
SETTINGS: dict[str, Any] = {
    "host": "mx1.example.com",
    "engine": {"socket": "/run/fleet/engine.sock", "user": "fleet"},
    "peers": [PEER],
    "ca_file": "/etc/mailgate/fleet/ca.pem",
    "certificate": "/etc/mailgate/fleet/certificate.pem",
    "key": "/etc/mailgate/fleet/key.pem",
}


def parse(**values: Any) -> settings.Settings:
    return settings.parse(json.dumps({**SETTINGS, **values}).encode(), "file f")


def test_the_settings_are_read_with_the_passwords(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(json.dumps(SETTINGS))
    (tmp_path / "p").write_text(json.dumps({"": "own", "mx2.example.com": "theirs"}))
    found = settings.read(str(tmp_path / "f"), str(tmp_path / "p"))
    files = {name: SETTINGS[name] for name in ("ca_file", "certificate", "key")}
    assert found.engine == Address(path="/run/fleet/engine.sock", user="fleet", password="own")
    assert found.peers == (
        settings.Peer(
            "mx2.example.com", Address(host="192.0.2.2", port=6380, user="peer", password="theirs", **files)
        ),
    )
    assert settings.read(str(tmp_path / "f"), str(tmp_path / "none")).engine.password == ""


@pytest.mark.parametrize(
    "values",
    [
        {"host": ""}, {"host": None}, {"more": 1}, {"engine": None}, {"engine": {"socket": "/x"}},
        {"peers": {}},
        {"engine": {"socket": "", "user": "fleet"}}, {"peers": [1]}, {"peers": [{**PEER, "port": 0}]},
        {"peers": [{**PEER, "port": "6380"}]}, {"peers": [{**PEER, "address": ""}]},
        {"peers": [{**PEER, "x": 1}]},
        {"peers": [PEER, PEER]}, {"peers": [{**PEER, "name": "mx1.example.com"}]}, {"peers": [PEER] * 33},
        {"key": 7}, {"ca_file": "a\nb"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^file f.*expected"):
        parse(**values)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 9999])
def test_what_is_not_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"^file f.*expected what role fleet writes"):
        settings.parse(data, "file f")


@pytest.mark.parametrize("text", ['{"mx9": "canary"}', '{"": 7, "x": "canary"}', '"canary"', "canary"])
def test_wrong_passwords_are_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(json.dumps(SETTINGS))
    (tmp_path / "p").write_text(text)
    with pytest.raises(BadInput, match="expected") as caught:
        settings.read(str(tmp_path / "f"), str(tmp_path / "p"))
    assert "canary" not in str(caught.value)
