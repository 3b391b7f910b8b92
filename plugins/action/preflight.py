# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of preflight: names of variables, which only the controller has."""

from __future__ import annotations

import os

from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import variable_names

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text(*path):
    with open(os.path.join(COLLECTION, *path), encoding="utf-8") as stream:
        return stream.read()


def collection_names():
    """Return the names of all variables that the collection has, and how those of its roles begin."""
    known = set(variable_names.site_names(text("playbooks", "vars", "site.yml")))
    roles = sorted(os.listdir(os.path.join(COLLECTION, "roles")))
    for role in roles:
        specs = yaml_load(text("roles", role, "meta", "argument_specs.yml"))["argument_specs"]
        known.update(name for spec in specs.values() for name in spec.get("options") or ())
    return known, [f"{role}_" for role in roles]


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        known, prefixes = collection_names()
        own = arguments.get("own_variables") or []
        faults, notices = variable_names.judge(task_vars or {}, known, prefixes, own)
        arguments["faults"] = [*(arguments.get("faults") or []), *faults]
        arguments["notices"] = [*(arguments.get("notices") or []), *notices]
        result.update(
            self._execute_module(
                module_name="mailgate.qmail.preflight", module_args=arguments, task_vars=task_vars
            )
        )
        return result
