# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only this host knows, in one archive, and back from it.

The archive is a gzipped tar. Its first member is manifest.json; then come the files of each part by their
paths without the first '/', the tokens that SpamAssassin learned as sa-learn writes them, and, when asked
for, each queued message as qmail-queue takes it. Owners go by name. An archive is read twice: nothing is
restored unless all of it may be. What the service fleet told other gateways is not in it, and forgotten by a
restored host: it hears from them what stands.
"""

from __future__ import annotations

import contextlib
import functools
import grp
import io
import json
import os
import posixpath
import pwd
import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO

from ..core import paths
from ..core.errors import BadInput, TryAgain
from ..core.files import atomic_write
from ..formats.qmail_queue import Unfinished, unfinished
from . import learned, restored

FORMAT = 1
MANIFEST = "manifest.json"
LEARNED = "learned/bayes.txt"
QUEUE = re.compile(r"queue/([0-9]+)\.(envelope|message)")
PROGRAM_SECONDS = 1800
QUIET_TRIES = 20  # to copy a database while nothing writes to it
# Records of releases stay with the copies: an older one, restored, could let a copy be delivered twice.
_LEFT_OUT = re.compile(
    r".*(?:\.lock|/\.lock|/lock|/socket|\.new|/\.mailgate-[^/]*|/operator/released(?:/.*)?)"
)
# Names of networks and pools that have to come back, not of half-written files.
_GREYLIST_PENDING = re.compile(r".*/(?:[0-9a-f.:]+-[0-9]+|pool-[0-9a-f]{64})\.new")


@dataclass(frozen=True)
class Part:
    """Files that belong together, and the services that write them."""

    name: str
    places: tuple[str, ...]  # files, or directories with all below them
    services: tuple[str, ...] = ()
    databases: bool = False  # changed in place: they are copied while nothing writes
    as_here: bool = False  # restored files belong to the owner of the place on this host


PARTS = (
    Part(
        "operators",
        (
            f"{paths.RULES_DIRECTORY}/20-operator",
            f"{paths.SENDERS_DIRECTORY}/20-operator",
            paths.OPERATOR_DIRECTORY,
        ),
        ("operator", "fleet", "fleet-engine"),
    ),
    Part(
        "spamassassin",  # which reads them only at its start
        tuple(f"{paths.SPAMASSASSIN_SITE}/{name}" for name in paths.SPAMASSASSIN_OPERATORS),
        ("operator", "spamd", "fleet", "fleet-engine"),
    ),
    Part("blacklist", (paths.BLACKLIST_DIRECTORY,), ("adaptive-blacklist", "fleet", "fleet-engine")),
    Part("greylist", (paths.GREYLIST_DIRECTORY,), as_here=True),  # either front's, which serves meanwhile
    Part("recipients", (paths.RECIPIENTS_DIRECTORY,), ("recipients",)),
    Part("statistics", (paths.STATS_DIRECTORY,), ("stats",)),
    Part("reputation", (f"{paths.SPAMD_HOME}/txrep",), ("spamd",), databases=True),
    Part("certificates", (paths.CERTIFICATES_DIRECTORY,)),
)


@dataclass
class Host:
    """Where it all is; tests have another root, and programs of their own."""

    root: str = "/"
    learn: tuple[str, ...] = ("sa-learn",)
    learner: str = "spamd"  # who runs it
    queue_program: str = f"{paths.QMAIL_PROGRAMS}/qmail-queue"
    warnings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def path(self, place: str) -> str:
        return os.path.join(self.root, place.lstrip("/"))


# ---- making one ----


def create(host: Host, target: str, queue: bool) -> dict[str, int]:
    """Write an archive that only its owner may read; return how many files of each part are in it."""
    counts: dict[str, int] = {}
    with (
        atomic_write(target, 0o600) as stream,
        tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6, format=tarfile.GNU_FORMAT) as tar,
    ):
        about = {"format": FORMAT, "hostname": os.uname().nodename, "made": int(time.time()), "queue": queue}
        _add_bytes(tar, MANIFEST, json.dumps(about, indent=1).encode())
        for part in PARTS:
            counts[part.name] = sum(_add_part(host, tar, part))
        tokens, trouble = learned.saved(host.learn, host.learner)
        if trouble:
            host.warnings.append(trouble)
        if tokens:
            _add_bytes(tar, LEARNED, tokens)
        counts["learned"] = int(bool(tokens))
        if queue:
            counts["queue"] = sum(_add_queue(host, tar))
    return counts


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
    tar.addfile(info, io.BytesIO(content))


def _add_part(host: Host, tar: tarfile.TarFile, part: Part) -> Iterator[int]:
    for place in part.places:
        # /etc/mail/spamassassin may be a link; the name in the archive is the one that we use
        for path in _below(host.path(place)):
            name = posixpath.join(place.lstrip("/"), os.path.relpath(path, host.path(place))).removesuffix(
                "/."
            )
            if _LEFT_OUT.fullmatch(path) and not _GREYLIST_PENDING.fullmatch(path):
                continue
            yield _add_path(host, tar, path, name, part.databases)


def _below(top: str) -> Iterator[str]:
    if not os.path.lexists(top):
        return
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for directory, directories, files in os.walk(top):
            directories.sort()
            for name in sorted([*directories, *files]):
                yield os.path.join(directory, name)


def _add_path(host: Host, tar: tarfile.TarFile, path: str, name: str, database: bool) -> int:
    """Add a file, a directory or a link, as it is at one moment; what is neither, or is gone, is left out."""
    try:
        if os.path.islink(path) or os.path.isdir(path):
            tar.add(path, name, recursive=False)
            return 1
        if not os.path.isfile(path):
            return 0
        with open(path, "rb") as stream:
            if not database:
                info = tar.gettarinfo(arcname=name, fileobj=stream)
                if info.islnk():  # to a file that is in the archive; here each one stands for itself
                    info.type, info.linkname = tarfile.REGTYPE, ""
                    info.size = os.fstat(stream.fileno()).st_size
                tar.addfile(info, stream)
                return 1
        content = _quiet_copy(path)
    except FileNotFoundError:
        return 0
    if content is None:
        host.warnings.append(f"{path}: was written to all the time; it is not in the archive")
        return 0
    info = tar.gettarinfo(path, name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    return 1


def _quiet_copy(path: str) -> bytes | None:
    """Return the content of a file that nobody changed meanwhile, or None."""
    for _number in range(QUIET_TRIES):
        with open(path, "rb") as stream:
            before = os.fstat(stream.fileno())
            content = stream.read()
        after = os.stat(path)
        if (before.st_ino, before.st_mtime_ns, before.st_size) == (
            after.st_ino,
            after.st_mtime_ns,
            len(content),
        ):
            return content
        time.sleep(0.2)
    return None


def _add_queue(host: Host, tar: tarfile.TarFile) -> Iterator[int]:
    for one in unfinished(host.path(paths.QMAIL_QUEUE)):
        with contextlib.suppress(FileNotFoundError), open(one.message, "rb") as stream:
            envelope = _envelope(one)
            info = tar.gettarinfo(arcname=f"queue/{one.number}.message", fileobj=stream)
            tar.addfile(info, stream)
            _add_bytes(tar, f"queue/{one.number}.envelope", envelope)
            yield 1


def _envelope(one: Unfinished) -> bytes:
    recipients = b"".join(b"T" + address + b"\0" for address in one.recipients)
    return b"F" + one.sender + b"\0" + recipients + b"\0"


# ---- restoring one ----


@dataclass(frozen=True)
class Found:
    """What is in an archive."""

    hostname: str
    made: int  # seconds of Unix time
    services: tuple[str, ...]  # to be stopped meanwhile
    queued: int


def inspect(host: Host, archive: str) -> Found:
    """Judge a whole archive; raises BadInput, which names the member, and OSError."""
    about: dict[str, object] = {}
    services: dict[str, None] = {}
    messages: set[str] = set()
    envelopes: set[str] = set()
    links: set[str] = set()
    parents: set[str] = set()
    for number, (member, _stream) in enumerate(_members(archive)):
        name = member.name
        if number == 0:
            about = _manifest(archive, member, _stream)
        elif queued := QUEUE.fullmatch(name):
            (messages if queued[2] == "message" else envelopes).add(queued[1])
        elif name != LEARNED:
            part = _part_of(archive, name)
            services.update(dict.fromkeys(part.services))
            _check(host, archive, member, part)
            if member.issym():
                links.add(name)
            if posixpath.dirname(name) not in parents:
                _stay_inside(host, name)
                parents.add(posixpath.dirname(name))
    if not about:
        raise BadInput(f"archive {archive}: is empty; expected one of mailgate backup create")
    if messages != envelopes:
        raise BadInput(
            f"archive {archive}: a queued message is not whole; expected a message and an envelope of each"
        )
    for parent in parents:
        for link in links:
            if f"{parent}/".startswith(f"{link}/"):
                raise BadInput(
                    f"archive {archive}: {link!r} is a link with files below; expected a directory"
                )
    made = about["made"]
    return Found(str(about["hostname"]), made if isinstance(made, int) else 0, tuple(services), len(messages))


def _members(archive: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                yield member, tar.extractfile(member) if member.isreg() else None
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadInput(
            f"archive {archive}: {error}; expected a whole one of mailgate backup create"
        ) from error


def _manifest(archive: str, member: tarfile.TarInfo, stream: IO[bytes] | None) -> dict[str, object]:
    expected = f"expected one of mailgate backup create, format {FORMAT}"
    if member.name != MANIFEST or stream is None or member.size > 65536:
        raise BadInput(f"archive {archive}: has no {MANIFEST} at its beginning; {expected}")
    try:
        about = json.loads(stream.read())
        found = about["format"]
        _needed = about["hostname"], about["made"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"archive {archive}: {MANIFEST} cannot be read; {expected}") from error
    if found != FORMAT:
        raise BadInput(f"archive {archive}: is of format {found!r}; {expected}")
    return dict(about)


def _place_of(name: str) -> tuple[Part, str] | None:
    for part in PARTS:
        for place in part.places:
            inside = place.lstrip("/")
            if name == inside or name.startswith(f"{inside}/"):
                return part, place
    return None


def _part_of(archive: str, name: str) -> Part:
    if found := _place_of(name):
        return found[0]
    known = ", ".join(part.name for part in PARTS)
    raise BadInput(f"archive {archive}: {name!r} belongs to no part of a backup; expected {known}")


def _stay_inside(host: Host, name: str) -> None:
    """Raise BadInput when a link on this host leads what is restored out of its place."""
    found = _place_of(name)
    if found is None or name == (inside := found[1].lstrip("/")):
        return
    top, parent = os.path.realpath(host.path(inside)), host.path(posixpath.dirname(name))
    if not f"{os.path.realpath(parent)}/".startswith(f"{top}/"):
        raise BadInput(f"{parent}: a link leads out of {host.path(inside)}; expected directories below it")


def _check(host: Host, archive: str, member: tarfile.TarInfo, part: Part) -> None:
    name = member.name
    if ".." in name.split("/") or posixpath.normpath(name) != name:
        raise BadInput(f"archive {archive}: {name!r} is not a plain path; expected one without '..'")
    if member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        # climbing in the middle of a target may begin behind another link
        if posixpath.normpath(member.linkname) != member.linkname or not any(
            target.startswith(f"{place.lstrip('/')}/") for place in part.places
        ):
            raise BadInput(
                f"archive {archive}: {name!r} leads to {member.linkname!r}; expected a link within its part"
            )
    elif not (member.isreg() or member.isdir()):
        raise BadInput(f"archive {archive}: {name!r} is neither a file, a directory nor a link")
    if member.mode & 0o6000:
        raise BadInput(
            f"archive {archive}: {name!r} has mode {member.mode:o}; expected one without set-user-id"
        )
    _owner(host, archive, member, part)


@functools.lru_cache(maxsize=64)
def _ids(user: str, group: str) -> tuple[int, int]:
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def _owner(host: Host, archive: str, member: tarfile.TarInfo, part: Part) -> tuple[int, int]:
    if part.as_here:
        with contextlib.suppress(FileNotFoundError):
            here = os.stat(host.path(part.places[0]))
            return here.st_uid, here.st_gid
    try:
        return _ids(member.uname, member.gname)
    except KeyError as error:
        owners = f"{member.uname}:{member.gname}"
        raise BadInput(
            f"archive {archive}: {member.name!r} belongs to {owners}, which is not on this host; "
            "expected a gateway that playbooks/gateway.yml made"
        ) from error


def restore(host: Host, archive: str, queue: bool) -> dict[str, int]:
    """Put all of an inspected archive back; return how many files of each part, and messages, were restored.

    What is on the host and not in the archive stays, and what the module restored says. Services that write
    the same files must be down.
    """
    counts = dict.fromkeys([*(part.name for part in PARTS), "learned", "queue"], 0)
    envelopes: dict[str, bytes] = {}
    parent = ""
    serves = os.path.isfile(host.path(restored.RECIPIENTS_SERVED))
    if serves:
        host.notices.append("recipients: the list that serves on this host stays")
    certificates: tuple[tarfile.TarInfo, tuple[int, int]] | None = None
    # Else the service fleet would tell the archive's age as acts; its engine was ended and has forgotten all.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(host.path(paths.FLEET_STATE))
    for member, stream in _members(archive):
        queued = QUEUE.fullmatch(member.name)
        if member.name == MANIFEST:
            continue
        if queued:
            if queue and stream is not None:
                # the message comes first, and its envelope behind it
                if queued[2] == "message":
                    envelopes = {queued[1]: stream.read()}
                else:
                    _requeue(host, envelopes.pop(queued[1]), stream.read())
                    counts["queue"] += 1
        elif member.name == LEARNED:
            trouble = learned.restore(host.learn, host.learner, stream.read() if stream else b"")
            counts["learned"] = int(not trouble)
            if trouble:
                host.warnings.append(trouble)
        else:
            if posixpath.dirname(member.name) != parent:
                _stay_inside(host, member.name)  # once more: the services that could make links are down
                parent = posixpath.dirname(member.name)
            part = _part_of(archive, member.name)
            owner = _owner(host, archive, member, part)
            if part.name == "recipients" and serves:
                continue
            if member.issym() and f"/{member.name}" == restored.CERTIFICATES_CURRENT:
                certificates = member, owner  # when the directory that it leads to is whole
                continue
            if f"/{member.name}" == restored.RECIPIENTS_STATE and stream is not None:
                stream = io.BytesIO(restored.without_hold(stream))
            _put(host, member, stream, owner)
            counts[part.name] += 1
    if certificates is not None:
        counts["certificates"] += _put_certificates(host, *certificates)
    os.sync()  # once: a greylist is a million files
    return counts


def _put_certificates(host: Host, member: tarfile.TarInfo, owner: tuple[int, int]) -> int:
    now = datetime.now(timezone.utc)
    if restored.keep_certificates(host.path(paths.CERTIFICATES_DIRECTORY), member.linkname, now):
        host.notices.append("certificates: those of this host stay in use, as better than the archive's")
        return 0
    _put(host, member, None, owner)
    return 1


def _put(host: Host, member: tarfile.TarInfo, stream: IO[bytes] | None, owner: tuple[int, int]) -> None:
    path = host.path(member.name)
    uid, gid = owner
    if member.isdir():
        if os.path.islink(path):
            _stay_inside(host, f"{member.name}/.")
        os.makedirs(path, exist_ok=True)
        os.chown(path, uid, gid)
        os.chmod(path, member.mode & 0o1777)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.issym():
        new = f"{path}.mailgate-restore"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        os.symlink(member.linkname, new)
        os.chown(new, uid, gid, follow_symlinks=False)
        os.rename(new, path)
        return
    if os.path.lexists(path) and not os.path.isfile(path):
        raise BadInput(f"{path}: is not a regular file; expected one or nothing where it is restored")
    new = f"{path}.mailgate-restore"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while stream is not None and (block := stream.read(1 << 20)):
            out.write(block)
        out.flush()
        os.fchown(out.fileno(), uid, gid)
        os.fchmod(out.fileno(), member.mode & 0o777)
        os.utime(out.fileno(), (member.mtime, member.mtime))
    if f"/{member.name}" != restored.AUDIT:
        os.rename(new, path)
    elif notice := restored.put_audit_log(new, path, time.time()):
        host.notices.append(notice)


def _requeue(host: Host, message: bytes, envelope: bytes) -> None:
    """Give a message to qmail-queue, which reads it from descriptor 0 and the envelope from 1."""
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        for stream, content in ((first, message), (second, envelope)):
            stream.write(content)
            stream.seek(0)
        done = subprocess.run(
            [host.queue_program], stdin=first, stdout=second, timeout=PROGRAM_SECONDS, check=False
        )
    if done.returncode != 0:
        said = f"{host.queue_program} ended with {done.returncode}; expected 0"
        raise TryAgain(f"{said}; the messages before this one are queued")


def chosen_services(host: Host, names: Sequence[str]) -> list[str]:
    """Return the directories of those services that are on this host."""
    found = [os.path.join(host.path(paths.SERVICES), name) for name in names]
    return [path for path in found if os.path.isdir(path)]
