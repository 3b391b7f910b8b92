# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deb_packages module with programs of the test: locks that another program holds are waited for."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import busy
from ansible_collections.mailgate.qmail.plugins.modules import deb_packages
from support.module_runner import run_module

# What apt-get of Debian 12 says, word by word.
LOCKS = [
    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n"
    "N: Be aware that removing the lock file is not a solution and may break your system.\n"
    "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)\n"
    "E: Unable to lock directory /var/lib/apt/lists/",
    "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 4711 (apt-get)\n"
    "E: Unable to lock directory /var/cache/apt/archives/",
    "E: Could not get lock /var/lib/dpkg/lock. It is held by process 4711 (dpkg)\n"
    "E: Unable to lock the administration directory (/var/lib/dpkg/), is another process using it?",
    "dpkg: error: dpkg frontend lock was locked by another process with pid 4711",
    "dpkg: error: dpkg database lock was locked by another process with pid 4711\n"
    "E: Sub-process /usr/bin/dpkg returned an error code (2)",
    "debconf: DbDriver config: /var/cache/debconf/config.dat is locked by another process\n"
    "E: Sub-process /usr/bin/dpkg returned an error code (1)",
]
APT = """#!/bin/sh
[ "$LC_ALL,$LANGUAGE" = C.UTF-8,C ] || exit 9 # it would say that it waits in the host's language
echo "$*" >>{calls}
case "$1" in {when})
  count=$(wc -l <{tries}); echo x >>{tries}
  if [ "$count" -lt {failures} ]; then printf '%s\\n' "{text}" >&2; exit 100; fi;;
esac
[ "$1" = install ] && echo yes >{installed}
exit 0
"""
QUERY = """#!/bin/sh
[ -e {installed} ] && echo 'freecdb installed'
exit 0
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(busy, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(deb_packages, "LISTS", str(tmp_path / "lists"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "tries").touch()
    return tmp_path


def install(root: Path, text: str, failures: int, when: str = "install", **more: Any) -> dict[str, Any]:
    names = {name: root / name for name in ("calls", "tries", "installed")}
    for name, script in (("apt-get", APT), ("dpkg-query", QUERY)):
        path = root / "bin" / name
        path.write_text(script.format(text=text, failures=failures, when=when, **names))
        path.chmod(0o755)
    path_variable = f"{root / 'bin'}:{os.environ['PATH']}"
    return run_module("deb_packages", {"name": ["freecdb"], **more}, environment={"PATH": path_variable})


@pytest.mark.parametrize("when", ["update", "install"])
@pytest.mark.parametrize("text", LOCKS)
def test_a_lock_that_another_program_holds_is_waited_for(programs: Path, text: str, when: str) -> None:
    done = install(programs, text, 3, when)
    assert (done["failed"], done["changed"], done["installed"]) == (False, True, ["freecdb"])
    calls = (programs / "calls").read_text().split("\n")
    assert sum(call.startswith(when) for call in calls) == 4
    (said,) = map(str, done["warnings"])
    assert "waited" in said and "for another program" in said and ("4711" in said or "lock" in said)


def test_a_lock_is_not_waited_for_without_end(programs: Path) -> None:
    begin = time.monotonic()
    done = install(programs, LOCKS[0], 10_000, lock_seconds=1)
    assert 0.9 < time.monotonic() - begin < 10
    assert done["failed"] and "Could not get lock" in done["msg"] and len(done["warnings"]) == 1


def test_another_failure_is_told_at_once(programs: Path) -> None:
    begin = time.monotonic()
    done = install(programs, "E: Unable to locate package freecdb", 1)
    assert time.monotonic() - begin < 5
    assert done["failed"] and "Unable to locate" in done["msg"] and not done.get("warnings")


def test_without_a_lock_nothing_is_said(programs: Path) -> None:
    assert not install(programs, "", 0).get("warnings")


# apt that knows what its settings name alone.
APT_OF_A_BUNDLE = """#!/bin/sh
[ "$1" = -c ] || exit 9
place=$(sed -n 's/^Dir::Etc::SourceList "\\(.*\\)";$/\\1/p' "$2")
repository=$(sed -n 's/^deb .trusted=yes. file:\\(.*\\) .\\/$/\\1/p' "$place")
grep -q '^Package: freecdb$' "$repository/Packages" || exit 9
case "$3 $4" in
  "-s -y") echo "Inst libhello (1 x)"; echo "Inst freecdb (1 x)";;
  "install -q") cat "$repository/freecdb_1_all.deb" >{installed} || exit 100;;
esac
"""
INDEX = "".join(
    f"Package: {name}\nVersion: 1\nFilename: ./{name}_1_all.deb\nSHA256: aa\n\n"
    for name in ("freecdb", "libhello")
)


def test_packages_of_a_bundle_are_planned_sent_and_installed(programs: Path) -> None:
    for name, script in (("apt-get", APT_OF_A_BUNDLE), ("dpkg-query", QUERY)):
        path = programs / "bin" / name
        path.write_text(script.replace("{installed}", str(programs / "installed")))
        path.chmod(0o755)
    index, archive = programs / "index", programs / "packages.tar"
    index.write_text(INDEX)
    environment = {"PATH": f"{programs / 'bin'}:{os.environ['PATH']}"}

    def run(phase: str, **transfer: str) -> dict[str, Any]:
        given = {"name": ["freecdb"], "phase": phase, "transfer": transfer}
        return run_module("deb_packages", given, environment=environment)

    assert run("missing")["installed"] == ["freecdb"]
    planned = run("plan", index=str(index))
    assert planned["files"] == ["libhello_1_all.deb", "freecdb_1_all.deb"], planned
    (programs / "freecdb_1_all.deb").write_text("deb")
    with tarfile.open(archive, "w") as packed:
        packed.add(programs / "freecdb_1_all.deb", "../../freecdb_1_all.deb")
    done = run("install", index=str(index), archive=str(archive))
    assert (done["failed"], done["changed"]) == (False, True), done
    assert (programs / "installed").read_text() == "deb"
    index.write_text(INDEX.replace("Package: libhello", "Package: other"))
    (programs / "installed").unlink()
    assert "has no package 'libhello'" in run("plan", index=str(index))["msg"]
