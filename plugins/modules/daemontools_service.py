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
        wrote nothing, predicts a restart then. A run looks at what is there instead; V(reloaded) then leaves
        a service alone that has read its files as they are, which is for one that was only now started.
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

import contextlib
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    LOGS,
    SERVICE_DEFINITIONS,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import start_record, supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts, svscan
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.run_script import (
    Definition,
    Log,
    log_script,
    run_script,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import (
    Desired,
    Directory,
    Step,
    apply,
    compare,
)

RUNS = ("started", "restarted", "reloaded")


def place(given: dict[str, Any], target: str) -> str:
    """Return the directory of the service; "" when nothing says where it is."""
    linked = os.path.join(given["service_directory"], target) if target else ""
    if given["state"] == "absent":
        return linked or given["directory"] or os.path.join(given["service_directory"], given["name"])
    if given["directory"] or not given["run"]:
        return given["directory"] or linked
    return os.path.join(SERVICE_DEFINITIONS, given["name"])


def scripts(given: dict[str, Any], directory: str) -> dict[str, str]:
    """Return the run scripts that the module writes, by path; raises BadInput."""
    if given["run"] is None or given["state"] == "absent":
        return {}
    accounts = [*given["accounts"], *([given["user"]] if given["user"] else [])]
    definition = Definition(
        given["name"],
        directory,
        given["run"],
        accounts,
        given["reads"],
        given["programs"],
        given["code"] or "",
    )
    made = {f"{directory}/run": run_script(definition, given["record_directory"])}
    if given["log"]:
        keeps = given["log"]
        log = Log(given["log_directory"], keeps["bytes"], keeps["files"], keeps["user"], keeps["select"])
        made[f"{directory}/log/run"] = log_script(definition, log, given["record_directory"])
    return made


def compare_files(given: dict[str, Any], directory: str, wanted: dict[str, str]) -> list[Step]:
    """Return what differs of the scripts and their directories."""
    if not wanted:
        return []
    directories = [Directory(directory)]
    if given["log"]:
        directories.append(Directory(f"{directory}/log"))
        owners = {"owner": given["log"]["user"], "group": given["log"]["group"]}
        # multilog makes its files readable to all: the directory keeps others out.
        directories.append(Directory(given["log_directory"], mode=0o750, **owners))
    files = [
        Desired(path, text.encode("utf-8", "surrogateescape"), mode=0o755) for path, text in wanted.items()
    ]
    return compare(files, directories=directories)


def change(
    given: dict[str, Any],
    link: str,
    target: str,
    watched: list[tuple[str, str]],
    wishes: list[str],
) -> list[str]:
    """Bring the service to its state, and return warnings; raises MailgateError or OSError."""
    directory = watched[0][0]
    steward = svscan.Steward(
        given["name"], given["log_directory"] or "", given["stable_seconds"], given["timeout_seconds"]
    )
    down = os.path.join(directory, "down")
    if given["state"] != "absent" and not os.access(os.path.join(directory, "run"), os.X_OK):
        raise BadInput(f"service {given['name']}: {directory!r} has no run program; expected 'run' in it")
    if given["state"] == "stopped":
        os.close(os.open(down, os.O_WRONLY | os.O_CREAT, 0o644))
    elif given["state"] != "absent" and os.path.lexists(down):
        os.unlink(down)
    if given["state"] == "absent" or not given["enabled"]:
        if target:
            os.unlink(link)
        steward.retire(directory)
        return []
    if not os.path.isdir(given["service_directory"]):
        scanned = given["service_directory"]
        raise BadInput(f"service {given['name']}: {scanned!r} is not a directory; expected that of svscan")
    if target != directory:
        steward.link(link, target, directory)
    reads = restarts.hashes_to_read(watched[0][1])
    warnings = []
    steward.order([path for path, _record in watched], wishes)
    if wishes[0] == "reloaded":
        try:
            restarts.renew(watched[0][1], reads)
        except OSError as error:
            warnings.append(
                f"service {given['name']} in {directory}: that it has read its files again could not be "
                f"recorded, {error}; the next run tells it to once more"
            )
    for path, record in watched:
        left = restarts.look(path, record)
        if left is not None and left.reason == start_record.NOT_RECORDED:
            warnings.append(
                f"service {given['name']} in {path}: it is up, but no record of it is there; expected "
                f"{record}, without which each run restarts it"
            )
    return warnings


def note_order(record: str, begin: float, end: float) -> None:
    """Tell mailgate doctor that what starts meanwhile was told to, and does not flap."""
    with contextlib.suppress(OSError):  # a start is counted then
        restarts.note_order(record, begin, end)


def refuse_bad_input(given: dict[str, Any]) -> None:
    """Raise BadInput for contradictory or invalid arguments, before anything is read."""
    thing = f"service {given['name']!r}"
    if "/" in given["name"] or given["name"].startswith(".") or not given["name"]:
        raise BadInput(f"{thing}: the name is not one that svscan looks at; expected no '/' and no '.' first")
    if given["directory"] and not os.path.isabs(given["directory"]):
        raise BadInput(f"{thing}: directory {given['directory']!r} is not absolute; expected a path from '/'")
    if not given["enabled"] and given["state"] not in ("stopped", "absent"):
        raise BadInput(f"{thing}: state {given['state']!r} without a link cannot be; expected enabled: true")
    if not 0 <= given["stable_seconds"] < given["timeout_seconds"]:
        raise BadInput(
            f"{thing}: stable_seconds {given['stable_seconds']:g} cannot be reached; "
            f"expected less than timeout_seconds, which is {given['timeout_seconds']:g}"
        )


def main() -> None:
    texts = {"type": "list", "elements": "str", "default": []}
    log = {
        "bytes": {"type": "int", "required": True},
        "files": {"type": "int", "required": True},
        "select": texts,
        "user": {"type": "str", "default": "qmaill"},
        "group": {"type": "str", "default": "mailgate-log"},
    }
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "run": {"type": "str"},
            "user": {"type": "str"},
            "accounts": texts,
            "code": {"type": "str"},
            "reads": texts,
            "programs": texts,
            "notified": {"type": "bool", "default": False},
            "log": {"type": "dict", "options": log},
            "log_directory": {"type": "path"},
            "directory": {"type": "path"},
            "service_directory": {"type": "path", "default": "/service"},
            "record_directory": {"type": "path", "default": "/run/mailgate/started"},
            "state": {"type": "str", "choices": [*RUNS, "stopped", "absent"], "default": "started"},
            "enabled": {"type": "bool", "default": True},
            "stable_seconds": {"type": "float", "default": 3},
            "timeout_seconds": {"type": "float", "default": 30},
        },
        required_by=dict.fromkeys(("user", "code", "log"), ("run",)),
        supports_check_mode=True,
    )
    given = module.params
    link = os.path.join(given["service_directory"], given["name"])
    if given["log"]:
        given["log_directory"] = given["log_directory"] or os.path.join(LOGS, given["name"])
    rows: list[supervise.Row] = []
    steps: list[Step] = []
    try:
        refuse_bad_input(given)
        target = svscan.read_link(link)
        directory = place(given, target)
        wanted = scripts(given, directory)
        if directory:
            steps = compare_files(given, directory, wanted)
            watched = restarts.with_log(
                directory, given["name"], given["record_directory"], bool(given["log"])
            )
            owed = [
                restarts.look(path, record, wanted.get(f"{path}/run", "").encode("utf-8", "surrogateescape"))
                for path, record in (watched if given["state"] in RUNS else [])
            ]
            if owed and owed[0] is None and given["notified"] and module.check_mode:
                owed[0] = start_record.Owed("what it starts with changes", reload_does=True)
            owed = owed or [None] * len(watched)
            idle = owed[0] is None and restarts.keeps_record(directory)
            if given["state"] == "reloaded" and given["notified"] and not module.check_mode and idle:
                given["state"] = "started"
            rows = supervise.predict(
                given["state"],
                target,
                directory if given["enabled"] and given["state"] != "absent" else "",
                os.path.lexists(os.path.join(directory, "down")),
                [supervise.look(path) for path, _record in watched],
                owed,
            )
        differs = any(row.before != row.after for row in rows)
        if rows and not module.check_mode:
            begin = time.time()
            if differs and watched:
                note_order(watched[0][1], begin, begin + given["timeout_seconds"])
            apply(steps, None, [])
            for warning in change(given, link, target, watched, supervise.wishes(given["state"], owed)):
                module.warn(warning)
            if differs and watched:
                note_order(watched[0][1], begin, time.time())
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error))
    service, now = supervise.look(directory), time.time_ns()
    status = service.status
    pid = status.pid if status else 0
    state = {
        "before_header": link,
        "after_header": link,
        "before": "".join(f"{row.thing}: {row.before}\n" for row in rows),
        "after": "".join(f"{row.thing}: {row.after}\n" for row in rows),
    }
    module.exit_json(
        changed=differs or bool(steps),
        diff=[*(step.diff for step in steps), *([state] if differs else [])],
        status=supervise.text(service, now),
        pid=pid,
        process_started=any(row.starts for row in rows if row.thing == "service"),
        uptime_seconds=int(status.age_seconds(now)) if status and pid else 0,
    )


if __name__ == "__main__":
    main()
