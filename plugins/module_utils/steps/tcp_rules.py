# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module tcp_rules does: who may connect to the gateway, and who may relay."""

from __future__ import annotations

import os
import time
from typing import Any, NoReturn

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    RULES_COMPILED,
    RULES_COPY,
    RULES_DIRECTORY,
    RULES_STATE,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import apply as rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import changes as rules_changes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import (
    compiled,
    fragments,
    readable_copy,
    site_fragment,
    verify,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _site(params: dict) -> str:
    return site_fragment.site_rules(
        params["relay_networks"],
        scanner=params["scanner"],
        scan_relay_clients=params["scan_relay_clients"],
        relay_environment=params["relay_environment"],
        protected_networks=params["protected_networks"],
        whitelisted_networks=params["whitelisted_networks"],
        extra=[
            site_fragment.SiteRule(one["network"], one["action"], one["environment"])
            for one in params["rules"]
        ],
    )


def _compile(params: dict, paths: rules_command.Paths, own: dict[str, str]) -> compiled.Compiled:
    """Compile all fragments as they will be; raises MailgateError when a fragment is refused."""
    wanted = rules_command.load(paths, time.time(), own)
    if not params["force"]:
        copy = rules_files.read_text(paths.copy)
        rules_command.refuse_edited(copy, wanted.copy, paths.copy, paths.directory)
    return wanted


def _run(module: Any, paths: rules_command.Paths, own: dict[str, str]) -> NoReturn:
    wanted = _compile(module.params, paths, own)
    cdb, copy = wanted.cdb, _encode(wanted.copy)
    now = read_bytes(paths.compiled), read_bytes(paths.copy)
    if (
        now[0]
        and now[1]
        and readable_copy.is_made_of(now[1].decode("utf-8", "surrogateescape"), now[0], wanted)
    ):
        cdb, copy = now
    desired = [Desired(os.path.join(paths.directory, name), _encode(text)) for name, text in own.items()]
    desired += [Desired(paths.compiled, cdb), Desired(paths.copy, copy)]
    before, _listed = rules_command.rules_in_force(paths.copy)
    changes = rules_changes.describe_changes(before, wanted.rules)
    rewritten = [one.path for one in desired if read_bytes(one.path) != one.content]
    words = changes or [f"{path} is written again, nothing changes for any connection" for path in rewritten]
    for fault in wanted.faults():
        module.warn(fault)

    def check(written: Desired, temporary: str) -> None:
        if written.path == paths.compiled:
            verify.verify_cdb(read_bytes(temporary) or b"", wanted, paths.compiled)

    finish(
        module,
        desired,
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if rewritten else None,
        check=check,
        changes=changes,
        notices=[*wanted.faults(), *rules_command.stray_files(paths.directory), *wanted.notices],
    )


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "relay_networks": {"type": "list", "elements": "str", "default": []},
        "scanner": {"type": "str", "default": ""},
        "scan_relay_clients": {"type": "bool", "default": True},
        "protected_networks": {"type": "list", "elements": "str", "default": []},
        "whitelisted_networks": {"type": "list", "elements": "str", "default": []},
        "relay_environment": {"type": "dict", "default": {}},
        "rules": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "network": {"type": "str", "required": True},
                "action": {"type": "str", "choices": ["allow", "deny"], "required": True},
                "environment": {"type": "dict", "default": {}},
            },
        },
        "directory": {"type": "path", "default": RULES_DIRECTORY},
        "compiled": {"type": "path", "default": RULES_COMPILED},
        "copy": {"type": "path", "default": RULES_COPY},
        "state": {"type": "path", "default": RULES_STATE},
        "adaptive_user": {"type": "str", "default": rules_command.ADAPTIVE_USER},
        "force": {"type": "bool", "default": False},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    names = ("directory", "compiled", "copy", "state", "adaptive_user")
    paths = rules_command.Paths(**{name: module.params[name] for name in names})
    try:
        own = {fragments.SITE: _site(module.params), fragments.DEFAULT: site_fragment.default_rules()}
        _compile(module.params, paths, own)  # refuses before anything is written, even the directory
        with rules_files.prepared(paths.directory, module.check_mode):
            _run(module, paths, own)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])
