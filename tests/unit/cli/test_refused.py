# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `mailgate refused`: what it asks, what it prints, and its exit status."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import refused
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.sockets import NoAnswer

NAME = "0123456789abcdef"
ONE = {
    "name": NAME,
    "at": 1_790_000_000,
    "verdict": "SPAM",
    "score": 15.32,
    "limit": 10.0,
    "rules": ["BAYES_99", "URIBL_BLACK"],
    "virus": "",
    "client": "192.0.2.1",
    "id": "6kz3rt9qm4.1",
    "bytes": 1234,
    "sender": "",
    "recipients": ["joe@example.com", "ann@example.com"],
    "subject": "pay \x1b[2J",
    "from": "x",
    "released": "",
}
Asked = list[Mapping[str, object]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Asked]:
    """Return a function that has the service answer, or raise, and returns the requests."""

    def play(answer: Any) -> Asked:
        asked: Asked = []

        def ask(request: Mapping[str, object], dummy: str) -> Any:
            asked.append(request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(refused, "ask", ask)
        return asked

    return play


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["list"], {"do": "refused", "search": ""}),
        (["list", "joe"], {"do": "refused", "search": "joe"}),
        (["show", NAME], {"do": "refused-show", "name": NAME}),
        (
            ["release", NAME, "--note", "why"],
            {"do": "refused-release", "name": NAME, "note": "why", "again": False},
        ),
        (
            ["release", NAME, "--again"],
            {"do": "refused-release", "name": NAME, "note": "", "again": True},
        ),
        (
            ["learn", NAME, "ham"],
            {"do": "refused-learn", "name": NAME, "kind": "ham", "note": ""},
        ),
        (["forget", NAME], {"do": "refused-forget", "name": NAME, "note": ""}),
    ],
)
def test_each_verb_asks_the_service(
    answering: Callable[[Any], Asked], words: list[str], request_: dict[str, object]
) -> None:
    asked = answering({})
    refused.main([*words, "--json"])
    assert asked == [request_]


def test_a_list_in_words(answering: Callable[[Any], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    virus = {**ONE, "virus": "Eicar-Test", "released": "released yesterday", "subject": "", "sender": "a@b.c"}
    answering({"messages": [ONE, virus], "more": 3})
    assert refused.main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{NAME} 2026-09-21 14:13:20 UTC spam 15.32 of 10 from <> to joe@example.com, ann@example.com",
        "    pay \\x1b[2J",
        f"{NAME} 2026-09-21 14:13:20 UTC virus Eicar-Test from <a@b.c> to joe@example.com, ann@example.com",
        "    (no subject)",
        "    released yesterday",
        "and 3 more: search for them",
    ]
    answering({"messages": [], "more": 0})
    assert refused.main(["list"]) == 0
    assert capsys.readouterr().out == "nothing is kept\n"


def test_a_message_in_words(answering: Callable[[Any], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    answering({"message": ONE, "header": ["A: \x07"], "body": ["b\x1b"], "cut": True})
    assert refused.main(["show", NAME]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "refused 2026-09-21 14:13:20 UTC: spam 15.32 of 10, 1234 bytes",
        "client 192.0.2.1, id 6kz3rt9qm4.1",
        "sender <>",
        "recipient joe@example.com",
        "recipient ann@example.com",
        "rules BAYES_99, URIBL_BLACK",
        "",
        "A: \\x07",
        "",
        "b\\x1b",
        "[cut here: there is more]",
    ]


def test_json_is_the_answer(answering: Callable[[Any], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    answering({"messages": [ONE], "more": 0})
    assert refused.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"messages": [ONE], "more": 0}


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (BadInput("no \x1b"), 100, "mailgate refused: no \\x1b\n"),
        (NoAnswer("later"), 111, "mailgate refused: later\n"),
        (OSError("lost"), 111, "mailgate refused: lost\n"),
        ({"messages": [{}], "more": 0}, 111, "KeyError('recipients'); expected the same version\n"),
    ],
)
def test_troubles_have_a_status(
    answering: Callable[[Any], Asked],
    capsys: pytest.CaptureFixture[str],
    answer: Any,
    status: int,
    words: str,
) -> None:
    answering(answer)
    assert refused.main(["list"]) == status
    said = capsys.readouterr()
    assert said.out == "" and said.err.endswith(words)


def test_a_reader_that_has_seen_enough_is_no_error(
    answering: Callable[[Any], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering({"messages": [ONE] * 10_000, "more": 0})
    reading, writing = os.pipe()
    os.close(reading)
    gone = os.fdopen(writing, "w")
    monkeypatch.setattr("sys.stdout", gone)
    try:
        assert refused.main(["list"]) == 0
    finally:
        with contextlib.suppress(BrokenPipeError):
            gone.close()


def test_wrong_usage_is_100() -> None:
    for words in ([], ["burn"], ["learn", NAME, "eggs"], ["show"]):
        with pytest.raises(SystemExit) as caught:
            refused.main(words)
        assert caught.value.code == 100
