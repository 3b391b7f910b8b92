# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docstrings, comments, messages, task names and pages are free of phrases that a reader has to guess."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed.collection import project_files

ROOT = Path(__file__).resolve().parents[3]
SUFFIXES = (
    ".py",
    ".c",
    ".h",
    ".yml",
    ".yaml",
    ".j2",
    ".md",
    ".rst",
    ".sh",
    ".toml",
    ".patch",
    ".cf",
    ".tcss",
)
NOT_OURS = ("docs/generated/", "LICENSES/", "CHANGELOG.rst", "changelogs/changelog.yaml")
THIS_FILE = Path(__file__).resolve().relative_to(ROOT).as_posix()

# Replies that clients know, and the text of a sample message.
KEPT = ("that is no address that mail can be sent to", "Morning, all is well.", 'b"all is well"')

# A line break of wrapped text, with the marks that begin a comment's next line.
WRAPPED = re.compile(r"[ \t]*\n[ \t+]*(?:#|\*|//)?[ \t]*")

THINGS = (
    "text|list|address|network|json|object|mapping|name|number|file|user|place|limit|label|date|duration|domain|"
    "port|string|act|entry|message|part|directory|path|program|process|service|key|host|line|zone|size|time|role|"
    "cdb|archive|hash|sender|recipient|client|server|module|option|value|table|record|question|answer|header|"
    "field|regular|valid|log|report|verdict|session|command|position|person|letter|integer|plain|whole"
)


@dataclass(frozen=True)
class Phrase:
    """A phrase that is not allowed, with an example of it and of what to write instead."""

    pattern: str
    example: str
    instead: str

    def found_in(self, text: str) -> list[str]:
        """Return each place of the phrase in the text, with some words around it."""
        places = re.finditer(self.pattern, text)
        return [text[max(0, place.start() - 40) : place.end() + 40] for place in places]


PHRASES = (
    Phrase(r"(?<![Tt]here )\b(?:is|are|was|were) none\b(?! of)", "'1w' is none", "'1w' is not a duration"),
    Phrase(
        rf"(?<![Tt]here )\b(?:is|are|was|were) no (?:{THINGS})s?\b(?! (?:longer|more))",
        "10.0.0.300 is no address",
        "10.0.0.300 is not an address; there is no address",
    ),
    Phrase(
        r"\b(?:is|are) (?:down|up|silent|stale) since\b",
        "is down since 3 minutes",
        "has been down for 3 minutes",
    ),
    Phrase(
        r"\bsince (?:\d+|[A-Z]|\{[\w.]+\}|some|a few) (?:second|minute|hour|day)s?\b",
        "waits since {n} minutes",
        "has waited for {n} minutes",
    ),
    Phrase(r"\bwithout a word\b", "Lets go without a word", "Closes the connection without unbinding"),
    Phrase(r"\b[Tt]he hands of\b", "The hands of source_build", "Runs, as root, what the spec describes"),
    Phrase(
        r"(?<!installation )\b[Tt]he guide\b", "as in the guide", "as in the Qmail installation guide, 2007"
    ),
    Phrase(r"\bhad ended has not\b", "An entry that had ended has not", "The entry was renewed meanwhile"),
    Phrase(
        r"\b(?:does|did|do) not go well\b|\bgo(?:es)? well\b", "why that did not go well", "return the error"
    ),
    Phrase(r"\bHave a database\b", "Have a database", "Install virus signatures"),
    Phrase(
        r"\b(?:refus|bounc|reject|clos|switch|list)\w*(?: \w+){0,4} for good\b",
        "refuses a client for good",
        "refuses it permanently",
    ),
    Phrase(r"\banew\b", "makes it anew", "makes it again"),
    Phrase(r"\ball is well\b", '"" when all is well', '"" when there is no fault'),
    Phrase(r"\b[Nn]obody's\b", "a thread's end is nobody's", "nobody sees how the thread ended"),
    Phrase(r"\b[Ll]ets go\b", "Lets go of the server", "Closes the connection to the server"),
    Phrase(
        r"\b(?:person|kernel|server|program|site|user)'s word\b",
        "takes a person's word",
        "a person must confirm it",
    ),
)


def running_text(name: str) -> str:
    """Return a file's text as one line, without what is kept."""
    text = WRAPPED.sub(" ", (ROOT / name).read_text(encoding="utf-8", errors="replace"))
    for kept in KEPT:
        text = text.replace(kept, "")
    return text


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Read all files that people write, but this one."""
    names = (name for name in project_files() if name.endswith(SUFFIXES) and not name.startswith(NOT_OURS))
    return {name: running_text(name) for name in names if name != THIS_FILE}


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.example)
def test_no_file_has_the_phrase(phrase: Phrase, texts: dict[str, str]) -> None:
    found = [f"{name}: {place}" for name, text in texts.items() for place in phrase.found_in(text)]
    assert found == [], f"write for example: {phrase.instead}"


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.example)
def test_a_phrase_is_recognized_and_its_replacement_is_not(phrase: Phrase) -> None:
    assert phrase.found_in(phrase.example)
    assert not any(each.found_in(phrase.instead) for each in PHRASES)


def test_a_phrase_is_recognized_across_the_lines_of_a_comment() -> None:
    assert WRAPPED.sub(" ", "# why that is\n    # no text") == "# why that is no text"
