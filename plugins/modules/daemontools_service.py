# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: daemontools_service
short_description: A service under svscan and supervise
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Writes a service and its log, links it into the directory that svscan watches, starts, stops, restarts or
    reloads it, and waits until the same process has lived for a while, its log's process as well.
  - A service with O(run) records what it starts with. V(started) compares that with what is there now, and
    restarts a service that runs as it was before a change, whoever made the change and whenever. So a run
    that broke off before a restart is mended by the next one.
  - A record that cannot be written, on a full disk for example, gives a warning, and the next run restarts
    the service once more.
  - Reads the status that supervise writes and sends commands to supervise itself; svc and svstat are not run.
  - Check mode also works on a host where svscan does not run or the service is not defined yet.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  idempotent:
    support: partial
    details: O(state=restarted) and O(state=reloaded) change the service each time.
options:
  name:
    description: The name of the service, which is the name of its link in O(service_directory).
    type: str
    required: true
  run:
    description:
      - The commands of the run script, in sh, the last of which becomes the service with C(exec). The module
        puts in front of them the first line, C(exec 2>&1), the record and the test of the accounts.
      - Behind that test C($uid) and C($gid) are the ids of O(user).
      - Without it the service is defined elsewhere, and no more than started, stopped and watched.
    type: str
  user:
    description:
      - The account that the service runs as; O(run) has to change to it. Nothing for a service of root.
      - Without this account, and each of O(accounts), or when one of them is root, the service does not
        start.
    type: str
  accounts:
    description: More accounts that O(run) names.
    type: list
    elements: str
    default: []
  code:
    description: A hash of what the service is made of beside files; another one restarts it.
    type: str
  reads:
    description:
      - The files that the service reads when it starts, by absolute path, whether they exist or not. The
        service is restarted when one of them changed since.
      - A file that the service reads again by itself does not belong here.
    type: list
    elements: str
    default: []
  programs:
    description:
      - Files of programs, as O(reads); V(reloaded) restarts the service when one of them changed.
      - The program and the libraries of the service's own process need not be named.
    type: list
    elements: str
    default: []
  notified:
    description:
      - Whether a task before this one changes what the service starts with. Check mode, in which that task
        wrote nothing, predicts a restart then. M(mailgate.qmail.steps) sets it when one of its steps before
        changes a file of O(reads) or O(programs). A run looks at what is there instead; V(reloaded) then
        leaves a service alone that has read its files as they are; it is for one that was only now started.
    type: bool
    default: false
  log:
    description:
      - The log of the service, written by multilog with a time in each line. Its directory has the mode 0750,
        because logs hold mail addresses and subjects.
      - Without it a service in C(log) below O(directory) is watched too, when there is one.
    type: dict
    suboptions:
      bytes:
        description: The size of a file at which multilog begins another one.
        type: int
        required: true
      files:
        description: How many files multilog keeps.
        type: int
        required: true
      select:
        description: Actions of multilog(8) that choose lines; all lines are kept without.
        type: list
        elements: str
        default: []
      user:
        description: The account that multilog runs as; the directory is its own.
        type: str
        default: qmaill
      group:
        description: The group that may read the log; it owns the directory.
        type: str
        default: mailgate-log
  log_directory:
    description:
      - The directory that the service's multilog writes to; an error shows its last lines.
      - With O(log) C(/var/log/) and the name, unless it is given.
    type: path
  directory:
    description:
      - The absolute path of the directory that holds C(run) and perhaps C(log/run).
      - With O(run) C(/var/lib/mailgate/supervise/) and the name, unless it is given; without O(run) the
        directory that the link leads to. When there is no link either, there is nothing to do.
    type: path
  service_directory:
    description: The directory that svscan watches.
    type: path
    default: /service
  record_directory:
    description: Where services record what they start with; it has to be empty after a boot.
    type: path
    default: /run/mailgate/started
  state:
    description:
      - V(started) removes the C(down) file of the service; it runs now and after a boot. One that runs as it
        was before a change is restarted; its log alone, when only that does.
      - V(stopped) makes the C(down) file; it is down now and after a boot. Its log goes on.
      - V(restarted) is V(started), and a process that ran is ended first (TERM), its log's process as well.
      - V(reloaded) is V(started), and a process that ran gets HUP, and has to stay. It counts as having read
        its files again.
      - V(absent) removes the link and ends supervise; the directory is left as it is.
    type: str
    choices: [started, stopped, restarted, reloaded, absent]
    default: started
  enabled:
    description: Whether the link exists. Only a stopped service can be without.
    type: bool
    default: true
  wait:
    description:
      - Whether to wait until that is reached, and to fail when it is not. Without, supervise is told,
        what is to end has ended, and a new service is only linked; a later task with the same O(name) and no
        O(run) waits for it. So several services start beside each other.
    type: bool
    default: true
  stable_seconds:
    description: How long the same process must have been running.
    type: float
    default: 3
  timeout_seconds:
    description: How long all the waiting may take, including the five seconds between two scans of svscan.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Run the service recipients
  mailgate.qmail.daemontools_service:
    name: recipients
    user: recipients
    run: |
      exec setuidgid recipients mailgate every 14400 -- mailgate recipients update
    log: {bytes: 1000000, files: 10}

- name: Restart qmail-send when what it reads changed
  mailgate.qmail.daemontools_service:
    name: qmail-send
    notified: true

- name: Remove the SMTP service
  mailgate.qmail.daemontools_service:
    name: qmail-smtpd
    state: absent
"""

RETURN = r"""
status:
  description: What svstat prints of the service after its name.
  returned: always
  type: str
  sample: up (pid 4711) 3 seconds
pid:
  description: The process id of the service, 0 when it is down.
  returned: always
  type: int
  sample: 4711
process_started:
  description: Whether a process of the service was started, or would be; one of its log does not count.
  returned: always
  type: bool
  sample: false
uptime_seconds:
  description: How long that process has lived, 0 when it is down.
  returned: always
  type: int
  sample: 3
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import daemontools_service


def main():
    module = AnsibleModule(
        argument_spec=daemontools_service.argument_spec(),
        required_by=daemontools_service.REQUIRED_BY,
        supports_check_mode=True,
    )
    daemontools_service.run(module)


if __name__ == "__main__":
    main()
