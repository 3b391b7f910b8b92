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

import os
import time
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import senders as bad_senders
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import apply as rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    RULES_STATE,
    SENDERS_COMPILED,
    SENDERS_DIRECTORY,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def _run(module: AnsibleModule, paths: rules_command.Paths, own: dict[str, str]) -> NoReturn:
    wanted = rules_command.load_senders(paths, time.time(), own)
    desired = [
        Desired(os.path.join(paths.senders_directory, name), text.encode("utf-8"))
        for name, text in own.items()
    ]
    desired.append(Desired(paths.senders, wanted.text.encode("utf-8", "surrogateescape")))
    before = bad_senders.in_force((read_bytes(paths.senders) or b"").decode("utf-8", "surrogateescape"))
    changes = bad_senders.describe_changes(before, wanted.senders)
    rewritten = [one.path for one in desired if read_bytes(one.path) != one.content]
    words = changes or [f"{path} is written again, nothing changes for any sender" for path in rewritten]
    for fault in wanted.faults():
        module.warn(fault)
    finish(
        module,
        desired,
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if rewritten else None,
        changes=changes,
        notices=[
            *wanted.faults(),
            *rules_command.stray_files(paths.senders_directory, bad_senders.FRAGMENTS),
        ],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "senders": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "default": SENDERS_DIRECTORY},
            "path": {"type": "path", "default": SENDERS_COMPILED},
            "state": {"type": "path", "default": RULES_STATE},
        },
        supports_check_mode=True,
    )
    paths = rules_command.Paths(
        senders_directory=module.params["directory"],
        senders=module.params["path"],
        state=module.params["state"],
    )
    try:
        own = {bad_senders.SITE: bad_senders.site_text(module.params["senders"])}
        rules_command.load_senders(
            paths, time.time(), own
        )  # refuses before anything is written, even the directory
        with rules_files.prepared(paths.senders_directory, module.check_mode):
            _run(module, paths, own)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])


if __name__ == "__main__":
    main()
