# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hands of source_build on the host: what source.py decides, these functions do, as root.

Layout of STATE: stamps/<name>.json, log/<name>.log, build.lock, build/<name>-<hash> while something is built,
built/<hash>.tar.gz and fetched/<sha256> until the controller has them.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import grp
import gzip
import hashlib
import io
import lzma
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from . import source
from .atomic import fsync_directory, replacing
from .errors import BadInput, MailgateError
from .source import Entry, Manifest

STATE = "/var/lib/mailgate"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SWEEP_SECONDS = 10
SOURCE_BYTES = 200_000_000
UNPACKED_BYTES = 2_000_000_000
LAST_LINES = 30
NOBODY = 65534


class BuildFailed(MailgateError):
    """A step of a build, or what surrounds it, failed; nothing was stamped."""


@dataclass(frozen=True)
class Builder:
    """The unprivileged user that compiles."""

    name: str
    uid: int
    gid: int


# -- files ----------------------------------------------------------------------------------------


def stamp_path(name: str) -> str:
    return f"{STATE}/stamps/{name}.json"


def log_path(name: str) -> str:
    return f"{STATE}/log/{name}.log"


def read_stamp(name: str) -> Manifest | None:
    """What was installed under that name; None when nothing was, or not to its end."""
    try:
        with open(stamp_path(name), encoding="utf-8") as stream:
            return source.parse_manifest(stream.read(), stamp_path(name))
    except FileNotFoundError:
        return None
    except BadInput:  # a damaged stamp proves nothing: as if there were none
        return None


def remove_stamp(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(stamp_path(name))
        fsync_directory(os.path.dirname(stamp_path(name)))


def write_stamp(name: str, manifest: Manifest) -> None:
    os.makedirs(os.path.dirname(stamp_path(name)), 0o755, exist_ok=True)
    with replacing(stamp_path(name), 0o644) as stream:
        stream.write(manifest.text().encode())


def file_sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Holds the one lock of everything that builds or installs from source on this host."""
    os.makedirs(STATE, 0o755, exist_ok=True)
    with open(f"{STATE}/build.lock", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


# -- what the host is -----------------------------------------------------------------------------


def host_facts(spec: source.Spec, lenient: bool) -> source.Host:
    """What the recipe needs to know of this host; lenient leaves missing users and groups out as None."""
    with open("/etc/os-release", encoding="utf-8") as stream:
        release = source.os_release(stream.read())
    users: dict[str, int | None] = {}
    groups: dict[str, int | None] = {}
    for name in spec.users:
        with contextlib.suppress(KeyError):
            users[name] = pwd.getpwnam(name).pw_uid
    for name in spec.groups:
        with contextlib.suppress(KeyError):
            groups[name] = grp.getgrnam(name).gr_gid
    for what, names, found in (("user", spec.users, users), ("group", spec.groups, groups)):
        missing = [name for name in names if name not in found]
        if missing and not lenient:
            raise BadInput(f"ids.{what}s: {missing!r} missing on this host; expected them to be made before")
        found.update(dict.fromkeys(missing))
    return source.Host(
        system=release.get("ID", ""),
        release=release.get("VERSION_ID", ""),
        machine=os.uname().machine,
        libc=os.confstr("CS_GNU_LIBC_VERSION") or "",
        toolchain=toolchain(spec.toolchain),
        users=users,
        groups=groups,
    )


def toolchain(packages: Sequence[str]) -> dict[str, str | None]:
    """The upstream version of each package: the installed one, else apt's candidate, else None."""
    versions: dict[str, str | None] = {}
    if packages:
        query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n", *packages]
        for line in _output(query).splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == "installed":
                versions[words[0]] = source.upstream_version(words[2])
    missing = [name for name in packages if name not in versions]
    if missing:
        # as nobody, who cannot write apt's own caches: asking changes nothing on the disk
        candidates = source.apt_candidates(_output(["apt-cache", "policy", *missing], user=NOBODY))
        for name in missing:
            versions[name] = source.upstream_version(candidates[name]) if name in candidates else None
    return versions


def _output(argv: Sequence[str], user: int | None = None) -> str:
    environment = {"PATH": PATH, "LC_ALL": "C"}
    if "APT_CONFIG" in os.environ:
        environment["APT_CONFIG"] = os.environ["APT_CONFIG"]
    try:
        done = subprocess.run(
            argv, env=environment, user=user, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return ""
    return done.stdout.decode("utf-8", "replace")


def pool_urls(pool: str) -> list[str]:
    """Where this machine's apt would look for the pool file; empty where there is no apt."""
    targets = [
        "apt-get",
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI) $(COMPONENT)",
        "Created-By: Packages",
    ]
    return source.pool_urls(_output(targets), pool)


def download(opener: Callable[[str], Any], url: str, path: str, expected: str) -> None:
    """Brings the URL's content to the path when its sha256 is right; raises BuildFailed with the cause.

    opener gives a readable response for a URL. It is bounded, and not at the path before it is right.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with replacing(path, 0o644, -1, -1) as out, contextlib.closing(opener(url)) as response:
            for block in iter(lambda: response.read(1 << 20), b""):
                digest.update(block)
                size += len(block)
                if size > SOURCE_BYTES:
                    raise BuildFailed(f"more than {SOURCE_BYTES} bytes; expected an archive of a source")
                out.write(block)
            if digest.hexdigest() != expected:
                raise BuildFailed(f"sha256 {digest.hexdigest()!r} is wrong; expected {expected!r}")
    except MailgateError:
        raise
    except Exception as error:  # an opener raises what it likes; here it is one place's cause
        raise BuildFailed(f"{error!s}") from error


def builder(name: str) -> Builder:
    """The build user, made when there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        made = subprocess.run(
            [*argv, "--shell", "/usr/sbin/nologin", name],
            env={"PATH": PATH, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode != 0:
            text = made.stdout.decode("utf-8", "replace").strip()
            raise BuildFailed(f"build user {name}: could not be made; expected useradd to: {text}") from None
        found = pwd.getpwnam(name)
    if found.pw_uid == 0 or found.pw_gid == 0:
        raise BadInput(f"build_user: {name!r} has the uid or gid of root; expected an unprivileged user")
    return Builder(name, found.pw_uid, found.pw_gid)


# -- the build user -------------------------------------------------------------------------------


def as_user(user: Builder, work: Callable[[], None]) -> None:
    """Does the work in a child that is only the build user; raises BuildFailed with the child's error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.setsid()
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
            os.umask(0o022)
            work()
            status = 0
        except Exception as error:
            os.write(writing, str(error).encode("utf-8", "replace")[:4000])
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    if os.waitpid(child, 0)[1] != 0:
        raise BuildFailed(
            text or f"build user {user.name}: a child ended without a word; expected it to finish"
        )


def processes_of(uid: int) -> dict[int, str]:
    """The living processes with that uid in any of their four uids: pid and command."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as stream:
                status = dict(line.split(":", 1) for line in stream.read().splitlines() if ":" in line)
            dead = status["State"].strip().startswith(("Z", "X"))
            if not dead and uid in map(int, status["Uid"].split()):
                found[int(entry)] = status["Name"].strip()
    return found


def sweep(user: Builder) -> None:
    """Kills every process of the build user until none is left; raises BuildFailed when one stays."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while True:
        alive = processes_of(user.uid)
        if not alive:
            return
        if time.monotonic() > deadline:
            names = ", ".join(f"{pid} ({name})" for pid, name in sorted(alive.items()))
            raise BuildFailed(f"build user {user.name}: processes {names} stay; expected SIGKILL to end them")
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


# -- the tree -------------------------------------------------------------------------------------


def unpack(stream: IO[bytes], directory: str, strip: int, where: str) -> None:
    """Unpacks a compressed tar archive below the directory; runs as the build user."""
    kind = source.compression(stream.read(6), where)
    stream.seek(0)
    os.makedirs(directory, 0o755, exist_ok=True)
    try:
        with tarfile.open(
            fileobj=uncompressed(stream, directory) if kind == "Z" else stream, mode="r:*"
        ) as tar:
            infos = tar.getmembers()
            placed = source.place_members([_member(info) for info in infos], strip, where)
            for info, place in zip(infos, placed):
                if place is not None:
                    _unpack_member(tar, info, place, directory)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise BuildFailed(f"archive {where}: {error!s}; expected a whole tar archive") from error


def uncompressed(stream: IO[bytes], directory: str) -> IO[bytes]:
    """What compress(1) packed, in a file without a name; Python knows no .Z, gzip does."""
    os.lseek(stream.fileno(), 0, os.SEEK_SET)  # seek() moves only what Python has read ahead
    out = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
    child = subprocess.Popen(["gzip", "-dc"], env={"PATH": PATH}, stdin=stream, stdout=subprocess.PIPE)
    with child:
        if child.stdout is None:
            raise OSError("gzip has no output")
        for block in iter(functools.partial(child.stdout.read, 1 << 20), b""):
            out.write(block)
            if out.tell() > UNPACKED_BYTES:
                child.kill()
                raise OSError(f"unpacks to more than {UNPACKED_BYTES} bytes")
    if child.returncode != 0:
        raise OSError(f"gzip ended with status {child.returncode}")
    out.seek(0)
    return out


def _member(info: tarfile.TarInfo) -> source.Member:
    if info.isreg():
        kind = "file"
    elif info.isdir():
        kind = "directory"
    elif info.issym():
        kind = "symlink"
    else:
        kind = "hardlink" if info.islnk() else "other"
    return source.Member(info.name, kind, info.linkname)


def _unpack_member(tar: tarfile.TarFile, info: tarfile.TarInfo, place: source.Placed, directory: str) -> None:
    path = os.path.join(directory, place.path)
    if info.isdir():
        os.makedirs(path, 0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if info.issym():
        os.symlink(place.link, path)
        return
    if os.path.lexists(path):  # an earlier archive's
        os.unlink(path)
    if info.islnk():
        os.link(os.path.join(directory, place.link), path)
        return
    content = tar.extractfile(info)
    if content is None:
        raise BuildFailed(f"member {info.name!r}: cannot be read; expected a regular file")
    mode = (info.mode & 0o755) | 0o600
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as out:
        shutil.copyfileobj(content, out)
        os.fchmod(out.fileno(), mode)
    os.utime(path, (info.mtime, info.mtime))


def write_files(tree: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Writes the files below the tree; runs as the build user."""
    for relative, content in files:
        path = os.path.join(tree, relative)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "wb") as stream:
            stream.write(content)


def give_to_root(tree: str, user: Builder) -> None:
    """Makes root the owner of the tree, without set-id bits and without write permission for anybody else."""
    for directory, names, others in os.walk(tree):
        for path in [directory, *(os.path.join(directory, name) for name in names + others)]:
            info = os.lstat(path)
            if info.st_uid not in (0, user.uid):
                raise BuildFailed(f"build tree {path}: belongs to uid {info.st_uid}; expected {user.name}")
            os.lchown(path, 0, 0)
            if not stat.S_ISLNK(info.st_mode):
                os.chmod(path, stat.S_IMODE(info.st_mode) & ~0o6022)


class Log:
    """The log of a build; remembers where the current step began."""

    def __init__(self, name: str) -> None:
        self.path = log_path(name)
        os.makedirs(os.path.dirname(self.path), 0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self.stream = open(os.open(self.path, flags, 0o644), "r+b", buffering=0)  # noqa: SIM115
        os.fchmod(self.stream.fileno(), 0o644)
        self.start = 0

    def begin(self, title: str) -> None:
        self.stream.write(f"== {title}\n".encode("utf-8", "backslashreplace"))
        self.start = self.stream.seek(0, os.SEEK_END)

    def last_lines(self) -> str:
        with open(self.path, "rb") as stream:
            stream.seek(max(self.start, os.path.getsize(self.path) - 100_000))
            lines = stream.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-LAST_LINES:]) or "(no output)"


@dataclass(frozen=True)
class Workshop:
    """Where and as whom one build runs."""

    name: str
    tree: str
    user: Builder
    log: Log
    timeout_seconds: int

    def run(
        self,
        phase: str,
        argv: Sequence[str],
        chdir: str,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        root: bool = False,
    ) -> None:
        """Runs one command to its end; raises BuildFailed with the last lines of its output."""
        self.log.begin(f"{phase}: {list(argv)!r}")
        where = os.path.realpath(os.path.join(self.tree, chdir))
        if where != self.tree and not where.startswith(self.tree + "/"):
            raise BuildFailed(f"{phase} of {self.name}: chdir {chdir!r} leaves the tree; expected it below")
        # as after a login, the user's own group is a supplementary one as well: chkshsgr.c of qmail,
        # ucspi-tcp and daemontools refuses to compile for a user with none
        uid, gid, groups = (0, 0, []) if root else (self.user.uid, self.user.gid, [self.user.gid])
        clean = {
            "PATH": PATH,
            "HOME": self.tree,
            "LC_ALL": "C",
            "TZ": "UTC",
            "USER": "root" if root else self.user.name,
        }
        clean.update(environment or {})
        try:
            with subprocess.Popen(
                argv,
                cwd=where,
                env=clean,
                stdin=subprocess.PIPE,
                stdout=self.log.stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,
                user=uid,
                group=gid,
                extra_groups=groups,
            ) as child:
                try:
                    child.communicate(stdin or b"", self.timeout_seconds)
                except subprocess.TimeoutExpired as error:
                    raise BuildFailed(
                        f"{phase} of {self.name}: {list(argv)!r} runs longer than {self.timeout_seconds}"
                        f" seconds; expected it to end; log {self.log.path}, last lines:\n"
                        f"{self.log.last_lines()}"
                    ) from error
                finally:
                    if child.poll() is None:
                        os.killpg(child.pid, signal.SIGKILL)
        except OSError as error:
            raise BuildFailed(
                f"{phase} of {self.name}: {list(argv)!r} cannot be started: {error}; expected a command"
            ) from error
        if child.returncode != 0:
            code = child.returncode
            how = f"exit status {code}" if code > 0 else f"signal {-code} ({signal.Signals(-code).name})"
            raise BuildFailed(
                f"{phase} of {self.name}: {list(argv)!r} ended with {how}; expected exit status 0;"
                f" log {self.log.path}, last lines:\n{self.log.last_lines()}"
            )


@contextlib.contextmanager
def workshop(spec: source.Spec, digest: str) -> Iterator[Workshop]:
    """A fresh tree of the build user; it, its processes and older trees of the name are gone afterwards."""
    user = builder(spec.build_user)
    sweep(user)
    top = f"{STATE}/build"
    os.makedirs(top, 0o755, exist_ok=True)
    for left in os.listdir(top):
        if left.rpartition("-")[0] == spec.name:
            shutil.rmtree(os.path.join(top, left))
    tree = f"{top}/{spec.name}-{digest[:12]}"
    os.mkdir(tree, 0o700)
    os.chown(tree, user.uid, user.gid)
    log = Log(spec.name)
    try:
        yield Workshop(spec.name, tree, user, log, spec.step_timeout_seconds)
    finally:
        log.stream.close()
        sweep(user)
        shutil.rmtree(tree)


def build(
    spec: source.Spec,
    recipe: Mapping[str, Any],
    archives: Sequence[tuple[str, str]],
    patches: Sequence[bytes],
    files: Sequence[bytes],
    sources: Sequence[Mapping[str, str]],
) -> Manifest:
    """Compiles and installs; returns what was installed. archives: (path, sha256) in the spec's order."""
    digest = source.recipe_hash(recipe)
    with workshop(spec, digest) as shop:
        for wanted, (path, expected) in zip(spec.archives, archives):
            found = file_sha256(path)
            if found != expected:
                raise BuildFailed(f"archive {path}: sha256 {found!r} is wrong; expected {expected!r}")
            place = next(one.place for one in wanted.sources if one.sha256 == found)
            into = os.path.normpath(os.path.join(shop.tree, wanted.directory))
            with open(path, "rb") as stream:
                as_user(shop.user, functools.partial(unpack, stream, into, wanted.strip, place))
        for label, content in [*series(shop, spec), *zip(spec.patches, patches)]:
            argv = ["patch", "-p1", "-F0", "-N", "--no-backup-if-mismatch"]
            shop.run(f"patch {os.path.basename(label)}", argv, spec.chdir, stdin=content)
        written = [(file.path, content) for file, content in zip(spec.files, files)]
        as_user(shop.user, functools.partial(write_files, shop.tree, written))
        for step in spec.build:
            shop.run("build", step.argv, step.chdir, step.environment)
        sweep(shop.user)
        give_to_root(shop.tree, shop.user)
        remove_stamp(spec.name)
        for entry in observe_all(spec.artifacts, hashed=False):
            if entry.kind == "file":
                fresh_inode(entry.path)
        for step in spec.install:
            shop.run("install", step.argv, step.chdir, step.environment, root=True)
    put_directory_modes(spec.directory_modes)
    missing = [path for path in (*spec.artifacts, *spec.skeleton) if not os.path.lexists(path)]
    if missing:
        raise BuildFailed(
            f"install of {spec.name}: {missing!r} not there afterwards; expected every artifact"
        )
    manifest = Manifest(
        recipe=recipe,
        recipe_hash=digest,
        sources=sources,
        artifacts=tuple(observe_all(spec.artifacts, hashed=True)),
        skeleton=tuple(observe_skeleton(spec.skeleton)),
        parents=tuple(parents((*spec.artifacts, *spec.skeleton), recipe)),
    )
    source.check_manifest(manifest)
    return manifest


def series(shop: Workshop, spec: source.Spec) -> list[tuple[str, bytes]]:
    """(name, content) of the patches that the tree's own series file names; none without one."""
    if spec.series is None:
        return []
    top = os.path.join(shop.tree, spec.series)
    try:
        names = source.series(_text(top), spec.series)
        found = [os.path.join(os.path.dirname(top), name) for name in names]
        return [(name, _text(path).encode("utf-8", "surrogateescape")) for name, path in zip(names, found)]
    except OSError as error:
        raise BuildFailed(f"series {spec.series}: {error!s}; expected a file of the archives") from error


def _text(path: str) -> str:
    """The file's text; root reads in the build user's tree, so neither through a link nor without end."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(f"{path} is no regular file")
        return stream.read(SOURCE_BYTES).decode("utf-8", "surrogateescape")


def fresh_inode(path: str) -> None:
    """Replaces the file by a copy of itself, so that who writes into it does not meet a running program."""
    info = os.lstat(path)
    with (
        open(path, "rb") as old,
        replacing(path, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) as new,
    ):
        shutil.copyfileobj(old, new)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def put_directory_modes(modes: Mapping[str, int]) -> None:
    for path, mode in modes.items():
        if os.path.isdir(path):
            os.chown(path, 0, 0)
            os.chmod(path, mode)


# -- what is installed ----------------------------------------------------------------------------

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}


def observe(path: str, hashed: bool) -> Entry | None:
    """What is there; None for nothing. hashed: with the sha256 of a file's content."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "device or socket")
    digest = file_sha256(path) if hashed and kind == "file" else ""
    target = os.readlink(path) if kind == "link" else ""
    return Entry(path, kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, digest, target)


def observe_all(tops: Iterable[str], hashed: bool) -> list[Entry]:
    """Every path at and below the tops that exist, sorted, each once."""
    found: dict[str, Entry] = {}
    for top in tops:
        for path in _walk(top):
            entry = observe(path, hashed)
            if entry is not None:
                found[path] = entry
    return [found[path] for path in sorted(found)]


def observe_skeleton(tops: Sequence[str]) -> list[Entry]:
    """The directories and fifos at and below the tops, and the tops themselves whatever they are."""
    return [
        entry
        for entry in observe_all(tops, hashed=False)
        if entry.kind in ("directory", "fifo") or entry.path in tops
    ]


def _walk(top: str) -> Iterator[str]:
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for directory, names, others in os.walk(top):
            for name in names + others:
                yield os.path.join(directory, name)


def parents(paths: Iterable[str], recipe: Mapping[str, Any]) -> list[Entry]:
    """The directories above the paths; one of a stranger is recorded as root's."""
    uids, gids = {0, *recipe["ids"]["users"].values()}, {0, *recipe["ids"]["groups"].values()}
    found = {}
    for path in paths:
        above = os.path.dirname(path)
        while above != "/":
            info = os.stat(above)
            own = info.st_uid in uids and info.st_gid in gids
            uid, gid = (info.st_uid, info.st_gid) if own else (0, 0)
            found[above] = Entry(above, "directory", stat.S_IMODE(info.st_mode), uid, gid)
            above = os.path.dirname(above)
    return [found[path] for path in sorted(found)]


def differences(manifest: Manifest) -> list[tuple[str, str, str]]:
    """(path, what is there, what should be) for everything that is not as recorded."""
    return source.differences(
        manifest.artifacts, {entry.path: observe(entry.path, hashed=True) for entry in manifest.artifacts}
    ) + source.differences(
        manifest.skeleton, {entry.path: observe(entry.path, hashed=False) for entry in manifest.skeleton}
    )


# -- the archive of what was built ----------------------------------------------------------------


TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def _info(entry: Entry, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path[1:])
    info.type = TAR_TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.linkname, info.size = (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.target,
        size,
    )
    return info


def built_path(digest: str) -> str:
    return f"{STATE}/built/{digest}.tar.gz"


def pack(manifest: Manifest) -> str:
    """Writes the archive of what the manifest names; returns its path. Its bytes depend on nothing else."""
    path = built_path(manifest.recipe_hash)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    os.makedirs(os.path.dirname(path), 0o700)
    text = manifest.text().encode()
    with replacing(path, 0o600) as raw:
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            first = tarfile.TarInfo("manifest.json")
            first.size, first.mode = len(text), 0o644
            tar.addfile(first, io.BytesIO(text))
            for entry in source.wanted_entries(manifest):
                if entry.kind == "file":
                    with open(entry.path, "rb") as content:
                        tar.addfile(_info(entry, os.fstat(content.fileno()).st_size), content)
                else:
                    tar.addfile(_info(entry))
    return path


def verified(tar: tarfile.TarFile, digest: str) -> tuple[Manifest, list[tuple[tarfile.TarInfo, Entry]]]:
    """The manifest and every member with its entry, each checked against the other; raises BadInput."""
    where = "archive of what was built"
    infos = tar.getmembers()
    content = tar.extractfile(infos[0]) if infos and infos[0].isreg() else None
    if content is None or infos[0].name != "manifest.json":
        raise BadInput(f"{where}: first member is no manifest.json; expected one")
    manifest = source.parse_manifest(content.read().decode("utf-8", "replace"), "of the archive")
    if manifest.recipe_hash != digest:
        raise BadInput(f"{where}: recipe {manifest.recipe_hash!r} is another; expected {digest!r}")
    source.check_manifest(manifest)
    entries = source.wanted_entries(manifest)
    if [info.name for info in infos[1:]] != [entry.path[1:] for entry in entries]:
        raise BadInput(f"{where}: members are not those of its manifest; expected the same")
    for info, entry in zip(infos[1:], entries):
        same = _info(entry, info.size)
        what = ("type", "mode", "uid", "gid", "linkname")
        if any(getattr(info, name) != getattr(same, name) for name in what):
            raise BadInput(f"{where}: member {info.name!r} differs from its manifest; expected {entry}")
        stream = tar.extractfile(info) if entry.sha256 else None
        if stream is not None and source.sha256(stream.read()) != entry.sha256:
            raise BadInput(f"{where}: content of {info.name!r} is wrong; expected {entry.sha256}")
    return manifest, list(zip(infos[1:], entries))


def restore(path: str, name: str, digest: str, directory_modes: Mapping[str, int]) -> Manifest:
    """Puts what the archive holds in place; raises BadInput, with nothing changed, when it is not right."""
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            manifest, members = verified(tar, digest)
            remove_stamp(name)
            for entry in manifest.parents:
                if not os.path.isdir(entry.path):
                    os.mkdir(entry.path)
                    _own(entry)
            skeleton = {entry.path for entry in manifest.skeleton}
            for info, entry in members:
                _put(tar, info, entry, keep=entry.path in skeleton)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadInput(f"archive of what was built: {error!s}; expected a whole tar archive") from error
    put_directory_modes(directory_modes)
    left = differences(manifest)
    if left:
        raise BuildFailed(
            f"restore of {name}: {left[0][0]} is {left[0][1]!r} afterwards; expected {left[0][2]!r}"
        )
    return manifest


def _own(entry: Entry) -> None:
    os.lchown(entry.path, entry.uid, entry.gid)
    if entry.kind != "link":
        os.chmod(entry.path, entry.mode)


def _put(tar: tarfile.TarFile, info: tarfile.TarInfo, entry: Entry, keep: bool) -> None:
    """Makes one path as recorded. keep: what is there stays, only its owner and mode are put right."""
    there = observe(entry.path, hashed=bool(entry.sha256))
    if there == entry:
        return
    if there is not None and there.kind != entry.kind:
        if keep or there.kind == "directory":
            raise BuildFailed(f"restore: {entry.path} is a {there.kind}; expected a {entry.kind} or nothing")
        os.unlink(entry.path)
        there = None
    if entry.kind == "file" and not (keep and there):
        content = tar.extractfile(info)
        if content is None:
            raise BadInput(f"restore: {entry.path} has no content in the archive; expected a file")
        with replacing(entry.path, entry.mode, entry.uid, entry.gid) as stream:
            shutil.copyfileobj(content, stream)
        return
    if entry.kind == "link":
        temporary = f"{os.path.dirname(entry.path)}/.mailgate-link-{os.getpid()}"
        os.symlink(entry.target, temporary)
        os.lchown(temporary, entry.uid, entry.gid)
        os.rename(temporary, entry.path)
        return
    if there is None and entry.kind == "directory":
        os.mkdir(entry.path)
    elif there is None and entry.kind == "fifo":
        os.mkfifo(entry.path)
    _own(entry)
