# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`mailgate --help` is the map, and every command on it says how it ends and shows an example."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import main as cli


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_map_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys).splitlines()
    for name, command in cli.COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, command.words] for line in lines), name


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, name)
    assert f"usage: mailgate {name}" in text
    assert "\nexit status:\n" in text
    assert f"\n  mailgate {name} " in text.partition("\nexample")[2]
    assert max(map(len, text.splitlines())) <= 110
