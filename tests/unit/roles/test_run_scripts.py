# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run scripts of all roles: no account, no service, and never root in its place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.mailgate.qmail.plugins.filter.needs_accounts import needs_accounts

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = sorted(ROOT.glob("roles/*/templates/**/run.j2"))
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
    *("install", "chown", "chmod", "mkdir", "rm", "cat", "sh"),
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


class Anything(jinja2.Undefined):
    """Stands for each variable of a role: a script's shape does not depend on them."""

    def __str__(self) -> str:
        return "value"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Any:
        return iter(())

    def __getitem__(self, _key: object) -> Any:
        return self

    def __bool__(self) -> bool:
        return True


class Filters(dict):  # type: ignore[type-arg]
    """Jinja's, ours, and for any other the value as it is."""

    def __missing__(self, _name: str) -> Any:
        return lambda value, *_words, **_more: value

    def get(self, name: str, _other: object = None) -> Any:
        return self[name]

    def __contains__(self, _name: object) -> bool:
        return True


def rendered(path: Path) -> str:
    environment = jinja2.Environment(undefined=Anything, trim_blocks=True, keep_trailing_newline=True)
    environment.filters = Filters({"join": lambda value, _by="": str(value)})
    environment.filters["mailgate.qmail.needs_accounts"] = lambda service, accounts: needs_accounts(
        service, [str(name) for name in accounts]
    )
    return environment.from_string(path.read_text()).render(_spamassassin_client="simscan")


def service_of(path: Path) -> str:
    parts = path.parent.parts
    return f"{parts[-2]}/log" if parts[-1] == "log" else parts[-1]


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
    (commands / "sleep").write_text(f'#!/bin/sh\necho "sleep $*" >>{calls}\n')
    for path in commands.iterdir():
        path.chmod(0o755)
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", "-c", script],
        env={"PATH": str(commands)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, calls.read_text().replace(f"{commands}/", "")


CHECKED = [path for path in SCRIPTS if service_of(path) not in ROOTS_OWN]


def test_there_are_scripts_and_those_of_root_are_known() -> None:
    assert len(SCRIPTS) > 20
    assert {service_of(path) for path in SCRIPTS} > ROOTS_OWN
    for path in SCRIPTS:
        if service_of(path) in ROOTS_OWN:
            assert accounts_of(rendered(path)) == [], path


@pytest.mark.parametrize("path", CHECKED, ids=service_of)
def test_a_script_looks_for_each_account_before_anything_else(path: Path, tmp_path: Path) -> None:
    script = rendered(path)
    accounts = accounts_of(script)
    checked = re.findall(r"^for account in (.*); do$", script, re.MULTILINE)
    assert len(checked) == 1
    assert set(checked[0].split()) >= set(accounts)
    assert "$(id" not in script.split("\ndone\n", 1)[1]
    for account in checked[0].split():
        place = tmp_path / account
        place.mkdir()
        status, said, calls = start(script, place, account, STATES["missing"])
        assert (status, calls) == (111, "sleep 5\n")
        assert said == (
            f"{service_of(path)}: the account {account} is missing, is root, or has no group"
            " (uid '', gid ''): refusing to run; run the playbook again\n"
        )


QMAIL_SMTPD = next(path for path in CHECKED if service_of(path) == "qmail-smtpd")


@pytest.mark.parametrize("state", STATES)
def test_no_account_that_is_none_is_taken(state: str, tmp_path: Path) -> None:
    status, said, calls = start(rendered(QMAIL_SMTPD), tmp_path, "qmaild", STATES[state])
    assert (status, calls, said.count("\n")) == (111, "sleep 5\n", 1)
    assert said.startswith("qmail-smtpd: the account qmaild is missing, is root, or has no group (uid '")


def test_tcpserver_gets_the_ids_of_its_account(tmp_path: Path) -> None:
    (tmp_path / "rcpthosts").write_text("example.test\n")
    script = rendered(QMAIL_SMTPD).replace("/var/qmail/control/rcpthosts", str(tmp_path / "rcpthosts"))
    status, said, calls = start(script, tmp_path, "qmaild", ("echo 7791", "echo 2108", 0))
    assert (status, said) == (0, "")
    assert re.search(r"tcpserver .*-u 7791 -g 2108 0 25 ", calls)
