# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules in force the doctor finds that no fragment has."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import DOMAIN_RULES
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    policy,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    WARNING,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb as mailgate_cdb
from support.doctor_host import context, put


def test_rules_in_force_that_no_fragment_has_are_seen() -> None:
    relay = (b"10.", b"+RELAYCLIENT=\0")
    made = mailgate_cdb.build([relay, (b"192.0.2.1", b"D\0")])
    evil = mailgate_cdb.build(
        [relay, (b"192.0.2.1", b"D\0"), (b"", b"+RELAYCLIENT=\0"), (b"198.51.100.", b"+QMAILQUEUE=/x\0")]
    )
    assert policy.unsafe(made, made) == ()
    assert policy.unsafe(evil, made) == (
        "/etc/tcp.smtp.cdb lets everybody relay, and no fragment has that rule",
        "/etc/tcp.smtp.cdb lets 198.51.100. go past the scanner, and no fragment has that rule",
    )


def test_rules_of_ipv6_in_force_that_no_fragment_has_are_seen() -> None:
    made = mailgate_cdb.build([(b"[20010db8]/32", b"D\0"), (b"[]", b"\x20")])
    relay = b"+RELAYCLIENT=\0"
    evil = mailgate_cdb.build(
        [
            (b"[20010db8]/32", relay),
            (b"[]/0", b"D\0+A"),
            (b"[2]/x", relay),
            (b"192.0.2.1", relay + b"broken"),
            (b"[]", b"\x40\x20\0"),
        ]
    )
    assert policy.unsafe(made, made) == ()
    assert policy.unsafe(evil, made) == tuple(
        f"/etc/tcp.smtp.cdb lets {client} relay, and no fragment has that rule"
        for client in ("[2001:db8::]/32", "[2]/x", "192.0.2.1")
    )


def test_rules_of_domains_that_cannot_be_used_are_critical(tmp_path: Path) -> None:
    (found,) = policy.rules_of_domains(context(tmp_path))
    assert found.status == WARNING and found.text.endswith("every domain is judged by the site's rule")
    put(tmp_path, DOMAIN_RULES, "# none\nrule\nreject 8\ndomain example.com\nend\n")
    assert policy.rules_of_domains(context(tmp_path)) == []
    for text in ("", "rule\nreject 8\ndomain example.com\n", "rule\nreject x\nend\n"):
        put(tmp_path, DOMAIN_RULES, text)
        (found,) = policy.rules_of_domains(context(tmp_path))
        assert found.status == CRITICAL and "all mail is put off with 451" in found.text
        assert found in policy.safety(context(tmp_path))
