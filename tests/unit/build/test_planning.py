# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builds preflight calls current: only those for which their own task would find nothing to do."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import planning
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from support.build_specs import A, B, arguments

TRANSFER = {"patches": [A], "files": [A]}


class Machine:
    """A host with a stamp of one build; all that a plan looks at can be changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
        self.versions: dict[str, Any] = {"gcc": "12.2.0"}
        self.user = 990
        self.differing: list[Any] = []
        self.left = place / "left"
        monkeypatch.setattr(planning.build_host, "toolchain", self.toolchain)
        monkeypatch.setattr(planning.build_host, "host_facts", self.host_facts)
        monkeypatch.setattr(planning.layout, "read_stamp", lambda name: self.stamp)
        monkeypatch.setattr(planning.artifacts, "differences", lambda stamp: self.differing)
        monkeypatch.setattr(planning.built_archive, "built_path", lambda digest: os.fspath(self.left))
        self.asked: list[Any] = []
        spec = source.parse(arguments())
        made = planning.recipe_here(spec, TRANSFER, True, self.versions)
        digest = build_recipe.recipe_hash(made)
        self.stamp = SimpleNamespace(recipe_hash=digest, recipe=made, sources=[{"via": "cache"}])

    def toolchain(self, names: Any, candidates: Any) -> dict[str, Any]:
        self.asked.append((list(names), dict(candidates)))
        return self.versions

    def host_facts(self, spec: Any, lenient: bool, versions: Any) -> build_recipe.Host:
        assert lenient  # what is missing is made by a later task
        ids = {"users": {"alias": self.user}, "groups": {"qmail": 980}}
        return build_recipe.Host("debian", "12", "x86_64", "glibc 2.36", versions, **ids)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def current(numbers: Any = None, transfer: Any = None, **changed: Any) -> dict[str, Any]:
    build = {"key": "k", "recipe": arguments(**changed), "transfer": transfer or TRANSFER}
    return planning.current([build], numbers or {})


def test_what_is_there_as_its_recipe_says_is_current(machine: Machine) -> None:
    found = {"k": {"recipe_hash": machine.stamp.recipe_hash, "source": [{"via": "cache"}]}}
    assert current() == found
    assert current({"users": {"alias": "990", "other": 1}, "groups": {}}) == found
    assert machine.asked == [(["gcc"], {})] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"transfer": {"patches": [B], "files": [A]}},
        {"transfer": {"patches": [A], "files": [B]}},
        {"build": [["make", "it"]]},
        {"artifacts": ["/usr/local/bin/other"]},
        {"ids": {"users": ["alias"], "groups": ["qmail"]}, "version": "1.1"},
        {"name": "NOT A NAME"},
    ],
)
def test_another_recipe_is_not(machine: Machine, changed: dict[str, Any]) -> None:
    assert current(**changed) == {}


def test_what_the_host_has_otherwise_is_not(machine: Machine) -> None:
    machine.differing = [("/usr/local/bin/hello", "absent", "file")]
    assert current() == {}
    machine.differing = []
    machine.left.touch()  # a run that was interrupted left it, and its own task fetches it
    assert current() == {}
    machine.left.unlink()
    machine.versions = {"gcc": "14.2.0"}
    assert current() == {}
    machine.versions = {"gcc": "12.2.0"}
    machine.user = 991
    assert current() == {}
    machine.user = 990
    assert current()
    machine.stamp = None  # type: ignore[assignment]
    assert current() == {}


def test_numbers_that_this_run_changes_are_not(machine: Machine) -> None:
    assert current({"users": {"alias": 991}}) == {} and current({"groups": {"qmail": "981"}}) == {}


def test_one_that_cannot_be_planned_leaves_the_others(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differences(stamp: Any) -> list[Any]:
        raise PermissionError(13, "Permission denied")

    builds = [{"key": name, "recipe": arguments(), "transfer": TRANSFER} for name in ("a", "b")]
    assert set(planning.current(builds, {})) == {"a", "b"} and len(machine.asked) == 1
    monkeypatch.setattr(planning.artifacts, "differences", differences)
    assert planning.current(builds, {}) == {}


def test_archives_of_recipes() -> None:
    recipes = [arguments(package_method="x: package"), {"name": "own", "archives": [], "files": []}]
    (archive,) = planning.archives_of(recipes)
    assert archive["name"] == "hello" and archive["instead"] == "x: package"
    assert archive["sources"] == arguments()["archives"][0]["sources"]


def test_a_key_is_of_all_that_is_sent() -> None:
    one = planning.key(arguments(), TRANSFER)
    assert one == planning.key(arguments(), dict(TRANSFER))
    others = [
        planning.key(arguments(step_timeout_seconds=1), TRANSFER),
        planning.key(arguments(), {**TRANSFER, "files": [B]}),
        planning.key(arguments(), {**TRANSFER, "candidates": {"gcc": "13"}}),
    ]
    assert len({one, *others}) == 4
