# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the argument specs of roles say of a play's variables, for all roles at once."""

from __future__ import annotations

import os
from typing import NamedTuple

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load


class Fault(NamedTuple):
    """A variable that a role's argument spec refuses, and why."""

    role: str
    variable: str
    message: str


def argument_specs(directory):
    """Return a role's options by the names of its entry points."""
    with open(os.path.join(directory, "meta", "argument_specs.yml"), encoding="utf-8") as stream:
        specs = yaml_load(stream)["argument_specs"]
    return {entry: spec.get("options") or {} for entry, spec in specs.items()}


def faults(role, specs, values, template):
    """Return the faults of a role's variables, each once, in the order of its entry points and options.

    values: of the play, before their templates are filled in; template: fills them in.
    The verdict and the words are those of ansible.builtin.validate_argument_spec.
    """
    found = []
    for options in specs.values():
        for name, option in options.items():
            try:
                given = {name: template(values[name])} if name in values else {}
            except AnsibleError as error:
                found.append(Fault(role, name, f"{name} has no value: {error}"))
                continue
            validated = ArgumentSpecValidator({name: option}).validate(
                given, validate_role_argument_spec=True
            )
            found += [Fault(role, name, message) for message in validated.error_messages]
    return list(dict.fromkeys(found))
