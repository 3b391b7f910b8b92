# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Silent clients from many addresses of both families at one smtpfront, and mail beside them.

`python3 smtpfront_crowd.py DIRECTORY` in a network namespace of its own, with {programs, clients, addresses,
places} as JSON on standard input: it prints what the mail met, and how many clients are still connected.

While the crowd arrives, a sender who is not given the processor for as long as it takes to fill all places
is the one who has been silent the longest, and is told 421: it tries again, as a sender does.  When all have
come, nobody else connects, and each mail must get through at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import socket
import struct
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.smtpfront_programs import Gateway, Programs, gateway

SIOCSIFADDR = 0x8916
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MAILS = 10
PUT_OFF = b"421 4.3.2 too many sessions"
PATIENCE = 50  # while the crowd arrives
MAIL = (
    b"EHLO a.example\r\n",
    b"MAIL FROM:<sender@client.example>\r\n",
    b"RCPT TO:<ann@example.com>\r\n",
    b"DATA\r\n",
    b"Subject: hello\r\n\r\nA letter.\r\n.\r\n",
    b"QUIT\r\n",
)


def addresses_of(count: int) -> tuple[list[str], list[str]]:
    """Return the clients of each family: 40 addresses in each /24, 20 in each /64."""
    four = [
        f"127.{64 + number // 40 // 250}.{number // 40 % 250}.{1 + number % 40}"
        for number in range(count // 2)
    ]
    six = [f"2001:db8:0:{number // 20:x}::{1 + number % 20:x}" for number in range(count // 2)]
    return four, six


def open_loopback(six: list[str]) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle:
        flags = fcntl.ioctl(handle, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        (before,) = struct.unpack("16xh14x", flags)
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", before | IFF_UP))
        index = socket.if_nametoindex("lo")
        for address in six:
            packed = socket.inet_pton(socket.AF_INET6, address)
            fcntl.ioctl(handle, SIOCSIFADDR, struct.pack("16sIi", packed, 128, index))


def connected(gate: Gateway, clients: int, four: list[str], six: list[str]) -> Iterator[socket.socket]:
    for number in range(clients):
        source = (four, six)[number % 2][number // 2 % len(four)]
        target = "::1" if ":" in source else "127.0.0.1"
        yield socket.create_connection((target, gate.port), 60, (source, 0))


def crowd(gate: Gateway, clients: int, four: list[str], six: list[str], told: int, end: int) -> None:
    """Connect all of them, say so, hear what they were told at the end, and say how many are left."""
    held = list(connected(gate, clients, four, six))
    os.write(told, b"c")
    os.read(end, 1)
    left = 0
    for client in held:
        client.setblocking(False)
        try:
            heard = client.recv(1000)
            left += heard.startswith(b"220 ") and b"\r\n421" not in heard and not closed(client)
        except OSError:
            pass
    os.write(told, f"{left}\n".encode())


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(1000) is not None  # an end, or 421
    except BlockingIOError:
        return False


def mail(gate: Gateway, patience: int = 0) -> tuple[float, int]:
    """Send one mail of a known network, waiting for each reply, again as often as patience says.

    Return the seconds that it took, and how often it was put off.
    """
    begun = time.monotonic()
    for put_off in range(patience + 1):
        last = heard_by_mail(gate)
        if last.startswith(b"221 "):
            return time.monotonic() - begun, put_off
        assert last.startswith(PUT_OFF), last
    raise AssertionError(f"put off {patience + 1} times")


def heard_by_mail(gate: Gateway) -> bytes:
    """Send one mail up to the first reply that is no consent. Return the last reply."""
    with gate.connect() as client:
        client.settimeout(20)
        heard = client.recv(1000)
        for said in MAIL:
            if heard[:1] not in (b"2", b"3"):
                break
            try:
                client.sendall(said)
                heard = client.recv(1000)
            except ConnectionError:  # closed behind a 421 that this end had not yet read
                return PUT_OFF
        return heard


def resident(pid: int) -> int:
    """Return the memory of a process in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def run(directory: Path, programs: Programs, clients: int, addresses: int, places: int) -> dict[str, Any]:
    four, six = addresses_of(addresses)
    open_loopback(six)
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients + 1000, max(clients + 1000, 20000)))
    with gateway(programs, directory, front={"-c": places}, addresses=("127.0.0.1", "::")) as gate:
        before = resident(gate.front.pid)
        hear, told = os.pipe()
        wait, end = os.pipe()
        child = os.fork()
        if child == 0:
            # Each side has only its own ends: who is left alone hears it, and does not wait for ever.
            os.close(hear)
            os.close(end)
            try:
                crowd(gate, clients, four, six, told, wait)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(told)
        os.close(wait)
        sent = []
        while not select.select([hear], [], [], 0)[0]:
            sent.append(mail(gate, PATIENCE))
        assert os.read(hear, 1) == b"c", "the clients could not connect"
        sent += [mail(gate) for _ in range(MAILS)]
        memory = resident(gate.front.pid) - before
        os.write(end, b"e")
        left = int(os.read(hear, 100))
        os.waitpid(child, 0)
        delivered = len(gate.messages())
    seconds = [one for one, _ in sent]
    return {
        "mails": len(sent),
        "put_off": sum(put_off for _, put_off in sent),
        "delivered": delivered,
        "seconds": sorted(seconds)[len(seconds) // 2],
        "slowest": max(seconds),
        "left": left,
        "memory_kb": memory,
    }


def main() -> int:
    given = json.load(sys.stdin)
    names = ("front", "launcher", "home", "plain", "queue")
    paths = {name: Path(given["programs"][name]) for name in names}
    programs = Programs(**paths, resolver_port=given["programs"]["resolver_port"])
    said = run(Path(sys.argv[1]), programs, given["clients"], given["addresses"], given["places"])
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
