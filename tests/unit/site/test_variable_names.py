# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A misspelt variable is refused with the right name, and other people's variables are theirs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import variable_names
from support.role_cases import run_play

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SITE = variable_names.site_names((ROOT / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
KNOWN = SITE | {
    name
    for role in ROLES
    for name in yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())[
        "argument_specs"
    ]["main"]["options"]
}
SETTINGS = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
PREFIXES = [f"{role}_" for role in ROLES]


def judge(*names: str, own: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    return variable_names.judge(names, KNOWN, PREFIXES, own)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("gateway_relay_network", "gateway_relay_networks"),
        ("gateway_domain", "gateway_domains"),
        ("gateway_databyte", "gateway_databytes"),
        ("gateway_relaynetworks", "gateway_relay_networks"),
        ("gatway_relay_networks", "gateway_relay_networks"),
        ("gateway_protected_network", "gateway_protected_networks"),
        ("gateway_greylisting", "gateway_greylist"),
        ("gateway_directories", "gateway_directory"),
        ("cqgreylist_delay_second", "cqgreylist_delay_seconds"),
        ("simscan_reject_scores", "simscan_reject_score"),
        ("clamav_proxy_sever", "clamav_proxy_server"),
        ("spamassasin_required_score", "spamassassin_required_score"),
    ],
)
def test_a_name_that_is_nearly_ours_is_refused_with_the_right_one(name: str, right: str) -> None:
    (fault,), warnings = judge(name)
    assert fault.startswith(
        f"{name}: is not a variable of this collection, so it would set nothing; expected {right!r}"
    )
    assert warnings == []
    assert judge(name, own=(name,)) == ([], [])


def test_a_removed_variable_is_refused_with_its_successor() -> None:
    gone = {"gateway_gone": variable_names.Removed("0.3.0", "gateway_front: tcpserver")}
    for own in ((), ("gateway_gone",)):
        faults, warnings = variable_names.judge(["gateway_gone"], KNOWN, PREFIXES, own, gone)
        told = (
            "gateway_gone: was removed in 0.3.0, so it would set nothing; expected gateway_front: tcpserver"
        )
        assert (faults, warnings) == ([] if own else [told], [])


def test_every_variable_of_the_last_release_is_known_or_has_a_successor() -> None:
    """CONTRIBUTING says when the list is written again."""
    names = (ROOT / "tests/fixtures/variables.txt").read_text(encoding="utf-8").split()
    assert len(names) > 200
    assert set(names) - KNOWN == set(variable_names.REMOVED) & set(names)
    assert not KNOWN & set(variable_names.REMOVED)
    for name, removed in variable_names.REMOVED.items():
        assert set(re.findall(r"\b[a-z]+_[a-z0-9_]+", removed.instead)) <= KNOWN, name


def test_an_unknown_name_of_the_site_is_a_warning() -> None:
    assert judge("gateway_colour") == (
        [],
        ["gateway_colour: is not a variable of this collection and sets nothing"],
    )


@pytest.mark.parametrize(
    "name",
    [
        "ansible_host",
        "ntp_servers",
        "postfix_relayhost",
        "stats_dashboard_url",
        "base_packages",
        "operator_phone",
        "doctor_who",
        "mailgate_hosts",
        "inventory_hostname",
        "clamav_on_access",
        "_gateway_backend",
    ],
)
def test_other_peoples_variables_are_theirs(name: str) -> None:
    assert judge(name) == ([], [])


def test_no_name_of_ours_is_taken_for_a_wrong_one() -> None:
    """Registered results and the variables of the test bed are there in a second play of one run."""
    tasks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "roles").glob("*/tasks/*.yml"))
    names = [*KNOWN, *re.findall(r"^ *register: ([a-z_]+)$", tasks, re.MULTILINE), "netqmail_kind"]
    assert judge(*names) == ([], [])


def test_every_variable_of_the_readme_is_known() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bgateway_[a-z_]+", readme)) <= SITE


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("operator_members", "gateway_operators"),
        ("netqmail_hostname", "gateway_hostname"),
        ("unbound_forwarders", "djbdns_forwarders"),
        ("spamassassin_dns_servers", "none, for a site has no choice there"),
        ("spamassassin_trusted_networks", "gateway_relay_networks or gateway_domains or gateway_routes"),
        ("base_site", "the variables of the site file"),
    ],
)
def test_a_value_that_the_playbook_replaces_is_refused_with_what_to_set(name: str, right: str) -> None:
    given = {name: "x", "gateway_domains": [], "ansible_pipelining": False}
    in_force = {**given, **SETTINGS}
    (fault,) = variable_names.replaced(given, in_force, SETTINGS, KNOWN)
    assert fault == f"{name}: is set by the playbook, so it would set nothing; expected {right}"


def test_a_value_of_the_command_line_is_in_force() -> None:
    assert (
        variable_names.replaced({"operator_members": "x"}, {"operator_members": "x"}, SETTINGS, KNOWN) == []
    )


@pytest.mark.slow
def test_the_inventory_is_told_from_the_play_and_the_command_line(tmp_path: Path) -> None:
    host = {"ansible_connection": "local", "operator_members": ["ann"], "smtp_tls_hostname": "{{ x }}"}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks/vars/site.yml")],
        "tasks": [{"mailgate.qmail.preflight": {"site": {}}}],
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"mx.test": host}}}))
    options = ("-i", str(tmp_path / "hosts.json"), "-e", "{smtp_tls_minimum: '1.3'}")
    _status, output = run_play(tmp_path, json.dumps([play]), *options)
    told = re.findall(r"(\w+): is set by the playbook, so it would set nothing; expected (\w+)\n", output)
    assert list(dict.fromkeys(told)) == [
        ("operator_members", "gateway_operators"),
        ("smtp_tls_hostname", "gateway_hostname"),
    ], output


def test_what_the_playbook_sets_is_not_proposed() -> None:
    given = ("operator_member",)
    assert variable_names.judge(given, KNOWN, PREFIXES, settings=SETTINGS) == ([], [])
    assert judge(*given)[0]
