# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_removal ends services under the real supervise, but not while mail waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.modules import gateway_removal
from support.daemontools_services import World, is_gone, pid_of, wait_for

SERVICES = ["/service/qmail-smtpd", "/service/stats"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.end()


def test_mail_of_the_last_moment_opens_the_gateway_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [world.supervised("qmail-smtpd"), world.supervised("stats")]
    listener, other = (pid_of(one) for one in directories)
    (world.root / "etc").mkdir()
    module = SimpleNamespace(params={"prefix": str(world.root), "other_accounts": []})
    monkeypatch.setattr(gateway_removal, "queued", lambda _prefix: 1)
    with pytest.raises(BadInput, match="1 messages wait; expected none, or gateway_remove_queued"):
        gateway_removal.stop(module, SERVICES, allowed=False)
    wait_for(lambda: pid_of(directories[0]) not in (0, listener))
    assert pid_of(directories[1]) == other
    assert {one.name for one in world.scanned.iterdir()} == {"qmail-smtpd", "stats"}
    gateway_removal.stop(module, SERVICES, allowed=True)
    assert list(world.scanned.iterdir()) == []
    assert all(is_gone(one) for one in directories)


@pytest.mark.parametrize("status", [2, 127, -9])
def test_packages_that_cannot_be_asked_are_an_error(status: int) -> None:
    module = SimpleNamespace(run_command=lambda _argv, **_more: (status, "", "the database is locked\n"))
    with pytest.raises(BadInput, match=f"'dpkg-query -S' ended with {status}; .*: the database is locked"):
        gateway_removal.packaged(module, ["/etc/clamav"])


def test_packages_own_some_of_the_paths() -> None:
    module = SimpleNamespace(run_command=lambda _argv, **_more: (1, "clamav-base: /etc/clamav\n", "no path"))
    assert gateway_removal.packaged(module, ["/etc/clamav", "/etc/tcp.d"]) == {"/etc/clamav"}


def test_processes_of_accounts_that_stay_go_on(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0::/root:/x\nstats:x:700:7::/s:/x\nqmaild:x:701:7::/q:/x\nalice:x:702:7::/a:/x\n"
        "qmailq:x:703:7::/q:/x\nqmails:x:0:7::/q:/x\ntheirs:x:703:7::/t:/x\n+::::::\n"
    )
    assert gateway_removal.our_uids(str(tmp_path), []) == {700, 701, 703}
    assert gateway_removal.our_uids(str(tmp_path), ["stats", "theirs", "unknown"]) == {701}


def test_the_role_names_the_accounts_that_stay_each_time() -> None:
    role = Path(__file__).resolve().parents[2] / "roles/remove/tasks/main.yml"
    tasks = [one.get("mailgate.qmail.gateway_removal") for one in yaml.safe_load(role.read_text())]
    given = [one for one in tasks if one]
    assert [one["state"] for one in given] == ["stopped", "absent"]
    assert all(one["other_accounts"] == "{{ remove_other_accounts }}" for one in given)
