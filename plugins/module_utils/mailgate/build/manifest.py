# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of a build: paths, kinds, modes, owners and hashes of the files that it installs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import BadInput
from .recipe import recipe_hash
from .spec import absolute_path, is_inside

# -- what was installed ----------------------------------------------------------------------------


ENTRY_KINDS = ("file", "directory", "link", "fifo")


@dataclass(frozen=True)
class Entry:
    """One path: kind is file, directory, link or fifo; sha256 only for artifacts that are files."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    sha256: str = ""
    target: str = ""

    def __str__(self) -> str:
        what = f"{self.kind} {self.mode:04o} {self.uid}:{self.gid}"
        what += f" sha256 {self.sha256}" if self.sha256 else ""
        return what + (f" to {self.target}" if self.target else "")


@dataclass(frozen=True)
class Manifest:
    """The content of a stamp, and of the first member of an archive of built artifacts.

    sources: for each archive {directory, place, via, sha256}. parents: the directories above the others,
    created when missing and otherwise left unchanged.
    """

    recipe: Mapping[str, Any]
    recipe_hash: str
    sources: Sequence[Mapping[str, str]]
    artifacts: tuple[Entry, ...]
    skeleton: tuple[Entry, ...]
    parents: tuple[Entry, ...]

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"


def parse_manifest(text: str, where: str) -> Manifest:
    """Parse a manifest; raises BadInput when it is not valid, or its hash is not that of its recipe."""
    try:
        raw = json.loads(text)

        def entries(key: str) -> tuple[Entry, ...]:
            return tuple(_entry(one) for one in raw[key])

        manifest = Manifest(
            raw["recipe"],
            raw["recipe_hash"],
            raw["sources"],
            entries("artifacts"),
            entries("skeleton"),
            entries("parents"),
        )
        if recipe_hash(manifest.recipe) != manifest.recipe_hash:
            raise BadInput("recipe_hash is not that of the recipe")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"manifest {where}: {text[:60]!r} is damaged ({error!s}); expected what was written"
        ) from error
    return manifest


def _entry(raw: Mapping[str, Any]) -> Entry:
    entry = Entry(**raw)
    absolute_path(entry.path, "path")
    if entry.kind not in ENTRY_KINDS:
        raise BadInput(f"kind {entry.kind!r} is unknown")
    numbers = (entry.mode, entry.uid, entry.gid)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise BadInput("mode, uid or gid is not a number")
    if entry.mode & ~0o7777 or not re.fullmatch(r"([0-9a-f]{64})?", entry.sha256):
        raise BadInput("mode or sha256 is out of range")
    return entry


def check_manifest(manifest: Manifest) -> None:
    """Raise BadInput when a path is outside the recipe's paths, or its owner is not in the recipe."""
    ids = manifest.recipe["ids"]
    uids, gids = {0, *ids["users"].values()}, {0, *ids["groups"].values()}
    tops = {"artifact": manifest.recipe["artifacts"], "skeleton": manifest.recipe["skeleton"]}
    for what, entries in (("artifact", manifest.artifacts), ("skeleton", manifest.skeleton)):
        for entry in entries:
            if not any(is_inside(entry.path, top) for top in tops[what]):
                raise BadInput(f"{what} {entry.path}: is not in the recipe; expected one of its paths")
            if entry.kind not in ENTRY_KINDS:
                raise BadInput(f"{what} {entry.path}: a {entry.kind}; expected {', '.join(ENTRY_KINDS)}")
            _check_owner(what, entry, uids, gids)
    for entry in manifest.parents:
        if entry.kind != "directory" or not any(
            path.startswith(entry.path + "/") for path in [*tops["artifact"], *tops["skeleton"]]
        ):
            raise BadInput(f"directory {entry.path}: above nothing; expected a parent directory")
        _check_owner("directory", entry, uids, gids)


def _check_owner(what: str, entry: Entry, uids: set[Any], gids: set[Any]) -> None:
    if entry.uid not in uids or entry.gid not in gids:
        raise BadInput(
            f"{what} {entry.path}: owner {f'{entry.uid}:{entry.gid}'!r} is foreign to the recipe;"
            " expected root or one of ids"
        )


def wanted_entries(manifest: Manifest) -> list[Entry]:
    """Return artifacts and skeleton in the order of archiving and installing: parents first."""
    return sorted((*manifest.artifacts, *manifest.skeleton), key=lambda entry: entry.path.split("/"))


def differences(recorded: Iterable[Entry], found: Mapping[str, Entry | None]) -> list[tuple[str, str, str]]:
    """Return (path, state found, state recorded) for every entry that differs from its record."""
    return [
        (entry.path, str(found.get(entry.path) or "absent"), str(entry))
        for entry in recorded
        if found.get(entry.path) != entry
    ]
