# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts from apt: the distribution's release, candidate versions, and addresses of pool files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .spec import Spec


def upstream_version(version: str) -> str:
    """Return a Debian version without epoch and revision: '4:12.2.0-3' gives '12.2.0' (deb-version(7))."""
    rest = version.split(":", 1)[-1]
    return rest.rsplit("-", 1)[0] if "-" in rest else rest


def too_old(spec: Spec, toolchain: Mapping[str, str | None]) -> list[str]:
    """Return a sentence for each toolchain package whose known version is older than the build needs."""
    return [
        f"toolchain: {name} {found!r} is too old; expected {minimum} or newer"
        for name, minimum in spec.toolchain_minimum.items()
        for found in [toolchain.get(name)]
        if found is not None and _numbers(found) < _numbers(minimum)
    ]


def _numbers(version: str) -> list[int]:
    """Return the leading numbers of an upstream version: '1.96.0+dfsg1' gives [1, 96, 0]."""
    leading = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return [int(number) for number in leading.group().split(".")] if leading else []


def apt_candidates(text: str) -> dict[str, str]:
    """Return each package's candidate version in the output of `apt-cache policy` with LC_ALL=C."""
    found, package = {}, ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            package = line.rstrip(":")
        elif line.strip().startswith("Candidate: ") and line.split()[1] != "(none)":
            found[package] = line.split()[1]
    return found


def pool_urls(targets: str, pool: str) -> list[str]:
    """Return the possible URLs of a pool file, in order, from lines `<repository's URI> <component>`."""
    urls = []
    for line in targets.splitlines():
        uri, _dummy, component = line.strip().rpartition(" ")
        if re.match(r"(https?|file):", uri) and component in pool.split("/")[:-1]:
            urls.append(f"{re.sub(r'^file:/+', 'file:///', uri).rstrip('/')}/pool/{pool}")
    return list(dict.fromkeys(urls))
