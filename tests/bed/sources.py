# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice between real sources and stand-ins, from what this machine can have."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .common import BED, ROOT, Trouble, say

CHOICE = ROOT / "tests" / "inventory" / "group_vars" / "gateways" / "choice.yml"


@dataclass(frozen=True)
class Pinned:
    url: str
    sha256: str


def releases(text: str) -> list[Pinned]:
    """Return every url with the sha256 beside it in a role's vars, in order.

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
    """Bring one archive into the cache; return the reason why not, or "".

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
    """Return (the place of a real source, "") or ("", the reason why there is none)."""
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
    """Return tests/standins/NAME as an archive whose bytes depend only on its contents."""
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
    """Return the alternatives that the role itself would try."""
    path = ROOT / "roles" / role / "vars" / "main.yml"
    try:
        found = releases(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Trouble(f"cannot read the releases of {role}: {path}: {error.strerror}") from error
    if not found:
        raise Trouble(f"{path} names no url with a sha256 beside it")
    return found


def choose_real(role: str, version: str, mode: str) -> str:
    """Return the real source, or the stand-in from tests/standins without the patches for the real one."""
    place, why = ("", "MAILGATE_STANDINS=always") if mode == "always" else obtainable(role_releases(role))
    if place:
        say("choose", f"{role}: the real source, {place}")
        return f"{role}_kind: source\n"
    if mode == "never":
        raise Trouble(
            f"MAILGATE_STANDINS=never and the source of {role} cannot be had ({why}); "
            f"put it at {cache_directory()}/SHA256"
        )
    archive = pack_standin(role, version)
    say("choose", f"{role}: the stand-in from tests/standins/{role} ({why})")
    return (
        f"{role}_kind: stand-in\n"
        f'{role}_sources:\n  - url: "file://{archive}"\n    sha256: {file_sha256(archive)}\n'
        f"{role}_patches: []\n"
    )


def choose_netqmail(mode: str) -> str:
    return choose_real("netqmail", "1.06", mode)


def choose_simscan(mode: str) -> str:
    return choose_real("simscan", "1.4.6.2", mode)


def choose_cdb(mode: str) -> str:
    place, why = ("", "MAILGATE_STANDINS=always") if mode == "always" else obtainable(role_releases("cdb"))
    if place:
        say("choose", f"cdb: the real source, {place}")
        return "cdb_install_method: source\n"
    # A package is not a stand-in: it is the real cdb, and only people use its tools.
    say("choose", f"cdb: the distribution's package ({why})")
    return "cdb_install_method: package\n"


def choose_large(role: str, source: bool) -> str:
    """Choose the distribution's package of a large program, or its source if MAILGATE_SOURCE asks for it."""
    if not source:
        say("choose", f"{role}: the distribution's package (MAILGATE_SOURCE=1 builds it)")
        return f"{role}_install_method: package\n"
    if "pool:" in (ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8"):
        say("choose", f"{role}: the real source, from the mirror that apt is configured with")
        return f"{role}_install_method: source\n"
    place, why = obtainable(role_releases(role))
    what = f"the real source, {place}" if place else f"the distribution's package ({why})"
    say("choose", f"{role}: {what}")
    return f"{role}_install_method: {'source' if place else 'package'}\n"


def choose_dcc() -> str:
    place, why = obtainable(role_releases("dcc"))
    say("choose", f"dcc: the real source, {place}" if place else f"dcc: off ({why})")
    return f"dcc_enabled: {'true' if place else 'false'}\n"
