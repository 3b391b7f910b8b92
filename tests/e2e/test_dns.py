# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qmail-remote against a world of DNS: large answers, chains, and resolvers that are slow, silent or lie.

djbdns's tinydns (with axfrdns for TCP) is the world, dnscache the gateway's resolver, and a small server of
the test takes dnscache's place where djbdns would not misbehave.  The mail server that every MX leads to
stands in a network namespace of its own, at the other end of a pair of virtual interfaces, because port 25 of
the gateway is taken.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import network_namespace
from support.gateway import gateway_pid, netqmail_kind

NEEDED = {
    "tinydns": "tinydns",
    "tinydns-data": "tinydns",
    "axfrdns": "axfrdns",
    "dnscache": "dnscache",
    "tcpserver": "ucspi-tcp",
    "ip": "iproute2",
    "unshare": "util-linux",
}

# RFC 5737: not of the networks that network_namespace.py gives to the loopback, for those never leave it.
NEAR, FAR = "203.0.113.1", "203.0.113.25"
RESOLVER, WORLD, STRANGE = "127.0.0.52", "127.0.0.53", "127.0.0.54"
NOBODY = "65534"
SENDER = "ann@sender.example"
CONTENT = b"Subject: by MX\r\n\r\nHello.\r\n"
SECONDS = 40.0

A, CNAME, MX, ANY = 1, 5, 15, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


def many(number: int) -> str:
    return f"mx{number:02}.a-provider-with-a-long-name.test"


DATA = "\n".join(
    [
        f".test:{WORLD}:a",
        *(f"@mx40.test::{many(number)}:{number}" for number in range(40)),
        *(f"+{many(number)}:{FAR}" for number in range(40)),
        f"@mx400.test:{FAR}:mx:10",
        *(f"@mx400.test::h{number}.mx400.test:{20 + number}" for number in range(400)),
        f"@longtxt.test:{FAR}:mail",
        *(f"'longtxt.test:{number:03}{24 * 'v=spf1 include '}" for number in range(30)),
        "Ccname.test:one.hop.test",
        "Cone.hop.test:two.hop.test",
        "Ctwo.hop.test:three.hop.test",
        "Cthree.hop.test:four.hop.test",
        f"@four.hop.test:{FAR}:mail",
        "Ccname-host.test:host.hop.test",
        f"+host.hop.test:{FAR}",
        "Cloop-a.test:loop-b.test",
        "Cloop-b.test:loop-a.test",
        f"+address-only.test:{FAR}",
        "@null-mx.test:::0",
        "'text-only.test:nothing but text",
        f"@some-dead.test::nowhere.some-dead.test:1\n@some-dead.test:{FAR}:mail:2",
        "@all-dead.test::nowhere.all-dead.test:1",
        "",
    ]
)


@dataclass(frozen=True)
class Report:
    """The report of qmail-remote for one delivery: K delivered, Z deferred, D failed."""

    letter: str
    text: str
    seconds: float


class MailServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A mail server that accepts everything and keeps the recipients."""

    daemon_threads = True

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), _Taking, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.recipients: list[str] = []


class _Taking(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.request.settimeout(20)
        self.wfile.write(b"220 far.test\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"RCPT":
                self.server.recipients.append(line[9:-3].decode("latin-1"))
            if word == b"DATA":
                self.wfile.write(b"354 go\r\n")
                while next(self.rfile, b".\r\n") != b".\r\n":
                    pass
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


class Strange(threading.Thread):
    """A resolver at STRANGE that answers by UDP what `answer` makes of a query; None is silence."""

    def __init__(self, answer: Callable[[Query], bytes | None]) -> None:
        super().__init__(daemon=True)
        self.answer = answer
        self.asked: list[int] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((STRANGE, 53))
        self._socket.settimeout(0.2)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                packet, peer = self._socket.recvfrom(1500)
            except TimeoutError:
                continue
            query = Query(packet)
            self.asked.append(query.type)
            answer = self.answer(query)
            if answer is not None:
                self._socket.sendto(answer, peer)

    def __enter__(self) -> Strange:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(20)
        self._socket.close()


class Query:
    """One question (RFC 1035, 4.1), and answers to it, true or false."""

    def __init__(self, packet: bytes) -> None:
        end = packet.index(b"\0", 12) + 5
        self._id, self._question = packet[:2], packet[12:end]
        self.type = int.from_bytes(packet[end - 4 : end - 2], "big")

    def asks(self, name: bytes) -> bool:
        return self._question.startswith(name)

    def answer(
        self, *records: bytes, rcode: int = NOERROR, count: int | None = None, flags: int = 0
    ) -> bytes:
        number = len(records) if count is None else count
        header = struct.pack(">HHHHH", 0x8180 | rcode | flags, 1, number, 0, 0)
        return self._id + header + self._question + b"".join(records)


def record(kind: int, content: bytes, stated: int | None = None, name: bytes = b"\xc0\x0c") -> bytes:
    """Return a record for the name asked for, whose stated length need not be its real one."""
    length = len(content) if stated is None else stated
    return name + struct.pack(">HHIH", kind, 1, 300, length) + content


def name_of(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


MAIL = record(MX, b"\0\x0a" + name_of("mail.strange.test"))
ADDRESS = record(A, socket.inet_aton(FAR))


def honest(query: Query) -> bytes:
    """strange.test has an MX, and everything has the far mail server's address."""
    return query.answer(*{MX: [MAIL], A: [ADDRESS]}.get(query.type, []))


def lying(kind: int, lie: Callable[[Query], bytes | None]) -> Callable[[Query], bytes | None]:
    return lambda query: lie(query) if query.type == kind else honest(query)


class Gateway:
    """The gateway's qmail-remote, its resolv.conf, and the mail server in the far network."""

    def __init__(self, name: str, root: Path, mail: MailServer) -> None:
        self.name = name
        self.mail = mail
        self._resolv = root / "etc" / "resolv.conf"

    @contextmanager
    def asking(self, address: str, options: str = "") -> Iterator[None]:
        """Let the gateway ask this resolver.  resolv.conf is a mount: it is written in place."""
        kept = self._resolv.read_bytes()
        self._resolv.write_text(f"nameserver {address}\n" + (f"options {options}\n" if options else ""))
        try:
            yield
        finally:
            self._resolv.write_bytes(kept)

    def deliver(self, domain: str) -> Report:
        self.mail.recipients.clear()
        argv = ["docker", "exec", "-i", "-u", "qmailr", self.name]
        argv += ["/var/qmail/bin/qmail-remote", domain, SENDER, f"joe@{domain}"]
        begin = time.monotonic()
        done = subprocess.run(argv, input=CONTENT, capture_output=True, timeout=SECONDS, check=False)
        seconds = time.monotonic() - begin
        said = done.stdout.decode("latin-1").split("\0")
        assert done.returncode == 0 and len(said) >= 2, f"qmail-remote crashed: {done}"
        return Report(said[-2][:1], said[-2], seconds)


def _far_listener(pid: int) -> socket.socket:
    """Open a socket on port 25 in the network of process `pid`, by a thread that goes there for it."""
    made: list[socket.socket] = []

    def there() -> None:
        network_namespace.enter(pid)
        made.append(socket.create_server((FAR, 25)))

    thread = threading.Thread(target=there)
    thread.start()
    thread.join(10)
    return made[0]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@contextmanager
def _far_network() -> Iterator[MailServer]:
    """Make a network that lives as long as its process, behind a pair of interfaces, with a mail server."""
    near = f"mg{os.getpid() % 100_000_000}n"
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/thread-self/ns/net"):
            assert time.monotonic() < deadline, "unshare made no network namespace"
            time.sleep(0.02)
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", str(holder.pid))
        _ip("addr", "add", f"{NEAR}/24", "dev", near)
        _ip("link", "set", near, "up")
        inside = ["nsenter", "-t", str(holder.pid), "-n", "ip"]
        for words in (["addr", "add", f"{FAR}/24", "dev", "far"], ["link", "set", "far", "up"]):
            subprocess.run([*inside, *words], check=True, timeout=20)
        server = MailServer(_far_listener(holder.pid))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        server.server_close()
    finally:
        holder.kill()
        holder.wait(10)
        subprocess.run(["ip", "link", "delete", near], capture_output=True, timeout=20, check=False)


@contextmanager
def _world(place: Path) -> Iterator[Path]:
    """tinydns, axfrdns and dnscache, all of them below `place`; the log of every query that tinydns saw."""
    tiny, cache = place / "tinydns", place / "dnscache"
    for directory in (tiny, cache / "ip", cache / "servers"):
        directory.mkdir(parents=True)
    (tiny / "data").write_text(DATA, encoding="ascii")
    subprocess.run(["tinydns-data"], cwd=tiny, check=True, timeout=30)
    (cache / "ip" / "127").touch()
    (cache / "servers" / "@").write_text(WORLD + "\n")
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    log = place / "log"
    common = {"PATH": os.environ["PATH"], "UID": NOBODY, "GID": NOBODY}
    tiny_env = {**common, "ROOT": str(tiny), "IP": WORLD}
    cache_env = {**common, "ROOT": str(cache), "IP": RESOLVER, "IPSEND": "0.0.0.0", "CACHESIZE": "1000000"}
    programs = (
        (["tinydns"], tiny_env),
        (["tcpserver", "-RHl0", WORLD, "53", "axfrdns"], tiny_env),
        (["dnscache"], cache_env),
    )
    running = []
    seed = place / "seed"  # for dnscache
    seed.write_bytes(os.urandom(128))
    try:
        with log.open("wb") as output, seed.open("rb") as noise:
            for argv, environment in programs:
                running.append(
                    subprocess.Popen(
                        argv, stdin=noise, stdout=output, stderr=output, env=environment, cwd=place
                    )
                )
        deadline = time.monotonic() + 10
        while not _answers(RESOLVER) or not _answers(WORLD):
            alive = all(one.poll() is None for one in running)
            assert alive and time.monotonic() < deadline, log.read_text(errors="replace")
        yield log
    finally:
        for one in running:
            one.terminate()
            one.wait(10)


def _answers(address: str) -> bool:
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0" + name_of("address-only.test") + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.3)
        try:
            one.connect((address, 53))
            one.send(question)
            return socket.inet_aton(FAR) in one.recv(512)
        except OSError:
            time.sleep(0.1)
            return False


@contextmanager
def _by_mx(root: Path) -> Iterator[None]:
    """Everything below .test that has no route of its own goes by MX, not to the smart host."""
    routes = root / "var" / "qmail" / "control" / "smtproutes"
    kept = routes.read_bytes()
    routes.write_bytes(b".test:\n" + kept)
    try:
        yield
    finally:
        routes.write_bytes(kept)


@dataclass
class World:
    gateway: Gateway
    log: Path


@pytest.fixture(scope="module")
def world(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if netqmail_kind(gateway) != "source":
        pytest.skip("only with the real netqmail: the stand-in looks for no MX records")
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        pytest.fail(f"no world of DNS without the packages {' '.join(missing)}")
    pid = gateway_pid(gateway)
    network_namespace.enter(pid)
    root = Path(f"/proc/{pid}/root")
    place = tmp_path_factory.mktemp("dns")
    for parent in (place.parent, place.parent.parent):
        parent.chmod(0o755)  # tinydns and dnscache chroot as nobody
    with _far_network() as mail, _world(place / "world") as log, _by_mx(root):
        yield World(Gateway(gateway, root, mail), log)


# --- the world as it is ---

DELIVERED = {
    "address-only.test": "joe@address-only.test",
    "mx40.test": "joe@mx40.test",
    "mx400.test": "joe@mx400.test",  # 20 KB
    "longtxt.test": "joe@longtxt.test",
    "cname.test": "joe@four.hop.test",
    "cname-host.test": "joe@host.hop.test",
    "some-dead.test": "joe@some-dead.test",
}


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("domain", DELIVERED)
def test_is_delivered(world: World, domain: str) -> None:
    with world.gateway.asking(RESOLVER):
        report = world.gateway.deliver(domain)
    assert report.letter == "K", report
    assert world.gateway.mail.recipients == [DELIVERED[domain]]


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("domain", ["mx40.test", "longtxt.test"])
def test_is_delivered_by_the_answers_of_tinydns_itself(world: World, domain: str) -> None:
    """Without dnscache, which answers a second query for ANY from its cache."""
    with world.gateway.asking(WORLD):
        report = world.gateway.deliver(domain)
    assert report.letter == "K", report


NEVER = ["no-such-domain.test", "text-only.test", "null-mx.test", "all-dead.test", 64 * "x" + ".test"]


@pytest.mark.parametrize("domain", NEVER)
def test_is_never_delivered(world: World, domain: str) -> None:
    with world.gateway.asking(RESOLVER):
        report = world.gateway.deliver(domain)
    assert report.letter == "D", report
    assert world.gateway.mail.recipients == []


def test_a_loop_of_cnames_ends(world: World) -> None:
    with world.gateway.asking(RESOLVER, "timeout:2 attempts:1"):
        report = world.gateway.deliver("loop-a.test")
    assert report.letter in "DZ" and report.seconds < 30, report


@pytest.mark.patch("60-dns-answers")
def test_nobody_was_asked_for_any(world: World) -> None:
    """Stands after the tests above: dnscache says the type in decimal, tinydns in hexadecimal."""
    with world.gateway.asking(RESOLVER):
        assert world.gateway.deliver("longtxt.test").letter == "K"
    lines = [line.split() for line in world.log.read_text(errors="replace").splitlines()]
    asked = {int(words[3]) for words in lines if words[0] == "query"}
    answered = {int(words[2], 16) for words in lines if len(words) == 4 and words[1] in "+-/"}
    assert {A, CNAME, MX} <= asked and {A, CNAME, MX} <= answered
    assert ANY not in asked and ANY not in answered


# --- resolvers that are not as they should be ---

QUICK = "timeout:1 attempts:1"


def strangely(
    world: World, answer: Callable[[Query], bytes | None], options: str = QUICK
) -> tuple[Report, Strange]:
    with Strange(answer) as strange, world.gateway.asking(STRANGE, options):
        return world.gateway.deliver("strange.test"), strange


def test_the_strange_resolver_can_be_honest(world: World) -> None:
    report, strange = strangely(world, honest)
    assert report.letter == "K", report
    assert strange.asked == [CNAME, MX, A]


def test_a_slow_resolver_is_waited_for(world: World) -> None:
    def slow(query: Query) -> bytes:
        time.sleep(3)
        return honest(query)

    report, _ = strangely(world, lying(MX, slow), "")
    assert report.letter == "K" and report.seconds > 3, report


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("kind", [CNAME, MX, A])
def test_a_silent_resolver_defers(world: World, kind: int) -> None:
    report, _ = strangely(world, lying(kind, lambda query: None))
    assert report.letter == "Z", report


def test_no_resolver_defers(world: World) -> None:
    with world.gateway.asking("127.0.0.55", QUICK):
        report = world.gateway.deliver("strange.test")
    assert report.letter == "Z", report


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("rcode", [FORMERR, SERVFAIL, NOTIMP, REFUSED, 9])
@pytest.mark.parametrize("kind", [CNAME, MX, A])
def test_a_failing_resolver_defers(world: World, kind: int, rcode: int) -> None:
    report, _ = strangely(world, lying(kind, lambda query: query.answer(rcode=rcode)))
    assert report.letter == "Z", report


def test_a_domain_that_does_not_exist_is_never_delivered(world: World) -> None:
    report, _ = strangely(world, lambda query: query.answer(rcode=NXDOMAIN))
    assert report.letter == "D", report


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("kind", [CNAME, MX, A])
def test_a_cut_answer_that_cannot_be_had_whole_defers(world: World, kind: int) -> None:
    """The answer is truncated (TC), and no server listens at TCP port 53."""
    report, _ = strangely(world, lying(kind, lambda query: query.answer(flags=0x0200)))
    assert report.letter == "Z", report


def renaming(canonical: str) -> Callable[[Query], bytes]:
    """Only strange.test is an alias."""

    def answer(query: Query) -> bytes:
        named = query.type == CNAME and query.asks(name_of("strange.test"))
        return query.answer(record(CNAME, name_of(canonical))) if named else honest(query)

    return answer


# Of 95-envelope-out; without 60-dns-answers, too, nobody asks for a CNAME, and there is no such name to take.
@pytest.mark.parametrize("label", ["x> SIZE=1", "x>SIZE=1", "x\rNOOP\r", "x\nNOOP\n", "x\x7f", "x(y)"])
def test_a_canonical_name_that_is_none_is_not_taken(world: World, label: str) -> None:
    """The name would be written into RCPT TO; the recipient keeps its host instead."""
    report, _ = strangely(world, renaming(f"{label}.test"))
    assert report.letter == "K", report
    assert world.gateway.mail.recipients == ["joe@strange.test"]


def test_a_canonical_name_is_taken(world: World) -> None:
    report, _ = strangely(world, renaming("canonical_1.test"))
    assert report.letter == "K", report
    assert world.gateway.mail.recipients == ["joe@canonical_1.test"]


LIES: dict[str, tuple[int, Callable[[Query], bytes]]] = {
    "mx-longer-than-the-answer": (MX, lambda query: query.answer(record(MX, MAIL[12:], 1000))),
    "mx-of-65535": (MX, lambda query: query.answer(record(MX, MAIL[12:], 65535))),
    "mx-one-more": (MX, lambda query: query.answer(record(MX, MAIL[12:], len(MAIL) - 11))),
    "mx-of-two": (MX, lambda query: query.answer(record(MX, b"\0\x0a"))),
    "mx-of-none": (MX, lambda query: query.answer(record(MX, b""))),
    "mx-name-cut": (MX, lambda query: query.answer(record(MX, b"\0\x0a\x04ma"))),
    "mx-name-loops": (MX, lambda query: query.answer(record(MX, b"\0\x0a\xc0\x2c"))),
    "mx-name-beyond": (MX, lambda query: query.answer(record(MX, b"\0\x0a\xff\xff"))),
    "mx-fewer-than-said": (MX, lambda query: query.answer(MAIL, count=60000)),
    "mx-head-cut": (MX, lambda query: query.answer(MAIL, MAIL[:7])),
    "mx-after-a-lie": (MX, lambda query: query.answer(record(16, b"abc", 2000), MAIL)),
    "a-of-three": (A, lambda query: query.answer(record(A, b"\xcb\0\x71"))),
    # whoever reads on past the end finds an address that the gateway itself has
    "a-cut": (A, lambda query: query.answer(record(A, b"\xc6\x12", 4))),
    "a-one-more": (A, lambda query: query.answer(record(A, b"\xc6\x12\0", 4))),
    "a-of-65535": (A, lambda query: query.answer(record(A, socket.inet_aton(FAR), 65535))),
    "a-fewer-than-said": (A, lambda query: query.answer(count=1)),
    "cname-of-65535": (CNAME, lambda query: query.answer(record(CNAME, name_of("x.test"), 65535))),
    "cname-one-more": (CNAME, lambda query: query.answer(record(CNAME, name_of("x.test"), 9))),
    "cname-cut": (CNAME, lambda query: query.answer(record(CNAME, b"\x09x"))),
}


@pytest.mark.patch("60-dns-answers")
@pytest.mark.parametrize("lie", LIES)
def test_a_lying_answer_defers(world: World, lie: str) -> None:
    kind, answer = LIES[lie]
    report, strange = strangely(world, lying(kind, answer))
    assert kind in strange.asked
    lookup = {CNAME: "ZCNAME lookup failed temporarily. (#4.4.3)\n"}
    assert report.text == lookup.get(kind, "ZSorry, I couldn't find any host by that name. (#4.1.2)\n"), (
        report
    )
    assert world.gateway.mail.recipients == []


def test_noise_crashes_nothing(world: World) -> None:
    rng = random.Random(20070101)

    def noise(query: Query) -> bytes:
        content = rng.randbytes(rng.randrange(400))
        if rng.random() < 0.5:
            start = b"\xc6\x12" if query.type == A else b""  # 198.18, which is the gateway itself
            stated = rng.choice([None, rng.randrange(65536)])
            content = record(query.type, start + content[12:], stated)
        return query.answer(content, count=rng.choice([1, 2, 65535]))

    with Strange(noise), world.gateway.asking(STRANGE, QUICK):
        for number in range(30):
            report = world.gateway.deliver(f"noise{number}.test")
            assert report.letter in "DZ", report
