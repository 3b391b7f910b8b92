# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done on this host for a recipe: one in source_build, all at once in preflight."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import MailgateError
from . import apt, artifacts, layout, recipe
from . import archive as built_archive
from . import host as build_host
from . import spec as source


def archives_of(recipes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each archive of recipes as name, sources, and instead: what to set where none can be had."""
    return [
        {
            "name": one["name"],
            "sources": archive["sources"],
            "instead": one.get("package_method") or "",
        }
        for one in recipes
        for archive in one.get("archives") or ()
    ]


def key(params: Mapping[str, Any], transfer: Mapping[str, Any]) -> str:
    """Return the hash of all that the controller sends for a recipe: parameters and files' digests."""
    return recipe.recipe_hash({"recipe": dict(params), "transfer": dict(transfer)})


def recipe_here(
    spec: source.Spec, transfer: Mapping[str, Any], lenient: bool, versions: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return the recipe on this host; versions: of the toolchain's packages, None for an unknown one."""
    host = build_host.host_facts(spec, lenient, {name: versions[name] for name in spec.toolchain})
    return recipe.recipe(spec, transfer["patches"], transfer["files"], host)


def plan(spec: source.Spec, here: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be done for a recipe of this host."""
    digest = recipe.recipe_hash(here)
    stamp = layout.read_stamp(spec.name)
    same = stamp is not None and stamp.recipe_hash == digest
    differing = artifacts.differences(stamp) if stamp is not None and same else []
    if same:
        before = "".join(f"{path}: {found}\n" for path, found, _wanted in differing)
        after = "".join(f"{path}: {wanted}\n" for path, _found, wanted in differing)
    else:
        before, after = recipe.readable(stamp.recipe if stamp else None), recipe.readable(here)
    return {
        "changed": not same or bool(differing),
        "recipe_hash": digest,
        "unknown_toolchain": [name for name, version in here["toolchain"].items() if version is None],
        "old_toolchain": apt.too_old(spec, here["toolchain"]),
        "source": stamp.sources if stamp is not None and same else [],
        "archive": os.path.exists(built_archive.built_path(digest)),
        "difference": {"before": before, "after": after},
    }


def current(
    builds: Sequence[Mapping[str, Any]], ids: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, Any]]:
    """Return those of the builds for which nothing has to be done, by their keys.

    builds: each with key, recipe, which are its parameters, and transfer, what the controller sends with
    them. ids: numbers that users and groups will have; a build by other ones is not current. One that cannot
    be planned is left to its own task.
    """
    specs = []
    for one in builds:
        try:
            specs.append((source.parse(one["recipe"]), one))
        except MailgateError:
            continue
    candidates: dict[str, str] = {}
    for _spec, one in specs:
        candidates.update(one["transfer"].get("candidates") or {})
    names = sorted({name for spec, _one in specs for name in spec.toolchain})
    versions = build_host.toolchain(names, candidates)
    found = {}
    for spec, one in specs:
        try:
            here = recipe_here(spec, one["transfer"], True, versions)
            planned = plan(spec, here)
        except (MailgateError, OSError):
            continue
        kept = all(
            str(number) == str(ids.get(kind, {}).get(name, number))
            for kind, numbers in here["ids"].items()
            for name, number in numbers.items()
        )
        if kept and not planned["changed"] and not planned["archive"]:
            about = {"recipe_hash": planned["recipe_hash"], "source": planned["source"]}
            found[one["key"]] = about
    return found
