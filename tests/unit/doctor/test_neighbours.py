# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doctor's question to the resolver of MTA-STS policies."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import neighbours
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    Finding,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings
from support.played_scanners import listening
from support.sts_resolver import NO_POLICY, StsResolver


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "var/qmail/control").mkdir(parents=True)
    return Context(Settings("mx.example.test", "postmaster@example.test"), 0.0, root=str(tmp_path))


def found(context: Context, content: str | None) -> Finding:
    if content is not None:
        Path(context.path("/var/qmail/control/stsresolver")).write_text(content)
    (finding,) = neighbours.mta_sts(context)
    return finding


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_where_it_is_not_wanted_nobody_is_asked(content: str | None, context: Context) -> None:
    assert (found(context, content).status, found(context, content).text) == (
        OK,
        "not asked (gateway_outbound_mta_sts)",
    )


def test_a_resolver_that_answers(context: Context) -> None:
    with StsResolver(Path(context.path("/sts")), NO_POLICY[:3], NO_POLICY[3:]) as resolver:
        assert found(context, "/sts\n").status == OK
    assert resolver.asked == [b"17:mta-sts 127.0.0.1,"]


@pytest.mark.parametrize(("answer", "said"), [(b"", "it says b''"), (b"9:NOTFOUND x", "it says b'9:NOT")])
def test_a_resolver_with_another_answer(answer: bytes, said: str, context: Context) -> None:
    with StsResolver(Path(context.path("/sts")), answer):
        finding = found(context, "/sts\n")
    assert finding.status == CRITICAL and said in finding.text


def test_a_resolver_that_is_not_there(context: Context) -> None:
    finding = found(context, "/sts\n")
    assert (finding.status, finding.text) == (
        CRITICAL,
        "the resolver of MTA-STS, without which mail by MX waits, does not answer: no such file or directory",
    )
    assert finding.advice == "svstat /service/mta-sts, and see the end of /var/log/mta-sts/current"


def test_a_resolver_that_is_silent(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_STS_SECONDS", 0.05)
    with listening(Path(context.path("/sts"))):
        finding = found(context, "/sts\n")
    assert finding.status == CRITICAL and "timed out" in finding.text
