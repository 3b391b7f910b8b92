# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module bad_senders does: envelope senders that the gateway refuses."""

from __future__ import annotations

import os
import time
from typing import Any, NoReturn

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    RULES_STATE,
    SENDERS_COMPILED,
    SENDERS_DIRECTORY,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import apply as rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import senders as bad_senders
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def _run(module: Any, paths: rules_command.Paths, own: dict[str, str]) -> NoReturn:
    wanted = rules_command.load_senders(paths, time.time(), own)
    desired = [
        Desired(os.path.join(paths.senders_directory, name), text.encode("utf-8"))
        for name, text in own.items()
    ]
    desired.append(Desired(paths.senders, wanted.text.encode("utf-8", "surrogateescape")))
    before = bad_senders.in_force((read_bytes(paths.senders) or b"").decode("utf-8", "surrogateescape"))
    changes = bad_senders.describe_changes(before, wanted.senders)
    rewritten = [one.path for one in desired if read_bytes(one.path) != one.content]
    words = changes or [f"{path} is written again, nothing changes for any sender" for path in rewritten]
    for fault in wanted.faults():
        module.warn(fault)
    finish(
        module,
        desired,
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if rewritten else None,
        changes=changes,
        notices=[
            *wanted.faults(),
            *rules_command.stray_files(paths.senders_directory, bad_senders.FRAGMENTS),
        ],
    )


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "senders": {"type": "list", "elements": "str", "required": True},
        "directory": {"type": "path", "default": SENDERS_DIRECTORY},
        "path": {"type": "path", "default": SENDERS_COMPILED},
        "state": {"type": "path", "default": RULES_STATE},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    paths = rules_command.Paths(
        senders_directory=module.params["directory"],
        senders=module.params["path"],
        state=module.params["state"],
    )
    try:
        own = {bad_senders.SITE: bad_senders.site_text(module.params["senders"])}
        rules_command.load_senders(
            paths, time.time(), own
        )  # refuses before anything is written, even the directory
        with rules_files.prepared(paths.senders_directory, module.check_mode):
            _run(module, paths, own)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])
