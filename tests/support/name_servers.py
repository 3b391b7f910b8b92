# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS that the gateway sees: djbdns's tinydns as the root, with the records of the test.

This process must be in the gateway's network already.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.gateway import Bed

WORLD = "198.18.0.53"
QUIET = "198.18.0.52"  # the root that the inventory names: it answers, and knows one policy and no host
NOBODY = "65534"

# The root itself, so that every name it does not know does not exist; nobody keeps an answer for long.
ROOT_ZONE = (f"&:{WORLD}:a:1", "Z:a.ns:hostmaster:1:2:3:4:1:1")


def txt(name: str, text: str) -> str:
    """Return a TXT record in the syntax of tinydns-data that caches keep for one second at most."""
    octal = "".join(char if char.isalnum() or char in " =+/.~-" else f"\\{ord(char):03o}" for char in text)
    return f"'{name}:{octal}:1"


# One policy, for the row of a forged author; every other name does not exist.
FORGED = "bank.example"
QUIET_ZONE = (
    f"&:{QUIET}:a:1",
    "Z:a.ns:hostmaster:1:2:3:4:1:1",
    txt(f"_dmarc.{FORGED}", "v=DMARC1; p=reject"),
)


class Server:
    """tinydns on an address of the network that this process is in; with axfrdns for its long answers."""

    def __init__(self, address: str, place: Path, records: Sequence[str], *, tcp: bool = False) -> None:
        (place / "data").write_text("".join(f"{record}\n" for record in records), encoding="ascii")
        subprocess.run(["tinydns-data"], cwd=place, check=True, timeout=30)
        place.chmod(0o755)
        (place / "data.cdb").chmod(0o644)
        environment = {
            "PATH": os.environ["PATH"],
            "ROOT": str(place),
            "IP": address,
            "UID": NOBODY,
            "GID": NOBODY,
        }
        commands = [["tinydns"], *([["tcpserver", "-RHl0", address, "53", "axfrdns"]] if tcp else [])]
        with (place / "log").open("wb") as log:
            self._processes = [
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=place
                )
                for command in commands
            ]
        time.sleep(0.5)
        if any(process.poll() is not None for process in self._processes):
            self.stop()
            raise OSError(f"a server on {address} has ended: {(place / 'log').read_text()}")

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)


@contextmanager
def world(place: Path, records: Sequence[str] = ROOT_ZONE, *, tcp: bool = False) -> Iterator[None]:
    """Serve the root zone of a test's own DNS for as long as the block runs."""
    server = Server(WORLD, place, records, tcp=tcp)
    try:
        yield
    finally:
        server.stop()


@contextmanager
def resolving(bed: Bed) -> Iterator[None]:
    """Let the gateway ask this DNS: through its own cache where it has one, else directly."""
    resolv, roots = bed.root / "etc" / "resolv.conf", bed.root / "etc" / "dnscache" / "root" / "servers" / "@"
    cached = roots.exists()
    kept = resolv.read_bytes(), roots.read_bytes() if cached else b""

    def write(nameservers: bytes, servers: bytes) -> None:
        resolv.write_bytes(nameservers)  # in place: it is a mount
        if cached:
            roots.write_bytes(servers)
            bed.inside("svc", "-t", "/service/dnscache")
            time.sleep(1)

    try:
        write(f"nameserver {'127.0.0.1' if cached else WORLD}\n".encode(), f"{WORLD}\n".encode())
        yield
    finally:
        write(*kept)
