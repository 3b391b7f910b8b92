# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system's mail programs are diverted once; dpkg-divert leaves a diversion that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(text: str) -> str:
        return text


ROLE = Path(__file__).resolve().parents[3] / "roles" / "base"
ALL = ["/usr/sbin/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases"]


@pytest.mark.parametrize(
    ("registered", "wanted"),
    [
        ({"base_preflight": {"diverted": []}}, ALL),
        ({"base_preflight": {"diverted": ["/usr/bin/mailq", "/bin/other"]}}, [ALL[0], ALL[2]]),
        ({"base_preflight": {"diverted": ALL}}, []),
        ({}, ALL),  # a run that starts behind preflight
    ],
)
def test_what_is_not_diverted_is(registered: dict[str, Any], wanted: list[str]) -> None:
    tasks = yaml.safe_load((ROLE / "tasks/sendmail.yml").read_text(encoding="utf-8"))
    (task,) = [one for one in tasks if "--add" in str(one)]
    programs = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))["_base_sendmail_programs"]
    known = {"_base_sendmail_programs": programs, **registered}
    loop = Templar(loader=DataLoader(), variables=known).template(trust_as_template(task["loop"]))
    assert list(loop) == wanted
