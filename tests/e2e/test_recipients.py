# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipients from Active Directory: whatever a directory does, no good address is ever refused.

One domain of the gateway comes from Samba, a real domain controller. The tests stand in the order of a
gateway's life: the first converge without a directory, then with it, then everything that can break.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.conversations import NOBODY, OK, STRANGER
from support.directory_servers import (
    AD_ADDRESS,
    AD_NAME,
    BASE,
    CANARY,
    FAKE_ADDRESS,
    FAKE_NAME,
    READER,
    SLAPD_ADDRESS,
    SLAPD_BASE,
    SLAPD_NAME,
    SLAPD_READER,
    SLAPD_SIZE_LIMIT,
    ActiveDirectory,
    Authority,
    Behaviour,
    Client,
    Cut,
    Scripted,
    Slapd,
)
from support.gateway import Bed
from support.ldap_answers import done, entry, reference
from support.session_watch import UNCERTAIN, Allowed, Watch, verdict
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = "corp.example.test"
GOOD, SHARED, UNKNOWN, LISTED = f"anna@{DOMAIN}", f"info@{DOMAIN}", f"nobody@{DOMAIN}", "alice@example.test"
SLAPD_PORTS, FAKE_PORT = (1389, 1636), 2389
PEOPLE = 3000
LIST = "/var/lib/mailgate/recipients"
SETTINGS = "/etc/mailgate/recipients.json"
RETRY_SECONDS = 3

GATEWAY_DOMAINS = [
    {
        "name": "example.test",
        "route": "198.18.0.10:2525",
        "recipients": "list",
        "addresses": ["alice", "bob", "user-default", "o'brien"],
    },
    {"name": "example.org", "route": "198.18.0.20:2525", "recipients": "any"},
    {"name": DOMAIN, "route": "198.18.0.10:2525", "recipients": "directory", "addresses": ["fax"]},
]


@dataclass
class World:
    """The gateway, its directories, and everything that was said meanwhile."""

    bed: Bed
    place: Path
    authority: Authority
    ad: ActiveDirectory
    slapd: Slapd
    said: list[str] = field(default_factory=list)

    def play(self, **more: Any) -> tuple[int, str]:
        """Status and output of a converge of what decides about recipients; the password is vaulted."""
        directory = {
            "name": "corp",
            "servers": [AD_NAME],
            "bases": [BASE],
            "user": READER,
            "password": CANARY,
            "ca": self.authority.pem,
            "preset": "plain",
        }
        values = {
            "gateway_domains": GATEWAY_DOMAINS,
            "recipients_directories": [directory],
            "recipients_retry_seconds": RETRY_SECONDS,
            **more,
        }
        site, key = self.place / "site.yml", self.place / "vault.key"
        key.write_text("key of the test\n")
        site.write_text(json.dumps(values))
        vault = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt", str(site)]
        subprocess.run([*vault, "--vault-password-file", str(key)], check=True, capture_output=True)
        return self.converge("-e", f"@{site}", "--vault-password-file", str(key))

    def converge(self, *argv: str) -> tuple[int, str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        done = subprocess.run(
            [program, "-i", "tests/inventory", "tests/e2e/recipients.yml", "--diff", "-vvv", *argv],
            cwd=ROOT,
            env=dict(
                os.environ,
                ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
                MAILGATE_GATEWAY=self.bed.name,
                ANSIBLE_FORCE_COLOR="0",
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.said.append(done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def mailgate(self, *argv: str) -> tuple[int, str]:
        """Status and output of `mailgate recipients ...` as root."""
        status, out, err = self.bed.inside("mailgate", "recipients", *argv)
        self.said.append(out + err)
        return status, out + err

    def settings(self, **changes: Any) -> None:
        """Return the settings of the last converge, with another directory."""
        path = self.bed.root / SETTINGS.lstrip("/")
        value = json.loads((self.place / "recipients.json").read_text())
        value["directories"][0].update(changes)
        path.write_text(json.dumps(value))

    def serving(self) -> tuple[str, list[int]]:
        """Return the list that serves, and the generations that exist."""
        home = self.bed.root / LIST.lstrip("/")
        numbers = sorted(int(one.name) for one in (home / "generations").iterdir())
        return hashlib.sha256((home / "validrcptto.cdb").read_bytes()).hexdigest(), numbers


@pytest.fixture(scope="module")
def world(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("directory")
    authority = Authority(place / "ca")
    hosts = bed.root / "etc/hosts"
    before = hosts.read_text()
    names = ((AD_ADDRESS, AD_NAME), (SLAPD_ADDRESS, SLAPD_NAME), (FAKE_ADDRESS, FAKE_NAME))
    hosts.write_text(before + "".join(f"{address} {name}\n" for address, name in names))
    with ThreadPoolExecutor(2) as pool, contextlib.ExitStack() as stack:
        slapd = pool.submit(
            Slapd,
            f"{bed.name}-slapd",
            authority,
            PEOPLE,
            bed.name,
            SLAPD_ADDRESS,
            SLAPD_PORTS,
            "Corp.Example.TEST",
        )
        ad = ActiveDirectory(f"{bed.name}-dc", authority, bed.name, AD_ADDRESS)
        stack.callback(ad.close)
        stack.callback(lambda: slapd.result().close())
        ad.add(people())
        yield World(bed, place, authority, ad, slapd.result())
    hosts.write_text(before)
    status, text = World(bed, place, authority, ad, slapd.result()).converge()
    assert status == 0, text[-2000:]


def people() -> str:
    user, group, contact = ActiveDirectory.user, ActiveDirectory.group, ActiveDirectory.contact
    return (
        user("anna", f"SMTP:Anna@{DOMAIN}", f"smtp:a.smith@{DOMAIN.upper()}", account_control=512 + 32)
        + user("info", f"smtp:Info@{DOMAIN}", account_control=514)  # a shared mailbox is a disabled account
        + user("old", "X400:C=US;A= ;P=Corp;", f"sip:sip.only@{DOMAIN}", f"SmTp:mixed@{DOMAIN}")
        + user("mailonly", mail=f"Mail.Only@{DOMAIN}")
        + user("elsewhere", "SMTP:x@elsewhere.example", f"smtp:bad name@{DOMAIN}")
        + user("nomail")
        + group("staff", f"SMTP:Staff@{DOMAIN}", f"smtp:staff.all@{DOMAIN}")
        + contact("partner", f"SMTP:Partner@{DOMAIN}")
        + "".join(user(f"u{number}", f"SMTP:u{number}@{DOMAIN}") for number in range(40))
    )


EXPECTED = {"anna", "a.smith", "info", "mixed", "mail.only", "staff", "staff.all", "partner", "fax"}
EXPECTED |= {"postmaster", "abuse", *(f"u{number}" for number in range(40))}


def keys_of(world: World) -> set[str]:
    """Return the keys of the domain in the newest generation."""
    newest = world.serving()[1][-1]
    text = (world.bed.root / LIST.lstrip("/") / "generations" / str(newest) / "addresses").read_text()
    keys = {line.partition(" ")[0] for line in text.splitlines()}
    return {key.partition("@")[0] for key in keys if key.endswith(f"@{DOMAIN}")}


NEVER_REFUSED = (
    Allowed(STRANGER, GOOD, (OK,)),
    Allowed(STRANGER, LISTED, (OK,)),
    Allowed(STRANGER, UNKNOWN, (NOBODY,)),
)


# The first days of a gateway


def test_the_first_converge_without_a_directory_answers_451_and_fails_at_its_end(world: World) -> None:
    world.bed.inside("sh", "-c", f"svc -d /service/recipients; rm -rf {LIST}")
    status, text = world.play()
    assert status != 0
    assert f"directory corp server {AD_NAME}:636: " in text
    assert "no list serves, every recipient gets 451, the next scheduled export may succeed" in text
    assert "the routes to the back ends, and the accepted domains" in text.partition("no list serves")[0]
    assert {verdict(STRANGER, address) for address in (GOOD, UNKNOWN, LISTED)} == {UNCERTAIN}
    status, text = world.mailgate("status")
    assert (status, "every recipient gets 451" in text) == (1, True)


def test_the_next_scheduled_export_heals_it(world: World) -> None:
    world.ad.start()
    eventually(lambda: verdict(STRANGER, GOOD) == OK, "the service has exported", 30)
    assert verdict(STRANGER, LISTED) == OK
    assert verdict(STRANGER, UNKNOWN) == NOBODY
    assert keys_of(world) == EXPECTED
    settings = (world.bed.root / SETTINGS.lstrip("/")).read_text()
    (world.place / "recipients.json").write_text(settings)


def test_a_second_converge_changes_nothing(world: World) -> None:
    status, text = world.play()
    assert status == 0, text[-3000:]
    assert re.search(r"^gateway +: ok=[0-9]+ +changed=0 ", text, re.MULTILINE), text[-500:]


def test_starttls_reads_the_same(world: World) -> None:
    before = world.serving()
    world.settings(encryption="starttls")
    status, text = world.mailgate("update")
    assert (status, "nothing changed" in text, world.serving()) == (0, True, before), text
    world.settings()


def test_what_was_not_taken_is_told(world: World) -> None:
    dropped = world.mailgate("update")[1]
    assert f"1 not taken, e.g. 'bad name@{DOMAIN}': has a blank or a control character" in dropped
    assert "'x@elsewhere.example': is of a domain whose recipients do not come from the directory" in dropped


def test_a_mailbox_that_is_made_is_accepted_and_one_that_is_removed_is_refused(world: World) -> None:
    new = f"newcomer@{DOMAIN}"
    assert verdict(STRANGER, new) == NOBODY
    world.ad.add(ActiveDirectory.user("newcomer", f"SMTP:Newcomer@{DOMAIN}"))
    assert verdict(STRANGER, new) == NOBODY
    assert "gained" in world.mailgate("diff")[1]
    assert verdict(STRANGER, new) == NOBODY  # diff changes nothing
    status, text = world.mailgate("update")
    assert (status, "+1 -0" in text) == (0, True), text
    assert verdict(STRANGER, new) == OK
    assert world.mailgate("check", "Newcomer@Corp.example.test") == (
        0,
        f"Newcomer@Corp.example.test: accepted, by {new}\n",
    )
    world.ad.remove(f"CN=newcomer,CN=Users,{BASE}")
    assert world.mailgate("update")[0] == 0
    assert verdict(STRANGER, new) == NOBODY
    assert world.mailgate("check", new)[0] == 1
    assert verdict(STRANGER, GOOD) == OK


def test_a_value_list_too_long_for_one_answer_is_not_cut(world: World) -> None:
    """Samba gives at most 1,500 values at once, as Active Directory does."""
    values = [f"smtp:many{number}@{DOMAIN}" for number in range(1700)]
    world.ad.add(ActiveDirectory.group("many", *values))
    status, text = world.mailgate("update")
    assert (status, "+1700 -0" in text) == (0, True), text
    world.ad.remove(f"CN=many,CN=Users,{BASE}")
    assert world.mailgate("update", "--accept-shrink")[0] == 0
    assert keys_of(world) == EXPECTED


# Whatever a directory does


def unchanged(world: World, *said: str, seconds: float = 0.3) -> str:
    """Run an update during SMTP sessions that fails with these words and changes nothing."""
    before = world.serving()
    with Watch(NEVER_REFUSED) as watch:
        time.sleep(seconds)
        status, text = world.mailgate("update")
        time.sleep(seconds)
    assert (status, [one for one in said if one not in text]) == (111, []), text
    assert world.serving() == before
    assert watch.asked > 0
    assert watch.wrong == []
    return text


def test_with_the_whole_directory_gone_nothing_changes(world: World) -> None:
    world.ad.stop()
    unchanged(world, f"server {AD_NAME}:636: ", "Connection refused")
    world.ad.start()
    assert world.mailgate("update")[0] == 0


def root(client: Client) -> int:
    """Answer the search for the base; return the number of the next search."""
    number, _message = client.request()
    client.say(entry(number, BASE) + done(number, cookie=None))
    return client.request()[0]


def user(number: int, name: str, below: str = f"CN=Users,{BASE}") -> bytes:
    return entry(number, f"CN={name},{below}", proxyAddresses=[f"SMTP:{name}@{DOMAIN}"])


def dies_in_the_middle_of_a_page(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + user(number, "info")[:20])


def dies_between_two_pages(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + done(number, cookie=b"more"))


def is_empty(client: Client) -> None:
    client.say(done(root(client)))


def is_cut_at_its_limit(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + done(number, 4))


def does_not_page(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + done(number, cookie=None))


def answers_from_the_wrong_base(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna", "CN=Users,DC=other,DC=test") + done(number))


def is_of_another_base(client: Client) -> None:
    number, _message = client.request()
    client.say(entry(number, "DC=other,DC=test") + done(number, cookie=None))


def only_refers(client: Client) -> None:
    number, _message = client.request()
    client.say(done(number, 10, None, urls=("ldap://dc9.other.test/DC=other,DC=test",)))


def refers_for_a_part(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + reference(number, f"ldap://c/DC=child,{BASE}") + done(number))


def hangs(client: Client) -> None:
    root(client)
    with contextlib.suppress(OSError):
        client.request()


def loses_most(client: Client) -> None:
    number = root(client)
    client.say(user(number, "anna") + user(number, "info") + done(number))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (dies_in_the_middle_of_a_page, "closed the connection; expected the rest of the answer"),
        (dies_between_two_pages, "closed the connection; expected the rest of the answer"),
        (is_empty, "0 addresses of the gateway's domains"),
        (is_cut_at_its_limit, "size limit cut the search (result 4)"),
        (does_not_page, "did not page its answer"),
        (answers_from_the_wrong_base, "lies outside; expected entries below it"),
        (is_of_another_base, "was answered; expected the base itself"),
        (only_refers, "'ldap://dc9.other.test/DC=other,DC=test' the server only refers to another one"),
        (refers_for_a_part, "is said to hold a part of it"),
        (hangs, "no answer in time"),
        (loses_most, "would lose 46 of 51 addresses"),
    ],
)
def test_a_server_that_does_not_tell_all_changes_nothing(
    world: World, behaviour: Behaviour, said: str
) -> None:
    with Scripted(behaviour, FAKE_ADDRESS, FAKE_PORT) as server:
        world.settings(
            servers=[f"{FAKE_NAME}:{FAKE_PORT}"], encryption="none-password-is-readable", answer_seconds=1
        )
        unchanged(world, said)
        assert server.seen == 1
    world.settings()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("another authority", "its certificate is refused: "),
        ("another name", f"certificate is not valid for '{FAKE_NAME}'"),
    ],
)
def test_a_wrong_certificate_never_sees_the_password(world: World, name: str, said: str) -> None:
    other = Authority(world.place / name) if name == "another authority" else world.authority
    certificate = other.sign(FAKE_NAME if name == "another authority" else "else.corp.example.test")
    reached: list[Client] = []
    with Scripted(reached.append, FAKE_ADDRESS, FAKE_PORT, certificate):
        world.settings(servers=[f"{FAKE_NAME}:{FAKE_PORT}"])
        unchanged(world, said)
    assert reached == []
    world.settings()


def test_a_bind_in_clear_and_a_wrong_password_have_their_own_words(world: World) -> None:
    world.settings(servers=[f"{AD_NAME}:389"], encryption="none-password-is-readable")
    unchanged(world, "the server wants an encrypted connection; expected encryption 'ldaps' or 'starttls'")
    other = world.bed.root / "etc/mailgate/other.password"
    other.write_text("not it\n")
    world.bed.inside(
        "sh", "-c", f"chown recipients /etc/mailgate/{other.name}; chmod 400 /etc/mailgate/{other.name}"
    )
    # A wrong password is told to one server only: two would lock the account twice as fast.
    world.settings(servers=[AD_NAME, AD_NAME], password_file=f"/etc/mailgate/{other.name}")
    text = unchanged(world, "the password is wrong; expected a user and a password that may log on")
    assert text.count("the password is wrong") == 1
    other.unlink()
    unchanged(world, f"/etc/mailgate/{other.name}: No such file or directory")
    world.settings()


def test_the_next_domain_controller_is_asked(world: World) -> None:
    certificate = world.authority.sign(FAKE_NAME)
    with Scripted(dies_in_the_middle_of_a_page, FAKE_ADDRESS, FAKE_PORT, certificate) as server:
        world.settings(servers=[f"{FAKE_NAME}:{FAKE_PORT}", AD_NAME])
        before = world.serving()
        status, text = world.mailgate("update")
    assert (status, server.seen, world.serving()) == (0, 1, before), text
    assert f"server {FAKE_NAME}:{FAKE_PORT}: answer: the server closed the connection" in text
    world.settings()


# A directory that gives at most 1,000 entries


def big(world: World, **more: Any) -> None:
    values = {
        "servers": [f"{SLAPD_NAME}:{SLAPD_PORTS[1]}"],
        "bases": [SLAPD_BASE],
        "user": SLAPD_READER,
        "preset": None,
        "filter": "(proxyAddresses=smtp:*)",
        **more,
    }
    world.settings(**values)


def test_all_of_3000_entries_are_read_where_an_unpaged_search_sees_1000(world: World) -> None:
    search = ("-x", "-LLL", "-H", f"ldap://{SLAPD_ADDRESS}:{SLAPD_PORTS[0]}", "-b", SLAPD_BASE, "dn")
    script = 'ldapsearch -D "$0" -w "$(cat)" "$@"; echo status $?'
    text = world.slapd.server.run("sh", "-c", script, SLAPD_READER, *search, text=CANARY)
    assert (text.count("dn: "), "status 4" in text) == (SLAPD_SIZE_LIMIT, True)
    big(world)
    world.bed.inside("install", "-d", "-o", "recipients", "/tmp/big")
    status, text = world.mailgate("update", "--directory", "/tmp/big")
    assert status == 0, text
    addresses = (world.bed.root / "tmp/big/generations/1/addresses").read_text()
    found = {line.split("@")[0] for line in addresses.splitlines() if line.endswith(" directory")}
    assert len(found) == 2 * PEOPLE
    assert {"user0", f"user{PEOPLE - 1}", f"first.last{PEOPLE // 2}"} <= found
    world.settings()


def test_a_page_beyond_the_servers_limit_is_an_error(world: World) -> None:
    big(world, page_entries=2000)
    unchanged(world, "administrative limit cut the search (result 11)")
    world.settings()


def test_a_connection_cut_anywhere_changes_nothing(world: World) -> None:
    for after_bytes in (100, 2_000, 150_000):
        with Cut(FAKE_ADDRESS, FAKE_PORT, (SLAPD_ADDRESS, SLAPD_PORTS[0]), after_bytes):
            big(
                world,
                servers=[f"{FAKE_NAME}:{FAKE_PORT}"],
                encryption="none-password-is-readable",
                answer_seconds=5,
            )
            unchanged(world, f"server {FAKE_NAME}:{FAKE_PORT}: ", seconds=0.1)
    world.settings()


# A person confirms it


def test_a_loss_waits_for_a_persons_word_and_a_rollback_for_another(world: World) -> None:
    names = [f"CN=u{number},CN=Users,{BASE}" for number in range(20)]
    world.ad.remove(*names)
    unchanged(world, "would lose 20 of 51 addresses (39.2 %)", "--accept-shrink")
    refused = world.bed.inside(
        "setuidgid", "recipients", "mailgate", "recipients", "update", "--accept-shrink"
    )
    assert (refused[0], "expected root" in refused[2]) == (100, True)
    status, text = world.mailgate("update", "--accept-shrink")
    assert (status, "-20" in text) == (0, True), text
    assert verdict(STRANGER, f"u3@{DOMAIN}") == NOBODY

    status, text = world.mailgate("rollback")
    assert (status, "held until" in text) == (0, True), text
    assert verdict(STRANGER, f"u3@{DOMAIN}") == OK
    status, text = world.mailgate("update")
    assert (status, "held, rolled back" in text) == (111, True), text
    assert verdict(STRANGER, f"u3@{DOMAIN}") == OK
    assert json.loads(world.mailgate("status", "--json")[1])["held"]
    assert world.mailgate("update", "--release", "--accept-shrink")[0] == 0
    assert verdict(STRANGER, f"u3@{DOMAIN}") == NOBODY
    world.ad.add(
        "".join(ActiveDirectory.user(f"u{number}", f"SMTP:u{number}@{DOMAIN}") for number in range(20))
    )
    assert world.mailgate("update")[0] == 0
    assert keys_of(world) == EXPECTED


def test_an_old_export_is_an_alarm(world: World) -> None:
    assert world.mailgate("status")[0] == 0
    path = world.bed.root / LIST.lstrip("/") / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "last_export": time.time() - 90_000}))
    status, text = world.mailgate("status")
    assert (status, "alarm: the directory's last export is 25.0 hours old; expected at most 24" in text) == (
        1,
        True,
    )
    assert world.mailgate("update")[0] == 0
    assert world.mailgate("status")[0] == 0


def test_a_list_that_was_damaged_is_mended_even_without_a_directory(world: World) -> None:
    world.ad.stop()
    served = world.bed.root / LIST.lstrip("/") / "validrcptto.cdb"
    served.write_bytes(served.read_bytes()[:3000])
    assert verdict(STRANGER, GOOD) == UNCERTAIN
    assert world.mailgate("update")[0] == 111
    assert (verdict(STRANGER, GOOD), verdict(STRANGER, UNKNOWN)) == (OK, NOBODY)
    world.ad.start()
    assert world.mailgate("update")[0] == 0


def test_the_site_file_takes_effect_while_the_directory_is_gone(world: World) -> None:
    world.ad.stop()
    domains = [dict(one) for one in GATEWAY_DOMAINS]
    domains[0]["addresses"] = ["alice", "carol"]
    status, text = world.play(gateway_domains=domains)
    assert (status != 0, "the present list stays in use" in text) == (True, True), text[-1000:]
    assert [verdict(STRANGER, one) for one in ("carol@example.test", "bob@example.test", GOOD)] == [
        OK,
        NOBODY,
        OK,
    ]
    new = {"name": "new.example.test", "route": "198.18.0.10:2525", "recipients": "directory"}
    status, text = world.play(gateway_domains=[*GATEWAY_DOMAINS, new])
    assert (status != 0, "domain new.example.test: has no list yet" in text) == (True, True), text[-1000:]
    assert "new.example.test" not in (world.bed.root / "var/qmail/control/rcpthosts").read_text()
    world.settings()
    world.ad.start()
    assert world.mailgate("update")[0] == 0
    assert keys_of(world) == EXPECTED


# The password


def test_the_password_is_in_no_artefact(world: World) -> None:
    """The password is not visible while an export hangs, nor in any output or file of these tests."""
    seen: list[str] = []
    with Scripted(hangs, FAKE_ADDRESS, FAKE_PORT) as server:
        world.settings(
            servers=[f"{FAKE_NAME}:{FAKE_PORT}"], encryption="none-password-is-readable", answer_seconds=3
        )
        export = threading.Thread(target=world.mailgate, args=("update",))
        export.start()
        eventually(lambda: server.seen == 1, "the export hangs", 30)
        for number in world.bed.processes():
            with contextlib.suppress(OSError):
                seen += [
                    Path(f"/proc/{number}/{name}").read_text("latin-1") for name in ("cmdline", "environ")
                ]
        export.join(30)
    world.settings()
    assert any("recipients" in one for one in seen)
    assert not [one for one in (*seen, *world.said) if CANARY in one]
    own = "/etc/mailgate/directory-corp.password"
    assert world.bed.inside("stat", "-c", "%a %U %G", own)[1] == "400 recipients recipients\n"
    places = (
        "/etc",
        "/var/lib/mailgate",
        "/var/log",
        "/var/qmail/control",
        "/tmp",
        "/root",
        "/usr/local/lib",
    )
    found = world.bed.inside("grep", "-rlF", CANARY, *places)[1]
    assert found.splitlines() == [own]
