# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of roles are refused before anything is changed, all at once, as their argument specs say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.mailgate.qmail.plugins.action import preflight
from ansible_collections.mailgate.qmail.plugins.plugin_utils import role_arguments

ROOT = Path(__file__).resolve().parents[3]
SPECS = {
    "main": {
        "ours_count": {"type": "int"},
        "ours_kind": {"type": "str", "choices": ["one", "two"]},
        "ours_pairs": {"type": "list", "elements": "dict", "options": {"key": {"required": True}}},
        "ours_must": {"type": "str", "required": True},
    },
    "other": {"ours_count": {"type": "int"}, "ours_flag": {"type": "bool"}},
}
RIGHT = {"ours_count": "3", "ours_kind": "two", "ours_pairs": [{"key": "x"}], "ours_must": "x"}


def faults(**values: Any) -> list[role_arguments.Fault]:
    def template(value: Any) -> Any:
        if value == "{{ nothing }}":
            raise AnsibleError("'nothing' is undefined")
        return value

    return role_arguments.faults("ours", SPECS, {**RIGHT, **values}, template)


@pytest.mark.parametrize(
    ("values", "variable", "told"),
    [
        ({"ours_count": "many"}, "ours_count", "argument 'ours_count' is of type "),
        ({"ours_kind": "three"}, "ours_kind", "value of ours_kind must be one of: one, two, got: three"),
        ({"ours_pairs": [{}]}, "ours_pairs", "missing required arguments: key found in ours_pairs"),
        ({"ours_flag": "perhaps"}, "ours_flag", "argument 'ours_flag' is of type "),
        ({"ours_kind": "{{ nothing }}"}, "ours_kind", "ours_kind has no value: 'nothing' is undefined"),
    ],
)
def test_a_wrong_value_is_told_once_with_its_name(values: dict[str, Any], variable: str, told: str) -> None:
    (fault,) = faults(**values)
    assert (fault.role, fault.variable) == ("ours", variable)
    assert fault.message.startswith(told)


def test_what_is_missing_and_what_is_right() -> None:
    assert faults() == []
    (fault,) = role_arguments.faults("ours", SPECS, {}, lambda value: value)
    assert fault.message == "missing required arguments: ours_must"


def test_faults_join_those_of_the_module() -> None:
    failed = {"failed": True, "msg": "head\nsite", "findings": [{"check": "port"}]}
    told = preflight.refused(failed, ["one", "two"])
    assert told["msg"] == "head\nsite\none\ntwo" and len(told["findings"]) == 3
    passed = preflight.refused({"changed": False, "findings": []}, ["one"])
    assert passed["failed"] and passed["msg"] == f"{preflight.REFUSED}\none"
    lost = {"failed": True, "msg": "no connection"}
    assert preflight.refused(lost, ["one"]) == lost
    assert preflight.refused({"changed": False}, []) == {"changed": False}


def test_roles_of_the_playbooks_are_checked_once() -> None:
    """Preflight has checked them; a task for each import would do so again."""
    settings = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text())
    assert settings["base_roles"] == "{{ ansible_play_role_names }}"

    def imports(tasks: Any) -> Any:
        for task in tasks:
            yield from imports(task.get("block", []))
            if "ansible.builtin.import_role" in task:
                yield task["ansible.builtin.import_role"]

    for name in ("gateway", "policy"):
        *_find, play = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
        found = list(imports(play["tasks"]))
        assert len(found) > 8
        assert [one for one in found if one.get("rolespec_validate") is not False] == []


@pytest.mark.slow
def test_all_of_the_gateway_s_roles_are_checked_first(tmp_path: Path) -> None:
    """The gateway's playbook in check mode, on this machine: it ends at what is wrong on purpose."""
    host = {
        "ansible_connection": "local",
        "ansible_become": False,
        "netqmail_concurrency_remote": "lots",
        "daemontools_install_method": "wheel",
        "gateway_sessions": "many",
        "gateway_domains": "none",
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"gateways": {"hosts": {"gateway": host}}}))
    (tmp_path / "group_vars").symlink_to(ROOT / "tests/inventory/group_vars")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(tmp_path / "hosts.json"),
            "playbooks/gateway.yml",
            "--check",
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "MAILGATE_CACHE": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    told = list(dict.fromkeys(line for line in lines if line.startswith("role ")))
    assert [" ".join(line.split()[:6]) for line in told] == [
        "role daemontools: value of daemontools_install_method must",
        "role netqmail: argument 'netqmail_concurrency_remote' is of",
        "role netqmail: argument 'netqmail_concurrency_incoming' is of",
        "role simscan: argument 'simscan_sessions' is of",
    ]
    assert told[-1].endswith("it is made of gateway_sessions")
    assert "No such file" not in done.stderr and "Unable to find" not in done.stderr + done.stdout
