# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of fleet_keys: the authority is the controller's, and no host is asked."""

from __future__ import annotations

import datetime
import os
from dataclasses import asdict

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import authority
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.peers import Gateway

GATEWAY = {"name": {"type": "str", "required": True}, "address": {"type": "str", "required": True}}
ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "host": {"type": "str", "required": True},
    "gateways": {"type": "list", "elements": "dict", "required": True, "options": GATEWAY},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        valid = ArgumentSpecValidator(ARGUMENTS).validate(self._task.args)
        if valid.error_messages:
            raise AnsibleActionFail("fleet_keys: " + "; ".join(valid.error_messages))
        given = valid.validated_parameters
        gateways = [Gateway(one["name"], one["address"]) for one in given["gateways"]]
        now = datetime.datetime.now(datetime.timezone.utc)
        directory = os.path.abspath(given["directory"])
        try:
            found = authority.keys(directory, given["host"], gateways, now, self._task.check_mode)
        except (MailgateError, OSError) as error:
            raise AnsibleActionFail(f"fleet_keys: {error}") from error
        return {**result, **asdict(found), "changed": bool(found.made)}
