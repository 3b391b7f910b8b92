# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about the host, and downloads, for source_build; these functions run on the host as root.

Layout of STATE_DIRECTORY: stamps/<name>.json, log/<name>.log, build.lock, build/<name>-<hash> during a build,
built/<hash>.tar.gz and fetched/<sha256> until the controller has them.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..core.errors import BadInput, MailgateError
from ..core.files import atomic_write
from ..formats.os_release import parse_os_release
from . import apt, recipe
from . import spec as source
from .layout import NOBODY, PATH, SOURCE_BYTES, BuildFailed

# -- what the host is -----------------------------------------------------------------------------


def host_facts(spec: source.Spec, lenient: bool, versions: Mapping[str, str | None]) -> recipe.Host:
    """Gather the facts that the recipe needs; lenient: missing users and groups are None.

    versions: of the toolchain's packages; see toolchain.
    """
    with open("/etc/os-release", encoding="utf-8") as stream:
        release = parse_os_release(stream.read())
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
    return recipe.Host(
        system=release.get("ID", ""),
        release=release.get("VERSION_ID", ""),
        machine=os.uname().machine,
        libc=os.confstr("CS_GNU_LIBC_VERSION") or "",
        toolchain=versions,
        users=users,
        groups=groups,
    )


def toolchain(
    packages: Sequence[str], candidates: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str | None]:
    """Return the upstream version of each package: the installed one, else the candidate, else None.

    candidates: the upstream versions of packages that come from the controller, and not from apt's sources.
    """
    versions: dict[str, str | None] = {}
    if packages:
        query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n", *packages]
        for line in _output(query).splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == "installed":
                versions[words[0]] = apt.upstream_version(words[2])
    missing = [name for name in packages if name not in versions]
    versions.update({name: candidates[name] for name in missing if name in candidates})
    missing = [name for name in missing if name not in candidates]
    if missing:
        # as nobody, who cannot write apt's own caches: the query changes nothing on the disk
        known = apt.apt_candidates(_output(["apt-cache", "policy", *missing], user=NOBODY))
        for name in missing:
            versions[name] = apt.upstream_version(known[name]) if name in known else None
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
    """Return the URLs where this machine's apt would look for the pool file; none without apt."""
    targets = [
        "apt-get",
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI) $(COMPONENT)",
        "Created-By: Packages",
    ]
    return apt.pool_urls(_output(targets), pool)


def download(opener: Callable[[str], Any], url: str, path: str, expected: str) -> None:
    """Download the URL to the path if its sha256 is right; raises BuildFailed with the cause.

    opener returns a readable response for a URL. Its size is limited, and path appears only once it is
    verified.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with atomic_write(path, 0o644, -1, -1) as out, contextlib.closing(opener(url)) as response:
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
    except Exception as error:  # an opener may raise anything; it is reported as the cause for this URL
        raise BuildFailed(f"{error!s}") from error
