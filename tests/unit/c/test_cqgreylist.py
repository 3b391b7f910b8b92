# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cqgreylist, dnsbl and clientname, whole and under ASan and UBSan, with clients and resolvers that lie.

The tests in test_greylist*.c are run by test_netqmail.py.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, ROOT, SANITIZE, STRICT, gcc, needed, run
from support.parameters import slow_after_first, slow_where
from support.told_resolver import (
    AAAA,
    CNAME,
    CUT,
    PTR,
    SERVFAIL,
    A,
    Records,
    Resolver,
    a,
    answer,
    question,
    record,
    wire,
)

PROGRAMS = ("cqgreylist", "dnsbl", "clientname")
IP, KEY = "198.51.100.7", "198.51.100.0/24"
DELAY = 60
LEAVES = ["sh", "-c", "printf 'passed '; cat; exit 7"]


@dataclass(frozen=True)
class Programs:
    directory: Path
    port: int  # of the resolver that they ask
    settings: Path

    def __getattr__(self, name: str) -> str:
        return str(self.directory / name)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    made = tmp_path_factory.mktemp("greylist")
    for parent in (made, made.parent, made.parent.parent):
        parent.chmod(0o755)  # for the test that runs as nobody
    with socket.create_server(("127.0.0.1", 0)) as free, socket.socket(type=socket.SOCK_DGRAM) as also:
        port = free.getsockname()[1]
        also.bind(("127.0.0.1", port))
    macros = [f"-DDNSASK_PORT={port}", f'-DSETTINGS_FILE="{made}/settings"']
    for name in PROGRAMS:
        main = ROOT / "src" / name / f"{name}.c"
        gcc("-std=gnu11", *STRICT, *SANITIZE, *macros, *INCLUDES, main, *needed(main), "-o", made / name)
    return Programs(made, port, made / "settings")


# --- cqgreylist ---


class Client:
    """One connection to one process, and what the process says in the log."""

    def __init__(self, argv: list[str], environment: dict[str, str], **more: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.socket = socket.create_connection(listening.getsockname())
            served, _peer = listening.accept()
        self.socket.settimeout(20)
        self.began = time.monotonic()
        with served:
            self.process = subprocess.Popen(
                argv,
                stdin=served,
                stdout=served,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ["PATH"], **environment},
                **more,  # type: ignore[call-overload]
            )

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        heard = b""
        while True:
            try:
                block = self.socket.recv(65536)
            except ConnectionResetError:
                return heard
            if not block:
                return heard
            heard += block

    def ended(self) -> int:
        status = self.process.wait(20)
        self.seconds = time.monotonic() - self.began
        assert self.process.stderr
        self.log = re.sub(r"\[[0-9]+\]", "[PID]", self.process.stderr.read().decode("ascii"))
        self.process.stderr.close()
        self.socket.close()
        assert "Sanitizer" not in self.log and "runtime error" not in self.log, self.log
        return status


@dataclass
class Gate:
    """cqgreylist with a directory of its own."""

    program: str
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def connect(self, ip: str = IP, argv: list[str] | None = None, **environment: str) -> Client:
        wanted = {
            "GREYLIST_DIRECTORY": str(self.directory),
            "TCPREMOTEIP": ip,
            "TCPLOCALHOST": "mx1.example.test",
            **self.environment,
            **environment,
        }
        return Client([self.program, *(LEAVES if argv is None else argv)], wanted)

    def visit(self, ip: str = IP, **environment: str) -> tuple[bytes, str]:
        """Return what a client hears who says all of it at once, and the log without what it asked for."""
        client = self.connect(ip, **environment)
        client.say(b"EHLO a\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nQUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        heard = client.rest()
        client.ended()
        return heard, re.sub(r"(?m)^cqgreylist\[PID\]: asked .*\n", "", client.log)

    def word(self, ip: str = IP, **environment: str) -> str:
        """Return the first word of the log line, after checking that the client got the reply for it."""
        heard, log = self.visit(ip, **environment)
        found = re.fullmatch(r"cqgreylist\[PID\]: (\w+) .*\n", log)
        assert found, log
        refused = found[1] in ("new", "early", "refused")
        assert (
            (b"\r\n451 " in heard or b"\r\n553 " in heard) if refused else heard.startswith(b"passed EHLO a")
        )
        return found[1]

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in self.directory.rglob("*") if path.is_file()}

    def age(self, seconds: float) -> None:
        """Make everything that is remembered so much older."""
        for path in self.files().values():
            then = path.stat().st_mtime - seconds
            os.utime(path, (then, then))


@pytest.fixture
def gate(programs: Programs, tmp_path: Path) -> Gate:
    directory = tmp_path / "state"
    directory.mkdir()
    return Gate(programs.cqgreylist, directory)


HELLO = b"220 mx1.example.test ESMTP\r\n"
EHLO = b"250-mx1.example.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
NEW = b"451 4.7.1 you are new here, please come back in a few minutes\r\n"
OK, BYE = b"250 ok\r\n", b"221 mx1.example.test\r\n"


def test_the_whole_dialogue(gate: Gate) -> None:
    client = gate.connect()
    steps = [
        (b"", HELLO),
        (b"HELO a\r\n", b"250 mx1.example.test\r\n"),
        (b"eHlO a\n", EHLO),
        (b"MAIL FROM:<a@b.c> SIZE=10\r\n", OK),
        (b"rcpt to:<d@e.f>\r\n", NEW),
        (b"RCPT TO:<g@e.f>\r\n", NEW),
        (b"DATA\r\n", NEW),
        (b"RSET\r\n", OK),
        (b"NOOP x\r\n", OK),
        (b"VRFY x\r\n", b"252 send some mail, I'll try my best\r\n"),
        (b"HELP\r\n", b"214 no help here\r\n"),
        (b"STARTTLS\r\n", b"502 5.5.1 unimplemented\r\n"),
        (b"DATAX\r\n", b"502 5.5.1 unimplemented\r\n"),
        (b"\r\n", b"502 5.5.1 unimplemented\r\n"),
        (b"QUIT\r\n", BYE),
    ]
    for said, expected in steps:
        client.say(said)
        heard = b""
        while len(heard) < len(expected):
            heard += client.socket.recv(len(expected) - len(heard))
        assert heard == expected, said
    assert client.rest() == b""
    assert client.ended() == 0
    assert client.log == (
        f"cqgreylist[PID]: new {IP} {KEY} wait 60\n"
        f"cqgreylist[PID]: asked {IP} a@b.c to d@e.f\n"
        f"cqgreylist[PID]: asked {IP} a@b.c to g@e.f\n"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    slow_after_first(
        [
            (b"MAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\n", ["<> to d@e.f"]),
            (b'MAIL FROM:<"a b"@c>\r\nRCPT TO:<@x,@y:d@e.f> NOTIFY=NEVER\r\n', ["a\\x20b@c to d@e.f"]),
            (b"RCPT TO:<d@e.f>\r\n", ["<> to d@e.f"]),
            (b"MAIL FROM: a@b.c\nRCPT TO: d@e.f\n", ["a@b.c to d@e.f"]),
            (b"RCPT\r\n", ["<> to <>"]),
            (b"MAIL FROM:<a\0\xff\x1b@b.c>\r\nRCPT TO:<d@e.f\rx>\r\n", ["a\\xff\\x1b@b.c to d@e.fx"]),
            (b"RCPT TO:<d@e.f> to <x>\nRCPT TO:<d to e@f>\n", ["<> to d@e.f", "<> to d\\x20to\\x20e@f"]),
            (b"RCPT TO:<" + b"x" * 2100 + b"@e.f>\r\n", []),
            (b"RCPT TO:<" + b"x" * 300 + b"@e.f>\r\n", ["<> to " + "x" * 200 + "\\..."]),
            (
                b"".join(b"RCPT TO:<%d@e.f>\r\n" % one for one in range(15)),
                [f"<> to {one}@e.f" for one in range(10)],
            ),
        ]
    ),
)
def test_who_wanted_to_write_to_whom_is_in_the_log(gate: Gate, said: bytes, told: list[str]) -> None:
    """So a greylisted mail is found by its sender and recipient; nothing that a client says ends a line."""
    client = gate.connect()
    client.say(said + b"QUIT\r\n")
    client.rest()
    client.ended()
    asked = [f"cqgreylist[PID]: asked {IP} {one}" for one in told]
    assert client.log.splitlines() == [f"cqgreylist[PID]: new {IP} {KEY} wait 60", *asked]


def test_refused_then_too_early_then_passes_then_is_known(gate: Gate) -> None:
    assert gate.word() == "new"
    gate.age(DELAY - 10)
    heard, log = gate.visit()
    assert NEW in heard
    assert re.fullmatch(rf"cqgreylist\[PID\]: early {IP} {KEY} 5\d of 60\n", log)
    gate.age(10)
    _heard, log = gate.visit()
    assert re.fullmatch(rf"cqgreylist\[PID\]: passed {IP} {KEY} after 6\d\n", log)
    assert gate.visit()[1] == f"cqgreylist[PID]: known {IP} {KEY}\n"
    assert list(gate.files()) == ["198.51.100.0-24"]


def test_a_return_within_the_delay_does_not_begin_it_again(gate: Gate) -> None:
    for word in ("new", "early", "early", "passed"):
        assert gate.word() == word
        gate.age(25)


def test_what_a_client_said_too_early_is_not_lost_when_it_passes(gate: Gate) -> None:
    gate.word()
    gate.age(DELAY)
    read, write = socket.socketpair()
    said = b"EHLO a\r\nMAIL FROM:<a@b.c>\r\n" + bytes(range(256)) * 40
    with read, write:
        write.sendall(said)  # all of it is there before the program begins
        write.shutdown(socket.SHUT_WR)
        done = subprocess.run(
            [gate.program, *LEAVES],
            stdin=read,
            capture_output=True,
            timeout=20,
            env={"PATH": os.environ["PATH"], "TCPREMOTEIP": IP, "GREYLIST_DIRECTORY": str(gate.directory)},
            check=False,
        )
    assert done.stdout == b"passed " + said
    assert done.returncode == 7


def test_becomes_the_program_with_its_words_and_its_pid(gate: Gate) -> None:
    client = gate.connect(
        WHITELISTED="", argv=["sh", "-c", 'echo "$$ $# $1|$2"; exit 3', "x", "a  b", "$(id);*"]
    )
    assert client.rest() == f"{client.process.pid} 2 a  b|$(id);*\n".encode()
    assert client.ended() == 3


@pytest.mark.parametrize(
    ("environment", "log"),
    [
        ({"RELAYCLIENT": ""}, f"skipped {IP} - relay"),
        ({"WHITELISTED": ""}, f"skipped {IP} - whitelisted"),
        ({"RBLSMTPD": ""}, f"skipped {IP} - rblsmtpd"),
    ],
)
def test_who_skips_it(gate: Gate, environment: dict[str, str], log: str) -> None:
    heard, said = gate.visit(**environment)
    assert (heard[:7], said) == (b"passed ", f"cqgreylist[PID]: {log}\n")
    assert not gate.files()


@pytest.mark.parametrize("ip", [IP, "::ffff:198.51.100.7", "2001:db8::7"])
def test_exempt_networks_skip_it(gate: Gate, tmp_path: Path, ip: str) -> None:
    exempt = tmp_path / "exempt"
    exempt.write_text("# some\nexample.com\nbad line\n198.51.100.0/24\n2001:db8::/32\n")
    heard, said = gate.visit(ip, GREYLIST_EXEMPT_FILE=str(exempt))
    wrong = f"setting {exempt} line 3: it is neither a network nor a domain of two labels or more"
    assert heard[:7] == b"passed "
    assert said == f"cqgreylist[PID]: {wrong}\ncqgreylist[PID]: skipped {ip} - exempt\n"
    assert not gate.files()
    assert gate.visit("198.51.101.7", GREYLIST_EXEMPT_FILE=str(exempt))[0].count(b"451 4.7.1") == 1
    assert gate.visit("198.51.102.7", GREYLIST_EXEMPT_FILE="/nowhere")[0].count(b"451 4.7.1") == 1
    assert gate.visit("198.51.103.7", GREYLIST_EXEMPT_FILE=str(tmp_path))[0].count(b"451 4.7.1") == 1


@pytest.mark.parametrize(
    ("reason", "reply"),
    [
        ("-no mail from you", b"553 5.7.1 no mail from you\r\n"),
        ("later, please", b"451 4.7.1 later, please\r\n"),
        ("-5.7.606 banned", b"553 5.7.606 banned\r\n"),
        ("-a\r\n250 ok\xe4", b"553 5.7.1 a??250 ok??\r\n"),
        ("-" + 500 * "x", b"553 5.7.1 " + 200 * b"x" + b"\r\n"),
    ],
)
@pytest.mark.parametrize("also", [{}, {"RELAYCLIENT": ""}, {"WHITELISTED": ""}], ids=str)
def test_a_reason_is_given(gate: Gate, reason: str, reply: bytes, also: dict[str, str]) -> None:
    heard, log = gate.visit(RBLSMTPD=reason, **also)
    assert heard == HELLO + EHLO + OK + reply + BYE
    code, text = reply.decode()[:-2].split(" ", 1)
    assert log == f"cqgreylist[PID]: refused {IP} - {code} {text.replace(f'{code[0]}.7.1 ', '')}\n"
    assert not gate.files()


@pytest.mark.parametrize(
    ("environment", "first", "second", "key"),
    [
        ({}, "198.51.100.7", "198.51.100.250", "198.51.100.0/24"),
        ({}, "2001:db8::1", "2001:db8::ffff:1", "2001:db8::/64"),
        ({}, "::ffff:198.51.100.7", "198.51.100.9", "198.51.100.0/24"),
        ({"GREYLIST_IPV4_PREFIX": "16"}, "198.51.100.7", "198.51.7.7", "198.51.0.0/16"),
    ],
)
def test_a_pool_is_one(gate: Gate, environment: dict[str, str], first: str, second: str, key: str) -> None:
    assert gate.visit(first, **environment)[1] == f"cqgreylist[PID]: new {first} {key} wait 60\n"
    gate.age(DELAY)
    assert gate.word(second, **environment) == "passed"


@pytest.mark.parametrize(
    ("environment", "first", "second"),
    [
        ({}, "198.51.100.7", "198.51.101.7"),
        ({}, "2001:db8::1", "2001:db8:0:1::1"),
        ({"GREYLIST_IPV4_PREFIX": "32"}, "198.51.100.7", "198.51.100.8"),
        ({"GREYLIST_IPV6_PREFIX": "128"}, "2001:db8::1", "2001:db8::2"),
    ],
)
def test_another_network_is_another(gate: Gate, environment: dict[str, str], first: str, second: str) -> None:
    assert gate.word(first, **environment) == "new"
    gate.age(DELAY)
    assert gate.word(second, **environment) == "new"
    assert gate.word(first, **environment) == "passed"


def test_what_passed_is_renewed_by_age(gate: Gate) -> None:
    gate.word()
    gate.age(DELAY)
    gate.word()
    for _month in range(4):
        gate.age(30 * 86400)
        assert gate.word() == "known"
    gate.age(36 * 86400 + 10)
    assert gate.word() == "new"
    gate.age(DELAY)
    assert gate.word() == "passed"
    assert list(gate.files()) == ["198.51.100.0-24"]


def test_who_never_came_back_begins_again(gate: Gate) -> None:
    gate.word()
    gate.age(2 * 86400 + 10)
    assert gate.word() == "new"
    assert gate.word() == "early"


def test_a_clock_that_was_set_back_shuts_nobody_out(gate: Gate) -> None:
    gate.word()
    gate.age(-86400)
    assert gate.word() == "new"
    gate.age(DELAY)
    assert gate.word() == "passed"
    gate.age(-86400)
    assert gate.word() == "known"
    (path,) = gate.files().values()
    assert abs(path.stat().st_mtime - time.time()) < 20


def test_many_at_once_need_no_lock(gate: Gate) -> None:
    def words() -> list[str]:
        clients = [gate.connect() for _number in range(24)]
        for client in clients:
            client.say(b"RCPT TO:<a@b.c>\r\nQUIT\r\n")
            client.socket.shutdown(socket.SHUT_WR)
        for client in clients:
            client.rest()
            client.ended()
        return sorted(client.log.split()[1] for client in clients)

    assert set(words()) == {"early", "new"}
    gate.age(DELAY)
    assert set(words()) == {"known", "passed"}
    assert list(gate.files()) == ["198.51.100.0-24"]


TOO_CLOSE = (
    "leaves {} seconds to pass until GREYLIST_PENDING_SECONDS {}; expected at least 28800;"
    " 60 and 172800 are used"
)


@pytest.mark.parametrize(
    ("delay", "pending", "left"),
    [
        (86400, 86400, 0),
        (86400, 86401, 1),
        (86400, 86400 + 28799, 28799),
        (86400, 86400 + 28800, None),
        (3600, 60, -3540),
        (0, 28799, 28799),
        (0, 28800, None),
    ],
)
def test_who_comes_back_has_time_to_pass(gate: Gate, delay: int, pending: int, left: int | None) -> None:
    """Otherwise a sender whose queue is run every few hours never comes in time."""
    _heard, log = gate.visit(GREYLIST_DELAY_SECONDS=str(delay), GREYLIST_PENDING_SECONDS=str(pending))
    wrong = f"setting GREYLIST_DELAY_SECONDS: {delay} {TOO_CLOSE.format(left, pending)}"
    wait = delay if left is None else 60
    lines = [*([] if left is None else [wrong]), f"new {IP} {KEY} wait {wait}"]
    assert log == "".join(f"cqgreylist[PID]: {line}\n" for line in lines)


def test_expiry_removes_what_is_too_old_and_nothing_else(gate: Gate) -> None:
    def remember(ip: str, passed: bool, days: float) -> None:
        directory = Path(gate.directory)
        gate.directory = directory.with_name("one")
        gate.directory.mkdir()
        gate.word(ip)
        if passed:
            gate.age(DELAY)
            gate.word(ip)
        gate.age(days * 86400)
        for path in gate.files().values():
            target = directory / path.relative_to(gate.directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        subprocess.run(["rm", "-r", gate.directory], check=True)
        gate.directory = directory

    for number, (passed, days) in enumerate(
        [(False, 1.9), (False, 2.1), (False, 40), (True, 2.1), (True, 35.9), (True, 36.1)]
    ):
        remember(f"192.0.{number}.1", passed, days)
    done = run([gate.program, "--expire"], env={"GREYLIST_DIRECTORY": str(gate.directory)})
    assert done.returncode == 0
    assert re.fullmatch(rb"cqgreylist\[[0-9]+\]: expired 3\n", done.stderr)
    assert sorted(gate.files()) == ["192.0.0.0-24.new", "192.0.3.0-24", "192.0.4.0-24"]


def test_new_networks_clear_what_is_too_old(gate: Gate) -> None:
    """One in 16 of them clears the directory that it came into."""
    gate.word()
    (old,) = gate.files().values()
    for number in range(200):
        stale = old.with_name(f"203.0.{number}.0-24.new")
        stale.touch()
        os.utime(stale, (1, 1))
    fresh = old.with_name("203.1.1.0-24")
    fresh.touch()
    for _visit in range(400):
        old.unlink(missing_ok=True)
        gate.word()
        if len(gate.files()) == 2:
            break
    assert sorted(gate.files()) == sorted([old.name, fresh.name])


@pytest.mark.parametrize("harm", ["missing", "file", "subdirectory"])
def test_a_broken_directory_lets_mail_pass(gate: Gate, harm: str) -> None:
    if harm == "subdirectory":
        gate.word()
        (path,) = gate.files().values()
        path.unlink()
        path.parent.rmdir()
        path.parent.touch()
    else:
        gate.directory.rmdir()
        if harm == "file":
            gate.directory.touch()
    heard, log = gate.visit()
    assert heard.startswith(b"passed ")
    assert re.fullmatch(rf"cqgreylist\[PID\]: open {IP} {KEY} cannot \w[\w ]*: [\w ]+\n", log), log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_directory_that_cannot_be_written_lets_mail_pass(gate: Gate, programs: Programs) -> None:
    def as_nobody() -> str:
        client = Client(
            [gate.program, *LEAVES],
            {"GREYLIST_DIRECTORY": str(gate.directory), "TCPREMOTEIP": IP},
            user=65534,
            group=65534,
            extra_groups=[],
        )
        client.say(b"RCPT TO:<a@b.c>\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        heard = client.rest()
        client.ended()
        assert heard.startswith(b"passed ") == (" open " in client.log), (heard, client.log)
        return client.log.split()[1]

    for parent in gate.directory.parents:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    os.chown(gate.directory, 65534, 65534)
    assert as_nobody() == "new"
    directories = [path for path in (gate.directory, *gate.directory.rglob("*")) if path.is_dir()]
    for directory in directories:
        directory.chmod(0o500)
    assert as_nobody() == "open"  # within the delay
    gate.age(DELAY)
    assert as_nobody() == "open"  # after it
    for path in gate.files().values():
        path.unlink()
    assert as_nobody() == "open"  # and for the first time
    for directory in directories:
        directory.chmod(0o700)
    assert as_nobody() == "new"


# --- what hostile clients cost ---


@pytest.mark.slow
def test_a_byte_now_and_then_buys_no_time(gate: Gate) -> None:
    client = gate.connect(GREYLIST_IDLE_SECONDS="1", GREYLIST_SESSION_SECONDS="30")
    heard = b""
    client.socket.settimeout(0.2)
    while time.monotonic() - client.began < 10:
        try:
            client.say(b"N")
            block = client.socket.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
        if not block:
            break
        heard += block
    assert client.ended() == 0
    assert heard == HELLO + b"421 4.4.2 timeout\r\n"
    assert client.seconds < 4


@pytest.mark.slow
def test_commands_without_end_end_with_the_session(gate: Gate) -> None:
    client = gate.connect(GREYLIST_IDLE_SECONDS="10", GREYLIST_SESSION_SECONDS="2")
    client.socket.settimeout(0.2)
    try:
        while time.monotonic() - client.began < 10:
            client.say(b"NOOP\r\n")
            if not client.socket.recv(4096):
                break
            time.sleep(0.1)
    except OSError:
        pass
    assert client.ended() == 0
    assert 1.5 < client.seconds < 5


@pytest.mark.slow
def test_a_client_that_says_nothing_and_one_that_does_not_listen(gate: Gate) -> None:
    silent = gate.connect(GREYLIST_IDLE_SECONDS="1")
    slow = gate.connect(GREYLIST_IDLE_SECONDS="30", GREYLIST_SESSION_SECONDS="1")
    deaf = gate.connect(GREYLIST_SESSION_SECONDS="2")
    deaf.socket.settimeout(0.2)
    try:
        while time.monotonic() - deaf.began < 10:
            deaf.say(1000 * b"EHLO a\r\n")
    except OSError:
        pass
    assert slow.rest() == HELLO + b"421 4.4.2 timeout\r\n"
    assert slow.ended() == 0 and slow.seconds < 6
    assert silent.ended() == 0 and silent.seconds < 6
    assert deaf.ended() == 0 and deaf.seconds < 6


def flood(gate: Gate, data: bytes) -> bytes:
    client = gate.connect()
    sending = threading.Thread(target=_send_all, args=(client.socket, data))
    sending.start()
    heard = client.rest()
    status = client.ended()
    sending.join(10)
    assert status == 0 and client.seconds < 10
    return heard


def _send_all(to: socket.socket, data: bytes) -> None:
    try:
        to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_input_is_bounded(gate: Gate) -> None:
    end = b"421 4.7.0 too much, good bye\r\n"
    assert flood(gate, 3_000_000 * b"x") == HELLO + end
    assert flood(gate, 5000 * b"NOOP\r\n") == HELLO + 1000 * OK + end
    assert flood(gate, 500 * b"GET / HTTP/1.1\r\n") == HELLO + 20 * b"502 5.5.1 unimplemented\r\n" + end


def test_a_long_line_is_one_wrong_command(gate: Gate) -> None:
    too_long = b"500 5.5.2 line too long\r\n"
    fits, does_not = (b"MAIL FROM:<" + length * b"a" + b">\r\n" for length in (2048 - 14, 2049 - 14))
    assert (len(fits), len(does_not)) == (2048, 2049)
    assert flood(gate, fits + does_not + b"QUIT\r\n") == HELLO + OK + too_long + BYE


def test_a_nul_is_no_end_of_anything(gate: Gate) -> None:
    wrong = b"502 5.5.1 unimplemented\r\n"
    said = b"RCPT\0 TO:<a@b.c>\r\n\0\r\nMAIL FROM:<\0@b.c>\r\nQUIT\0\r\nQUIT\r\n"
    assert flood(gate, said) == HELLO + wrong + wrong + OK + wrong + BYE


def test_who_hangs_up_is_gone_at_once(gate: Gate) -> None:
    gone = gate.connect()
    gone.say(b"EHLO a\r\nMAIL")
    gone.socket.close()
    assert gone.ended() == 0 and gone.seconds < 3
    half = gate.connect()
    half.say(b"RCPT TO:<a@b.c>\r\nRCPT")
    half.socket.shutdown(socket.SHUT_WR)
    assert half.rest() == HELLO + NEW
    assert half.ended() == 0 and half.seconds < 3


def test_the_last_reply_outlives_what_the_client_still_sends(gate: Gate) -> None:
    """A socket closed with bytes unread destroys what is on its way to the client (RFC 1122, 4.2.2.13)."""
    client = gate.connect()
    client.say(b"RCPT TO:<a@b.c>\r\nQUIT\r\n")
    heard = b""
    while not heard.endswith(BYE):
        heard += client.socket.recv(4096)
    assert client.process.poll() is None  # it has said its last word, and listens
    assert client.socket.recv(1) == b""
    for _block in range(20):
        client.say(100 * b"RCPT TO:<a@b.c>\r\n")
        time.sleep(0.01)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.ended() == 0 and client.seconds < 5
    assert heard == HELLO + NEW + BYE


def test_a_reply_to_who_sends_on_is_not_destroyed(gate: Gate) -> None:
    for _client in range(5):
        client = gate.connect()
        client.say(b"NOOP\r\nQUIT\r\n" + 5000 * b"more ")
        time.sleep(0.05)  # the end of it comes after the last reply
        heard = b""
        with suppress(OSError):
            client.say(5000 * b"more ")
        while True:
            block = client.socket.recv(65536)  # no reset
            if not block:
                break
            heard += block
        client.socket.close()
        assert heard == HELLO + OK + BYE
        assert client.ended() == 0


def test_who_neither_leaves_nor_ends_is_left_behind(gate: Gate) -> None:
    client = gate.connect()
    client.say(b"QUIT\r\n")
    assert client.rest() == HELLO + BYE
    assert client.ended() == 0 and 0.8 < client.seconds < 5


# --- settings, and what is wrong outside ---


def test_settings_come_from_the_file_and_from_the_environment_before_it(
    gate: Gate, programs: Programs
) -> None:
    programs.settings.write_text(
        "# ours\n\nGREYLIST_TEXT=come back\nGREYLIST_DELAY_SECONDS=7\nPATH=/nowhere\nx\n"
    )
    try:
        heard, log = gate.visit()
        assert (b"451 4.7.1 come back\r\n" in heard, log.split()[-1]) == (True, "7")
        heard, log = gate.visit("192.0.2.1", GREYLIST_TEXT="no", GREYLIST_DELAY_SECONDS="8")
        assert (b"451 4.7.1 no\r\n" in heard, log.split()[-1]) == (True, "8")
        assert gate.word(WHITELISTED="") == "skipped"  # by the PATH of the environment
    finally:
        programs.settings.unlink()


@pytest.mark.parametrize("size", [8191, 8192, 8193, 20000])
def test_half_a_line_of_the_settings_is_none(gate: Gate, programs: Programs, size: int) -> None:
    last = "GREYLIST_DELAY_SECONDS=77\n"
    first = "GREYLIST_TEXT=come back\n"
    comment = "#" + (8191 - len(first) - len(last) - 2) * "x" + "\n"
    text = first + comment + last  # 8191 bytes
    text += (size - len(text)) * "9"
    text = text if size <= 8191 else text[: 8191 - 1] + (size - 8190) * "9"  # the number goes on
    programs.settings.write_text(text)
    try:
        heard, log = gate.visit()
    finally:
        programs.settings.unlink()
    assert b"451 4.7.1 come back\r\n" in heard
    assert log.splitlines()[-1].endswith("wait 77" if size <= 8191 else "wait 60")
    said = f"cqgreylist[PID]: setting {programs.settings}: only lines within 8192 bytes are read"
    assert (said in log.splitlines()) == (size > 8191)


@pytest.mark.parametrize("value", ["", "x", "-1", "86401", "6 0", "99999999999999999999"])
def test_a_setting_that_is_none_is_said_and_not_used(gate: Gate, value: str) -> None:
    _heard, log = gate.visit(GREYLIST_DELAY_SECONDS=value)
    assert log == (
        f"cqgreylist[PID]: setting GREYLIST_DELAY_SECONDS: '{value}' is refused, 60 is used;"
        f" expected a number from 0 to 86400\ncqgreylist[PID]: new {IP} {KEY} wait 60\n"
    )


@pytest.mark.parametrize("ip", ["", "unknown", "1.2.3", "1.2.3.4/../../x", "fe80::1%eth0"])
def test_an_address_that_is_none_passes(gate: Gate, ip: str) -> None:
    heard, log = gate.visit(ip)
    assert (heard[:7], log) == (b"passed ", "cqgreylist[PID]: open - - TCPREMOTEIP is not an address\n")
    assert not gate.files()


@pytest.mark.parametrize("name", ["cqgreylist", "dnsbl", "clientname"])
def test_a_program_that_is_missing_and_no_program(programs: Programs, name: str) -> None:
    skip = {"TCPREMOTEIP": IP, "WHITELISTED": "", "RELAYCLIENT": ""}
    done = run([getattr(programs, name), "/nowhere/x", "y"], env=skip)
    assert done.returncode == 111
    assert done.stderr.endswith(b"cannot run /nowhere/x: No such file or directory\n")
    assert run([getattr(programs, name)], env=skip).returncode == 100


# --- a resolver that says what it is told ---


@contextmanager
def nobody_answers(port: int) -> Iterator[None]:
    """Listen without ever reading a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", port))
        yield


@dataclass(frozen=True)
class Said:
    value: str | None
    log: str
    seconds: float


def asked(program: str, variable: str, environment: dict[str, str]) -> Said:
    """Return the variable's value behind the program, and its log."""
    show = f'[ "${{{variable}+x}}" ] && printf "=%s" "${variable}"; exit 7'
    began = time.monotonic()
    wanted = {"PATH": os.environ["PATH"], "DNSCACHEIP": "127.0.0.1", "TCPREMOTEIP": IP, **environment}
    done = run([program, "sh", "-c", show], env=wanted)
    seconds = time.monotonic() - began
    assert done.returncode == 7, done.stderr.decode()
    log = re.sub(r"\w+\[[0-9]+\]: ", "", done.stderr.decode("ascii"))
    return Said(done.stdout[1:].decode("ascii") if done.stdout else None, log, seconds)


# --- dnsbl ---

ZEN, OTHER = "7.100.51.198.zen.test", "7.100.51.198.other.test"
LISTS = "# ours\n\nzen.test 127.0.0.0/24 see zen\n  other.test\t127.0.0.0/8\n"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    path = tmp_path / "dnsbl"
    path.write_text(LISTS)
    return path


def dnsbl(programs: Programs, lists: Path, **environment: str) -> Said:
    return asked(programs.dnsbl, "RBLSMTPD", {"DNSBL_FILE": str(lists), "DNSBL_SECONDS": "2", **environment})


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ({"TCPREMOTEIP": IP, "TCPLOCALIP": "127.0.0.1"}, True),
        ({"TCPREMOTEIP": IP, "TCPLOCALIP": "127.0.0.1", "RELAYCLIENT": ""}, True),
        ({"TCPREMOTEIP": IP}, True),
        ({"TCPREMOTEIP": IP, "TCPLOCALIP": IP}, False),
        ({"TCPREMOTEIP": "127.0.0.1", "TCPLOCALIP": "::ffff:127.0.0.1"}, False),
    ],
)
def test_a_gateway_that_is_taken_out_runs_nothing_for_others(
    programs: Programs, tmp_path: Path, ends: dict[str, str], told: bool
) -> None:
    drained = tmp_path / "drained"
    argv = [programs.dnsbl, "echo", "it runs"]
    environment = {
        "PATH": os.environ["PATH"],
        "DNSBL_FILE": "/dev/null",
        "DRAINED_FILE": str(drained),
        **ends,
    }

    def heard() -> bytes:
        return subprocess.run(argv, env=environment, capture_output=True, timeout=10, check=True).stdout

    assert heard() == b"it runs\n"
    drained.write_text("")
    assert heard().startswith(b"421 4.3.2 " if told else b"it runs")


LISTED = [
    ({(ZEN, A): [a(ZEN, "127.0.0.2")]}, "-see zen (zen.test)", f"listed {IP} zen.test 127.0.0.2\n"),
    (
        {(OTHER, A): [a(OTHER, "127.3.0.4")]},
        "-you are on a list (other.test)",
        f"listed {IP} other.test 127.3.0.4\n",
    ),
    (
        {(ZEN, A): [a(ZEN, "127.255.255.254"), a(ZEN, "127.0.0.9")]},
        "-see zen (zen.test)",
        f"ignored {IP} zen.test 127.255.255.254\nlisted {IP} zen.test 127.0.0.9\n",
    ),
    (
        {(ZEN, A): [record(ZEN, CNAME, wire("x.test")), a("x.test", "127.0.0.2")]},
        "-see zen (zen.test)",
        f"listed {IP} zen.test 127.0.0.2\n",
    ),
]
NO_TCP = f"trouble {IP} zen.test no connection to the resolver by TCP\n"
SILENT = f"trouble {IP} zen.test no answer in time\n"


def waits(case: tuple[object, ...]) -> bool:
    """Whether a case ends with the resolver's time."""
    return "no answer in time" in str(case[-1])


NOT_LISTED = [
    ({}, ""),
    ({(ZEN, A): []}, ""),
    ({(ZEN, A): [a(ZEN, "127.255.255.254")]}, f"ignored {IP} zen.test 127.255.255.254\n"),
    ({(OTHER, A): [a(OTHER, "127.255.255.254")]}, f"ignored {IP} other.test 127.255.255.254\n"),
    ({(OTHER, A): [a(OTHER, "127.0.0.1")]}, f"ignored {IP} other.test 127.0.0.1\n"),
    ({(OTHER, A): [a(OTHER, "203.0.113.1")]}, f"ignored {IP} other.test 203.0.113.1\n"),
    ({(ZEN, A): [a("elsewhere.test", "127.0.0.2")]}, ""),
    ({(ZEN, A): [record(ZEN, AAAA, b"\x7f\0\0\2" + bytes(12))]}, ""),
    ({(ZEN, A): SERVFAIL}, f"trouble {IP} zen.test the resolver has no answer\n"),
    ({(ZEN, A): None}, SILENT),
    ({(ZEN, A): b"XX\x81\x80\0\1\0\1\0\0\0\0QUESTION" + a(ZEN, "127.0.0.2")}, SILENT),
    ({(ZEN, A): b"ID\x01\x00\0\1\0\1\0\0\0\0QUESTION" + a(ZEN, "127.0.0.2")}, SILENT),
    ({(ZEN, A): b"ID\x81\x80\0\1\0\1\0\0\0\0" + wire("x.test") + b"\0\1\0\1" + a(ZEN, "127.0.0.2")}, SILENT),
    ({(ZEN, A): b"ID\x81\x80\0\1\xff\xff\0\0\0\0QUESTION\xc0"}, NO_TCP),
    ({(ZEN, A): b"ID\x81\x80\0\1\0\1\0\0\0\0QUESTION\xc0\x2c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\2"}, ""),
    ({(ZEN, A): CUT}, NO_TCP),
    ({(ZEN, A): CUT.replace(b"\x83\x80", b"\x83\x83")}, NO_TCP),
    (
        {(ZEN, A): CUT.replace(b"\x83\x80", b"\x83\x82")},
        f"trouble {IP} zen.test the resolver has no answer\n",
    ),
    ({(ZEN, A): b"ID"}, SILENT),
]


@pytest.mark.parametrize(("records", "value", "log"), LISTED)
def test_who_is_listed_is_refused_with_the_reason(
    programs: Programs, lists: Path, records: dict[tuple[str, int], list[bytes]], value: str, log: str
) -> None:
    with Resolver(programs.port, {**records}):
        said = dnsbl(programs, lists)
    assert (said.value, said.log) == (value, log)


@pytest.mark.parametrize(("records", "log"), slow_where(waits, NOT_LISTED))
def test_no_other_answer_refuses_anybody(
    programs: Programs, lists: Path, records: dict[tuple[str, int], list[bytes]], log: str
) -> None:
    with Resolver(programs.port, {**records}) as resolver:
        said = dnsbl(programs, lists)
    assert (said.value, said.log) == (None, log)
    assert {(ZEN, A), (OTHER, A)} == set(resolver.asked)
    assert said.seconds < 4


def test_one_list_that_is_silent_keeps_no_other_from_answering(programs: Programs, lists: Path) -> None:
    with Resolver(programs.port, {(ZEN, A): None, (OTHER, A): [a(OTHER, "127.0.0.2")]}):
        said = dnsbl(programs, lists)
    assert said.value == "-you are on a list (other.test)"
    assert said.seconds < 1.5


@pytest.mark.slow
def test_a_dead_resolver_costs_a_bounded_time(programs: Programs, lists: Path) -> None:
    with nobody_answers(programs.port):
        said = dnsbl(programs, lists)
    assert said.value is None and 1.5 < said.seconds < 4
    assert said.log == "".join(f"trouble {IP} {zone}.test no answer in time\n" for zone in ("zen", "other"))
    said = dnsbl(programs, lists, DNSCACHEIP="127.0.0.1")
    assert said.value is None and said.seconds < 1.5
    assert said.log == "".join(f"trouble {IP} {zone}.test no resolver listens\n" for zone in ("zen", "other"))


@pytest.mark.parametrize(
    "skip", [{"RBLSMTPD": ""}, {"RBLSMTPD": "x"}, {"RELAYCLIENT": ""}, {"WHITELISTED": ""}]
)
def test_nobody_is_asked_about_who_is_judged_already(
    programs: Programs, lists: Path, skip: dict[str, str]
) -> None:
    with Resolver(programs.port, {(ZEN, A): [a(ZEN, "127.0.0.2")]}) as resolver:
        said = dnsbl(programs, lists, **skip)
    assert (said.value, said.log, resolver.asked) == (skip.get("RBLSMTPD"), "", [])


def test_an_ipv6_client_is_asked_for_by_its_nibbles(programs: Programs, lists: Path) -> None:
    name = ".".join(reversed("20010db8000000000000000000000abc")) + ".zen.test"
    with Resolver(programs.port, {(name, A): [a(name, "127.0.0.2")]}):
        said = dnsbl(programs, lists, TCPREMOTEIP="2001:db8::abc")
    assert said.value == "-see zen (zen.test)"


def test_lines_that_are_wrong_are_said_and_the_others_count(programs: Programs, lists: Path) -> None:
    wrong = [
        "zen..test 127.0.0.0/8 x",
        "zen.test",
        "zen.test 10.0.0.0/8",
        "zen.test 0.0.0.0/0",
        "zen.test 127.0.0.1/24",
    ]
    lists.write_text("\n".join([*wrong, 600 * "x", LISTS]))
    with Resolver(programs.port, {(ZEN, A): [a(ZEN, "127.0.0.2")]}):
        said = dnsbl(programs, lists)
    assert said.value == "-see zen (zen.test)"
    network = "its network is not within 127.0.0.0/8"
    why = ["its zone is not a domain name", *(4 * [network]), "it is too long"]
    lines = [f"line {number} of {lists}: {text}" for number, text in enumerate(why, 1)]
    assert said.log.splitlines() == [*lines, f"listed {IP} zen.test 127.0.0.2"]


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_a_file_that_is_none_refuses_nobody(programs: Programs, lists: Path, kind: str) -> None:
    lists.unlink()
    if kind == "directory":
        lists.mkdir()
    if kind == "fifo":
        os.mkfifo(lists)
    said = dnsbl(programs, lists)
    assert said.value is None and said.log.startswith(f"trouble {IP} - cannot read {lists}: ")


# --- clientname ---

BACK = "7.100.51.198.in-addr.arpa"


def ptr(*names: str, owner: str = BACK) -> list[bytes]:
    return [record(owner, PTR, wire(name)) for name in names]


def clientname(programs: Programs, **environment: str) -> Said:
    return asked(
        programs.clientname,
        "TCPREMOTEHOST",
        {"CLIENTNAME_SECONDS": "2", "TCPREMOTEHOST": "old", **environment},
    )


NAMES = [
    (
        {(BACK, PTR): ptr("Mail.Example.TEST"), ("mail.example.test", A): [a("mail.example.test", IP)]},
        "mail.example.test",
        "",
    ),
    ({(BACK, PTR): ptr("m.test"), ("m.test", A): [a("m.test", "192.0.2.1"), a("m.test", IP)]}, "m.test", ""),
    (
        {
            (BACK, PTR): ptr("m.test"),
            ("m.test", A): [record("m.test", CNAME, wire("n.test")), a("n.test", IP)],
        },
        "m.test",
        "",
    ),
    (
        {
            (BACK, PTR): [record(BACK, CNAME, wire("7.net.test")), *ptr("m.test", owner="7.net.test")],
            ("m.test", A): [a("m.test", IP)],
        },
        "m.test",
        "",
    ),
    ({(BACK, PTR): ptr("a.test", "m.test"), ("m.test", A): [a("m.test", IP)]}, "m.test", ""),
    (
        {(BACK, PTR): ptr("m.test"), ("m.test", A): [a("m.test", "192.0.2.1")]},
        None,
        f"unconfirmed {IP} m.test\n",
    ),
    ({(BACK, PTR): ptr("m.test")}, None, f"unconfirmed {IP} m.test\n"),
    ({(BACK, PTR): ptr("m.test"), ("m.test", A): [a("x.test", IP)]}, None, f"unconfirmed {IP} m.test\n"),
    ({}, None, ""),
    ({(BACK, PTR): []}, None, ""),
    ({(BACK, PTR): ptr("a b.test", "x\n.test", "\xe4.test", "(x).test")}, None, ""),
    ({(BACK, PTR): ptr("m.test", owner="other.test"), ("m.test", A): [a("m.test", IP)]}, None, ""),
    ({(BACK, PTR): SERVFAIL}, None, f"trouble {IP} the resolver has no answer\n"),
    ({(BACK, PTR): None}, None, f"trouble {IP} no answer in time\n"),
    (
        {(BACK, PTR): ptr("m.test"), ("m.test", A): SERVFAIL},
        None,
        f"trouble {IP} the resolver has no answer\n",
    ),
    ({(BACK, PTR): ptr("m.test"), ("m.test", A): None}, None, f"trouble {IP} no answer in time\n"),
]


@pytest.mark.parametrize(("records", "value", "log"), slow_where(waits, NAMES))
def test_a_name_counts_only_when_it_is_confirmed(
    programs: Programs, records: dict[tuple[str, int], list[bytes]], value: str | None, log: str
) -> None:
    with Resolver(programs.port, {**records}):
        said = clientname(programs)
    assert (said.value, said.log) == (value, log)
    assert said.seconds < 4


# --- answers that do not fit into a datagram ---

CONFIRMED: Records = {(BACK, PTR): ptr("m.test"), ("m.test", A): [a("m.test", IP)]}
MANY = [f"m{number}.test" for number in range(60)]


def whole(
    *answers: bytes,
    flags: bytes = b"\x81\x80",
    number: bytes = b"ID",
    count: int | None = None,
    about: str = BACK,
) -> bytes:
    """Return an answer with its length before it, as it goes through TCP."""
    message = number + flags + struct.pack(">HHHH", 1, len(answers) if count is None else count, 0, 0)
    length = len(message) + len(wire(about)) + 4 + len(b"".join(answers))
    return length.to_bytes(2, "big") + message + b"QUESTION" + b"".join(answers)


BY_TCP = [
    ("the name", {(BACK, PTR): CUT}, CONFIRMED, "m.test"),
    ("its address", {**CONFIRMED, ("m.test", A): CUT}, CONFIRMED, "m.test"),
    ("both", {(BACK, PTR): CUT, ("m.test", A): CUT}, CONFIRMED, "m.test"),
    ("part of it is there", {(BACK, PTR): whole(*ptr("x.test"), flags=b"\x83\x80")[2:]}, CONFIRMED, "m.test"),
    (
        "more is announced than is there",
        {(BACK, PTR): whole(*ptr("x.test"), count=2)[2:]},
        CONFIRMED,
        "m.test",
    ),
    ("the last record is cut", {(BACK, PTR): whole(*ptr("m.test"))[2:-1]}, CONFIRMED, "m.test"),
    (
        "a name that is not there, cut",
        {(BACK, PTR): CUT.replace(b"\x83\x80", b"\x83\x83")},
        CONFIRMED,
        "m.test",
    ),
    (
        "a datagram beyond the buffer",
        {(BACK, PTR): whole(*ptr("x.test"))[2:] + bytes(5000)},
        CONFIRMED,
        "m.test",
    ),
    ("bytes behind the answer", {(BACK, PTR): CUT}, {(BACK, PTR): whole(*ptr("m.test")) + b"more"}, "m.test"),
    (
        "a name with aliases",
        {(BACK, PTR): CUT},
        {(BACK, PTR): [record(BACK, CNAME, wire("7.net.test")), *ptr("m.test", owner="7.net.test")]},
        "m.test",
    ),
    (
        "many names, of which the last is confirmed",
        {(BACK, PTR): CUT, (MANY[-1], A): [a(MANY[-1], IP)]},
        {(BACK, PTR): ptr(*MANY)},
        MANY[-1],
    ),
    (
        "as large as it can be",
        {**CONFIRMED, ("m.test", A): CUT},
        {("m.test", A): [*(2975 * [a("m.test", "192.0.2.1")]), a("m.test", IP)]},
        "m.test",
    ),
]


@pytest.mark.parametrize("pieces", [1 << 20, 1, 7], ids="in pieces of {}".format)
@pytest.mark.parametrize(("udp", "tcp", "value"), [row[1:] for row in BY_TCP], ids=[row[0] for row in BY_TCP])
def test_an_answer_that_is_cut_is_asked_for_by_tcp(
    programs: Programs, udp: Records, tcp: Records, value: str, pieces: int
) -> None:
    size = sum(len(b"".join(said)) for said in tcp.values() if isinstance(said, list))
    pieces = max(pieces, size // 100)
    with Resolver(programs.port, {**CONFIRMED, **udp}, {**tcp}, pieces) as resolver:
        said = clientname(programs)
    assert (said.value, said.log) == (value, "")
    assert resolver.asked_by_tcp
    assert len(resolver.asked_by_tcp) == len(set(resolver.asked_by_tcp))


HUNG_UP, NO_ANSWER = "the resolver hung up by TCP", "no answer to the question by TCP"
SILENCE = object()
TROUBLE_BY_TCP: list[tuple[str, Callable[[str], object], str]] = [
    ("nobody listens", lambda _name: None, "no connection to the resolver by TCP"),
    ("it hangs up at once", lambda _name: b"", HUNG_UP),
    ("within the length", lambda _name: b"\0", HUNG_UP),
    ("behind the length", lambda _name: b"\0\x40", HUNG_UP),
    ("one byte before the end", lambda name: whole(*ptr("m.test"), about=name)[:-1], HUNG_UP),
    ("a length of nothing", lambda name: b"\0\0" + whole(*ptr("m.test"), about=name), NO_ANSWER),
    ("a length below a header", lambda name: b"\0\x0b" + whole(about=name)[2:], NO_ANSWER),
    ("a length within the question", lambda name: b"\0\x14" + whole(about=name)[2:], NO_ANSWER),
    ("another number", lambda name: whole(*ptr("m.test"), number=b"\0\1", about=name), NO_ANSWER),
    ("a question", lambda name: whole(flags=b"\1\0", about=name), NO_ANSWER),
    ("cut, too", lambda name: whole(flags=b"\x83\x80", about=name), "the answer is cut by TCP, too"),
    (
        "cut without saying so",
        lambda name: whole(*ptr("m.test"), count=2, about=name),
        "the answer is cut by TCP, too",
    ),
    ("no answer", lambda _name: SERVFAIL, "the resolver has no answer"),
    ("silence", lambda _name: SILENCE, "no answer in time"),
]


@pytest.mark.parametrize(
    ("tcp", "why"),
    slow_where(waits, [row[1:] for row in TROUBLE_BY_TCP]),
    ids=[row[0] for row in TROUBLE_BY_TCP],
)
@pytest.mark.parametrize("cut", [(BACK, PTR), ("m.test", A)], ids=["the name", "its address"])
def test_what_is_not_whole_by_tcp_is_trouble(
    programs: Programs, cut: tuple[str, int], tcp: Callable[[str], object], why: str
) -> None:
    said = tcp(cut[0])
    by_tcp = None if said is None else {cut: None if said is SILENCE else said}
    with Resolver(programs.port, {**CONFIRMED, cut: CUT}, by_tcp):  # type: ignore[arg-type]
        client = clientname(programs)
    assert (client.value, client.log) == (None, f"trouble {IP} {why}\n")
    assert client.seconds < (4 if said is SILENCE else 1.9)


def test_a_name_that_is_not_there_by_tcp_is_no_trouble(programs: Programs) -> None:
    with Resolver(programs.port, {(BACK, PTR): CUT}, {}) as resolver:
        said = clientname(programs)
    assert (said.value, said.log, resolver.asked_by_tcp) == (None, "", [(BACK, PTR)])


def test_a_list_that_answers_by_tcp(programs: Programs, lists: Path) -> None:
    blocked = [a(ZEN, f"127.255.255.{number}") for number in range(250)]
    with Resolver(programs.port, {(ZEN, A): CUT}, {(ZEN, A): [*blocked, a(ZEN, "127.0.0.2")]}):
        said = dnsbl(programs, lists)
    assert said.value == "-see zen (zen.test)"
    assert said.log.splitlines()[-1] == f"listed {IP} zen.test 127.0.0.2"
    assert said.log.count("ignored") == 32


def test_a_silent_connection_keeps_no_other_list_from_answering(programs: Programs, lists: Path) -> None:
    with Resolver(
        programs.port, {(ZEN, A): CUT, (OTHER, A): CUT}, {(ZEN, A): None, (OTHER, A): [a(OTHER, "127.0.0.2")]}
    ):
        said = dnsbl(programs, lists)
    assert said.value == "-you are on a list (other.test)"
    assert said.seconds < 1.5


# --- nobody can guess what an answer has to look like ---


def test_numbers_and_ports_differ(programs: Programs) -> None:
    with Resolver(programs.port, {**CONFIRMED}) as resolver:
        for _client in range(25):
            assert clientname(programs).value == "m.test"
    ports, numbers = (set(some) for some in zip(*resolver.seen))
    assert len(resolver.seen) == 50
    assert len(numbers) >= 45 and len(ports) >= 40
    for part in ({number >> 8 for number in numbers}, {number & 255 for number in numbers}):
        assert len(part) >= 30
    first = [number for _port, number in resolver.seen[::2]]
    steps = {(second - number) % 65536 for number, second in zip(first, first[1:])}
    assert len(steps) >= 20  # not one after the other


def test_an_answer_from_another_address_or_port_is_not_heard(programs: Programs) -> None:
    """An attacker guessed number, question and port, but sends from another address than the resolver."""
    forged = [record(BACK, PTR, wire("forged.test"))]
    with (
        socket.socket(type=socket.SOCK_DGRAM) as resolver,
        socket.socket(type=socket.SOCK_DGRAM) as port,
        socket.socket(type=socket.SOCK_DGRAM) as address,
    ):
        resolver.bind(("127.0.0.1", programs.port))
        port.bind(("127.0.0.1", 0))
        address.bind(("127.0.0.2", programs.port))
        heard: list[tuple[str, int]] = []

        def serve() -> None:
            for _question in range(2):
                packet, peer = resolver.recvfrom(1500)
                name, kind, _both = question(packet)
                heard.append((name, kind))
                for other in (port, address):
                    other.sendto(answer(packet, forged), peer)
                wrong = bytes([packet[0] ^ 1]) + packet[1:]
                resolver.sendto(answer(wrong, forged), peer)
                resolver.sendto(
                    answer(
                        packet[:2] + packet[2:].replace(b"\1m", b"\1n").replace(b"\x017", b"\x018"), forged
                    ),
                    peer,
                )
                said = CONFIRMED[name, kind]
                assert isinstance(said, list)
                resolver.sendto(answer(packet, said), peer)

        resolver.settimeout(10)
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        said = clientname(programs)
        serving.join(10)
    assert (said.value, said.log) == ("m.test", "")
    assert heard == [(BACK, PTR), ("m.test", A)]


def test_a_name_of_ipv6(programs: Programs) -> None:
    ip = "2001:db8::abc"
    back = ".".join(reversed("20010db8000000000000000000000abc")) + ".ip6.arpa"
    records = {
        (back, PTR): ptr("m.test", owner=back),
        ("m.test", AAAA): [record("m.test", AAAA, socket.inet_pton(socket.AF_INET6, ip))],
    }
    with Resolver(programs.port, {**records}):
        assert clientname(programs, TCPREMOTEIP=ip).value == "m.test"


@pytest.mark.slow
def test_no_name_in_a_bounded_time(programs: Programs) -> None:
    with nobody_answers(programs.port):
        said = clientname(programs)
    assert said.value is None and 1.5 < said.seconds < 4
    assert clientname(programs).seconds < 1.5  # nobody listens at all


def test_nobody_asks_for_the_name_of_a_relay_client(programs: Programs) -> None:
    with Resolver(programs.port, {}) as resolver:
        said = clientname(programs, RELAYCLIENT="")
    assert (said.value, resolver.asked) == ("old", [])


def test_without_an_address_there_is_no_name(programs: Programs) -> None:
    said = clientname(programs, TCPREMOTEIP="x")
    assert (said.value, said.log) == (None, "trouble - TCPREMOTEIP is not an address\n")


def test_the_second_resolver_is_asked_when_the_first_cannot(programs: Programs) -> None:
    """DNSCACHEIP names one server; here resolv.conf has several, and the first does not listen."""
    made = programs.directory / "two"
    made.mkdir(exist_ok=True)
    (made / "resolv.conf").write_text("search x\nnameserver 127.0.0.9\nnameserver 127.0.0.1\n")
    main = ROOT / "src" / "clientname" / "clientname.c"
    macros = [f"-DDNSASK_PORT={programs.port}", f'-DDNSASK_RESOLV_CONF="{made}/resolv.conf"']
    gcc(
        "-std=gnu11",
        *STRICT,
        *SANITIZE,
        *macros,
        *INCLUDES,
        main,
        *needed(main),
        "-o",
        made / "clientname",
    )
    asks: Callable[[], Said] = lambda: asked(str(made / "clientname"), "TCPREMOTEHOST", {"DNSCACHEIP": ""})  # noqa: E731
    with Resolver(programs.port, {(BACK, PTR): ptr("m.test"), ("m.test", A): [a("m.test", IP)]}):
        said = asks()
    assert (said.value, said.log) == ("m.test", "")
    assert said.seconds < 1
