# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module tmpfs does: a mounted tmpfs, with its line in fstab."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.files import atomic_write
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tmpfs


def read(path):
    """Return the file's text, "" when it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def number(module, name, look_up):
    """Return the id of a user or a group; in check mode the name itself when it does not exist yet."""
    if name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError as error:
        if module.check_mode:
            return name
        path = module.params["path"]
        raise BadInput(f"path {path}: {name!r} does not exist; expected a known name") from error


class Plan:
    """The steps to take, in order: (what changes, its diff, the action)."""

    def __init__(self):
        self.steps = []

    def add(self, path, before, after, action):
        diff = {"before_header": path, "after_header": path, "before": before, "after": after}
        self.steps.append((path, diff, action))


def write_fstab(fstab, text):
    mode = stat.S_IMODE(os.stat(fstab).st_mode) if os.path.exists(fstab) else 0o644
    with atomic_write(fstab, mode, 0, 0) as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))


def plan(module, size_bytes, brought, mount):
    """Return the steps from the present state to the wanted one."""
    given = module.params
    path, mode = given["path"], int(given["mode"], 8)
    uid = number(module, given["owner"], lambda name: pwd.getpwnam(name).pw_uid)
    gid = number(module, given["group"], lambda name: grp.getgrnam(name).gr_gid)
    wanted = tmpfs.options(size_bytes, mode, uid, gid)
    steps = Plan()

    def run(*argv):
        status, out, err = module.run_command(list(argv))
        if status != 0:
            raise BadInput(
                f"path {path}: {argv!r} ended with {status}; expected 0; its output: {(out + err).strip()}"
            )

    if not brought:
        fstab = given["fstab"]
        before = read(fstab)
        after = tmpfs.fstab_with(before, path, wanted)
        if after != before:
            steps.add(fstab, before, after, lambda: write_fstab(fstab, after))
        if mount is None:

            def mount_it():
                os.makedirs(path, exist_ok=True)
                run("mount", "-t", "tmpfs", "-o", wanted, "tmpfs", path)

            steps.add(path, "", f"tmpfs {wanted}\n", mount_it)
            return steps
        if mount.size_bytes != size_bytes or not set(tmpfs.FLAGS) <= set(mount.options):
            flags = ",".join((f"size={size_bytes}", *tmpfs.FLAGS))
            now = ",".join(mount.options)
            steps.add(
                path,
                f"tmpfs {now}\n",
                f"tmpfs {flags}\n",
                lambda: run("mount", "-o", f"remount,{flags}", path),
            )
    now = os.stat(path)
    if (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) != (uid, gid, mode):

        def own():
            os.chown(path, uid, gid)
            os.chmod(path, mode)

        before = f"owner {now.st_uid} group {now.st_gid} mode {stat.S_IMODE(now.st_mode):04o}\n"
        steps.add(path, before, f"owner {uid} group {gid} mode {mode:04o}\n", own)
    return steps


def plan_absent(module, mount):
    """Return the steps that undo a mount of this module, which has a line in fstab."""
    path, fstab = module.params["path"], module.params["fstab"]
    before = read(fstab)
    after = tmpfs.fstab_without(before, path)
    steps = Plan()
    if before == after:
        return steps

    def unmount():
        # While sessions have files there it is only detached, and is gone with the last of them.
        for argv in (["umount", path], ["umount", "--lazy", path]):
            status, out, err = module.run_command(argv)
            if status == 0:
                return
        raise BadInput(
            f"path {path}: {argv!r} ended with {status}; expected 0; its output: {(out + err).strip()}"
        )

    if mount is not None and mount.kind == "tmpfs":
        steps.add(path, f"tmpfs {','.join(mount.options)}\n", "", unmount)
    steps.add(fstab, before, after, lambda: write_fstab(fstab, after))
    return steps


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "state": {"type": "str", "choices": ["mounted", "absent"], "default": "mounted"},
        "path": {"type": "path", "required": True},
        "size_bytes": {"type": "int", "default": 0},
        "largest_message_bytes": {"type": "int", "required": True},
        "sessions": {"type": "int", "required": True},
        "session_bytes": {"type": "int", "default": 0},
        "share_percent": {"type": "int", "default": 100},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "default": "0750"},
        "fstab": {"type": "path", "default": "/etc/fstab"},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    given = module.params
    path, largest = given["path"], given["largest_message_bytes"]
    done = []
    try:
        if re.fullmatch("0[0-7]{3}", given["mode"]) is None:
            raise BadInput(f"mode: {given['mode']!r} is not octal; expected four digits such as '0750'")
        memory = tmpfs.memory_bytes(read("/proc/meminfo"))
        share = (given["session_bytes"], given["share_percent"])
        if not 1 <= given["share_percent"] <= 100:
            raise BadInput(
                f"share_percent: {given['share_percent']!r} is not a percentage; expected 1 to 100"
            )
        size_bytes = given["size_bytes"] or tmpfs.needed_bytes(largest, given["sessions"], memory, *share)
        mount = tmpfs.mounted_at(path, read("/proc/self/mounts"))
        brought = not tmpfs.may_mount(read("/proc/self/status"))
        absent = given["state"] == "absent"
        if brought and mount is None and not absent:
            raise BadInput(
                f"path {path}: nothing is mounted there and this host may not mount; expected a tmpfs from "
                f"whoever starts this container (--tmpfs {path}:nosuid,nodev,noexec,size={size_bytes}), "
                "or the choice of a plain directory"
            )
        wrong = tmpfs.faults(mount, tmpfs.COPIES * largest if brought else 0) if mount else []
        if wrong and (brought or mount.kind != "tmpfs") and not absent:
            raise BadInput(f"path {path}: the file system mounted there is not suitable: {'; '.join(wrong)}")
        if absent:
            steps = [] if brought else plan_absent(module, mount).steps
        else:
            there = (mount.size_bytes or memory // 2) if brought else size_bytes
            try:
                tmpfs.check_share(there, *share)
            except BadInput as error:
                raise BadInput(f"path {path}: {error}") from error
            steps = plan(module, size_bytes, brought, mount).steps
        for what, dummy, action in steps:
            if not module.check_mode:
                action()
            done.append(what)
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=done)
    module.exit_json(
        changed=bool(steps),
        size_bytes=size_bytes,
        brought=brought,
        changed_paths=list(dict.fromkeys(done)),
        diff=[diff for dummy, diff, dummy in steps],
    )
