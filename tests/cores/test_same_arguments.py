# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest ansible-core that is promised writes what the newest writes: modules get the same arguments.

Before 2.19 a template yields texts, and a text that Python can read as a value becomes that value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bed.common import ROOT
from bed.python_venv import floor_venv, venv_program
from support.recorded_playbook import record, write_collection

INVENTORY = ROOT / "tests" / "inventory"
SITE: dict[str, Any] = {
    **yaml.safe_load((INVENTORY / "group_vars" / "gateways" / "site.yml").read_text(encoding="utf-8")),
    "ansible_become": False,
    "clamav_database_files": [str(INVENTORY / "files" / "eicar.ndb")],
    "doctor_skip": ["clock"],
}
# What a site may say in the words of Jinja, and texts that look like values.
PECULIAR: dict[str, Any] = {
    **SITE,
    "gateway_front": "smtpfront",
    "gateway_greylist": "{{ 1 == 1 }}",
    "gateway_databytes": "{{ 20 * 1000000 }}",
    "gateway_sessions": "{{ 40 + 2 }}",
    "gateway_deny_reply": "554 5.7.1 [refused]",
    "gateway_operators": ["root"],
    "gateway_directory": {
        "servers": ["dc1.example.test"],
        "bases": ["DC=example,DC=test"],
        "user": "gateway@example.test",
        "password": "{'a': 1}",
        "preset": "exchange",
    },
    "gateway_dns_lists": [{"zone": "dnsbl.example.test", "accept": "127.0.0.0/8", "reason": "[listed]"}],
    "cqgreylist_delay_seconds": "{{ 2 * 30 }}",
    "cqgreylist_pass_days": "{{ 6 * 6 }}",
    "cqgreylist_text": "['come', 'back']",
    "netqmail_greeting": "True",
    "netqmail_timeout_connect_seconds": "{{ 6 * 5 }}",
    "recipients_loss_percent": "{{ 5 * 2 }}",
    "recipients_required": ["alice@example.test"],
    "simscan_attachment_suffixes": [".exe"],
    "simscan_spam_limit_bytes": "{{ 1000 * 500 }}",
    "spamassassin_update_channels": [
        {"name": "updates.example.test", "fingerprint": "A" * 40, "key": "[key]"}
    ],
    "spamassassin_update_proxy": "http://u:p@proxy.example.test:3128",
    "clamav_max_scan_seconds": "{{ 60 * 2 }}",
    "base_replace_mta": True,
    "djbdns_cache_bytes": "{{ 10 * 1000000 }}",
}


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Yield what a module would notice: a number as a text is the same number, a dict as a text is not."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}, key=str):
            yield from differences(one.get(name), other.get(name), f"{where}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other)):
            yield from differences(left, right, f"{where}[{number}]")
    elif isinstance(one, (dict, list)) or isinstance(other, (dict, list)) or str(one) != str(other):
        yield f"{where}: {one!r}, and {other!r}"


@pytest.mark.parametrize("playbook", ["gateway.yml", "policy.yml"])
@pytest.mark.parametrize("site", [SITE, PECULIAR], ids=["site of the tests", "peculiar site"])
def test_both_releases_write_the_same(tmp_path: Path, site: dict[str, Any], playbook: str) -> None:
    write_collection(tmp_path)
    newest = record([sys.executable, venv_program("ansible-playbook")], tmp_path, site, playbook)
    oldest = record([str(floor_venv() / "bin" / "ansible-playbook")], tmp_path, site, playbook)
    assert [task[:2] for task in oldest] == [task[:2] for task in newest]
    assert [
        f"{name} {difference}"
        for (name, _, mine), (_, _, its) in zip(newest, oldest)
        for difference in differences(mine, its)
    ] == []
