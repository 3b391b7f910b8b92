# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stale_services
short_description: Services that still run as they were before a change
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the services under svscan that were started before their run file, or that of their log, was
    written, and those whose program was replaced since.
  - A handler restarts a service in the run that changes it. When that run is interrupted before the handler,
    no later run notifies the handler again; this module finds such services.
  - Changes nothing.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  service_directory:
    description: The directory that svscan watches.
    type: path
    default: /service
"""

EXAMPLES = r"""
- name: Look for services that were not restarted
  mailgate.qmail.stale_services:
  register: stale
"""

RETURN = r"""
names:
  description: The names of the services, sorted.
  returned: success
  type: list
  elements: str
  sample: [stats]
directories:
  description: The service definition of each service in RV(names).
  returned: success
  type: dict
  sample: {stats: /var/lib/mailgate/supervise/stats}
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError

DELETED = " (deleted)"


def program(pid):
    """Return the program that the process runs; '' when it has ended or cannot be read."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def written(path, now):
    """Return when the file was written, in unix nanoseconds; 0 for none, and for a time in the future."""
    try:
        moment = os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
    return moment if moment <= now else 0


def main():
    module = AnsibleModule(
        argument_spec={"service_directory": {"type": "path", "default": "/service"}}, supports_check_mode=True
    )
    scanned = module.params["service_directory"]
    found = {}
    try:
        names = sorted(os.listdir(scanned)) if os.path.isdir(scanned) else []
        for name in names:
            link = os.path.join(scanned, name)
            directory = os.path.join(scanned, os.readlink(link)) if os.path.islink(link) else link
            for path in (directory, os.path.join(directory, "log")):
                if name.startswith(".") or not os.path.isdir(path):
                    continue
                status, now = supervise.look(path).status, time.time_ns()
                if status is None or not status.pid:
                    continue
                late = supervise.started_before(status, written(os.path.join(path, "run"), now))
                if late or program(status.pid).endswith(DELETED):
                    found[name] = directory
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, names=sorted(found), directories=found)


if __name__ == "__main__":
    main()
