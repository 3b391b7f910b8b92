# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bad_senders
short_description: Envelope senders that the gateway refuses
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Owns the fragment C(10-site) of the bad senders, and compiles all fragments into what qmail-smtpd reads.
  - C(20-operator) belongs to the operator. It is read, never written. When it is faulty, its last good
    version is compiled, or nothing of it, and a warning says so.
  - Refuses a sender that would never match, such as one with a wildcard. The diff describes the changes.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  senders:
    description: Envelope senders as C(user@host), or C(@host) for every sender of a host.
    type: list
    elements: str
    required: true
  directory:
    description: Where the fragments are. It is created when it is missing.
    type: path
    default: /etc/badmailfrom.d
  path:
    description: The compiled file.
    type: path
    default: /var/qmail/control/badmailfrom
  state:
    description: Where the compiler stores the last good version of each fragment. It is only read.
    type: path
    default: /var/lib/mailgate/rules
"""

EXAMPLES = r"""
- name: Refuse one sender, and everybody of a domain
  mailgate.qmail.bad_senders:
    senders:
      - spammer@bad.example
      - "@worse.example"
"""

RETURN = r"""
changed_paths:
  description: The files that were written, or would be.
  returned: always
  type: list
  elements: str
  sample: [/etc/badmailfrom.d/10-site, /var/qmail/control/badmailfrom]
changes:
  description: A description of who will be refused and who no longer.
  returned: success
  type: list
  elements: str
  sample: [sender spammer@bad.example will be refused]
notices:
  description: Files that have no effect, and why.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import bad_senders


def main():
    module = AnsibleModule(argument_spec=bad_senders.argument_spec(), supports_check_mode=True)
    bad_senders.run(module)


if __name__ == "__main__":
    main()
