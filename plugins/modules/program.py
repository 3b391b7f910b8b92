# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: program
short_description: A program that is run until it answers as expected
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Runs a program of the host, again each second until its exit status and its output are as expected, and
    fails when they are not so in time. It shows what the program said.
  - Exists beside M(ansible.builtin.command) because M(mailgate.qmail.steps) can run it.
  - Does nothing in check mode, in which what it asks may not be there yet, unless O(in_check_mode) is set.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  check_mode:
    support: partial
    details: The program is not run, unless O(in_check_mode) is set.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: As the program is.
options:
  argv:
    description: The program and its arguments.
    type: list
    elements: str
    required: true
  stdin:
    description: What it reads from its standard input, without a line's end added.
    type: str
  path_prefix:
    description: Directories that are put in front of E(PATH).
    type: list
    elements: str
    default: []
  status:
    description: The exit statuses that are expected.
    type: list
    elements: int
    default: [0]
  changed_status:
    description: Those of O(status) with which the program has changed something.
    type: list
    elements: int
    default: []
  output:
    description:
      - A regular expression that has to be found in its standard output; V(^) and V($) match at lines.
    type: str
  without:
    description: A regular expression that must not be found there.
    type: str
  seconds:
    description: For how long it is tried again.
    type: int
    default: 0
  in_check_mode:
    description: Whether it is run in check mode, too, as it changes nothing and what it asks is there.
    type: bool
    default: false
  expected:
    description: What was expected, for the error.
    type: str
    default: another answer
"""

EXAMPLES = r"""
- name: Check that dnscache answers
  mailgate.qmail.program:
    argv: [env, DNSCACHEIP=127.0.0.1, dnsqr, a, localhost]
    output: "answer: localhost "
    seconds: 5
    expected: dnscache to answer the name localhost
"""

RETURN = r"""
status:
  description: The exit status; not C(rc), by which Ansible takes any but 0 for a failure.
  returned: when it was run
  type: int
stdout:
  description: What it wrote to its standard output.
  returned: when it was run
  type: str
stderr:
  description: What it wrote to its standard error.
  returned: when it was run
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import program


def main():
    module = AnsibleModule(argument_spec=program.argument_spec(), supports_check_mode=True)
    program.run(module)


if __name__ == "__main__":
    main()
