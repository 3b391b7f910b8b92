"""The preflight module on this host: it reads the real /proc, whatever the host is."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.modules import preflight
from support.certificates import make_pair
from support.module_runner import run_module

SITE = {
    "hostname": "localhost.localdomain",
    "postmaster": "postmaster@example.com",
    "domains": [{"name": "example.com", "route": "198.51.100.5", "recipients": "any"}],
}


@pytest.fixture(autouse=True)
def no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the resolver; the module runs in a fork of this process, so that is its resolver too."""

    def getaddrinfo(name: str, *_: Any) -> list[Any]:
        if name != "localhost.localdomain":
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.25", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "gethostbyaddr", lambda address: ("other.test", [], [address]))
    monkeypatch.setattr(preflight.reach, "connects", lambda *_: "")


@contextlib.contextmanager
def _listening() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def _run(check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module(
        "preflight", {"site": SITE, "memory_mb_minimum": 1, "disk_mb_minimum": 0, **more}, check
    )


def _levels(result: dict[str, Any]) -> dict[str, set[str]]:
    levels: dict[str, set[str]] = {}
    for finding in result["findings"]:
        levels.setdefault(finding["check"], set()).add(finding["level"])
    return levels


def test_everything_is_looked_at_and_check_mode_is_the_same() -> None:
    result = _run()
    assert set(_levels(result)) >= {"root", "system", "port", "memory", "disk", "hostname", "reverse"}
    # The free space may change meanwhile.
    assert _levels(_run(check=True)) == _levels(result)
    assert not result["changed"]
    assert "127.0.0.1" in result["own_addresses"]
    assert (
        "reverse DNS 198.51.100.25: other.test; expected localhost.localdomain, "
        "as other mail servers compare the two"
    ) in str(result["warnings"])


def test_one_message_with_every_error_on_a_line() -> None:
    site = {**SITE, "hostname": "no.such.test", "domains": [], "relay_networks": ["0.0.0.0/0"]}
    result = _run(site=site, memory_mb_minimum=2**30)
    assert result["failed"]
    lines = result["msg"].split("\n")
    assert lines[0] == "this host cannot become the gateway yet; nothing was changed"
    assert lines[1:] == [finding["message"] for finding in result["findings"] if finding["level"] == "error"]
    assert lines[1:3] == [
        "gateway_domains: is missing or empty; expected the domains whose mail the gateway takes, each "
        "with name, route and recipients, in group_vars/gateways.yml",
        "gateway_relay_networks item 1: '0.0.0.0/0' is wider than /8; expected a prefix length from 8 to 32",
    ]
    assert (
        "host name no.such.test: does not resolve (Name or service not known); "
        "expected an address of this host (base_require_hostname_resolution: false turns this into a warning)"
    ) in lines
    assert _levels(result)["memory"] == {"error"}
    relaxed = _run(site={**SITE, "hostname": "no.such.test"}, require_hostname_resolution=False)
    assert _levels(relaxed)["hostname"] == {"warning"}


def test_the_program_on_the_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with _listening() as port:
        monkeypatch.setattr(preflight.preflight, "SMTP_PORT", port)
        result = _run(replace_mta=True)
    found = [finding for finding in result["findings"] if finding["check"] == "port"]
    assert [finding["level"] for finding in found] == ["error"]
    assert found[0]["message"].startswith(f"port {port}: held by python")
    named = re.search(r"\(pid ([0-9]+)[,)]", found[0]["message"])  # a packaged Python has a package, too
    assert named
    # The module's own process shares the socket, and has the lower number when the kernel's have begun again.
    assert int(named[1]) == preflight.os.getpid() or not Path(f"/proc/{named[1]}").exists()
    assert result["mta"] == {} or result["mta"]["pid"] == 0


def test_sockets_that_the_kernel_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    with _listening():
        assert preflight.sockets("self")

    def readlink(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    # As in a container without CAP_SYS_PTRACE, for a process of another user: it can be listed, and not read.
    monkeypatch.setattr(preflight.os, "readlink", readlink)
    assert preflight.sockets("self") is None


def test_a_host_that_is_taken_tells_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.preflight.Report, "messages", lambda *_: [])  # whatever this host is
    seen = _run()["seen"]
    assert {"dpkg", "libc6"} <= {*seen["packages"].split()} and seen["builds"] == {}


def test_a_resolver_that_does_not_answer_costs_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LOOKUP_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: time.sleep(30))
    began = time.monotonic()
    result = _run()
    assert time.monotonic() - began < 5
    assert [finding["message"] for finding in result["findings"] if finding["check"] == "hostname"] == [
        "host name localhost.localdomain: does not resolve (no answer in 0.2 s); "
        "expected an address of this host (base_require_hostname_resolution: false turns this into a warning)"
    ]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("0123456789abcdef", ""),
        ("0123456789abcdef-2", ""),
        (
            "fedcba9876543210",
            "package: the host has version 'fedcba9876543210' of the package, and this collection is version "
            "'0123456789abcdef'; expected a run of mailgate.qmail.gateway first",
        ),
        (
            "",
            "this host is no gateway yet: it has no version of this collection's package; "
            "expected a run of mailgate.qmail.gateway first",
        ),
    ],
)
def test_a_package_that_does_not_fit_is_refused(target: str, said: str, tmp_path: Path) -> None:
    if target:
        (tmp_path / "current").symlink_to(target)
    package = {"link": str(tmp_path / "current"), "version": "0123456789abcdef"}
    site = {**SITE, "domains": []}  # its own fault is not worth a word then
    message = str(_run(package=package, site=site)["msg"])
    assert (message == said) if said else ("gateway_domains" in message and "package" not in message)


def test_what_the_controller_found_is_in_the_same_message() -> None:
    result = _run(
        faults=["gateway_domain: is wrong"], notices=["gateway_colour: is odd"], clamd_memory_mb=2**30
    )
    lines = result["msg"].split("\n")
    assert lines[1] == "gateway_domain: is wrong"
    assert any(line.startswith("memory: ") and "too little for clamd" in line for line in lines)
    assert "gateway_colour: is odd" in str(result["warnings"])


def test_memory_and_processors_are_facts() -> None:
    facts = _run()["ansible_facts"]
    assert facts["memtotal_mb"] > 0 and facts["processor_vcpus"] > 0


def test_services_are_no_facts_and_one_that_left_only_its_settings_is_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that broke off before the service was there has written them, and the role that ends it comes."""
    for name in ("services/unbound", "fleet.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(preflight, "SERVICES", f"{tmp_path}/services")
    left = {"fleet": f"{tmp_path}/fleet.json", "dccifd": f"{tmp_path}/dcc.cf"}
    monkeypatch.setattr(preflight, "SETTINGS_OF", left)
    told = _run()
    assert told["services"] == ["fleet", "unbound"]
    assert set(told["ansible_facts"]) == {"memtotal_mb", "processor_vcpus"}


def test_a_setting_that_the_playbook_does_not_bring_is_told(tmp_path: Path) -> None:
    record = tmp_path / "site.json"
    brought = {"path": str(record), "settings": {"gateway_databytes": 5, "gateway_new": True}}
    words = "gateway_databytes: has changed, and this playbook does not bring it; "

    def told() -> list[str]:
        return [str(one) for one in _run(brought=brought)["warnings"] if words in str(one)]

    assert told() == []  # a host that no whole run of this version has reached
    for text, number in (('{"gateway_databytes": "5"}', 0), ('{"gateway_databytes": 6}', 1), ("{", 0)):
        record.write_text(text)
        assert len(told()) == number, text


def _fetch(name: str, **more: Any) -> dict[str, Any]:
    places = [f"https://{name}.example/x.tgz"]
    return {
        "name": name,
        "places": places,
        "pools": [],
        "causes": [],
        "instead": ["do"],
        "built": False,
        **more,
    }


def test_everything_that_cannot_be_fetched_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "database", lambda directory: False)

    def opener(url: str) -> Any:
        if "one.example" in url:
            return io.BytesIO(b"x")
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(preflight, "opener", opener)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    causes = ["https://two.example/x.tgz from the controller: the name does not resolve"]
    two = _fetch("two", causes=causes, instead=["put the file at /x"])
    result = _run(
        fetch=[_fetch("one"), two, _fetch("three", built=True)],
        wheels="/nonexistent/stamp",
        signatures={"mirrors": ["database.example"], "proxy": ""},
    )
    lines = result["msg"].split("\n")
    assert [line for line in lines if not line.startswith(" ")][1:] == [
        "source of two: cannot be fetched; expected one of these places",
        "wheels of qmailadmin: cannot be fetched; expected one of these places",
        "signatures of ClamAV: cannot be fetched; expected one of these places",
    ]
    for words in (
        "  https://two.example/x.tgz from the controller: the name does not resolve",
        "  https://two.example/x.tgz from the host: the name does not resolve",
        "  or put the file at /x",
        "  https://index.example/simple/textual/ from the host: the name does not resolve",
        "  or qmailadmin_enabled: false",
        "  https://database.example from the host: the name does not resolve",
        "  or clamav_private_mirrors or clamav_proxy_server: another way to them",
    ):
        assert words in lines
    assert "source of three: cannot be fetched" in str(result["warnings"])


def test_back_ends_directories_and_proxies_that_do_not_answer_are_warnings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def connects(host: str, port: int) -> str:
        asked.append((host, port))
        return "Connection refused"

    monkeypatch.setattr(preflight.reach, "connects", connects)
    monkeypatch.setattr(preflight.reach, "tls", lambda host, port, authority: "its certificate is refused: x")
    directory = {
        "name": "ad",
        "servers": ["dc1.example.com"],
        "bases": ["DC=example,DC=com"],
        "user": "gateway@example.com",
        "password_file": "/nonexistent/password",
        "preset": "exchange",
    }
    domains = [
        *SITE["domains"],
        {"name": "corp.example", "route": "10.0.0.9:2525", "recipients": "directory"},
    ]
    result = _run(
        site={**SITE, "domains": domains, "directories": [directory]},
        signatures={"mirrors": [], "proxy": "proxy.example:3128"},
        proxies=["http://u:p@other.example:8080"],
    )
    assert not result.get("failed"), result
    warnings = str(result["warnings"])
    for words in (
        "back end 198.51.100.5:25 of example.com: Connection refused; expected its SMTP server to answer",
        "back end 10.0.0.9:2525 of corp.example: Connection refused",
        "directory ad server dc1.example.com:636: its certificate is refused: x; expected it to answer",
        "proxy proxy.example:3128: Connection refused",
        "proxy other.example:8080: Connection refused",
    ):
        assert words in warnings
    assert "u:p" not in warnings


def test_a_key_of_another_certificate_is_refused_and_not_shown(tmp_path: Path) -> None:
    paths = [make_pair(tmp_path / name) for name in ("one", "other")]
    certificate, key = paths[0][0].read_text(), paths[1][1].read_text()
    right = _run(certificates=[{"certificate": certificate, "key": paths[0][1].read_text()}])
    wrong = _run(certificates=[{"certificate": certificate, "key": key}])
    fault = "gateway_certificate: key: is not the key of gateway_certificate: certificate"
    assert fault not in str(right)
    assert wrong["failed"] and fault in wrong["msg"]
    assert key.splitlines()[1] not in str(wrong)


def test_a_bundle_that_does_not_fit_is_refused_and_what_it_lacks_is_said() -> None:
    own = {"path": "/srv/x.bundle", "platform": "debian-9-x86_64", "lacks": []}
    wrong = _run(bundle=own)
    assert "gateway_bundle: /srv/x.bundle: is for debian-9-x86_64, and this host is debian-" in wrong["msg"]
    this = re.search(r"this host is (\S+);", wrong["msg"])
    assert this
    lacks = {**own, "platform": this[1], "lacks": ["dpkg", "hello-traditional"]}
    assert "has no package hello-traditional, and neither has this host" in _run(bundle=lacks)["msg"]
    fits = _run(bundle={**lacks, "lacks": ["dpkg"]}, fetch=[_fetch("netqmail", places=["file:///none"])])
    assert "gateway_bundle" not in fits["msg"]
    assert "or make /srv/x.bundle again, which does not have it" in fits["msg"]
