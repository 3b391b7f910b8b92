# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: update_faults
short_description: Why a run does not go on to the next gateway
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Compares what C(mailgate doctor --json) says of a gateway with what it said before the run.
  - A fault is what is critical now and was not before. Another one is that EICAR, GTUBE or a clean message is
    not proven.
positional: _input, before
options:
  _input:
    description: The doctor's answers after the run.
    type: list
    elements: str
    required: true
  before:
    description: Its answer before the run, an empty text for a host that was not a gateway.
    type: str
    default: ""
"""

EXAMPLES = r"""
faults: "{{ [doctor_after.stdout] | mailgate.qmail.update_faults(doctor_before.stdout) }}"
"""

RETURN = r"""
_value:
  description: One text for each fault.
  type: list
  elements: str
"""

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.canary import faults  # noqa: E402


def update_faults(after, before=""):
    return faults(before or "", after)


class FilterModule:
    def filters(self):
        return {"update_faults": update_faults}
