# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site's variables come to in the playbooks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jinja2
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_dns_lists_that_come_with_the_policy_count_at_once() -> None:
    """The program that asks them is in the chain without a list, too, as policy.yml restarts nothing."""
    chain = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text())["netqmail_session_chain"]
    assert "/var/qmail/bin/dnsbl" in chain
    assert "gateway_dns_lists" not in chain


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("backups/mx1.tar.gz", "{here}/backups/mx1.tar.gz"),
        ("./mx1.tar.gz.gpg", "{here}/mx1.tar.gz.gpg"),
        ("../mx1.tar.gz", "{above}/mx1.tar.gz"),
        ("~/mx1.tar.gz", "{home}/mx1.tar.gz"),
        ("/srv/mx1.tar.gz", "/srv/mx1.tar.gz"),
        ("", ""),
        (None, ""),
    ],
)
def test_an_archive_is_looked_for_where_the_playbook_is_started(
    given: str | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As README.md has it; the filters are those that Ansible takes from os.path."""
    monkeypatch.chdir(tmp_path)
    home = os.path.realpath(os.path.expanduser("~"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters.update(expanduser=os.path.expanduser, realpath=os.path.realpath)
    site = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text())
    values = {} if given is None else {"gateway_restore_archive": given, "gateway_backup_directory": given}
    wanted = wanted.format(here=tmp_path.resolve(), above=tmp_path.resolve().parent, home=home)
    assert environment.from_string(site["backup_archive"]).render(values) == wanted
    made = environment.from_string(site["backup_directory"]).render({"inventory_dir": "/srv/site", **values})
    assert made == (wanted or "/srv/site/backups")


def test_policy_tells_of_each_setting_that_it_does_not_bring() -> None:
    """A variable of the site file is brought by a role that policy.yml runs, or is in the record."""
    site = (ROOT / "playbooks/vars/site.yml").read_text()
    values = yaml.safe_load(site)
    brought = set(re.findall(r"mailgate\.qmail\.(\w+)", (ROOT / "playbooks/policy.yml").read_text()))
    assert brought >= {"netqmail", "recipients", "operator", "smtp_policy"}
    shown = re.compile(r"\bgateway_[a-z_]+")
    known = set(re.findall(r"'(gateway_\w+)':", values["base_whole_settings"]))
    by_policy = {
        "gateway_domains", "gateway_routes", "gateway_relay_networks", "gateway_bad_senders",
        "gateway_protected_networks", "gateway_whitelisted_networks", "gateway_dns_lists",
        "gateway_directory", "gateway_operators", "gateway_log_readers",
        "gateway_operator_protected_networks", "gateway_certificate",
        "gateway_require_tls",
        "gateway_scan_relay_clients", "gateway_greylist_exempt", "gateway_greylist_exempt_providers",
        "gateway_tls_policies", "gateway_tls_backend_ca",
    }  # fmt: skip
    of_other_playbooks = {
        "gateway_backup_directory", "gateway_backup_passphrase", "gateway_backup_queue",
        "gateway_restore_archive", "gateway_pipelining", "gateway_bundle", "gateway_bundle_directory",
        "gateway_remove", "gateway_remove_data", "gateway_remove_queued", "gateway_serial",
    }  # fmt: skip
    assert set(shown.findall(site)) == known | by_policy | of_other_playbooks, (
        "write a new variable into base_whole_settings, or here, if a role that policy.yml runs brings it"
    )
    assert not known & by_policy


def _order(playbook: str = "playbooks/gateway.yml") -> list[tuple[str, str]]:
    """Return the roles of a playbook with their files of tasks."""
    *dummy, play = yaml.safe_load((ROOT / playbook).read_text())
    steps = [task.get("ansible.builtin.import_role", {}) for task in play["tasks"]]
    return [(one.get("name", "").rpartition(".")[2], one.get("tasks_from", "main")) for one in steps]


def test_smtpfront_ends_when_only_tcpserver_is_left_to_start() -> None:
    """A qmail-send that takes minutes to end, or does not start, leaves port 25 served."""
    order = _order()
    closed = order.index(("smtp_front", "close"))
    assert order.index(("netqmail", "send")) < closed
    assert order[closed + 1 : closed + 3] == [("cqgreylist", "owner"), ("netqmail", "listen")]
    tasks = yaml.safe_load((ROOT / "roles/netqmail/tasks/listen.yml").read_text())
    assert {task["mailgate.qmail.daemontools_service"]["name"] for task in tasks} == {"qmail-smtpd"}


def test_the_greylist_changes_its_owner_while_nobody_has_port_25() -> None:
    """Neither front meets a directory that it cannot write, and lets everybody pass."""
    _find, play = yaml.safe_load((ROOT / "playbooks/gateway.yml").read_text())
    owner = {"name": "mailgate.qmail.cqgreylist", "tasks_from": "owner", "rolespec_validate": False}
    when = [task["when"] for task in play["tasks"] if task.get("ansible.builtin.import_role") == owner]
    assert when == ["not _gateway_smtpfront", "_gateway_smtpfront"]
    order = _order()
    first = order.index(("cqgreylist", "owner"))
    assert order[first - 1 : first + 4] == [
        ("smtp_front", "close"),
        ("cqgreylist", "owner"),
        ("netqmail", "listen"),
        ("cqgreylist", "owner"),
        ("smtp_front", "listen"),
    ]
    tested = _order("tests/e2e/front.yml")
    assert order[first - 1 : first + 4] == [one for one in tested if one[1] in ("close", "owner", "listen")]
    configure = (ROOT / "roles/cqgreylist/tasks/configure.yml").read_text()
    assert "chown" not in configure and "stat.pw_name | default(cqgreylist_owner" in configure


def test_another_mail_server_is_stopped_last() -> None:
    """A build that fails leaves it as it was, its sendmail included; the gateway opens right after."""
    order = _order()
    stopped = order.index(("base", "replace_mta"))
    assert [role for role, _ in order[stopped + 1 : stopped + 4]] == ["smtp_front", "cqgreylist", "netqmail"]
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


def test_the_policy_is_tried_before_anything_of_it_is_written() -> None:
    """All of it is tried but for the recipients, which come first of what is done."""
    dummy, play = yaml.safe_load((ROOT / "playbooks/policy.yml").read_text())
    check, tried, recipients, done, verdict = play["tasks"]
    assert check["vars"]["base_require_package"] is True and check["vars"]["base_recipes"] == []
    assert tried["check_mode"] is True and tried["when"] == "not ansible_check_mode"
    assert tried["block"] == done["block"]
    roles = [task["ansible.builtin.import_role"]["name"].rpartition(".")[2] for task in done["block"]]
    assert roles == ["smtp_tls", "smtp_policy", "adaptive_blacklist", "operator", "spamassassin", "netqmail"]
    for task in (recipients, verdict):
        assert task["ansible.builtin.import_role"]["name"] == "mailgate.qmail.recipients"


def test_what_the_site_says_now_is_in_force_after_a_restore() -> None:
    """A site without a directory has no service that would renew the list."""
    assert [one for one in _order("playbooks/restore.yml") if one[0]] == [
        ("backup", "restore"),
        ("cqgreylist", "owner"),  # before what may end the run
        ("recipients", "publish"),
        ("smtp_tls", "certificates"),
        ("recipients", "verdict"),
    ]


def test_a_run_counts_its_steps() -> None:
    dummy, play = yaml.safe_load((ROOT / "playbooks/gateway.yml").read_text())
    steps = [task["name"] for task in play["tasks"] if task["name"].startswith("Step ")]
    assert [name.partition(":")[0] for name in steps] == [
        f"Step {number} of {len(steps)}" for number in range(1, len(steps) + 1)
    ]
    assert play["tasks"][0]["name"] == steps[0]


def test_a_directory_of_archives_that_is_there_stays_as_it_is() -> None:
    """It may be one that others use, too: only one that the run makes is its owner's alone."""
    tasks = yaml.safe_load((ROOT / "roles/backup/tasks/main.yml").read_text())
    (made,) = [one for one in tasks if one.get("ansible.builtin.file", {}).get("state") == "directory"]
    (seen,) = [one for one in tasks if one.get("register") == "backup_directory_there"]
    assert tasks.index(seen) < tasks.index(made) and seen["ansible.builtin.stat"]["follow"] is True
    assert made["ansible.builtin.file"]["mode"] == "0700"
    assert made["when"] == "not backup_directory_there.stat.isdir | default(false)"
