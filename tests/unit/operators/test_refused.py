# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about kept copies, as callers send them: list, show, release, learn, forget, and the audit log."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import refused as cli_refused
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.refused_copy import render
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    release,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    service as operator_service,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.list_editor import ListEditor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.lookups import (
    ExternalPaths,
    Lookups,
)
from support.operator_host import ALICE, BOB, Caller, Host, refused_of

NAME, OTHER = "0123456789abcdef", "f" * 16
HEAD = {
    "verdict": "SPAM",
    "at": 1_789_990_000,
    "score": "15.32",
    "limit": "10.00",
    "rules": "BAYES_99,URIBL_BLACK",
    "client": "192.0.2.1",
    "id": "6kz3rt9qm4.1",
}
ENVELOPE = b"Fbilling@partner.example\0Tjoe@example.com\0Tann@any.example\0\0"
MESSAGE = b"Subject: =?utf-8?q?Invoice_=1B[2J?=\nFrom: \x1b]0;owned\x07 <x@y.example>\n\n\x1b[31mpay\n"


class Desk:
    """A service with kept copies, whose simscan and sa-learn are scripts of the test."""

    def __init__(self, path: Path) -> None:
        self.host = Host(path)
        (path / "refused").mkdir()
        (path / "rcpthosts").write_text("example.com\nany.example\n")
        self.path = path
        self.scanner("cat >got.message; cat <&1 >got.envelope; echo 'Kqp 7' >&4")
        self.learner('echo "$1" >got.kind; cat >got.learned; echo "Learned tokens from 1 message(s)"')
        self.keep()
        self.start()

    def start(self) -> None:
        self.editor: ListEditor = self.host.editor()
        scanner, learner = str(self.path / "simscan"), str(self.path / "sa-learn")
        self.verbs = operator_service.Verbs(
            self.editor,
            Lookups(self.editor, ExternalPaths(), lambda: self.host.now),
            refused_of(self.editor, self.host, scanner, learner),
        )

    def keep(self, name: str = NAME, envelope: bytes = ENVELOPE, **more: Any) -> None:
        (self.path / "refused" / name).write_bytes(render({**HEAD, **more}, envelope, MESSAGE))

    def scanner(self, text: str) -> None:
        program = self.path / "simscan"
        program.write_text(f"#!/bin/sh\ncd {self.path}\necho run >>runs\n{text}\n")
        program.chmod(0o755)

    def learner(self, text: str) -> None:
        (self.path / "sa-learn").write_text(text)

    def ask(self, do: str, caller: Caller = ALICE, **asked: Any) -> dict[str, Any]:
        answer = self.verbs.answer(caller, json.dumps({"do": do, **asked}).encode())
        assert isinstance(answer, dict)
        return answer

    def runs(self) -> int:
        path = self.path / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def record(self) -> dict[str, Any]:
        found = json.loads((self.path / "state/released" / NAME).read_text())
        assert isinstance(found, dict)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_list_says_who_wrote_to_whom_and_why_it_was_refused(desk: Desk) -> None:
    one = desk.ask("refused")["messages"][0]
    assert (one["name"], one["sender"], one["recipients"]) == (
        NAME,
        "billing@partner.example",
        ["joe@example.com", "ann@any.example"],
    )
    assert (one["verdict"], one["score"], one["limit"], one["rules"]) == (
        "SPAM",
        15.32,
        10.0,
        ["BAYES_99", "URIBL_BLACK"],
    )
    assert (one["subject"], one["client"], one["id"], one["released"]) == (
        "Invoice \\x1b[2J",
        "192.0.2.1",
        "6kz3rt9qm4.1",
        "",
    )


@pytest.mark.parametrize(
    ("search", "found"),
    [("partner", 1), ("JOE@", 1), ("uribl", 1), ("invoice", 1), ("0123", 1), ("nobody", 0)],
)
def test_a_list_is_searched(desk: Desk, search: str, found: int) -> None:
    desk.keep(OTHER, b"Fx@z.example\0Tbob@example.com\0\0", rules="-")
    assert (
        len([one for one in desk.ask("refused", search=search)["messages"] if one["name"] == NAME]) == found
    )


def test_a_damaged_copy_is_not_in_the_list_and_harms_no_other(desk: Desk) -> None:
    (desk.path / "refused" / OTHER).write_text("garbage")
    assert [one["name"] for one in desk.ask("refused")["messages"]] == [NAME]
    assert "is not a kept copy" in desk.ask("refused-show", name=OTHER)["error"]
    assert desk.ask("refused-forget", name=OTHER)["ok"]


def test_a_message_is_shown_and_the_log_of_the_service_says_to_whom(desk: Desk) -> None:
    answer = desk.ask("refused-show", name=NAME)
    assert answer["body"] == ["\x1b[31mpay"]
    assert answer["header"][1] == "From: \x1b]0;owned\x07 <x@y.example>"
    assert desk.host.said == [f"alice reads the refused message {NAME}"]


def test_strangers_characters_do_not_reach_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        cli_refused,
        "ask",
        lambda request, dummy: {key: value for key, value in desk.ask(**request).items() if key != "ok"},
    )
    for words in (["list"], ["show", NAME], ["release", NAME]):
        assert cli_refused.main(words) == 0
    said = capsys.readouterr().out
    assert said.isprintable() or ("\x1b" not in said and "\x07" not in said)
    assert "\\x1b[31mpay" in said and "Invoice \\x1b[2J" in said
    assert "mailgate trust-sender billing@partner.example" in said


def test_a_release_delivers_once_marked_with_an_act_in_the_audit_log(desk: Desk) -> None:
    answer = desk.ask("refused-release", name=NAME, note="asked for by joe")
    assert answer["effects"] == [
        f"{NAME} is delivered to joe@example.com, ann@any.example: no virus was found, queued (qp 7)"
    ]
    assert answer["trust"] == "billing@partner.example"
    got = (desk.path / "got.message").read_bytes()
    assert got.startswith(
        f"X-Mailgate-Released: {NAME}; refused 2026-09-21 11:26:40 UTC as spam, score 15.32; ".encode()
    )
    assert got.partition(b"\n")[2] == MESSAGE
    assert (desk.path / "got.envelope").read_bytes() == ENVELOPE
    act = desk.ask("audit")["records"][0]
    assert (act["do"], act["value"], act["by"], act["note"]) == (
        "refused-release",
        NAME,
        "alice",
        "asked for by joe",
    )
    again = desk.ask("refused-release", BOB, name=NAME, again=True)
    assert (
        again["error"]
        == f"refused message {NAME}: was released 2026-09-21 14:13:20 UTC by alice; expected one that was not: a copy is delivered once"
    )
    assert desk.runs() == 1
    assert desk.ask("refused")["messages"][0]["released"] == "released 2026-09-21 14:13:20 UTC by alice"
    assert "cannot be undone: the message was queued" in desk.ask("undo")["error"]


def test_a_virus_of_today_is_not_released(desk: Desk) -> None:
    desk.scanner("printf 'DYour email was rejected because it contains the X virus' >&4; exit 82")
    answer = desk.ask("refused-release", name=NAME)
    assert (answer["ok"], answer["temporary"]) == (False, False)
    assert (
        answer["error"]
        == f"refused message {NAME}: not released: Your email was rejected because it contains the X virus"
    )
    assert desk.record()["stage"] == "failed"


def test_a_scanner_that_is_down_releases_nothing_until_it_is_back(desk: Desk) -> None:
    desk.scanner("echo 'put off for (null): clamd: no socket' >&2; exit 71")
    answer = desk.ask("refused-release", name=NAME)
    assert answer["temporary"] and "not released: put off" in answer["error"]
    desk.scanner("echo 'Kqp 8' >&4")
    assert desk.ask("refused-release", name=NAME)["ok"]


@pytest.mark.parametrize(
    "text", ["kill -9 $$", "echo 'put off for x: qmail-queue did not end in time' >&2; exit 52"]
)
def test_what_may_have_been_queued_is_given_again_only_to_who_says_so(desk: Desk, text: str) -> None:
    desk.scanner(text)
    assert "it is unknown whether it was released" in desk.ask("refused-release", name=NAME)["error"]
    desk.scanner("exit 0")
    assert "it may have been delivered" in desk.ask("refused-release", name=NAME)["error"]
    assert "it may have been delivered" in desk.ask("refused")["messages"][0]["released"]
    assert desk.runs() == 1
    assert desk.ask("refused-release", name=NAME, again=True)["ok"]


def test_the_record_is_on_the_disk_before_simscan_runs_so_a_crash_is_not_a_second_delivery(
    desk: Desk,
) -> None:
    desk.scanner("cp state/released/* got.record")
    assert desk.ask("refused-release", name=NAME)["ok"]
    record = (desk.path / "got.record").read_text()
    assert json.loads(record)["stage"] == "begun"
    (desk.path / "state/released" / NAME).write_text(record)  # as a crash leaves it
    desk.start()
    assert "was interrupted: it may have been delivered" in desk.ask("refused-release", name=NAME)["error"]
    assert desk.runs() == 1


def test_a_record_that_cannot_be_written_behind_the_delivery_gives_no_second_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = release.Records.write

    def write(self: release.Records, name: str, record: release.Record) -> None:
        if record.stage == release.DONE:
            raise OSError("the disk is full")
        real(self, name, record)

    monkeypatch.setattr(release.Records, "write", write)
    assert desk.ask("refused-release", name=NAME)["ok"]
    assert "its record cannot be written: the disk is full" in desk.host.said[-1]
    assert "it may have been delivered" in desk.ask("refused-release", name=NAME)["error"]
    assert desk.runs() == 1


def test_without_a_record_before_it_nothing_is_delivered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_dummy: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(release.Records, "write", write)
    assert desk.ask("refused-release", name=NAME)["error"] == "the disk is full"
    assert desk.runs() == 0


def test_a_copy_for_somebody_else_is_no_relay(desk: Desk) -> None:
    desk.keep(envelope=b"Fa@b.example\0Tjoe@example.com\0Teve@else.where\0\0")
    assert (
        "'eve@else.where' is in no domain that is served here"
        in desk.ask("refused-release", name=NAME)["error"]
    )
    (desk.path / "rcpthosts").unlink()
    answer = desk.ask("refused-release", name=NAME)
    assert answer["temporary"] and "is missing" in answer["error"]
    assert desk.runs() == 0


def test_a_damaged_copy_is_not_released(desk: Desk) -> None:
    path = desk.path / "refused" / NAME
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    assert "it is damaged" in desk.ask("refused-release", name=NAME)["error"]
    assert desk.runs() == 0


@pytest.mark.parametrize(
    ("sender", "trust"),
    [(b"", ""), (b"a b@c.example", ""), (b"\xff@c.example", ""), (b"A.B@C.example", "a.b@c.example")],
)
def test_only_a_plain_sender_can_be_trusted(desk: Desk, sender: bytes, trust: str) -> None:
    desk.keep(envelope=b"F" + sender + b"\0Tjoe@example.com\0\0")
    assert desk.ask("refused-release", name=NAME)["trust"] == trust


@pytest.mark.parametrize("kind", ["ham", "spam"])
def test_bayes_learns_the_message(desk: Desk, kind: str) -> None:
    answer = desk.ask("refused-learn", name=NAME, kind=kind)
    assert answer["effects"] == [f"{NAME} as {kind}: Learned tokens from 1 message(s)"]
    assert (desk.path / "got.learned").read_bytes() == MESSAGE
    assert (desk.path / "got.kind").read_text() == f"--{kind}\n"
    assert desk.ask("audit")["records"][0]["value"] == f"{NAME} {kind}"


def test_a_learner_that_fails_says_why(desk: Desk) -> None:
    desk.learner("echo 'bayes: locked' >&2; exit 1")
    answer = desk.ask("refused-learn", name=NAME, kind="ham")
    assert answer["temporary"] and "bayes: locked; nothing was learned" in answer["error"]
    assert "is wrong; expected 'ham' or 'spam'" in desk.ask("refused-learn", name=NAME, kind="eggs")["error"]


def test_a_forgotten_copy_is_gone(desk: Desk) -> None:
    assert desk.ask("refused-forget", name=NAME)["effects"] == [f"{NAME} is no longer kept"]
    assert desk.ask("refused")["messages"] == []
    assert "is not kept" in desk.ask("refused-forget", name=NAME)["error"]


def test_a_refused_act_is_in_the_audit_log_with_the_name(desk: Desk) -> None:
    desk.ask("refused-forget", name=OTHER, note="why not")
    record = desk.ask("audit")["records"][0]
    assert (record["do"], record["value"], record["number"]) == ("refused-forget", OTHER, None)


def test_a_site_that_keeps_nothing_says_so(desk: Desk) -> None:
    (desk.path / "refused" / NAME).unlink()
    (desk.path / "refused").rmdir()
    assert "gateway_keep_refused_days" in desk.ask("refused")["error"]
