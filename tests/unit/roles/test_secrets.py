# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords in URLs of proxies and mirrors: the files that hold one are hidden, and only their reader's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from support.role_tasks import calls

ROOT = Path(__file__).resolve().parents[3]
CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("clamav", {}, False),
    ("clamav", {"clamav_private_mirrors": ["http://mirror.example.com"]}, False),
    ("clamav", {"clamav_private_mirrors": ["a.example.com", "http://u:PW@mirror.example.com/x"]}, True),
    ("clamav", {"clamav_database_mirrors": ["https://u:PW@mirror.example.com"]}, True),
    ("clamav", {"clamav_proxy_server": "http://u:PW@proxy.example.com"}, True),
    ("clamav", {"clamav_proxy_server": "proxy.example.com", "clamav_proxy_port": 3128}, False),
    ("clamav", {"clamav_proxy_user": "u", "clamav_proxy_password": "PW"}, True),
    ("clamav", {"clamav_freshclam_settings": {"HTTPProxyPassword": "PW"}}, True),
    ("clamav", {"clamav_freshclam_settings": {"httpproxypassword": "PW"}}, True),
    ("clamav", {"clamav_freshclam_settings": {"DatabaseCustomURL": ["http://u:PW@x/y.ndb"]}}, True),
    ("clamav", {"clamav_freshclam_settings": {"MaxAttempts": 3, "Bytecode": True}}, False),
    ("spamassassin", {}, False),
    ("spamassassin", {"spamassassin_update_proxy": "http://proxy.example.com:3128"}, False),
    ("spamassassin", {"spamassassin_update_proxy": "http://u:PW@proxy.example.com:3128"}, True),
]
SECRET = {"clamav": "_clamav_freshclam_secret", "spamassassin": "_spamassassin_update_secret"}


def loaded(role: str, name: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / role / name).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_password_in_any_of_the_settings_is_seen(tmp_path: Path) -> None:
    """One play, as each takes a second; the expressions are the roles' own."""
    tasks = []
    for number, (role, given, _secret) in enumerate(CASES):
        own = {SECRET[role]: loaded(role, "vars/main.yml")[SECRET[role]]}
        values = {**loaded(role, "defaults/main.yml"), **own, **given}
        text = f"case {number} {{{{ {SECRET[role]} | bool }}}}"
        tasks.append({"ansible.builtin.debug": {"msg": text}, "vars": values})
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "localhost,",
            "-c",
            "local",
            "play.yml",
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = dict(re.findall(r"case ([0-9]+) (True|False)", done.stdout))
    assert {int(number): value == "True" for number, value in said.items()} == {
        number: secret for number, (_role, _given, secret) in enumerate(CASES)
    }, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("role", "tasks", "path"),
    [
        ("clamav", "tasks/configure.yml", "/etc/clamav/freshclam.conf"),
        ("spamassassin", "tasks/configure.yml", "/etc/mailgate/sa-update.json"),
    ],
)
def test_the_file_that_holds_it_is_hidden_and_its_readers_alone(role: str, tasks: str, path: str) -> None:
    name = SECRET[role]
    for task in loaded(role, tasks):
        files = task.get("mailgate.qmail.files", {}).get("files")
        for file in files if isinstance(files, list) else []:
            if file["path"] == path:
                assert task["no_log"] == f"{{{{ {name} | bool }}}}"
                assert re.fullmatch(rf"\{{\{{ '0400' if {name} \| bool else '0[46]44' \}}\}}", file["mode"])
                assert file["owner"] != "root"
                return
    raise AssertionError(f"{path} is not written")


def freshclam_script(secret: bool) -> str:
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["bool"] = bool
    services = calls(ROOT / "roles/clamav", "daemontools_service")
    (run,) = [one["run"] for one in services if one["name"] == "freshclam"]
    return environment.from_string(run).render(_clamav_bin="/bin", _clamav_freshclam_secret=secret)


def test_the_log_of_freshclam_has_no_password(tmp_path: Path) -> None:
    """freshclam names the whole URL of a mirror that fails."""
    words = "WARNING: Can't download daily.cvd from http://u:PW@mirror.example.com/daily.cvd"
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "freshclam").write_text(f'#!/bin/sh\necho "$*"\necho "{words}" >&2\n')
    (commands / "setuidgid").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    for path in commands.iterdir():
        path.chmod(0o755)
    script = freshclam_script(True).replace("/bin/freshclam", str(commands / "freshclam"))
    script = script.replace("/run/freshclam.words", str(tmp_path / "words"))
    done = subprocess.run(
        ["sh", "-c", f"exec 2>&1\n{script}"],
        env={"PATH": f"{commands}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "--daemon --foreground --stdout --config-file=/etc/clamav/freshclam.conf",
        words.replace("u:PW@", "***@"),
    ]
    assert "mkfifo" not in freshclam_script(False)


def test_a_download_that_fails_tells_no_password() -> None:
    tasks = {task["name"]: task for task in loaded("clamav", "tasks/database.yml")}
    assert "_clamav_freshclam_secret" in tasks["Download the first databases"]["no_log"]
    said = jinja2.Environment()
    said.filters["regex_replace"] = lambda text, old, new: re.sub(old, new, text)
    text = tasks["Check that they came"]["ansible.builtin.assert"]["fail_msg"]
    made = said.from_string(text).render(
        clamav_download={"rc": 58, "stdout": "x", "stderr": "from https://u:PW@mirror/y"}
    )
    assert made == "freshclam ended with status 58; expected 0: xfrom https://***@mirror/y"


def tasks_of(value: Any) -> Iterator[dict[str, Any]]:
    """Return each task of a file, those in blocks too; a block's no_log is that of its tasks."""
    for one in value if isinstance(value, list) else []:
        inner = [task for name in ("block", "rescue", "always", "tasks") for task in tasks_of(one.get(name))]
        yield from ({**{key: one[key] for key in ("no_log",) if key in one}, **task} for task in inner)
        if not inner:
            yield one


def texts_of(value: Any) -> Iterator[str]:
    """Return what a module is given in stdin, argv, cmd, content or an environment, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("stdin", "argv", "cmd", "content", "environment", "run"):
                yield json.dumps(inner)
            else:
                yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def test_what_a_task_gives_of_a_password_is_not_logged() -> None:
    """A module's arguments go into the host's journal, and into the playbook's log with -v."""
    found = 0
    for path in sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml")]):
        for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            expressions = re.findall(r"\{\{.*?\}\}", "".join(texts_of(task)))
            if any(re.search(r"\b\w*(?:passphrase|passwords?)\b", one) for one in expressions):
                found += 1
                where = f"{path.relative_to(ROOT)}: {task['name']}"
                assert task.get("no_log") is True or isinstance(task.get("no_log"), str), where
    assert found >= 2


@pytest.mark.parametrize(("tasks", "register"), [("main", "encrypted"), ("restore", "decrypted")])
def test_gpg_s_own_words_are_shown(tasks: str, register: str) -> None:
    (block,) = [one["block"] for one in loaded("backup", f"tasks/{tasks}.yml") if "block" in one]
    names = [one["name"] for one in block]
    said = block[names.index(f"Check that it is {register}")]
    hidden = block[names.index(f"Check that it is {register}") - 1]
    assert hidden["no_log"] is True and hidden["register"] == f"backup_{register}"
    made = jinja2.Environment().from_string(said["ansible.builtin.assert"]["fail_msg"])
    result = {"rc": 2, "stderr": "gpg: decryption failed: Bad session key\n", "msg": "non-zero return code"}
    text = made.render(backup_archive="a.gpg", **{f"backup_{register}": result})
    assert "gpg ended with status 2;" in text and text.endswith(": gpg: decryption failed: Bad session key")
