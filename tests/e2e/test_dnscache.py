# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dnscache with a small world of name servers in the gateway's own container.

tinydns and axfrdns come with djbdns and are the world's root; a second tinydns is the resolver of a site that
forwards.  198.18.0.0/15 lies on the container's loopback, so nothing of it leaves the container.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.role_container import Box
from support.waiting import eventually

ROOT_SERVER, FORWARDER, SILENT = "198.18.0.53", "198.18.0.54", "198.18.0.55"
LONG = "x" * 120

WORLD = "\n".join(
    [
        f".:{ROOT_SERVER}:a",
        f"+host.test:{ROOT_SERVER}:300",
        "Calias.test:other.test",
        "Cother.test:host.test",
        *(f"'long.test:{number:03}{LONG}" for number in range(30)),
        f"&silent.test:{SILENT}:ns.silent.test",
        "+mx1.inside.test:192.0.2.53",
        "",
    ]
)
BEYOND = f".:{FORWARDER}:a\n+host.test:192.0.2.99\n+mx1.inside.test:192.0.2.98\n"


@pytest.fixture(scope="module")
def box(gateway: str) -> Box:
    one = Box(gateway)
    if not one.has("/service/dnscache"):
        pytest.skip("no dnscache on this gateway")
    if not one.has("/usr/local/bin/tinydns"):
        pytest.skip("the world's servers come with djbdns from source")
    return one


def serve(box: Box, address: str, data: str) -> None:
    """tinydns for UDP and axfrdns for TCP, in the container."""
    place = f"/tmp/world-{address}"
    box.run(
        "sh", "-c", f"mkdir -p {place} && cat >{place}/data && cd {place} && tinydns-data", text=data.encode()
    )
    ids = ["env", "UID=65534", "GID=65534", f"ROOT={place}", f"IP={address}"]
    box.start(*ids, "sh", "-c", f"exec tinydns >{place}/log 2>&1")
    box.start(*ids, "sh", "-c", f"exec tcpserver -RHl0 {address} 53 axfrdns >{place}/log-tcp 2>&1")


@pytest.fixture(scope="module")
def world(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve DNS roots of the test's own; afterwards the gateway's dnscache is as the inventory says."""
    serve(box, ROOT_SERVER, WORLD)
    serve(box, FORWARDER, BEYOND)
    listen = f"import socket, time; s = socket.socket(2, 2); s.bind(('{SILENT}', 53)); time.sleep(3600)"
    box.start("python3", "-c", listen)
    directory = tmp_path_factory.mktemp("dnscache")
    kept = box.sh("cat /etc/resolv.conf")
    try:
        converge(box, directory)
        box.sh("svc -t /service/dnscache")  # what it knows may be of another world
        eventually(lambda: bool(look_up(box, "a", "localhost")), "dnscache answers", 10)
        yield directory
    finally:
        box.run("sh", "-c", "cat >/etc/resolv.conf", text=kept.encode())
        box.sh(
            f"kill $(ps axo pid,args | awk '/tinydns$|tcpserver.*axfrdns|{SILENT}/ && !/awk/ {{print $1}}')"
        )
        well, text = box.role("djbdns", directory, {"djbdns_manage_resolv_conf": False})
        assert well, text


def converge(box: Box, directory: Path, **changed: Any) -> str:
    well, text = box.role("djbdns", directory, given(**changed))
    assert well, text
    return text


def given(**changed: Any) -> dict[str, Any]:
    return {
        "djbdns_install_method": "source",
        "djbdns_roots": [ROOT_SERVER],
        "djbdns_forwarders": [],
        "djbdns_servers": {},
        "djbdns_manage_resolv_conf": False,
        **changed,
    }


def look_up(box: Box, kind: str, name: str) -> list[str]:
    """Return the answer's records, as words; the empty list for a name without any."""
    status, said = box.run("env", "DNSCACHEIP=127.0.0.1", "timeout", "20", "dnsqr", kind, name)
    assert status == 0, said
    return [line.removeprefix("answer: ") for line in said.splitlines() if line.startswith("answer: ")]


def pid_of(box: Box) -> str:
    return box.sh("svstat /service/dnscache | sed 's/.*(pid \\([0-9]*\\)).*/\\1/'").strip()


@pytest.mark.usefixtures("world")
def test_addresses_chains_and_absence(box: Box) -> None:
    assert look_up(box, "a", "host.test") == [f"host.test 300 A {ROOT_SERVER}"]
    chain = [line.split()[0] for line in look_up(box, "a", "alias.test")]
    assert chain == ["alias.test", "other.test", "host.test"]
    assert look_up(box, "a", "nothing.test") == []


@pytest.mark.usefixtures("world")
def test_more_than_a_datagram_holds_comes_by_tcp(box: Box) -> None:
    assert len(look_up(box, "txt", "long.test")) == 30


@pytest.mark.usefixtures("world")
def test_a_silent_server_keeps_nobody_else_waiting(box: Box) -> None:
    box.start(
        "sh",
        "-c",
        "for n in 1 2 3 4 5 6 7 8; do env DNSCACHEIP=127.0.0.1 dnsqr a w$n.silent.test & done; wait",
    )
    time.sleep(1)
    begin = time.monotonic()
    assert look_up(box, "a", "host.test") != []
    assert time.monotonic() - begin < 30  # dnscache asks a silent server for a minute


@pytest.mark.usefixtures("world")
def test_it_answers_this_host_alone(box: Box) -> None:
    found = box.sh("cat /proc/net/udp /proc/net/tcp")
    ours = [line.split()[1] for line in found.splitlines() if line.split()[1].endswith(":0035")]
    assert "0100007F:0035" in ours
    assert "00000000:0035" not in ours
    assert box.sh("ls /etc/dnscache/root/ip") == "127.0.0.1\n"


def test_every_lookup_costs_the_log_nothing(box: Box, world: Path) -> None:
    assert world
    box.sh("for n in 1 2 3 4 5 6 7 8 9; do DNSCACHEIP=127.0.0.1 timeout 5 dnsqr a quiet$n.test; done")
    time.sleep(1)
    assert "quiet" not in box.sh("cat /var/log/dnscache/current")
    assert box.sh("tail -n 100 /var/log/dnscache/current | grep -c starting") != "0\n"


def test_lookups_are_logged_when_asked(box: Box, world: Path) -> None:
    converge(box, world, djbdns_log_queries=True)
    look_up(box, "a", "loud.test")
    eventually(lambda: "loud.test" in box.sh("cat /var/log/dnscache/current"), "the lookup is in the log", 10)
    converge(box, world)


def test_a_second_run_restarts_nothing(box: Box, world: Path) -> None:
    converge(box, world)
    before = pid_of(box)
    assert " changed=0 " in converge(box, world)
    assert pid_of(box) == before


def test_forwarders_and_the_servers_of_a_domain(box: Box, world: Path) -> None:
    converge(box, world, djbdns_forwarders=[FORWARDER], djbdns_servers={"inside.test": [ROOT_SERVER]})
    try:
        assert [line.split()[-1] for line in look_up(box, "a", "host.test")] == ["192.0.2.99"]
        assert [line.split()[-1] for line in look_up(box, "a", "mx1.inside.test")] == ["192.0.2.53"]
    finally:
        converge(box, world)
    assert [line.split()[-1] for line in look_up(box, "a", "host.test")] == [ROOT_SERVER]
    assert box.sh("ls /etc/dnscache/root/servers") == "@\n"
    assert not box.has("/etc/dnscache/env/FORWARDONLY")


def test_resolv_conf_is_written_where_it_is_mounted(box: Box, world: Path) -> None:
    """A container engine mounts that file, so it cannot be replaced."""
    before = box.sh("stat -c %i /etc/resolv.conf")
    kept = box.sh("cat /etc/resolv.conf")
    changed = {"djbdns_manage_resolv_conf": True, "djbdns_search_domain": "test"}
    try:
        converge(box, world, **changed)
        assert box.sh("cat /etc/resolv.conf") == "search test\nnameserver 127.0.0.1\n"
        assert box.sh("stat -c %i /etc/resolv.conf") == before
        assert box.sh("getent ahostsv4 host").split()[0] == ROOT_SERVER
        assert " changed=0 " in converge(box, world, **changed)
    finally:
        box.run("sh", "-c", "cat >/etc/resolv.conf", text=kept.encode())


def test_resolv_conf_is_left_alone_when_dnscache_does_not_answer(box: Box, world: Path) -> None:
    """Another server runs in place of dnscache."""
    kept = box.sh("cat /etc/resolv.conf")
    box.sh("svc -d /service/dnscache")
    eventually(lambda: "down" in box.sh("svstat /service/dnscache"), "dnscache is down", 10)
    listen = (
        "import socket, time; s = socket.socket(2, 2); s.bind(('127.0.0.1', 53)); time.sleep(3600) # taken"
    )
    box.start("python3", "-c", listen)
    try:
        well, text = box.role("djbdns", world, given(djbdns_manage_resolv_conf=True))
        assert not well
        assert "dnscache: fatal: unable to bind UDP socket" in text
        assert box.sh("cat /etc/resolv.conf") == kept
    finally:
        box.sh("kill $(ps axo pid,args | awk '/# taken/ && !/awk/ {print $1}')")
    converge(box, world)
    assert look_up(box, "a", "host.test") != []
