# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service whose account is missing does not run, as root least of all, and says why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from support.gateway import GATEWAY_ADDRESS, Bed
from support.smtp_client import Session

LOG = "/var/log/qmail/smtpd/current"
HARM = [
    ("missing", r"s/^qmaild:/qmaild-was:/", "(uid '', gid '')"),
    ("root", r"s/^qmaild:x:[0-9]+:/qmaild:x:0:/", "(uid '0', gid '[0-9]+')"),
    ("of root's group", r"s/^(qmaild:x:[0-9]+):[0-9]+:/\1:0:/", "(uid '[0-9]+', gid '0')"),
]


@pytest.fixture
def accounts(bed: Bed) -> Iterator[Bed]:
    assert bed.inside("cp", "-p", "/etc/passwd", "/etc/passwd.kept")[0] == 0
    try:
        yield bed
    finally:
        assert bed.inside("mv", "/etc/passwd.kept", "/etc/passwd")[0] == 0
        bed.inside("svc", "-t", "/service/qmail-smtpd")
        bed.wait_until_greeted(30)


@pytest.mark.parametrize(("harm", "change", "ids"), HARM, ids=[row[0] for row in HARM])
def test_without_its_account_nobody_listens(accounts: Bed, harm: str, change: str, ids: str) -> None:
    words = re.escape(": the account qmaild is missing, is root, or has no group ") + re.sub(
        r"([()])", r"\\\1", ids
    )
    before = accounts.inside("cat", LOG)[1].count("the account qmaild")
    accounts.inside("sed", "-E", "-i", change, "/etc/passwd")
    accounts.inside("svc", "-t", "/service/qmail-smtpd")
    deadline = time.monotonic() + 30
    while True:
        said = accounts.inside("cat", LOG)[1]
        if said.count("the account qmaild") > before:
            break
        assert time.monotonic() < deadline, said[-2000:]
        time.sleep(0.2)
    assert re.search(
        rf"^\S+ qmail-smtpd{words}: refusing to run; run the playbook again$", said, re.MULTILINE
    )
    assert "tcpserver" not in accounts.processes().values()
    with pytest.raises(OSError, match="refused"), Session("127.0.0.1", GATEWAY_ADDRESS, timeout_seconds=5):
        pass
