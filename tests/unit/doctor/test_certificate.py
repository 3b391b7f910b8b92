# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the doctor says of certificates: each fault with what senders do, and no alarm from silence."""

from __future__ import annotations

import grp
import os
import urllib.error
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import CERTIFICATES_DIRECTORY
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import certificate as doctor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    LIMITS,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.network import Answer
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tls_policies import (
    Certificate,
    Policy,
    spki_record,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import certificates
from support.certificates import make_authority, make_pair
from support.doctor_host import context, told

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
HOST = "mx.example"
CHAIN = (Certificate(b"own", b"own key"), Certificate(b"issuer", b"issuer key"))
GROUP = grp.getgrgid(os.getegid()).gr_name


def seen(
    days: float = 90, name: str = HOST, issuer: str = "CN=ca", fault: str = "", since: float = -1
) -> doctor.Seen:
    begin, end = (NOW + timedelta(days=one) for one in (since, days))
    facts = certificates.Facts("CN=own", issuer, (name,) if name else (), begin, end, "ECDSA")
    return doctor.Seen(facts, CHAIN, fault)


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (seen(days=31), None, ""),
        (seen(days=29.9), WARNING, "the ECDSA certificate expires in 30 days, 2026-11-30 21:36 UTC"),
        (seen(days=6.5), CRITICAL, "expires in 6 days"),
        (seen(days=-0.001), CRITICAL, "has expired, 2026-10-31 23:58 UTC: TLS is not offered"),
        (seen(since=1), CRITICAL, "is valid from 2026-11-02 00:00 UTC on: TLS is not offered"),
        (seen(issuer="CN=own", fault="self-signed certificate"), None, ""),
        (seen(fault="unable to get local issuer certificate"), WARNING, "unable to get local issuer"),
        (seen(days=-1, fault="certificate has expired"), CRITICAL, "has expired"),
        (seen(name="*.example"), None, ""),
        (
            seen(name="mx.example.org"),
            WARNING,
            "is for mx.example.org, not for mx.example: senders that check",
        ),
        (seen(name=""), WARNING, "is for no host (CN=own), not for mx.example"),
    ],
)
def test_dates_names_and_chain(given: doctor.Seen, status: int | None, said: str) -> None:
    found = doctor.judge(given, HOST, NOW, LIMITS)
    assert [one.status for one in found] == ([] if status is None else [status])
    assert all(said in one.text and one.advice for one in found)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (Answer("n"), None, ""),
        (Answer("n", (spki_record(CHAIN[0]),)), None, ""),
        (Answer("n", ("3 1 1 00ff", spki_record(CHAIN[0]))), None, ""),
        (
            Answer("n", ("3 1 1 00ff",)),
            CRITICAL,
            "do not name the ECDSA certificate in use: senders with DANE",
        ),
        (Answer("n", ("nonsense",)), WARNING, "expected 'USAGE SELECTOR MATCHING HEX'"),
        (Answer("n", (), "server failure"), UNKNOWN, "could not be asked: server failure"),
    ],
)
def test_records_of_dane(answer: Answer, status: int | None, said: str) -> None:
    found = doctor.judge_tlsa(HOST, answer, [seen()])
    assert [one.status for one in found] == ([] if status is None else [status])
    assert all(said in one.text and one.advice for one in found)


def test_all_that_are_self_signed_are_one_warning() -> None:
    own, good = seen(issuer="CN=own"), seen()
    assert doctor.judge_self_signed([good]) == []
    (found,) = doctor.judge_self_signed([own, good])
    assert found.status == WARNING and found.text.startswith(
        "the ECDSA certificate is self-signed: most senders"
    )
    (found,) = doctor.judge_self_signed([own, own])
    assert found.text.startswith("the ECDSA and ECDSA certificates are self-signed")


def test_each_of_two_certificates_has_to_be_named() -> None:
    other = doctor.Seen(seen().facts, (Certificate(b"x", b"y"),))
    found = doctor.judge_tlsa(HOST, Answer("n", (spki_record(CHAIN[0]),)), [seen(), other])
    assert [one.status for one in found] == [CRITICAL]
    assert spki_record(other.chain[0]) in found[0].advice


def promise(mode: str, *patterns: str, **more: Any) -> doctor.Promise:
    return doctor.Promise("example.com", Policy(mode, patterns), **more)


@pytest.mark.parametrize(
    ("one", "given", "statuses"),
    [
        (promise("enforce", HOST), seen(), []),
        (promise("enforce", "*.example"), seen(), []),
        (promise("enforce", "other.example"), seen(), [CRITICAL]),
        (promise("testing", "other.example"), seen(), [WARNING]),
        (promise("none"), seen(issuer="CN=own"), []),
        (promise("enforce", HOST), seen(issuer="CN=own"), [CRITICAL]),
        (promise("enforce", HOST), seen(name="other.example"), [CRITICAL]),
        (promise("testing", HOST), seen(fault="unable to get issuer"), [WARNING]),
        (doctor.Promise("example.com", trouble="timed out"), seen(), [UNKNOWN]),
    ],
)
def test_policies_of_mta_sts(one: doctor.Promise, given: doctor.Seen, statuses: list[int]) -> None:
    found = doctor.judge_promises(HOST, [one], [given])
    assert [each.status for each in found] == statuses
    assert all("example.com" in each.text and each.advice for each in found)


def test_a_policy_is_fetched_only_when_the_dns_says_that_it_is_there() -> None:
    fetched = []

    def ask(texts: tuple[str, ...] = (), error: str = "") -> Any:
        def answer(name: str, kind: str) -> Answer:
            assert (name, kind) == ("_mta-sts.example.com", "TXT")
            return Answer(name, texts, error)

        return answer

    def fetch(domain: str) -> Policy:
        fetched.append(domain)
        return Policy("enforce", (HOST,))

    there = ('"v=STSv1; id=1"',)
    assert doctor.promise("example.com", ask(), fetch) is None
    assert doctor.promise("example.com", ask(('"v=spf1"',)), fetch) is None
    assert doctor.promise("example.com", ask(error="no answer"), fetch) == doctor.Promise(
        "example.com", trouble="no answer", unasked=True
    )
    assert fetched == []
    assert doctor.promise("example.com", ask(there), fetch) == promise("enforce", HOST)
    for error, said in (
        (urllib.error.HTTPError("u", 404, "", None, None), "the web server says 404"),  # type: ignore[arg-type]
        (urllib.error.URLError("refused"), "refused"),
        (TimeoutError("timed out"), "timed out"),
        (BadInput("policy: version ''"), "policy: version ''"),
    ):

        def fail(_domain: str, error: Exception = error) -> Policy:
            raise error

        assert doctor.promise("example.com", ask(there), fail) == doctor.Promise("example.com", trouble=said)


def test_a_dns_that_does_not_answer_is_one_finding() -> None:
    silent = [doctor.Promise(f"{name}.example", trouble="no answer", unasked=True) for name in "abc"]
    found = doctor.judge_promises(HOST, [*silent, promise("enforce", HOST)], [seen()])
    assert [one.status for one in found] == [UNKNOWN]
    assert found[0].text == (
        "the DNS does not say whether a.example has an MTA-STS policy: no answer, nor of 2 more"
    )
    assert doctor.judge_promises(HOST, silent[:1], [seen()])[0].text.endswith("policy: no answer")


def test_a_chain_leads_to_an_authority_that_the_host_trusts(tmp_path: Path) -> None:
    root = make_authority("root")
    between = make_authority("between", root)
    paths = make_pair(tmp_path, issuer=between)
    own = paths[0].read_bytes()
    (tmp_path / "roots.pem").write_bytes(make_authority("another").pem + root.pem)

    def look(certificate: bytes) -> doctor.Seen:
        pair = certificates.Pair(certificate, paths[1].read_bytes())
        return doctor.look(pair, "certificate.pem", str(tmp_path / "roots.pem"))

    assert look(own + between.pem).chain_fault == ""
    assert look(own + between.pem).facts.names == ("mx.example.test",)
    assert len(look(own + between.pem).chain) == 2
    assert look(own).chain_fault == "unable to get local issuer certificate"
    (tmp_path / "roots.pem").write_bytes(make_authority("another").pem)
    assert "unable to get" in look(own + between.pem).chain_fault


def put_pair(root: Path, **more: Any) -> Path:
    directory = root / CERTIFICATES_DIRECTORY.lstrip("/")
    directory.mkdir(parents=True)
    paths = make_pair(root / "made", host=HOST, **more)
    certificates.install(str(directory), [certificates.read_pair(*map(str, paths))], os.getegid())
    return directory / "current"


def test_what_is_installed_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GROUP", GROUP)
    monkeypatch.setattr(doctor.key_trouble, "__defaults__", (GROUP,))
    current = put_pair(tmp_path, days=(-1000, 3000))
    (found,) = doctor.certificate(context(tmp_path, tls=True))
    assert found.status == WARNING and "self-signed" in found.text
    os.chmod(current / "key.pem", 0o644)
    found, _ = doctor.certificate(context(tmp_path, tls=True))
    assert (found.status, "may be read by every local user (0644)" in found.text) == (CRITICAL, True)
    os.chmod(current / "key.pem", 0o600)
    found, _ = doctor.certificate(context(tmp_path, tls=True))
    assert (found.status, f"cannot be read by the group {GROUP} (0600)" in found.text) == (CRITICAL, True)
    os.chmod(current / "key.pem", 0o640)
    other = make_pair(tmp_path / "other")[1].read_bytes()
    (current / "key.pem").write_bytes(other)
    (found,) = doctor.certificate(context(tmp_path, tls=True))
    assert (found.status, "is not the key of" in found.text) == (CRITICAL, True)


@pytest.mark.parametrize("above", ["etc", "etc/mailgate", "etc/mailgate/tls", "etc/mailgate/tls/current"])
def test_smtptls_has_to_go_through_each_directory_above_a_key(
    above: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.key_trouble, "__defaults__", (GROUP,))
    root = tmp_path / "root"
    put_pair(root, days=(-1000, 3000))
    os.chmod(root / above, 0o700)
    found, _ = doctor.certificate(context(root, tls=True))
    said = f"cannot be reached by the group {GROUP}: {(root / above).resolve()} (0700)"
    assert (found.status, said in found.text) == (CRITICAL, True)
    assert found.advice.startswith("run the playbook again")
    os.chmod(root / above, 0o710)
    os.chmod(root, 0o700)  # it is / on a host, where all are looked at
    (found,) = doctor.certificate(context(root, tls=True))
    assert found.status == WARNING
    key = root / "etc" / "mailgate" / "tls" / "current" / "key.pem"
    assert "cannot be reached" in doctor.key_trouble(str(key), "/")


def test_without_a_certificate_or_without_tls(tmp_path: Path) -> None:
    assert told(doctor.certificate(context(tmp_path))) == [
        (OK, "the gateway does not offer TLS (gateway_tls)")
    ]
    (found,) = doctor.certificate(context(tmp_path, tls=True))
    assert found.status == CRITICAL and "has no certificate with its key" in found.text
