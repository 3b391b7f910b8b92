# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run says at its beginning what it compiles and fetches, and about how long that takes."""

from __future__ import annotations

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.run_plan import plan


def test_a_fresh_host_with_an_empty_cache() -> None:
    assert plan(["djbdns", "djbdns", "clamav"], [], [], ["clamav", "clamav", "signatures"]) == [
        "to be compiled: djbdns, clamav (about 14 min)",
        "to be fetched: clamav, signatures",
        "about 17 min on two cores, and the time of the network",
    ]


def test_a_second_host_and_a_second_run() -> None:
    assert plan(["clamav", "dcc"], ["dcc"], ["clamav", "dcc"], []) == [
        "there, compiled again only where its recipe has changed: dcc",
        "from the cache, or compiled if that has no build of this platform: clamav",
        "about 1 min on two cores, and the time of the network",
    ]


def test_a_run_that_builds_nothing_says_nothing() -> None:
    assert plan([], ["clamav"], ["clamav"], []) == []
