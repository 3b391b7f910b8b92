# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a playbook's roles install of the distribution's packages, read from their tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Load = Callable[[str, str], Sequence[Mapping[str, Any]]]
_IMPORTS = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
_INSTALLS = {"mailgate.qmail.deb_packages": "name", "mailgate.qmail.source_build": "recipe"}


def roles_of(play: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Return (role, file of its tasks, conditions) of a play's import_role tasks."""
    found = []
    for task in play.get("tasks") or []:
        given = task.get("ansible.builtin.import_role")
        if given:
            role = given["name"].rpartition(".")[2]
            found.append((role, given.get("tasks_from", "main"), task.get("when", [])))
    return found


def packages(role: str, file: str, load: Load, holds: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield the lists of packages, and the recipes with theirs, of a role's tasks, as they are written.

    load: returns the tasks of a role's file. holds: whether conditions hold, or are not known before the run.
    """
    yield from _of_tasks(role, load(role, file), load, holds)


def _of_tasks(
    role: str, tasks: Sequence[Mapping[str, Any]], load: Load, holds: Callable[[Any], bool]
) -> Iterator[Any]:
    for task in tasks:
        found = list(_of_task(role, task, load, holds))
        if found and holds(task.get("when", [])):  # conditions of other tasks may need a run
            yield from found


def _of_task(role: str, task: Mapping[str, Any], load: Load, holds: Callable[[Any], bool]) -> Iterator[Any]:
    for part in ("block", "rescue", "always"):
        yield from _of_tasks(role, task.get(part) or [], load, holds)
    for word in _IMPORTS:
        if word in task:
            yield from _of_tasks(role, load(role, str(task[word]).rpartition(".")[0]), load, holds)
    for module, option in _INSTALLS.items():
        if module in task and task[module].get(option):
            yield task[module][option]
