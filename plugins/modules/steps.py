# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: steps
short_description: Several modules of this collection in one call
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Runs modules of this collection one after the other on the host, in one process. Each does what it does in
    a task of its own, in check mode as well, and the diffs of all are shown.
  - Exists because a task costs a third of a second whatever it does, most of it for a start of Python.
  - All options are checked before the first step. It ends at the first step that fails; what the steps before
    it changed stays, as with tasks.
  - No step can use what another one returned. But M(mailgate.qmail.daemontools_service) is told which files
    the steps before it change.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  idempotent:
    support: partial
    details: As each of the modules.
options:
  steps:
    description:
      - The steps in order. Each has the name of a module with a dictionary of its options.
      - With C(wanted) beside it, it is left out unless that is true.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Configure and run the statistics
  mailgate.qmail.steps:
    steps:
      - files:
          directories:
            - {path: /var/lib/mailgate/stats, owner: stats, group: stats}
      - daemontools_service:
          name: stats
          user: stats
          run: exec setuidgid stats mailgate stats serve
        wanted: "{{ stats_enabled }}"
"""

RETURN = r"""
results:
  description:
    - What each step returned, without its diff, and C(name), its option of that name, or that of its module.
    - V(skipped) alone for one that was left out.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "files", "changed": true, "changed_paths": ["/etc/mailgate/dnsbl"]}, {"skipped": true}]
changed_paths:
  description: The paths that the steps changed, or would change.
  returned: always
  type: list
  elements: str
  sample: [/etc/mailgate/dnsbl]
"""

import importlib
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.mailgate.qmail.plugins.module_utils import steps
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.steps.part import Ended, Part

NAMES = (
    "accepted_domains",
    "accounts",
    "ad_recipients",
    "adaptive_blacklist",
    "bad_senders",
    "certificates",
    "daemontools_service",
    "files",
    "program",
    "smtproutes",
    "tcp_rules",
    "tmpfs",
    "versioned_tree",
)


def pack():
    """Import each of NAMES, as Ansible sends what it finds imported; load() imports what a run needs."""
    # pylint: disable=unused-import
    from ansible_collections.mailgate.qmail.plugins.module_utils.steps import (  # noqa: F401
        accepted_domains,
        accounts,
        ad_recipients,
        adaptive_blacklist,
        bad_senders,
        certificates,
        daemontools_service,
        files,
        program,
        smtproutes,
        tcp_rules,
        tmpfs,
        versioned_tree,
    )


def load(name):
    return importlib.import_module(f"{steps.__name__}.{name}")


class Step(NamedTuple):
    """A step that is to be done."""

    place: str
    name: str
    module: Any
    options: dict

    def validated(self):
        """Return it with all its options, in their types; raises BadInput."""
        rules = {"required_by": getattr(self.module, "REQUIRED_BY", None)}
        done = ArgumentSpecValidator(self.module.argument_spec(), **rules).validate(self.options)
        if done.error_messages:
            raise BadInput(f"{self.place}: {'; '.join(done.error_messages)}")
        return self._replace(options=done.validated_parameters)

    def run(self, module, changed_before):
        """Do it and return its result."""
        try:
            self.module.run(Part(module, self.options, changed_before))
        except Ended as end:
            return {"name": self.options.get("name", self.name), **end.result}
        raise AssertionError(f"{self.place} returned without a result")


def parse(given):
    """Return the steps, None for each that is left out; raises BadInput."""
    found = []
    for number, step in enumerate(given, 1):
        names = [name for name in step if name != "wanted"]
        if len(names) != 1 or names[0] not in NAMES:
            known = ", ".join(NAMES)
            raise BadInput(
                f"steps item {number}: {sorted(names)!r} is not one module; expected one of {known}"
            )
        name, options = names[0], step[names[0]]
        place = f"steps item {number} ({name})"
        try:
            wanted = boolean(step.get("wanted", True))
        except TypeError as error:
            what = f"{place}: wanted {step['wanted']!r} is not true or false"
            raise BadInput(f"{what}; expected a boolean") from error
        if wanted and not isinstance(options, dict):
            # They may be passwords, so they are not repeated.
            raise BadInput(
                f"{place}: its options are of type {type(options).__name__}; expected a dictionary"
            )
        found.append(Step(place, name, load(name), options).validated() if wanted else None)
    return found


def main():
    # What the log of the system would show of the options may be passwords; so may what a result repeats.
    spec = {"steps": {"type": "list", "elements": "dict", "required": True}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, no_log=True)
    shown = {"steps": [sorted(step) for step in module.params["steps"]]}
    results, differences, paths = [], [], []

    def collected():
        changed = any(one.get("changed") for one in results)
        every = {"results": results, "diff": differences, "changed_paths": paths}
        return {"changed": changed, **every, "invocation": {"module_args": shown}}

    try:
        found = parse(module.params["steps"])
    except BadInput as error:
        module.fail_json(msg=str(error), **collected())
    for step in found:
        if step is None:
            results.append({"skipped": True})
            continue
        result = step.run(module, paths)
        diff = result.pop("diff", [])
        differences += diff if isinstance(diff, list) else [diff]
        paths += [path for path in result.get("changed_paths", []) if path not in paths]
        results.append(result)
        if result.get("failed"):
            module.fail_json(msg=result["msg"], **collected())
    module.exit_json(**collected())


if __name__ == "__main__":
    main()
