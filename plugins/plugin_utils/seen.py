# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight has seen on a host, for tasks of the same play that then need not ask it.

The role base registers it, so it is this run's, and each host's own. A role that is used alone has none.
"""

from __future__ import annotations

REGISTERED = "base_preflight"
INSTALLED = "mailgate_installed"  # a fact of the host: packages were installed since


def begun(result, task_vars):
    """Return the result of preflight with the play in which what it saw holds."""
    facts = dict(result.get("ansible_facts") or {}, **{INSTALLED: False})
    found = dict(result["seen"], play=task_vars.get("ansible_play_name", ""))
    return dict(result, seen=found, ansible_facts=facts)


def seen(task_vars):
    """Return what holds still; empty without preflight, in another play, and once packages were installed.

    An installation may remove other packages and replace compilers.
    """
    registered = task_vars.get(REGISTERED)
    found = registered.get("seen") if isinstance(registered, dict) else None
    facts = task_vars.get("ansible_facts") or {}
    if not found or facts.get(INSTALLED) or found.get("play") != task_vars.get("ansible_play_name", ""):
        return {}
    return found


def noted(result, installed):
    """Return a task's result with the fact that it has installed packages, if it has."""
    facts = dict(result.get("ansible_facts") or {}, **{INSTALLED: True})
    return dict(result, ansible_facts=facts) if installed else result
