# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the fleet's engine: nobody without a certificate, nothing on a disk, bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/fleet"


def settings(**given: object) -> dict[str, list[str]]:
    """Return the values of each setting of engine.conf, as the role writes it."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    private = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    plain: dict[str, Any] = {
        **defaults,
        **{name: value for name, value in private.items() if isinstance(value, str)},
    }
    text = (ROLE / "templates/etc/mailgate/fleet-engine/engine.conf.j2").read_text()
    # As Ansible does: a newline behind a block is taken, one at the end is kept.
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    found: dict[str, list[str]] = {}
    for line in environment.from_string(text).render({**plain, **given}).splitlines():
        if line and not line.startswith("#"):
            name, _space, value = line.partition(" ")
            found.setdefault(name, []).append(value)
    return found


def test_only_who_has_a_certificate_is_heard() -> None:
    found = settings()
    assert found["port"] == ["0"] and found["tls-port"] == ["6380"] and found["tls-auth-clients"] == ["yes"]
    assert found["bind"] == ["0.0.0.0 -::"] and found["protected-mode"] == ["yes"]
    assert found["aclfile"] == ["/etc/mailgate/fleet-engine/users.acl"]
    assert found["unixsocket"] == ["/run/fleet-engine/socket"] and found["unixsocketperm"] == ["770"]


def test_addresses_and_port_are_the_sites() -> None:
    found = settings(fleet_listen=["192.0.2.1", "2001:db8::1"], fleet_port=7000)
    assert found["bind"] == ["192.0.2.1 -2001:db8::1"] and found["tls-port"] == ["7000"]


def test_it_is_in_memory_alone_and_bounded() -> None:
    found = settings(fleet_gateways=[{}, {}, {}])
    assert found["save"] == ['""'] and found["appendonly"] == ["no"]
    assert found["maxmemory"] == ["400000000"] and found["maxmemory-policy"] == ["noeviction"]
    assert found["maxclients"] == ["76"] and found["timeout"] == ["60"]
    assert found["daemonize"] == ["no"] and found["logfile"] == ['""']
    assert all(len(values) == 1 for values in found.values())
