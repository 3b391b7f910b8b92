# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An export is complete or an error: every incomplete answer of a server makes it fail."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import ldap_message as ber
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    ldap_errors,
    ldap_names,
    ldap_server,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    ldap_export as directory,
)
from hypothesis import given
from hypothesis import strategies as st
from support.ldap_answers import (
    bound,
    done,
    element,
    entry,
    farewell,
    message,
    number,
    octets,
    reference,
    result,
)

BASE = "DC=corp,DC=test"
CORP = ldap_server.LdapDirectory(
    name="corp",
    servers=(("dc1", 636), ("dc2", 636)),
    bases=(BASE,),
    user="reader",
    password_file="",
    encryption="ldaps",
    ca_file="",
    filter="(a=*)",
    with_mail=False,
)
Answer = Callable[[int], bytes]


@dataclass
class Scripted:
    """A link whose server answers each search with the next of its answers; a short one has closed."""

    answers: list[Answer]
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    pending: bytes = b""
    step_bytes: int = 7  # an answer comes in pieces of any size
    closed: bool = False

    def ask(
        self, base: str, whole: bool, text: str, attributes: Sequence[str], page: int, cookie: bytes
    ) -> int:
        self.asked.append((base, whole, tuple(attributes), page, cookie))
        identity = len(self.asked) + 2
        self.pending += self.answers[len(self.asked) - 1](identity)
        return identity

    def receive(self) -> bytes:
        piece, self.pending = self.pending[: self.step_bytes], self.pending[self.step_bytes :]
        return piece

    def close(self) -> None:
        self.closed = True


def root(identity: int) -> bytes:
    return entry(identity, BASE) + done(identity, cookie=None)


def user(identity: int, name: str, *values: str, below: str = f"CN=Users,{BASE}") -> bytes:
    return entry(identity, f"CN={name},{below}", proxyAddresses=list(values))


def one_page(*names: str) -> Answer:
    return lambda i: b"".join(user(i, name, f"SMTP:{name}@X.test") for name in names) + done(i)


def read(*answers: Answer, bases: Sequence[str] = (), **more: Any) -> directory.Found:
    changed = {**CORP.__dict__, **more}
    return directory.read_all(Scripted([root, *answers]), ldap_server.LdapDirectory(**changed), bases)


def failure(*answers: Answer, **more: Any) -> str:
    with pytest.raises(MailgateError) as refusal:
        read(*answers, **more)
    return str(refusal.value)


def test_a_server_whose_name_does_not_resolve_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """python3-ldap3's own words are "invalid server address"."""
    pytest.importorskip("ldap3")

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(MailgateError) as caught:
        directory.export(CORP, "secret")
    words = "the name does not resolve; expected a host name or an address"
    assert str(caught.value) == "; ".join(
        f"directory corp server {one}:636: {words}" for one in ("dc1", "dc2")
    )


def test_all_pages_up_to_the_empty_cookie() -> None:
    link = Scripted(
        [
            root,
            lambda i: (
                user(i, "a", "SMTP:A@X.test", "smtp:b@x.test", "X400:c=us", "sip:a@x.test")
                + done(i, cookie=b"1")
            ),
            lambda i: done(i, cookie=b"2"),  # a page without an entry is not an end
            lambda i: user(i, "c", " Smtp:C@x.test") + user(i, "d", "sMTP: D@x.test ") + done(i),
        ]
    )
    found = directory.read_all(link, CORP)
    assert found.addresses == {"a@x.test", "b@x.test", "d@x.test"}
    assert (found.entries, found.pages, found.other_values) == (3, 3, 3)
    assert link.asked[0] == (BASE, False, ("1.1",), 0, b"")
    assert [cookie for *_rest, cookie in link.asked[1:]] == [b"", b"1", b"2"]
    assert {page for *_rest, page, _cookie in link.asked[1:]} == {1000}


def test_mail_counts_where_it_is_asked_for() -> None:
    def page(i: int) -> bytes:
        return entry(i, f"CN=a,{BASE}", proxyAddresses=["smtp:a@x.test"], MAIL=["B@x.test"]) + done(i)

    assert read(page).addresses == {"a@x.test"}
    assert read(page, with_mail=True).addresses == {"a@x.test", "b@x.test"}


def test_values_that_come_in_ranges() -> None:
    dn = f"CN=a,{BASE}"
    link = Scripted(
        [
            root,
            lambda i: (
                entry(i, dn, proxyAddresses__0_to_1=["smtp:a@x", "smtp:b@x"], proxyAddresses=[]) + done(i)
            ),
            lambda i: entry(i, dn, proxyAddresses__2_to_3=["smtp:c@x", "smtp:d@x"]) + done(i, cookie=None),
            lambda i: entry(i, dn, proxyAddresses__4_to_end=["smtp:e@x"]) + done(i, cookie=None),
        ]
    )
    assert directory.read_all(link, CORP).addresses == {f"{letter}@x" for letter in "abcde"}
    assert [asked[2] for asked in link.asked[2:]] == [
        ("proxyAddresses;range=2-*",),
        ("proxyAddresses;range=4-*",),
    ]


def test_a_range_that_ends_early_is_an_error() -> None:
    dn = f"CN=a,{BASE}"
    first: Answer = lambda i: entry(i, dn, proxyAddresses__0_to_1=["smtp:a@x"]) + done(i)  # noqa: E731
    assert failure(first, lambda i: entry(i, dn) + done(i, cookie=None)) == (
        f"base '{dn}': no values of proxyAddresses from number 2; expected the rest of them"
    )


REFUSED: list[tuple[tuple[Answer, ...], str]] = [
    (
        (lambda i: user(i, "a", "smtp:a@x") + done(i, cookie=None),),
        "the server did not page its answer; expected the paged results control",
    ),
    (
        (lambda i: user(i, "a", "smtp:a@x") + done(i, 4, text="Size"),),
        "'Size' the server's size limit cut the search (result 4); expected every entry, page by page",
    ),
    (
        (lambda i: user(i, "a", "smtp:a@x") + done(i, cookie=b"1"), lambda i: done(i, 3)),
        "'' the server's time limit cut the search (result 3); expected every entry",
    ),
    (
        (lambda i: done(i, 10, urls=("ldap://dc9/DC=corp",)),),
        "'ldap://dc9/DC=corp' the server only refers to another one; expected a server that holds this base",
    ),
    (
        (lambda i: user(i, "a", "smtp:a@x", below="DC=other,DC=test") + done(i),),
        "'CN=a,DC=other,DC=test' lies outside; expected entries below it",
    ),
    (
        (lambda i: user(i, "a", "smtp:a@x", below="CN=Users,DC=evilcorp,DC=test") + done(i),),
        "'CN=a,CN=Users,DC=evilcorp,DC=test' lies outside; expected entries below it",
    ),
    (
        (lambda i: reference(i, "ldap://child.corp.test/DC=child,DC=corp,DC=test") + done(i),),
        "'ldap://child.corp.test/DC=child,DC=corp,DC=test' is said to hold a part of it; "
        "expected its name among the bases of a directory, or bases that leave it out",
    ),
]


@pytest.mark.parametrize(("answers", "text"), REFUSED)
def test_an_answer_that_is_not_all_is_an_error(answers: tuple[Answer, ...], text: str) -> None:
    assert failure(*answers) == f"base '{BASE}': {text}"


BROKEN: list[tuple[Answer, str]] = [
    (
        lambda i: user(i, "a", "smtp:a@x"),
        "answer: the server closed the connection; expected the rest of the answer",
    ),
    (
        lambda i: user(i, "a", "smtp:a@x")[:-9],
        "answer: the server closed the connection; expected the rest of the answer",
    ),
    (lambda i: b"HTTP/1.1 400\r\n", "answer: tag 0x48 is not a message; expected 0x30"),
    (lambda i: b"\x30\x80", "answer: 128 is not a length; expected the definite form"),
    (
        lambda i: b"\x30\x88" + b"\xff" * 8,
        "answer: a message of 18446744073709551615 bytes; expected at most 67108864",
    ),
    (lambda i: done(i + 1), "answer: number 5 is another one's; expected 4"),
    (
        lambda i: farewell(),
        "answer: 'shutting down', the server ends the connection (result 52); "
        "expected the answer to the search",
    ),
    (lambda i: bound(i), "answer: tag 0x61 does not answer a search; expected 0x64 or 0x65"),
    (
        lambda i: message(i, element(0x64, octets("x"), b"\x30\x7f")),
        "answer byte 10: 127 bytes of content; expected at most 0",
    ),
]


@pytest.mark.parametrize(("answer", "text"), BROKEN)
def test_bytes_that_are_no_answer_are_an_error(answer: Answer, text: str) -> None:
    said = failure(lambda i: answer(i) + done(i) if "byte" in text else answer(i))
    assert said == text


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (lambda i: done(i, cookie=None), "0 objects of that name; expected one that the account may see"),
        (
            lambda i: entry(i, "DC=other,DC=test") + done(i, cookie=None),
            "'DC=other,DC=test' was answered; expected the base itself",
        ),
        (
            lambda i: done(i, 32, None, "none"),
            "'none' the base does not exist, or the account may not see it (result 32); "
            "expected the name of a base",
        ),
    ],
)
def test_a_base_that_does_not_answer_is_an_error(first: Answer, text: str) -> None:
    with pytest.raises(MailgateError) as refusal:
        directory.read_all(Scripted([first]), CORP)
    assert str(refusal.value) == f"base '{BASE}': {text}"


def test_references_to_parts_without_recipients_and_to_other_bases_are_accounted_for() -> None:
    child = "DC=child,DC=corp,DC=test"

    def page(i: int) -> bytes:
        urls = [
            f"ldap://x/DC=ForestDnsZones,{BASE}",
            f"ldap://x/CN=Configuration,{BASE}??sub",
            f"ldap://c/{child}",
        ]
        return user(i, "a", "smtp:a@x") + b"".join(reference(i, url) for url in urls) + done(i)

    found = read(page, bases=["dc=child, dc=corp,dc=test"])
    assert (found.addresses, found.references) == ({"a@x"}, 3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("DC=corp,DC=test", "dc = corp , dc=TEST", True),
        ("OU=a\\,b,DC=x", "ou=a\\2Cb,dc=x", True),
        ("OU=\\C3\\A4,DC=x", "ou=\u00e4,dc=x", True),
        ("OU=a  b,DC=x", "OU=a b,DC=x", True),
        ("OU=a,OU=b", "OU=a\\,OU=b", False),
    ],
)
def test_distinguished_names_are_compared_by_their_parts(one: str, other: str, same: bool) -> None:
    assert (ldap_names.parse_dn(one) == ldap_names.parse_dn(other)) is same


def test_below_means_whole_parts() -> None:
    base = ldap_names.parse_dn("DC=corp,DC=test")
    assert ldap_names.is_below(ldap_names.parse_dn("CN=a\\,b,DC=Corp,DC=test"), base)
    assert not ldap_names.is_below(ldap_names.parse_dn("CN=a,DC=evilcorp,DC=test"), base)
    assert not ldap_names.is_below(ldap_names.parse_dn("DC=test"), base)


def exported(links: dict[str, Any]) -> tuple[directory.Found, list[str]]:
    """Export from servers that are these: a link, or what connecting raises."""
    tried: list[str] = []

    def connect(_directory: ldap_server.LdapDirectory, server: tuple[str, int], _password: str) -> Any:
        tried.append(server[0])
        link = links[server[0]]
        if isinstance(link, BaseException):
            raise link
        return link

    return directory.export(CORP, "s3cret", (), connect), tried


def test_the_second_server_is_asked_for_everything_again() -> None:
    broken = Scripted(
        [root, lambda i: user(i, "only-here", "smtp:stale@x") + done(i, cookie=b"1"), lambda i: b""]
    )
    found, tried = exported({"dc1": broken, "dc2": Scripted([root, one_page("a", "b")])})
    assert found.addresses == {"a@x.test", "b@x.test"}
    assert (tried, found.server, broken.closed) == (["dc1", "dc2"], "dc2:636", True)
    assert found.failed_servers == [
        "directory corp server dc1:636: "
        "answer: the server closed the connection; expected the rest of the answer"
    ]


def test_a_wrong_password_is_not_tried_on_the_next_server() -> None:
    final = ldap_errors.LdapError("user 'reader': no", final=True)
    with pytest.raises(ldap_errors.LdapError) as refusal:
        exported({"dc1": final, "dc2": Scripted([root, one_page("a")])})
    assert str(refusal.value) == "directory corp server dc1:636: user 'reader': no"


def test_the_troubles_of_all_servers_are_told_and_the_password_is_not() -> None:
    echo = Scripted([lambda i: done(i, 1, text="you sent s3cret")])
    with pytest.raises(ldap_errors.LdapError) as refusal:
        exported({"dc1": TimeoutError(), "dc2": echo})
    assert str(refusal.value) == (
        "directory corp server dc1:636: no answer in time; expected one; "
        f"directory corp server dc2:636: base '{BASE}': 'you sent ***' the bind is missing, or it failed "
        "(result 1); expected an account that may read"
    )


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (8, "LdapErr: DSID-0C090256", "wants an encrypted connection"),
        (
            49,
            "80090308: LdapErr: comment: AcceptSecurityContext error, data 52e, v1db1",
            "the password is wrong",
        ),
        (49, "comment: AcceptSecurityContext error, data 775, v3839", "the account is locked"),
        (
            49,
            "80090346: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data 80090346",
            "channel binding",
        ),
        (49, "", "user or password is wrong"),
        (12, "", "the server does not page"),
        (77, "", "the server refuses (result 77)"),
    ],
)
def test_each_refusal_has_its_own_words(code: int, text: str, words: str) -> None:
    assert words in ldap_errors.result_fault(code, text)


def test_a_certificate_is_refused_in_words() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "unable to get local issuer certificate"
    with pytest.raises(ldap_errors.LdapError) as refusal:
        exported({"dc1": error, "dc2": ConnectionRefusedError(111, "Connection refused")})
    assert str(refusal.value) == (
        "directory corp server dc1:636: its certificate is refused: unable to get local issuer certificate; "
        "expected one of the CA for this host name; "
        "directory corp server dc2:636: Connection refused; expected a connection"
    )


VALUES = st.lists(st.binary(max_size=300), max_size=4)


@given(
    st.text(max_size=200), st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), VALUES, max_size=4)
)
def test_decoding_undoes_encoding(dn: str, attributes: dict[str, list[bytes]]) -> None:
    found = ber.decode(entry(7, dn.encode("utf-8", "replace").decode(), **attributes), 7)  # type: ignore[arg-type]
    assert isinstance(found, ber.Entry)
    assert {name: list(values) for name, values in found.attributes} == attributes


SAMPLES = (user(3, "a", "smtp:a@x", "x" * 200), done(3, cookie=b"abc"), reference(3, "ldap://x/y"), root(3))


@given(st.sampled_from(SAMPLES), st.integers(0, 400), st.integers(0, 255))
def test_any_damage_is_an_error_or_a_message(sample: bytes, at: int, value: int) -> None:
    harmed = bytearray(sample)
    harmed[at % len(harmed)] = value
    pieces = [bytes(harmed), b""]
    try:
        for one in ber.messages(lambda: pieces.pop(0)):
            ber.is_done(one)
            ber.decode(one, 3)
    except ber.BadAnswer:
        pass


def test_ldap3_that_is_missing_has_its_own_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap3", None)
    with pytest.raises(ldap_errors.LdapError) as refusal:
        directory.export(CORP, "s3cret")
    assert str(refusal.value) == (
        "directory corp server dc1:636: module ldap3: not there; expected the package python3-ldap3"
    )


def test_result_is_read_with_its_number() -> None:
    assert ber.decode(message(3, result(0x65, 200)), 3) == ber.Done(200, "", (), None)
    assert number(200) == b"\x02\x02\x00\xc8"
