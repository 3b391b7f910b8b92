# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module daemontools_service does: a service under svscan and supervise."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

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
    if not given["wait"] and supervise.look(directory).status is None:
        return []  # svscan starts it, unless it is to be down
    reads = restarts.hashes_to_read(watched[0][1])
    warnings = []
    steward.order([path for path, _record in watched], wishes, given["wait"])
    if wishes[0] == "reloaded":
        try:
            restarts.renew(watched[0][1], reads)
        except OSError as error:
            warnings.append(
                f"service {given['name']} in {directory}: that it has read its files again could not be "
                f"recorded, {error}; the next run tells it to once more"
            )
    for path, record in watched if given["wait"] else []:
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


REQUIRED_BY = dict.fromkeys(("user", "code", "log"), ("run",))


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    texts = {"type": "list", "elements": "str", "default": []}
    log = {
        "bytes": {"type": "int", "required": True},
        "files": {"type": "int", "required": True},
        "select": texts,
        "user": {"type": "str", "default": "qmaill"},
        "group": {"type": "str", "default": "mailgate-log"},
    }
    return {
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
        "wait": {"type": "bool", "default": True},
        "stable_seconds": {"type": "float", "default": 3},
        "timeout_seconds": {"type": "float", "default": 30},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    given = module.params
    read_at_start = {*given["reads"], *given["programs"]}
    given["notified"] |= not read_at_start.isdisjoint(getattr(module, "changed_before", ()))
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
            if differs and watched and given["wait"]:  # else it may start until then
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
