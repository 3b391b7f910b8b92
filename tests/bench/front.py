# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: what a session costs the gateway, beside Postfix with postscreen, postgrey and amavisd-new.

Two containers of the same Debian and one load generator, in turns: the gateway of playbooks/gateway.yml
with site.yml of this directory, and the peer of peer/. Both have the same list of 20,000 denied addresses,
the same million of recipients, the same clamd and the same rules of SpamAssassin.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bed.common import Trouble, answer, run, say, timed
from bed.containers import (
    command_addresses,
    command_converge,
    command_down,
    command_up,
    in_container,
)
from bed.images import base_image, make_derived
from bed.report import built
from mailgate.formats import cdb

from .figures import Figure, Section, publish, read, renewed, told
from .loads import (
    AT_ONCE,
    CHAIN_PORT,
    DELIVERED_PORT,
    DOMAIN,
    GATEWAY,
    GOOD,
    HELD,
    KNOWN,
    ONE_KNOWN,
    PEER,
    SMALL,
    STRANGERS,
    UNSCANNED_PORT,
    Load,
    Size,
    aims,
    derived,
    held,
    loads,
    within,
)
from .measuring import SCANNERS, Container, Run, Window, machine, run_load

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEER_IMAGE = "mailgate-peer:bookworm"
PEER_PACKAGES = ("postfix", "postgrey", "amavisd-new", "clamav-daemon", "spamassassin")
SINKS = (("198.18.0.10", 2525), ("127.0.0.1", 2525))
REPETITIONS, REPEATS = 3, 2
# Beside smtpfront in the gateway's container: the chain of gateway_front: tcpserver with a greylist of its
# own, one without scanner and greylist that throws all mail away, and one that delivers without scanning.
CERTIFICATES = "/etc/mailgate/tls/current"
CHAIN_GREYLIST, THROWING = "/var/lib/bench-greylist", "/bench/throw-away"
THROW_AWAY = b"#!/bin/sh\ncat >/dev/null\nexec cat <&1 >/dev/null\n"  # the message, then the envelope
CHAIN = """
export QMAILQUEUE={queue} GREYLIST_DIRECTORY={greylist} SMTPTLS=/run/smtptls/socket
export VALIDRCPTTO_LIMIT=10 REFUSALS_LIMIT=100
exec softlimit -m 100000000 tcpserver -v -R -H -l mx1.example.test -x /etc/tcp.smtp.cdb -c 120 -b 512 \\
  -u "$(id -u qmaild)" -g "$(id -g qmaild)" 0 {port} \\
  {programs} 2>&1 | setuidgid qmaill multilog t /var/log/bench-{port}
"""
GREYLISTER, SMTPD = "/var/qmail/bin/cqgreylist", "/var/qmail/bin/qmail-smtpd"
CHAINS = {
    CHAIN_PORT: ("/var/qmail/bin/simscan", f"{GREYLISTER} {SMTPD}"),
    UNSCANNED_PORT: (THROWING, SMTPD),
    DELIVERED_PORT: ("/var/qmail/bin/qmail-queue", f"{GREYLISTER} {SMTPD}"),
}
END_CHAINS = """\
for one in /proc/[0-9]*; do
  [ "$(cat "$one/comm" 2>/dev/null)" != tcpserver ] || kill "${one#/proc/}" || :
done
"""


# What both sides are.


def compile_generator(place: Path) -> str:
    target = str(place / "loadgen")
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wshadow"]
    run(
        ["gcc", *flags, "-o", target, str(HERE / "loadgen.c"), "-lssl", "-lcrypto"],
        why="compiling the load generator",
    )
    return target


def own_ten_eight(container: Container) -> None:
    """Give the container's loopback interface 10.0.0.0/8, too, so that none of the load can leave it."""
    ip = container.from_its_network("ip", "address", "replace", "10.0.0.1/8", "dev", "lo")
    run(ip, why="giving 10.0.0.0/8 to the loopback")


def tree_hash() -> str:
    """Return a hash of what the gateway is made of, so that it is converged again when that has changed."""
    digest = hashlib.sha256()
    for top in ("roles", "plugins", "playbooks", "tests/inventory"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    digest.update((HERE / "site.yml").read_bytes())
    return digest.hexdigest()


def descriptors() -> int:
    """Return how many descriptors a process of a container may have."""
    argv = ["docker", "run", "--rm", base_image("bookworm"), "sh", "-c", "ulimit -Hn"]
    limit = run(argv, why="asking for the limit of descriptors").strip()
    return int(limit) if limit.isdigit() else 1 << 20


def make_gateway(fresh: bool, size: Size) -> Container:
    places = json.dumps({"smtp_front_sessions": size.places})
    wanted = f"{tree_hash()} {places}"
    status, found = in_container(GATEWAY, "cat", "/bench/tree")
    if status != 0 or fresh:
        command_up(GATEWAY, "bookworm", systemd=False)
    if found.strip() != wanted or fresh:
        command_converge(GATEWAY, ("-e", f"@{HERE / 'site.yml'}", "-e", places))
        run(["docker", "exec", GATEWAY, "sh", "-c", f"mkdir -p /bench && echo '{wanted}' > /bench/tree"])
    return Container(GATEWAY)


def denied_addresses(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"10.10.{number // 256}.{number % 256}"


def put(container: Container, path: str, content: bytes) -> None:
    container.inside("sh", "-c", f"cat > {path}.new && mv {path}.new {path}", stdin=content)


def load_gateway(gateway: Container, size: Size) -> None:
    """Write the lists of the run as the gateway's own writers would."""
    fragment = gateway.inside("cat", "/etc/tcp.d/10-site")
    rules = fragment.partition("# the benchmark's\n")[0] + "# the benchmark's\n"
    rules += "".join(f"{one}:deny\n" for one in denied_addresses(size.denied))
    put(gateway, "/etc/tcp.d/10-site", rules.encode())
    gateway.inside("mailgate", "rules", "compile")
    for directory in ("/var/qmail/cqgreylist", CHAIN_GREYLIST):  # strangers are new again
        gateway.inside("find", directory, "-mindepth", "1", "-delete")
    names = (f"user{number}.name@{DOMAIN}".encode() for number in range(size.recipients))
    served = gateway.inside("readlink", "-f", "/var/qmail/control/validrcptto.cdb").strip()
    put(gateway, served, cdb.build((name, b"") for name in names))
    gateway.inside("chmod", "644", served)


def open_chains(gateway: Container) -> None:
    """Run the chains of tcpserver beside smtpfront; those of an earlier run are ended."""
    gateway.inside("sh", "-c", END_CHAINS)
    put(gateway, THROWING, THROW_AWAY)
    gateway.inside("chmod", "755", "/bench", THROWING)
    gateway.inside("install", "-d", "-m", "0700", "-o", "qmaild", "-g", "nofiles", CHAIN_GREYLIST)
    for port, (queue, programs) in CHAINS.items():
        gateway.inside("install", "-d", "-o", "qmaill", "-g", "nofiles", f"/var/log/bench-{port}")
        chain = CHAIN.format(queue=queue, greylist=CHAIN_GREYLIST, port=port, programs=programs)
        run(["docker", "exec", "-d", GATEWAY, "sh", "-c", chain], why="starting a chain of tcpserver")
    time.sleep(1.0)


def make_peer(gateway: Container, size: Size) -> Container:
    script = (HERE / "peer" / "install.sh").read_text()
    make_derived("image peer", PEER_IMAGE, "bookworm", script, '["sleep", "infinity"]', "the peer's packages")
    answer(["docker", "rm", "-f", "-v", PEER], timeout_seconds=60)
    label = ["--label", "mailgate.bed.container=yes", "--hostname", "mx1.example.test"]
    start = ["docker", "run", "-d", "--init", "--name", PEER, *label, PEER_IMAGE, "sleep", "infinity"]
    run(start, why="starting the peer")
    command_addresses(PEER)
    peer = Container(PEER)
    run(["docker", "cp", f"{HERE / 'peer'}/.", f"{PEER}:/bench"], why="copying the peer's files")
    # The same clamd, the same rules and the same certificates: the gateway's own files.
    peer.inside("mkdir", "-p", CERTIFICATES)
    for directory in ("/etc/clamav", "/var/lib/clamav", "/etc/spamassassin", CERTIFICATES):
        files = subprocess.run(
            ["docker", "exec", GATEWAY, "tar", "-C", directory, "-c", "."], capture_output=True, check=True
        )
        peer.inside("tar", "-C", directory, "--no-same-owner", "-x", stdin=files.stdout)
    lines = "".join(f"{one} REJECT\n" for one in denied_addresses(size.denied))
    put(peer, "/bench/denied", lines.encode())
    lines = "".join(f"user{number}.name@{DOMAIN} OK\n" for number in range(size.recipients))
    put(peer, "/bench/recipients", lines.encode())
    with timed("peer", "starting Postfix, postgrey, clamd and amavisd-new"):
        peer.inside("sh", "/bench/start.sh")
    return peer


@contextmanager
def sinks(containers: Sequence[Container], generator: str) -> Iterator[list[int]]:
    """Start the host behind both, which accepts everything; the block gets the numbers of the processes."""
    started = []
    try:
        for container, (address, port) in zip(containers, SINKS):
            argv = container.from_its_network(generator, "-m", "sink", "-b", address, "-p", str(port))
            started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        time.sleep(0.3)
        if any(process.poll() is not None for process in started):
            raise Trouble("a sink for the mail ended at once")
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
            process.wait()


# The rows.


class Bench:
    def __init__(self, generator: str, words: str, helpers: Sequence[int], size: Size, budget: float) -> None:
        self.generator, self.words, self.helpers, self.size = generator, words, helpers, size
        self.containers = {name: Container(name) for name in (GATEWAY, PEER)}
        self.figures: dict[tuple[str, str, int], Figure] = {}
        self.number = int(time.time()) % 1_000_000 * 100_000  # no session has the number of an earlier one
        self.strangers: Counter[str] = Counter()  # that a system has met: each has a greylist of its own
        self.repeat_until = time.monotonic() + budget

    def figure(self, row: str, system: str, at_once: int) -> Figure:
        return self.figures.setdefault((row, system, at_once), Figure(row, system, at_once))

    def undisturbed(self, once: Callable[[], Run]) -> Run:
        """Return a run in which the machine was quiet, or after two repetitions the quietest."""
        tried = [once()]
        while tried[-1].disturbed and len(tried) <= REPEATS and time.monotonic() < self.repeat_until:
            tried.append(once())
        return min(tried, key=lambda one: one.others_percent)

    def run(self, load: Load, at_once: int, seconds: float) -> Run:
        first = self.strangers[load.system] if load.strangers else self.number
        argv = [self.generator, *load.options, "-c", str(at_once), "-t", str(seconds), "-o", str(first)]
        if load.mail:
            argv += ["-w", self.words]
        container = self.containers[load.container]
        scanned_here = load.scanned and load.container == GATEWAY  # amavisd-new has the rules in itself
        scanners = container.programs_cpu_seconds(*SCANNERS) if scanned_here else 0.0
        done = run_load(container, argv, self.helpers, after=load.after_seconds)
        if scanned_here:
            done.load["scanners"] = container.programs_cpu_seconds(*SCANNERS) - scanners
        begun = int(done.load["begun"])
        self.number += begun
        self.strangers[load.system] += begun if load.strangers else 0
        self.check(load, done)
        return done

    def check(self, load: Load, done: Run) -> None:
        """Raise Trouble unless nearly all sessions met the reply, and the TLS, that the row measures."""
        fault = load.fault(done.load, dict(done.load["codes"]))  # type: ignore[call-overload]
        if fault:
            raise Trouble(f"{load.row}, {load.system}: {done.load}; {fault}")

    def rows(self, only: str = "") -> None:
        """Measure the sessions, in turns; only: those whose row's name has this text."""
        for at_once, rows in AT_ONCE.items():
            for _repetition in range(REPETITIONS):
                for load in loads(self.size):
                    if (rows and load.row not in rows) or only not in load.row:
                        continue
                    long = load.scanned or "-n" in load.options
                    seconds = self.size.scan_seconds if long else self.size.seconds
                    done = self.undisturbed(lambda one=load, s=seconds, c=at_once: self.run(one, c, s))  # type: ignore[misc]
                    figure = self.figure(load.row, load.system, at_once)
                    figure.add(
                        cpu_per_1000=done.cpu_per_1000,
                        rate=done.load["rate"],
                        p50_ms=done.load["p50_ms"],
                        p95_ms=done.load["p95_ms"],
                        p99_ms=done.load["p99_ms"],
                    )
                    if "scanners" in done.load:
                        figure.add(scanners_ms=done.load["scanners"] / done.load["done"] * 1000)
                    figure.disturbed |= done.disturbed
                    self.tell(figure, done.others_percent)

    def tell(self, figure: Figure, others: float) -> None:
        last = {name: runs[-1] for name, runs in figure.runs.items()}
        text = ", ".join(f"{name} {value:.2f}" for name, value in last.items())
        say("bench", f"{figure.row}, {figure.system}, {figure.at_once}: {text} (others {others:.0f} %)")

    def held(self) -> None:
        """Memory of sessions that say nothing."""
        for _repetition in range(REPETITIONS):
            for one in held(self.size):
                container = self.containers[one.container]
                # Processes of the row before would be idle now, and counted as free.
                if one.container == PEER:
                    container.inside("postfix", "stop")
                    container.inside("postfix", "start")
                    time.sleep(1.0)
                elif "-x" in one.options:
                    container.inside("svc", "-t", "/service/smtptls")
                    time.sleep(2.0)
                before = container.memory_mib()
                argv = [self.generator, "-m", "hold", "-p", one.port, *one.options]
                argv += ["-c", str(one.sessions), "-n", str(one.sessions), "-t", str(self.size.held_wait + 1)]
                command = container.from_its_network(*argv)
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                    time.sleep(self.size.held_wait)
                    after = container.memory_mib()
                    said = json.loads(process.communicate()[0])
                if "-x" in one.options and said["greeted"] < one.sessions:
                    raise Trouble(f"{one.row}, {one.system}: {said}; expected TLS in each session")
                figure = self.figure(one.row, one.system, one.sessions)
                # smtpfront has made room for all of its sessions when it began.
                front_mib = container.memory_mib("smtpfront") if one.system == "gateway" else 0
                mib = (after - before) / one.sessions + front_mib / self.size.places
                figure.add(kib_per_session=mib * 1024)
                self.tell(figure, 0)
                time.sleep(1.0)

    def flood(self) -> None:
        """Measure a good sender's sessions while strangers hold every place that they can get."""
        kinds = {
            "good sender, silent flood": ("-m", "hold", "-c", str(self.size.flood), "-i", "100"),
            "good sender, busy flood": ("-m", "drop", "-c", "32"),
        }
        for _repetition in range(REPETITIONS):
            for row, kind in kinds.items():
                for system, name, port in HELD:
                    done = self.undisturbed(lambda a=name, p=port, k=kind: self.flooded(a, p, k))  # type: ignore[misc]
                    figure = self.figure(row, system, self.size.flood if "hold" in kind else 32)
                    begun, served = done.load["begun"], dict(done.load["codes"]).get("250", 0)  # type: ignore[call-overload]
                    late = done.load["late"] > 0
                    patience = self.size.flood_seconds * 1000
                    figure.add(
                        served_percent=served / begun * 100,
                        p50_ms=done.load["p50_ms"] if served * 2 > begun else patience,
                        worst_ms=patience if late else done.load["max_ms"],
                    )
                    if late:
                        figure.remark = f"longer than {self.size.flood_seconds:.0f} s is told as that"
                    figure.disturbed |= done.disturbed
                    self.tell(figure, done.others_percent)
                    time.sleep(1.0)

    def flooded(self, name: str, port: str, kind: Sequence[str]) -> Run:
        container, seconds = self.containers[name], self.size.flood_seconds
        good = [self.generator, "-m", "rcpt", "-p", port, *ONE_KNOWN, "-r", GOOD, "-c", "1", "-i", "200"]
        if name == PEER:  # postscreen knows him, as the gateway does
            container.inside("postfix", "start" if "not running" in self.state(container) else "status")
        introduce = container.from_its_network(*good, "-n", "1", "-t", "12", "-T", "12000")
        subprocess.run(introduce, stdout=subprocess.DEVNULL, check=True)
        window = Window(container, self.helpers)
        first = str(max(self.strangers.values(), default=0))
        strangers = [*STRANGERS, "-o", first, "-p", port, "-t", str(2 * seconds + 2)]
        flooding = container.from_its_network(self.generator, *kind, *strangers)
        with subprocess.Popen(flooding, stdout=subprocess.PIPE, text=True) as flood:
            time.sleep(1.5)
            argv = [*good, "-t", str(seconds), "-T", str(int(seconds * 1000)), "-o", str(self.number)]
            done = run_load(container, argv, self.helpers, after=0)
            flood.terminate()
            flood.wait()
        cpu, others = window.close()
        self.number += int(done.load["begun"])
        return Run(done.load, cpu, others)

    @staticmethod
    def state(container: Container) -> str:
        status, said = answer(["docker", "exec", container.name, "postfix", "status"])
        return "running" if status == 0 else f"not running {said}"


def warm(bench: Bench) -> None:
    """Let known networks pass the greylist, and every scanner scan once."""
    gateway = bench.containers[GATEWAY]
    for _visit in range(2):
        for port in ("25", CHAIN_PORT):
            argv = [bench.generator, "-m", "rcpt", "-p", port, *KNOWN, "-r", GOOD, "-c", "4", "-n", "1400"]
            run_load(gateway, [*argv, "-t", "30"])
        time.sleep(2.5)
    for load in loads(bench.size):
        if load.scanned:
            bench.run(load, 8, 4.0)


def versions(gateway: Container, peer: Container) -> dict[str, str]:
    found = {}
    for container, names in ((peer, PEER_PACKAGES), (gateway, ("ucspi-tcp",))):
        for name in names:
            status, text = in_container(container.name, "dpkg-query", "-W", "-f=${Version}", name)
            if status == 0 and text:
                found[name] = text
    for what, how in built(gateway.name):  # a stand-in's figures are its own
        if what.startswith(("netqmail ", "simscan ")):
            name, _space, version = what.partition(" ")
            found[name] = f"{version} ({how.partition(',')[0]})"
    commit = answer(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])[1].strip()
    return {"the gateway": commit, **found}


ABOUT = """\
Two containers of Debian 12 on one machine, in turns: the gateway as playbooks/gateway.yml makes it, with the
services that follow its log, and Postfix with postscreen, postgrey and amavisd-new before the queue, from the
distribution's packages. Both have 20,000 denied addresses, 1,000,000 recipients, the same clamd with one
signature and the same rules of SpamAssassin, without Bayes and network tests, with four children. Neither
looks up the names of clients; max_use of Postfix is 1,000. On the gateway the sender of an unknown recipient
has passed the greylist, which is asked in each session; Postfix refuses before it asks postgrey. The front of
the gateway is smtpfront; tcpserver is the chain of gateway_front: tcpserver in the same container, on another
port: tcpserver, cqgreylist and qmail-smtpd, whose log no other service follows. Mail that is not scanned is
thrown away: by the program that stands for the queue of one more chain of tcpserver, without cqgreylist, and
by Postfix's discard.

Mail that is delivered and not scanned goes through a chain of tcpserver, cqgreylist, qmail-smtpd and
qmail-queue. What the same chain costs more with simscan, beside the CPU of clamd and spamd, is simscan's own.
All but clamd and spamd is whatever else runs for a message: front, greylist, simscan, queue, delivery and the
services that follow the log.

Both sides offer TLS 1.2 and 1.3 with the same two certificates, ECDSA of P-256 and RSA of 2,048 bits; which
of them is used is chosen by the signatures that the client offers. A handshake is a session with EHLO,
STARTTLS and QUIT in TLS 1.3, unless the row says otherwise; a resumed one uses the last ticket that any
session got. The other rows over TLS have full handshakes with ECDSA in TLS 1.3.

Silent sessions are connected and say nothing; told is the memory (PSS) that all processes have more by them,
and of smtpfront, which makes room for all sessions when it begins, one session's share of the whole process.
In a flood a sender that is known has one session after another, up to RCPT: silent strangers connect 300 at
once, each again when it is closed; busy ones take the greeting and leave, 32 at once. Both sides have the
limits that they come with: 120 sessions of qmail-smtpd, 100 processes of smtpd; smtpfront holds 12,000 here,
for it has 10,000 silent ones in one row, each of a network of its own.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny counts, to try it; writes nothing")
    parser.add_argument("--fresh", action="store_true", help="make a new gateway")
    parser.add_argument("--remove", action="store_true", help="remove both containers and do nothing else")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="renew the rows whose names have this text"
    )
    parser.add_argument("--budget", type=float, default=300, help="seconds for repetitions (%(default)s)")
    given = parser.parse_args(argv)
    size = SMALL if given.small else Size()
    begin = time.monotonic()
    kept = read().get("front") if given.only else None
    if given.only and (not kept or kept.machine != machine()):
        parser.error("--only: expected a table that was made on this machine; make bench makes one")
    try:
        if given.remove:
            command_down(GATEWAY)
            command_down(PEER)
            return 0
        size = within(size, descriptors())
        gateway = make_gateway(given.fresh, size)
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            os.chmod(place, 0o755)
            generator = compile_generator(place)
            open_chains(gateway)
            with timed("bench", "loading the lists"):
                load_gateway(gateway, size)
            peer = make_peer(gateway, size)
            for container in (gateway, peer):
                own_ten_eight(container)
            words = place / "words"
            words.write_text("\n".join(sorted(set((ROOT / "COPYING").read_text().split()))) + "\n")
            with sinks((gateway, peer), generator) as helpers:
                bench = Bench(generator, str(words), helpers, size, given.budget)
                with timed("bench", "warming up"):
                    warm(bench)
                bench.rows(given.only)
                if not given.only:
                    bench.held()
                    bench.flood()
        named = versions(gateway, peer)
        figures = list(bench.figures.values())
        if kept:
            figures = renewed(kept.figures, figures, f"with {named['the gateway']}")
        figures = derived(figures)
        section = Section(
            "front",
            "Beside Postfix: what a session costs",
            "make bench",
            time.strftime("%Y-%m-%d"),
            machine(),
            kept.versions if kept else named,
            ABOUT,
            figures,
            aims=aims(figures),
        )
        command_down(PEER)
        for figure in section.figures:
            numbers = ", ".join(f"{name} {told(name, runs)}" for name, runs in figure.runs.items())
            print(f"{figure.row:40} {figure.system:12} {figure.at_once:>4}  {numbers}")
        if not given.small:
            for line in publish(section):
                print(f"worse than before: {line}")
    except Trouble as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 1
    say("bench", f"{time.monotonic() - begin:.0f} s in all")
    return 0
