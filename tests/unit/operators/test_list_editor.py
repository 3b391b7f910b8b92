# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts of operators: allowed and refused ones, two at once, a crash in the middle, and undo."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    Busy,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import list_editor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.list_editor import ListEditor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import site_fragment
from support.operator_host import (
    ALICE,
    BOB,
    PROTECTED,
    PROTECTED_HERE,
    RELAY,
    Caller,
    Host,
    add,
    remove,
    together,
)

STEPS = ("begun", "written", "done")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def editor(host: Host) -> ListEditor:
    return host.editor()


DONE = [
    ("clients", "198.51.100.9", "deny", ["198.51.100.9/32 is refused"]),
    ("clients", "10.0.0.9", "deny", ["10.0.0.9/32 is refused and loses relay"]),
    ("clients", "198.51.100.0/24", "allow", ['198.51.100.0/24 gains WHITELISTED=""', "WHITELISTED: neither the greylist nor a DNS list nor the adaptive blacklist keeps it out"]),
    ("clients", "192.0.2.0/24", "deny", ["192.0.2.200 is this gateway itself", "192.0.2.0 to 192.0.2.9 is refused", "192.0.2.11 to 192.0.2.255 is refused"]),
    ("clients", "2001:db8:50::/48", "deny", ["2001:db8:50::25 is this gateway itself", "2001:db8:50::/48 is refused"]),
    ("relay", "10.9.0.0/16", "", ["10.9.0.0/16 gains relay"]),
    ("senders", "a@b.example", "", ["sender a@b.example will be refused"]),
    ("senders", "@example.com", "", ["example.com is a domain of this site: mail that its own people send through this gateway is refused, too", "every sender @example.com will be refused"]),
    ("trusted", "@b.example", "", ["mail of every sender @b.example is never called spam", "the address is not verified: whoever uses it as sender passes, too"]),
    ("blocked", "a@b.example", "", ["mail of sender a@b.example is always called spam"]),
]  # fmt: skip
REFUSED = [
    ("relay", RELAY, "", f"{RELAY}: it may relay by the site file; change it there"),
    ("relay", "127.0.0.1", "", "127.0.0.1/32: it may relay by the site file; change it there"),
    ("clients", PROTECTED, "deny", f"{PROTECTED}: it is protected by the site file: nobody may refuse it"),
    ("clients", "192.0.2.10/31", "deny", "192.0.2.10/31: it is protected"),
    ("clients", RELAY, "deny", f"{RELAY}: has no effect, DIR/10-site line 5 comes first: '10.0.0.:allow,RELAYCLIENT=\"\"'"),
    ("clients", "127.0.0.1", "deny", "127.0.0.1/32: has no effect, DIR/10-site line 4 comes first: '127.0.0.1:allow,RELAYCLIENT=\"\"'"),
    ("clients", "10.0.0.9", "allow", f"10.0.0.9/32: relays by '{RELAY}', which this would end; expected none there"),
    ("clients", "203.0.113.5", "deny", f"203.0.113.5/32: '{PROTECTED_HERE}' is protected here; expected a network without it"),
    ("clients", "203.0.0.0/8", "deny", f"203.0.0.0/8: '{PROTECTED_HERE}' is protected here; expected a network without it"),
    ("clients", PROTECTED_HERE, "deny", f"{PROTECTED_HERE}: it is protected here by the site file: no operator may refuse it"),
    ("clients", "198.51.100.9", "", "action: '' is not an action; expected 'allow' or 'deny'"),
    ("relay", "10.9.0.0/24", "deny", "action: 'deny' has no meaning in the list 'relay'; expected none"),
    ("senders", "site@bad.example", "", "site@bad.example: the site file refuses it; change it there"),
    ("senders", "partner.test", "", "sender: 'partner.test' is a domain; expected '@partner.test' for every sender of it, or 'user@partner.test'"),
    ("relay", "198.51.0.0/16", "", "198.51.0.0/16: has 65536 public addresses, which might all send anywhere; expected at most 256, or the network in gateway_relay_networks of the site file"),
    ("trusted", "@friend.example", "", "@friend.example: it is in DIR/sa/whitelist.cf, which is edited by hand; change it there"),
    ("recipients", "joe@example.com", "", "joe@example.com: the site file accepts it; change it there"),
    ("recipients", "joe@else.where", "", "joe@else.where: 'else.where' is not served here; expected one of any.example, example.com"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "action", "effects"), DONE)
def test_an_act_says_what_it_does_and_undo_takes_it_back(
    host: Host, editor: ListEditor, name: str, value: str, action: str, effects: list[str]
) -> None:
    before, copy = host.files(), Path(host.places.rules.copy).read_text()
    previewed = editor.request(ALICE, "add", name, value, action, "a test", None)
    assert (list(previewed.effects), previewed.problem) == (effects, "")
    assert host.files() == before
    number, done = add(editor, name, value, action)
    assert (number, list(done)) == (1, effects)
    assert host.files() != before
    made = next(one for one in editor.lists.entries(name) if one.origin == "operator")
    assert (made.action, made.note.by, made.note.note, made.fixed) == (action, "alice", "a test", "")
    assert editor.undo(ALICE)[0] == 2
    assert [one for one in editor.lists.entries(name) if one.origin == "operator"] == []
    assert Path(host.places.rules.copy).read_text() == copy


@pytest.mark.parametrize(("name", "value", "action", "problem"), REFUSED)
def test_what_is_refused_says_why_and_changes_nothing(
    host: Host, editor: ListEditor, name: str, value: str, action: str, problem: str
) -> None:
    before = host.files()
    with pytest.raises(BadInput) as caught:
        add(editor, name, value, action)
    said = str(caught.value).replace(f"{host.path}/tcp.d", "DIR").replace(str(host.path), "DIR")
    assert said == problem
    if not problem.startswith("action"):
        assert editor.check(name, value, action)[1] == str(caught.value)
    assert host.files() == before
    assert editor.audit.shown(10) == []


def test_a_denial_goes_round_what_the_site_protects(host: Host, editor: ListEditor) -> None:
    add(editor, "clients", "192.0.0.0/8", "deny")
    rules = host.rules()
    for address, action in (("192.0.2.10", "allow"), ("192.0.2.9", "deny")):
        rule = tcprules.lookup(rules, address)
        assert rule is not None and rule.action == action


def test_no_removal_shuts_a_network_out_that_is_protected_here(host: Host, editor: ListEditor) -> None:
    operator = Path(host.places.file("clients"))
    operator.write_text("203.0.:deny\n203.0.113.:allow\n")
    with pytest.raises(
        BadInput, match=r"shuts out 203\.0\.113\.0; expected no rule against a protected network"
    ):
        operator.write_text('203.0.:deny\n203.0.113.:allow,WHITELISTED=""\n')
        remove(editor, "clients", "203.0.113.0/24")
    assert "203.0.113.:allow" in operator.read_text()


def test_a_fragment_that_is_bad_already_is_to_be_mended_first(host: Host, editor: ListEditor) -> None:
    operator = Path(host.places.file("clients"))
    operator.write_text(':allow,RELAYCLIENT=""\n')
    with pytest.raises(BadInput, match=r"lets 0\.0\.0\.0 relay"):
        add(editor, "clients", "198.51.100.9", "deny")
    assert operator.read_text() == ':allow,RELAYCLIENT=""\n'


def test_removal_of_what_is_not_there(editor: ListEditor) -> None:
    with pytest.raises(BadInput, match=r"^198\.51\.100\.9/32: has no entry in the list 'clients'$"):
        remove(editor, "clients", "198.51.100.9")
    with pytest.raises(BadInput, match=r"^10\.0\.0\.0/24: it may relay by the site file; change it there$"):
        remove(editor, "relay", RELAY)


def test_an_extra_recipient_is_in_a_served_domain(host: Host) -> None:
    editor = host.editor(start=True)
    assert add(editor, "recipients", "Fax@Example.com")[1] == ("recipient fax@example.com will be accepted",)
    assert host.text("recipients").endswith('# {"by": "alice", "note": "a test"}\nfax@example.com\n')
    assert add(editor, "recipients", "x@any.example")[1] == ("recipient x@any.example will be accepted",)
    assert remove(editor, "recipients", "fax@example.com")[1] == (
        "recipient fax@example.com will be refused",
    )


def test_what_cannot_be_put_into_force_at_once_is_said(host: Host) -> None:
    host.places = type(host.places)(**{**vars(host.places), "mailgate": ("false",)})
    editor = host.editor(start=True)
    assert add(editor, "recipients", "fax@example.com")[1] == (
        "recipient fax@example.com will be accepted",
        "not in force yet: recipients: status 1",
    )
    assert (host.path / "state/recipients.wanted").exists(), "the next start would not run it"


# Two at once.


def test_two_operators_never_overwrite_each_other(host: Host, editor: ListEditor) -> None:
    def work(caller: str, start: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(start, start + 8):
                add(editor, "clients", f"198.51.100.{number}", "deny", note=caller)

        return run

    together(work("one", 1), work("two", 101))
    wanted = {f"198.51.100.{number}/32" for start in (1, 101) for number in range(start, start + 8)}
    assert {one.value for one in editor.lists.entries("clients") if one.origin == "operator"} == wanted
    assert [one["number"] for one in editor.audit.shown(100)] == list(range(16, 0, -1))


def test_nobody_writes_while_a_compiler_reads(
    host: Host, editor: ListEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_files, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(rules_files.locked.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    with rules_files.locked(host.places.rules.directory), pytest.raises(Busy):
        add(editor, "clients", "198.51.100.9", "deny")
    assert host.text("clients") == ""


def test_what_a_person_saves_meanwhile_is_not_lost(host: Host) -> None:
    path = Path(host.places.file("clients"))

    def step(name: str) -> None:
        if name == "begun":
            path.write_text("198.51.100.77:deny\n")

    with pytest.raises(MailgateError, match="somebody changed it just now; try again"):
        add(host.editor(step), "clients", "198.51.100.9", "deny")
    assert path.read_text() == "198.51.100.77:deny\n"
    assert host.editor().audit.shown(10) == []


# Killed in the middle.


@pytest.mark.parametrize("at", STEPS)
@pytest.mark.parametrize("name", ["clients", "senders", "trusted", "recipients"])
def test_kill_9_leaves_nothing_or_an_act_that_the_audit_shows(host: Host, at: str, name: str) -> None:
    value = "198.51.100.9/32" if name == "clients" else "a@example.com"
    action = "deny" if name == "clients" else ""
    pid = os.fork()
    if pid == 0:
        try:
            add(
                host.editor(lambda step: os.kill(os.getpid(), 9) if step == at else None), name, value, action
            )
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 9
    after = host.editor(start=True)
    there = value in [one.value for one in after.lists.entries(name) if one.origin == "operator"]
    assert there == (at != "begun")
    assert [one["value"] for one in after.audit.shown(10)] == ([value] if there else [])
    assert (
        host.said
        == {
            "begun": ["act 1 was interrupted: failed"],
            "written": ["act 1 was interrupted: done"],
            "done": [],
        }[at]
    )
    if name == "clients":
        rule = tcprules.lookup(host.rules(), "198.51.100.9")
        assert rule is not None and (rule.action == "deny") == there, "in force once the service is up"
    # It is an act like any other: the next one goes on from there, and it can be taken back.
    if there:
        assert after.undo(ALICE)[0] == 2
        assert [one for one in after.lists.entries(name) if one.origin == "operator"] == []


def test_an_act_outside_of_the_lists_is_not_guessed(host: Host) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            editor = host.editor(lambda step: os.kill(os.getpid(), 9))
            editor.keep(ALICE, "pass", "198.51.100.0/24", "", list)
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    (shown,) = host.editor().audit.shown(10)
    assert (shown["do"], shown["effects"]) == (
        "pass",
        ["it was interrupted; whether it took effect is unknown"],
    )


def test_a_line_that_was_cut_off_is_no_act(host: Host, editor: ListEditor) -> None:
    add(editor, "clients", "198.51.100.9", "deny")
    with open(host.places.audit, "ab") as stream:
        stream.write(b'{"number": 2, "stage": "begun", "at": 17')
    later = host.editor()
    assert [one["number"] for one in later.audit.shown(10)] == [1]
    assert add(later, "clients", "198.51.100.10", "deny")[0] == 2
    assert [one["number"] for one in host.editor().audit.shown(10)] == [2, 1]


def test_without_an_audit_line_there_is_no_act(
    host: Host, editor: ListEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dummy: int) -> None:
        raise OSError(28, "No space left on device")

    before = host.files()
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            add(editor, "clients", "198.51.100.9", "deny")
    assert host.files() == before
    assert Path(host.places.audit).read_bytes() == b""
    assert add(editor, "clients", "198.51.100.9", "deny")[0] == 1


def test_the_audit_log_is_only_added_to(host: Host, editor: ListEditor) -> None:
    seen = b""
    for work in (
        lambda: add(editor, "clients", "198.51.100.9", "deny"),
        lambda: editor.undo(ALICE),
        lambda: add(editor, "senders", "a@b.example", caller=BOB, seconds=60),
    ):
        work()
        now = Path(host.places.audit).read_bytes()
        assert now.startswith(seen) and now != seen
        seen = now
    assert Path(host.places.audit).stat().st_mode & 0o777 == 0o640
    first = json.loads(seen.splitlines()[0])
    assert (first["by"], first["from"], first["at"], first["before"]) == ("alice", 1001, int(host.now), None)
    assert (editor.audit.shown(1)[0]["by"], editor.audit.shown(1)[0]["until"]) == ("bob", int(host.now) + 60)


def test_a_public_network_relays_only_for_a_time(host: Host, editor: ListEditor) -> None:
    """Root may say for ever; and the words on it come first."""
    with pytest.raises(BadInput, match=r"would relay for ever; expected an end"):
        add(editor, "relay", "198.51.100.0/30", "")
    assert editor.check("relay", "198.51.100.0/30", "") == ("198.51.100.0/30", "")
    dummy, effects = add(editor, "relay", "198.51.100.0/30", "", seconds=3600)
    assert effects[0].startswith("4 public addresses may send anywhere")
    add(editor, "relay", "198.51.100.128", "", caller=Caller(0, "root"))
    assert "198.51.100.128" in host.relays()


# Undo, and what ends.


def test_undo_takes_back_ones_own_last_act_that_stands(host: Host, editor: ListEditor) -> None:
    add(editor, "clients", "198.51.100.1", "deny")
    add(editor, "clients", "198.51.100.2", "deny")
    add(editor, "clients", "198.51.100.3", "deny", caller=BOB)
    remove(editor, "clients", "198.51.100.2", BOB)
    record, change = editor.to_undo(ALICE)
    assert (record["number"], change.effects) == (1, ("198.51.100.1/32 is no longer refused",))
    assert editor.undo(ALICE)[1] == ("198.51.100.1/32 is no longer refused",)
    with pytest.raises(BadInput, match="none of your acts is still in effect"):
        editor.undo(ALICE)
    assert editor.undo(BOB)[1] == ("198.51.100.2/32 is refused",)
    (back,) = [one for one in editor.lists.entries("clients") if one.value == "198.51.100.2/32"]
    assert back.note.by == "alice", "it is Alice's entry again"


def test_undo_of_a_number_is_of_that_act(host: Host, editor: ListEditor) -> None:
    """Whoever did it: operators may remove each other's entries as well."""
    add(editor, "clients", "198.51.100.1", "deny")
    add(editor, "clients", "198.51.100.2", "deny")
    record, change = editor.to_undo(BOB, 1)
    assert (record["by"], change.effects) == ("alice", ("198.51.100.1/32 is no longer refused",))
    assert editor.undo(BOB, 1)[1] == ("198.51.100.1/32 is no longer refused",)
    for number, words in (
        (1, "undo: act 1 was undone; expected one that still stands"),
        (3, "undo: act 3 is an undo; expected an act of an operator"),
        (4, "undo: act 4 is not known or was not done; expected one of the audit log"),
    ):
        with pytest.raises(BadInput) as caught:
            editor.undo(BOB, number)
        assert str(caught.value) == words
    add(editor, "clients", "198.51.100.2", "allow", caller=BOB)
    with pytest.raises(BadInput, match="act 2 is no longer in effect: its entry changed since"):
        editor.undo(ALICE, 2)


@pytest.mark.parametrize("do", ["release", "pass", "flush"])
def test_what_nothing_reverses_is_said_and_no_older_act_is_undone(
    host: Host, editor: ListEditor, do: str
) -> None:
    add(editor, "clients", "198.51.100.1", "deny")
    editor.keep(ALICE, do, "198.51.100.9", "why", lambda: ["done"])
    before = host.files()
    for number in (None, 2):
        with pytest.raises(
            BadInput, match=rf"undo: act 2, {do} 198\.51\.100\.9, cannot be undone: "
        ) as caught:
            editor.undo(ALICE, number)
        assert str(caught.value).endswith("; act 1 can be, by its number") == (number is None)
    assert host.files() == before
    assert editor.undo(ALICE, 1)[0] == 3


def test_undo_gives_back_what_was_there_before(host: Host, editor: ListEditor) -> None:
    add(editor, "clients", "198.51.100.1", "deny", seconds=60)
    add(editor, "clients", "198.51.100.1", "allow", caller=BOB, note="not so bad")
    assert len(host.text("clients").splitlines()) == 2
    editor.undo(BOB)
    (one,) = [one for one in editor.lists.entries("clients") if one.value == "198.51.100.1/32"]
    assert (one.action, one.note.by, one.note.until) == ("deny", "alice", int(host.now) + 60)
    add(editor, "clients", "198.51.100.1", "allow", caller=BOB)
    host.now += 61
    editor.undo(BOB)
    assert [one for one in editor.lists.entries("clients") if one.value == "198.51.100.1/32"] == [], (
        "it is over"
    )


@pytest.mark.parametrize("name", ["clients", "relay", "senders", "blocked", "recipients"])
@pytest.mark.parametrize("step", ["audit", "write"])
def test_what_ends_while_the_disk_is_full_goes_later(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    """Return whether the audit log or the file itself has no room; it is tried until there is some."""
    editor = host.editor(start=True)
    values = {"clients": "198.51.100.9", "relay": "10.9.0.0/24", "recipients": "fax@example.com"}
    add(editor, name, values.get(name, "a@b.example"), "deny" if name == "clients" else "", seconds=60)
    editor.sweep()
    host.now += 61

    def full(*_args: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(
            editor.audit if step == "audit" else editor, "begin" if step == "audit" else "_write", full
        )
        for _look in range(6):
            editor.sweep()
            host.now += 13
        assert any(one.note.until for one in editor.lists.entries(name))
        assert sum("cannot be removed" in text for text in host.said) == 2  # now, and a minute later
    host.now += 61
    editor.sweep()
    assert not any(one.note.until for one in editor.lists.entries(name))
    assert editor.audit.shown(1)[0]["do"] == "expire"


def test_a_removal_that_is_refused_is_tried_each_hour(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = host.editor(start=True)
    add(editor, "clients", "198.51.100.9", "deny", seconds=60)
    fragment = Path(host.places.rules.directory, "20-operator")
    good = fragment.read_text()
    host.now += 61
    fragment.write_text(good + "not a rule at all\n")
    for _look in range(30):
        editor.sweep()
        host.now += 61
    assert sum("cannot be removed" in text for text in host.said) == 0  # the compiler says that it is bad
    fragment.write_text(good + "203.0.113.1:deny\n")
    with monkeypatch.context() as patch:
        patch.setattr(editor._judge, "_judge", lambda change: (_ for _ in ()).throw(BadInput("no")))
        for _look in range(30):
            editor.sweep()
            host.now += 61
    assert sum("cannot be removed" in text for text in host.said) == 1
    host.now += 3600
    editor.sweep()
    assert not any(one.note.until for one in editor.lists.entries("clients"))


def test_by_a_clock_that_is_not_trusted_nothing_is_removed(host: Host) -> None:
    trusted = [True]
    editor = list_editor.ListEditor(
        host.places, lambda: host.now, host.said.append, trusted=lambda: trusted[0]
    )
    add(editor, "blocked", "a@b.example", seconds=60)
    host.now += 10 * 365 * 86_400
    trusted[0] = False
    editor.sweep()
    assert any(one.note.until for one in editor.lists.entries("blocked"))
    trusted[0] = True
    editor.sweep()
    assert not any(one.note.until for one in editor.lists.entries("blocked"))


def test_a_clock_that_is_set_back_delays_no_end_for_years(host: Host) -> None:
    editor = host.editor(start=True)
    host.now += 10 * 365 * 86_400
    editor.sweep()
    host.now -= 10 * 365 * 86_400
    add(editor, "clients", "198.51.100.9", "deny", seconds=60)
    editor._next_look = host.now + 9 * 365 * 86_400
    host.now += 61
    editor.sweep()
    assert not any(one.note.until for one in editor.lists.entries("clients"))


@pytest.mark.parametrize(
    ("acts", "last"),
    [
        (["10.0.0.0/25"], "10.0.0.128/25"),
        (["10.0.0.128/25"], "10.0.0.0/25"),
        (["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"], "10.0.0.192/26"),
        (["10.0.0.0/25", "10.0.0.192/26", "10.0.0.160/27", "10.0.0.144/28"], "10.0.0.128/28"),
        (
            [
                "10.0.0.0/25",
                "10.0.0.192/26",
                "10.0.0.128/31",
                "10.0.0.160/27",
                "10.0.0.144/28",
                "10.0.0.136/29",
                "10.0.0.132/30",
            ],
            "10.0.0.130/31",
        ),
    ],
)
def test_a_relay_network_is_not_shut_out_in_parts(
    host: Host, editor: ListEditor, acts: list[str], last: str
) -> None:
    """Each part alone may be refused, but not all of them together."""
    for value in acts:
        add(editor, "clients", value, "deny")
    before = host.files()
    with pytest.raises(BadInput) as caught:
        add(editor, "clients", last, "deny")
    assert str(caught.value) == (
        f"{last}: with the other entries it would refuse every host of the relay network '{RELAY}'; "
        "expected one at least that may connect"
    )
    assert host.files() == before and host.relays().intervals()
    remove(editor, "clients", acts[0])
    add(editor, "clients", last, "deny")
    assert editor.check("clients", acts[0], "deny")[1]
    with pytest.raises(BadInput, match="every host of the relay network"):
        add(editor, "clients", acts[0], "deny", caller=BOB)


def test_the_first_and_the_last_address_are_no_hosts(host: Host, editor: ListEditor) -> None:
    """If only the network's and the broadcast address were left, no client could connect."""
    add(editor, "clients", "10.0.0.128/26", "deny")
    for length, value in enumerate(
        ("10.0.0.192/27", "10.0.0.224/28", "10.0.0.240/29", "10.0.0.248/30", "10.0.0.252/31", "10.0.0.254")
    ):
        assert length < 9
        add(editor, "clients", value, "deny")
    add(editor, "clients", "10.0.0.64/26", "deny")
    for value in ("10.0.0.32/27", "10.0.0.16/28", "10.0.0.8/29", "10.0.0.4/30", "10.0.0.2/31"):
        add(editor, "clients", value, "deny")
    with pytest.raises(BadInput, match="every host of the relay network"):
        add(editor, "clients", "10.0.0.1", "deny")
    add(editor, "clients", "10.0.0.255", "deny")


@pytest.mark.slow
def test_a_loop_of_trust_and_distrust_reloads_spamd_now_and_then(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    program = tmp_path / "mailgate"
    program.write_text(f"#!/bin/sh\necho run >>{runs}\n")
    program.chmod(0o755)
    host.places = dataclasses.replace(host.places, mailgate=(str(program),))
    monkeypatch.setattr(list_editor, "RELOAD_SECONDS", 0.6)
    editor = host.editor(start=True)
    end = time.monotonic() + 1.5
    acts = 0
    while time.monotonic() < end:
        add(editor, "trusted", "a@b.example")
        remove(editor, "trusted", "a@b.example")
        acts += 2
    time.sleep(1.0)  # the last of them takes effect, too
    count = runs.read_text().count("run")
    assert acts > 8 and 2 <= count <= 5
    assert not Path(host.places.state, "spamd.wanted").exists()


def test_what_ends_goes_from_every_list_and_the_audit_says_so(host: Host) -> None:
    editor = host.editor(start=True)
    kept = "# a comment of mine\n203.0.113.77:deny\n"
    Path(host.places.file("clients")).write_text(kept)
    for name, value, action in (
        ("clients", "198.51.100.9", "deny"),
        ("relay", "10.9.0.0/24", ""),
        ("senders", "a@b.example", ""),
        ("blocked", "a@b.example", ""),
        ("recipients", "fax@example.com", ""),
    ):
        effects = add(editor, name, value, action, seconds=60)[1]
        assert effects[-1] == "this ends at 2026-09-21 14:14:20 UTC"
    editor.sweep()
    assert len(editor.audit.shown(100)) == 5
    host.now += 61
    editor.sweep()
    ended = editor.audit.shown(5)
    assert {one["do"] for one in ended} == {"expire"}
    assert sorted(one["list"] for one in ended) == ["blocked", "clients", "recipients", "relay", "senders"]
    assert next(one["effects"] for one in ended if one["list"] == "recipients") == [
        "fax@example.com has ended",
    ]
    assert host.text("clients") == kept
    with pytest.raises(BadInput, match="still in effect"):
        editor.undo(ALICE)


# IPv6

SITE_SIX, PROTECTED_SIX, HERE_SIX = "2001:db8:10::/48", "2001:db8:20::7/128", "2001:db8:30::/64"


@pytest.fixture
def six(tmp_path: Path) -> Host:
    """Return a host whose site file names networks of both families."""
    host = Host(tmp_path)
    site = site_fragment.site_rules([RELAY, SITE_SIX], protected_networks=[PROTECTED, PROTECTED_SIX])
    (tmp_path / "tcp.d/10-site").write_text(site)
    (tmp_path / "operator.json").write_text(json.dumps({"protected_networks": [PROTECTED_HERE, HERE_SIX]}))
    return host


def test_acts_on_networks_of_ipv6(six: Host) -> None:
    editor = six.editor()
    add(editor, "clients", "2001:DB8:5::7", "deny")
    add(editor, "clients", "2001:db8:5::/48", "allow")
    add(editor, "relay", "fd00:9::/32")
    assert [one for one in six.text("clients").splitlines() if not one.startswith("#")] == [
        "[2001:db8:5::7]:deny",
        '[2001:db8:5::]/48:allow,WHITELISTED=""',
        '[fd00:9::]/32:allow,RELAYCLIENT=""',
    ]

    def found(address: str) -> str | None:
        rule = tcprules.lookup(six.rules(), address)
        return None if rule is None else rule.text

    assert found("2001:db8:5::7") == "[2001:db8:5::7]:deny"
    assert found("2001:db8:5::8") == '[2001:db8:5::]/48:allow,WHITELISTED=""'
    assert "RELAYCLIENT" in (found("fd00:9:1::5") or "")
    assert {one.value for one in editor.lists.entries("relay")} >= {SITE_SIX, "fd00:9::/32", "::1/128"}
    assert [one.value for one in editor.lists.entries("clients") if not one.fixed] == [
        "2001:db8:5::7/128",
        "2001:db8:5::/48",
    ]
    record, change = editor.to_undo(ALICE)
    assert (record["value"], change.effects) == ("fd00:9::/32", ("fd00:9::/32 loses relay",))
    editor.undo(ALICE)
    assert "RELAYCLIENT" not in (found("fd00:9:1::5") or "")
    remove(editor, "clients", "2001:0db8:5:0::7")
    assert found("2001:db8:5::7") == '[2001:db8:5::]/48:allow,WHITELISTED=""'
    assert [one["value"] for one in editor.audit.done()] == [
        "2001:db8:5::7/128",
        "fd00:9::/32",
        "fd00:9::/32",
        "2001:db8:5::/48",
        "2001:db8:5::7/128",
    ]


@pytest.mark.parametrize(
    ("name", "value", "action", "message"),
    [
        ("clients", PROTECTED_SIX, "deny", f"{PROTECTED_SIX}: it is protected by the site file: nobody may refuse it"),
        ("clients", "2001:db8:30::5", "deny", f"2001:db8:30::5/128: '{HERE_SIX}' is protected here; expected a network without it"),
        ("clients", "2001:db8:30::/44", "deny", f"2001:db8:30::/44: '{HERE_SIX}' is protected here; expected a network without it"),
        ("clients", SITE_SIX, "deny", f"{SITE_SIX}: has no effect, DIR/10-site line 7 comes first: '[2001:db8:10::]/48:allow,RELAYCLIENT=\"\"'"),
        ("clients", "2001:db8:10::5", "allow", f"2001:db8:10::5/128: relays by '{SITE_SIX}', which this would end; expected none there"),
        ("relay", "::1", "", "::1/128: it may relay by the site file; change it there"),
        ("relay", "2001:db8:10::/48", "", "2001:db8:10::/48: it may relay by the site file; change it there"),
    ],
)  # fmt: skip
def test_acts_on_networks_of_ipv6_that_are_refused(
    six: Host, name: str, value: str, action: str, message: str
) -> None:
    editor = six.editor()
    before = six.files()
    with pytest.raises(BadInput) as caught:
        add(editor, name, value, action)
    assert str(caught.value).replace(str(six.path / "tcp.d"), "DIR") == message
    assert six.files() == before


def test_a_wide_denial_goes_round_what_is_protected_in_ipv6(six: Host) -> None:
    editor = six.editor()
    add(editor, "clients", "2001:db8:20::/48", "deny")
    rule = tcprules.lookup(six.rules(), "2001:db8:20::7")
    assert rule is None or rule.action == "allow"
    other = tcprules.lookup(six.rules(), "2001:db8:20::8")
    assert other is not None and other.action == "deny"


def test_a_public_relay_network_of_ipv6_is_guarded(six: Host) -> None:
    editor = six.editor()
    with pytest.raises(BadInput, match="has 65536 public addresses"):
        add(editor, "relay", "2001:db8:40::/48")
    with pytest.raises(BadInput, match="is wider than /32"):
        add(editor, "relay", "2001::/16")
