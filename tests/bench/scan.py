# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages a second and CPU seconds a message through a gateway's whole chain, beside its scanners alone.

"Alone" is clamdscan and then spamc for each message, started by xargs in the gateway's container, with as
many at once as there are senders: no greylist, no SMTP, no queue, no delivery.  Both get messages of the same
words in the same run, by turns; no two messages are alike, because clamd remembers clean ones by their hash.
CPU is that of all the container's processes, so neither the senders nor the back end count; "beside" is what
the chain costs beside clamd's and spamd's own CPU in the same measurement.
Exit status 1 when the ratio of messages a second is below --least at any number of senders.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.conversations import STRANGER
from support.gateway import Bed, NoGateway, submit
from support.name_servers import resolving, world

from .measuring import SCANNERS, Container

PLACE = "/var/tmp/mailgate-bench"
ALONE = (
    'clamdscan --config-file=/etc/clamav/clamd.conf --stream --no-summary --stdout "$1" >/dev/null && '
    'spamc -s 10000000 -U /run/spamd/spamd.sock <"$1" >/dev/null'
)
TEXT = """
invoice meeting please find attached the report for our next review with best regards project budget thank you
kindly schedule agenda minutes tomorrow delivery order number customer office phone question answer contract
draft version comments until friday team colleague travel hotel train ticket booking
"""
WORDS = TEXT.split()


@dataclass(frozen=True)
class Measured:
    """One way of scanning: how fast, and at what price."""

    messages_per_second: float
    cpu_seconds_per_message: float
    daemons_cpu_seconds_per_message: float  # clamd's and spamd's own


def message(number: int, way: str, size: int) -> bytes:
    """Return a clean message; the same number gives the same words and length, whatever the way."""
    chance = random.Random(number)
    lines = [" ".join(chance.choice(WORDS) for _ in range(11)) for _ in range(size // 75)]
    token = f"{way}{os.getpid():08}{number:06}"
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    head = (
        f"From: Ann <ann@sender.example>\r\nTo: alice@example.test\r\nSubject: {lines[0][:40]}\r\n"
        f"Date: {date}\r\nMessage-ID: <{token}@sender.example>\r\nX-Row: {token}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    )
    return (head + "\r\n".join([*lines, token]) + "\r\n").encode("ascii")


def measure(bed: Bed, count: int, work: Callable[[], None], after: Callable[[], None]) -> Measured:
    """Wall time of the work; CPU time until what comes after it has come."""
    container = Container(bed.name)
    daemons, cpu, begin = container.programs_cpu_seconds(*SCANNERS), container.cpu_seconds(), time.monotonic()
    work()
    seconds = time.monotonic() - begin
    after()
    cpu = container.cpu_seconds() - cpu
    daemons = container.programs_cpu_seconds(*SCANNERS) - daemons
    return Measured(count / seconds, cpu / count, daemons / count)


def through_the_chain(bed: Bed, senders: int, messages: Sequence[bytes]) -> Measured:
    left = list(messages)
    lock = threading.Lock()
    troubles: list[str] = []

    def send() -> None:
        while True:
            with lock:
                if not left:
                    return
                content = left.pop()
            reply = submit(content, "alice@example.test", who=STRANGER, timeout_seconds=300)
            if not reply.startswith("250 "):
                troubles.append(reply)

    def work() -> None:
        threads = [threading.Thread(target=send) for _ in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def arrive() -> None:
        for _ in messages:
            if bed.mailroom.claim(lambda _: True, 60) is None:
                troubles.append("a message did not arrive")
                return

    found = measure(bed, len(messages), work, arrive)
    if troubles:
        raise NoGateway(f"{len(troubles)} of {len(messages)} messages failed, such as: {troubles[0]!r}")
    return found


def alone(bed: Bed, senders: int, messages: Sequence[bytes]) -> Measured:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number, content in enumerate(messages):
            member = tarfile.TarInfo(f"{number:06}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    bed.inside("rm", "-rf", PLACE)
    bed.inside("mkdir", PLACE)
    argv = ["docker", "exec", "-i", bed.name, "tar", "-C", PLACE, "-xf", "-"]
    subprocess.run(argv, input=packed.getvalue(), check=True, timeout=120)

    def work() -> None:
        find = f"ls -d {PLACE}/* | xargs -P {senders} -n 1 sh -c '{ALONE}' sh"
        status, said, trouble = bed.inside("sh", "-c", find, within_seconds=1200)
        if status != 0:
            raise NoGateway(f"the scanners alone failed: {said}{trouble}")

    try:
        return measure(bed, len(messages), work, lambda: None)
    finally:
        bed.inside("rm", "-rf", PLACE)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gateway",
        default=os.environ.get("MAILGATE_GATEWAY", "mailgate-gateway"),
        help="the container's name",
    )
    parser.add_argument("--senders", type=int, nargs="+", default=[1, 4, 16], help="how many at once")
    parser.add_argument("--messages", type=int, default=60, help="messages for each measurement")
    parser.add_argument("--bytes", type=int, default=5000, help="length of a message")
    parser.add_argument("--least", type=float, default=0.0, help="the ratio that is good enough")
    options = parser.parse_args(argv)
    worst = 1e9
    try:
        with Bed(options.gateway) as bed, tempfile.TemporaryDirectory() as place:
            bed.wait_until_greeted(30)
            os.chmod(place, 0o755)
            with world(Path(place)), resolving(bed):
                bed.inside("mailgate", "sa-update", "--reload")
                bed.introduce()
                numbers = iter(range(10**6))

                def some(count: int, way: str) -> list[bytes]:
                    return [message(next(numbers), way, options.bytes) for _ in range(count)]

                alone(bed, 4, some(16, "w"))  # children that have not scanned yet are slow
                through_the_chain(bed, 4, some(16, "v"))
                print(
                    "senders  chain msg/s  CPU s/msg  beside ms"
                    "  alone msg/s  CPU s/msg  ratio msg/s  ratio CPU",
                    flush=True,
                )
                for senders in options.senders:
                    first = next(numbers)
                    chosen = range(first, first + options.messages)
                    for _ in range(options.messages):
                        next(numbers)
                    bare = alone(bed, senders, [message(one, "a", options.bytes) for one in chosen])
                    chain = through_the_chain(
                        bed, senders, [message(one, "c", options.bytes) for one in chosen]
                    )
                    ratio = chain.messages_per_second / bare.messages_per_second
                    price = chain.cpu_seconds_per_message / bare.cpu_seconds_per_message
                    beside = chain.cpu_seconds_per_message - chain.daemons_cpu_seconds_per_message
                    worst = min(worst, ratio)
                    print(
                        f"{senders:7}  {chain.messages_per_second:11.2f}"
                        f"  {chain.cpu_seconds_per_message:9.3f}  {1000 * beside:9.1f}"
                        f"  {bare.messages_per_second:11.2f}  {bare.cpu_seconds_per_message:9.3f}"
                        f"  {ratio:11.2f}  {price:9.2f}",
                        flush=True,
                    )
    except NoGateway as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"worst ratio {worst:.2f}, expected {options.least:.2f} or more")
    return 0 if worst >= options.least else 1
