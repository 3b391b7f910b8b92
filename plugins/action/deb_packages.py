# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of deb_packages: what preflight saw, and what a host needs of a repository."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.mailgate.qmail.plugins.plugin_utils import bundled_packages, seen

MODULE = "mailgate.qmail.deb_packages"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False  # the remote directory is made when it is needed, to save a round trip
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        names = self._task.args.get("name")
        there = (seen.seen(task_vars).get("packages") or "").split()
        if isinstance(names, list) and {*names} <= {*there}:
            return dict(result, changed=False, installed=[], diff={"before": "", "after": ""})

        def execute(arguments):
            return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)

        check_mode = self._task.check_mode
        try:
            result.update(bundled_packages.install(dict(self._task.args), check_mode, execute, self._send))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return seen.noted(result, result.get("changed") and not check_mode)

    def _send(self, path, name):
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        return self._transfer_file(
            path, self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        )
