# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play rows against a gateway's container, and report how the results differ from the expected ones."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support import backend_tls, network_namespace
from support.conversations import (
    BACKENDS,
    COME_BACK,
    HOSTNAME,
    IPV6,
    LOOPBACK,
    SENDER,
    STRANGER,
    Arrival,
    Asked,
    Crowd,
    Row,
)
from support.mail_servers import Backend, Delivery, Mailroom
from support.name_servers import QUIET, QUIET_ZONE, Server
from support.smtp_client import CLOSED, Session, stuffed

STAMP = "/var/lib/mailgate/stamps/netqmail.json"
GATEWAY_ADDRESS = "198.18.0.1"
ARRIVAL_SECONDS = 30.0
SETTLE_SECONDS = 2.0
GREYLIST_SECONDS = 30.0
CROWD_SECONDS = 90.0
CROWD_WATCH_SECONDS = 2.0


class NoGateway(Exception):
    """The container cannot be tested at all."""


@dataclass
class Outcome:
    row: Row | Crowd | Asked
    answered: str = ""  # the reply that decides
    arrived: str = "nothing"
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    not_run: str = ""


def matches(expected: str, got: str) -> bool:
    """Return whether a reply is the expected one, `*` standing for any text."""
    return (
        re.fullmatch(".*".join(re.escape(part) for part in expected.split("*")), got, re.DOTALL) is not None
    )


def differences(arrival: Arrival, got: bytes) -> str:
    """Return how the delivered bytes differ from the sent ones, the gateway's own fields aside; or ""."""
    if got.endswith(arrival.content):
        added = got[: len(got) - len(arrival.content)]
        fields = "|".join(arrival.added).encode("ascii")
        if re.fullmatch(rb"((" + fields + rb"):[^\r\n]*\r\n([ \t][^\r\n]*\r\n)*)+", added):
            return ""
        return f"above the content stands {added[:200]!r}; expected {' and '.join(arrival.added)} lines only"
    body_sent = arrival.content.partition(b"\r\n\r\n")[2]
    body_got = got.partition(b"\r\n\r\n")[2]
    for at, (sent, came) in enumerate(zip(body_sent, body_got)):
        if sent != came:
            there = slice(at, at + 20)
            return f"the body differs at byte {at}: sent {body_sent[there]!r}, came {body_got[there]!r}"
    return f"{len(body_sent)} bytes of body were sent and {len(body_got)} came"


def gateway_pid(name: str) -> int:
    """Return the container's first process; raise NoGateway when it does not run."""
    try:
        done = subprocess.run(
            ["docker", "inspect", "--format", "{{.State.Pid}}", name],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoGateway(f"docker does not answer: {error}") from error
    if done.returncode != 0 or done.stdout.strip() in ("", "0"):
        raise NoGateway(f"no container {name!r} runs; make it with: make gateway")
    return int(done.stdout)


def netqmail_kind(name: str) -> str:
    """Return what the gateway's own stamp says its netqmail was built from: "source" or "stand-in"."""
    argv = ["docker", "exec", name, "cat", STAMP]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise NoGateway(f"{name!r} has no {STAMP}: playbooks/gateway.yml has not built netqmail there")
    places = [source["place"] for source in json.loads(done.stdout)["sources"]]
    return "stand-in" if any("/standins/" in place for place in places) else "source"


class Bed:
    """Run this process inside the gateway's network, with the back ends listening there.

    From here on the whole process lives in that network; after a restart of the container call rejoin().
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = netqmail_kind(name)
        try:
            network_namespace.enter(gateway_pid(name))
            network_namespace.add_addresses()
            self._has_ipv6 = network_namespace.add_ipv6_addresses()
        except PermissionError as error:
            raise NoGateway(f"entering the network of {name!r} takes root: {error}") from error
        self.mailroom = Mailroom()
        self._dns: Server | None = None
        self._answer_names()
        self.backends = {title: Backend(title, *place, self.mailroom) for title, place in BACKENDS.items()}
        for backend in self.backends.values():
            backend.start()

    def rejoin(self) -> None:
        """Enter the container's new network after a restart; arrived mail and the back ends' settings stay.

        Threads that run already stay behind in the old network.
        """
        down = {title for title, backend in self.backends.items() if not backend.up}
        self.close()
        network_namespace.enter(gateway_pid(self.name))
        network_namespace.add_addresses()
        self._has_ipv6 = network_namespace.add_ipv6_addresses()
        self._answer_names()
        for title, backend in self.backends.items():
            if title not in down:
                backend.start()

    def only_real(self, why: str) -> str:
        """Return the reason to skip a test here that only the real netqmail can pass, or ""."""
        return "" if self.kind == "source" else f"only with the real netqmail: {why}"

    def without_ipv6(self) -> str:
        """Return why no client of IPv6 can be tested, or ""."""
        if self.front != "smtpfront":
            return "tcpserver is the front, which has no IPv6"
        return "" if self._has_ipv6 else "this machine has no IPv6"

    @property
    def front(self) -> str:
        """What has port 25: smtpfront, or tcpserver."""
        return "smtpfront" if os.path.lexists(self.root / "service" / "smtpfront") else "tcpserver"

    @property
    def session_starter(self) -> str:
        """The program that starts each qmail-smtpd, the service of that name."""
        return "smtplaunch" if self.front == "smtpfront" else "tcpserver"

    @property
    def root(self) -> Path:
        """The container's file tree, as a path of this machine."""
        return Path(f"/proc/{gateway_pid(self.name)}/root")

    def processes(self) -> dict[int, str]:
        """Return the program of each process in the container, by its number on this machine."""
        space = os.readlink(f"/proc/{gateway_pid(self.name)}/ns/pid")
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(place / "ns/pid") == space:
                    found[int(place.name)] = (place / "comm").read_text().strip()
            except OSError:
                continue  # it has ended meanwhile
        return found

    def inside(self, *argv: str, text: str = "", within_seconds: float = 60) -> tuple[int, str, str]:
        """Return exit status, output and error text of a command in the container that reads `text`."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.name, *argv],
            input=text,
            capture_output=True,
            text=True,
            timeout=within_seconds,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def _answer_names(self) -> None:
        """Start a name server behind the gateway's cache that knows no name: no scan waits for one."""
        if shutil.which("tinydns"):
            self._dns = Server(QUIET, Path(tempfile.mkdtemp()), QUIET_ZONE)

    @contextmanager
    def unscanned(self) -> Iterator[None]:
        """Let the SMTP service call qmail-queue directly, for tests of what the queue alone does."""
        run = "var/qmail/supervise/qmail-smtpd/run"
        as_before = (self.root / run).read_text()
        queue = "export QMAILQUEUE=/var/qmail/bin/qmail-queue\n"
        (self.root / run).write_text(re.sub(r"(?m)^export QMAILQUEUE=.*\n", queue, as_before))
        self._restart_smtpd()
        try:
            yield
        finally:
            (self.root / run).write_text(as_before)
            self._restart_smtpd()

    def _restart_smtpd(self) -> None:
        starter = self.session_starter
        before = {pid for pid, program in self.processes().items() if program == starter}
        assert self.inside("svc", "-t", "/service/qmail-smtpd")[0] == 0
        deadline = time.monotonic() + 30
        while before & set(self.processes()):
            assert time.monotonic() < deadline, f"{starter} goes on"
            time.sleep(0.1)
        self.wait_until_greeted(30)

    def close(self) -> None:
        for backend in self.backends.values():
            backend.stop()
        if self._dns is not None:
            self._dns.stop()
            self._dns = None

    def __enter__(self) -> Bed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_until_greeted(self, within_seconds: float) -> None:
        """Wait until port 25 greets; raises NoGateway."""
        deadline = time.monotonic() + within_seconds
        last = ""
        while True:
            try:
                with Session(LOOPBACK, LOOPBACK, timeout_seconds=10) as session:
                    last = session.reply()
                    if last.startswith("220 "):
                        return
            except OSError as error:
                last = str(error)
            if time.monotonic() > deadline:
                raise NoGateway(
                    f"port 25 of {self.name!r} does not greet within {within_seconds:.0f} s: {last}"
                )
            time.sleep(0.2)

    def introduce(self, within_seconds: float = GREYLIST_SECONDS) -> None:
        """Bring the strangers' network past the greylist, as any sender does that comes back.

        Raises NoGateway.
        """
        deadline = time.monotonic() + within_seconds
        while True:
            with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=20) as session:
                said = [session.reply()]
                for line in ("HELO client.example", "MAIL FROM:<>", "RCPT TO:<postmaster>"):
                    session.send(f"{line}\r\n".encode("ascii"))
                    said.append(session.reply())
            if not matches(COME_BACK, said[-1]):
                return
            if time.monotonic() > deadline:
                raise NoGateway(f"{STRANGER} is still greylisted after {within_seconds:.0f} s: {said}")
            time.sleep(0.5)

    def play(self, row: Row | Crowd | Asked) -> Outcome:
        outcome = Outcome(row)
        if row.real_only and self.kind != "source":
            outcome.not_run = f"only with the real netqmail: {row.real_only}"
            return outcome
        if IPV6 in row.tags:
            outcome.not_run = self.without_ipv6()
            if outcome.not_run:
                return outcome
        begin = time.monotonic()
        try:
            if isinstance(row, Crowd):
                self._crowd(row, outcome)
            elif isinstance(row, Asked):
                self._asked(row, outcome)
                self._arrivals(row, outcome)
            else:
                time.sleep(row.after_seconds)
                with self._backends_for(row):
                    self._dialogue(row, outcome)
                    self._arrivals(row, outcome)
        except OSError as error:
            outcome.problems.append(f"no conversation: {error}")
        outcome.seconds = time.monotonic() - begin
        return outcome

    @contextmanager
    def _backends_for(self, row: Row) -> Iterator[None]:
        if not row.by_tls:
            yield
            return
        backend = row.arrives[0].backend
        policy = backend_tls.verify(row.by_tls, backend)
        with backend_tls.offering(self, backend), backend_tls.policies(self, policy):
            yield

    def _asked(self, row: Asked, outcome: Outcome) -> None:
        status, said, trouble = self.inside(*row.argv)
        outcome.answered = (said.splitlines() or trouble.splitlines() or [f"status {status}"])[0]
        if status != row.status or not matches(row.says, outcome.answered):
            told = f"{row.argv} ended with {status} and said {said + trouble!r}"
            outcome.problems.append(f"{told}; expected {row.status} and {row.says!r}")

    def _dialogue(self, row: Row, outcome: Outcome) -> None:
        target = target_of(row.who)
        replies: list[str] = []
        with Session(row.who, target) as session:
            for step in row.steps:
                if step.send:
                    session.send(step.send)
                for expected in step.replies:
                    got = session.reply()
                    replies.append(got)
                    if not matches(expected, got):
                        said = (
                            step.send[:60].split(b"\r\n")[0].decode("latin-1")
                            if step.send
                            else "the connection"
                        )
                        outcome.answered = got
                        outcome.problems.append(f"to {said!r} came {got!r}; expected {expected!r}")
                        return
                if step.secure:
                    session.secure(step.secure)
        outcome.answered = deciding(replies)

    def _arrivals(self, row: Row | Asked, outcome: Outcome) -> None:
        came = []
        by_tls = isinstance(row, Row) and row.by_tls
        for arrival in row.arrives if not outcome.problems else ():
            delivery = self.mailroom.claim(_is(arrival), ARRIVAL_SECONDS)
            if delivery is None:
                outcome.problems.append(
                    f"nothing arrived at {arrival.backend} for {arrival.recipient} "
                    f"within {ARRIVAL_SECONDS:.0f} s"
                )
                continue
            difference = differences(arrival, delivery.content)
            if by_tls and not delivery.tls:
                difference = "it came in plain text"
            if not difference and not re.search(arrival.needs, delivery.content, re.MULTILINE):
                difference = f"nothing in {delivery.content[:2000]!r} matches {arrival.needs!r}"
            if difference:
                outcome.problems.append(f"at {arrival.backend} for {arrival.recipient}: {difference}")
            came.append(
                f"{arrival.backend}: {arrival.recipient}, {len(arrival.content):,} bytes "
                f"{'CHANGED' if difference else 'intact'}{delivery.tls and f', by {delivery.tls}'}"
            )
        for stray in self.mailroom.unclaimed():
            if row_of(stray) == row.name:
                self.mailroom.claim(lambda delivery, stray=stray: delivery is stray, 0)  # type: ignore[misc]
                outcome.problems.append(f"at {stray.backend} arrived what should not: {stray}")
                came.append(f"{stray.backend}: {stray.recipient} UNWANTED")
        outcome.arrived = "; ".join(came) or "nothing"

    def _crowd(self, crowd: Crowd, outcome: Outcome) -> None:
        begin = time.monotonic()
        # smtpfront greets everybody: its own places are many more than qmail-smtpd's.
        expected = crowd.sessions if self.front == "smtpfront" else crowd.at_once
        selector = selectors.DefaultSelector()
        sockets = []
        served = lost = 0
        greeted: list[socket.socket] = []
        released = False

        def pump(until: Callable[[], bool], deadline: float) -> None:
            nonlocal served, lost
            while not until() and time.monotonic() < deadline:
                for key, _events in selector.select(0.1):
                    peer = key.fileobj
                    assert isinstance(peer, socket.socket)
                    try:
                        block = peer.recv(4096)
                    except BlockingIOError:
                        continue
                    except OSError:
                        block = b""
                    if block.startswith(b"220 "):
                        greeted.append(peer)
                        if released:
                            peer.send(b"QUIT\r\n")
                    elif block.startswith(b"221 "):
                        served += 1
                        selector.unregister(peer)
                    else:
                        lost += 1
                        selector.unregister(peer)

        try:
            for number in range(crowd.sessions):
                one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                sockets.append(one)
                one.setblocking(False)
                one.bind((f"198.51.100.{2 + number % 60}", 0))
                one.connect_ex((GATEWAY_ADDRESS, 25))
                selector.register(one, selectors.EVENT_READ)
            pump(lambda: len(greeted) + lost >= expected, begin + CROWD_SECONDS / 2)
            watch = time.monotonic() + CROWD_WATCH_SECONDS
            pump(lambda: False, watch)
            at_once = len(greeted)
            released = True
            for peer in list(greeted):
                peer.send(b"QUIT\r\n")
            pump(lambda: served + lost >= crowd.sessions, begin + CROWD_SECONDS)
        finally:
            selector.close()
            for one in sockets:
                one.close()
        outcome.answered = f"{at_once} greeted at once, {served} of {crowd.sessions} served in the end"
        if at_once != expected:
            outcome.problems.append(f"{at_once} sessions were greeted at once; expected {expected}")
        if served != crowd.sessions:
            outcome.problems.append(
                f"{served} sessions were served within {CROWD_SECONDS:.0f} s and {lost} lost; "
                f"expected {crowd.sessions}"
            )

    def leftovers(self) -> list[str]:
        """Return what arrived and no row asked for, some seconds after the last row."""
        time.sleep(SETTLE_SECONDS)
        return [
            f"at {stray.backend} arrived what no row sent there: {stray} of row {row_of(stray)!r}"
            for stray in self.mailroom.unclaimed()
        ]


def target_of(who: str) -> str:
    """Return the gateway's address to which a client connects."""
    if who == LOOPBACK:
        return LOOPBACK
    return network_namespace.GATEWAY_IPV6 if ":" in who else GATEWAY_ADDRESS


def submit_again(content: bytes, recipient: str, sender: str, who: str, within_seconds: float = 40) -> str:
    """Return the reply to a message of a client that comes back when it is greylisted."""
    deadline = time.monotonic() + within_seconds
    while matches(COME_BACK, reply := submit(content, recipient, sender=sender, who=who)):
        assert time.monotonic() < deadline, f"{who} is still greylisted: {reply}"
        time.sleep(1)
    return reply


def submit(
    content: bytes, *recipients: str, sender: str = SENDER, who: str = LOOPBACK, timeout_seconds: float = 30
) -> str:
    """Return the decisive reply to one message in its own session: a refusal, or that to the final dot."""
    target = target_of(who)
    commands = [f"HELO client.example\r\nMAIL FROM:<{sender}>\r\n"]
    commands += [f"RCPT TO:<{recipient}>\r\n" for recipient in recipients]
    with Session(who, target, timeout_seconds=timeout_seconds) as session:
        for part in (b"", *"".join(commands).encode("ascii").splitlines(keepends=True), b"DATA\r\n"):
            session.send(part)
            got = session.reply()
            if not got.startswith(("2", "354")):
                return got
        session.send(stuffed(content))
        got = session.reply()
        session.send(b"QUIT\r\n")
        session.reply()
    return got


def deciding(replies: list[str]) -> str:
    """Return the reply that a person wants to see: the acceptance of a message, or the last refusal."""
    ends = (f"221 {HOSTNAME}", CLOSED)
    kept = [reply for reply in replies if reply not in ends] or replies
    refusals = [reply for reply in kept if reply[:1] in "45" and not reply.startswith("503 RCPT")]
    final = kept[-1] if kept else CLOSED
    if final.startswith("250 ok"):
        return final
    answer = refusals[-1] if refusals else final
    return f"{answer}, hang-up" if replies[-1] == CLOSED and f"221 {HOSTNAME}" not in replies else answer


def row_of(delivery: Delivery) -> str:
    found = re.search(rb"^X-Row: ([^\r\n]*)", delivery.content, re.MULTILINE)
    return found.group(1).decode("latin-1") if found else "?"


def _is(arrival: Arrival) -> Callable[[Delivery], bool]:
    def wanted(delivery: Delivery) -> bool:
        same = (delivery.backend, delivery.recipient, delivery.sender) == (
            arrival.backend,
            arrival.recipient,
            arrival.sender,
        )
        return same and row_of(delivery) == row_of(Delivery("", "", "", arrival.content))

    return wanted
