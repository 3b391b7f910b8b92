# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module ad_recipients does: the recipients that the gateway accepts."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from dataclasses import asdict
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    OPERATOR_RECIPIENTS,
    RECIPIENTS_DIRECTORY,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.process import (
    become,
    bound,
    with_extra,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.settings import parse
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.store import Store
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.update import (
    Outcome,
    Uncovered,
    update,
)

SETTINGS = (
    "hostname",
    "domains",
    "directories",
    "required",
    "loss_percent",
    "loss_number",
    "loss_floor",
    "generations",
    "max_age_hours",
)


def updated(params, check_mode):
    """Update the recipients; return the outcome as a dictionary, or {"failed": why}."""
    try:
        settings = parse({name: params[name] for name in SETTINGS})
        settings = with_extra(settings, time.time(), params["extra"])
        store = Store(params["directory"])
        if not check_mode and not os.path.isdir(store.directory):
            raise BadInput(f"directory {store.directory}: missing; expected what the recipients role makes")
        try:
            become(params["user"])
        except BadInput:
            if not check_mode:
                raise
        bound(settings)
        given = {"now": time.time(), "by": "ansible", "shown": params["diff_limit"]}
        if check_mode:
            return predicted(settings, store, given)
        with store.locked():
            return asdict(update(settings, store, **given))
    except (MailgateError, OSError) as error:
        return {"failed": str(error)}


def predicted(settings, store, given):
    """Return what an update would do; with a directory that this run adds that is not known yet."""
    try:
        return asdict(update(settings, store, write=False, **given))
    except Uncovered:
        missing = not_there_yet(settings)
        if not missing:
            raise
        return asdict(
            Outcome(problem=f"directories: not asked in check mode, as {missing[0]} is not there yet")
        )


def not_there_yet(settings):
    """Return what an export needs and the run provides before it."""
    files = [path for one in settings.directories for path in (one.password_file, one.ca_file) if path]
    missing = [path for path in files if not os.path.exists(path)]
    return [*missing, *([] if importlib.util.find_spec("ldap3") else ["the package python3-ldap3"])]


def in_child(params, check_mode):
    """Return the result of updated() from a child process, which gives up its privileges permanently."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as stream:
                json.dump(updated(params, check_mode), stream)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"failed": "update: it ended without a result; expected an outcome"}


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    texts = {"type": "list", "elements": "str", "default": []}
    return {
        "directory": {"type": "path", "default": RECIPIENTS_DIRECTORY},
        "user": {"type": "str", "default": "recipients"},
        "hostname": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "dict", "required": True},
        "directories": {"type": "list", "elements": "dict", "default": []},
        "required": texts,
        "loss_percent": {"type": "int", "default": 10},
        "loss_number": {"type": "int", "default": 1000},
        "loss_floor": {"type": "int", "default": 5},
        "generations": {"type": "int", "default": 10},
        "max_age_hours": {"type": "int", "default": 24},
        "extra": {"type": "path", "default": OPERATOR_RECIPIENTS},
        "diff_limit": {"type": "int", "default": 20},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    outcome = in_child(module.params, module.check_mode)
    if "failed" in outcome:
        module.fail_json(msg=outcome["failed"])
    path = Store(module.params["directory"]).served_path
    before, after = outcome.pop("before"), outcome.pop("after")
    if outcome["problem"] and not outcome["count"] and module.check_mode:
        # The run may provide what is missing now: a package, the password's file.
        outcome["changed"], after = True, f"not known yet: {outcome['problem']}\n"
    diff = [{"before_header": path, "after_header": path, "before": before, "after": after}]
    if outcome["problem"]:
        module.warn(outcome["problem"])
    module.exit_json(
        diff=diff if outcome["changed"] else [],
        changed_paths=[path] if outcome["changed"] else [],
        **outcome,
    )
