# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MTA-STS of the real qmail-remote: a resolver of policies that says what it is told, and servers."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.certificates import Signer, in_one_file, make_pair, tlsa_data, trust
from support.remote_by_mx import (
    ADDRESS,
    DOMAIN,
    HOST,
    MX,
    OTHER_ADDRESS,
    OTHER_HOST,
    TLSA,
    Place,
    build_place,
    mx,
    outcome,
)
from support.sts_resolver import NO_POLICY, StsResolver, enforced, netstring
from support.tls_mail_server import Ways
from support.told_resolver import SERVFAIL, A, Records, Resolver, Validated, a, record

QUESTION = b"20:mta-sts example.test,"
OLDER = (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
FOUND = re.compile(r"\ntls=(TLSv1\.[23]/[A-Za-z0-9_-]+|none),([a-z-]+)\n")
WRONG = bytes([3, 1, 1]) + bytes(32)
UNLISTED = (
    "ZThe domain's policy of MTA-STS is enforced, "
    "and there was no connection to a host that it lists. (#4.7.5)\n"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return build_place(tmp_path_factory.mktemp("remote"))


@pytest.fixture(scope="module")
def authorities(authority: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory as the system's own, in which OpenSSL finds the authority."""
    directory = tmp_path_factory.mktemp("authorities")
    trust(authority, directory)
    return directory


@pytest.fixture
def place(built: Place, authorities: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """By MX, with the policy may, and a resolver of policies."""
    built.by_mx()
    (built.remote.control / "stsresolver").write_text(f"{socket_of(built)}\n")
    monkeypatch.setenv("SSL_CERT_DIR", str(authorities))
    yield built


def socket_of(place: Place) -> Path:
    return place.remote.home / "sts"


def unvalidated() -> Records:
    return {(DOMAIN, MX): [mx(HOST, 10)], (HOST, A): [a(HOST, ADDRESS)]}


def two_hosts() -> Records:
    """Return records of a host, and of a second one that is not preferred."""
    more = {(DOMAIN, MX): [mx(HOST, 10), mx(OTHER_HOST, 20)], (OTHER_HOST, A): [a(OTHER_HOST, OTHER_ADDRESS)]}
    return {**unvalidated(), **more}


def sent(place: Place, ways: Ways, *pieces: bytes, records: Records | None = None) -> tuple[str, int]:
    """Return the policy by which the message came, or the report of the deferral; and the connections.

    pieces: of the answer about the policy.
    """
    with ExitStack() as stack:
        stack.enter_context(Resolver(place.resolver_port, unvalidated() if records is None else records))
        server = stack.enter_context(place.server(ways))
        asked = stack.enter_context(StsResolver(socket_of(place), *pieces)).asked if pieces else []
        report = place.remote.run()
        assert asked == ([QUESTION] if pieces else [])
        return outcome(report, server.connections(), FOUND)


@pytest.mark.parametrize(
    ("patterns", "hosts"),
    [
        ((HOST,), (HOST,)),
        (("other.example", "MX.Example.Test"), (HOST,)),
        ((".example.test",), (HOST,)),
        ((HOST,), ("*.example.test",)),
    ],
)
def test_a_listed_host_with_its_own_name(
    patterns: tuple[str, ...], hosts: tuple[str, ...], place: Place, authority: Signer
) -> None:
    ways = Ways(authority.issue("good", hosts=hosts))
    assert sent(place, ways, enforced(*patterns)) == ("mta-sts", 1)


Make = Callable[[Signer, Path], Ways]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda ca, at: Ways(), "it offers no STARTTLS. (#4.7.4)"),
        (lambda ca, at: Ways(in_plain={"EHLO": "502 what?"}), "it refuses EHLO. (#4.7.4)"),
        (lambda ca, at: Ways(in_one_file(make_pair(at))), "the certificate is not valid"),
        (lambda ca, at: Ways(Signer(at, "other").issue("other")), "the certificate is not valid"),
        (lambda ca, at: Ways(ca.issue("expired", days=(-2, -1))), "the certificate is not valid"),
        (
            lambda ca, at: Ways(ca.issue("name", hosts=(OTHER_HOST, DOMAIN))),
            "the certificate is of another name",
        ),
        (lambda ca, at: Ways(ca.issue("old"), OLDER), "the handshake failed"),
        (lambda ca, at: Ways(ca.issue("closes"), handshake="close"), "the handshake failed"),
        (lambda ca, at: Ways(ca.issue("later"), answer=b"454 4.7.0 no\r\n"), "it refuses STARTTLS. (#4.7.4)"),
    ],
    ids=[
        *("no STARTTLS", "no EHLO", "self-signed", "another CA", "expired", "another name", "TLS 1.1"),
        *("hangs up", "454"),
    ],
)
def test_a_listed_host_that_is_not_as_the_policy_asks(
    make: Make, why: str, place: Place, authority: Signer, tmp_path: Path
) -> None:
    said, connections = sent(place, make(authority, tmp_path), enforced(HOST))
    assert f"but its TLS is not as the policy mta-sts asks: {why}" in said and connections == 1


@pytest.mark.parametrize("patterns", [(OTHER_HOST,), (DOMAIN,), (".test",), (".mx.example.test",)])
def test_a_host_that_is_not_listed_gets_no_mail(
    patterns: tuple[str, ...], place: Place, authority: Signer
) -> None:
    said, connections = sent(place, Ways(authority.issue("good")), enforced(*patterns))
    assert (said, connections) == (UNLISTED, 0)


def test_the_next_host_may_be_listed(place: Place, authority: Signer) -> None:
    good = Ways(authority.issue("both", hosts=(HOST, OTHER_HOST)))
    with place.server(good, OTHER_ADDRESS) as other:
        with Resolver(place.resolver_port, two_hosts()), place.server(good) as server:
            with StsResolver(socket_of(place), enforced(OTHER_HOST)) as resolver:
                report = place.remote.run()
                assert resolver.asked == [QUESTION]
            assert server.connections() == []
        assert [len(one.messages) for one in other.connections()] == [1]
    found = FOUND.search(report.message)
    assert found and found[2] == "mta-sts"


def test_a_listed_host_that_is_not_there(place: Place, authority: Signer) -> None:
    good = Ways(authority.issue("good"))
    assert sent(place, good, enforced(OTHER_HOST), records=two_hosts()) == (UNLISTED, 0)


@pytest.mark.parametrize("answer", [NO_POLICY, netstring("NOTFOUND")])
def test_without_an_enforced_policy_nothing_changes(answer: bytes, place: Place, tmp_path: Path) -> None:
    assert sent(place, Ways(), answer) == ("may", 1)
    assert sent(place, Ways(in_one_file(make_pair(tmp_path))), answer) == ("may", 1)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((netstring("TEMP no memory"),), "its resolver does not know it"),
        ((netstring("PERM what?"),), "its resolver does not know it"),
        ((netstring("OK secure match="),), "its resolver does not know it"),
        ((b"220 mx.example.test ESMTP\r\n",), "its resolver does not know it"),
        ((NO_POLICY + NO_POLICY,), "its resolver does not know it"),
        ((b"",), "its resolver gave no answer"),
        ((NO_POLICY[:-1],), "its resolver gave no answer"),
    ],
)
def test_a_policy_that_is_not_known_defers(pieces: tuple[bytes, ...], why: str, place: Place) -> None:
    said = f"ZThe domain's policy of MTA-STS is not known: {why}. (#4.4.3)\n"
    assert sent(place, Ways(), *pieces) == (said, 0)


def test_a_resolver_that_is_not_there_defers(place: Place) -> None:
    socket_of(place).unlink(missing_ok=True)
    why = "its resolver cannot be reached"
    assert sent(place, Ways()) == (f"ZThe domain's policy of MTA-STS is not known: {why}. (#4.4.3)\n", 0)


def test_an_answer_may_come_in_pieces(place: Place, authority: Signer) -> None:
    whole = enforced(*(f"mx{number}.example.test" for number in range(3000)), HOST)
    pieces = [whole[:1], whole[1:2], whole[2:9], whole[9:30000], whole[30000:]]
    assert sent(place, Ways(authority.issue("good")), *pieces) == ("mta-sts", 1)


def test_dane_comes_first(place: Place, authority: Signer) -> None:
    both = authority.issue("good")
    socket_of(place).unlink(missing_ok=True)  # nobody is there to be asked
    assert sent(place, Ways(both), records=place.records(tlsa_data(both))) == ("dane", 1)
    said, connections = sent(place, Ways(both), records=place.records(WRONG))
    assert "is not as the policy dane asks" in said and connections == 1
    service = place.service()
    said, connections = sent(place, Ways(both), records={**place.records(), service: SERVFAIL})
    assert "the TLSA records of no host could be looked up" in said and connections == 0


def test_a_host_without_tlsa_records_beside_one_with_a_wrong_one(place: Place, authority: Signer) -> None:
    records: Records = {
        (DOMAIN, MX): Validated([mx(HOST, 10), mx(OTHER_HOST, 20)]),
        (HOST, A): Validated([a(HOST, ADDRESS)]),
        (OTHER_HOST, A): Validated([a(OTHER_HOST, OTHER_ADDRESS)]),
        place.service(OTHER_HOST): Validated([record("x", TLSA, WRONG)]),
    }
    ways = Ways(authority.issue("good"))
    assert sent(place, ways, enforced(HOST), records=records) == ("mta-sts", 1)


def test_the_next_host_may_have_tlsa_records(place: Place, tmp_path: Path) -> None:
    both = in_one_file(make_pair(tmp_path))
    records: Records = {
        (DOMAIN, MX): Validated([mx(HOST, 10), mx(OTHER_HOST, 20)]),
        (HOST, A): Validated([a(HOST, OTHER_ADDRESS)]),  # where nobody listens
        (OTHER_HOST, A): Validated([a(OTHER_HOST, ADDRESS)]),
        place.service(OTHER_HOST): Validated([record("x", TLSA, tlsa_data(both))]),
    }
    assert sent(place, Ways(both), enforced(HOST), records=records) == ("dane", 1)


def test_a_route_is_not_asked_about(place: Place) -> None:
    (place.remote.control / "smtproutes").write_text(f":{ADDRESS}:{place.smtp_port}\n")
    with StsResolver(socket_of(place), enforced(OTHER_HOST)) as resolver:
        assert sent(place, Ways()) == ("may", 1)
        assert resolver.asked == []


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_a_resolver_nothing_changes(content: str | None, place: Place) -> None:
    path = place.remote.control / "stsresolver"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert sent(place, Ways()) == ("may", 1)
