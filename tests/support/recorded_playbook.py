# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks by any ansible-core: every task's arguments are recorded, and nothing is done.

The copy of the collection has an action plugin for each module, ours and those of ansible-core that change a
host.  It writes down what the module would get and answers in its place, without an error.  So what a run
writes to a host can be compared between two releases of ansible-core without a host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("roles", "playbooks", "meta", "src", "galaxy.yml", "plugins")
# Those of ansible-core that only decide, and run as they are; the others read or change a host.
DECIDING = "assert|debug|fail|import_playbook|import_role|import_tasks|include_tasks|meta|set_fact"
OF_CORE = re.compile(rf"\bansible\.builtin\.(?!(?:{DECIDING}):)([a-z_]+):")

RECORDER = """
from __future__ import annotations

import json
import os

from ansible.plugins.action import ActionBase

# What the tasks after it look at.
ANSWERS = {
    "command": {
        "rc": 0,
        "stdout": "answer: localhost FOUND",
        "stdout_lines": [],
        "stderr": "",
        "stderr_lines": [],
    },
    "find": {"files": [{"path": "/var/lib/clamav/daily.cvd"}], "skipped_paths": {}},
    "stat": {"stat": {"exists": True, "pw_name": "nobody"}},
    "preflight": {
        "mta": {"program": "master", "pid": 1, "unit": "postfix.service", "package": "postfix"},
        "own_addresses": ["192.0.2.1"],
        "findings": [],
        "ansible_facts": {
            "memtotal_mb": 4000,
            "processor_vcpus": 2,
            "distribution": "Debian",
            "distribution_major_version": "12",
            "service_mgr": "systemd",
            "fqdn": "mx1.example.test",
            "env": {},
        },
    },
    "files": {"changed_paths": ["/etc/clamav/clamd.conf"]},
    "daemontools_service": {"process_started": False},
    "program": {"status": 0, "stdout": "by descriptor, virus FOUND", "stderr": ""},
    "ad_recipients": {"problem": "", "count": 2},
}


class ActionModule(ActionBase):
    _supports_check_mode = True

    @staticmethod
    def _result(step):
        (name,) = [one for one in step if one != "wanted"]
        return dict({"name": step[name].get("name", name), "changed": True}, **ANSWERS.get(name, {}))

    def run(self, tmp=None, task_vars=None):
        name = self._task.action.rpartition(".")[2].removeprefix("recorded_")
        with open(os.environ["MAILGATE_RECORD"], "a", encoding="utf-8") as stream:
            made = [self._task.get_name(), name, dict(self._task.args)]
            stream.write(json.dumps(made, default=str) + "\\n")
        answer = dict({"changed": True}, **ANSWERS.get(name, {}))
        if name == "steps":
            answer["results"] = [self._result(one) for one in self._task.args["steps"]]
            answer["changed_paths"] = ["/etc/spamassassin/local.cf"]
        return answer
"""


def write_collection(place: Path) -> None:
    """Make the collection, whose modules are recorded, below place/ansible_collections."""
    target = place / "ansible_collections" / "mailgate" / "qmail"
    target.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    of_core: set[str] = set()
    for path in [*(target / "roles").rglob("*.yml"), *(target / "playbooks").rglob("*.yml")]:
        text = path.read_text(encoding="utf-8")
        of_core |= set(OF_CORE.findall(text))
        text = OF_CORE.sub(r"mailgate.qmail.recorded_\1:", text)
        # The answer of preflight has the facts.
        path.write_text(text.replace("gather_facts: true", "gather_facts: false"), encoding="utf-8")
    modules = [path.stem for path in (target / "plugins" / "modules").glob("*.py")]
    for name in [*modules, *(f"recorded_{name}" for name in of_core)]:
        (target / "plugins" / "action" / f"{name}.py").write_text(RECORDER, encoding="utf-8")


def record(
    command: Sequence[str],
    place: Path,
    variables: Mapping[str, Any],
    playbook: str = "gateway.yml",
    environment: Mapping[str, str] | None = None,
) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each task's name, module and arguments, in the order of the run; place: of write_collection.

    command: ansible-playbook, by whichever Python and release.
    """
    host = place / "hosts.json"
    host.write_text(
        json.dumps({"gateways": {"hosts": {"gateway": {"ansible_connection": "local"}}}}), encoding="utf-8"
    )
    site = place / "site.json"
    site.write_text(json.dumps(variables), encoding="utf-8")
    told = place / "record"
    told.unlink(missing_ok=True)
    (place / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    playbooks = place / "ansible_collections" / "mailgate" / "qmail" / "playbooks"
    argv = [*command, "-i", str(host), "-e", f"@{site}", str(playbooks / playbook)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings = {
        "ANSIBLE_CONFIG": str(place / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(place),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "MAILGATE_RECORD": str(told),
    }
    done = subprocess.run(
        argv,
        cwd=place,
        env={**kept, **settings, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [tuple(json.loads(line)) for line in told.read_text(encoding="utf-8").splitlines()]
