# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One build: unpack, patch, run the steps as the build user, install as root."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.paths import STATE_DIRECTORY
from . import manifest as build_manifest
from . import recipe as build_recipe
from . import spec as source
from .artifacts import fresh_inode, observe_all, observe_skeleton, parents, put_directory_modes
from .builder import Builder, as_user, builder, sweep
from .layout import PATH, SOURCE_BYTES, BuildFailed, file_sha256, log_path, remove_stamp
from .manifest import Manifest
from .unpack import give_to_root, unpack, write_files

LAST_LINES = 30
BUSY_TRIES = 20
BUSY = re.compile(r"\btext (?:file )?busy\b", re.IGNORECASE)  # ETXTBSY of djb's programs, and of the others


class Log:
    """The log of a build; knows where the current step began."""

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
    """The tree, user, log and time limit of one build."""

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
        """Run one command to its end; raises BuildFailed with the last lines of its output."""
        self.log.begin(f"{phase}: {list(argv)!r}")
        where = os.path.realpath(os.path.join(self.tree, chdir))
        if where != self.tree and not where.startswith(self.tree + "/"):
            raise BuildFailed(f"{phase} of {self.name}: chdir {chdir!r} leaves the tree; expected it below")
        # As after a login, the user's own group is a supplementary one as well: chkshsgr.c of qmail,
        # ucspi-tcp and daemontools refuses to compile for a user with none.
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
    """Make a fresh tree of the build user; at the end remove it, older ones and its processes."""
    user = builder(spec.build_user)
    sweep(user)
    top = f"{STATE_DIRECTORY}/build"
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
    """Compile and install; return the manifest. archives: (path, sha256) in the spec's order."""
    digest = build_recipe.recipe_hash(recipe)
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
        for step in spec.install:
            install(shop, spec, step)
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
    build_manifest.check_manifest(manifest)
    return manifest


def install(shop: Workshop, spec: source.Spec, step: source.Step) -> None:
    """Run an install step on files that no process runs; again when a process began in between."""
    for left in reversed(range(BUSY_TRIES)):
        for entry in observe_all(spec.artifacts, hashed=False):
            if entry.kind == "file":
                fresh_inode(entry.path)
        try:
            shop.run("install", step.argv, step.chdir, step.environment, root=True)
            return
        except BuildFailed:
            if not left or not BUSY.search(shop.log.last_lines()):
                raise


def series(shop: Workshop, spec: source.Spec) -> list[tuple[str, bytes]]:
    """Return (name, content) of the patches that the tree's own series file names; none without one."""
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
    """Return a file's text. Root reads in the build user's tree: no link is followed, the size is limited."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        return stream.read(SOURCE_BYTES).decode("utf-8", "surrogateescape")
