# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recipe of a build: everything that determines its result, and its hash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .spec import Spec, Step, sha256

FORMAT = 1


# -- the recipe ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """The facts of the host that a build depends on; None stands for an unknown value."""

    system: str
    release: str
    machine: str
    libc: str
    toolchain: Mapping[str, str | None]
    users: Mapping[str, int | None]
    groups: Mapping[str, int | None]


def recipe(spec: Spec, patches: Sequence[str], files: Sequence[str], host: Host) -> dict[str, Any]:
    """Return everything that determines a build's result, as plain data.

    patches and files are the sha256 of their contents, in the order of the spec. Where an archive comes from
    is not part of it, nor are the version of Python and the name of the cache.
    """
    made = {
        "format": FORMAT,
        "name": spec.name,
        "version": spec.version,
        "archives": [
            {"directory": one.directory, "strip": one.strip, "sha256": [at.sha256 for at in one.sources]}
            for one in spec.archives
        ],
        "patches": list(patches),
        "files": [{"path": file.path, "sha256": digest} for file, digest in zip(spec.files, files)],
        "chdir": spec.chdir,
        "build": [_step_data(step) for step in spec.build],
        "install": [_step_data(step) for step in spec.install],
        "packages": sorted(spec.packages),
        "artifacts": sorted(spec.artifacts),
        "skeleton": sorted(spec.skeleton),
        "directory_modes": {path: f"{mode:04o}" for path, mode in spec.directory_modes.items()},
        "platform": {"system": host.system, "release": host.release, "machine": host.machine},
        "libc": host.libc,
        "toolchain": dict(host.toolchain),
        "ids": {"users": dict(host.users), "groups": dict(host.groups)},
    }
    return made if spec.series is None else {**made, "series": spec.series}


def _step_data(step: Step) -> dict[str, Any]:
    return {"argv": list(step.argv), "chdir": step.chdir, "environment": dict(step.environment)}


def recipe_hash(one: Mapping[str, Any]) -> str:
    return sha256(json.dumps(one, sort_keys=True, separators=(",", ":")).encode())


def readable(one: Mapping[str, Any] | None) -> str:
    """Return the recipe as sorted lines for a diff; '' for None."""
    return "" if one is None else json.dumps(one, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
