# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spamd starts again, or reads its files again, for everything that a task of the role says it changed."""

from __future__ import annotations

import re
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


ROLE = Path(__file__).resolve().parents[3] / "roles" / "spamassassin"


def load(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


def render(text: Any, variables: dict[str, Any]) -> Any:
    if not isinstance(text, str):
        return text
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def test_what_the_role_writes_for_spamd_is_in_its_start_record() -> None:
    variables = load("vars/main.yml")
    read = set(re.findall(r"'([\w.]+)'", variables["_spamassassin_read_at_start"]))
    written = {Path(file["path"]).name for file in variables["_spamassassin_files"]}
    written |= {
        path.name for path in map(Path, (one["path"] for one in variables["_spamassassin_own_files"]))
    }
    written.add(Path(variables["_spamassassin_plugins_file"]["path"]).name)
    written.remove("pdf-text")  # started for each PDF
    assert {"local.cf", "TextBeyondLimit.pm"} <= written
    assert "_spamassassin_own_files" in (ROLE / "tasks" / "configure.yml").read_text(encoding="utf-8")
    assert written - read == set()


@pytest.mark.parametrize("name", ["mx1.example.com", "mx2.example.net", ""])
def test_the_header_follows_the_name_of_the_gateway(name: str) -> None:
    """spamd is reloaded by the task that writes this file."""
    lines = (ROLE / "templates/etc/mail/spamassassin/local.cf.j2").read_text(encoding="utf-8")
    head = lines.partition("lock_method")[0]
    values = {**load("defaults/main.yml"), "spamassassin_hostname": name}
    made = render(head, values)
    assert re.findall(r"^report_hostname (.*)$", made, re.MULTILINE) == ([name] if name else [])
    site = yaml.safe_load((ROLE.parents[1] / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
    assert site["spamassassin_hostname"] == "{{ gateway_hostname }}"
    (configured,) = [one for one in load("tasks/configure.yml") if "_spamassassin_files" in str(one)]
    (notifying,) = [one for one in load("tasks/configure.yml") if "notify" in one]
    assert notifying["when"] == f"{configured['register']}.changed_paths | length > 0"
    assert (notifying["changed_when"], notifying["notify"]) == (True, "Reload spamd")


@pytest.mark.parametrize(
    ("results", "reload", "restart"),
    [
        (
            [{"name": "files"}, {"name": "spamd", "process_started": True}],
            ("reloaded", True),
            ("started", True),
        ),
        ([{"name": "spamd", "process_started": False}], ("reloaded", False), ("restarted", True)),
        ([{"skipped": True}], ("reloaded", False), ("restarted", True)),
        (None, ("reloaded", False), ("restarted", True)),
    ],
    ids=["started by this play", "ran before", "not looked at", "other roles alone"],
)
def test_only_a_spamd_that_the_play_started_is_compared_with_its_record(
    results: list[dict[str, Any]] | None, reload: tuple[str, bool], restart: tuple[str, bool]
) -> None:
    handlers = {
        one["name"]: one.get("mailgate.qmail.daemontools_service") for one in load("handlers/main.yml")
    }
    known = {"_spamassassin_started": trust_as_template(load("vars/main.yml")["_spamassassin_started"])}
    known |= {"spamassassin_configured": {"results": results}} if results is not None else {}
    for name, expected in (("Reload spamd", reload), ("Restart spamd", restart)):
        given = handlers[name]
        state = render(given.get("state", "started"), known)
        assert (state, render(given["notified"], known)) == expected, name
    registers = [
        task.get("register") for task in load("tasks/configure.yml") if "'name': 'spamd'" in str(task)
    ]
    assert registers == ["spamassassin_configured"]


def local_cf(**site: Any) -> str:
    text = (ROLE / "templates/etc/mail/spamassassin/local.cf.j2").read_text(encoding="utf-8")
    own = {"_spamassassin_dmarc": trust_as_template(load("vars/main.yml")["_spamassassin_dmarc"])}
    made = render(
        text,
        {**load("defaults/main.yml"), "_spamassassin_etc": "/etc", "_spamassassin_home": "/", **own, **site},
    )
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize(
    ("given", "reject", "quarantine"),
    [
        ({"reject": 10, "quarantine": 4}, "10", "4"),
        ({"reject": 6.5}, "6.5", "4"),
        ({"quarantine": 0}, "10", "0"),
        (True, "10", "4"),
    ],
)
def test_the_points_by_dmarc(given: Any, reject: str, quarantine: str) -> None:
    made = local_cf(spamassassin_dmarc=given)
    scores = dict(re.findall(r"^score DMARC_(REJECT|QUAR|ALTERED) (.*)$", made, re.MULTILINE))
    assert scores == {"REJECT": reject, "QUAR": quarantine, "ALTERED": quarantine}


@pytest.mark.parametrize(
    ("quarantine", "required", "expected"),
    [(4, 5, 2), ("4", "5", 2), (3, 5, 1.5), (20, 5, 2.5), (4, 3, 1.5), (0, 5, 0)],
)
def test_what_the_dns_does_not_say_marks_nothing_alone(
    quarantine: Any, required: Any, expected: float
) -> None:
    made = local_cf(spamassassin_dmarc={"quarantine": quarantine}, spamassassin_required_score=required)
    (score,) = re.findall(r"^score DMARC_UNKNOWN (.*)$", made, re.MULTILINE)
    assert float(score) == expected
    assert "\ntflags DMARC_UNKNOWN net\n" in made


def test_keys_are_waited_for_where_dkim_is_loaded() -> None:
    made = local_cf()
    assert re.search(r"^ifplugin \S*::DKIM\n(?:[^e].*\n)*dkim_timeout 15\nendif$", made, re.MULTILINE)


def test_dmarc_can_be_off_and_a_wrong_name_does_not_pass_the_check() -> None:
    assert "DMARC_" not in local_cf(spamassassin_dmarc=False)
    assert "\nspamassassin_dmarc has no rejct\n" in local_cf(spamassassin_dmarc={"rejct": 10})
    assert "spamassassin_dmarc has no" not in local_cf()


def test_who_is_exempt_from_dmarc_is_written() -> None:
    made = local_cf(
        spamassassin_dmarc_exempt=["198.51.100.0/24", "x.example"], spamassassin_arc_trusted=["y.example"]
    )
    assert "\ndmarc_exempt 198.51.100.0/24\ndmarc_exempt x.example\ndmarc_arc_trusted y.example\n" in made


def test_nothing_is_asked_about_short_links_without_network_tests() -> None:
    settings = {"spamassassin_short_links": True}
    assert "url_shortener_timeout" in local_cf(**settings)
    assert "url_shortener_timeout" not in local_cf(**settings, spamassassin_network_tests=False)


def test_a_macro_of_a_good_sender_does_not_mark_the_message_alone() -> None:
    scores = dict(re.findall(r"^score (OLEMACRO\w*) (.*)$", local_cf(), re.MULTILINE))
    assert (
        float(scores["OLEMACRO"]) + float(scores["OLEMACRO_MALICE"])
        < load("defaults/main.yml")["spamassassin_required_score"]
    )
    assert "OLEMACRO" not in local_cf(spamassassin_macros=False)


def test_settings_of_a_plugin_pass_the_check_while_it_is_not_loaded() -> None:
    """At an upgrade, or a change of the site, one file is checked beside an older one of the other."""
    made = local_cf(
        spamassassin_short_links=True, spamassassin_pdf_text=True, spamassassin_dmarc_exempt=["x.example"]
    )
    unguarded = re.sub(r"^ifplugin .*?^endif$", "", made, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(
        r"^\S*(?:dmarc|DMARC|dkim|OLEMACRO|short_url|url_short|extracttext)", unguarded, re.MULTILINE
    )
