"""The module steps: what it refuses, where it ends, what it tells a service, and what it does not show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.modules import steps
from support.daemontools_services import World, pid_of
from support.module_runner import run_module
from support.role_tasks import STEPS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def run(*given: dict[str, Any], check: bool = False) -> dict[str, Any]:
    return run_module("steps", {"steps": list(given)}, check)


def file(path: Path, content: str = "one\n") -> dict[str, Any]:
    return {"files": {"files": [{"path": str(path), "content": content}]}}


def test_each_of_the_names_has_its_file_and_is_packed() -> None:
    assert set(steps.NAMES) == {path.stem for path in STEPS.glob("*.py")} - {"__init__", "part"}
    for name in steps.NAMES:
        loaded = steps.load(name)
        assert loaded.argument_spec() and loaded.run
    assert set(steps.pack.__code__.co_names) >= set(steps.NAMES)


def test_steps_are_done_in_order_and_predicted(tmp_path: Path) -> None:
    given = [{"files": {"directories": [{"path": f"{tmp_path}/etc"}]}}, file(tmp_path / "etc" / "one")]
    given += [{**file(tmp_path / "left-out"), "wanted": False}, {**file(tmp_path / "two"), "wanted": "yes"}]
    paths = [f"{tmp_path}/etc", f"{tmp_path}/etc/one", f"{tmp_path}/two"]
    for check in (True, False):
        made = run(*given, check=check)
        assert (made["changed"], made["changed_paths"]) == (True, paths)
        assert len(made["diff"]) == 3
        assert [one.get("skipped", False) for one in made["results"]] == [False, False, True, False]
        assert (tmp_path / "two").exists() is not check
    assert not (tmp_path / "left-out").exists()
    again = run(*given)
    assert (again["changed"], again["changed_paths"], again["diff"]) == (False, [], [])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"copy": {}}, "steps item 2: ['copy'] is not one module; expected one of accepted_domains, "),
        ({}, "steps item 2: [] is not one module; expected one of "),
        ({"files": {}, "tmpfs": {}}, "steps item 2: ['files', 'tmpfs'] is not one module; expected one of "),
        ({"files": []}, "steps item 2 (files): its options are of type list; expected a dictionary"),
        ({"certificates": "SECRET"}, "steps item 2 (certificates): its options are of type str; expected a "),
        ({"files": {"file": []}}, "steps item 2 (files): file. Supported parameters include: "),
        ({"smtproutes": {}}, "steps item 2 (smtproutes): missing required arguments: routes"),
        ({"files": {}, "wanted": "perhaps"}, "steps item 2 (files): wanted 'perhaps' is not true or false;"),
        ({"daemontools_service": {"name": "x", "user": "x"}}, "steps item 2 (daemontools_service): missing "),
    ],
)
def test_bad_input_is_refused_before_the_first_step(
    tmp_path: Path, step: dict[str, Any], message: str
) -> None:
    refused = run(file(tmp_path / "one"), step)
    assert refused["failed"] and refused["msg"].startswith(message), refused["msg"]
    assert (refused["changed"], list(tmp_path.iterdir())) == (False, [])


def test_it_ends_at_the_step_that_fails_and_says_what_was_changed(tmp_path: Path) -> None:
    failed = run(file(tmp_path / "one"), file(tmp_path / "no" / "two"), file(tmp_path / "three"))
    assert failed["msg"] == (
        f"path {tmp_path}/no/two: its directory '{tmp_path}/no' does not exist; expected it before"
    )
    assert (failed["failed"], failed["changed"], failed["changed_paths"]) == (
        True,
        True,
        [f"{tmp_path}/one"],
    )
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


def test_what_a_step_was_given_is_not_shown(tmp_path: Path) -> None:
    path = {"path": f"{tmp_path}/key", "content": "SECRET", "mode": "0400"}
    for check in (True, False):
        assert "SECRET" not in str(run({"files": {"files": [path]}}, check=check))
    assert "SECRET" not in str(run({"files": {"files": [{**path, "path": "/nowhere/key"}]}}))


def test_a_service_is_told_which_files_change_before_it(world: World) -> None:
    """In check mode nothing is written, so only this tells that it restarts."""
    settings = world.root / "settings"
    settings.write_text("old\n")
    places = {"service_directory": str(world.scanned), "record_directory": str(world.records)}
    directory = world.supervised("reader")
    service = {"name": "reader", "stable_seconds": 0, **places, "directory": str(directory)}
    script = f"exec sleep 1000 # {settings}\n"
    run({"daemontools_service": {**service, "run": script, "reads": [str(settings)]}})
    pid = pid_of(directory)
    step = {"daemontools_service": {**service, "run": script, "reads": [str(settings)]}}
    assert run(file(settings, "old\n"), step, check=True)["changed"] is False
    told = run(file(settings, "new\n"), step, check=True)
    assert (told["results"][1]["name"], told["results"][1]["process_started"]) == ("reader", True)
    assert pid_of(directory) == pid
    done = run(file(settings, "new\n"), step)
    assert done["results"][1]["process_started"] is True and pid_of(directory) != pid


def test_services_start_beside_each_other(world: World) -> None:
    """Without waiting each is only linked; the same names without a run script wait for all."""
    places = {"service_directory": str(world.scanned), "stable_seconds": 0.5}
    names = ["one", "two"]
    for name in names:
        world.define(name)
    began = [
        {"daemontools_service": {"name": name, "directory": f"{world.root}/{name}", "wait": False, **places}}
        for name in names
    ]
    made = run(*began)
    assert [one["process_started"] for one in made["results"]] == [True, True]
    assert [(world.scanned / name).is_symlink() for name in names] == [True, True]
    assert [pid_of(world.root / name) for name in names] == [0, 0]  # no svscan is there
    world.svscan()
    waited = run(*({"daemontools_service": {"name": name, **places}} for name in [*names, "none"]))
    assert waited["failed"] is False
    assert [pid_of(world.root / name) > 0 for name in names] == [True, True]
    assert run(*({"daemontools_service": {"name": name, **places}} for name in names))["changed"] is False


def test_a_service_that_ends_again_is_found_by_who_waits(world: World) -> None:
    world.define("broken", "#!/bin/sh\nexit 1\n")
    places = {"service_directory": str(world.scanned)}
    begun = {"name": "broken", "directory": f"{world.root}/broken", "wait": False, **places}
    assert run({"daemontools_service": begun})["failed"] is False
    world.svscan()
    failed = run({"daemontools_service": {"name": "broken", "timeout_seconds": 15, **places}})
    assert failed["failed"] and "service broken in " in failed["msg"]
