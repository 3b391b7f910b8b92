# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the time of each task of a run to the file that MAILGATE_TASK_TIMES names: [[name, seconds], …]."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: Write the seconds of each task to a file
description: The file is the one that the environment variable MAILGATE_TASK_TIMES names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"

    def __init__(self):
        super().__init__()
        self._tasks = []

    def _begin(self, name):
        now = time.monotonic()
        if self._tasks:
            self._tasks[-1][1] = now - self._tasks[-1][1]
        self._tasks.append([name, now])

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin(task.get_name())

    def v2_playbook_on_handler_task_start(self, task):
        self._begin(task.get_name())

    def v2_playbook_on_stats(self, stats):
        self._begin("")
        path = os.environ.get("MAILGATE_TASK_TIMES")
        if path:
            with open(path, "w", encoding="utf-8") as stream:
                json.dump([[name, round(seconds, 3)] for name, seconds in self._tasks[:-1]], stream)
