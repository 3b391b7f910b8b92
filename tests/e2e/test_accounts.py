# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service whose account is missing does not run, as root least of all, and says why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from support.conversations import OFFICE, STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed
from support.session_watch import verdict
from support.smtp_client import CLOSED, Session

LOGS = {"qmail-smtpd": "/var/log/qmail/smtpd/current", "smtpfront": "/var/log/smtpfront/current"}
ACCOUNTS = {"qmail-smtpd": "qmaild", "smtpfront": "smtpfront"}
HARM = [
    ("missing", r"s/^{account}:/{account}-was:/", "(uid '', gid '')"),
    ("root", r"s/^{account}:x:[0-9]+:/{account}:x:0:/", "(uid '0', gid '[0-9]+')"),
    ("of root's group", r"s/^({account}:x:[0-9]+):[0-9]+:/\1:0:/", "(uid '[0-9]+', gid '0')"),
]


@pytest.fixture
def accounts(bed: Bed) -> Iterator[Bed]:
    assert bed.inside("cp", "-p", "/etc/passwd", "/etc/passwd.kept")[0] == 0
    try:
        yield bed
    finally:
        assert bed.inside("mv", "/etc/passwd.kept", "/etc/passwd")[0] == 0
        for service in ACCOUNTS:
            bed.inside("svc", "-t", f"/service/{service}")
        bed.wait_until_greeted(30)


@pytest.mark.parametrize("service", ACCOUNTS)
@pytest.mark.parametrize(("harm", "change", "ids"), HARM, ids=[row[0] for row in HARM])
def test_without_its_account_a_service_does_not_run(
    accounts: Bed, service: str, harm: str, change: str, ids: str
) -> None:
    if service == "smtpfront" and accounts.front != "smtpfront":
        pytest.skip("tcpserver is the front, which is root's until it has the port")
    account, log = ACCOUNTS[service], LOGS[service]
    missing = f"the account {account} "
    words = re.escape(f": {missing}is missing, is root, or has no group ") + re.sub(r"([()])", r"\\\1", ids)
    before = accounts.inside("cat", log)[1].count(missing)
    accounts.inside("sed", "-E", "-i", change.format(account=account), "/etc/passwd")
    accounts.inside("svc", "-t", f"/service/{service}")
    deadline = time.monotonic() + 30
    while True:
        said = accounts.inside("cat", log)[1]
        if said.count(missing) > before:
            break
        assert time.monotonic() < deadline, said[-2000:]
        time.sleep(0.2)
    assert re.search(rf"^\S+ {service}{words}: refusing to run; run the playbook again$", said, re.MULTILINE)
    if (service, accounts.front) == ("qmail-smtpd", "smtpfront"):
        # smtpfront goes on alone, and accepts nothing.
        assert "smtplaunch" not in accounts.processes().values()
        assert verdict(STRANGER, "alice@example.test").startswith("451 ")
        assert verdict(OFFICE, "alice@example.test") == CLOSED
        return
    assert accounts.front not in accounts.processes().values()
    with pytest.raises(OSError, match="refused"), Session("127.0.0.1", GATEWAY_ADDRESS, timeout_seconds=5):
        pass
