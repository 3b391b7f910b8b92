# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one step of several has of AnsibleModule, so that no code has to know whether it runs alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn


class Ended(Exception):
    """A step has ended; result is what its module would have returned."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result.get("msg", ""))
        self.result = result


class Part:
    """One step: the options of its own, everything else of the module that runs it."""

    def __init__(self, module: Any, params: dict[str, Any], changed_before: Collection[str]) -> None:
        self.params = params
        self.changed_before = changed_before  # the paths that the steps before it changed, or would change
        self.check_mode: bool = module.check_mode
        self.run_command = module.run_command
        self.warn = module.warn

    def exit_json(self, **result: Any) -> NoReturn:
        raise Ended({"changed": False, **result})

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        raise Ended({"changed": False, **result, "msg": msg, "failed": True})
