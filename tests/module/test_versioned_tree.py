"""versioned_tree: a whole new tree beside the old one, one rename of a link; what runs keeps its files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import package_versions as versions
from support.module_runner import run_module

PROGRAM = "import sys\nfrom package import number\nsys.exit(number.value)\n"


def arguments(root: Path, value: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "directory": f"{root}/lib",
        "files": [
            {"path": "__main__.py", "content": PROGRAM},
            {"path": "package/__init__.py", "content": ""},
            {"path": "package/number.py", "content": f"value = {value}\n"},
        ],
        **more,
    }


def install(root: Path, value: int = 1, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module("versioned_tree", arguments(root, value, **more), check)


def names(root: Path) -> set[str]:
    return set(os.listdir(root / "lib"))


def test_a_program_runs_from_the_version_that_the_link_names(tmp_path: Path) -> None:
    for value in (3, 4):
        made = install(tmp_path, value)
        assert (made["failed"], made["changed"]) == (False, True)
        assert os.readlink(tmp_path / "lib" / "current") == made["version"]
        run = subprocess.run([sys.executable, "-I", "-B", tmp_path / "lib" / "current"], check=False)
        assert run.returncode == value


def test_the_version_before_stays_and_the_one_before_that_goes(tmp_path: Path) -> None:
    first, second = (install(tmp_path, value)["version"] for value in (1, 2))
    assert names(tmp_path) == {"current", first, second}
    made = install(tmp_path, 3)
    assert made["removed"] == [first]
    assert names(tmp_path) == {"current", second, made["version"]}


def test_a_version_that_a_process_runs_from_stays(tmp_path: Path) -> None:
    first = install(tmp_path, 1)["version"]
    running = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", f"{tmp_path}/lib/{first}"],
        stdin=subprocess.PIPE,
    )
    try:
        install(tmp_path, 2)
        assert install(tmp_path, 3)["removed"] == []
        assert first in names(tmp_path)
    finally:
        running.communicate()
    assert first in install(tmp_path, 4)["removed"]
    assert first not in names(tmp_path)


def test_back_to_a_version_that_is_still_there_only_switches(tmp_path: Path) -> None:
    first, second = (install(tmp_path, value)["version"] for value in (1, 2))
    inode = (tmp_path / "lib" / first).stat().st_ino
    assert install(tmp_path, 1)["version"] == first
    assert (tmp_path / "lib" / first).stat().st_ino == inode
    assert names(tmp_path) == {"current", first, second}


def damage_content(version: Path) -> None:
    (version / "package" / "number.py").write_text("value = 9\n")


def damage_mode(version: Path) -> None:
    (version / "package" / "number.py").chmod(0o666)


def damage_owner(version: Path) -> None:
    os.chown(version / "package", 65534, 65534)


def damage_by_one_more(version: Path) -> None:
    (version / "package" / "more.py").touch()


def damage_by_one_less(version: Path) -> None:
    (version / "package" / "number.py").unlink()


def damage_by_a_link(version: Path) -> None:
    (version / "package" / "number.py").unlink()
    (version / "package" / "number.py").symlink_to("/dev/null")


@pytest.mark.parametrize(
    "damage",
    [damage_content, damage_mode, damage_owner, damage_by_one_more, damage_by_one_less, damage_by_a_link],
)
def test_a_damaged_version_is_written_anew_under_another_name(damage: Any, tmp_path: Path) -> None:
    first = install(tmp_path)["version"]
    damage(tmp_path / "lib" / first)
    predicted = install(tmp_path, check=True)
    made = install(tmp_path)
    assert made["version"] == predicted["version"] == f"{first}-2"
    assert made["diff"] == predicted["diff"]
    assert install(tmp_path)["changed"] is False
    # The damaged one was the version before; it goes with the next but one.
    install(tmp_path, 2)
    assert first not in names(tmp_path)


def test_files_of_an_earlier_layout_stay_until_the_second_version(tmp_path: Path) -> None:
    flat = {"pattern": "*.py", "path": "package", "command": f"no-such-process-{tmp_path}"}
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "number.py").write_text("value = 1\n")
    (tmp_path / "lib" / "notes.txt").write_text("somebody's\n")
    made = install(tmp_path, 2, flat=flat)
    assert names(tmp_path) == {"current", made["version"], "number.py", "notes.txt"}
    # The file differs, wherever it lay.
    (told,) = made["diff"]
    assert re.search(r"current: \d+ files; .*changed: package/number\.py\n", told["prepared"])
    assert install(tmp_path, 2, flat=flat)["changed"] is False
    assert install(tmp_path, 3, flat=flat)["removed"] == ["number.py"]
    assert (tmp_path / "lib" / "notes.txt").exists()


def test_files_of_an_earlier_layout_stay_while_a_program_reads_them(tmp_path: Path) -> None:
    flat = {"pattern": "*.py", "path": "package", "command": f"reads {tmp_path}/lib itself"}
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "number.py").write_text("value = 1\n")
    running = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", flat["command"]], stdin=subprocess.PIPE
    )
    try:
        for value in (2, 3):
            install(tmp_path, value, flat=flat)
        assert (tmp_path / "lib" / "number.py").exists()
    finally:
        running.communicate()
    install(tmp_path, 4, flat=flat)
    assert not (tmp_path / "lib" / "number.py").exists()


def test_what_is_refused_never_becomes_current(tmp_path: Path) -> None:
    check = [sys.executable, "-I", "-B", "%s"]
    assert install(tmp_path, 0, validate=check)["failed"] is False
    before = os.readlink(tmp_path / "lib" / "current")
    made = install(tmp_path, 7, validate=check)
    assert made["failed"] is True
    assert "refused the new version with exit status 7" in made["msg"]
    assert os.readlink(tmp_path / "lib" / "current") == before
    assert names(tmp_path) == {"current", before}


def test_the_mask_of_the_caller_makes_no_difference(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        version = tmp_path / "lib" / install(tmp_path)["version"]
    finally:
        os.umask(before)
    found = {
        path.relative_to(version).as_posix(): oct(path.stat().st_mode & 0o7777) for path in version.rglob("*")
    }
    assert found == {
        "__main__.py": "0o644",
        "package": "0o755",
        "package/__init__.py": "0o644",
        "package/number.py": "0o644",
    }
    assert oct(version.stat().st_mode & 0o7777) == oct((tmp_path / "lib").stat().st_mode & 0o7777) == "0o755"


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (["/etc/passwd"], "file '/etc/passwd': not below the version"),
        (["../one"], "file '../one': not below the version"),
        ([".."], "file '..': not below the version"),
        (["one//two"], "file 'one//two': not below the version"),
        (["one", "one"], "file 'one': named twice"),
        (["one", "one/two"], "file 'one/two': lies in 'one', which is a file"),
        ([], "files: there is none"),
    ],
)
def test_paths_that_are_refused(paths: list[str], text: str, tmp_path: Path) -> None:
    files = [{"path": path, "content": ""} for path in paths]
    for check in (True, False):
        made = run_module("versioned_tree", {"directory": f"{tmp_path}/lib", "files": files}, check)
        assert made["failed"] is True
        assert made["msg"].startswith(text)
    assert not (tmp_path / "lib").exists()


def test_something_else_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lib" / "current").mkdir(parents=True)
    made = install(tmp_path)
    assert made["failed"] is True
    assert made["msg"] == f"path {tmp_path}/lib/current: there is something else; expected a link or nothing"
    assert names(tmp_path) == {"current"}


@pytest.mark.parametrize("link", ["a/b", ".hidden", "", "0123456789abcdef"])
def test_names_that_are_not_for_a_link(link: str, tmp_path: Path) -> None:
    assert install(tmp_path, link=link)["failed"] is True


LOOP = """
import os, subprocess, sys
top, seen = sys.argv[1], []
while not os.path.exists(f"{top}/stop"):
    version = os.readlink(f"{top}/lib/current")
    seen.append(subprocess.run([sys.executable, "-I", "-B", "-S", f"{top}/lib/{version}"]).returncode)
    print(seen[-1], flush=True)
"""


@pytest.mark.slow
def test_there_is_a_whole_version_at_each_instant(tmp_path: Path) -> None:
    """Another process starts the program again and again while versions come and go."""
    install(tmp_path, 2)
    with subprocess.Popen(
        [sys.executable, "-c", LOOP, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        seen = []
        for value in range(3, 15):
            seen.append(int(running.stdout.readline()))
            install(tmp_path, value)
        (tmp_path / "stop").touch()
        seen += [int(line) for line in running.stdout]
    # 1 is what Python ends with when something cannot be imported.
    assert set(seen) <= set(range(2, 15)), seen
    assert len(set(seen)) > 3, seen


SPIN = """
import os, sys
top, seen = sys.argv[1], set()
print("spins", flush=True)
while not os.path.exists(f"{top}/stop"):
    try:
        for _ in range(1000):
            seen.add(os.readlink(f"{top}/current"))
    except OSError as error:
        seen.add(str(error))
print(*sorted(seen), sep="\\n")
"""


def test_the_link_is_there_at_each_instant(tmp_path: Path) -> None:
    """Another process looks at it as fast as it can while it is switched again and again."""
    versions.switch(str(tmp_path), "current", "one")
    with subprocess.Popen(
        [sys.executable, "-c", SPIN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "spins\n"
        for number in range(200):
            versions.switch(str(tmp_path), "current", ("one", "two")[number % 2])
        (tmp_path / "stop").touch()
        seen = running.stdout.read().split("\n")
    assert seen[:-1] == ["one", "two"]
