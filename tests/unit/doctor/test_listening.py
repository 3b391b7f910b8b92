# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's look at who listens on port 25, in both families."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import listening
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    WARNING,
)
from support.doctor_host import context, put, told

BOTH = ("0.0.0.0", "::")
HEAD = "  sl  local_address rem_address   st\n"
TCP = f"{HEAD} 0: 00000000:0019 00000000:0000 0A 0:0 00:0 0 0 0 1\n"
TCP6 = f"{HEAD} 0: {'0' * 32}:0019 {'0' * 32}:0000 0A 0:0 00:0 0 0 0 1\n"


def test_both_families(tmp_path: Path) -> None:
    put(tmp_path, "/proc/net/tcp", TCP)
    put(tmp_path, "/proc/net/tcp6", TCP6)
    assert told(listening.listening(context(tmp_path, listen=BOTH))) == [(OK, "0.0.0.0, :: port 25")]


def test_a_family_at_which_nobody_listens(tmp_path: Path) -> None:
    put(tmp_path, "/proc/net/tcp", TCP)
    put(tmp_path, "/proc/net/tcp6", "")
    assert told(listening.listening(context(tmp_path, listen=BOTH))) == [
        (CRITICAL, "nobody listens at :: port 25")
    ]


def test_a_host_without_ipv6(tmp_path: Path) -> None:
    put(tmp_path, "/proc/net/tcp", TCP)
    found = listening.listening(context(tmp_path, listen=BOTH))
    assert told(found) == [(OK, "0.0.0.0 port 25; this host has no IPv6")]


@pytest.mark.parametrize("address", ["192.0.2.25", "fe80::1%nowhere0"])
def test_an_address_that_the_host_does_not_have(tmp_path: Path, address: str) -> None:
    put(tmp_path, "/proc/net/tcp", TCP.replace("00000000:0019", "190200C0:0019", 1))
    words = {"192.0.2.25": "190200C0", "fe80::1": "000080FE000000000000000001000000"}
    put(tmp_path, "/proc/net/tcp6", TCP6.replace("0" * 32, words["fe80::1"], 1))
    expected = f"{address} is not an address of this host, so no client reaches the gateway there"
    assert told(listening.listening(context(tmp_path, listen=(address,)))) == [(WARNING, expected)]


def test_a_setting_that_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="listen: 'x' is not an address"):
        listening.listening(context(tmp_path, listen=("x",)))
