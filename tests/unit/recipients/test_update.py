# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates of the list that serves: what they change, and what they never do."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import (
    recipients as recipients_command,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    Busy,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import ldap_settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    process as recipients_process,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    settings as recipients_settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    store as recipients_store,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    update as recipients_update,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.ldap_errors import (
    LdapError,
)

HOST = "mx1.example.com"
CORP = {"name": "corp.test", "recipients": "directory", "addresses": ["fax"]}
LIST = {"name": "list.test", "recipients": "list", "addresses": ["joe"]}
DIRECTORY = {
    "servers": ["dc1.corp.test"],
    "bases": ["DC=corp,DC=test"],
    "user": "reader@corp.test",
    "password_file": "/etc/mailgate/directory-ad.password",
    "preset": "exchange",
}


def site(*domains: dict[str, Any], **more: Any) -> recipients_settings.Settings:
    value = {"hostname": HOST, "domains": list(domains or (CORP, LIST)), "directories": [DIRECTORY], **more}
    return recipients_settings.parse(value)


class Gateway:
    """A store, and an export with the answer of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = recipients_store.Store(str(path))
        self.exported: set[str] | MailgateError = {f"u{number}@corp.test" for number in range(10)}
        self.asked = 0
        self.now = 1_000_000.0

    def export(self, _settings: recipients_settings.Settings) -> tuple[set[str], list[str]]:
        self.asked += 1
        if isinstance(self.exported, MailgateError):
            raise self.exported
        return self.exported, []

    def update(
        self, settings: recipients_settings.Settings | None = None, **more: Any
    ) -> recipients_update.Outcome:
        self.now += 60
        arguments = {"now": self.now, "by": "test", "export": self.export, **more}
        with self.store.locked():
            return recipients_update.update(settings or site(), self.store, **arguments)

    def served_keys(self) -> set[str]:
        data = self.store.served()
        return set() if data is None else {key.decode() for key, _ in cdb.Reader(data).items()}

    def listing(self) -> dict[str, tuple[int, int]]:
        files = (one for one in self.path.rglob("*") if one.name != "state.json")
        return {str(one): (one.stat().st_ino, one.stat().st_mtime_ns) for one in files}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


DOWN = LdapError("directory ad server dc1.corp.test:636: no answer in time; expected one")


def test_first_update_publishes_and_the_second_writes_nothing(gateway: Gateway) -> None:
    outcome = gateway.update()
    assert (outcome.changed, outcome.problem, outcome.generation, outcome.lost_count) == (True, "", 1, 0)
    assert {
        "u0@corp.test",
        "fax@corp.test",
        "joe@list.test",
        "abuse@corp.test",
        "postmaster",
    } <= gateway.served_keys()
    assert (outcome.count, outcome.gained_count) == (len(gateway.served_keys()), len(gateway.served_keys()))
    served = gateway.path / "validrcptto.cdb"
    assert served.stat().st_mode & 0o777 == 0o644
    before = gateway.listing()
    again = gateway.update()
    assert (again.changed, again.generation, again.count) == (False, 1, outcome.count)
    assert gateway.listing() == before
    assert gateway.store.state()["last_export"] == gateway.now


def test_without_a_directory_nothing_serves_first_and_the_next_update_heals(gateway: Gateway) -> None:
    good, gateway.exported = gateway.exported, DOWN
    outcome = gateway.update()
    assert (outcome.changed, outcome.problem, outcome.count) == (False, str(DOWN), 0)
    assert gateway.store.served() is None
    gateway.exported = good
    assert gateway.update().problem == ""
    assert "joe@list.test" in gateway.served_keys()


def test_without_a_directory_what_it_gave_stays_and_the_site_file_takes_effect(gateway: Gateway) -> None:
    gateway.update()
    exported_at = gateway.now
    gateway.exported = DOWN
    before = gateway.listing()
    outcome = gateway.update()
    assert (outcome.changed, outcome.problem, gateway.listing()) == (False, str(DOWN), before)
    changed = site({**CORP, "addresses": []}, {**LIST, "addresses": ["jane"]})
    outcome = gateway.update(changed)
    assert (outcome.changed, outcome.problem) == (True, str(DOWN))
    assert {"u0@corp.test", "u9@corp.test", "jane@list.test"} <= gateway.served_keys()
    assert not {"joe@list.test", "fax@corp.test"} & gateway.served_keys()
    last = gateway.store.last()
    assert last is not None and last.exported_at == exported_at
    assert gateway.store.state()["last_export"] == exported_at


def test_a_domain_that_left_the_site_is_gone_without_a_directory_too(gateway: Gateway) -> None:
    gateway.update()
    gateway.exported = DOWN
    gateway.update(site(LIST))
    assert not [key for key in gateway.served_keys() if key.endswith("@corp.test")]


def test_a_new_domain_whose_directory_is_silent_is_refused_beside_a_list_that_serves(
    gateway: Gateway,
) -> None:
    gateway.update()
    gateway.exported = DOWN
    before = gateway.listing()
    with pytest.raises(recipients_update.Uncovered) as refusal:
        gateway.update(site(CORP, LIST, {"name": "new.test", "recipients": "directory"}))
    assert str(refusal.value) == (
        f"domain new.test: has no list yet, and the one that serves would refuse all of it: {DOWN}; "
        "expected its directory to answer before the domain is accepted"
    )
    assert gateway.listing() == before
    assert gateway.store.state()["problem"] == str(refusal.value)


def test_a_shrunken_export_waits_for_a_person(gateway: Gateway) -> None:
    gateway.update()
    before = gateway.listing()
    gateway.exported = {"u0@corp.test"}
    outcome = gateway.update()
    assert not outcome.changed
    assert outcome.problem.startswith(
        "domain corp.test: would lose 9 of 13 addresses (69.2 %); expected at most"
    )
    assert gateway.listing() == before
    assert gateway.update(accept_shrink=True).lost_count == 9
    assert gateway.store.reason(2)["reason"] == "update, shrink accepted"


@pytest.mark.parametrize("exported", [set(), {"x@elsewhere.test"}])
def test_an_export_without_our_addresses_changes_nothing_whoever_asks(
    gateway: Gateway, exported: set[str]
) -> None:
    gateway.update()
    before = gateway.listing()
    gateway.exported = exported
    outcome = gateway.update(accept_shrink=True)
    assert outcome.problem == "export: 0 addresses of the gateway's domains; expected at least one"
    assert gateway.listing() == before


def test_a_required_address_that_is_missing_changes_nothing(gateway: Gateway) -> None:
    gateway.update()
    outcome = gateway.update(site(required=["boss@corp.test"]))
    assert outcome.problem.startswith("required address: 'boss@corp.test' is in neither")
    assert not outcome.changed


def test_a_list_becomes_a_directory_under_the_same_guard(gateway: Gateway) -> None:
    people = [f"p{number}" for number in range(40)]
    gateway.update(site({"name": "corp.test", "recipients": "list", "addresses": people}, LIST))
    with pytest.raises(recipients_update.Uncovered) as refusal:
        gateway.update()
    assert "would lose 40 of 42 addresses" in str(refusal.value)
    assert "p0@corp.test" in gateway.served_keys()


@pytest.mark.parametrize("directory", ["up", "down"])
@pytest.mark.parametrize("harm", ["missing", "cut", "foreign", "mode"])
def test_a_served_file_that_is_damaged_is_written_anew(gateway: Gateway, directory: str, harm: str) -> None:
    gateway.update()
    whole = gateway.served_keys()
    served = gateway.path / "validrcptto.cdb"
    if harm == "missing":
        served.unlink()
    elif harm == "cut":
        served.write_bytes(served.read_bytes()[:-1])
    elif harm == "foreign":
        served.write_bytes(cdb.build([(b"@corp.test", b"")]))
    else:
        served.chmod(0o600)
    if directory == "down":
        gateway.exported = DOWN
    outcome = gateway.update()
    assert (outcome.changed, gateway.served_keys(), served.stat().st_mode & 0o777) == (True, whole, 0o644)
    assert bool(outcome.damage) is (harm == "cut")


def test_damaged_generations_are_passed_over(gateway: Gateway) -> None:
    gateway.update()
    (gateway.path / "generations/1/addresses").write_text("evil@corp.test directory\n")
    gateway.exported = DOWN
    outcome = gateway.update()
    assert (outcome.changed, "u0@corp.test" in gateway.served_keys()) == (True, True)  # from what serves
    with pytest.raises(BadInput):
        gateway.store.generation(1)


def test_as_many_generations_as_wanted_are_kept(gateway: Gateway) -> None:
    for number in range(5):
        gateway.update(site(CORP, {**LIST, "addresses": [f"n{number}"]}, generations=3))
    assert gateway.store.numbers() == [3, 4, 5]


def acts(gateway: Gateway, *names: str) -> None:
    """Operators' acts, each of which makes a generation."""
    for name in names:
        with gateway.store.locked():
            recipients_update.refresh(with_extra(name), gateway.store, now=gateway.now, by="test")


def new_export(gateway: Gateway, name: str) -> None:
    gateway.exported = {*(f"u{number}@corp.test" for number in range(10)), f"{name}@corp.test"}
    gateway.update()


def test_operators_acts_delete_no_export(gateway: Gateway) -> None:
    new_export(gateway, "first")
    acts(gateway, "x1@corp.test", "x2@corp.test")
    new_export(gateway, "second")
    acts(gateway, *(f"a{number}@corp.test" for number in range(25)))
    assert gateway.store.numbers() == [3, *range(21, 30)]  # the last of the first export, and the newest
    roll_back(gateway)
    assert "first@corp.test" in gateway.served_keys()
    acts(gateway, *(f"b{number}@corp.test" for number in range(25)))
    assert len(gateway.store.numbers()) == 10
    assert sorted(set(gateway.store.origins().values())) == [1, 4]


def test_as_many_exports_as_wanted_are_kept_whatever_operators_do(gateway: Gateway) -> None:
    for number in range(13):
        new_export(gateway, f"n{number}")
        acts(gateway, *(f"a{number}{part}@corp.test" for part in range(number % 4)))
    origins = gateway.store.origins()
    assert len(origins) == len(set(origins.values())) == 10
    for number in range(11, 2, -1):
        roll_back(gateway)
        assert f"n{number}@corp.test" in gateway.served_keys()


def test_an_export_that_was_rolled_back_to_is_one_of_the_last(gateway: Gateway) -> None:
    """It was needed later than those after it, and they may be as bad as the next one."""
    for name in ("good", "bad1", "bad2"):
        gateway.exported = {*(f"u{number}@corp.test" for number in range(10)), f"{name}@corp.test"}
        gateway.update(site(generations=3))
    roll_back(gateway, 1, site(generations=3))
    gateway.exported = {*(f"u{number}@corp.test" for number in range(10)), "bad3@corp.test"}
    gateway.update(site(generations=3), release=True)
    assert gateway.store.origins() == {3: 3, 4: 1, 5: 5}
    roll_back(gateway, None, site(generations=3))
    assert "good@corp.test" in gateway.served_keys()


def test_a_rollback_finds_an_export_whose_first_generation_is_gone(gateway: Gateway) -> None:
    for name in ("first", "second"):
        gateway.exported = {*(f"u{number}@corp.test" for number in range(10)), f"{name}@corp.test"}
        gateway.update(site(generations=2))
    few = site(generations=2)
    roll_back(gateway, 1, few)
    roll_back(gateway, 2, few)
    assert gateway.store.origins() == {3: 1, 4: 2}
    roll_back(gateway, None, few)
    assert "first@corp.test" in gateway.served_keys()


def test_a_generation_without_a_reason_is_deleted_first(gateway: Gateway) -> None:
    few = site(generations=3)
    for name in ("first", "second", "third"):
        gateway.exported = {*(f"u{number}@corp.test" for number in range(10)), f"{name}@corp.test"}
        gateway.update(few)
    (gateway.path / "generations/2/reason.json").unlink()
    gateway.exported = {f"u{number}@corp.test" for number in range(10)}
    gateway.update(few)
    assert gateway.store.numbers() == [1, 3, 4]


def test_a_writer_that_fails_leaves_the_old_list(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.update()
    before = gateway.listing()
    build = cdb.build
    monkeypatch.setattr(cdb, "build", lambda records: build(list(records)[:-1]))
    with pytest.raises(BadInput) as refusal:
        gateway.update(site(CORP, {**LIST, "addresses": ["jane"]}))
    assert "is not in its new copy; expected all" in str(refusal.value)
    monkeypatch.undo()
    assert {path: now for path, now in gateway.listing().items() if path in before and "." in path} == {
        path: now for path, now in before.items() if "." in path
    }
    assert gateway.store.numbers() == [1]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([b"a"], "x: 'b' is not in its new copy; expected all 2 keys"),
        ([b"a", b"b", b"c"], "x: 3 records are in its new copy; expected 2"),
    ],
)
def test_the_new_copy_is_read_back(records: list[bytes], text: str) -> None:
    wanted = recipients_store.Recipients(("a", "b"))
    recipients_store.verify(cdb.build([(b"a", b""), (b"b", b"")]), wanted, "x")
    with pytest.raises(BadInput) as refusal:
        recipients_store.verify(cdb.build([(key, b"") for key in records]), wanted, "x")
    assert str(refusal.value) == text


def test_a_rollback_serves_and_holds_until_it_is_released(gateway: Gateway) -> None:
    gateway.update()
    gateway.exported = {*gateway.exported, "new@corp.test"}  # type: ignore[misc]
    gateway.update()
    assert recipients_update.rollback(gateway.store, None, site(), now=1.0, by="ann") == 3
    assert "new@corp.test" not in gateway.served_keys()
    asked = gateway.asked
    outcome = gateway.update()
    assert (outcome.changed, gateway.asked) == (False, asked)
    assert outcome.problem == (
        "list: held, rolled back to generation 1 by ann; "
        "expected 'mailgate recipients update --release' to go on"
    )
    assert gateway.update(release=True).problem == ""
    assert "new@corp.test" in gateway.served_keys()
    assert gateway.update().problem == ""


def test_an_address_with_a_blank_is_kept_with_what_it_is(gateway: Gateway) -> None:
    """The key is published, read again from its generation, and not changed by the next update."""
    odd = {'"john doe"@corp.test', '"a directory"@corp.test', '" "@corp.test'}
    gateway.exported = {*gateway.exported, *odd}  # type: ignore[misc]
    names = {
        "name": "b\u00fccher.test",
        "recipients": "list",
        "addresses": ['"jane doe"', "joe@B\u00dcCHER.test"],
    }
    settings = dataclasses.replace(site(CORP, LIST, names), extra=("late comer@corp.test",))
    gateway.update(settings)
    keys = {"john doe@corp.test", "a directory@corp.test", " @corp.test"}
    listed = {"jane doe@xn--bcher-kva.test", "joe@xn--bcher-kva.test", "late comer@corp.test"}
    assert keys | listed <= gateway.served_keys()
    last = gateway.store.last()
    assert last is not None and keys <= last.recipients.exported and not listed & last.recipients.exported
    assert not gateway.update(settings).changed
    gateway.exported = DOWN
    assert not gateway.update(settings).changed


NEW = {"name": "new.test", "recipients": "directory"}


def roll_back(
    gateway: Gateway, number: int | None = None, settings: recipients_settings.Settings | None = None
) -> int:
    return recipients_update.rollback(gateway.store, number, settings or site(), now=gateway.now, by="ann")


@pytest.mark.parametrize("number", [None, 1])
def test_a_rollback_takes_the_old_export_and_the_settings_of_now(
    gateway: Gateway, number: int | None
) -> None:
    """Only what the directory gave is old; the site's and the operators' addresses are those of today."""
    gateway.update(site(CORP, LIST, {"name": "gone.test", "recipients": "any"}))
    now = dataclasses.replace(
        site(
            {**CORP, "addresses": ["desk"]},
            {**LIST, "addresses": ["jane"]},
            {"name": "fresh.test", "recipients": "list", "addresses": ["info"]},
            {"name": "open.test", "recipients": "any"},
        ),
        extra=("late@corp.test", "late@list.test", "late@elsewhere.test"),
    )
    gateway.exported = {f"x{number}@corp.test" for number in range(10)}
    gateway.update(now, accept_shrink=True)
    roll_back(gateway, number, now)
    keys = gateway.served_keys()
    assert {"u0@corp.test", "u9@corp.test", "desk@corp.test", "jane@list.test", "info@fresh.test"} <= keys
    assert {"@open.test", "abuse@fresh.test", "late@corp.test", "late@list.test", "postmaster"} <= keys
    assert not keys & {"x0@corp.test", "fax@corp.test", "joe@list.test", "@gone.test", "late@elsewhere.test"}
    # What follows works on: an update while it is held, another setting, and its end.
    assert "held" in gateway.update(now).problem
    assert "bob@list.test" not in gateway.served_keys()
    gateway.update(site(CORP, {**LIST, "addresses": ["bob"]}))
    assert {"bob@list.test", "u0@corp.test"} <= gateway.served_keys()
    assert gateway.update(now, release=True, accept_shrink=True).problem == ""
    assert "x0@corp.test" in gateway.served_keys()


def test_a_rollback_that_lacks_a_domain_of_the_directory_is_refused(gateway: Gateway) -> None:
    """All addresses of a domain would get 553, so the list that serves stays, and nothing is held."""
    gateway.update()  # 1
    both = site(CORP, LIST, NEW)
    gateway.exported = {*gateway.exported, "a@new.test"}  # type: ignore[misc]
    gateway.update(both)  # 2
    before = gateway.listing()
    for number in (None, 1):
        with pytest.raises(BadInput) as caught:
            roll_back(gateway, number, both)
        assert str(caught.value) == (
            "generation 1: has no address of the directory for the domain 'new.test', all of it would be "
            "refused; expected a generation with every domain of now"
        )
    assert gateway.listing() == before and not gateway.store.state().get("held")
    assert gateway.update(both).problem == ""
    # A domain that left the site since keeps nothing from going back, and takes no mail.
    gateway.update(site(CORP, LIST))
    roll_back(gateway, 2, site(CORP, LIST))
    assert "u0@corp.test" in gateway.served_keys() and "a@new.test" not in gateway.served_keys()


def test_a_rollback_to_a_generation_without_an_address_of_a_domain_is_refused(gateway: Gateway) -> None:
    """It had the domain without any address, confirmed by a person; the list that serves has one."""
    both = site(CORP, LIST, NEW)
    gateway.update(both, accept_shrink=True)  # 1: nobody in new.test
    gateway.exported = {*gateway.exported, "a@new.test"}  # type: ignore[misc]
    gateway.update(both)  # 2
    with pytest.raises(BadInput, match=r"generation 1: has no address .* 'new\.test'"):
        roll_back(gateway, None, both)
    assert "a@new.test" in gateway.served_keys()


def test_a_list_that_became_a_directory_is_not_rolled_back_behind_that(gateway: Gateway) -> None:
    gateway.update(site({**CORP, "recipients": "list"}, LIST))
    gateway.update(accept_shrink=True)
    with pytest.raises(BadInput, match=r"'corp\.test'"):
        roll_back(gateway)
    # The other way round the site's own list holds.
    roll_back(gateway, 2, site({**CORP, "recipients": "directory"}, LIST))
    listed = site({**CORP, "recipients": "list"}, {**LIST, "recipients": "directory", "addresses": []})
    with pytest.raises(BadInput, match=r"'list\.test'"):
        roll_back(gateway, 2, listed)


def test_a_rollback_keeps_what_is_required(gateway: Gateway) -> None:
    gateway.update()
    gateway.exported = {*gateway.exported, "boss@corp.test"}  # type: ignore[misc]
    required = site(required=["boss@corp.test"])
    gateway.update(required)
    with pytest.raises(BadInput, match=r"required address: 'boss@corp\.test'"):
        roll_back(gateway, None, required)


def test_without_a_directory_there_is_no_export_to_go_back_to(gateway: Gateway) -> None:
    gateway.update(site(LIST))
    gateway.update(site({**LIST, "addresses": ["jane"]}))
    with pytest.raises(BadInput, match="no domain has recipients 'directory'"):
        roll_back(gateway, None, site({**LIST, "addresses": ["jane"]}))
    assert "jane@list.test" in gateway.served_keys()


def test_each_rollback_goes_further_back(gateway: Gateway) -> None:
    """It goes back from the list that serves, never to the bad export, whatever was published since."""
    for number in (1, 2, 3):
        gateway.exported = {f"u{other}@corp.test" for other in range(10)} | {f"new{number}@corp.test"}
        gateway.update()

    def serving() -> int:
        return next(number for number in (1, 2, 3) if f"new{number}@corp.test" in gateway.served_keys())

    roll_back(gateway)
    assert serving() == 2
    operators = dataclasses.replace(site(), extra=("late@corp.test",))
    with gateway.store.locked():
        recipients_update.refresh(operators, gateway.store, now=gateway.now, by="x")
    assert serving() == 2
    roll_back(gateway, None, operators)
    assert serving() == 1 and "late@corp.test" in gateway.served_keys()
    for _again in range(2):
        with pytest.raises(BadInput, match="none has an older export"):
            roll_back(gateway, None, operators)
    assert serving() == 1
    roll_back(gateway, 3)
    assert serving() == 3
    roll_back(gateway)
    assert serving() == 2


def test_a_rollback_knows_those_of_before(gateway: Gateway) -> None:
    """A generation that an older version rolled back to says so only in its reason."""
    test_each_rollback_goes_further_back(gateway)
    for reason in gateway.path.rglob("reason.json"):
        value = json.loads(reason.read_text())
        value.pop("origin", None)
        reason.write_text(json.dumps(value))
    last = gateway.store.last()
    assert last is not None and last.origin == 2
    roll_back(gateway)
    assert "new1@corp.test" in gateway.served_keys()


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_rollback_heals_a_file_that_is_damaged(gateway: Gateway, harm: str) -> None:
    """No list serves then, so it goes back to the newest generation, or the newest complete one."""
    gateway.update()
    gateway.exported = {*gateway.exported, "new@corp.test"}  # type: ignore[misc]
    gateway.update()
    served = gateway.path / "validrcptto.cdb"
    if harm == "missing":
        served.unlink()
    else:
        served.write_bytes(b"x" * 3000)
        (gateway.path / "generations/2/addresses").write_text("")
    roll_back(gateway)
    assert ("new@corp.test" in gateway.served_keys()) is (harm == "missing")
    assert "u0@corp.test" in gateway.served_keys()


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """Return what the work returns, or raise what it raises; it must not hang."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append((work(), None))
        except Exception as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it hangs"
    result, error = found[0]
    if error is not None:
        raise error
    return result


@pytest.mark.parametrize(
    "kind", ["fifo", "socket", "link to a fifo", "link to a device", "directory", "link"]
)
@pytest.mark.parametrize(
    "name", ["validrcptto.cdb", "state.json", "generations/1/addresses", "generations/1/reason.json", ".lock"]
)
def test_what_is_no_file_in_the_directory_is_refused_and_holds_nobody_up(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """Root reads what the service's user may write: a FIFO must not block it, nor a link lead it away."""
    gateway.update()
    gateway.exported = {*gateway.exported, "new@corp.test"}  # type: ignore[misc]
    gateway.update()
    path, other = gateway.path / name, tmp_path / "elsewhere"
    path.unlink(missing_ok=True)
    if kind in ("fifo", "link to a fifo"):
        os.mkfifo(path if kind == "fifo" else other)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            monkeypatch.chdir(path.parent)
            one.bind(path.name)
    elif kind == "directory":
        path.mkdir()
    if kind.startswith("link"):
        path.symlink_to("/dev/zero" if kind == "link to a device" else other)
    if name == "validrcptto.cdb":
        with pytest.raises(BadInput, match="is not a regular file"):
            within(5, gateway.store.served)
        assert "is not a regular file" in within(5, gateway.store.damage)
    assert within(5, gateway.store.last) is not None
    assert within(5, gateway.store.state) is not None
    assert within(5, lambda: gateway.store.whole(1)) is None or not name.startswith("generations")
    facts, alarms = within(5, lambda: recipients_update.status(site(), gateway.store, now=gateway.now))
    assert facts["generation"] == 2
    assert any("is not a regular file" in one for one in alarms) is (name == "validrcptto.cdb")
    if name == ".lock":
        with pytest.raises((OSError, Busy, BadInput)):
            within(5, lambda: gateway.store.locked().__enter__())
        return
    if kind == "directory" and name in ("validrcptto.cdb", "state.json"):
        return  # whose place nothing can take
    within(5, gateway.update)
    assert "new@corp.test" in gateway.served_keys()


def test_two_writers_take_turns(gateway: Gateway) -> None:
    with gateway.store.locked(), pytest.raises(Busy):
        gateway.update()


def test_a_dry_run_writes_nothing(gateway: Gateway) -> None:
    gateway.update()
    gateway.exported = {*gateway.exported, "new@corp.test"}  # type: ignore[misc]
    before = {path: path.stat().st_mtime_ns for path in gateway.path.rglob("*")}
    outcome = recipients_update.update(
        site(), gateway.store, now=gateway.now + 9, by="x", export=gateway.export, write=False
    )
    assert (outcome.changed, outcome.gained, outcome.after) == (
        True,
        ["new@corp.test"],
        f"{outcome.count} recipients\n1 gained\nnew@corp.test\n",
    )
    assert {path: path.stat().st_mtime_ns for path in gateway.path.rglob("*")} == before


@pytest.mark.parametrize(("hours", "alarms"), [(23.9, 0), (24.1, 1)])
def test_an_old_export_is_an_alarm(hours: float, alarms: int) -> None:
    found = recipients_update.age_alarm(site(), {"last_export": 1_000_000.0}, 1_000_000 + hours * 3600)
    assert len(found) == alarms


def test_the_password_file_is_the_services_own(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p\u00e4ss word\n")
    file.chmod(0o400)
    assert recipients_update.read_password(str(file)) == "p\u00e4ss word"
    file.chmod(0o440)
    with pytest.raises(BadInput) as refusal:
        recipients_update.read_password(str(file))
    assert str(refusal.value) == f"file {file}: others may read it; expected mode 0400"
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(OSError, match="Too many levels"):
        recipients_update.read_password(str(link))


SECRET = "S3cret-of-the-site"


def test_what_the_service_reads_has_no_secret_in_it() -> None:
    raw = {key: value for key, value in DIRECTORY.items() if key != "password_file"}
    given = [{**raw, "password": SECRET, "ca": "PEM"}, {**raw, "name": "other", "password": SECRET}]
    public = ldap_settings.public(given)
    assert SECRET not in json.dumps(public)
    assert [one["password_file"] for one in public if isinstance(one, dict)] == [
        "/etc/mailgate/directory-ad.password",
        "/etc/mailgate/directory-other.password",
    ]
    made, faults = ldap_settings.parse_ldap_directories(public, "gateway_directory")
    assert (faults, [one.name for one in made]) == ([], ["ad", "other"])
    files = ldap_settings.secret_files(given)
    assert [(one["path"], one["content"], one["mode"], one["owner"]) for one in files] == [
        ("/etc/mailgate/directory-ad.password", f"{SECRET}\n", "0400", "recipients"),
        ("/etc/mailgate/directory-ad.ca.pem", "PEM\n", "0644", "root"),
        ("/etc/mailgate/directory-other.password", f"{SECRET}\n", "0400", "recipients"),
    ]
    assert ldap_settings.public(given[0]) == public[:1]
    assert ldap_settings.public([]) == ldap_settings.public({}) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"servers": []}, "servers [] is not a list of servers; expected ['dc1.example.com']"),
        ({"servers": ["dc1:0"]}, "server 'dc1:0' is not a server; expected 'host' or 'host:port'"),
        ({"servers": ["ldap://dc1"]}, "server 'ldap://dc1' is not a server; expected 'host' or 'host:port'"),
        ({"bases": "DC=x"}, "bases 'DC=x' is not a list of search bases; expected ['DC=example,DC=com']"),
        (
            {"bases": ["corp"]},
            "base 'corp' is not a distinguished name; expected such as 'DC=example,DC=com'",
        ),
        ({"user": ""}, "user '' is not a user; expected 'reader@example.com' or a distinguished name"),
        ({"password_file": None}, "it has no password; expected the password of its user, vaulted"),
        ({"filter": "(a=*)"}, "preset 'exchange' and filter '(a=*)'; expected one of the two"),
        ({"preset": None}, "preset None and filter None; expected one of the two"),
        ({"preset": "all"}, "preset 'all' is not known; expected 'exchange' or 'plain'"),
        ({"name": "a/b"}, "name 'a/b' is not a plain word; expected small letters, digits and '-'"),
        ({"page_entries": 0}, "page_entries 0 is not a page; expected a number from 1 to 20000"),
        ({"mail": "yes"}, "mail 'yes' is neither yes nor no; expected true or false"),
        ({"pasword": "x"}, None),
    ],
)
def test_a_bad_directory(change: dict[str, Any], text: str | None) -> None:
    made, faults = ldap_settings.parse_ldap_directories([{**DIRECTORY, **change}], "gateway_directory")
    assert made == ()
    if text is None:
        assert faults[0].startswith(
            "gateway_directory item 1: 'pasword' is not known; expected one of name, "
        )
    else:
        assert faults == [f"gateway_directory item 1: {text}"]


def test_ports_follow_from_the_encryption() -> None:
    def servers(**more: Any) -> Any:
        return ldap_settings.parse_ldap_directories([{**DIRECTORY, **more}], "x")[0][0].servers

    assert servers(servers=["a", "b:3269"]) == (("a", 636), ("b", 3269))
    assert servers(encryption="starttls") == (("dc1.corp.test", 389),)


def test_a_rollback_says_how_much_it_takes_away(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as one to the days when a domain had only its first addresses."""
    if os.geteuid() != 0:
        pytest.skip("a rollback is root's")
    gateway.exported = {"u0@corp.test"}
    gateway.update()
    gateway.exported = {f"u{number}@corp.test" for number in range(100)}
    gateway.update()
    file = tmp_path_factory.mktemp("etc") / "recipients.json"
    file.write_text(json.dumps({"hostname": HOST, "domains": [CORP, LIST], "directories": [DIRECTORY]}))
    where = ["--settings", str(file), "--directory", str(gateway.path), "--extra", str(file) + ".none"]
    assert recipients_command.main(["rollback", *where]) == 0
    count = len(gateway.served_keys())
    assert capsys.readouterr().out == (
        f"generation 3 serves, {count} recipients, +0 -99; "
        "held until 'mailgate recipients update --release'\n"
    )


def test_status_and_check_say_what_serves(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.update(site(LIST))
    file = tmp_path_factory.mktemp("etc") / "recipients.json"
    file.write_text(json.dumps({"hostname": HOST, "domains": [LIST]}))
    where = ["--settings", str(file), "--directory", str(gateway.path)]
    assert recipients_command.main(["status", *where]) == 0
    assert "  list.test: 3\n" in capsys.readouterr().out
    assert recipients_command.main(["check", *where, "--json", "Joe@List.test"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "accepted": True,
        "address": "Joe@List.test",
        "key": "joe@list.test",
    }
    assert recipients_command.main(["check", *where, "jim@list.test"]) == 1
    os.unlink(gateway.path / "validrcptto.cdb")
    assert recipients_command.main(["status", *where]) == 1
    assert recipients_command.main(["check", *where, "joe@list.test"]) == 111
    assert recipients_command.main(["update", *where]) == 0
    assert recipients_command.main(["check", *where, "joe@list.test"]) == 0
    file.write_text("{}")
    assert recipients_command.main(["update", *where]) == 100


# The operators' own recipients.


def with_extra(*addresses: str) -> recipients_settings.Settings:
    return dataclasses.replace(site(), extra=addresses)


def test_an_extra_recipient_serves_at_once_and_after_every_update(gateway: Gateway) -> None:
    gateway.update()
    settings, asked = with_extra("new@corp.test", "new@list.test", "new@not.served"), gateway.asked
    before = gateway.served_keys()
    with gateway.store.locked():
        made = recipients_update.refresh(settings, gateway.store, now=gateway.now, by="test")
    assert gateway.asked == asked, "no directory is asked"
    assert (made.changed, made.gained_count, made.lost_count) == (True, 2, 0)
    assert gateway.served_keys() == before | {"new@corp.test", "new@list.test"}
    gateway.exported = {f"u{number}@corp.test" for number in range(11)}
    assert gateway.update(settings).gained == ["u10@corp.test"]
    assert {"new@corp.test", "new@list.test"} <= gateway.served_keys()
    gateway.exported = DOWN
    gateway.update(settings)
    assert {"new@corp.test", "new@list.test", "u10@corp.test"} <= gateway.served_keys()
    with gateway.store.locked():
        recipients_update.refresh(site(), gateway.store, now=gateway.now, by="test")
    assert gateway.served_keys() == before | {"u10@corp.test"}


def test_a_refresh_with_nothing_new_writes_nothing(gateway: Gateway) -> None:
    gateway.update()
    before = gateway.listing()
    with gateway.store.locked():
        made = recipients_update.refresh(site(), gateway.store, now=gateway.now, by="test")
    assert (made.changed, gateway.listing()) == (False, before)


def test_a_refresh_never_serves_less_than_the_directory(gateway: Gateway) -> None:
    with gateway.store.locked(), pytest.raises(recipients_update.Uncovered, match="none serves yet"):
        recipients_update.refresh(with_extra("new@corp.test"), gateway.store, now=gateway.now, by="test")
    assert gateway.served_keys() == set()


EXTRA_TEXTS = [
    ("", (), ""),
    ("# a comment\nNew@Corp.Test\n", ("new@corp.test",), ""),
    ('# {"by": "a", "until": 1000}\na@corp.test\n# {"until": 1001}\nb@corp.test', ("b@corp.test",), ""),
    ("a@corp.test\nno address\n", (), "file x line 2: 'no address' has no '@'; expected 'user@domain'"),
]


@pytest.mark.parametrize(("text", "expected", "message"), EXTRA_TEXTS)
def test_the_file_of_the_extra_recipients(text: str, expected: tuple[str, ...], message: str) -> None:
    if not message:
        assert recipients_settings.extra_addresses(text, "file x", 1000) == expected
        return
    with pytest.raises(BadInput) as caught:
        recipients_settings.extra_addresses(text, "file x", 1000)
    assert str(caught.value) == message


def test_only_a_plain_file_is_read_for_extra_recipients(tmp_path: Path) -> None:
    path = tmp_path / "extra"
    assert recipients_process.with_extra(site(), 0, str(path)).extra == ()
    path.write_text("a@corp.test\n")
    assert recipients_process.with_extra(site(), 0, str(path)).extra == ("a@corp.test",)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        recipients_process.with_extra(site(), 0, str(tmp_path / "link"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadInput, match="is not a file"):
        recipients_process.with_extra(site(), 0, str(tmp_path / "fifo"))
