# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module program does: a program that is run until it answers as expected."""

from __future__ import annotations

import os
import re
import shlex
import time
from typing import Any

SHOWN_CHARACTERS = 2000
PAUSE_SECONDS = 1.0


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "argv": {"type": "list", "elements": "str", "required": True},
        "stdin": {"type": "str"},
        "path_prefix": {"type": "list", "elements": "str", "default": []},
        "status": {"type": "list", "elements": "int", "default": [0]},
        "changed_status": {"type": "list", "elements": "int", "default": []},
        "output": {"type": "str"},
        "without": {"type": "str"},
        "seconds": {"type": "int", "default": 0},
        "in_check_mode": {"type": "bool", "default": False},
        "expected": {"type": "str", "default": "another answer"},
    }


def fault(given: dict[str, Any], status: int, out: str) -> str:
    """Return what is not as expected; "" when all is."""
    if status not in given["status"]:
        return f"it ended with status {status}"
    if given["output"] and not re.search(given["output"], out, re.MULTILINE):
        return f"its output has no {given['output']!r}"
    if given["without"] and re.search(given["without"], out, re.MULTILINE):
        return f"its output has {given['without']!r}"
    return ""


def run(module: Any) -> None:
    """Run the program until it answers as expected, and exit."""
    given = module.params
    try:
        for option in ("output", "without"):
            re.compile(given[option] or "")
    except re.error as error:
        module.fail_json(
            msg=f"{option}: {given[option]!r} is not a regular expression, {error}; expected one"
        )
    if module.check_mode and not given["in_check_mode"]:
        module.exit_json(changed=False, skipped=True)
    path = ":".join([*given["path_prefix"], os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
    deadline = time.monotonic() + given["seconds"]
    while True:
        try:
            status, out, err = module.run_command(
                given["argv"],
                data=given["stdin"],
                binary_data=True,
                environ_update={"PATH": path},
                handle_exceptions=False,
            )
        except OSError as error:
            name = given["argv"][0]
            module.fail_json(msg=f"{name}: cannot be run, {error.strerror}; expected a program of this host")
        wrong = fault(given, status, out)
        if not wrong or time.monotonic() >= deadline:
            break
        time.sleep(PAUSE_SECONDS)
    answer = {"status": status, "stdout": out, "stderr": err}
    if wrong:
        within = f" within {given['seconds']} seconds" if given["seconds"] else ""
        what = f"{shlex.join(given['argv'])}: {wrong}; expected {given['expected']}{within}"
        module.fail_json(msg=f"{what}; it said: {(out + err).strip()[-SHOWN_CHARACTERS:]}", **answer)
    module.exit_json(changed=status in given["changed_status"], **answer)
