# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_removal
short_description: Ends the services of a gateway, and removes what this collection made
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - V(stopped) ends the services, those through which mail comes and their sessions first, and removes their
    links. It refuses while messages wait in the queue; when it fails, the services run again.
  - V(absent) removes files and directories of a gateway whose services have ended. What only this host knows
    stays, and so do the accounts that own it, unless O(data) is set.
  - What belongs to an installed package, and packages themselves, stay. So does svscan while it runs a
    service of somebody else.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  state:
    description: What is done.
    type: str
    choices: [stopped, absent]
    required: true
  data:
    description:
      - Remove also the queue, the logs, the operators' entries, the greylist, the recipients, the statistics,
        what SpamAssassin learned, the certificates, and the accounts.
    type: bool
    default: false
  queued:
    description:
      - Go on although messages wait in the queue; with O(data) they are lost.
      - Without it, V(absent) with O(data) removes the queue last, and fails when a message came meanwhile.
    type: bool
    default: false
  other_accounts:
    description:
      - Names of users and groups that were somebody else's before the gateway used them. They stay, and so do
        the processes of these users.
    type: list
    elements: str
    default: []
  prefix:
    description: Where C(etc) and the others are, for a system other than the running one.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: End the services
  mailgate.qmail.gateway_removal:
    state: stopped

- name: Remove what the collection made, and keep what only this host knows
  mailgate.qmail.gateway_removal:
    state: absent
"""

RETURN = r"""
removed:
  description: What was removed, or would be; a directory stands for all below it.
  returned: always
  type: list
  elements: str
kept:
  description: Data that stay.
  returned: always
  type: list
  elements: str
left:
  description: What stays because it belongs to a package.
  returned: always
  type: list
  elements: str
others:
  description: Services below C(/service) that are not the gateway's.
  returned: always
  type: list
  elements: str
"""

import contextlib
import os
import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import (
    qmail_queue,
    supervise,
    tmpfs,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import busy, removal, svscan

END_SECONDS = 300  # qmail-send waits for its deliveries
LOCK_SECONDS = 120
QUEUE_SECONDS = 60


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def processes(root=""):
    """Return (pid, name, real user id) of each process."""
    found = []
    for name in os.listdir(f"{root}/proc") if os.path.isdir(f"{root}/proc") else []:
        if not name.isdigit():
            continue
        try:
            fields = dict(line.split(":\t", 1) for line in read(f"{root}/proc/{name}/status").splitlines())
            found.append((int(name), fields["Name"].strip(), int(fields["Uid"].split()[0])))
        except (OSError, ValueError, KeyError):  # it has ended
            continue
    return found


def end_processes(uids):
    """End what sessions and deliveries have left, and return the ids of those that did not end."""
    for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        deadline = time.monotonic() + seconds
        while True:
            left = [pid for pid, dummy, uid in processes() if uid in uids]
            if not left:
                return []
            if time.monotonic() > deadline:
                break
            for pid in left:
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    continue
            time.sleep(0.2)
    return left


def end_sessions(module):
    """End the sessions, which outlive the listeners: clients come again with what was not accepted yet."""
    if not module.params["prefix"]:
        left = end_processes(our_uids("", module.params["other_accounts"], removal.SESSION_USERS))
        if left:
            raise BadInput(
                f"sessions: processes {left} did not end; expected none before the queue is counted"
            )


def our_uids(prefix, others, names=removal.USERS):
    """Return the numbers of users of ours; others are names of users that were somebody else's."""
    rows = [line.split(":") for line in read(f"{prefix}/etc/passwd").splitlines()]
    numbers = {row[0]: int(row[2]) for row in rows if len(row) == 7 and row[2].isdigit()}
    spared = {0, *(numbers[name] for name in others if name in numbers)}
    return {numbers[name] for name in names if name in numbers} - spared


def queued(prefix):
    directory = prefix + paths.QMAIL_QUEUE
    return sum(1 for dummy in qmail_queue.unfinished(directory)) if os.path.isdir(f"{directory}/mess") else 0


def refuse_queued(number):
    raise BadInput(
        f"queue {paths.QMAIL_QUEUE}: {number} messages wait; expected none, or gateway_remove_queued: true. "
        "'qmailctl pause' takes no more mail, and 'qmailctl doqueue' tries all of them now"
    )


def end_listeners(places):
    """End the services through which mail comes, and wait until they are down; raises MailgateError."""
    for place in places:
        supervise.tell(place, b"d")
    deadline = time.monotonic() + END_SECONDS
    while any((status := supervise.look(place).status) and status.pid for place in places):
        if time.monotonic() > deadline:
            raise BadInput(f"services {', '.join(places)}: did not end; expected them down")
        time.sleep(0.2)


def runs(link, place):
    """Return whether the service shall run again when the removal fails."""
    service = supervise.look(place)
    if service.status is None:
        return False
    if service.status.want == "down":  # by an operator, or by a run that broke off
        return removal.set_aside(link) == link and service.normally_up
    return bool(service.status.pid or service.status.want == "up")


def start_again(prefix, places, ran):
    """Undo what stop has done; svscan starts again what has a link and no supervise."""
    for one, place in places.items():
        aside = prefix + removal.set_aside(one)
        with contextlib.suppress(OSError):
            os.rename(aside, f"{prefix}{os.path.dirname(one)}/{removal.service_name(one)}")
        for told in (place, os.path.join(place, "log")) if one in ran else ():
            with contextlib.suppress(MailgateError, OSError):
                if supervise.look(told).status is not None:
                    supervise.tell(told, b"u")


def stop(module, services, allowed):
    """End the services, and remove their links; when that fails, they run again.

    Raises MailgateError, OSError.
    """
    prefix = module.params["prefix"]
    places = {one: os.path.realpath(prefix + one) for one in services}
    ran = [one for one, place in places.items() if runs(one, place)]
    supervised = {one: place for one, place in places.items() if supervise.look(place).status is not None}
    try:
        end_listeners(
            [place for one, place in supervised.items() if removal.service_name(one) in removal.LISTENERS]
        )
        end_sessions(module)
        # What was accepted is in the queue now.
        number = queued(prefix)
        if number and not allowed:
            refuse_queued(number)
        for one, place in places.items():
            # svscan would start supervise again; without any link the next run would not find it.
            os.rename(prefix + one, prefix + removal.set_aside(one))
            svscan.Steward(removal.service_name(one), "", 0, END_SECONDS).retire(place)
    except BaseException:
        start_again(prefix, places, ran)
        raise
    for aside in {removal.set_aside(one) for one in services}:
        os.unlink(prefix + aside)
    if not prefix:
        end_processes(our_uids(prefix, module.params["other_accounts"]))


def refuse_late_mail(prefix):
    """Raise BadInput while a message is queued, or when one waits: programs of this host need no listener."""
    deadline = time.monotonic() + QUEUE_SECONDS
    while any(name == "qmail-queue" for dummy, name, dummy_uid in processes(prefix)):
        if time.monotonic() > deadline:
            raise BadInput("qmail-queue: takes a message; expected none, or gateway_remove_queued: true")
        time.sleep(0.2)
    number = queued(prefix)
    if number:
        raise BadInput(
            f"queue {paths.QMAIL_QUEUE}: {number} messages came meanwhile, and stay; expected none, or "
            "gateway_remove_queued: true. Set the gateway up again, and it delivers them"
        )


def take_away(prefix, keep_mail, judge):
    """Remove what a judgement says; keep_mail: the queue goes last, and only without messages.

    judge takes further paths that stay. Raises BadInput, OSError.
    """
    if judge(()).removed:
        removal.note_services(prefix)  # for a later run, also after one that broke off
    if keep_mail:
        # Programs that queue are gone then.
        removal.remove(prefix, judge([paths.QMAIL_QUEUE]).removed)
        refuse_late_mail(prefix)
    removal.remove(prefix, judge(()).removed)


def end_svscan(module):
    """End svscan where systemd runs it; elsewhere it belongs to whoever started the container."""
    if os.path.exists(removal.SVSCAN_UNIT) and os.path.isdir("/run/systemd/system"):
        argv = ["systemctl", "disable", "--now", "svscan.service"]
        status, out, err = module.run_command(argv)
        if status != 0:
            raise BadInput(f"{' '.join(argv)!r} ended with {status}; expected 0: {(out + err).strip()}")


def packaged(module, there):
    """Return those of the paths that belong to a package; raises BadInput when that cannot be known."""
    status, said, err = module.run_command(["dpkg-query", "-S", *there], environ_update={"LC_ALL": "C"})
    if status not in (0, 1):  # 1: at least one of them belongs to none
        raise BadInput(f"'dpkg-query -S' ended with {status}; expected 0 or 1: {err.strip()}")
    return removal.owners(said) & set(there)


def remove_accounts(module, users, groups):
    prefix = module.params["prefix"]
    options = ["--prefix", prefix] if prefix else []
    for program, names, place in (("userdel", users, "passwd"), ("groupdel", groups, "group")):
        for name in names:
            rows = read(f"{prefix}/etc/{place}").splitlines()
            if not any(row.startswith(f"{name}:") for row in rows):
                continue  # userdel takes the group of the same name along
            argv = [program, *options, name]
            done = busy.run_when_free(
                lambda argv=argv: module.run_command(argv, environ_update=busy.ENGLISH),
                busy.ACCOUNTS_LOCKED,
                LOCK_SECONDS,
            )
            if done.status != 0:
                said = (done.err + done.out).strip()
                raise BadInput(f"{' '.join(argv)!r} ended with {done.status}; expected 0: {said}")


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["stopped", "absent"], "required": True},
            "data": {"type": "bool", "default": False},
            "queued": {"type": "bool", "default": False},
            "other_accounts": {"type": "list", "elements": "str", "default": []},
            "prefix": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    prefix = given["prefix"]
    users, groups, gone = [], [], []
    try:
        candidates = removal.candidates(prefix)
        owned = packaged(module, candidates) if candidates and not prefix else set()
        svscan_runs = any(name == "svscan" for dummy, name, dummy_uid in processes(prefix))
        mounted = tmpfs.mount_points(read("/proc/self/mounts"))

        def judge(more):
            return removal.judge(prefix, given["data"], {*owned, *more}, svscan_runs, mounted)

        found = judge(())
        if given["state"] == "stopped":
            number = queued(prefix)
            if number and not given["queued"] and (found.services or given["data"]):
                refuse_queued(number)
            gone = list(found.services)
            if gone and not module.check_mode:
                stop(module, found.services, given["queued"])
            if not (found.others or module.check_mode or prefix):
                end_svscan(module)
        else:
            gone = list(found.removed)
            if found.services and not module.check_mode:
                there = ", ".join(found.services)
                raise BadInput(f"services {there}: are there; expected state=stopped first")
            if given["data"]:
                passwd, group = read(f"{prefix}/etc/passwd"), read(f"{prefix}/etc/group")
                users, groups = removal.accounts_to_remove(passwd, group, owned, given["other_accounts"])
                if not (given["queued"] or found.services):  # which are only there in check mode
                    refuse_late_mail(prefix)
            if not module.check_mode:
                take_away(prefix, given["data"] and not given["queued"], judge)
                remove_accounts(module, users, groups)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), removed=[], kept=[], left=[], others=[])
    gone += [f"user {name}" for name in users] + [f"group {name}" for name in groups]
    module.exit_json(
        changed=bool(gone),
        removed=gone,
        kept=list(found.kept),
        left=list(found.left),
        others=list(found.others),
        diff={"before": "".join(f"{one}\n" for one in gone), "after": ""},
    )


if __name__ == "__main__":
    main()
