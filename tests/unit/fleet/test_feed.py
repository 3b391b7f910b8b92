# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened here: read from logs and lists, and what peers said is never told as news."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.times import utc
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import feed
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.feed import (
    Draft,
    Feed,
    GreyFeed,
    act_of,
    adaptive_drafts,
    author,
    list_drafts,
    parse_view,
    view_of,
    view_values,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.merge import Acts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.multilog import Follower
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import entries

AT = 1_795_000_000
HOST = "mx1"


def stamped(text: str, at: int = AT) -> str:
    return f"{tai64n.render(at * 10**9)} {text}"


GREY_LINES = [
    ("smtpfront[6kz3rt9qm4]: new 192.0.2.9 192.0.2.0/24 wait 60", Grey("192.0.2.0/24", False, AT)),
    ("smtpfront[6kz3rt9qm4]: passed 192.0.2.9 192.0.2.0/24 after 70", Grey("192.0.2.0/24", True, AT)),
    ("smtpfront[6kz3rt9qm4]: known 2001:db8::9 2001:db8::/64", Grey("2001:db8::/64", True, AT)),
    ("cqgreylist[77]: new 192.0.2.9 192.0.2.0/24 wait 60", Grey("192.0.2.0/24", False, AT)),
    ("smtpfront[6kz3rt9qm4]: early 192.0.2.9 192.0.2.0/24 7 of 60", None),
    ("smtpfront[6kz3rt9qm4]: skipped 192.0.2.9 - exempt", None),
    ("smtpfront[6kz3rt9qm4]: known 192.0.2.9 0.0.0.0/0", None),
    ("qmail-smtpd: smtpfront[6kz3rt9qm4]: known 192.0.2.9 192.0.2.0/24", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "told"), GREY_LINES)
def test_the_log_of_sessions_tells_what_the_greylist_did(line: str, told: Grey | None) -> None:
    assert GreyFeed(86_400).read([stamped(line)]) == ([told] if told else [])


def test_a_network_that_is_known_is_told_once_a_renewal() -> None:
    known = "smtpfront[6kz3rt9qm4]: known 192.0.2.9 192.0.2.0/24"
    grey = GreyFeed(3600)
    assert len(grey.read([stamped(known, AT), stamped(known, AT + 3599)])) == 1
    assert len(grey.read([stamped(known, AT + 3600)])) == 1
    grey.heard([Grey("192.0.2.0/24", True, AT + 7000)])  # a peer has just told it
    assert grey.read([stamped(known, AT + 8000)]) == []


def test_the_memory_of_what_was_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REMEMBERED_MAX", 2)
    grey = GreyFeed(3600)
    lines = [stamped(f"smtpfront[6kz3rt9qm4]: known 10.0.{n}.1 10.0.{n}.0/24") for n in (1, 2, 3, 1)]
    assert len(grey.read(lines)) == 4  # the first was forgotten


def test_the_log_of_the_blacklist_tells_listings_and_an_operators_release() -> None:
    until = AT + 14_400
    lines = [
        stamped(
            f"adaptive-blacklist: listed 203.0.113.9 until {utc(until)}: 5 of 6 attempts bad in 24 hours"
        ),
        stamped(f"adaptive-blacklist: added 2001:db8::/64 until {utc(until)}: guesses recipients"),
        stamped(
            f"adaptive-blacklist: released 203.0.113.9 by operator: it was refused until {utc(until)}, x"
        ),
    ]
    assert adaptive_drafts(lines, HOST) == [
        Draft(
            "adaptive", "203.0.113.9", "list", "blacklist@mx1", "5 of 6 attempts bad in 24 hours", until, AT
        ),
        Draft("adaptive", "2001:db8::/64", "list", "blacklist@mx1", "guesses recipients", until, AT),
        Draft("adaptive", "203.0.113.9", "release", "operator@mx1", "", None, AT),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "adaptive-blacklist: released 203.0.113.9 by site: it was refused until then",
        "adaptive-blacklist: released 203.0.113.9 by fleet: it was refused until then",
        "adaptive-blacklist: expired 203.0.113.9: 5 of 6",
        "adaptive-blacklist: dropped 203.0.113.9: more than 5 entries",
        "adaptive-blacklist: spared 203.0.113.9: it is protected",
        "adaptive-blacklist: heard 203.0.113.9 until 2026-11-18 10:26:40 UTC: 5 of 6",
        "adaptive-blacklist: listed 203.0.113.9 until tomorrow UTC: 5 of 6",
        "adaptive-blacklist: log /x: listed 203.0.113.9 until 2026-11-18 10:26:40 UTC: 5 of 6",
    ],
)
def test_other_lines_of_the_blacklist_are_not_told(text: str) -> None:
    assert adaptive_drafts([stamped(text), text], HOST) == []


RULES = """\
# {"by": "alice", "note": "phishes", "until": 1795000600}
198.51.100.:deny
192.0.2.7:allow,WHITELISTED=""
# by hand
192.0.2.8:allow,RBLSMTPD=""
# mailgate: {"relay_networks": ["10.9.0.0/24"]}
# {"by": "alice", "note": "branch office"}
10.9.0.:allow,RELAYCLIENT=""
"""
SCORES = """\
# {"by": "bob@mx2", "note": "wanted"}
welcomelist_from news@good.example
blocklist_from *@bad.example
"""


def texts(rules: str = "", senders: str = "", scores: str = "") -> dict[str, tuple[str, str]]:
    return {
        entries.CLIENTS: (rules, "20-operator"),
        entries.SENDERS: (senders, "senders"),
        entries.TRUSTED: (scores, "operator.cf"),
        entries.BLOCKED: (scores, "operator.cf"),
    }


def test_the_lists_are_read_with_author_note_and_end_and_no_relay_network() -> None:
    view = view_of(texts(RULES, "", SCORES), HOST)
    assert view == {
        ("client", "198.51.100.0/24"): ("deny", "alice@mx1", "phishes", 1_795_000_600),
        ("client", "192.0.2.7/32"): ("allow", "operator@mx1", "", None),
        ("score", "news@good.example"): ("trust", "bob@mx2", "wanted", None),
        ("score", "@bad.example"): ("distrust", "operator@mx1", "", None),
    }
    assert parse_view(view_values(view), "state") == view


@pytest.mark.parametrize("value", [None, {}, [[]], [["client", "v", "deny", "b", "n"]], [["relay", "v", "a", "b", "n", None]], [["client", "v", "deny", "b", "n", "1"]]])  # fmt: skip # noqa: E501
def test_a_damaged_view_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^state.*expected"):
        parse_view(value, "state")


def test_what_changed_in_the_lists_is_an_act() -> None:
    key, other = ("client", "198.51.100.0/24"), ("sender", "@bad.example")
    before: feed.View = {
        key: ("deny", "alice@mx1", "phishes", None),
        other: ("block", "bob@mx1", "spam", None),
    }
    after: feed.View = {key: ("allow", "alice@mx1", "a customer", None)}
    assert list_drafts(before, before, HOST, AT) == []
    assert list_drafts(before, after, HOST, AT) == [
        Draft("sender", "@bad.example", "remove", "operator@mx1", "", None, AT),
        Draft("client", "198.51.100.0/24", "allow", "alice@mx1", "a customer", None, AT),
    ]


def test_an_entry_that_ended_was_not_removed_by_anybody() -> None:
    before: feed.View = {("client", "198.51.100.0/24"): ("deny", "alice@mx1", "phishes", AT + 60)}
    assert list_drafts(before, {}, HOST, AT) == []
    assert [one.action for one in list_drafts(before, {}, HOST, AT - 3600)] == ["remove"]
    assert list_drafts({}, before, HOST, AT + 60) == []


DENY = Draft("client", "198.51.100.0/24", "deny", "alice@mx1", "phishes", None, AT)


def test_a_draft_gets_the_next_version_over_the_one_that_stands() -> None:
    acts = Acts(HOST)
    first = act_of(DENY, acts)
    assert first == Act(
        "client", "198.51.100.0/24", "deny", "alice@mx1", "phishes", None, AT, Version(1, HOST)
    )
    acts.take(first)
    acts.counters.see([Version(7, "mx2")])
    second = act_of(Draft("client", "198.51.100.0/24", "remove", "operator@mx1", "", None, AT), acts)
    assert second is not None
    assert (second.version, second.over) == (Version(8, HOST), Version(1, HOST))


def test_what_a_peer_said_and_the_writer_wrote_is_not_told_again() -> None:
    acts = Acts(HOST)
    acts.take(Act("client", "198.51.100.0/24", "deny", "alice@mx2", "phishes", None, AT, Version(4, "mx2")))
    echo = Draft("client", "198.51.100.0/24", "deny", "alice@mx2", "phishes", None, AT + 3)
    assert act_of(echo, acts) is None
    acts.take(Act("client", "198.51.100.0/24", "remove", "alice@mx2", "", None, AT, Version(5, "mx2")))
    assert act_of(Draft("client", "198.51.100.0/24", "remove", "operator@mx1", "", None, AT), acts) is None
    assert acts.counters.highest == 5


def test_a_listing_that_hardly_lasts_longer_is_not_told_again() -> None:
    acts = Acts(HOST)
    acts.take(Act("adaptive", "203.0.113.9", "list", "blacklist@mx2", "x", AT + 99, AT, Version(4, "mx2")))
    assert act_of(Draft("adaptive", "203.0.113.9", "list", "blacklist@mx1", "y", AT + 150, AT), acts) is None
    longer = act_of(Draft("adaptive", "203.0.113.9", "list", "blacklist@mx1", "y", AT + 200, AT), acts)
    assert longer is not None


@pytest.mark.parametrize("draft", [
    Draft("client", "198.51.100.0/24", "deny", "alice@mx1", "n" * 201, None, AT),
    Draft("client", "0.0.0.0/0", "deny", "alice@mx1", "phishes", None, AT),
    Draft("client", "198.51.100.0/24", "deny", "alice@mx1", "two\nlines", None, AT),
])  # fmt: skip
def test_what_cannot_be_told_takes_no_version(draft: Draft) -> None:
    acts = Acts(HOST)
    with pytest.raises(BadInput, match="expected"):
        act_of(draft, acts)
    assert acts.counters.highest == 0


def test_an_author_keeps_the_host_of_the_act() -> None:
    assert [author(one, HOST) for one in ("alice", "", "bob@mx2")] == ["alice@mx1", "operator@mx1", "bob@mx2"]


def test_a_feed_reads_all_and_says_what_it_cannot_read(tmp_path: Path) -> None:
    for name in ("smtp", "adaptive"):
        (tmp_path / name).mkdir()
    (tmp_path / "smtp" / "current").write_text(stamped(GREY_LINES[0][0]) + "\n")
    listed = f"adaptive-blacklist: listed 203.0.113.9 until {utc(AT + 60)}: x"
    (tmp_path / "adaptive" / "current").write_text(stamped(listed) + "\n")
    lists: list[Any] = [
        texts(RULES),
        None,
        texts("nonsense"),
        None,
        texts(RULES.replace("192.0.2.7", "192.0.2.9")),
    ]
    smtp, adaptive = Follower(str(tmp_path / "smtp")), Follower(str(tmp_path / "adaptive"))
    one = Feed(HOST, smtp, adaptive, lambda: lists.pop(0), GreyFeed(3600))
    happened = one.read(AT)
    assert happened.greys == [Grey("192.0.2.0/24", False, AT)]
    assert [draft.value for draft in happened.drafts] == ["203.0.113.9", "192.0.2.7/32", "198.51.100.0/24"]
    assert one.read(AT).drafts == []
    assert one.read(AT).drafts == []  # nobody acted: the file is damaged
    assert "operators' lists" in one.trouble
    assert one.read(AT).drafts == []
    assert "operators' lists" in one.trouble  # as long as it is damaged
    assert [draft.action for draft in one.read(AT).drafts] == ["remove", "allow"]
    assert one.trouble == {}
    assert Follower(str(tmp_path / "smtp"), smtp.position).read() == []


def test_an_old_line_of_the_log_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / "current").write_text(
        stamped(f"adaptive-blacklist: listed 203.0.113.9 until {utc(AT)}: x") + "\n"
    )
    one = Feed(HOST, Follower(str(tmp_path / "none")), Follower(str(tmp_path)), lambda: None, GreyFeed(3600))
    assert one.read(AT).drafts == []


def test_what_was_applied_is_not_news_and_what_is_changed_then_is(tmp_path: Path) -> None:
    deny = Act("client", "198.51.100.0/24", "deny", "alice@mx2", "phishes", None, AT, Version(4, "mx2"))
    written = '# {"by": "alice@mx2", "note": "phishes"}\n198.51.100.:deny\n'
    lists: list[Any] = [texts(), texts(written), texts(), texts()]
    none = Follower(str(tmp_path / "none"))
    one = Feed(HOST, none, none, lambda: lists.pop(0), GreyFeed(3600))
    one.read(AT)
    one.applied(deny)
    assert one.read(AT).drafts == []
    assert [draft.action for draft in one.read(AT).drafts] == ["remove"]
    one.applied(Act("client", "198.51.100.0/24", "remove", "x@mx2", "", None, AT, Version(5, "mx2")))
    assert one.read(AT).drafts == []
