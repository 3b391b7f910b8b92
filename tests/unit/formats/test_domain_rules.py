# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""control/domainrules: what a site file says of single domains, and what the programs read of it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.domain_rules import (
    RULES_BYTES_MAX,
    DomainRule,
    rule_lines,
    rule_text,
    site_rules,
    wrong_line,
)
from support.c_programs import INCLUDES, ROOT, SANITIZE, STRICT, gcc


def domain(name: str, spam: object) -> dict[str, Any]:
    return {"name": name, "spam": spam}


def lines(*domains: dict[str, Any], tag: str = "") -> list[str]:
    found, faults = site_rules(domains, tag)
    assert faults == []
    return rule_lines(found)


def test_a_domain_says_what_differs() -> None:
    spam = {"reject": 8, "mark": 4.5, "subject_tag": "[S P]", "attachment_suffixes": [".EXE", ".bat", ".exe"]}
    assert lines(domain("One.example", spam)) == [
        "rule",
        "reject 8",
        "mark 4.5",
        "subject_tag [S P]",
        "suffix .bat",
        "suffix .exe",
        "domain one.example",
        "end",
    ]


@pytest.mark.parametrize("spam", [None, {}])
def test_a_domain_that_wants_nothing_has_no_rule(spam: object) -> None:
    assert lines(domain("one.example", spam), {"name": "two.example"}) == ["end"]


def test_nothing_is_told_from_the_sites_own() -> None:
    spam = {"subject_tag": "", "attachment_suffixes": []}
    assert lines(domain("one.example", spam)) == [
        "rule",
        "no_subject_tag",
        "no_suffix",
        "domain one.example",
        "end",
    ]


def test_domains_that_want_the_same_have_one_rule() -> None:
    """So their mail can be one message; a domain in Unicode is the one that programs see."""
    found = lines(
        domain("one.example", {"reject": 8}),
        domain("two.example", {"reject": 7.5}),
        domain("b\u00fccher.example", {"reject": 8.0}),
        domain("three.example", {"reject": "8"}),
    )
    assert found == [
        *("rule", "reject 8", "domain one.example", "domain xn--bcher-kva.example", "domain three.example"),
        *("rule", "reject 7.5", "domain two.example"),
        "end",
    ]


def test_a_domain_may_take_mail_of_greylisted_networks() -> None:
    assert lines(domain("one.example", {"greylist": False})) == [
        "rule",
        "no_greylist",
        "domain one.example",
        "end",
    ]
    assert lines(domain("one.example", {"greylist": True})) == ["end"]


def test_a_mark_takes_the_sites_tag_with_it() -> None:
    """The program that makes the marks does not know what SpamAssassin writes."""
    assert "subject_tag [SPAM]" in lines(domain("a.example", {"mark": 4}), tag="[SPAM]")
    assert "no_subject_tag" in lines(domain("a.example", {"mark": 4}))
    assert "no_subject_tag" in lines(domain("a.example", {"mark": 4, "subject_tag": ""}), tag="[SPAM]")
    assert "subject_tag" not in " ".join(lines(domain("a.example", {"reject": 4}), tag="[SPAM]"))


NO_SCORES = (None, True, 0, 0.0, -1, 1000, 8.25, 1e-5, "8 ", "x", "", [8], float("nan"), float("inf"))
BAD: list[tuple[object, str]] = [
    ([], "[] is not a mapping; expected some of"),
    ("strict", "'strict' is not a mapping"),
    (
        {"rejct": 8},
        "'rejct' is not known; expected one of reject, mark, subject_tag, attachment_suffixes, greylist",
    ),
    ({"reject": 4, "mark": 4.5}, "mark 4.5 is above reject 4; expected at most the same"),
    *(
        ({key: value}, f"{key} {value!r} is not valid; expected a score from 0.1 to 999.9, in tenths")
        for key in ("reject", "mark")
        for value in NO_SCORES
    ),
    *(
        ({"greylist": value}, f"greylist {value!r} is not valid; expected true or false")
        for value in (None, "no", 0)
    ),
    *(
        ({"subject_tag": value}, "subject_tag ")
        for value in (None, 7, " x", "x ", " ", "a\nb", "b\u00e4h", "x" * 65, "a\x7f", "a\0")
    ),
    *(
        ({"attachment_suffixes": value}, "attachment_suffixes ")
        for value in (
            *(None, ".exe", [7], [""], [".exe .bat"], [".a/b"], [".a:b"], ["x" * 64], [".a"] * 201, {"a": 1}),
            *([".a\n.b"], ["\u00e4" * 32], [None]),
        )
    ),
]


@pytest.mark.parametrize(("spam", "words"), BAD)
def test_what_cannot_be_meant_is_refused(spam: object, words: str) -> None:
    found, (fault,) = site_rules([{"name": "x.example"}, domain("one.example", spam)])
    assert fault.startswith(f"gateway_domains item 2: spam of 'one.example': {words}")
    assert "; expected " in fault and found == {}


@pytest.mark.parametrize("tag", ["[_SCORE_]", "*_HITS(0)_*", "a#b", "a\\b", "b\u00e4h", "x" * 65])
def test_a_tag_of_spamassassin_that_is_more_than_a_text(tag: str) -> None:
    dummy, (fault,) = site_rules([domain("one.example", {"mark": 4})], tag)
    assert fault.endswith("is more than a text; expected a subject_tag of its own, '' for none")
    assert site_rules([domain("one.example", {"mark": 4, "subject_tag": "[S]"})], tag)[1] == []
    assert site_rules([domain("one.example", {"reject": 4})], tag)[1] == []


def test_what_is_judged_elsewhere_is_left_out() -> None:
    assert site_rules(["x", {"spam": {}}, domain("not a domain", {"reject": 8})]) == ({}, [])


def test_a_file_that_the_programs_would_not_read_is_refused() -> None:
    many = [
        domain(f"{number:060}.{number:060}.{number:060}.example", {"reject": number % 998 + 1})
        for number in range(RULES_BYTES_MAX // 200)
    ]
    assert site_rules(many)[1] == [
        f"gateway_domains: their rules are more than {RULES_BYTES_MAX} bytes; expected fewer"
    ]


# --- the reader of the programs is the judge of both ---

READER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "domainrules.h"

int main(int argc, char **argv)
{
  static struct domainrules rules;
  static struct domainrule rule;
  int i;

  if (argc != 3) return 2;
  domainrules_read(&rules, argv[1]);
  i = domainrules_number(&rules, argv[2]);
  printf("%d %ld", i, rules.wrong);
  if (i > 0) {
    domainrules_rule(&rules, i, &rule);
    printf(" %.1f %.1f %d<%s> %d", rule.reject, rule.mark, rule.tags, rule.tag, rule.suffixes);
    for (i = 0; i < rule.suffix_count; ++i) printf(" %s", rule.suffix[i]);
  }
  domainrules_free(&rules);
  return 0;
}
"""
Ask = Callable[[str, str], str]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    made = tmp_path_factory.mktemp("reader")
    (made / "reader.c").write_text(READER)
    source = ROOT / "src" / "common" / "domainrules.c"
    gcc("-std=c99", *STRICT, *SANITIZE, *INCLUDES, made / "reader.c", source, "-o", made / "reader")

    def read(text: str, recipient: str) -> str:
        (made / "domainrules").write_bytes(text.encode("utf-8", "surrogateescape"))
        words = [str(made / "reader"), str(made / "domainrules"), recipient]
        return subprocess.run(words, capture_output=True, timeout=60, check=True).stdout.decode()

    return read


def test_the_programs_read_what_is_written(ask: Ask) -> None:
    found, faults = site_rules(
        [
            domain("one.example", {"reject": 8.5, "attachment_suffixes": [".exe", ".tar.gz"]}),
            domain("two.example", {"mark": 4, "reject": 999.9}),
            domain("three.example", {"subject_tag": "[a  b] #1", "attachment_suffixes": []}),
        ],
        "*SPAM*",
    )
    text = "# a comment\n" + rule_text(found)
    assert faults == [] and wrong_line(text) == ""
    assert ask(text, "ann@ONE.example") == "1 0 8.5 0.0 0<> 1 .exe .tar.gz"
    assert ask(text, "ann@two.example") == "2 0 999.9 4.0 1<*SPAM*> 0"
    assert ask(text, "ann@three.example") == "3 0 0.0 0.0 1<[a  b] #1> 1"
    assert ask(text, "ann@four.example") == "0 0"


LINES = (
    *("rule", "reject 8", "mark 4.5", "subject_tag [S]", "no_subject_tag", "suffix .exe", "no_suffix"),
    *(
        "domain one.example",
        "end",
        "no_greylist",
        "# x",
        "",
        "reject 0",
        "rejec 8",
        "domain One.example",
        "suffix",
        "end ",
    ),
)


def test_the_programs_and_the_doctor_find_the_same_files_wrong(ask: Ask) -> None:
    chance = random.Random(7)
    wrong = 0
    for dummy in range(60):
        chosen = ["rule", *chance.choices(LINES[:10], k=chance.randrange(5)), chance.choice(LINES), "end"]
        text = "\n".join(chosen) + chance.choice(["", "\n"])
        said = ask(text, "ann@two.example")
        assert (wrong_line(text) != "") == (said.split()[0] == "-1"), text
        wrong += wrong_line(text) != ""
    assert 10 < wrong < 58
    assert wrong_line("") == wrong_line("rule\n") == "no end"
    for text in ("end\n\n", "end\n# x", "end\nend\n"):
        assert wrong_line(text) and ask(text, "ann@two.example") == "-1 2"


def test_a_rule_is_a_key() -> None:
    assert DomainRule(reject="8") == DomainRule("8") and len({DomainRule(), DomainRule(tag="")}) == 2
