# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What refused and passing sessions cost with cqgreylist, beside tcpserver with qmail-smtpd in the same run.

`python3 tests/bench greylist [SECONDS]` on a gateway (MAILGATE_GATEWAY): sessions a second and CPU seconds
per 1,000 sessions with 1, 4 and 16 clients at once, the best of three rounds each, and the ratios.
cqgreylist 0.2 is built and measured in the same run when its archive is in the cache; otherwise its recorded
figures are printed as such.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from support import network_namespace
from support.gateway import gateway_pid

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = os.environ.get("MAILGATE_GATEWAY", "mailgate-gateway")
CACHE = Path(os.environ.get("MAILGATE_CACHE") or Path.home() / ".cache" / "mailgate") / "sources"
OLD_SHA256 = "256bd0c597341a421448faa4271fcd5e2dcdb5d7c4bf14bf0ce099e1bf8d6862"
OLD_RECORDED = (
    "recorded elsewhere, 8 at once: 1,320 refusals/s (1.26) beside 1,300 (1.28)"
    " of qmail-smtpd alone: ratio 1.02 (0.98)"
)
ROUNDS = 3
PLACE, ADDRESS = "/tmp/bench-greylist", "198.18.0.1"
CLIENTS = (1, 4, 16)
KNOWN = "198.18.20."  # networks that have passed
SAY = b"EHLO a.test\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<nobody@example.test>\r\n", b"QUIT\r\n"

# name: (port, what tcpserver runs, environment, address)
CASES = {
    "tcpserver + qmail-smtpd": (2601, ["/var/qmail/bin/qmail-smtpd"], {}, KNOWN),
    "cqgreylist, new networks": (2602, ["/var/qmail/bin/cqgreylist", "/var/qmail/bin/qmail-smtpd"], {}, ""),
    "cqgreylist, known": (2603, ["/var/qmail/bin/cqgreylist", "/var/qmail/bin/qmail-smtpd"], {}, KNOWN),
}


def inside(*argv: str) -> str:
    return subprocess.run(
        ["docker", "exec", GATEWAY, *argv], capture_output=True, text=True, check=True, timeout=300
    ).stdout


def cpu_seconds() -> float:
    """CPU time of the container so far."""
    group = Path(f"/proc/{gateway_pid(GATEWAY)}/cgroup").read_text().strip().split("::")[-1]
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpuacct"):
        for name in ("cpu.stat", "cpuacct.usage"):
            path = Path(top + group) / name
            if path.is_file():
                text = path.read_text()
                return int(text.split()[1]) / 1e6 if name == "cpu.stat" else int(text) / 1e9
    text = inside("cat", "/sys/fs/cgroup/cpu.stat")
    return int(text.split()[1]) / 1e6


def session(source: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(20)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.bind((source, 0))
        one.connect((ADDRESS, port))
        for line in SAY:
            one.recv(4096)
            one.send(line)
        one.recv(4096)


def clients(number: int, port: int, prefix: str, end: float, counted: multiprocessing.Queue[int]) -> None:
    done = 0
    while time.monotonic() < end:
        if prefix:
            source = f"{prefix}{1 + done % 250}"
        else:
            place = (number * 7919 + done) % 25000  # networks that no other case uses
            source = f"198.19.{place // 250}.{1 + place % 250}"
        session(source, port)
        done += 1
    counted.put(done)


def measure(port: int, prefix: str, at_once: int, seconds: float) -> tuple[float, float]:
    """Sessions a second, and CPU seconds of the container per 1,000 of them."""
    counted: multiprocessing.Queue[int] = multiprocessing.Queue()
    began, used = time.monotonic(), cpu_seconds()
    workers = [
        multiprocessing.Process(target=clients, args=(number, port, prefix, began + seconds, counted))
        for number in range(at_once)
    ]
    for worker in workers:
        worker.start()
    done = sum(counted.get() for _worker in workers)
    for worker in workers:
        worker.join()
    return done / (time.monotonic() - began), (cpu_seconds() - used) * 1000 / done


def drain(stream: IO[str]) -> None:
    """Read the log and throw it away, as fast as multilog would read it."""
    for _line in stream:
        pass


def build_old() -> bool:
    """cqgreylist 0.2 in the container, when its archive is in the cache."""
    archive = CACHE / OLD_SHA256
    if not archive.is_file() or hashlib.sha256(archive.read_bytes()).hexdigest() != OLD_SHA256:
        return False
    subprocess.run(
        ["docker", "cp", str(archive), f"{GATEWAY}:{PLACE}/old.tar.gz"], check=True, capture_output=True
    )
    try:
        inside("sh", "-c", f"cd {PLACE} && mkdir old && tar xzf old.tar.gz -C old --strip 1 && make -C old")
        found = inside("find", f"{PLACE}/old", "-type", "f", "-name", "cqgreylist", "-perm", "-1").split()
    except subprocess.CalledProcessError as error:
        print(f"cqgreylist 0.2 does not build here: {error.stderr[-200:]}")
        return False
    if not found:
        return False
    inside("install", "-d", "-o", "qmaild", "/var/qmail/cqgreylist")
    CASES["cqgreylist 0.2, new"] = (2604, [found[0], "/var/qmail/bin/qmail-smtpd"], {}, "")
    return True


def main(argv: list[str]) -> int:
    seconds = float(argv[0]) if argv else 3.0
    inside("rm", "-rf", PLACE)
    inside("install", "-d", PLACE)
    inside("install", "-d", "-o", "qmaild", "-g", "nofiles", "-m", "0700", f"{PLACE}/state")
    old = build_old()
    uid, gid = inside("sh", "-c", "id -u qmaild; getent group nofiles | cut -d: -f3").split()
    network_namespace.enter(gateway_pid(GATEWAY))
    network_namespace.add_addresses()
    started = []
    table: dict[tuple[str, int], tuple[float, float]] = {}
    try:
        for port, program, extra, _prefix in CASES.values():
            # each network of its own: a whole address; known ones pass at their second visit
            settings = {"GREYLIST_DIRECTORY": f"{PLACE}/state", "GREYLIST_IPV4_PREFIX": "32", **extra}
            settings["GREYLIST_DELAY_SECONDS"] = "0" if port == 2603 else "86400"
            words = [word for pair in settings.items() for word in ("-e", "=".join(pair))]
            server = [
                "tcpserver",
                "-R",
                "-H",
                "-l",
                "mx1.example.test",
                "-c",
                "120",
                "-b",
                "512",
                "-u",
                uid,
                "-g",
                gid,
            ]
            command = ["docker", "exec", *words, GATEWAY, "sh", "-c", 'echo $$ >&2; exec "$@"', "sh", *server]
            child = subprocess.Popen(
                [*command, "0", str(port), *program],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert child.stderr
            started.append((child, child.stderr.readline().strip()))
            threading.Thread(target=drain, args=(child.stderr,), daemon=True).start()
        time.sleep(1)
        for _visit in range(2):
            for number in range(1, 251):
                session(f"{KNOWN}{number}", 2603)
        for at_once in CLIENTS:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
            for _round in range(
                ROUNDS
            ):  # alternating, and the best of each: other work on the machine costs all alike
                for name, (port, _program, _extra, prefix) in CASES.items():
                    found[name].append(measure(port, prefix, at_once, seconds))
            for name, rounds in found.items():
                table[name, at_once] = max(rate for rate, _cpu in rounds), min(cpu for _rate, cpu in rounds)
    finally:
        for child, pid in started:
            inside("sh", "-c", f"kill {pid}")
            child.wait(20)
        inside("rm", "-rf", PLACE)
    print(f"{'sessions/s (CPU s per 1,000)':28}" + "".join(f"{at_once:>16} at once" for at_once in CLIENTS))
    for name in CASES:
        cells = [f"{table[name, n][0]:,.0f} ({table[name, n][1]:.2f})" for n in CLIENTS]
        print(f"{name:28}" + "".join(f"{cell:>24}" for cell in cells))
    base = "tcpserver + qmail-smtpd"
    for name in CASES:
        if name != base:
            cells = []
            for n in CLIENTS:
                rate, cpu = (mine / its for mine, its in zip(table[name, n], table[base, n]))
                cells.append(f"{rate:.2f} ({cpu:.2f})")
            print(f"{'ratio ' + name:28}" + "".join(f"{cell:>24}" for cell in cells))
    if not old:
        print(f"cqgreylist 0.2: its archive is not at {CACHE / OLD_SHA256}; {OLD_RECORDED}")
    return 0
