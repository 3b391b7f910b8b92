# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run scripts of all roles: no account, no service, and never root in its place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.role_services import RECORDS, role_services
from support.role_tasks import ROOT, calls, dictionaries, roles

SERVICES = role_services()
SCRIPTS = {name: script for service in SERVICES for name, script in service.scripts.items()}
ROOTS_OWN = {"operator", "rules", "qmail-send"}  # services that have to be root
TAKES_IDS = r"\b(?:setuidgid|envuidgid|chpst -\S*u|setpriv --reuid|runuser -u|id -[ug]) +(\S+)"
FAKE = """#!/bin/sh
echo "$0 $*" >>{calls}
"""
ID = """#!/bin/sh
case "$1 $2" in
  "-u {account}") {uid} ;;
  "-g {account}") {gid} ;;
  *) echo 1234 ;;
esac
"""
PROGRAMS = (
    *(
        "setuidgid",
        "envuidgid",
        "softlimit",
        "tcpserver",
        "envdir",
        "env",
        "multilog",
        "mailgate",
        "qmail-start",
    ),
    *("setpriv", "install", "chown", "chmod", "rm", "cat", "sh"),
)
MISSING = 'echo "id: no such user" >&2; exit 1'
STATES = {
    "missing": (MISSING, MISSING, 0),
    "root": ("echo 0", "echo 1234", 0),
    "in root's group": ("echo 1234", "echo 0", 0),
    "without a group": ("echo 1234", "echo 1234", 2),
    "silent": ("exit 0", "exit 0", 0),
    "nonsense": ("echo x", "echo 1234", 0),
}


def accounts_of(script: str) -> list[str]:
    """Accounts whose ids the script takes behind its check."""
    found = re.findall(TAKES_IDS, script)
    found += re.findall(r"\bchown +(\w+):", script) + re.findall(r"\binstall .*-o +(\w+)", script)
    return sorted({name.strip('"()') for name in found if not name.startswith(('"$account"',))})


def start(script: str, place: Path, account: str, state: tuple[str, str, int]) -> tuple[int, str, str]:
    """Exit status, what the script says, and the programs that it starts."""
    uid, gid, group = state
    commands = place / "bin"
    commands.mkdir()
    calls = place / "calls"
    calls.touch()
    for name in PROGRAMS:
        (commands / name).write_text(FAKE.format(calls=calls))
    (commands / "id").write_text(ID.format(account=account, uid=uid, gid=gid))
    (commands / "getent").write_text(f"#!/bin/sh\nexit {group}\n")
    for name in ("mkdir", "mv", "sha256sum"):
        (commands / name).symlink_to(shutil.which(name) or name)
    (commands / "sleep").write_text(f'#!/bin/sh\necho "sleep $*" >>{calls}\n')
    for path in commands.iterdir():
        if not path.is_symlink():
            path.chmod(0o755)
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", "-c", script.replace(RECORDS, str(place / "started"))],
        env={"PATH": str(commands)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, calls.read_text().replace(f"{commands}/", "")


CHECKED = [name for name in SCRIPTS if name not in ROOTS_OWN]


def test_there_are_services_and_those_of_root_are_known() -> None:
    assert len(SERVICES) >= 16
    assert set(SCRIPTS) > ROOTS_OWN
    for name in ROOTS_OWN:
        assert accounts_of(SCRIPTS[name]) == [], name


def test_the_size_of_each_log_is_the_sites() -> None:
    for service in SERVICES:
        log = service.given["log"]
        prefix = service.role.name
        assert log["bytes"] == f"{{{{ {prefix}_log_file_bytes }}}}", service.name
        assert log["files"] == f"{{{{ {prefix}_log_files }}}}", service.name


@pytest.mark.parametrize("name", CHECKED)
def test_a_script_looks_for_each_account_before_anything_else(name: str, tmp_path: Path) -> None:
    script = SCRIPTS[name]
    accounts = accounts_of(script)
    checked = re.findall(r"^for account in (.*); do$", script, re.MULTILINE)
    assert len(checked) == 1
    assert accounts or "$uid" in script
    assert set(checked[0].split()) >= set(accounts)
    assert "$(id" not in script.split("\ndone\n", 1)[1]
    for account in checked[0].split():
        place = tmp_path / account
        place.mkdir()
        status, said, calls = start(script, place, account, STATES["missing"])
        assert (status, calls) == (111, "sleep 5\n")
        assert said == (
            f"{name}: the account {account} is missing, is root, or has no group"
            " (uid '', gid ''): refusing to run; run the playbook again\n"
        )


@pytest.mark.parametrize("state", STATES)
def test_no_account_that_is_none_is_taken(state: str, tmp_path: Path) -> None:
    status, said, calls = start(SCRIPTS["qmail-smtpd"], tmp_path, "qmaild", STATES[state])
    assert (status, calls, said.count("\n")) == (111, "sleep 5\n", 1)
    assert said.startswith("qmail-smtpd: the account qmaild is missing, is root, or has no group (uid '")


def test_a_service_that_no_task_waits_for_is_waited_for_before_mail_arrives() -> None:
    waited = {one["name"] for one in calls(ROOT / "roles" / "daemontools", "daemontools_service")}
    begun = {service.name for service in SERVICES if service.given.get("wait") is False}
    assert begun == waited and len(begun) >= 12


def test_who_follows_a_log_has_the_group_that_may_read_it() -> None:
    followers = [name for name in SCRIPTS if re.search(r" --(?:smtp-|send-)?log ", SCRIPTS[name])]
    assert sorted(followers) == ["adaptive-blacklist", "stats"]
    for name in followers:
        assert " --groups mailgate-log " in SCRIPTS[name]
        assert "setuidgid" not in SCRIPTS[name], f"{name}: setuidgid drops the group"


def test_no_role_makes_a_directory_of_logs_that_strangers_read() -> None:
    """Those of services are made by daemontools_service."""
    found = [one for role in roles() for one in dictionaries(role) if "owner" in one and "path" in one]
    found = [one for one in found if str(one["path"]).startswith("/var/log")]
    assert [one["path"] for one in found] == ["/var/log/qmail"]
    assert all((one["group"], one["mode"]) == ("mailgate-log", "0750") for one in found)


def test_tcpserver_gets_the_ids_of_its_account(tmp_path: Path) -> None:
    (tmp_path / "rcpthosts").write_text("example.test\n")
    control = str(tmp_path / "rcpthosts")
    script = SCRIPTS["qmail-smtpd"].replace("/var/qmail/control/rcpthosts", control)
    status, said, calls = start(script, tmp_path, "qmaild", ("echo 7791", "echo 2108", 0))
    assert (status, said) == (0, "")
    assert re.search(r"tcpserver .*-u 7791 -g 2108 value 25 ", calls)
