"""The service that compiles: it acts on each change and each end, reports once, and survives trouble."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import service as rules_service
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.apply import Paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.site_fragment import (
    default_rules,
    site_rules,
)


class World:
    """A gateway's files, and the service over them with a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1000.0
        self.said: list[str] = []
        (root / "tcp.d").mkdir()
        (root / "senders.d").mkdir()
        self.write("10-site", site_rules(["10.0.0.0/24"]))
        self.write("90-default", default_rules())
        (root / "senders.d/10-site").write_text("@bad.example\n")
        paths = Paths(
            directory=f"{root}/tcp.d", compiled=f"{root}/cdb", copy=f"{root}/copy",
            senders_directory=f"{root}/senders.d", senders=f"{root}/badmailfrom", state=f"{root}/state",
        )  # fmt: skip
        self.jobs = rules_service.jobs(paths, self.said.append)

    def write(self, name: str, text: str) -> None:
        new = self.root / "tcp.d/.new"
        new.write_text(text)
        new.rename(self.root / "tcp.d" / name)

    def step(self, seconds: float = 0.3) -> list[str]:
        """Run one round, a moment later; return its output."""
        self.now += seconds
        self.said.clear()
        for job in self.jobs:
            job.run(self.now)
        return [line.replace(str(self.root), "") for line in self.said]

    def refused(self, ip: str) -> bool:
        return Reader((self.root / "cdb").read_bytes()).get(ip.encode()) == b"D\0"

    def status(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads((self.root / "state/status.json").read_text())
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    assert one.step() == [
        "10.0.0.0/24 gains relay",
        "127.0.0.1/32 gains relay",
        "::1/128 gains relay",
        "/cdb: 4 rules, in force now",
        "every sender @bad.example will be refused",
        "/badmailfrom: 1 senders, in force now",
    ]
    assert one.step() == []
    return one


def test_each_change_is_one_line(world: World) -> None:
    made = (world.root / "cdb").stat()
    world.write("20-operator", "9.9.9.9:deny\n")
    assert world.step() == ["9.9.9.9/32 is refused", "/cdb: 5 rules, in force now"]
    assert (world.root / "cdb").stat().st_ino != made.st_ino
    (world.root / "senders.d/10-site").write_text("@bad.example\nx@worse.example\n")
    assert world.step() == ["sender x@worse.example will be refused", "/badmailfrom: 2 senders, in force now"]
    assert world.step() == []


def test_an_entry_ends_by_itself(world: World) -> None:
    world.write("20-operator", '# {"until": 1100}\n9.9.9.9:deny\n')
    world.write("30-adaptive", "# until 1200 why bad\n9.9.9.8:deny\n")
    assert world.step() == [
        "9.9.9.9/32 is refused",
        "9.9.9.8/32 is refused by the blacklist",
        "/cdb: 6 rules, in force now",
    ]
    assert world.step(90) == []
    assert world.step(10) == ["9.9.9.9/32 is no longer refused", "/cdb: 5 rules, in force now"]
    assert world.step(100) == [
        "9.9.9.8/32 is no longer refused by the blacklist",
        "/cdb: 4 rules, in force now",
    ]
    assert (world.refused("9.9.9.9"), world.refused("9.9.9.8")) == (False, False)


def test_a_fault_is_told_once_and_when_it_is_over(world: World) -> None:
    world.write("20-operator", "9.9.9.9:deny\n")
    world.step()
    world.write("20-operator", "9.9.9.9 deny\n")
    (line,) = world.step()
    assert line.endswith("expected 'ADDRESS:allow' or 'ADDRESS:deny'; its last good version is in force")
    assert world.refused("9.9.9.9")
    world.write("30-adaptive", "# until 2000 why bad\n9.9.9.8:deny\n")
    assert world.step() == ["9.9.9.8/32 is refused by the blacklist", "/cdb: 6 rules, in force now"]
    world.write("20-operator", "")
    assert world.step()[-1] == "rules: every fragment is in force again"


def test_what_somebody_takes_away_comes_back(world: World) -> None:
    (world.root / "cdb").unlink()
    (world.root / "badmailfrom").write_text("@other.example\n")
    said = world.step()
    assert "/badmailfrom: 1 senders, in force now" in said
    assert Reader((world.root / "cdb").read_bytes()).get(b"10.0.0.") == b"+RELAYCLIENT=\0"


def test_a_copy_edited_by_hand_is_left_alone_and_told(world: World) -> None:
    with (world.root / "copy").open("a") as copy:
        copy.write("9.9.9.7:deny\n")
    edited = (world.root / "copy").read_text()
    (line,) = world.step()
    assert "was edited by hand since it was generated, the copy is left alone; expected changes in" in line
    world.write("20-operator", "9.9.9.9:deny\n")
    world.step()
    assert (world.refused("9.9.9.9"), world.refused("9.9.9.7")) == (True, False)
    assert (world.root / "copy").read_text() == edited
    assert world.status()["rules"]["copy_edited"] is True


def test_trouble_is_told_once_and_tried_again(world: World) -> None:
    (world.root / "cdb").unlink()
    (world.root / "cdb").mkdir()
    world.write("20-operator", "9.9.9.9:deny\n")
    (line,) = world.step()
    assert "Is a directory" in line
    assert "Is a directory" in str(world.status()["rules"]["error"])
    assert world.step(5) == []
    (world.root / "cdb").rmdir()
    world.step(5)
    assert world.refused("9.9.9.9")
    assert world.status()["rules"]["error"] == ""


def test_a_bad_site_is_waited_for(tmp_path: Path) -> None:
    one = World(tmp_path)
    one.write("10-site", "nonsense\n")
    assert (
        one.step()[0]
        == "/tcp.d/10-site line 1: 'nonsense' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"
    )
    assert not (tmp_path / "cdb").exists()
    assert one.step(5) == []
    one.write("10-site", site_rules([]))
    assert "/cdb: 3 rules, in force now" in one.step()


def test_its_own_program_is_watched() -> None:
    names = {"/".join(path.split("/")[-2:]) for path in rules_service.own_files()}
    assert {"rules/service.py", "rules/compiler.py", "formats/tcprules.py", "formats/cdb.py"} <= names
