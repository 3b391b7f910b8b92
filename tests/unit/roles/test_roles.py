# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles keep the rules of the house: typed variables, no variable of another role, every source pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
NAMES = [role.name for role in ROLES]
SCENARIOS = {path.name for path in (ROOT / "molecule").iterdir()}
LONGEST_TASK_FILE = 10


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


@pytest.fixture(params=ROLES, ids=NAMES)
def role(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_defaults_and_argument_specs_are_the_same_list(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml") or {}
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert sorted(defaults) == sorted(options)
    for name, value in defaults.items():
        assert name.startswith(f"{role.name}_")
        assert options[name].get("description"), f"{name} has no description"
        if not (isinstance(value, str) and "{{" in value):
            assert options[name].get("default") == value, f"{name} has another default in its specification"


def test_a_readme_tells_of_the_role(role: Path) -> None:
    """Each variable of this role that it names exists, and so does each file of the project."""
    text = (role / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {role.name}\n")
    named = set(re.findall(rf"\b{role.name}_[a-z_]+\b", text)) - set(NAMES)
    unknown = named - set(load(role / "defaults" / "main.yml") or {})
    assert not unknown - SCENARIOS
    for path in re.findall(r"`((?:tests|roles|docs|playbooks)/[\w./-]+)`", text):
        assert (role.parents[1] / path).exists(), f"{role.name}/README.md names {path}, which is not there"
    for entry in re.findall(r"tasks_from: (\w+)", text):
        assert (role / "tasks" / f"{entry}.yml").exists(), f"{role.name}/README.md names {entry}"
    files = [*role.parent.glob("*/tasks/*.yml"), *role.parent.glob("*/vars/*.yml")]
    tasks = "".join(path.read_text(encoding="utf-8") for path in files)
    for service in re.findall(r"`/service/([a-z-]+)`", text):
        assert f"name: {service}\n" in tasks, f"{role.name}/README.md names the service {service}"


def test_meta_tells_what_the_role_is_for(role: Path) -> None:
    meta = load(role / "meta" / "main.yml")
    info = meta["galaxy_info"]
    assert meta["dependencies"] == []
    wanted = load(ROOT / "meta" / "runtime.yml")["requires_ansible"]
    assert f">={info['min_ansible_version']}" == wanted
    assert info["description"] and info["license"] == "GPL-3.0-or-later"
    assert [platform["name"] for platform in info["platforms"]] == ["Debian"]
    assert info["galaxy_tags"] and all(re.fullmatch("[a-z0-9]+", tag) for tag in info["galaxy_tags"])


def test_no_task_has_a_tag(role: Path) -> None:
    """A run of a part would leave what depends on it as it was; playbooks/policy.yml is the quick run."""
    for path in [*(role / "tasks").glob("*.yml"), *(role / "handlers").glob("*.yml")]:
        assert not re.search(r"^\s*(- )?tags:", path.read_text(encoding="utf-8"), re.MULTILINE), path


def notified(tasks: Any) -> list[str]:
    """Return the names of the handlers that tasks notify, those in blocks among them."""
    if isinstance(tasks, list):
        return [name for task in tasks for name in notified(task)]
    if not isinstance(tasks, dict):
        return []
    names = tasks.get("notify") or []
    return [*([names] if isinstance(names, str) else names), *notified(list(tasks.values()))]


HANDLERS = {handler["name"] for path in ROLES for handler in load(path / "handlers" / "main.yml") or []}


def test_a_handler_that_is_notified_exists(role: Path) -> None:
    """It may be another role's: dcc and razor reload spamd."""
    for path in [*(role / "tasks").glob("*.yml"), *(role / "handlers").glob("*.yml")]:
        assert set(notified(load(path))) <= HANDLERS, path


def test_private_variables_are_marked(role: Path) -> None:
    for name in load(role / "vars" / "main.yml") or {}:
        assert name.startswith(f"_{role.name}_")


def test_no_role_reads_another_roles_variables(role: Path) -> None:
    others = "|".join(name for name in NAMES if name != role.name)
    name = rf"\b_?({others})_[a-z]\w*"
    foreign = re.compile(rf"\{{\{{[^}}]*{name}|^\s*when:.*{name}", re.MULTILINE)
    for path in [*role.rglob("*.yml"), *role.rglob("*.j2")]:
        found = foreign.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(role.parent)}: {found and found.group(0)!r}"


def test_task_files_are_short(role: Path) -> None:
    for path in (role / "tasks").glob("*.yml"):
        assert len(load(path)) <= LONGEST_TASK_FILE, path


def test_every_source_is_pinned(role: Path) -> None:
    for name, value in (load(role / "vars" / "main.yml") or {}).items():
        if name.endswith("_releases"):
            for version, release in value.items():
                for source in release["sources"]:
                    assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"]), f"{name} {version}"
                    assert len(source.keys() & {"url", "pool"}) == 1, f"{name} {version}"
                    assert source.get("url", "https://").startswith("https://"), f"{name} {version}"
