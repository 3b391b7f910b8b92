"""daemontools_service restarts what runs as it was before a change, under the real supervise and multilog."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import restart_owed
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import start_record, supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.run_script import (
    Definition,
    run_script,
)
from support.daemontools_services import World, pid_of, wait_for
from support.parameters import slow_after_first

UNCHANGED: tuple[str, str] = ("", "")


@dataclass
class Service:
    """A service of ours, called send, that reads a file when it starts, and its log."""

    world: World
    log_directory: Path
    wanted: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.read.write_text("old\n")
        self.program.write_text("version 1\n")
        shutil.copy2("/bin/sleep", self.binary)
        self.world.definitions.append(self.directory)
        self.wanted = {
            "run": f"cat {self.read}\nexec {self.binary} 1000\n",
            "reads": [str(self.read), f"{self.world.root}/not-there"],
            "programs": [str(self.program)],
            "log": {"bytes": 100000, "files": 5, "user": "daemon", "group": "daemon"},
            "log_directory": str(self.log_directory),
            "stable_seconds": 0.3,
        }

    @property
    def directory(self) -> Path:
        return self.world.root / "send"

    @property
    def read(self) -> Path:
        return self.world.root / "read"

    @property
    def program(self) -> Path:
        return self.world.root / "module.pm"

    @property
    def binary(self) -> Path:
        """A place that is not one of those where programs write code for themselves."""
        return self.log_directory.parent / "sleeper"

    def pids(self) -> tuple[int, int]:
        return pid_of(self.directory), pid_of(self.directory / "log")

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        made = self.world.run("send", check, **{**self.wanted, **more})
        assert made["failed"] is False, made
        return made

    def told(self, made: dict[str, Any]) -> tuple[str, str]:
        """Return what the diff says of the service and of its log: how it was, and how it is."""
        link = str(self.world.scanned / "send")
        lines = [entry for entry in made["diff"] if entry.get("before_header") == link]
        if not lines:
            return UNCHANGED
        (entry,) = lines
        before = dict(line.split(": ", 1) for line in entry["before"].splitlines())
        after = dict(line.split(": ", 1) for line in entry["after"].splitlines())
        return tuple(  # type: ignore[return-value]
            "" if before[thing] == after[thing] else f"{before[thing]} -> {after[thing]}"
            for thing in ("service", "log")
        )

    def mended(self, *, service: str = "", log: str = "") -> None:
        """Check mode predicts the restarts, the run makes them, and a third run changes nothing."""
        old = self.pids()
        predicted = self.run(check=True)
        assert self.pids() == old
        made = self.run()
        assert self.told(made) == (service, log)
        assert (made["changed"], made["diff"]) == (True, predicted["diff"])
        new = self.pids()
        assert (new[0] != old[0], new[1] != old[1]) == (bool(service), bool(log))
        for check in (True, False):
            again = self.run(check)
            assert (again["changed"], again["diff"], self.pids()) == (False, [], new)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    # pytest's own directory lets in root alone; the log is another account's.
    place = Path(tempfile.mkdtemp(dir="/var/lib"))
    place.chmod(0o755)
    made = Service(World(tmp_path), place / "log")
    try:
        made.world.svscan(after_seconds=0.3)
        made.run()
        yield made
    finally:
        made.world.end()
        shutil.rmtree(place)


def warned(made: dict[str, Any]) -> list[str]:
    """Return the texts of the warnings, which newer versions of Ansible wrap."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in made.get("warnings", [])]


def changed(reason: str) -> str:
    return f"up; {reason} -> up, restarted"


def test_a_new_service_is_written_and_recorded(service: Service) -> None:
    for directory, name in ((service.directory, "send"), (service.directory / "log", "send.log")):
        record = service.world.records / name
        assert record.stat().st_mode & 0o777 == 0o600
        assert start_record.parse(record.read_text()).pid == pid_of(directory)
    wait_for(lambda: "old\n" in (service.log_directory / "current").read_text())
    owner = (service.log_directory / "current").stat()
    assert (owner.st_uid, owner.st_gid) == (1, 1)
    again = service.run()
    assert (again["changed"], again["diff"]) == (False, [])


def test_nobody_but_its_group_reads_a_log(service: Service) -> None:
    """The directory of an earlier version, with the files in it, is closed, and multilog goes on."""
    old = service.log_directory / "@400000006b0000000000000a.s"
    old.write_text("subject and address\n")
    os.chown(service.log_directory, 1, 65534)
    service.log_directory.chmod(0o755)
    (service.log_directory / "current").chmod(0o644)
    stranger = ["setpriv", "--reuid=65534", "--regid=65534"]
    reader = [*stranger, "--groups=daemon", "cat"]
    stranger += ["--clear-groups", "cat"]
    files = [str(old), str(service.log_directory / "current")]
    assert subprocess.run([*stranger, *files], capture_output=True, check=False).returncode == 0
    pids = service.pids()
    assert service.run(check=True)["changed"] is True
    made = service.run()
    assert made["changed"] is True
    assert service.pids() == pids
    assert service.log_directory.stat().st_mode & 0o7777 == 0o750
    for path in files:
        assert subprocess.run([*stranger, path], capture_output=True, check=False).returncode == 1
        assert subprocess.run([*reader, path], capture_output=True, check=False).returncode == 0
    assert service.run()["changed"] is False


@pytest.mark.slow
def test_what_an_earlier_run_changed_is_made_up_for(service: Service) -> None:
    """Each of these is left by a play that was killed between the change and the restart."""
    service.read.write_text("new\n")
    service.mended(service=changed(f"{service.read} changed"))
    service.read.unlink()
    service.mended(service=changed(f"{service.read} changed"))
    (service.world.root / "not-there").write_text("now it is\n")
    service.mended(service=changed(f"{service.world.root}/not-there changed"))
    service.program.write_text("version 2\n")
    service.mended(service=changed(f"{service.program} changed"))
    copy = service.binary.with_name("copy")
    shutil.copy2("/bin/sleep", copy)
    copy.rename(service.binary)
    service.mended(service=changed(f"{service.binary} was replaced"))
    (service.world.records / "send").unlink()
    service.mended(service=changed("what it started with is not recorded"))
    (service.world.records / "send.log").write_text("pid 1\n")
    service.mended(log=changed("what it started with is not recorded"))


@pytest.mark.slow
def test_apt_starts_a_scanner_again_whose_program_it_replaced(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new program that cannot be run, and a changed setting, leave it as it is."""
    monkeypatch.setattr(restart_owed, "SCANNERS", ("absent", "send"))
    monkeypatch.setattr(restart_owed, "SERVICES", str(service.world.scanned))
    monkeypatch.setattr(restart_owed, "START_RECORDS", str(service.world.records))
    old = service.pids()
    service.read.write_text("new\n")
    assert restart_owed.main([]) == 0 and service.pids() == old
    broken = service.binary.with_name("broken")
    broken.write_text("#!/bin/sh\necho no library >&2\nexit 127\n")
    broken.chmod(0o755)
    broken.rename(service.binary)
    assert restart_owed.main([]) == 111 and service.pids() == old
    assert "send: goes on with the program that it has" in (said := capsys.readouterr().err)
    assert "ended with 127; expected 0: no library" in said
    copy = service.binary.with_name("copy")
    shutil.copy2("/bin/sleep", copy)
    copy.rename(service.binary)
    assert restart_owed.main([]) == 0
    assert capsys.readouterr().out.endswith(f"{service.binary} was replaced\n")
    new = service.pids()
    assert (new[0] != old[0], new[1]) == (True, old[1])
    service.program.write_text("version 2\n")
    assert restart_owed.main(["send"]) == 0
    assert capsys.readouterr().out.endswith(f"{service.program} changed\n")
    again = service.pids()
    assert again[0] != new[0] and restart_owed.main([]) == 0 and service.pids() == again


@pytest.mark.slow
def test_another_run_script_restarts_the_service_and_another_log_script_the_log(service: Service) -> None:
    service.wanted["run"] += "# another\n"
    service.mended(service=changed("its run script changed"))
    service.wanted["log"] = {**service.wanted["log"], "files": 7}
    service.mended(log=changed("its run script changed"))
    service.wanted["code"] = "1" * 64
    service.mended(service=changed("its run script changed"))
    service.wanted["reads"] = []
    service.mended(service=changed("its run script changed"))


def test_a_run_script_that_a_run_wrote_before_it_broke_off(service: Service) -> None:
    service.wanted["run"] += "# another\n"
    texts = {name: service.wanted[name] for name in ("reads", "programs")}
    definition = Definition("send", str(service.directory), service.wanted["run"], **texts)
    (service.directory / "run").write_text(run_script(definition, str(service.world.records)))
    service.mended(service=changed("its run script changed"))


@pytest.mark.slow
def test_a_run_script_edited_by_hand_is_put_back_and_the_service_with_it(service: Service) -> None:
    path = service.directory / "run"
    path.write_text(path.read_text().replace("exec /", "export BY_HAND=1\nexec /"))
    supervise.tell(str(service.directory), b"t")
    old = service.pids()[0]
    wait_for(lambda: service.pids()[0] not in (0, old))
    service.mended(service=changed("its run script changed"))


@pytest.mark.slow
def test_a_reload_counts_as_a_start_for_the_files_alone(service: Service) -> None:
    service.wanted["run"] = f"trap '' HUP\nexec {service.binary} 1000\n"
    service.run()
    pids = service.pids()
    service.read.write_text("new\n")
    reloaded = service.run(state="reloaded")
    assert service.told(reloaded) == ("up -> up, told to reload", "")
    assert service.run(check=True)["changed"] is False
    assert service.pids() == pids
    service.program.write_text("version 2\n")
    made = service.run(state="reloaded")
    assert service.told(made) == (changed(f"{service.program} changed"), "")


def test_a_handler_predicts_in_check_mode_and_restarts_only_once(service: Service) -> None:
    handler = {
        "directory": None,
        "run": None,
        "log": None,
        "log_directory": None,
        "reads": [],
        "programs": [],
    }
    predicted = service.run(check=True, notified=True, **handler)
    assert service.told(predicted) == ("up; what it starts with changes -> up, restarted", "")
    assert service.run(notified=True, **handler)["changed"] is False
    service.read.write_text("new\n")
    made = service.run(notified=True, **handler)
    assert service.told(made) == (changed(f"{service.read} changed"), "")
    assert service.run()["changed"] is False


@pytest.mark.slow
def test_a_handler_reloads_what_did_not_read_its_files_yet(service: Service) -> None:
    service.wanted["run"] = f"trap '' HUP\nexec {service.binary} 1000\n"
    service.run()
    handler = {**service.wanted, "run": None, "log": None, "log_directory": None, "reads": [], "programs": []}
    handler = {**handler, "state": "reloaded", "notified": True}
    predicted = service.run(check=True, **handler)
    assert service.told(predicted) == ("up -> up, told to reload", "")
    assert service.run(**handler)["changed"] is False
    service.read.write_text("new\n")
    assert service.told(service.run(**handler)) == ("up -> up, told to reload", "")
    assert service.run(**handler)["changed"] is False
    bare = service.world.supervised("bare", f"#!/bin/sh\ntrap '' HUP\nexec {service.binary} 1000\n")
    made = service.world.run("bare", state="reloaded", notified=True, directory=str(bare))
    assert made["changed"] is True, "what keeps no record cannot be compared"


@pytest.mark.slow
def test_a_clock_that_was_set_back_hinders_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes started while the clock was two hours ahead, as that of a machine without NTP yet."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 7200 * 10**9)
    again = service.run()
    assert (again["changed"], again["diff"]) == (False, [])
    service.read.write_text("new\n")
    service.mended(service=changed(f"{service.read} changed"))
    (service.world.records / "send").unlink()
    service.mended(service=changed("what it started with is not recorded"))
    assert service.run(state="restarted")["process_started"] is True


def test_a_handler_of_a_service_that_is_not_there_yet_does_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    for check in (True, False):
        made = world.run("send", check, directory=None, notified=True)
        assert (made["failed"], made["changed"], made["pid"]) == (False, False, 0)


def test_a_service_that_keeps_no_record_is_only_restarted_when_asked(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        directory = world.supervised("send")
        (directory / "run").write_text((directory / "run").read_text() + "# another\n")
        assert world.run("send")["changed"] is False


@pytest.mark.slow
def test_a_record_that_cannot_be_written_fails_neither_the_run_nor_the_service(service: Service) -> None:
    shutil.rmtree(service.world.records)
    service.world.records.write_text("not a directory\n")
    service.wanted["run"] += "# another\n"
    said = service.run()
    assert warned(said) == [
        f"service send in {service.directory}: it is up, but no record of it is there; expected "
        f"{service.world.records}/send, without which each run restarts it",
        f"service send in {service.directory}/log: it is up, but no record of it is there; expected "
        f"{service.world.records}/send.log, without which each run restarts it",
    ]
    assert all(service.pids())
    assert "what it starts with could not be recorded" in (service.log_directory / "current").read_text()
    service.world.records.unlink()
    lost = "what it started with is not recorded"
    service.mended(service=changed(lost), log=changed(lost))


def test_a_record_that_cannot_be_renewed_after_a_reload_does_not_fail_the_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, _mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    service.wanted["run"] = f"trap '' HUP\nexec {service.binary} 1000\n"
    service.run()
    pids = service.pids()
    service.read.write_text("new\n")
    with monkeypatch.context() as disk:
        disk.setattr(restarts, "atomic_write", full)
        said = service.run(state="reloaded")
    assert warned(said) == [
        f"service send in {service.directory}: that it has read its files again could not be recorded, "
        f"[Errno 28] No space left on device: '{service.world.records}/send'; "
        "the next run tells it to once more"
    ]
    again = service.run(state="reloaded")
    assert (warned(again), service.pids()) == ([], pids)


@pytest.mark.parametrize("path", slow_after_first(["relative", "/a\\b", "/a\nb"]))
def test_a_path_that_cannot_be_recorded_is_refused(service: Service, path: str) -> None:
    said = service.world.run("send", **{**service.wanted, "reads": [path]})
    assert said["msg"] == f"service send: {path!r} cannot be recorded; expected an absolute plain path"
    assert os.path.exists(service.directory / "run")
