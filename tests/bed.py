# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes what the tests need on a bare Debian machine: one subcommand per thing, each of them idempotent.

Runs on the system's python3 (3.9 or newer) with nothing but the standard library, because the first thing
it makes is the venv.  Every step says what it did and how long that took; a failure is one sentence and
exit status 1.  `tests/bed.py --help` lists the subcommands and the environment variables.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BED = ROOT / ".bed"
REQUIREMENTS = ROOT / "requirements-test.txt"
CHOICE = ROOT / "tests" / "inventory" / "group_vars" / "gateways" / "choice.yml"
LINK = ROOT / ".ansible" / "collections" / "ansible_collections" / "mailgate" / "qmail"
STAMPS = "/var/lib/mailgate/stamps"

GATEWAY = "mailgate-gateway"
HOSTNAME = "mx1.example.test"
LABEL = "mailgate.bed"
SUITES = ("bookworm", "trixie", "bullseye")

TOOLS = ("gcc", "libc6-dev", "patch")
ORACLES = ("daemontools", "ucspi-tcp", "freecdb")

# Root in a container lacks what root on a host has: reading another user's /proc/PID/fd, by which the
# preflight names the program that holds port 25.
CAPABILITIES = ("SYS_PTRACE",)
CAPABILITIES_SYSTEMD = ("SYS_PTRACE", "SYS_ADMIN")

# A container restarted later brings its services back, as a host does.
INIT = "[ -x /usr/local/sbin/mailgate-svscan ] && exec /usr/local/sbin/mailgate-svscan; exec sleep infinity"

EPILOG = """\
environment:
  MAILGATE_VENV             a venv of your own that has requirements-test.txt in it; used as it is
  MAILGATE_IMAGE_BOOKWORM   an image to take as Debian 12 (with python3 and ca-certificates); likewise _TRIXIE
  MAILGATE_IMAGE_SYSTEMD    an image to take as Debian 12 with systemd as PID 1
  MAILGATE_CACHE            where archives are kept (default: ~/.cache/mailgate)
  MAILGATE_STANDINS         auto (default): stand-ins where the real source cannot be had; always; never
  MAILGATE_GATEWAY          the name of the gateway's container (default: mailgate-gateway)
"""


class Trouble(Exception):
    """One clear sentence: what cannot be done, why, and what to do."""


# --- small tools -------------------------------------------------------------------------------------------


def say(step: str, text: str) -> None:
    print(f"{step}: {text}", flush=True)


@contextlib.contextmanager
def timed(step: str, doing: str, done: str = "done") -> Iterator[None]:
    """Say what begins, and how many seconds it took when it ended well."""
    say(step, f"{doing} ...")
    begin = time.monotonic()
    yield
    say(step, f"{done}, {time.monotonic() - begin:.1f} s")


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two runs of this program in one checkout take turns."""
    BED.mkdir(exist_ok=True)
    with open(BED / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_root() -> bool:
    return os.geteuid() == 0


def tail(text: str, lines: int = 3) -> str:
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "it said nothing"


def run(
    argv: Sequence[str], *, log: Path | None = None, env: dict[str, str] | None = None, why: str = ""
) -> str:
    """The output of a command that must succeed; its last lines go into the Trouble, all of it into `log`."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            check=False,
        )
    except OSError as error:
        raise Trouble(f"{why or 'a step'} failed: cannot run {argv[0]!r}: {error.strerror}") from error
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as handle:
            handle.write(f"$ {shlex.join(argv)}\n{done.stdout}")
    if done.returncode != 0:
        where = f" (all of it: {log})" if log else ""
        raise Trouble(
            f"{why or 'a step'} failed: {shlex.join(argv[:6])} ended with {done.returncode}: "
            f"{tail(done.stdout)}{where}"
        )
    return done.stdout


def answer(argv: Sequence[str], timeout_seconds: float = 30) -> tuple[int, str]:
    """Exit status and output of a question; 127 when the program is missing, 124 when it does not answer."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"{argv[0]}: not found"
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]}: no answer within {timeout_seconds:.0f} s"
    return done.returncode, done.stdout


def write_atomically(path: Path, text: str) -> bool:
    """Whether the file had to be written."""
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    return True


# --- packages of the machine -------------------------------------------------------------------------------


def missing_packages(names: Iterable[str]) -> list[str]:
    missing = []
    for name in names:
        status, text = answer(["dpkg-query", "-W", "-f=${db:Status-Status}", name])
        if status == 127:
            raise Trouble("this machine has no dpkg: the test bed is made for Debian 12 or 13")
        if status != 0 or text.strip() != "installed":
            missing.append(name)
    return missing


def install_packages(step: str, names: Iterable[str]) -> None:
    missing = missing_packages(names)
    if not missing:
        return
    if not is_root():
        raise Trouble(
            "packages are missing and only root can install them; "
            f"as root: apt-get install {' '.join(missing)}"
        )
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    log = BED / "apt.log"
    with timed(step, f"installing {' '.join(missing)}"):
        try:
            run(install, log=log, env=env)
        except Trouble:  # the lists may be missing or too old
            run(["apt-get", "update", "-q"], log=log, env=env, why="apt-get update")
            run(install, log=log, env=env, why="installing packages")


def command_system() -> None:
    install_packages("system", (*TOOLS, *ORACLES))
    say("system", "compiler and oracles are installed")


# --- venv --------------------------------------------------------------------------------------------------


def venv_path() -> Path:
    return Path(os.environ.get("MAILGATE_VENV") or ROOT / ".venv").absolute()


def venv_program(name: str) -> str:
    """A program of the venv, or of the environment that runs this file when no venv was made here."""
    for directory in (venv_path() / "bin", Path(sys.executable).parent):
        if (directory / name).exists():
            return str(directory / name)
    raise Trouble(f"{name} is not in {venv_path()}; run: make venv")


def command_venv() -> None:
    venv = venv_path()
    if os.environ.get("MAILGATE_VENV"):
        if not (venv / "bin" / "ansible-playbook").exists():
            raise Trouble(
                f"MAILGATE_VENV={venv} has no bin/ansible-playbook; "
                "put requirements-test.txt into it or unset it"
            )
        say("venv", f"{venv} is used as it is (MAILGATE_VENV)")
        return
    version = "{}.{}.{}".format(*sys.version_info[:3])
    if sys.version_info < (3, 11):
        raise Trouble(
            f"the tests need Python 3.11 or newer and {sys.executable} is {version}; "
            "name another: make PYTHON=python3.11"
        )
    python = str(Path(getattr(sys, "_base_executable", sys.executable)))
    # Not the path of Python: with the venv active it is another one.
    recipe = f"{REQUIREMENTS.read_text(encoding='utf-8')}\n{version}\n{venv}\n"
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    stamp = venv / "mailgate-stamp"
    with contextlib.suppress(OSError):
        works = answer([str(venv / "bin" / "python"), "-c", "import ansible, molecule"])[0] == 0
        if works and stamp.read_text(encoding="utf-8").strip() == wanted:
            say("venv", f"{venv} is current (Python {version})")
            return
    if answer([python, "-c", "import ensurepip, venv"])[0] != 0:
        install_packages("venv", ("python3-venv", "python3-pip"))
        if answer([python, "-c", "import ensurepip, venv"])[0] != 0:
            raise Trouble(
                f"{python} cannot make a venv: it has no ensurepip; "
                "name another Python: make PYTHON=/usr/bin/python3"
            )
    log = BED / "venv.log"
    with timed("venv", f"making {venv} with Python {version} (one to two minutes)", "made"):
        run([python, "-m", "venv", "--clear", str(venv)], log=log, why="making the venv")
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "-r",
            str(REQUIREMENTS),
        ]
        run(pip, log=log, why="filling the venv")
        stamp.write_text(wanted + "\n", encoding="utf-8")


# --- the Docker engine -------------------------------------------------------------------------------------

NO_DOCKER = "without a Docker engine there is no gateway container and only `make fast` can run"


def engine_answers() -> tuple[bool, str]:
    status, text = answer(["docker", "info", "--format", "{{.ServerVersion}}"], timeout_seconds=20)
    return status == 0, text.strip()


def running_pids(name: str) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == name:
                    pids.append(int(entry.name))
    return pids


def wait_for_engine(seconds: float, alive: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if engine_answers()[0]:
            return True
        if not alive():
            return False
        time.sleep(0.2)
    return False


def start_engine() -> None:
    """Start dockerd.  Never a second one: it would take the bridge away from the first."""
    pids = running_pids("dockerd")
    if pids:
        if wait_for_engine(15, lambda: bool(running_pids("dockerd"))):
            return
        raise Trouble(
            f"dockerd runs (process {pids[0]}) but does not answer `docker info`: "
            f"{tail(engine_answers()[1])}; {NO_DOCKER}"
        )
    if Path("/run/systemd/system").is_dir():
        run(["systemctl", "start", "docker"], why="starting the Docker engine")
        if wait_for_engine(30, lambda: True):
            return
        raise Trouble(
            f"the docker service was started and does not answer: {tail(engine_answers()[1])}; {NO_DOCKER}"
        )
    for stale in ("/var/run/docker.pid", "/var/run/docker/containerd/containerd.pid"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stale)
    log = BED / "dockerd.log"
    with open(log, "wb") as handle:
        engine = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            close_fds=True,
        )
    if wait_for_engine(30, lambda: engine.poll() is None):
        return
    ended = f"ended with {engine.returncode}" if engine.poll() is not None else "does not answer"
    raise Trouble(
        f"dockerd was started and {ended}: {tail(log.read_text(errors='replace'), 1)} "
        f"(all of it: {log}); {NO_DOCKER}"
    )


def command_docker() -> None:
    begin = time.monotonic()
    if shutil.which("docker"):
        answers, text = engine_answers()
        if answers:
            say("docker", f"engine {text} answers")
            return
        if os.environ.get("DOCKER_HOST"):
            raise Trouble(
                f"the engine at DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer: "
                f"{tail(text, 1)}; {NO_DOCKER}"
            )
    else:
        text = "no docker program"
    if not is_root():
        raise Trouble(
            f"no Docker engine answers this user ({tail(text, 1)}) and only root can install or start one; "
            f"run as root or join the group docker; {NO_DOCKER}"
        )
    if not shutil.which("docker") or not shutil.which("dockerd"):
        install_packages("docker", ("docker.io",))
    start_engine()
    say("docker", f"engine {engine_answers()[1]} started, {time.monotonic() - begin:.1f} s")


# --- images ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AptSource:
    uri: str
    release: str
    component: str


def machine_apt_sources() -> list[AptSource]:
    """What apt itself says that this machine is configured with; empty while its lists are missing."""
    status, text = answer(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    if status != 0:
        return []
    return [AptSource(*fields) for fields in (line.split() for line in text.splitlines()) if len(fields) == 3]


def os_release() -> dict[str, str]:
    values = {}
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key] = value.strip('"')
    return values


def suite_sources(sources: Iterable[AptSource], own: str, suite: str) -> list[AptSource]:
    """The machine's Debian sources (main, updates, security) with `suite` for its own release's name."""
    found = []
    for source in sources:
        if source.release not in (own, f"{own}-updates", f"{own}-security") or source.component != "main":
            continue
        wanted = AptSource(source.uri, suite + source.release[len(own) :], "main")
        if wanted not in found:
            found.append(wanted)
    return found


def apt_settings(dump: str) -> str:
    """Those settings of the machine's apt that a container needs as well to reach the same mirrors."""
    wanted = re.compile(r'Acquire::(https?::Proxy(::\S+)?|Check-Valid-Until|Check-Date|Retries) "[^"]*";')
    kept = [line for line in dump.splitlines() if wanted.fullmatch(line)]
    return "\n".join([*kept, 'Acquire::Languages "none";', ""])


def derived_sources(suite: str) -> list[AptSource]:
    release = os_release()
    own = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian":
        return []
    found = suite_sources(machine_apt_sources(), own, suite)
    if not found and is_root():
        run(["apt-get", "update", "-q"], log=BED / "apt.log", why="apt-get update")
        found = suite_sources(machine_apt_sources(), own, suite)
    return found


def base_image(suite: str) -> str:
    return os.environ.get(f"MAILGATE_IMAGE_{suite.upper()}") or f"mailgate-base:{suite}"


def systemd_image(suite: str) -> str:
    return os.environ.get("MAILGATE_IMAGE_SYSTEMD") or f"mailgate-systemd:{suite}"


def image_recipe(name: str) -> str | None:
    """The recipe that an image was made with; "" for a foreign one, None when it does not exist."""
    status, text = answer(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', name]
    )
    if status != 0:
        return None
    return "" if text.strip() == "<no value>" else text.strip()


def require_image(step: str, name: str) -> None:
    if image_recipe(name) is None:
        with timed(step, f"pulling {name}"):
            run(["docker", "pull", "-q", name], why=f"pulling {name}, which the environment names,")
    say(step, f"{name} is used as it is (named by the environment)")


def make_base(suite: str) -> None:
    step, name = f"image {suite}", base_image(suite)
    if os.environ.get(f"MAILGATE_IMAGE_{suite.upper()}"):
        require_image(step, name)
        return
    sources = derived_sources(suite) if is_root() or image_recipe(name) is None else []
    settings = apt_settings(answer(["apt-config", "dump"])[1])
    listing = "".join(f"deb {source.uri} {source.release} {source.component}\n" for source in sources)
    recipe = hashlib.sha256(f"1\n{suite}\n{listing}\n{settings}".encode()).hexdigest()[:16]
    if image_recipe(name) == recipe:
        say(step, f"{name} is current")
        return
    if not is_root():
        raise Trouble(
            f"the image {name} is missing and only root can make it with debootstrap; run as root, "
            f"or name an image that has python3 and ca-certificates: MAILGATE_IMAGE_{suite.upper()}=IMAGE"
        )
    install_packages(step, ("debootstrap",))
    mirror = [source.uri for source in sources if source.release == suite][:1]
    log = BED / f"debootstrap-{suite}.log"
    tree = Path(tempfile.mkdtemp(prefix=f"mailgate-{suite}-", dir="/var/tmp"))
    try:
        with timed(step, f"debootstrap of {suite} (about a minute)", "unpacked"):
            run(
                [
                    "debootstrap",
                    "--variant=minbase",
                    "--include=python3,ca-certificates",
                    suite,
                    str(tree),
                    *mirror,
                ],
                log=log,
                why=f"debootstrap of {suite}",
            )
        os.chmod(tree, 0o755)
        if listing:
            (tree / "etc/apt/sources.list").write_text(listing, encoding="utf-8")
        (tree / "etc/apt/apt.conf.d/80test-bed").write_text(settings, encoding="utf-8")
        # Speed only: dpkg need not wait for the disk in a container that lives for minutes.
        (tree / "etc/dpkg/dpkg.cfg.d/test-bed").write_text("force-unsafe-io\n", encoding="utf-8")
        with timed(step, f"importing {name}", "imported"):
            import_tree(tree, name, recipe)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def import_tree(tree: Path, name: str, recipe: str) -> None:
    leave_out = [
        "--exclude=./var/cache/apt/archives/*.deb",
        "--exclude=./var/lib/apt/lists/*_*",
        "--exclude=./proc/*",
        "--exclude=./sys/*",
    ]
    with subprocess.Popen(["tar", "-C", str(tree), *leave_out, "-c", "."], stdout=subprocess.PIPE) as pack:
        done = subprocess.run(
            ["docker", "import", "-c", f"LABEL {LABEL}={recipe}", "-", name],
            stdin=pack.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode != 0 or pack.returncode != 0:
        raise Trouble(
            f"importing the image {name} failed: {tail(done.stdout)} (tar ended with {pack.returncode})"
        )


def make_systemd(suite: str) -> None:
    step, name = f"image systemd {suite}", systemd_image(suite)
    if os.environ.get("MAILGATE_IMAGE_SYSTEMD"):
        require_image(step, name)
        return
    make_base(suite)
    base = answer(["docker", "image", "inspect", "--format", "{{.Id}}", base_image(suite)])[1].strip()
    recipe = hashlib.sha256(f"1 {base}".encode()).hexdigest()[:16]
    if image_recipe(name) == recipe:
        say(step, f"{name} is current")
        return
    builder = f"mailgate-build-systemd-{os.getpid()}"
    script = (
        "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "
        "systemd systemd-sysv dbus && apt-get clean && rm -rf /var/lib/apt/lists/*_*"
    )
    log = BED / "image-systemd.log"
    try:
        with timed(step, f"adding systemd to {base_image(suite)}", f"made {name}"):
            run(
                ["docker", "run", "--name", builder, base_image(suite), "sh", "-c", script],
                log=log,
                why=f"making {name}",
            )
            change = ["-c", f"LABEL {LABEL}={recipe}", "-c", 'CMD ["/lib/systemd/systemd"]']
            run(["docker", "commit", *change, builder, name], log=log, why=f"making {name}")
    finally:
        answer(["docker", "rm", "-f", builder])


def command_image(suite: str, systemd: bool) -> None:
    if systemd:
        make_systemd(suite)
    else:
        make_base(suite)


# --- the checkout as a collection --------------------------------------------------------------------------


def command_link() -> None:
    """Give the checkout the path below ansible_collections/ by which alone ansible finds a collection."""
    target = os.path.relpath(ROOT, LINK.parent)
    if LINK.is_symlink() and os.readlink(LINK) == target:
        say("link", f"{LINK.relative_to(ROOT)} is current")
        return
    LINK.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        LINK.unlink()
    LINK.symlink_to(target)
    say("link", f"{LINK.relative_to(ROOT)} made")


# --- the choice between real sources and stand-ins ---------------------------------------------------------


@dataclass(frozen=True)
class Pinned:
    url: str
    sha256: str


def releases(text: str) -> list[Pinned]:
    """Every url with the sha256 that stands beside it in a role's vars, in order.

    Not a YAML parser (the standard library has none): it knows the one structure of these files, whose test
    compares it with a real parser.
    """
    found, url, sha256 = [], "", ""
    for line in text.splitlines():
        line = line.split(" #")[0]
        if line.lstrip().startswith("#"):
            continue
        for key, value in re.findall(r"\b(url|sha256):\s*[\"']?([^\s\"',}]+)", line):
            if key == "url":
                url = value
            else:
                sha256 = value
            if url and sha256:
                found.append(Pinned(url, sha256))
                url = sha256 = ""
    return found


def cache_directory() -> Path:
    return Path(os.environ.get("MAILGATE_CACHE") or Path.home() / ".cache" / "mailgate") / "sources"


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def download(pinned: Pinned, connect_seconds: float = 5, whole_seconds: float = 120) -> str:
    """Bring one archive into the cache; the reason why not, or "".

    The name look-up knows no timeout of its own, so the work is done in a thread that is left alone when it
    takes too long.
    """
    connected, outcome = threading.Event(), ["no answer"]

    def fetch() -> None:
        try:
            with urllib.request.urlopen(pinned.url, timeout=connect_seconds) as reply:
                connected.set()
                content = reply.read()
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            outcome[0] = str(getattr(reason, "strerror", None) or reason)
            return
        found = hashlib.sha256(content).hexdigest()
        if found != pinned.sha256:
            outcome[0] = f"sha256 {found} instead of {pinned.sha256}"
            return
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=directory)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, directory / pinned.sha256)
        outcome[0] = ""

    worker = threading.Thread(target=fetch, daemon=True)
    worker.start()
    worker.join(connect_seconds + 1)
    if connected.is_set():
        worker.join(whole_seconds)
    return outcome[0]


def obtainable(alternatives: Sequence[Pinned]) -> tuple[str, str]:
    """(where a real source is, "") or ("", why none can be had)."""
    for pinned in alternatives:
        kept = cache_directory() / pinned.sha256
        if kept.is_file():
            if file_sha256(kept) == pinned.sha256:
                return str(kept), ""
            say("choose", f"{kept} does not have the sha256 that it is named after; it is left out")
    causes = []
    for pinned in alternatives:
        cause = download(pinned)
        if not cause:
            return pinned.url, ""
        causes.append(f"{pinned.url.split('//')[-1].split('/')[0]}: {cause}")
    return "", "; ".join(causes) or "no source is named"


def pack_standin(name: str, version: str) -> Path:
    """tests/standins/NAME as an archive whose bytes depend on its contents alone."""
    source = ROOT / "tests" / "standins" / name
    if not source.is_dir():
        raise Trouble(f"no source of {name} can be had and there is no stand-in at {source}")
    top = f"{name}-{version}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(source.rglob("*")):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            member = tarfile.TarInfo(f"{top}/{path.relative_to(source).as_posix()}")
            content = path.read_bytes()
            member.size = len(content)
            member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            archive.addfile(member, io.BytesIO(content))
    compressed = io.BytesIO()
    with gzip.GzipFile(fileobj=compressed, mode="wb", filename="", mtime=0) as stream:
        stream.write(packed.getvalue())
    target = BED / "standins" / f"{top}.tar.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or target.read_bytes() != compressed.getvalue():
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_bytes(compressed.getvalue())
        os.replace(temporary, target)
    return target


def role_releases(role: str) -> list[Pinned]:
    """The alternatives that the role itself would try."""
    path = ROOT / "roles" / role / "vars" / "main.yml"
    try:
        found = releases(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Trouble(f"cannot read the releases of {role}: {path}: {error.strerror}") from error
    if not found:
        raise Trouble(f"{path} names no url with a sha256 beside it")
    return found


def choose_netqmail(mode: str) -> str:
    place, why = (
        ("", "MAILGATE_STANDINS=always") if mode == "always" else obtainable(role_releases("netqmail"))
    )
    if place:
        say("choose", f"netqmail: the real source, {place}")
        return "netqmail_kind: source\n"
    if mode == "never":
        raise Trouble(
            f"MAILGATE_STANDINS=never and the source of netqmail cannot be had ({why}); "
            f"put it at {cache_directory()}/SHA256"
        )
    archive = pack_standin("netqmail", "1.06")
    say("choose", f"netqmail: the stand-in from tests/standins/netqmail ({why})")
    return (
        "netqmail_kind: stand-in\n"
        f'netqmail_sources:\n  - {{url: "file://{archive}", sha256: {file_sha256(archive)}}}\n'
        "netqmail_patches: []\n"
    )


def choose_cdb(mode: str) -> str:
    place, why = ("", "MAILGATE_STANDINS=always") if mode == "always" else obtainable(role_releases("cdb"))
    if place:
        say("choose", f"cdb: the real source, {place}")
        return "cdb_install_method: source\n"
    if mode == "never":
        raise Trouble(
            f"MAILGATE_STANDINS=never and the source of cdb cannot be had ({why}); "
            f"put it at {cache_directory()}/SHA256"
        )
    say("choose", f"cdb: the distribution's package ({why})")
    return "cdb_install_method: package\n"


def command_choose() -> None:
    mode = os.environ.get("MAILGATE_STANDINS", "auto")
    if mode not in ("auto", "always", "never"):
        raise Trouble(f"MAILGATE_STANDINS: {mode!r} is not a choice; expected auto, always or never")
    head = "---\n# Written by tests/bed.py choose: what this machine can have. Not for a real host.\n"
    write_atomically(CHOICE, head + choose_netqmail(mode) + choose_cdb(mode))


# --- containers --------------------------------------------------------------------------------------------


def container_pid(name: str) -> int:
    status, text = answer(["docker", "inspect", "--format", "{{.State.Pid}}", name])
    if status != 0 or text.strip() == "0":
        raise Trouble(f"no container {name!r} runs; make it with: tests/bed.py up {name} bookworm")
    return int(text)


def command_addresses(name: str) -> None:
    """Give the clients' networks to the container's loopback; gone again whenever the container restarts."""
    run(
        [sys.executable, str(ROOT / "tests" / "e2e" / "netns.py"), str(container_pid(name))],
        why="giving addresses to the loopback",
    )


def command_up(name: str, suite: str, systemd: bool) -> None:
    begin = time.monotonic()
    status, owner = answer(
        ["docker", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}.container"}}}}', name]
    )
    if status == 0:
        if owner.strip() != "yes":
            raise Trouble(f"a container {name!r} exists that the test bed did not make; remove or rename it")
        run(["docker", "rm", "-f", "-v", name], why=f"removing the old {name}")
    argv = [
        "docker",
        "run",
        "-d",
        "--name",
        name,
        "--hostname",
        HOSTNAME,
        "--label",
        f"{LABEL}.container=yes",
        "--tmpfs",
        "/run",
    ]
    for capability in CAPABILITIES_SYSTEMD if systemd else CAPABILITIES:
        argv += ["--cap-add", capability]
    if systemd:
        argv += [
            "--cgroupns=private",
            "--tmpfs",
            "/run/lock",
            "--stop-signal",
            "SIGRTMIN+3",
            "-e",
            "container=docker",
        ]
        argv += [systemd_image(suite), "/lib/systemd/systemd"]
    else:
        argv += ["--init", base_image(suite), "sh", "-c", INIT]
    run(argv, why=f"starting the container {name}")
    command_addresses(name)
    say(
        "up",
        f"{name} runs a bare {suite}{' with systemd' if systemd else ''}, {time.monotonic() - begin:.1f} s",
    )


def command_down(name: str) -> None:
    status, text = answer(["docker", "rm", "-f", "-v", name], timeout_seconds=60)
    if status != 0 and "No such container" not in text:
        raise Trouble(f"removing the container {name!r} failed: {tail(text, 1)}")
    say("down", f"{name} is gone")


# --- whole commands ----------------------------------------------------------------------------------------


def command_prepare(suites: Sequence[str]) -> None:
    command_venv()
    command_system()
    command_docker()
    for suite in suites:
        make_base(suite)
    command_link()
    command_choose()


def ansible_environment(name: str) -> dict[str, str]:
    return dict(
        os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), MAILGATE_GATEWAY=name, ANSIBLE_FORCE_COLOR="0"
    )


def command_converge(name: str, extra: Sequence[str] = ()) -> None:
    begin = time.monotonic()
    say("converge", f"playbooks/gateway.yml on {name} ...")
    argv = [venv_program("ansible-playbook"), "-i", "tests/inventory", "playbooks/gateway.yml", *extra]
    done = subprocess.run(
        argv, cwd=ROOT, env=ansible_environment(name), stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise Trouble(
            f"playbooks/gateway.yml failed on {name} after {time.monotonic() - begin:.0f} s; "
            "the failed task stands above"
        )
    say("converge", f"{name} is a gateway, {time.monotonic() - begin:.1f} s")


def command_gateway(name: str) -> None:
    """`make gateway`: from nothing to the printed table."""
    begin = time.monotonic()
    command_prepare(("bookworm",))
    command_up(name, "bookworm", systemd=False)
    command_converge(name)
    python = venv_program("python")
    table = subprocess.run(
        [python, "tests/e2e/run.py", "--gateway", name], cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    )
    command_report(name)
    say("gateway", f"{time.monotonic() - begin:.0f} s in all")
    if table.returncode != 0:
        raise Trouble("a row of the table differs from what it should be")


# --- report ------------------------------------------------------------------------------------------------


def in_container(name: str, *argv: str) -> tuple[int, str]:
    return answer(["docker", "exec", name, *argv])


def stamp_lines(texts: Iterable[str]) -> list[tuple[str, str]]:
    """(component and version, how it came here) for each stamp that source_build left."""
    lines = []
    for text in texts:
        stamp = json.loads(text)
        name = f"{stamp['recipe']['name']} {stamp['recipe'].get('version', '')}".strip()
        places = [
            source["place"] if source["via"] != "cache" else f"archive {source['sha256'][:12]} of the cache"
            for source in stamp["sources"]
        ]
        if any("/standins/" in source["place"] for source in stamp["sources"]):
            lines.append((name, "built from a STAND-IN, tests/standins"))
        else:
            lines.append((name, f"built from source, {', '.join(places)}"))
    return lines


def command_report(name: str) -> None:
    """Print what was built from source, came as a package or is a stand-in, and how to look around."""
    status, listing = in_container(name, "sh", "-c", f"ls {STAMPS} 2>/dev/null")
    texts = []
    for entry in sorted(listing.split()) if status == 0 else []:
        if entry.endswith(".json"):
            texts.append(in_container(name, "cat", f"{STAMPS}/{entry}")[1])
    lines = stamp_lines(texts)
    for package in (
        "freecdb",
        "tinycdb",
        "daemontools",
        "ucspi-tcp",
        "clamav-daemon",
        "spamassassin",
        "razor",
    ):
        status, text = in_container(name, "dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package)
        if status == 0 and text.startswith("installed "):
            lines.append((f"{package} {text.split()[1]}", "the distribution's package"))
    print("\nWhat is inside:")
    for what, how in lines or [("nothing", f"no stamp in {STAMPS}")]:
        print(f"  {what:<28} {how}")
    print(
        f"""
Look around inside:
  docker exec -it {name} bash                      a shell on the gateway
  docker exec {name} qmailctl stat                 its services
  docker exec {name} sh -c 'tail /var/log/qmail/smtpd/current'
  {venv_path()}/bin/python tests/e2e/run.py --gateway {name}   the table once more
  python3 tests/bed.py down {name}                 remove it

On a real host (Debian 12 or 13, root by ssh), with an inventory and a site file of your own:
  ansible-playbook -i INVENTORY mailgate.qmail.gateway
  tests/inventory/group_vars/gateways/site.yml is an example of the site file.
""",
        flush=True,
    )


# --- ansible-test sanity -----------------------------------------------------------------------------------

GET_PIP = '''\
"""Stands in for the downloaded get-pip: installs pip from the wheel that Python carries."""
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"])
rest = [item for item in sys.argv[1:] if item not in ("--no-setuptools", "--no-wheel")]
if rest:
    sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *rest]))
'''


def project_files() -> list[str]:
    """Tracked files and new ones that git does not ignore."""
    listing = run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        why="listing the project's files",
    )
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def copy_project(target: Path, without: tuple[str, ...] = ()) -> None:
    """Make `target` hold the project's files but those below `without`; unchanged files keep their times."""
    wanted = {name for name in project_files() if not name.startswith(without)}
    for path in sorted(target.rglob("*"), reverse=True) if target.exists() else []:
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif path.relative_to(target).as_posix() not in wanted and not {".git", "output"} & set(path.parts):
            path.unlink()
    for name in wanted:
        source, copy = ROOT / name, target / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)


def command_sanity(arguments: Sequence[str]) -> None:
    begin = time.monotonic()
    target = BED / "sanity" / "ansible_collections" / "mailgate" / "qmail"
    # What a user installs is judged; ruff and pytest hold the tests.
    copy_project(target, without=("tests/", "molecule/"))
    # A repository of its own: below an ignored directory ansible-test would see no files at all.
    run(["git", "init", "-q", str(target)], why="making the copy for ansible-test")
    # A home of its own, so that nothing is put into the user's; pip's settings come along.
    home = BED / "sanity" / "home"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for entry in (".config", ".pip"):
        if (Path.home() / entry).exists() and not (home / entry).exists():
            (home / entry).symlink_to(Path.home() / entry)
    version = "24_2"
    requirements = next(
        venv_path().glob("lib/python*/site-packages/ansible_test/_util/target/setup/requirements.py"), None
    )
    if requirements is not None:
        named = re.findall(r"pip_version = '([\d.]+)'", requirements.read_text(encoding="utf-8"))
        version = named[-1].replace(".", "_") if named else version
    write_atomically(cache / f"get_pip_{version}.py", GET_PIP)
    search = [entry for entry in os.environ.get("PATH", "").split(":") if entry and "pyenv" not in entry]
    program = venv_program("ansible-test")
    real = os.path.realpath(venv_path() / "bin" / "python")
    env = dict(
        os.environ,
        HOME=str(home),
        PATH=":".join([str(Path(program).parent), *search, str(Path(real).parent)]),
    )
    env.pop("ANSIBLE_COLLECTIONS_PATH", None)
    python = "{}.{}".format(*sys.version_info[:2])
    argv = [program, "sanity", "--venv", "--python", python, "--color", "no", *arguments]
    say("sanity", f"ansible-test sanity with Python {python} (one to two minutes the first time)")
    done = subprocess.run(argv, cwd=target, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Trouble("ansible-test sanity found something; it stands above")
    say("sanity", f"passed, {time.monotonic() - begin:.1f} s")


# --- the whole suite ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One command of the suite.  `fast` parts need no Docker."""

    name: str
    argv: tuple[str, ...]
    fast: bool = True
    fast_argv: tuple[str, ...] = ()


PYTEST = ("python", "-m", "pytest")
PARTS = (
    Part("ruff", ("ruff", "check", ".")),
    Part("mypy", ("mypy", "plugins/module_utils/mailgate")),
    Part("yamllint", ("yamllint", "--strict", ".")),
    Part("changelog", ("antsibull-changelog", "lint")),
    Part("unit", (*PYTEST, "tests/unit", "-n", "2")),
    Part(
        "module",
        (*PYTEST, "tests/module"),
        fast_argv=(*PYTEST, "tests/module", "--ignore=tests/module/test_source_build.py"),
    ),
    Part("differential", (*PYTEST, "tests/differential")),
    Part("ansible-lint", ("ansible-lint", "--offline", "--profile", "production"), fast=False),
    Part("sanity", ("python", "tests/bed.py", "sanity"), fast=False),
    Part("archive", (*PYTEST, "tests/e2e/test_archive.py"), fast=False),
    Part("molecule default", ("molecule", "test", "-s", "default"), fast=False),
    Part("molecule debian13", ("molecule", "test", "-s", "debian13"), fast=False),
    Part("molecule systemd", ("molecule", "test", "-s", "systemd"), fast=False),
    Part("molecule mta", ("molecule", "test", "-s", "mta"), fast=False),
)
COUNTS = re.compile(
    r"((?:\d+ (?:passed|failed|skipped|errors?|xfailed|xpassed|deselected|warnings?),? ?)+)in \d+[.\d]*s"
)


def counts(text: str) -> dict[str, int]:
    """What the last lines of all pytest runs in `text` say, added up: passed, failed, skipped."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for found in COUNTS.finditer(text):
        for number, word in re.findall(r"(\d+) (\w+)", found.group(1)):
            word = "failed" if word.startswith("error") else word
            if word in total:
                total[word] += int(number)
    return total


def run_part(argv: Sequence[str], env: dict[str, str], log: Path) -> tuple[int, str]:
    """Exit status and output of one part, which is shown while it runs and kept in `log`."""
    with (
        open(log, "w", encoding="utf-8") as handle,
        subprocess.Popen(
            argv,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            handle.write(line)
            lines.append(line)
    return process.returncode, "".join(lines)


def command_test(fast: bool) -> None:
    """Every part, also after one has failed; the last line adds up."""
    begin = time.monotonic()
    if fast:
        command_venv()
        command_link()
    else:
        command_prepare(("bookworm", "trixie"))
        make_systemd("bookworm")
    env = dict(
        os.environ,
        PATH=f"{venv_path() / 'bin'}:{os.environ.get('PATH', '')}",
        VIRTUAL_ENV=str(venv_path()),
        MOLECULE_COMMAND_BORDERS="0",
        MOLECULE_GLOB="molecule/*/molecule.yml",
    )
    env.pop("MAILGATE_GATEWAY", None)
    logs = BED / "test"
    logs.mkdir(exist_ok=True)
    total = {"passed": 0, "failed": 0, "skipped": 0}
    table = []
    for part in PARTS:
        if fast and not part.fast:
            continue
        start = time.monotonic()
        print(f"\n=== {part.name}", flush=True)
        argv = part.fast_argv if fast and part.fast_argv else part.argv
        status, output = run_part(argv, env, logs / f"{part.name.replace(' ', '-')}.log")
        found = counts(output)
        if not any(found.values()):
            found["failed" if status else "passed"] += 1
        elif status and not found["failed"]:
            found["failed"] += 1
        for word, number in found.items():
            total[word] += number
        verdict = "ok" if status == 0 else f"FAILED ({status})"
        table.append(
            f"  {part.name:<20} {verdict:<12} {found['passed']:>5} passed {found['failed']:>4} failed "
            f"{found['skipped']:>4} skipped {time.monotonic() - start:>7.1f} s"
        )
    print("\n" + "\n".join(table))
    summary = ", ".join(f"{number} {word}" for word, number in total.items())
    print(f"{summary} in {time.monotonic() - begin:.0f}s", flush=True)
    if total["failed"]:
        raise SystemExit(1)


def command_clean() -> None:
    """Containers of the test bed, .bed and the caches of tools; images, .venv and archives stay."""
    if shutil.which("docker") and engine_answers()[0]:
        listing = answer(["docker", "ps", "-aq", "--filter", f"label={LABEL}.container=yes"])[1].split()
        if listing:
            answer(["docker", "rm", "-f", "-v", *listing], timeout_seconds=120)
    for name in (".bed", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        CHOICE.unlink()
    say("clean", "done")


# --- the command line --------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="tests/bed.py",
        description=(__doc__ or "").splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    name = os.environ.get("MAILGATE_GATEWAY", GATEWAY)
    commands.add_parser("venv", help="make .venv from requirements-test.txt")
    commands.add_parser("system", help="install the packages that the tests need on this machine")
    commands.add_parser("docker", help="an engine that answers, started when need be")
    image = commands.add_parser("image", help="the base image of a suite")
    image.add_argument("suite", choices=SUITES)
    image.add_argument("--systemd", action="store_true", help="the variant with systemd as PID 1")
    commands.add_parser("link", help="the checkout under the name of its collection")
    commands.add_parser("choose", help="try the sources; write which are real and which are stand-ins")
    prepare = commands.add_parser("prepare", help="all of the above")
    prepare.add_argument("suites", nargs="*", choices=[*SUITES, []], help="default: bookworm")
    up = commands.add_parser("up", help="a new, bare container")
    up.add_argument("name")
    up.add_argument("suite", choices=SUITES)
    up.add_argument("--systemd", action="store_true")
    for command, text in (
        ("down", "remove a container"),
        ("addresses", "give the clients' networks to a container's loopback"),
        ("converge", "run playbooks/gateway.yml on a container"),
        ("gateway", "prepare, up, converge, table, report"),
        ("report", "what a gateway is made of and how to look inside"),
    ):
        commands.add_parser(command, help=text).add_argument("name", nargs="?", default=name)
    test = commands.add_parser("test", help="the whole suite")
    test.add_argument("--fast", action="store_true", help="only what needs no Docker")
    commands.add_parser("clean", help="remove the test bed's containers and .bed")
    sanity = commands.add_parser("sanity", help="ansible-test sanity over the project's files")
    sanity.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to ansible-test")
    return top


def dispatch(options: argparse.Namespace) -> None:
    command = options.command
    if command == "venv":
        command_venv()
    elif command == "system":
        command_system()
    elif command == "docker":
        command_docker()
    elif command == "image":
        command_image(options.suite, options.systemd)
    elif command == "link":
        command_link()
    elif command == "choose":
        command_choose()
    elif command == "prepare":
        command_prepare(options.suites or ("bookworm",))
    elif command == "up":
        command_up(options.name, options.suite, options.systemd)
    elif command == "down":
        command_down(options.name)
    elif command == "addresses":
        command_addresses(options.name)
    elif command == "converge":
        command_converge(options.name)
    elif command == "gateway":
        command_gateway(options.name)
    elif command == "report":
        command_report(options.name)
    elif command == "test":
        command_test(options.fast)
    elif command == "clean":
        command_clean()
    elif command == "sanity":
        command_sanity(options.arguments)


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        BED.mkdir(exist_ok=True)
        if options.command in ("venv", "system", "docker", "image", "link", "choose", "prepare"):
            with only_one():
                dispatch(options)
        else:
            dispatch(options)
    except Trouble as trouble:
        print(f"{options.command}: {trouble}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
