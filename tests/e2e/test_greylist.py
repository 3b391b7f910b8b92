# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dnsbl, cqgreylist and clientname between the gateway's own tcpserver and qmail-smtpd.

A second tcpserver in the gateway's container, on a port and with rules of its own, so that the delay can be
short and the directory can be broken. djbdns's tinydns and dnscache are the world and the resolver.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.gateway import GATEWAY_ADDRESS, Bed, gateway_pid
from support.smtp_client import CLOSED, Session

PORT = 2526
PLACE = "/tmp/greylist"
BIN = "/var/qmail/bin"
DELAY = 2
WORLD, RESOLVER, DEAD = "198.18.0.53", "198.18.0.54", "198.18.0.55"
NOBODY = "65534"
NEEDED = ("tinydns", "tinydns-data", "dnscache", "axfrdns", "tcpserver")

STRANGER, NEIGHBOUR, OTHER = "198.18.7.7", "198.18.7.200", "198.18.8.7"
RULES = """\
127.:allow,RELAYCLIENT=""
198.18.1.1:allow,WHITELISTED=""
198.18.1.2:allow,RBLSMTPD="-go away"
198.18.1.3:allow,RBLSMTPD="not now"
198.18.1.4:allow,RBLSMTPD=""
198.18.1.5:allow,RELAYCLIENT=""
:allow
"""
LISTS = "zen.test 127.0.0.0/24 see zen\n"
DATA = f"""\
.test:{WORLD}:a
.in-addr.arpa:{WORLD}:b
+1.9.18.198.zen.test:127.0.0.2
+2.9.18.198.zen.test:127.255.255.254
=Mail.Client.test:198.18.9.11
^12.9.18.198.in-addr.arpa:forged.test
+forged.test:198.18.9.99
"""
# What does not fit into a datagram: 60 names of a client, and a name and a list's answer behind long aliases.
LONG = [".".join([letter * 60] * 3) + ".test" for letter in "abcd"]
LARGE = [
    *(f"^14.9.18.198.in-addr.arpa:one-of-many-names-{number}.client.test" for number in range(60)),
    "+one-of-many-names-31.client.test:198.18.9.14",
    "^15.9.18.198.in-addr.arpa:alias.client.test",
    f"Calias.client.test:{LONG[0]}",
    f"C16.9.18.198.zen.test:{LONG[0]}",
    *(f"C{name}:{target}" for name, target in zip(LONG, LONG[1:])),
    f"+{LONG[-1]}:198.18.9.15",
    f"+{LONG[-1]}:127.0.0.2",
]
OK = "250 ok"
NEW = "451 4.7.1 you are new here, please come back in a few minutes"


@dataclass
class Door:
    """tcpserver with a chain, and what it and all behind it say."""

    bed: Bed
    log: list[str]

    def ask(self, who: str, recipient: str = "alice@example.test") -> str:
        """Return the reply to RCPT, or the first one that is not a 2xx."""
        target = "127.0.0.1" if who.startswith("127.") else GATEWAY_ADDRESS
        with Session(who, target, PORT, timeout_seconds=20) as session:
            for line in ("", "EHLO a.test", "MAIL FROM:<ann@sender.example>", f"RCPT TO:<{recipient}>"):
                if line:
                    session.send(line.encode() + b"\r\n")
                got = session.reply()
                if not got.startswith("2"):
                    break
            session.send(b"QUIT\r\n")
            assert session.reply()[:3] in ("221", CLOSED[:3])
        return got

    def hear(self, who: str) -> str:
        """Return all that a program behind the chain sends to a client."""
        with Session(who, GATEWAY_ADDRESS, PORT, timeout_seconds=20) as session:
            return session.reply()

    def said(self, pattern: str) -> bool:
        """Return whether such a line stands in the log within a second or two."""
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if any(re.fullmatch(pattern, line) for line in self.log):
                return True
            time.sleep(0.05)
        return False


@contextmanager
def door(
    bed: Bed, *chain: str, smtp: tuple[str, ...] = (f"{BIN}/qmail-smtpd",), **environment: str
) -> Iterator[Door]:
    """Run the chain behind tcpserver, as qmaild like the real one."""
    ids = bed.inside("sh", "-c", "id -u qmaild; getent group nofiles | cut -d: -f3")[1].split()
    settings = {
        "GREYLIST_DIRECTORY": f"{PLACE}/state",
        "GREYLIST_DELAY_SECONDS": str(DELAY),
        "DNSBL_FILE": f"{PLACE}/dnsbl",
        "DNSBL_SECONDS": "1",
        "CLIENTNAME_SECONDS": "2",
        "DNSCACHEIP": RESOLVER,
        **environment,
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    server = ["softlimit", "-m", "100000000", "tcpserver", "-v", "-R", "-H", "-l", "mx1.example.test"]
    server += ["-x", f"{PLACE}/rules.cdb", "-u", ids[0], "-g", ids[1], "0", str(PORT)]
    argv = ["sh", "-c", 'echo "pid $$" >&2; exec "$@"', "sh", "env", *words, *server, *chain, *smtp]
    child = subprocess.Popen(
        ["docker", "exec", bed.name, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout
    pid = child.stdout.readline().split()[1]
    log: list[str] = []
    stream = child.stdout

    def listen() -> None:
        for line in stream:
            log.append(line.rstrip("\n"))

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        one = Door(bed, log)
        assert one.said("tcpserver: status: 0/40"), log
        yield one
    finally:
        bed.inside("sh", "-c", f"kill {pid}")
        child.wait(20)
        reader.join(5)


@pytest.fixture(scope="module")
def ready(bed: Bed) -> Bed:
    if bed.inside("test", "-x", f"{BIN}/cqgreylist")[0] != 0:
        pytest.skip("this gateway has no cqgreylist: role cqgreylist did not run there")
    bed.inside("rm", "-rf", PLACE)
    bed.inside("install", "-d", PLACE)
    bed.inside("tcprules", f"{PLACE}/rules.cdb", f"{PLACE}/rules.tmp", text=RULES)
    bed.inside("tee", f"{PLACE}/dnsbl", text=LISTS)
    return bed


@pytest.fixture
def state(ready: Bed) -> Path:
    """Give qmaild a fresh directory; return its path as this process sees it."""
    ready.inside("rm", "-rf", f"{PLACE}/state")
    ready.inside("install", "-d", "-o", "qmaild", "-g", "nofiles", "-m", "0700", f"{PLACE}/state")
    return Path(f"/proc/{gateway_pid(ready.name)}/root{PLACE}/state")


def test_refused_too_early_passes_and_is_renewed(ready: Bed, state: Path) -> None:
    with door(ready, f"{BIN}/cqgreylist", GREYLIST_PASS_SECONDS="6") as one:
        assert one.ask(STRANGER) == NEW
        assert one.said(rf"cqgreylist\[\d+\]: new {STRANGER} 198\.18\.7\.0/24 wait {DELAY}")
        assert one.ask(NEIGHBOUR) == NEW  # a pool is one
        assert one.said(rf"cqgreylist\[\d+\]: early {NEIGHBOUR} 198\.18\.7\.0/24 0 of {DELAY}")
        time.sleep(DELAY + 0.1)
        assert one.ask(OTHER) == NEW  # another network is another
        assert one.ask(NEIGHBOUR) == OK
        assert one.said(rf"cqgreylist\[\d+\]: passed {NEIGHBOUR} 198\.18\.7\.0/24 after {DELAY}")
        for _visit in range(3):
            time.sleep(3)
            assert one.ask(STRANGER) == OK
        assert one.said(rf"cqgreylist\[\d+\]: known {STRANGER} 198\.18\.7\.0/24")
        time.sleep(7.1)
        assert one.ask(STRANGER) == NEW
    owners = {path.stat().st_uid for path in state.rglob("*")}
    assert owners == {state.stat().st_uid}


def test_behind_it_is_the_real_smtp_server(ready: Bed, state: Path) -> None:
    with door(ready, f"{BIN}/cqgreylist", GREYLIST_DELAY_SECONDS="0") as one:
        assert one.ask(STRANGER, "nobody@example.test") == NEW  # nobody learns who is there
        assert one.ask(STRANGER, "nobody@example.test").startswith("550 5.1.1 sorry, this recipient")
        assert one.ask(STRANGER, "someone@else.where").startswith("553 ")


def test_all_in_one_segment_is_answered_once_it_passes(ready: Bed, state: Path) -> None:
    said = b"EHLO a.test\r\nMAIL FROM:<ann@sender.example>\r\nRCPT TO:<alice@example.test>\r\nQUIT\r\n"
    with door(ready, f"{BIN}/cqgreylist", GREYLIST_DELAY_SECONDS="0") as one:
        assert one.ask(STRANGER) == NEW
        with Session(STRANGER, GATEWAY_ADDRESS, PORT, timeout_seconds=20) as session:
            session.send(said)
            replies = [session.reply() for _line in range(5)]
    assert [reply[:3] for reply in replies] == ["220", "250", "250", "250", "221"]


@pytest.mark.parametrize(
    ("who", "reply", "log"),
    [
        ("127.0.0.1", OK, "skipped 127.0.0.1 - relay"),
        ("198.18.1.5", OK, "skipped 198.18.1.5 - relay"),
        ("198.18.1.1", OK, "skipped 198.18.1.1 - whitelisted"),
        ("198.18.1.4", OK, "skipped 198.18.1.4 - rblsmtpd"),
        ("198.18.1.2", "553 5.7.1 go away", "refused 198.18.1.2 - 553 go away"),
        ("198.18.1.3", "451 4.7.1 not now", "refused 198.18.1.3 - 451 not now"),
    ],
)
def test_rules_of_tcpserver(ready: Bed, state: Path, who: str, reply: str, log: str) -> None:
    with door(ready, f"{BIN}/cqgreylist") as one:
        assert one.ask(who) == reply
        assert one.said(rf"cqgreylist\[\d+\]: {re.escape(log)}")
    assert list(state.iterdir()) == []


def test_the_exit_status_is_the_programs(ready: Bed, state: Path) -> None:
    with door(ready, f"{BIN}/cqgreylist", smtp=("sh", "-c", "echo 220 x; exit 42")) as one:
        assert one.hear("198.18.1.1") == "220 x"
        assert one.said(r"tcpserver: end \d+ status 10752")  # 42 * 256


def _unusable(bed: Bed, harm: str) -> None:
    if harm == "missing":
        bed.inside("rm", "-rf", f"{PLACE}/state")
    elif harm == "not ours":
        bed.inside("chown", "-R", "root:root", f"{PLACE}/state")
        bed.inside("chmod", "-R", "go=rX", f"{PLACE}/state")
    else:
        nsenter = ["nsenter", "-t", str(gateway_pid(bed.name)), "-m", "mount"]
        options = "nr_inodes=2,mode=0777" if harm == "full" else "ro,mode=0777"
        argv = [*nsenter, "-t", "tmpfs", "-o", options, "tmpfs", f"{PLACE}/state"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("missing", "cannot open the directory: No such file or directory"),
        ("not ours", "cannot write: Permission denied"),
        ("full", "cannot remember: No space left on device"),
        ("read-only", "cannot remember: Read-only file system"),
    ],
)
def test_a_directory_that_is_no_use_lets_mail_pass(ready: Bed, state: Path, harm: str, why: str) -> None:
    with door(ready, f"{BIN}/cqgreylist") as one:
        assert one.ask(STRANGER) == NEW
        try:
            _unusable(ready, harm)
            for _visit in range(2):
                assert one.ask(STRANGER) == OK
            assert one.said(rf"cqgreylist\[\d+\]: open {STRANGER} 198\.18\.7\.0/24 {why}"), one.log
        finally:
            if harm in ("full", "read-only"):
                umount = ["nsenter", "-t", str(gateway_pid(ready.name)), "-m", "umount", f"{PLACE}/state"]
                subprocess.run(umount, capture_output=True, timeout=20, check=False)


# --- with a world of DNS ---


@contextmanager
def _running(argv: list[str], environment: dict[str, str], place: Path) -> Iterator[None]:
    seed = place / "seed"
    seed.write_bytes(os.urandom(128))
    with seed.open("rb") as noise, (place / "log").open("ab") as log:
        one = subprocess.Popen(argv, stdin=noise, stdout=log, stderr=log, env=environment, cwd=place)
    try:
        yield
    finally:
        one.terminate()
        one.wait(10)


@pytest.fixture(scope="module")
def world(ready: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        pytest.fail(f"no world of DNS without {' '.join(missing)}; see ORACLES in tests/bed/packages.py")
    place = tmp_path_factory.mktemp("world")
    (place / "data").write_text(DATA + "\n".join(LARGE) + "\n", encoding="ascii")
    subprocess.run(["tinydns-data"], cwd=place, check=True, timeout=30)
    for name in ("ip", "servers"):
        (place / name).mkdir()
    for network in ("127", "198.18"):
        (place / "ip" / network).touch()
    (place / "servers" / "@").write_text(WORLD + "\n")
    for path in (place.parent.parent, place.parent, place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    common = {"PATH": os.environ["PATH"], "UID": NOBODY, "GID": NOBODY, "ROOT": str(place)}
    cache = {**common, "IP": RESOLVER, "IPSEND": "0.0.0.0", "CACHESIZE": "1000000"}
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with (
        silent,
        _running(["tinydns"], {**common, "IP": WORLD}, place),
        _running(["tcpserver", "-R", "-H", "-l", "x", WORLD, "53", "axfrdns"], {**common, "AXFR": ""}, place),
        _running(["dnscache"], cache, place),
    ):
        silent.bind((DEAD, 53))
        time.sleep(0.5)
        yield ready


def test_who_is_on_a_list_is_refused_with_the_reason(world: Bed, state: Path) -> None:
    with door(world, f"{BIN}/dnsbl", f"{BIN}/cqgreylist") as one:
        assert one.ask("198.18.9.1") == "553 5.7.1 see zen (zen.test)"
        assert one.said(r"dnsbl\[\d+\]: listed 198\.18\.9\.1 zen\.test 127\.0\.0\.2")
        assert one.said(r"cqgreylist\[\d+\]: refused 198\.18\.9\.1 - 553 see zen \(zen\.test\)")


def test_an_answer_of_a_list_that_does_not_fit_into_a_datagram_counts(world: Bed, state: Path) -> None:
    with door(world, f"{BIN}/dnsbl", f"{BIN}/cqgreylist") as one:
        assert one.ask("198.18.9.16") == "553 5.7.1 see zen (zen.test)"


def test_a_list_that_does_not_answer_us_refuses_nobody(world: Bed, state: Path) -> None:
    with door(world, f"{BIN}/dnsbl") as one:
        assert one.ask("198.18.9.2") == OK
        assert one.said(r"dnsbl\[\d+\]: ignored 198\.18\.9\.2 zen\.test 127\.255\.255\.254")
        assert one.ask("198.18.9.3") == OK  # on no list
    assert not any("198.18.9.3" in line for line in one.log if line.startswith("dnsbl"))


def test_dead_dns_refuses_nobody_and_takes_a_bounded_time(world: Bed, state: Path) -> None:
    with door(world, f"{BIN}/dnsbl", f"{BIN}/clientname", DNSCACHEIP=DEAD) as one:
        began = time.monotonic()
        assert one.ask("198.18.9.1") == OK
        assert 2.5 < time.monotonic() - began < 30  # 1 s for the lists, 2 s for the name, and no minute
        assert one.said(r"dnsbl\[\d+\]: trouble 198\.18\.9\.1 zen\.test no answer in time")
        assert one.said(r"clientname\[\d+\]: trouble 198\.18\.9\.1 no answer in time")


@pytest.mark.parametrize(
    ("who", "name"),
    [
        ("198.18.9.11", "name mail.client.test"),
        ("198.18.9.12", "name none"),  # its PTR record's name has another address
        ("198.18.9.13", "name none"),  # no PTR record
        ("198.18.9.14", "name one-of-many-names-31.client.test"),  # the answers do not fit into a datagram
        ("198.18.9.15", "name alias.client.test"),
    ],
)
def test_a_client_has_the_name_that_is_confirmed(world: Bed, who: str, name: str) -> None:
    show = ("sh", "-c", 'echo "name ${TCPREMOTEHOST-none}"')
    with door(world, f"{BIN}/clientname", smtp=show) as one:
        assert one.hear(who) == name


def test_the_whole_chain(world: Bed, state: Path) -> None:
    chain = [f"{BIN}/{name}" for name in ("dnsbl", "cqgreylist", "clientname")]
    with door(world, *chain) as one:
        assert one.ask("198.18.9.11") == NEW
        time.sleep(DELAY + 0.1)
        assert one.ask("198.18.9.11") == OK
        assert one.ask("198.18.9.1") == "553 5.7.1 see zen (zen.test)"
        assert one.ask("127.0.0.1", "anybody@else.where") == OK
