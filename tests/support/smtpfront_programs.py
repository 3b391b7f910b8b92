# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront, its launcher and the real qmail-smtpd on the loopback, each as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb, tcprules

from support.c_programs import CACHE, INCLUDES, ROOT, SANITIZE, STRICT, TESTS, gcc, needed, run
from support.kept_builds import keep
from support.smtp_dialogues import spoken

SOURCE = ROOT / "src"
PATCHES = ROOT / "roles" / "netqmail" / "files" / "patches"
ARCHIVES = (
    "3536c8eb2e477cf985422504adf9368ccdf29a3d8107e18051afca28a7d0245c",
    "8e7d98d15211fc9f9c28109e942e2268f42a6672d68df92a42f2afa90ff00532",
)
WITH_THE_HANDOVER = tuple(
    f"99-{name}.patch"
    for name in (
        "handover",
        "mail-id",
        "starttls",
        "tls-required",
        "transaction-rules",
        "unshared-client",
    )
)
NOBODY = 65534
OWN_USER = os.geteuid() or NOBODY  # of a program that as_nobody() starts
GREETING = "mx.test"
NOWHERE = "/nonexistent"  # of netqmail that is built for no test yet
RESOLVER_PORTS = range(5400, 5432)
RESERVED_AT = "127.255.255.254"  # where nobody listens
_RESERVED: list[socket.socket] = []
RECIPIENTS = ("ann@example.com", "bob-default@example.com", "@open.example", "postmaster")
RULES = """\
127.0.0.2:deny
127.0.0.3:allow,RELAYCLIENT="",QMAILQUEUE="{queue}"
127.0.0.4:allow,WHITELISTED=""
127.0.0.5:allow,RBLSMTPD="-go away"
127.0.0.6:allow,RBLSMTPD="later"
127.0.0.7:allow,RBLSMTPD=""
127.0.0.8:allow,WHITELISTED="",DATABYTES="2000000"
127.0.0.9:allow,WHITELISTED="",DATABYTES="500"
:allow
"""


def compile_program(name: str, target: Path, *flags: str) -> None:
    files = sorted((SOURCE / name).glob("*.c"))
    common = sorted({path for one in files for path in needed(one)} - set(files))
    gcc("-std=gnu11", *STRICT, *SANITIZE, *flags, *INCLUDES, *files, *common, "-o", target)


def build_netqmail(program: str, directory: Path, home: Path, without: Collection[str] = ()) -> Path:
    """Build one of the real netqmail's programs with its files below home, or skip where its source is not.

    without: names of patches that are left out.
    """
    archives = [CACHE / one for one in ARCHIVES if (CACHE / one).is_file()]
    if not archives:
        pytest.skip(f"the source of netqmail 1.06 is not in {CACHE}")
    patches = [patch for patch in sorted(PATCHES.glob("*.patch")) if patch.name not in without]
    ours = [*(SOURCE / "netqmail").glob("*.[ch]"), *(SOURCE / "common").glob("*.[ch]")]
    # Most objects are of more than one program; all that the tests ask for are made at once.
    programs = [program] if without else sorted({program, "qmail-remote", "qmail-smtpd"})
    configuration = {
        "conf-qmail": f"{NOWHERE}\n",
        "conf-cc": "gcc -O1 -std=gnu89 -include /usr/include/errno.h\n",
        "conf-ld": "gcc\n",
    }

    def made(place: Path) -> None:
        assert run(["tar", "-xzf", archives[0], "-C", place, "--strip-components=1"]).returncode == 0
        for patch in patches:
            assert run(["patch", "-p1", "-F0", "-i", patch], cwd=place).returncode == 0
        for path in ours:
            if not (place / path.name).exists():
                shutil.copy(path, place)
        for name, text in configuration.items():
            (place / name).write_text(text)
        _make(place, *programs)

    keep(directory, [*programs, repr(configuration)], [archives[0], *patches, *sorted(ours)], made)
    (directory / "conf-qmail").write_text(f"{home}\n")
    _make(directory, program)
    return directory / program


def _make(directory: Path, *programs: str) -> None:
    done = run(["make", *programs], cwd=directory)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]


def build_qmail_smtpd(directory: Path, home: Path, *, patched: bool = True) -> Path:
    without = () if patched else WITH_THE_HANDOVER
    return build_netqmail("qmail-smtpd", directory, home, without)


@dataclass
class Programs:
    front: Path
    launcher: Path
    home: Path  # qmail's, with qmail-smtpd in bin
    plain: Path  # qmail-smtpd without the hand-over
    queue: Path  # keeps what it is given
    resolver_port: int  # where smtpfront's resolver listens


def reserve_port() -> int:
    """Return a port for a resolver, this process's own until it ends.

    One of a few, since smtpfront is compiled for its port: what another run compiled for that is used again.
    """
    for port in RESOLVER_PORTS:
        with contextlib.suppress(OSError):
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.bind((RESERVED_AT, port))
            _RESERVED.append(held)
            return port
    raise AssertionError(f"all of the ports {RESOLVER_PORTS} are in use at {RESERVED_AT}")


def build(directory: Path) -> Programs:
    """Compile all of it below a directory that everybody may read."""
    for parent in (directory, directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    home = directory / "qmail"
    (home / "bin").mkdir(parents=True)
    shutil.copy(build_qmail_smtpd(directory / "netqmail", home), home / "bin" / "qmail-smtpd")
    plain = build_qmail_smtpd(directory / "plain", home, patched=False)
    resolver_port = reserve_port()
    # A busy machine may not let the launcher run for a second.
    flags = (f"-DRESOLVER_PORT={resolver_port}", "-DRELAY_CLIENTS_MS=30000")
    compile_program("smtpfront", directory / "smtpfront", *flags)
    compile_program("smtplaunch", directory / "smtplaunch")
    gcc("-std=gnu11", "-O1", *STRICT, TESTS / "keepmail.c", "-o", directory / "queue")
    shutil.copy(directory / "queue", directory / "relay-queue")
    return Programs(
        directory / "smtpfront", directory / "smtplaunch", home, plain, directory / "queue", resolver_port
    )


@dataclass
class Message:
    message: bytes
    sender: bytes
    recipients: list[bytes]
    environment: dict[str, str] = field(compare=False)


def as_nobody(argv: list[object]) -> list[str]:
    words = [str(word) for word in argv]
    if os.geteuid() != 0:
        return words
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *words]


class Gateway:
    """One front with its launcher; heard() is what their log has."""

    def __init__(
        self,
        programs: Programs,
        directory: Path,
        *,
        front: Mapping[str, object] | None = None,
        launcher: Mapping[str, object] | None = None,
        chain: list[str] | None = None,
        log: int | None = None,
        addresses: tuple[str, ...] = ("127.0.0.1",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.programs, self.directory = programs, directory
        self.control = programs.home / "control"
        self.rules = directory / "etc" / "tcp.smtp.cdb"
        self.queue = programs.queue
        self.capture = directory / "capture"
        self.settings = directory / "etc" / "settings"
        self.log_path = directory / "log"
        self.options = dict(front or {})
        self.launcher_options = dict(launcher or {})
        self.chain = chain or []
        self.addresses = addresses
        for name in ("etc", "capture", "greylist", "places", "run"):
            (directory / name).mkdir()
        self.control.mkdir(exist_ok=True)
        for name, text in (
            ("me", GREETING),
            ("smtpgreeting", GREETING),
            ("rcpthosts", "example.com\nopen.example\n.sub.example"),
            ("badmailfrom", "bad@sender.example\n@evil.example"),
            ("databytes", "1000000"),
        ):
            self.write_control(name, text)
        self.publish(RECIPIENTS)
        self.write_rules(RULES.format(queue=self.queue.with_name("relay-queue")))
        self.settings.write_text("GREYLIST_DELAY_SECONDS=1\nDNSBL_SECONDS=1\n")
        (directory / "etc" / "dnsbl").write_text("")
        self.exempt = directory / "etc" / "exempt"
        self.exempt.write_text("")
        self.suffixes = directory / "etc" / "suffixes"
        self.suffixes.write_text("test\nexample\nco.test\n")
        if os.geteuid() == 0:
            for name in ("capture", "greylist", "places", "run"):
                os.chown(directory / name, NOBODY, NOBODY)
        for parent in (directory, directory.parent, directory.parent.parent):
            parent.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "QMAILQUEUE": str(self.queue),
            "KEEPMAIL": str(self.capture),
            "ASAN_OPTIONS": "detect_leaks=0",
            "DNSCACHEIP": "127.0.0.1",
            **(environment or {}),
        }
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log_path.touch()
        self.log = open(self.log_path if log is None else log, "wb")  # noqa: SIM115
        self.started: list[subprocess.Popen[bytes]] = []
        self.launcher = self.start_launcher()
        self.front = self.start_front()

    def write_control(self, name: str, text: str) -> None:
        fresh = self.control / f"{name}.new"
        fresh.write_text(f"{text}\n")
        fresh.rename(self.control / name)

    def publish(self, recipients: tuple[str, ...]) -> None:
        fresh = self.control / "validrcptto.cdb.new"
        fresh.write_bytes(cdb.build([(one.encode(), b"") for one in recipients]))
        fresh.rename(self.control / "validrcptto.cdb")

    def write_rules(self, text: str) -> None:
        fresh = self.rules.with_suffix(".new")
        fresh.write_bytes(cdb.build(tcprules.compile_records(tcprules.parse(text, "rules"))))
        fresh.rename(self.rules)

    def _start(self, argv: list[object]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            as_nobody(argv),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
            cwd=self.directory,
        )
        self.started.append(process)
        return process

    @property
    def link(self) -> Path:
        return self.directory / "run" / "socket"

    def start_launcher(self) -> subprocess.Popen[bytes]:
        self.link.unlink(missing_ok=True)
        options = {
            "-s": self.link,
            "-d": self.directory / "places",
            "-x": self.rules,
            "-l": GREETING,
            "-u": NOBODY,
            **self.launcher_options,
        }
        words = [word for pair in options.items() for word in pair]
        process = self._start(
            [self.programs.launcher, *words, "--", *self.chain, self.programs.home / "bin" / "qmail-smtpd"]
        )
        until(self.link.exists)
        return process

    def start_front(self) -> subprocess.Popen[bytes]:
        options = {
            "-p": self.port,
            "-s": self.link,
            "-x": self.rules,
            "-q": self.control,
            "-k": self.directory / "greylist",
            "-e": self.settings,
            "-b": self.directory / "etc" / "dnsbl",
            "-n": self.exempt,
            "-l": self.suffixes,
            **self.options,
        }
        words = [word for address in self.addresses for word in ("-a", address)]
        words += [word for pair in options.items() for word in pair]
        process = self._start([self.programs.front, *words])
        until(lambda: self._listens(process))
        return process

    def _listens(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.heard()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1, ("127.0.0.2", 0)),
        ):
            return True
        return False

    def connect(self, source: str = "127.0.0.4") -> socket.socket:
        target = "::1" if ":" in source else "127.0.0.1"
        made = socket.create_connection((target, self.port), 20, (source, 0))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def heard(self) -> str:
        return self.log_path.read_text(errors="replace")

    def messages(self) -> list[Message]:
        """Return what reached the queue, in order, and forget it."""
        found = []
        for path in sorted(self.capture.glob("*.environment")):
            parts = [path.with_suffix(end) for end in (".message", ".envelope", ".environment")]
            message, envelope, environment = (part.read_bytes() for part in parts)
            for part in parts:
                part.unlink()
            sender, *recipients = envelope.split(b"\0")[:-2]
            found.append(
                Message(
                    without_times(message),
                    sender,
                    recipients,
                    dict(line.split("=", 1) for line in environment.decode().splitlines() if "=" in line),
                )
            )
        return found

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        self.log.close()
        said = self.heard()
        assert "Sanitizer" not in said and "runtime error" not in said, said


def without_times(message: bytes) -> bytes:
    """Return the message without the date, and without the id, of its own Received line."""
    return re.sub(
        rb"(?: \(id [0-9a-z.]+\))?; [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} -0000",
        b"; DATE",
        message,
        count=1,
    )


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.005)


@contextlib.contextmanager
def gateway(programs: Programs, directory: Path, **more: object) -> Iterator[Gateway]:
    made = Gateway(programs, directory, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.stop()


def through_the_front(gate: Gateway, pieces: list[bytes], source: str = "127.0.0.4") -> bytes:
    return spoken(gate.connect(source), pieces)


def without_it(gate: Gateway, pieces: list[bytes], source: str = "127.0.0.4") -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        served, _peer = listening.accept()
    with served:
        environment = {
            **gate.environment,
            "PROTO": "TCP",
            "TCPREMOTEIP": source,
            "TCPLOCALIP": "127.0.0.1",
            "TCPLOCALHOST": GREETING,
        }
        process = subprocess.Popen(
            as_nobody([gate.programs.plain]),
            stdin=served.fileno(),
            stdout=served.fileno(),
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    heard = spoken(client, pieces)
    process.wait(20)
    return heard
