# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront's look-up of client names, pools of one sender, and clients that are not greylisted."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.parameters import slow_after_first
from support.smtpfront_programs import Gateway, Programs, gateway, until
from support.told_resolver import AAAA, CNAME, PTR, SERVFAIL, A, Records, Resolver, a, record, wire

LATER, OK = b"451 4.7.1", b"250 ok"
DELAY = 2
SETTINGS = f"GREYLIST_DELAY_SECONDS={DELAY}\nGREYLIST_NAME_SECONDS=3\nDNSBL_SECONDS=1\n"
DISTRIBUTION = Path("/usr/share/publicsuffix/public_suffix_list.dat")
ANN, BOB = "ann@example.com", "bob-x@example.com"


@contextmanager
def front(programs: Programs, directory: Path, settings: str = SETTINGS, **more: object) -> Iterator[Gateway]:
    with gateway(programs, directory, **more) as gate:
        gate.settings.write_text(settings)
        yield gate


def reverse(address: str) -> str:
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def ptr(address: str, *names: str) -> Records:
    return {(reverse(address), PTR): [record(reverse(address), PTR, wire(name)) for name in names]}


def named(names: dict[str, str]) -> Records:
    """Return the records of clients whose names are confirmed."""
    records: Records = {}
    for address, name in names.items():
        records.update(ptr(address, name))
        records[name, A] = [a(name, other) for other in names if names[other] == name]
    return records


class Silence(dict):  # type: ignore[type-arg]
    """Records of a zone whose servers are dead."""

    def get(self, _key: object, _default: object = None) -> None:
        return None


def attempt(gate: Gateway, source: str, sender: str, *recipients: str) -> list[bytes]:
    """Return the first words of the replies to the recipients of one session."""
    with gate.connect(source) as client:
        lines = [f"RCPT TO:<{one}>" for one in recipients or (ANN,)]
        said = "\r\n".join(["EHLO client.test", f"MAIL FROM:<{sender}>", *lines, "QUIT", ""])
        client.sendall(said.encode())
        client.shutdown(socket.SHUT_WR)
        heard = b""
        while block := client.recv(65536):
            heard += block
    replies = heard.split(b"\r\n")
    at = replies.index(b"250 ok")
    return [reply[:9] if reply.startswith(b"451") else reply for reply in replies[at + 1 : -2]]


def files(gate: Gateway) -> list[str]:
    return sorted(path.name for path in (gate.directory / "greylist").rglob("*") if path.is_file())


def logged(gate: Gateway, pattern: str) -> None:
    until(lambda: re.search(rf"^smtpfront\[[0-9a-z]+\]: {pattern}$", gate.heard(), re.MULTILINE), 20)


EIGHT = {f"127.31.{n}.9": f"out{n}.mail.provider.test" for n in range(8)}


def test_eight_tries_from_eight_networks_of_one_provider_pass(programs: Programs, tmp_path: Path) -> None:
    sources = list(EIGHT)
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, named(EIGHT)):
        assert attempt(gate, sources[0], "sue@customer.test") == [LATER]
        assert attempt(gate, sources[1], "sue@customer.test") == [LATER]  # too early
        logged(gate, r"new 127\.31\.1\.9 127\.31\.1\.0/24 wait 2")
        assert [name[:5] + name[-4:] for name in files(gate) if name.startswith("pool")] == ["pool-.new"]
        assert len(files(gate)[-1]) == len("pool-") + 64 + len(".new")
        time.sleep(DELAY + 0.1)
        for source in sources[2:5]:
            assert attempt(gate, source, "Sue@Customer.test") == [OK]
        logged(gate, r"passed 127\.31\.2\.9 127\.31\.2\.0/24 after [23] pool provider\.test")
        assert {"127.31.2.0-24", "127.31.3.0-24", "127.31.4.0-24"} <= set(files(gate))
        assert attempt(gate, sources[2], "eve@other.test") == [OK]  # a network that has passed
        logged(gate, r"known 127\.31\.2\.9 127\.31\.2\.0/24")
        assert attempt(gate, sources[5], "eve@other.test") == [LATER]  # nobody else has
        assert attempt(gate, sources[6], "sue@customer.test", BOB) == [LATER]
        assert attempt(gate, sources[7], "sue@customer.test", BOB, ANN, BOB) == [LATER, OK, OK]


def cpu_seconds(process: int) -> float:
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def test_clients_whose_names_wait_cost_the_others_no_time(programs: Programs, tmp_path: Path) -> None:
    """Of each network a few ask; the rest is tried again in each round of the loop, whoever it is for."""
    settings = f"{SETTINGS}GREYLIST_NAME_SECONDS=60\n"
    with (
        front(programs, tmp_path, settings) as gate,
        Resolver(programs.resolver_port, Silence()),
        ExitStack() as crowd,
        gate.connect() as good,
    ):
        said = f"EHLO x\r\nMAIL FROM:<sue@customer.test>\r\nRCPT TO:<{ANN}>\r\n".encode()
        for number in range(760):
            client = crowd.enter_context(gate.connect(f"127.40.{number % 4}.{1 + number // 4}"))
            client.sendall(said)
        until(lambda: len(files(gate)) == 4)
        good.recv(1000)
        begun = cpu_seconds(gate.front.pid)
        for _number in range(200):
            good.sendall(b"NOOP\r\n")
            assert good.recv(1000) == b"250 ok\r\n"
        assert cpu_seconds(gate.front.pid) - begun < 0.2


def test_two_pools_are_two(programs: Programs, tmp_path: Path) -> None:
    names = {"127.31.1.9": "out1.one.test", "127.31.2.9": "out2.two.test", "127.31.3.9": "out3.one.test"}
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, named(names)):
        assert attempt(gate, "127.31.1.9", "") == [LATER]
        time.sleep(DELAY + 0.1)
        assert attempt(gate, "127.31.2.9", "") == [LATER]
        assert attempt(gate, "127.31.3.9", "") == [OK]  # the null sender is one as any other


ONE = named({"127.31.1.9": "out1.provider.test"})
SECOND = (reverse("127.31.2.9"), PTR)
LOOP = b"ID\x81\x80\0\1\0\1\0\0\0\0QUESTION\xc0\x0c\0\x0c\0\1\0\0\0\0\0\2\xc0\x36"  # a pointer to itself
NO_POOL: dict[str, Records] = {
    "no name": {},
    "generic": named({f"127.31.{n}.9": f"127-31-{n}-9.isp.test" for n in (1, 2)}),
    "generic, in hex": named({f"127.31.{n}.9": f"h7f1f{n:02x}09.isp.test" for n in (1, 2)}),
    "generic, backward": named({f"127.31.{n}.9": f"9.{n}.31.127.isp.test" for n in (1, 2)}),
    "a public suffix": named({"127.31.1.9": "co.test", "127.31.2.9": "co.test"}),
    "one label": named({"127.31.1.9": "test", "127.31.2.9": "test"}),
    "names without addresses": ptr("127.31.1.9", "out1.provider.test")
    | ptr("127.31.2.9", "out2.provider.test"),
    "forged": ONE
    | ptr("127.31.2.9", "out1.provider.test", "out2.provider.test")
    | {("out2.provider.test", A): [a("out2.provider.test", "127.31.2.8")]},
    "a NUL": ONE
    | ptr("127.31.2.9", "out2.provider.test\0.evil.test", "out2.pro\0vider.test")
    | {("out2.provider.test", A): [a("out2.provider.test", "127.31.2.9")]},
    "a pointer to itself": ONE | {SECOND: LOOP},
    "aliases without end": ONE
    | {
        SECOND: [
            record(SECOND[0], CNAME, wire("x.test")),
            record("x.test", CNAME, wire(SECOND[0])),
        ]
    },
    "trouble": ONE | {SECOND: SERVFAIL},
}


@pytest.mark.parametrize("name", slow_after_first(NO_POOL))
def test_without_a_name_of_its_own_a_client_is_of_no_pool(
    programs: Programs, tmp_path: Path, name: str
) -> None:
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, NO_POOL[name]):
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        time.sleep(DELAY + 0.1)
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [LATER]
        assert attempt(gate, "127.31.1.9", "eve@other.test") == [OK]  # its own network passes as ever


def test_the_name_is_the_first_one_that_is_confirmed(programs: Programs, tmp_path: Path) -> None:
    many = [f"many{n}.evil.test" for n in range(40)]
    long = ".".join(["l" * 63, "m" * 63, "n" * 63, "o" * 55 + ".test"])
    records = ptr("127.31.1.9", *many, long, "out1.provider.test", "out1.second.test")
    records |= {
        (long, A): [a(long, "127.31.1.8")],
        ("out1.provider.test", A): [a("out1.provider.test", "127.31.1.9")],
    }
    records |= named({"127.31.2.9": "out2.provider.test"})  # fmt: skip
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, records) as resolver:
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        assert ("out1.second.test", A) not in resolver.asked
        time.sleep(DELAY + 0.1)
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [OK]


def test_a_client_of_ipv6_has_a_name(programs: Programs, tmp_path: Path) -> None:
    back = "1." + 31 * "0." + "ip6.arpa"
    name = "out1.provider.test"
    records: Records = {(back, PTR): [record(back, PTR, wire(name))]}
    records[name, AAAA] = [record(name, AAAA, socket.inet_pton(socket.AF_INET6, "::1"))]
    with (
        front(programs, tmp_path, addresses=("127.0.0.1", "::1")) as gate,
        Resolver(programs.resolver_port, records) as resolver,
        socket.create_connection(("::1", gate.port), 20) as client,
    ):
        client.sendall(f"EHLO x\r\nMAIL FROM:<sue@customer.test>\r\nRCPT TO:<{ANN}>\r\n".encode())
        heard = b""
        while LATER not in heard:
            heard += client.recv(1000)
        assert resolver.asked == [(back, PTR), (name, AAAA)]
        assert [one[:5] for one in files(gate)] == ["::-64", "pool-"]


def test_known_and_exempt_and_whitelisted_clients_need_no_name(programs: Programs, tmp_path: Path) -> None:
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, {}) as resolver:
        gate.exempt.write_text("# those\n127.31.4.0/22\n127.41.0.9\nbad line\n")
        for source in ("127.31.5.9", "127.41.0.9"):
            assert attempt(gate, source, "sue@customer.test") == [OK]
            logged(gate, rf"skipped {source} - exempt")
        assert attempt(gate, "127.0.0.4", "sue@customer.test") == [OK]
        assert not resolver.asked and not files(gate)
        assert "line 4 of" in gate.heard()
        assert attempt(gate, "127.31.9.9", "sue@customer.test") == [LATER]
        assert len(resolver.asked) == 1
        time.sleep(DELAY + 0.1)
        assert attempt(gate, "127.31.9.9", "sue@customer.test") == [OK]
        assert attempt(gate, "127.31.9.9", "sue@customer.test") == [OK]
        assert len(resolver.asked) == 1


def test_exempt_domains_count_for_confirmed_names_only(programs: Programs, tmp_path: Path) -> None:
    records = named(
        {"127.31.1.9": "a.mail.example", "127.31.2.9": "mail.example", "127.31.3.9": "email.example"}
    )
    records |= ptr("127.31.4.9", "b.mail.example") | named({"127.31.5.9": "out1.evil.co.test"})
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, records):
        gate.exempt.write_text("Mail.Example\nco.test\n")
        assert attempt(gate, "127.31.1.9", "sue@customer.test", ANN, BOB) == [OK, OK]
        logged(gate, r"skipped 127\.31\.1\.9 - exempt a\.mail\.example")
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [OK]
        assert attempt(gate, "127.31.3.9", "sue@customer.test") == [LATER]
        assert attempt(gate, "127.31.4.9", "sue@customer.test") == [LATER]
        logged(gate, r"unconfirmed 127\.31\.4\.9 b\.mail\.example")
        assert attempt(gate, "127.31.5.9", "sue@customer.test") == [LATER]
        until(lambda: f"line 2 of {gate.exempt}: it is a public suffix" in gate.heard(), 10)


def test_only_what_would_be_accepted_is_remembered(programs: Programs, tmp_path: Path) -> None:
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, named(EIGHT)):
        recipients = ["nobody@example.com", "x@elsewhere.example"]
        assert attempt(gate, "127.31.1.9", "sue@customer.test", *recipients) == [LATER] * 2
        assert attempt(gate, "127.31.1.9", "bad@sender.example") == [LATER]
        assert files(gate) == ["127.31.1.0-24.new"]
        many = [f"bob-{n}@example.com" for n in range(40)]
        assert attempt(gate, "127.31.1.9", "sue@customer.test", *many) == [LATER] * 40
        assert len(files(gate)) == 1 + 20  # of one session


def test_a_session_that_goes_on_is_no_retry(programs: Programs, tmp_path: Path) -> None:
    with (
        front(programs, tmp_path, SETTINGS.replace(f"DELAY_SECONDS={DELAY}", "DELAY_SECONDS=1")) as gate,
        Resolver(programs.resolver_port, named(EIGHT)),
        gate.connect("127.31.1.9") as client,
    ):
        client.sendall(b"EHLO x\r\nMAIL FROM:<sue@customer.test>\r\n")
        until(lambda: b"250 ok" in client.recv(1000), 10)
        for _try in range(4):
            client.sendall(f"RCPT TO:<{ANN}>\r\n".encode())
            assert client.recv(1000).startswith(LATER)
            time.sleep(0.6)


def test_a_directory_that_is_full_lets_mail_pass(programs: Programs, tmp_path: Path) -> None:
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, named(EIGHT)):
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        pool = next(path for path in (gate.directory / "greylist").rglob("pool-*"))
        pool.unlink()
        pool.parent.rmdir()
        pool.parent.write_text("")  # in the way of what has to be made
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [OK]
        logged(gate, r"open 127\.31\.2\.9 127\.31\.2\.0/24 cannot read: Not a directory")


def test_without_the_list_of_suffixes_there_are_no_pools(programs: Programs, tmp_path: Path) -> None:
    with (
        front(programs, tmp_path, front={"-l": "/nowhere/list"}) as gate,
        Resolver(programs.resolver_port, named(EIGHT)),
    ):
        said = "smtpfront: trouble - - cannot read /nowhere/list, so no pool is known: No such file"
        until(lambda: said in gate.heard(), 10)
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        assert files(gate) == ["127.31.1.0-24.new"]


def test_a_list_of_suffixes_that_changes_is_read_again(programs: Programs, tmp_path: Path) -> None:
    names = {
        "127.31.1.9": "out1.one.co.test",
        "127.31.2.9": "out2.two.co.test",
        "127.31.3.9": "out3.two.co.test",
    }
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, named(names)):
        gate.suffixes.write_text("test\n")  # so that everybody below co.test is one
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        time.sleep(DELAY + 0.1)
        gate.suffixes.write_text("test\nco.test\n")
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [LATER]
        gate.suffixes.unlink()
        assert attempt(gate, "127.31.3.9", "sue@customer.test") == [LATER]
        until(lambda: f"cannot read {gate.suffixes}, so no pool is known: No such file" in gate.heard(), 10)


@pytest.mark.skipif(not DISTRIBUTION.exists(), reason="the Debian package publicsuffix is missing")
def test_the_list_of_the_distribution(programs: Programs, tmp_path: Path) -> None:
    names = {"127.31.1.9": "out1.one.co.uk", "127.31.2.9": "out2.two.co.uk", "127.31.3.9": "out3.one.co.uk"}
    with (
        front(programs, tmp_path, front={"-l": DISTRIBUTION}) as gate,
        Resolver(programs.resolver_port, named(names)),
    ):
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        time.sleep(DELAY + 0.1)
        assert attempt(gate, "127.31.2.9", "sue@customer.test") == [LATER]
        assert attempt(gate, "127.31.3.9", "sue@customer.test") == [OK]


# --- a resolver that is slow, dead, or asked by many ---


def test_a_dead_resolver_brings_no_delay_beyond_the_bound(programs: Programs, tmp_path: Path) -> None:
    quick = SETTINGS.replace("NAME_SECONDS=3", "NAME_SECONDS=1")
    silent = {(reverse(f"127.31.{n}.9"), PTR): None for n in range(3)}
    with front(programs, tmp_path, quick) as gate, Resolver(programs.resolver_port, silent):
        begun = time.monotonic()
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        assert 0.9 < time.monotonic() - begun < 3
        logged(gate, r"unnamed 127\.31\.1\.9 no answer in time")
        time.sleep(DELAY)
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [OK]
    off = tmp_path / "off"
    off.mkdir()
    with front(programs, off, quick.replace("NAME_SECONDS=1", "NAME_SECONDS=0")) as gate:
        assert attempt(gate, "127.31.1.9", "sue@customer.test") == [LATER]
        logged(gate, r"new 127\.31\.1\.9 127\.31\.1\.0/24 wait 2")


class Silent(Resolver):
    """Counts how many questions are outstanding at once: none is answered."""

    def __init__(self, port: int) -> None:
        super().__init__(port, {})
        self.records = self  # type: ignore[assignment]

    def get(self, *_key: object) -> None:
        return None


@pytest.mark.slow
def test_so_many_questions_are_outstanding_and_no_more(programs: Programs, tmp_path: Path) -> None:
    limits = {"-c": 300, "-N": 300}
    with (
        front(programs, tmp_path, SETTINGS.replace("NAME_SECONDS=3", "NAME_SECONDS=5"), front=limits) as gate,
        Silent(programs.resolver_port) as resolver,
    ):
        clients = []
        for n in range(180):
            clients.append(gate.connect(f"127.32.{n}.9"))
            clients[-1].sendall(f"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<{ANN}>\r\n".encode())
        until(lambda: len(set(resolver.asked)) >= 100, 20)
        time.sleep(0.5)
        assert len(set(resolver.asked)) == 100
        clients.pop(0).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 0))
        until(lambda: len(set(resolver.asked)) > 100, 20)  # who leaves forgets its question
        for client in clients:
            client.settimeout(20)
            heard = b""
            while LATER not in heard:
                heard += client.recv(1000)
        logged(gate, r"unnamed 127\.32\.[0-9]+\.9 (too many questions|no answer in time)")
        for client in clients:
            client.close()


def test_sessions_of_one_client_share_a_question(programs: Programs, tmp_path: Path) -> None:
    name, address = "out1.provider.test", "127.31.1.9"
    records = named({address: name})
    records[name, A] = None
    with front(programs, tmp_path) as gate, Resolver(programs.resolver_port, records) as resolver:
        clients = [gate.connect(address) for _ in range(5)]
        for client in clients:
            client.sendall(f"EHLO x\r\nMAIL FROM:<sue@customer.test>\r\nRCPT TO:<{ANN}>\r\n".encode())
        until(lambda: (name, A) in resolver.asked, 10)
        time.sleep(0.2)
        assert set(resolver.asked) == {(reverse(address), PTR), (name, A)}
        assert resolver.asked.count((reverse(address), PTR)) == 1
        clients.pop(0).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 0))
        until(lambda: resolver.asked.count((reverse(address), PTR)) == 2, 10)  # the next one asks
        resolver.records = named({address: name})
        for client in clients:
            heard = b""
            while LATER not in heard:
                heard += client.recv(1000)
            client.close()
        assert any(one.startswith("pool-") for one in files(gate))


def test_one_network_has_few_questions(programs: Programs, tmp_path: Path) -> None:
    with (
        front(programs, tmp_path, SETTINGS.replace("NAME_SECONDS=3", "NAME_SECONDS=1")) as gate,
        Silent(programs.resolver_port) as resolver,
    ):
        clients = [gate.connect(f"127.33.1.{n}") for n in range(1, 21)]
        for client in clients:
            client.sendall(f"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<{ANN}>\r\n".encode())
        until(lambda: len(set(resolver.asked)) == 8, 10)
        time.sleep(0.3)
        assert len(set(resolver.asked)) == 8
        for client in clients:
            heard = b""
            while LATER not in heard:
                heard += client.recv(1000)
            client.close()


def test_a_restart_forgets_all_questions(programs: Programs, tmp_path: Path) -> None:
    with front(programs, tmp_path) as gate, Silent(programs.resolver_port):
        client = gate.connect("127.31.1.9")
        client.sendall(f"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<{ANN}>\r\n".encode())
        until(lambda: "127.31.1.9" in gate.heard(), 10)
        gate.front.terminate()
        assert gate.front.wait(60) == 0
