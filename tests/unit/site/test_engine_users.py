# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reader's password is good at one engine, and the engine's file has its hash alone."""

from __future__ import annotations

import hashlib

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import stream
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import engine_users

SECRET = b"s" * 32
HOSTS = ("mx1.example.com", "mx2.example.com", "mx3.example.com")


def others(host: str) -> list[str]:
    return [one for one in HOSTS if one != host]


def lines(host: str) -> dict[str, list[str]]:
    text = engine_users.users(SECRET, host, others(host))
    return {line.split()[1]: line.split()[2:] for line in text.splitlines()}


def test_what_each_host_says_at_each_engine_is_known_there() -> None:
    said = {host: engine_users.passwords(SECRET, host, others(host)) for host in HOSTS}
    for host in HOSTS:
        known = lines(host)
        for reader in others(host):
            assert f"#{hashlib.sha256(said[reader][host].encode()).hexdigest()}" in known[reader]
        assert f"#{hashlib.sha256(said[host][''].encode()).hexdigest()}" in known[engine_users.OWNER]


def test_no_password_is_good_twice() -> None:
    every = [one for host in HOSTS for one in engine_users.passwords(SECRET, host, others(host)).values()]
    assert len(set(every)) == len(every)
    text = engine_users.users(SECRET, HOSTS[0], others(HOSTS[0]))
    assert not any(one in text for one in every)


def test_a_reader_reads_the_fleets_keys_and_nobody_comes_without_a_name() -> None:
    known = lines(HOSTS[0])
    assert known["default"] == ["off", "resetpass", "resetkeys", "resetchannels", "-@all"]
    reader = known[HOSTS[1]]
    assert [one for one in reader if "~" in one] == ["%R~mailgate:*"]
    assert [one for one in reader if one.startswith("+")] == ["+get", "+ping", "+time", "+xread"]
    assert reader.index("-@all") < reader.index("+get")
    assert all(key.startswith("mailgate:") for key in (stream.STREAM, stream.SNAPSHOT))
