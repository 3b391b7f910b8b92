# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""control/domainrules: how mail to single domains is judged, where that differs from the rest of the site.

The grammar is in src/common/domainrules.h. In a site file it is gateway_domains[].spam; domains that want the
same have one rule, so that mail to all of them can be one message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .addresses import ascii_domain, domain_fault, shortened

# The bounds of domainrules.h; a file may have 1048576 bytes with its comments.
RULES_BYTES_MAX = 1000000
SUFFIXES_MAX = 200
SUFFIX_BYTES_MAX = 63
TAG_MAX = 64

KEYS = ("reject", "mark", "subject_tag", "attachment_suffixes", "greylist")
_SCORE = re.compile(r"(?!0+(?:\.0)?$)[0-9]{1,3}(?:\.[0-9])?")
_TAG = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_SUFFIX = re.compile(r"[^\x00- \x7f:/]+")
_TEMPLATE = re.compile(r"_[A-Z0-9]+(?:\([^)]*\))?_|[#\\]")  # what SpamAssassin would not take as it is
_EXPECTED = {
    "reject": "expected a score from 0.1 to 999.9, in tenths",
    "mark": "expected a score from 0.1 to 999.9, in tenths",
    "subject_tag": f"expected a text of at most {TAG_MAX} characters of ASCII, no blank around it, or ''",
    "attachment_suffixes": (
        f"expected a list of at most {SUFFIXES_MAX} suffixes such as '.exe', each of at most "
        f"{SUFFIX_BYTES_MAX} bytes, without blanks, ':' and '/'"
    ),
    "greylist": "expected true or false",
}


@dataclass(frozen=True)
class DomainRule:
    """What differs from the rest of the site; None: nothing does. Scores are texts in tenths."""

    reject: str | None = None
    mark: str | None = None
    tag: str | None = None  # '' for none
    suffixes: tuple[str, ...] | None = None
    greylist: bool = True

    def lines(self) -> list[str]:
        found = ["rule"]
        found += [f"reject {self.reject}"] if self.reject is not None else []
        found += [f"mark {self.mark}"] if self.mark is not None else []
        if self.tag is not None:
            found.append(f"subject_tag {self.tag}" if self.tag else "no_subject_tag")
        if self.suffixes is not None:
            found += [f"suffix {one}" for one in self.suffixes] or ["no_suffix"]
        return found + ([] if self.greylist else ["no_greylist"])


def site_rules(
    domains: Sequence[object], subject_tag: str = ""
) -> tuple[dict[DomainRule, list[str]], list[str]]:
    """Return the domains of each rule of a site, and every fault, one text each.

    domains: gateway_domains, whose key spam counts; subject_tag: spamassassin_subject_tag. simscan makes the
    marks for a domain with a score of its own, so that tag becomes a part of such a rule.
    """
    found: dict[DomainRule, list[str]] = {}
    faults: list[str] = []
    for number, item in enumerate(domains, 1):
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or item.get("spam") is None or not isinstance(name, str):
            continue
        where = f"gateway_domains item {number}: spam of {name!r}"
        rule, wrong = _rule(item["spam"], subject_tag, where)
        faults += wrong
        known = ascii_domain(name)
        if rule and rule != DomainRule() and not domain_fault(known):
            found.setdefault(rule, []).append(known)
    if not faults and len(rule_text(found).encode()) > RULES_BYTES_MAX:
        faults.append(f"gateway_domains: their rules are more than {RULES_BYTES_MAX} bytes; expected fewer")
    return found, faults


def rule_lines(rules: Mapping[DomainRule, Sequence[str]]) -> list[str]:
    """Return the lines of the file, the last one that by which the programs see that it is whole."""
    return [
        *(
            line
            for rule, domains in rules.items()
            for line in (*rule.lines(), *(f"domain {one}" for one in domains))
        ),
        "end",
    ]


def rule_text(rules: Mapping[DomainRule, Sequence[str]]) -> str:
    return "".join(f"{line}\n" for line in rule_lines(rules))


def _score(value: object) -> str | None:
    """Return a score as the file has it, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value)
    return text.removesuffix(".0") if _SCORE.fullmatch(text) else None


def _tag_fault(value: object) -> bool:
    return not isinstance(value, str) or (value != "" and not _TAG.fullmatch(value))


def _suffixes(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > SUFFIXES_MAX:
        return None
    lower = {one.lower() if isinstance(one, str) else "" for one in value}
    if not all(_SUFFIX.fullmatch(one) and len(one.encode()) <= SUFFIX_BYTES_MAX for one in lower):
        return None
    return tuple(sorted(lower))


def _rule(given: object, site_tag: str, where: str) -> tuple[DomainRule | None, list[str]]:
    if not isinstance(given, Mapping):
        return None, [f"{where}: {shortened(given)} is not a mapping; expected some of {', '.join(KEYS)}"]
    faults = [
        f"{where}: {key!r} is not known; expected one of {', '.join(KEYS)}"
        for key in given
        if key not in KEYS
    ]
    reject, mark = (_score(given.get(key)) for key in ("reject", "mark"))
    tag = given.get("subject_tag")
    suffixes = _suffixes(given.get("attachment_suffixes"))
    wrong = {
        "reject": reject is None,
        "mark": mark is None,
        "subject_tag": _tag_fault(tag),
        "attachment_suffixes": suffixes is None,
        "greylist": not isinstance(given.get("greylist"), bool),
    }
    faults += [
        f"{where}: {key} {shortened(given[key])} is not valid; {_EXPECTED[key]}"
        for key in KEYS
        if key in given and wrong[key]
    ]
    if faults:
        return None, faults
    if reject and mark and float(mark) > float(reject):
        return None, [f"{where}: mark {mark} is above reject {reject}; expected at most the same"]
    if mark and tag is None:
        if _tag_fault(site_tag) or _TEMPLATE.search(site_tag):
            text = f"has a mark, and spamassassin_subject_tag {site_tag!r} is more than a text"
            return None, [f"{where}: {text}; expected a subject_tag of its own, '' for none"]
        tag = site_tag
    return DomainRule(
        reject, mark, None if tag is None else str(tag), suffixes, given.get("greylist") is not False
    ), []


def wrong_line(text: str) -> str:
    """Return what the programs would not understand in a file's text: a line, or 'no end'; '' for nothing."""
    said: dict[str, int] = {}
    for line in text.removesuffix("\n").split("\n"):
        word, blank, value = line.partition(" ")
        if "end" in said:
            return f"a line behind 'end': {line}"
        if not line or line.startswith("#"):
            continue
        if word not in _FITS or bool(blank) != (_FITS[word] is not None) or not _may_follow(word, said):
            return line
        fits = _FITS[word]
        if fits is not None and not fits(value):
            return line
        said = {word: 1} if word == "rule" else {**said, word: said.get(word, 0) + 1}
    return "" if "end" in said else "no end"


_FITS: Mapping[str, Callable[[str], bool] | None] = {
    "rule": None,
    "end": None,
    "no_subject_tag": None,
    "no_suffix": None,
    "no_greylist": None,
    "reject": lambda value: bool(_SCORE.fullmatch(value)),
    "mark": lambda value: bool(_SCORE.fullmatch(value)),
    "subject_tag": lambda value: not _tag_fault(value) and bool(value),
    "suffix": lambda value: _suffixes([value]) is not None,
    "domain": lambda value: re.fullmatch(r"(?![.])[a-z0-9_.-]{1,255}(?<![.])", value) is not None,
}
_EXCLUDED = {  # by what was said before in the same rule
    "reject": ("reject",),
    "mark": ("mark",),
    "no_greylist": ("no_greylist",),
    "subject_tag": ("subject_tag", "no_subject_tag"),
    "no_subject_tag": ("subject_tag", "no_subject_tag"),
    "suffix": ("no_suffix",),
    "no_suffix": ("suffix", "no_suffix"),
}


def _may_follow(word: str, said: Mapping[str, int]) -> bool:
    if word in ("rule", "end"):
        return True
    if "rule" not in said or any(one in said for one in _EXCLUDED.get(word, ())):
        return False
    return word != "suffix" or said.get("suffix", 0) < SUFFIXES_MAX
