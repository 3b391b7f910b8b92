# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DANE of the real qmail-remote: a resolver that vouches for what it is told, and servers at 127.0.0.77."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.certificates import Signer, in_one_file, make_pair, tlsa_data
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
from support.tls_mail_server import Ways
from support.told_resolver import NXDOMAIN, SERVFAIL, A, Records, Resolver, Validated, a, record

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1)
FOUND = re.compile(r"\ntls=(TLSv1\.[23]/[A-Za-z0-9_-]+|none),([a-z]+)\n")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return build_place(tmp_path_factory.mktemp("remote"))


@pytest.fixture
def place(built: Place) -> Iterator[Place]:
    built.by_mx()
    yield built


WRONG = bytes([3, 1, 1]) + bytes(32)


def own(directory: Path, name: str = "mail.elsewhere.example", **more: tuple[float, float]) -> Path:
    """Return a certificate that signs itself, of another name."""
    return in_one_file(make_pair(directory, host=name, **more))


def sent(place: Place, records: Records, ways: Ways) -> tuple[str, int]:
    """Return the policy by which the message came, or the report of the deferral; and the connections."""
    with Resolver(place.resolver_port, records), place.server(ways) as server:
        report = place.remote.run()
        return outcome(report, server.connections(), FOUND)


@pytest.mark.parametrize(
    "form",
    [(3, 1, 1), (3, 0, 1), (3, 1, 2), (3, 0, 2), (3, 1, 0), (3, 0, 0)],
    ids=lambda form: "".join(map(str, form)),
)
def test_the_servers_own_certificate(form: tuple[int, int, int], place: Place, tmp_path: Path) -> None:
    both = own(tmp_path)
    assert sent(place, place.records(tlsa_data(both, *form)), Ways(both)) == ("dane", 1)


def test_a_new_certificate_beside_the_old_one_and_one_that_has_expired(place: Place, tmp_path: Path) -> None:
    both = own(tmp_path, days=(-3, -1))
    assert sent(place, place.records(WRONG, tlsa_data(both), WRONG), Ways(both)) == ("dane", 1)


@pytest.mark.parametrize(
    ("hosts", "good"),
    [((HOST,), True), ((DOMAIN,), True), (("*.example.test",), True), (("mx.elsewhere.example",), False)],
)
def test_an_authority_needs_the_name(
    hosts: tuple[str, ...], good: bool, place: Place, tmp_path: Path
) -> None:
    signer = Signer(tmp_path)
    both = signer.issue("leaf", hosts=hosts)
    whole = both.read_bytes() + signer.path.read_bytes()  # RFC 7672 3.1.2: the authority is in the chain
    both.write_bytes(whole)
    said, connections = sent(place, place.records(tlsa_data(signer.path, 2, 0)), Ways(both))
    assert (said == "dane") == good and connections == 1


Change = Callable[[Place, Path, Records], None]


def _set(name: str, kind: int, said: object) -> Change:
    return lambda place, both, records: records.update({(name, kind): said})  # type: ignore[dict-item]


def _tlsa(said: Callable[[Place, Path], object]) -> Change:
    return lambda place, both, records: records.update({place.service(): said(place, both)})  # type: ignore[dict-item]


def _unvouched(place: Place, both: Path) -> list[bytes]:
    return [record(place.service()[0], TLSA, tlsa_data(both))]


@pytest.mark.parametrize(
    "change",
    [
        _set(DOMAIN, MX, [mx(HOST, 10)]),
        _set(HOST, A, [a(HOST, ADDRESS)]),
        _tlsa(_unvouched),
        _tlsa(lambda place, both: Validated()),
        _tlsa(lambda place, both: NXDOMAIN),
    ],
    ids=["MX", "address", "TLSA", "no TLSA, validated", "no TLSA"],
)
@pytest.mark.parametrize("with_tls", [True, False])
def test_what_nobody_vouches_for_is_no_dane(
    change: Change, with_tls: bool, place: Place, tmp_path: Path
) -> None:
    both = own(tmp_path)
    records = place.records(tlsa_data(both) if with_tls else WRONG)
    change(place, both, records)
    assert sent(place, records, Ways(both if with_tls else None)) == ("may", 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set(DOMAIN, MX, SERVFAIL), "couldn't find any host by that name"),
        (_set(HOST, A, SERVFAIL), "couldn't find any host by that name"),
        (_tlsa(lambda place, both: SERVFAIL), "the TLSA records of no host could be looked up. (#4.7.5)"),
        (
            _tlsa(lambda place, both: Validated([record(place.service()[0], TLSA, WRONG)[:-5]])),
            "the TLSA records of no host could be looked up. (#4.7.5)",
        ),
    ],
    ids=["MX", "address", "TLSA", "TLSA, cut"],
)
def test_what_cannot_be_looked_up_or_is_bogus_waits(
    change: Change, words: str, place: Place, tmp_path: Path
) -> None:
    both = own(tmp_path)
    records = place.records(tlsa_data(both))
    change(place, both, records)
    said, connections = sent(place, records, Ways(both))
    assert words in said and connections == 0


@pytest.mark.parametrize(
    "server", ["wrong", "without STARTTLS", "454", "more behind 220", "TLS 1.0", "close"]
)
def test_what_is_not_as_the_records_say_waits(server: str, place: Place, tmp_path: Path) -> None:
    both = own(tmp_path / "one")
    ways = {
        "wrong": Ways(own(tmp_path / "other")),
        "without STARTTLS": Ways(),
        "454": Ways(both, answer=b"454 4.7.0 not now\r\n"),
        "more behind 220": Ways(both, answer=b"220 go\r\n250 injected\r\n"),
        "TLS 1.0": Ways(both, OLD),
        "close": Ways(both, handshake="close"),
    }[server]
    said, connections = sent(place, place.records(tlsa_data(both)), ways)
    assert "its TLS is not as the policy dane asks" in said and connections == 1


@pytest.mark.parametrize(
    "unusable",
    [bytes([0, 1, 1]), bytes([1, 1, 1]), bytes([3, 1, 9]), bytes([3, 7, 1]), bytes([255, 255, 255])],
    ids=lambda form: "-".join(map(str, form)),
)
def test_records_of_no_use_demand_tls_with_any_certificate(
    unusable: bytes, place: Place, tmp_path: Path
) -> None:
    both = own(tmp_path)
    for data in (b"", bytes(32)):
        records = place.records(unusable + data, bytes([3, 1, 1]) + bytes(31))
        assert sent(place, records, Ways(both)) == ("dane", 1)
        said, connections = sent(place, records, Ways())
        assert "asks: it offers no STARTTLS" in said and connections == 1


def test_a_host_whose_records_cannot_be_looked_up_is_left_out(place: Place, tmp_path: Path) -> None:
    both = own(tmp_path)
    records = place.records()
    records[place.service()] = SERVFAIL
    records[DOMAIN, MX] = Validated([mx(HOST, 10), mx(OTHER_HOST, 20)])
    records[OTHER_HOST, A] = Validated([a(OTHER_HOST, OTHER_ADDRESS)])
    records[place.service(OTHER_HOST)] = Validated([record("x", TLSA, tlsa_data(both))])
    with place.server(Ways(both), OTHER_ADDRESS) as other:
        said, connections = sent_nowhere(place, records)
        assert (said, connections) == ("K", 0)
        assert [len(one.messages) for one in other.connections()] == [1]


def sent_nowhere(place: Place, records: Records) -> tuple[str, int]:
    with Resolver(place.resolver_port, records), place.server(Ways()) as server:
        report = place.remote.run()
        return report.result, len(server.connections())


def test_a_policy_of_its_own_needs_the_records(place: Place, tmp_path: Path) -> None:
    both = own(tmp_path)
    control = place.remote.control
    (control / "smtproutes").write_text(f"{DOMAIN}:{HOST}:{place.smtp_port}\n")
    (control / "tlspolicies").write_text(f"{DOMAIN}:dane\n:may\n")
    assert sent(place, place.records(tlsa_data(both)), Ways(both)) == ("dane", 1)
    for records in (place.records(), {**place.records(tlsa_data(both)), (HOST, A): [a(HOST, ADDRESS)]}):
        said, connections = sent(place, records, Ways(both))
        assert "no host has TLSA records that are validated. (#4.7.5)" in said and connections == 0
    (control / "daneresolver").unlink()
    said, connections = sent(place, place.records(tlsa_data(both)), Ways(both))
    assert "no host has TLSA records that are validated. (#4.7.5)" in said and connections == 0


def test_a_route_is_not_asked_about(place: Place, tmp_path: Path) -> None:
    (place.remote.control / "smtproutes").write_text(f":{ADDRESS}:{place.smtp_port}\n")
    with Resolver(place.resolver_port, place.records(WRONG)) as resolver, place.server(Ways(own(tmp_path))):
        report = place.remote.run()
        assert resolver.asked == []
    found = FOUND.search(report.message)
    assert found and found[2] == "may"


@pytest.mark.parametrize(
    "resolver",
    [
        "192.0.2.53",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1 53",
        "localhost",
    ],
)
def test_a_resolver_elsewhere_is_not_believed(resolver: str, place: Place) -> None:
    (place.remote.control / "daneresolver").write_text(f"{resolver}\n")
    assert place.remote.run().message == "ZUnable to read control files. (#4.3.0)\n"
