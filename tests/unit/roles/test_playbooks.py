# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site's variables come to in the playbooks."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_dns_lists_that_come_with_the_policy_count_at_once() -> None:
    """The program that asks them is in the chain without a list, too, as policy.yml restarts nothing."""
    chain = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text())["netqmail_session_chain"]
    assert "/var/qmail/bin/dnsbl" in chain
    assert "gateway_dns_lists" not in chain


def test_another_mail_server_is_stopped_last() -> None:
    """A build that fails leaves it as it was, its sendmail included; the gateway opens right after."""
    (play,) = yaml.safe_load((ROOT / "playbooks/gateway.yml").read_text())
    steps = [task.get("ansible.builtin.import_role", {}) for task in play["tasks"]]
    order = [(one.get("name", "").rpartition(".")[2], one.get("tasks_from", "main")) for one in steps]
    stopped = order.index(("base", "replace_mta"))
    assert order[stopped + 1] == ("netqmail", "listen")
    builders = {
        "ucspi_tcp",
        "clamav",
        "spamassassin",
        "ripmime",
        "netqmail",
        "simscan",
        "cqgreylist",
        "recipients",
    }
    assert builders <= {role for role, tasks in order[:stopped] if tasks == "main"}
    for name in ("main", "preflight"):
        text = (ROOT / f"roles/base/tasks/{name}.yml").read_text()
        assert "ansible.builtin.service" not in text and "sendmail" not in text
