# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tmpfs
short_description: A mounted tmpfs, with its line in fstab
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Writes the line of C(/etc/fstab) for a tmpfs with nosuid, nodev and noexec, mounts it, and changes the
    size of a mounted one if necessary.
  - Where this host may not mount, as in most containers, the file system must be mounted from outside. Then
    this module checks its type, its flags and that it is not too small, sets its owner and mode, and leaves
    fstab unchanged.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  state:
    description:
      - V(absent) unmounts what this module mounted, which its line in fstab tells, and removes that line.
      - Messages that are scanned meanwhile are deferred with 451, and what lies in the directory is gone.
    type: str
    choices: [mounted, absent]
    default: mounted
  path:
    description: The mount point; created when it does not exist.
    type: path
    required: true
  size_bytes:
    description:
      - Its size. C(0) computes a size that is enough for O(sessions) messages of O(largest_message_bytes),
        at most a quarter of the memory, and at least enough for one message.
    type: int
    default: 0
  largest_message_bytes:
    description: The largest message that the gateway accepts.
    type: int
    required: true
  sessions:
    description: How many messages may come at once.
    type: int
    required: true
  session_bytes:
    description: The space for the largest message and the files that its scanners write; C(0) checks nothing.
    type: int
    default: 0
  share_percent:
    description:
      - How much of the size one session may use. A share that is less than O(session_bytes) is an error.
    type: int
    default: 100
  owner:
    description: The owner of the directory, a name or a number.
    type: str
    default: root
  group:
    description: Its group, a name or a number.
    type: str
    default: root
  mode:
    description: Its mode, four octal digits that begin with 0.
    type: str
    default: "0750"
  fstab:
    description: The table of file systems to mount when the host starts.
    type: path
    default: /etc/fstab
"""

EXAMPLES = r"""
- name: Give simscan its work directory
  mailgate.qmail.tmpfs:
    path: /var/spool/simscan
    largest_message_bytes: 52428800
    sessions: 120
    owner: simscan
    group: simscan
"""

RETURN = r"""
size_bytes:
  description: The size that it should have.
  type: int
  returned: success
brought:
  description: Whether this host may not mount, and the file system was mounted from outside.
  type: bool
  returned: success
changed_paths:
  description: What changed, or in check mode would change.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import tmpfs


def main():
    module = AnsibleModule(argument_spec=tmpfs.argument_spec(), supports_check_mode=True)
    tmpfs.run(module)


if __name__ == "__main__":
    main()
