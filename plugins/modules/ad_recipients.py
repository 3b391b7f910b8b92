# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ad_recipients
short_description: The recipients that the gateway accepts, from Active Directory and from the site file
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Does immediately what the recipients' service does on its schedule, with the same code and as the same
    user. Exports the directories, verifies that the export is complete, compares it with the limits, and
    publishes the cdb in which qmail-smtpd looks up each recipient.
  - Every domain also gets postmaster and abuse, the gateway's own name postmaster, abuse, root and
    mailer-daemon, and postmaster without a domain is always there.
  - The new file is read back, key by key, before it replaces the old one.
  - A directory that does not answer, or an export that is refused, changes nothing of what the directories
    gave before. The module does not fail then, but returns RV(problem), so that a play can go on and fail at
    its end. It fails when a domain that is not yet in the list is to come from that directory, because the
    list that serves would refuse all of its recipients.
  - In check mode the directories are also exported, but nothing is written.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  directory:
    description:
      - The directory of the list, its earlier generations and its state. It must exist.
      - The files belong to O(user).
    type: path
    default: /var/lib/mailgate/recipients
  user:
    description: The user that exports and publishes. In check mode it need not exist yet.
    type: str
    default: recipients
  hostname:
    description: The gateway's fully qualified host name.
    type: str
    required: true
  domains:
    description:
      - The gateway's domains, each with C(name), C(recipients) and perhaps C(addresses).
      - With V(list) C(addresses) are all recipients, with V(any) the only one is C(@domain), and with
        V(directory) C(addresses) are added to those of the directories.
      - An address whose local part ends in C(-default) accepts every local part with the text before it.
    type: list
    elements: dict
    required: true
  directories:
    description:
      - The directories without their passwords, as P(mailgate.qmail.directories#filter) makes them.
    type: list
    elements: dict
    default: []
  required:
    description: Addresses without which an export is refused.
    type: list
    elements: str
    default: []
  loss_percent:
    description: The percentage of a domain's addresses that one export may remove.
    type: int
    default: 10
  loss_number:
    description: The number of a domain's addresses that one export may remove.
    type: int
    default: 1000
  loss_floor:
    description: This many addresses of a domain may always be removed, unless none is left.
    type: int
    default: 5
  generations:
    description: How many generations of the list are kept. Those of the last exports stay longest.
    type: int
    default: 10
  max_age_hours:
    description: Not used here; an older export is an alarm of C(mailgate recipients status).
    type: int
    default: 24
  extra:
    description: A file with recipients of the operators, which are added if the file exists.
    type: path
    default: /var/lib/mailgate/operator/recipients
  diff_limit:
    description: The maximum number of addresses of each kind in the diff and the result.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Accept the recipients of the site's domains
  mailgate.qmail.ad_recipients:
    hostname: mx1.example.com
    domains:
      - name: example.com
        recipients: directory
        addresses: [fax]
      - name: example.net
        recipients: any
    directories: "{{ gateway_directory | mailgate.qmail.directories }}"
"""

RETURN = r"""
count:
  description: How many keys the list has, or in check mode would have; 0 when there is no list.
  type: int
  returned: success
generation:
  description: The generation that serves; in check mode the one before.
  type: int
  returned: success
gained_count:
  description: How many keys are new.
  type: int
  returned: success
lost_count:
  description: How many keys are removed.
  type: int
  returned: success
gained:
  description: The first of the new keys, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
lost:
  description: The first of the removed keys, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
damage:
  description: What was wrong with the file that served; empty for a valid file or none.
  type: str
  returned: success
problem:
  description: Why the directories' answer is not used; empty without a problem.
  type: str
  returned: success
notices:
  description: What was exported, and how many of its addresses are not recipients and why.
  type: list
  elements: str
  returned: success
changed_paths:
  description: The list, when it changes.
  type: list
  elements: str
  returned: success
"""

import importlib.util
import json
import os
import time
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    OPERATOR_RECIPIENTS,
    RECIPIENTS_DIRECTORY,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.process import (
    become,
    bound,
    with_extra,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.settings import parse
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.store import Store
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.update import (
    Outcome,
    Uncovered,
    update,
)

SETTINGS = (
    "hostname",
    "domains",
    "directories",
    "required",
    "loss_percent",
    "loss_number",
    "loss_floor",
    "generations",
    "max_age_hours",
)


def run(params, check_mode):
    """Update the recipients; return the outcome as a dictionary, or {"failed": why}."""
    try:
        settings = parse({name: params[name] for name in SETTINGS})
        settings = with_extra(settings, time.time(), params["extra"])
        store = Store(params["directory"])
        if not check_mode and not os.path.isdir(store.directory):
            raise BadInput(f"directory {store.directory}: missing; expected what the recipients role makes")
        try:
            become(params["user"])
        except BadInput:
            if not check_mode:
                raise
        bound(settings)
        given = {"now": time.time(), "by": "ansible", "shown": params["diff_limit"]}
        if check_mode:
            return predicted(settings, store, given)
        with store.locked():
            return asdict(update(settings, store, **given))
    except (MailgateError, OSError) as error:
        return {"failed": str(error)}


def predicted(settings, store, given):
    """Return what an update would do; with a directory that this run adds that is not known yet."""
    try:
        return asdict(update(settings, store, write=False, **given))
    except Uncovered:
        missing = not_there_yet(settings)
        if not missing:
            raise
        return asdict(
            Outcome(problem=f"directories: not asked in check mode, as {missing[0]} is not there yet")
        )


def not_there_yet(settings):
    """Return what an export needs and the run provides before it."""
    files = [path for one in settings.directories for path in (one.password_file, one.ca_file) if path]
    missing = [path for path in files if not os.path.exists(path)]
    return [*missing, *([] if importlib.util.find_spec("ldap3") else ["the package python3-ldap3"])]


def in_child(params, check_mode):
    """Return run()'s result from a child process, which gives up its privileges permanently."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as stream:
                json.dump(run(params, check_mode), stream)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"failed": "update: it ended without a result; expected an outcome"}


def main():
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": RECIPIENTS_DIRECTORY},
            "user": {"type": "str", "default": "recipients"},
            "hostname": {"type": "str", "required": True},
            "domains": {"type": "list", "elements": "dict", "required": True},
            "directories": {"type": "list", "elements": "dict", "default": []},
            "required": texts,
            "loss_percent": {"type": "int", "default": 10},
            "loss_number": {"type": "int", "default": 1000},
            "loss_floor": {"type": "int", "default": 5},
            "generations": {"type": "int", "default": 10},
            "max_age_hours": {"type": "int", "default": 24},
            "extra": {"type": "path", "default": OPERATOR_RECIPIENTS},
            "diff_limit": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    outcome = in_child(module.params, module.check_mode)
    if "failed" in outcome:
        module.fail_json(msg=outcome["failed"])
    path = Store(module.params["directory"]).served_path
    before, after = outcome.pop("before"), outcome.pop("after")
    if outcome["problem"] and not outcome["count"] and module.check_mode:
        # The run may provide what is missing now: a package, the password's file.
        outcome["changed"], after = True, f"not known yet: {outcome['problem']}\n"
    diff = [{"before_header": path, "after_header": path, "before": before, "after": after}]
    if outcome["problem"]:
        module.warn(outcome["problem"])
    module.exit_json(
        diff=diff if outcome["changed"] else [],
        changed_paths=[path] if outcome["changed"] else [],
        **outcome,
    )


if __name__ == "__main__":
    main()
