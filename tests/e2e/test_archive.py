# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: built, installed from the archive, run from there by its full name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bed import choose, collection, containers, images
from bed.common import ROOT

CONTAINER = "mailgate-archive"
LEFT_BY_A_COMPILER = ("src/cqgreylist/say.o", "src/cqgreylist/cqgreylist", "src/cqgreylist/clientname")


def run(*argv: str, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the checkout cannot be taken for the installed collection."""
    place = tmp_path_factory.mktemp("installed")
    (place / "ansible.cfg").write_text(
        "[defaults]\nnocows = true\n[connection]\npipelining = true\n", encoding="utf-8"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(place / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(place / "collections"),
        "MAILGATE_GATEWAY": CONTAINER,
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    place = tmp_path_factory.mktemp("build")
    collection.copy_project(place / "source")
    for left in LEFT_BY_A_COMPILER:
        (place / "source" / left).write_bytes(b"\x7fELF")
    run(
        "ansible-galaxy",
        "collection",
        "build",
        "--output-path",
        str(place),
        cwd=place / "source",
        env=environment,
    )
    return next(place.glob("mailgate-qmail-*.tar.gz"))


@pytest.fixture(scope="module")
def installed(archive: Path, environment: dict[str, str]) -> Path:
    """Install the collection; return its directory."""
    collections = Path(environment["ANSIBLE_COLLECTIONS_PATH"])
    command = ("ansible-galaxy", "collection", "install", "--offline", "-p", str(collections), str(archive))
    run(*command, cwd=archive.parent, env=environment)
    return collections / "ansible_collections" / "mailgate" / "qmail"


@pytest.fixture(scope="module")
def bare_host() -> Iterator[str]:
    images.make_base("bookworm")
    choose.command_choose()
    containers.command_up(CONTAINER, "bookworm", systemd=False)
    subprocess.run(
        ["docker", "exec", CONTAINER, "apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL
    )
    yield CONTAINER
    containers.command_down(CONTAINER)


def test_archive_holds_the_collection_and_nothing_of_the_workplace(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = content.getnames()
    for needed in ("playbooks/gateway.yml", "roles/netqmail/tasks/main.yml", "README.md", "MANIFEST.json"):
        assert needed in names
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("src/*/*.[ch]")} <= set(names)
    assert "src/cqgreylist/Makefile" in names
    assert set(names).isdisjoint(LEFT_BY_A_COMPILER)
    unwanted = (".bed", ".venv", ".ansible", ".git/", "__pycache__", ".mypy_cache")
    assert [
        name
        for name in names
        if name.startswith(unwanted) or "__pycache__" in name or name.endswith("choice.yml")
    ] == []


def test_galaxy_takes_the_archive_without_a_warning(
    archive: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """The part ansible-lint has looked at the checkout already, with the same profile."""
    settings = {
        "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
        "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(tmp_path / "ansible"),
        "GALAXY_IMPORTER_TMP_ROOT_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "galaxy_importer.main", str(archive)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Importer processing completed successfully" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(("WARNING", "ERROR"))]


def test_playbook_of_the_installed_collection_is_found(installed: Path, environment: dict[str, str]) -> None:
    command = (
        "ansible-playbook",
        "mailgate.qmail.gateway",
        "-i",
        str(ROOT / "tests" / "inventory"),
        "--list-tasks",
    )
    listing = run(*command, cwd=installed.parent, env=environment)
    assert "mailgate.qmail.netqmail" in listing


def test_c_files_are_those_of_the_installed_collection(installed: Path, environment: dict[str, str]) -> None:
    asked = "msg={{ query('mailgate.qmail.c_sources', 'simscan') | map(attribute='src') | join(' ') }}"
    said = run("ansible", "localhost", "-m", "debug", "-a", asked, cwd=installed.parent, env=environment)
    found = {Path(name) for name in re.findall(r"[^\s'\"]+\.[ch]\b", said)}
    place = installed / "src"
    assert {*(place / "simscan").glob("*.[ch]"), place / "common" / "clock.c"} <= found
    assert all(path.is_file() and path.parent.parent == place for path in found)


def test_check_on_a_bare_host(installed: Path, environment: dict[str, str], bare_host: str) -> None:
    """Check mode on a host where nothing is installed yet ends well and leaves nothing behind."""
    command = (
        "ansible-playbook",
        "mailgate.qmail.gateway",
        "-i",
        str(ROOT / "tests" / "inventory"),
        "--check",
    )
    before = files_of(bare_host)
    output = run(*command, cwd=installed.parent, env=environment)
    assert "failed=0" in output
    assert files_of(bare_host) == before


def files_of(container: str) -> list[str]:
    """Everything that `docker diff` sees, but for the places that looking around touches."""
    listing = subprocess.run(
        ["docker", "diff", container], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    touched = (" /root/.ansible", " /tmp", " /root", " /var/lib/apt/lists", " /var/cache")
    return sorted(
        line
        for line in listing
        if not line[1:].startswith(touched) and "__pycache__" not in line and line != "C /usr"
    )
