# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of every module of the collection: check mode, diff mode and idempotence."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and returns what it would change without changing anything.
    support: full
  diff_mode:
    description: Returns a diff of its changes, in check mode of those that it would make.
    support: full
  idempotent:
    description: A second run with the same arguments on an untouched host changes nothing.
    support: full
"""
