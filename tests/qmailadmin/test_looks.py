# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that are not lists of the operator's, the menu, the help, and what every page shares."""

from __future__ import annotations

import pytest
from qmailadmin.pages import PAGES
from support.screen_driver import MENU, SIZE, Driver, play
from support.scripted_service import HOUR, NOW, Service, entry, no

pytestmark = pytest.mark.slow


def test_recipients_are_looked_up_and_an_unknown_one_is_added(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("l")
        await driver.press("enter")  # nothing is asked about nothing
        await driver.type("bob@example.com")
        await driver.press("enter")
        await driver.sees("bob@example.com is taken")
        assert "Add it" not in driver.text
        await driver.press("f2", "ctrl+u")
        await driver.type("nobody")
        await driver.press("enter")
        await driver.sees("address: 'nobody' has no '@'; expected user@domain")
        assert "Add it" not in driver.text
        await driver.press("ctrl+u")
        await driver.type("eve@example.com")
        await driver.press("enter")
        await driver.sees("eve@example.com is refused: nobody knows it", "Add it")
        await driver.press("f2")
        await driver.sees("Add a recipient", "good: eve@example.com")
        await driver.type("starts today")  # the value is there, so why is asked first
        await driver.press("f2")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("done (audit 2)", "2 in the list", "eve@example.com")

    play(service.path, story, page="recipients")
    assert [one["address"] for one in service.seen("recipient")] == [
        "bob@example.com",
        "nobody",
        "eve@example.com",
    ]


def test_a_look_up_can_be_left(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("l", "escape")
        await driver.sees("1 in the list")

    play(service.path, story, page="recipients")
    assert service.seen("recipient") == []


def test_the_blacklist_is_explained_and_released(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees(
            "3 in the list, 1 of them spared", "12 of 14 attempts bad in 60 minutes", "(in 3 h)"
        )
        await driver.press("e")
        await driver.sees("What is known about a client", "203.0.113.77: refused")
        await driver.press("ctrl+u")
        await driver.type("192.0.2.1")
        await driver.press("enter")
        await driver.sees("192.0.2.1: refused")
        await driver.press("escape", "x")
        await driver.sees("Release a client", "203.0.113.77")
        await driver.press("f2")
        await driver.sees("why: is missing")
        await driver.type("their admin called")
        await driver.press("enter")
        await driver.sees("the adaptive blacklist refuses 203.0.113.77 no longer")
        assert service.seen("release") == []
        await driver.press("y")
        await driver.sees("done (audit 2): 203.0.113.77 is refused no longer", "2 in the list")

    play(service.path, story, page="blacklist")
    assert service.seen("release") == [
        {"do": "release", "address": "203.0.113.77", "note": "their admin called"}
    ]


def test_releasing_somebody_who_is_not_there_shows_what_the_service_says(service: Service) -> None:
    service.blacklist = []

    async def story(driver: Driver) -> None:
        await driver.sees("1 in the list")
        await driver.press("x", "shift+tab", "ctrl+u")
        await driver.type("nonsense")
        await driver.press("enter")
        await driver.type("why not")
        await driver.press("enter")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("address: 'nonsense' is not refused; expected one of the list")

    play(service.path, story, page="blacklist")


def test_the_greylist_is_searched_and_a_client_let_pass(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list", "203.0.113.0/24 11-20 11:59 waits", "First seen")
        await driver.press("slash")
        await driver.type("198.51")
        await driver.sees("1 match", "198.51.100.0/24 passes", "Last seen 2026-11-20 07:00 UTC")
        await driver.press("escape")
        await driver.sees("2 in the list")
        await driver.press("p")
        await driver.sees("Let a client pass the greylist", "203.0.113.0")
        await driver.type("their admin called")
        await driver.press("enter")
        await driver.sees("the network of 203.0.113.0 passes the greylist from now on")
        await driver.press("y")
        await driver.sees("done (audit 2): 203.0.113.0/24 passes", "203.0.113.0/24 11-20 11:59 passes")

    play(service.path, story, page="greylist")
    assert service.seen("pass") == [{"do": "pass", "address": "203.0.113.0", "note": "their admin called"}]
    assert {"do": "greylist", "search": "198.51"} in service.seen("greylist")


def test_the_queue_is_searched_and_flushed(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list, 3 more are not shown: search for them", "48 kB", "bob@example.c")
        await driver.sees("To: carol@example.com (remote, done)", "To: bob@example.com (remote, waits)")
        await driver.press("slash")
        await driver.type("carol")
        await driver.sees("1 match")
        await driver.press("enter", "f")
        await driver.type("Exchange is back")
        await driver.press("enter")
        await driver.sees("every waiting delivery is tried now")
        await driver.press("y")
        await driver.sees("done (audit 2): 2 messages are tried now")

    play(service.path, story, page="queue")
    assert service.seen("flush") == [{"do": "flush", "note": "Exchange is back"}]


def test_the_audit_says_who_did_what_and_why(service: Service) -> None:
    service.records.insert(0, {**service.records[0], "number": 2, "by": "", "do": "expire", "from": 0})

    async def story(driver: Driver) -> None:
        await driver.sees("2 in the list", "add relay 10.20.0.0/16", "expire relay", "by the service (uid 0)")
        await driver.press("down")
        await driver.sees("by alice (uid 1001)", "Why: branch office in Leeds", "may relay")
        await driver.press("u")
        await driver.sees("Undo act 1", "1: add relay 10.20.0.0/16")
        assert service.seen("undo")[0] == {"do": "undo", "preview": True, "number": 1}
        await driver.press("y")
        await driver.sees("done (audit 3)", "3 in the list", "undo relay")

    play(service.path, story, page="audit")


def test_the_status_shows_the_worst_first_with_advice(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("4 in the list, overall: CRITICAL", "Do: mailgate recipients update says why")
        order = [line[MENU:].split()[0] for line in driver.lines[4:8]]
        assert order == ["CRITICAL", "UNKNOWN", "WARNING", "OK"]
        await driver.press("enter")
        await driver.sees("recipients", "Do: mailgate recipients update says why", "Close")
        await driver.press("escape", "down", "down")
        await driver.sees("Do: look at /var/log/freshclam")
        service.doctor = {"status": 0, "findings": service.doctor["findings"][:1]}
        await driver.press("r")
        await driver.sees("1 in the list, overall: OK")

    play(service.path, story, page="status")


def test_every_page_by_its_key_and_by_the_menu_at_80_by_24(service: Service) -> None:
    async def story(driver: Driver) -> None:
        for key, name, words, make in PAGES:
            await driver.press(key)
            await driver.sees(make.TITLE, "in the list")
            assert driver.app.page.id == name
            assert f"{key} {words}" in "\n".join(driver.lines)
            # Nothing of the page is cut off: title, keys, and no bar to scroll sideways.
            assert driver.lines[-1].rstrip().endswith("q Quit"), driver.lines[-1]
            assert not driver.app.page.table.show_horizontal_scrollbar, name
            await driver.press("question_mark")
            await driver.sees("Help", make.TITLE, *make.HELP, "q leave; Ctrl+Q: from everywhere")
            # A key of a page has no effect while a window is above it.
            await driver.press("1", "s")
            await driver.sees("Help")
            await driver.press("escape")
        await driver.press("tab", "tab", "up", "enter")
        await driver.sees("Audit: who did what")
        assert driver.app.page.table.has_focus

    play(service.path, story)


@pytest.mark.parametrize("size", [(60, 18), SIZE, (200, 50)], ids=str)
def test_any_size_will_do_and_a_wide_one_shows_more(service: Service, size: tuple[int, int]) -> None:
    service.lists["senders"][0]["note"] = "a note that needs far more than a narrow column to be told"

    async def story(driver: Driver) -> None:
        await driver.sees("in the")
        line = next(line for line in driver.lines if "@spam.example" in line and "never" in line)
        assert ("to be told" in line) == (size[0] > 80)
        await driver.press("a")
        await driver.sees("Add a sender")
        await driver.press("escape")
        await driver.pilot.resize_terminal(120, 30)
        await driver.until(
            lambda: any("never" in line and "narrow column" in line for line in driver.lines),
            lambda: "\n".join(driver.lines),
        )

    play(service.path, story, page="senders", size=size)


def test_q_leaves_from_a_page_and_ctrl_q_from_everywhere(service: Service) -> None:
    left = []

    async def story(driver: Driver) -> None:
        await driver.press("a", "q")  # a letter of the value
        assert driver.app.is_running
        assert driver.app.focused is not None and driver.app.focused.value == "q"
        await driver.press("ctrl+q")
        left.append(driver.app._exit)

    async def other(driver: Driver) -> None:
        await driver.press("q")
        left.append(driver.app._exit)

    play(service.path, story)
    play(service.path, other)
    assert left == [True, True]


def test_an_act_that_the_service_knows_not_is_said(service: Service) -> None:
    service.script["flush"] = no("request: do 'flush' is not known; expected one of entries, check", True)

    async def story(driver: Driver) -> None:
        await driver.press("f")
        await driver.type("now")
        await driver.press("enter")
        await driver.sees("What this does:")
        await driver.press("y")
        await driver.sees("request: do 'flush' is not known; expected one of entries, check")

    play(service.path, story, page="queue")


@pytest.mark.parametrize("page", ["relay", "clients", "blacklist", "greylist"])
def test_a_network_of_ipv6_is_shown_whole(service: Service, page: str) -> None:
    network, host = "2001:db8:1234:5678::/64", "2001:db8:1234:5678:9abc:def0:1234:5678/128"
    if page in service.lists:
        action = "deny" if page == "clients" else ""
        service.lists[page] += [entry(one, action, "alice", "sends junk") for one in (network, host)]
    elif page == "blacklist":
        service.blacklist.append({"address": network, "until": NOW + HOUR, "by": "rule", "why": "sends junk"})
    else:
        service.greylist.append({"network": network, "since": NOW - HOUR, "passed": False})

    async def story(driver: Driver) -> None:
        await driver.sees(network)
        if page in service.lists:
            await driver.press(*["down"] * len(service.lists[page]))
            await driver.sees(host, "sends junk")  # the address itself is among the details

    play(service.path, story, page=page)


def test_what_became_of_mail_is_found_by_its_recipient(service: Service) -> None:
    async def story(driver: Driver) -> None:
        await driver.sees("Why has it not arrived?", "2 in the list")
        await driver.press("slash")
        await driver.type("gail@example.com")
        await driver.press("enter")
        await driver.sees("1 match", "From: gwen@waits.example", "= greylisted, first contact")
        await driver.sees("client 203.0.113.2", "To: gail@example.com")
        assert service.seen("trace")[-1] == {"do": "trace", "search": "gail@example.com"}
        await driver.press("enter")
        await driver.sees("cqgreylist: refused for <gary@example.com> from <gwen@waits.example>")
        await driver.press("escape", "escape", "1")
        await driver.sees("Relay networks")

    play(service.path, story, page="trace")


def test_an_address_is_searched_for_in_any_form(service: Service) -> None:
    service.lists["clients"].append(entry("2001:db8:5::/48", "deny", "alice", "sends junk"))

    async def story(driver: Driver) -> None:
        await driver.press("/")
        await driver.type("2001:0DB8:5:0::/48")
        await driver.sees("1 of 3 match", "2001:db8:5::/48")

    play(service.path, story, page="clients")
