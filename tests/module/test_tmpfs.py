# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tmpfs mounts for real, in a mount namespace that this test has for itself."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module

CLONE_NEWNS = 0x20000
SIZE = 4 << 20


def apart(work: Callable[[], None]) -> None:
    """Run work in a process with mounts of its own; skip where that is not permitted."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            private = ["mount", "--make-rprivate", "/"]
            if libc.unshare(CLONE_NEWNS) != 0 or subprocess.run(private, check=False).returncode != 0:
                status = 77
            else:
                work()
                status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 77:
        pytest.skip("mounts of its own take root with every capability")
    assert status == 0


def defaults(root: Path) -> dict[str, Any]:
    arguments = {"path": f"{root}/work", "fstab": f"{root}/fstab", "size_bytes": SIZE}
    return arguments | {"largest_message_bytes": 1000, "sessions": 2, "owner": "nobody", "group": "nogroup"}


def call(root: Path, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module("tmpfs", {**defaults(root), **more}, check)


def state(root: Path) -> tuple[str, str, str]:
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {root}/work " in line]
    fstab = root / "fstab"
    work = root / "work"
    return (
        "\n".join(mounts),
        fstab.read_text() if fstab.exists() else "",
        f"{work.stat().st_uid} {work.stat().st_mode:o}" if work.exists() else "",
    )


@pytest.mark.parametrize("busy", [False, True])
def test_a_mount_is_undone(tmp_path: Path, busy: bool) -> None:
    """With its line in fstab, and though somebody has a file there; what others mounted stays."""

    def work() -> None:
        other = "tmpfs /other tmpfs size=1 0 0\n# a comment\n"
        (tmp_path / "fstab").write_text(other)
        assert call(tmp_path, state="absent")["changed"] is False
        call(tmp_path)
        assert "tmpfs" in state(tmp_path)[0]
        held = open(tmp_path / "work/held", "w") if busy else None  # noqa: SIM115
        before = state(tmp_path)
        predicted = call(tmp_path, check=True, state="absent")
        assert state(tmp_path) == before
        done = call(tmp_path, state="absent")
        assert (
            predicted["changed_paths"] == done["changed_paths"] == [f"{tmp_path}/work", f"{tmp_path}/fstab"]
        )
        assert predicted["diff"] == done["diff"]
        assert state(tmp_path)[:2] == ("", other)
        assert (tmp_path / "work").is_dir()
        assert call(tmp_path, state="absent")["changed"] is False
        if held:
            held.close()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "work")], check=True)
        assert call(tmp_path, state="absent")["changed"] is False
        assert "tmpfs" in state(tmp_path)[0]

    apart(work)


def test_contract(tmp_path: Path) -> None:
    """Check mode changes nothing and says what the run does; the second run changes nothing."""

    def work() -> None:
        (tmp_path / "fstab").write_text("/dev/sda1 / ext4 rw 0 1\n")
        for more in ({}, {"size_bytes": 2 * SIZE}, {"mode": "0700"}, {"owner": "root"}):
            before = state(tmp_path)
            predicted = call(tmp_path, check=True, **more)
            assert predicted["changed"] and state(tmp_path) == before, (more, predicted)
            done = call(tmp_path, **more)
            assert done["changed"] and done["diff"] == predicted["diff"], (more, done)
            assert done["changed_paths"] == predicted["changed_paths"]
            for check in (False, True):
                assert not call(tmp_path, check=check, **more)["changed"], more

    apart(work)


def test_it_is_mounted_as_fstab_says(tmp_path: Path) -> None:
    def work() -> None:
        done = call(tmp_path)
        mount, fstab, dummy = state(tmp_path)
        assert done["brought"] is False and done["size_bytes"] == SIZE
        assert " tmpfs rw,nosuid,nodev,noexec," in mount and "size=4096k" in mount
        subprocess.run(["umount", f"{tmp_path}/work"], check=True)
        subprocess.run(["mount", "--fstab", f"{tmp_path}/fstab", f"{tmp_path}/work"], check=True)
        assert state(tmp_path)[0] == mount
        assert fstab == (
            f"tmpfs {tmp_path}/work tmpfs "
            "size=4194304,mode=0750,uid=65534,gid=65534,nosuid,nodev,noexec 0 0\n"
        )
        assert not call(tmp_path)["changed"]

    apart(work)


def test_a_file_system_of_another_kind_is_refused(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path / "work").mkdir()
        subprocess.run(["mount", "--bind", "/proc", f"{tmp_path}/work"], check=True)
        done = call(tmp_path)
        assert done["failed"] and "of type 'proc'; expected 'tmpfs'" in done["msg"], done
        assert state(tmp_path)[1] == ""

    apart(work)


def without_capabilities(root: Path, check: bool = False, **more: Any) -> dict[str, Any]:
    """Run the module as in a container: as root without the capabilities that mounting needs."""
    code = (
        "import json, sys; sys.path[:0] = json.loads(sys.argv[1]); "
        "from support.module_runner import run_module; "
        "print(json.dumps(run_module('tmpfs', json.loads(sys.argv[2]), sys.argv[3] == '1')))"
    )

    argv = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-c", code]
    argv += [json.dumps(sys.path), json.dumps({**defaults(root), **more}), str(int(check))]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_where_nothing_can_be_mounted_what_was_brought_is_checked(tmp_path: Path) -> None:
    def work() -> None:
        wrong = without_capabilities(tmp_path)
        assert wrong["failed"] and "nothing is mounted there and this host may not mount" in wrong["msg"], (
            wrong
        )
        (tmp_path / "work").mkdir()
        place = f"{tmp_path}/work"
        mount = ["mount", "-t", "tmpfs", "-o"]
        subprocess.run([*mount, "size=8m,nosuid,nodev", "tmpfs", place], check=True)
        wrong = without_capabilities(tmp_path)
        assert wrong["failed"] and "it lacks noexec; expected" in wrong["msg"], wrong
        subprocess.run(["mount", "-o", "remount,noexec,size=8m", place], check=True)
        wrong = without_capabilities(tmp_path, largest_message_bytes=3 << 20)
        assert wrong["failed"] and "it has 8388608 bytes; expected at least 9437184" in wrong["msg"], wrong
        predicted = without_capabilities(tmp_path, check=True)
        done = without_capabilities(tmp_path)
        assert done["changed"] and done["brought"] and done["diff"] == predicted["diff"], done
        assert not without_capabilities(tmp_path)["changed"]
        assert state(tmp_path)[1:] == ("", "65534 40750")

    apart(work)
