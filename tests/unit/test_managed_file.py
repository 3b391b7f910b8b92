"""The finish step: what is written, how, and what is left when something is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils import managed_file
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, Directory, Link

NOBODY = 65534


class Ended(Exception):
    """The module ended with this result."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result)
        self.result = result


class Module:
    """The part of AnsibleModule that finish uses."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode

    def exit_json(self, **result: Any) -> NoReturn:
        raise Ended({"failed": False, **result})

    def fail_json(self, **result: Any) -> NoReturn:
        raise Ended({"failed": True, **result})


def finish(*desired: Desired, check_mode: bool = False, **more: Any) -> dict[str, Any]:
    with pytest.raises(Ended) as caught:
        managed_file.finish(Module(check_mode), desired, **more)  # type: ignore[arg-type]
    return caught.value.result


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def attributes(path: Path) -> tuple[int, int, int]:
    now = path.lstat()
    return stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid


def test_a_new_file_is_written_with_its_attributes(tmp_path: Path) -> None:
    path = tmp_path / "new"
    wanted = Desired(str(path), b"one\n", 0o640, "root", str(NOBODY))
    expected = [
        {
            "prepared": f"{path}: file made, 0640 root 65534\n",
            "before_header": str(path),
            "after_header": str(path),
            "before": "",
            "after": "one\n",
        }
    ]
    predicted = finish(wanted, check_mode=True)
    assert names(tmp_path) == []
    assert predicted == {"failed": False, "changed": True, "changed_paths": [str(path)], "diff": expected}
    assert finish(wanted) == predicted
    assert path.read_bytes() == b"one\n"
    assert attributes(path) == (0o640, 0, NOBODY)
    assert names(tmp_path) == ["new"]
    assert finish(wanted) == {"failed": False, "changed": False, "changed_paths": [], "diff": []}


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "same"
    path.write_bytes(b"one\n")
    path.chmod(0o644)
    before = path.stat()
    assert finish(Desired(str(path), b"one\n"))["changed"] is False
    assert path.stat().st_ctime_ns == before.st_ctime_ns


def test_a_changed_file_is_replaced_not_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\n")
    with path.open("rb") as reader:
        finish(Desired(str(path), b"two\n"))
        assert reader.read() == b"one\n", "a reader saw the file change under it"
    assert path.read_bytes() == b"two\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, 0o600), (0o400, 0o400), (0o600, 0o644), (0o644, 0o400), (0o400, None), (0o711, 0o711)],
)
def test_what_only_its_owner_may_read_is_not_shown(
    before: int | None, after: int | None, tmp_path: Path
) -> None:
    """A password that leaves the site stands in the file of before, which the site hides no more."""
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(b"http://u:OLD@proxy\n")
        path.chmod(before)
    wanted = [] if after is None else [Desired(str(path), b"http://u:NEW@proxy\n", after)]
    removed = [] if wanted else [str(path)]
    predicted = finish(*wanted, check_mode=True, removed=removed)
    made = finish(*wanted, removed=removed)
    assert made == predicted
    assert made["changed_paths"] == [str(path)]
    assert str(path) in str(made["diff"])
    assert "OLD" not in str(made) and "NEW" not in str(made)


DRIFTS: list[tuple[int, int, int, str]] = [
    (0o600, 0, 0, "0600 root root"),
    (0o4755, 0, 0, "4755 root root"),
    (0o644, NOBODY, 0, "0644 nobody root"),
    (0o644, 0, NOBODY, "0644 root nogroup"),
    (0o644, 4_000_000, 4_000_001, "0644 4000000 4000001"),
]


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize(("mode", "uid", "gid", "shown"), DRIFTS)
def test_drift_of_mode_and_owner_is_mended_in_place(
    tmp_path: Path, mode: int, uid: int, gid: int, shown: str, directory: bool
) -> None:
    path = tmp_path / "drifted"
    path.mkdir() if directory else path.write_bytes(b"")
    os.chown(path, uid, gid)
    path.chmod(mode)
    inode = path.stat().st_ino
    more: dict[str, Any] = {"directories": [Directory(str(path), 0o644)]} if directory else {}
    files = [] if directory else [Desired(str(path), b"")]
    predicted = finish(*files, check_mode=True, **more)
    assert attributes(path) == (mode, uid, gid)
    made = finish(*files, **more)
    assert made == predicted
    note = f"{path}: mode, owner, group {shown} -> 0644 root root\n"
    assert made["diff"] == [{"prepared": note}]
    assert attributes(path) == (0o644, 0, 0)
    assert path.stat().st_ino == inode


def test_a_numeric_owner_means_the_same_as_its_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    finish(Desired(str(path), b"", owner="nobody", group="nogroup"))
    again = finish(Desired(str(path), b"", owner=str(NOBODY), group=str(NOBODY)))
    assert again["changed"] is False


def test_directories_then_files_then_links_in_one_call(tmp_path: Path) -> None:
    top, file, link = f"{tmp_path}/a", f"{tmp_path}/a/b/file", f"{tmp_path}/a/link"
    arguments: dict[str, Any] = {
        "directories": [Directory(top, 0o1777), Directory(f"{top}/b", 0o2750, "root", "nogroup")],
        "links": [Link(link, "b/file")],
    }
    predicted = finish(Desired(file, b"one"), check_mode=True, **arguments)
    assert names(tmp_path) == []
    made = finish(Desired(file, b"one"), **arguments)
    assert made == predicted
    assert made["changed_paths"] == [top, f"{top}/b", file, link]
    assert [entry["prepared"] for entry in made["diff"]] == [
        f"{top}: directory made, 1777 root root\n",
        f"{top}/b: directory made, 2750 root nogroup\n",
        f"{file}: file made, 0644 root root\n",
        f"{link}: link to nothing -> b/file\n",
    ]
    assert names(tmp_path) == ["a", "a/b", "a/b/file", "a/link"]
    assert attributes(tmp_path / "a") == (0o1777, 0, 0)
    assert attributes(tmp_path / "a" / "b") == (0o2750, 0, NOBODY)
    assert os.readlink(link) == "b/file"
    assert finish(Desired(file, b"one"), **arguments)["changed"] is False


def test_a_link_elsewhere_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("old")
    made = finish(links=[Link(str(link), "new")])
    assert made["diff"] == [{"prepared": f"{link}: link to old -> new\n"}]
    assert os.readlink(link) == "new"
    assert names(tmp_path) == ["link"]


def test_a_link_replaces_a_file_only_where_that_is_wanted(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.write_text("a program\n")
    refused = finish(links=[Link(str(link), "new")])
    assert refused["msg"] == f"path {link}: there is something else; expected a link or nothing"
    predicted = finish(check_mode=True, links=[Link(str(link), "new", force=True)])
    assert link.read_text() == "a program\n"
    made = finish(links=[Link(str(link), "new", force=True)])
    assert made == predicted
    assert made["diff"] == [{"prepared": f"{link}: link to nothing, a file instead -> new\n"}]
    assert os.readlink(link) == "new" and names(tmp_path) == ["link"]
    assert finish(links=[Link(str(link), "new", force=True)])["changed"] is False
    (tmp_path / "directory").mkdir()
    refused = finish(links=[Link(f"{tmp_path}/directory", "new", force=True)])
    assert refused["msg"].endswith("directory: there is something else; expected a link or nothing")


def test_a_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"x\n")
    removed = [str(path), f"{tmp_path}/never"]
    predicted = finish(check_mode=True, removed=removed)
    assert path.exists()
    made = finish(removed=removed)
    assert made == predicted
    assert made["changed_paths"] == [str(path)]
    assert (made["diff"][0]["before"], made["diff"][0]["after_header"]) == ("x\n", f"{path} (absent)")
    assert not path.exists()
    assert finish(removed=removed)["changed"] is False


def test_the_check_sees_a_complete_copy_and_what_it_refuses_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    seen: list[tuple[str, bytes, tuple[int, int, int], str]] = []

    def check(wanted: Desired, temporary: str) -> None:
        copy = Path(temporary)
        seen.append((wanted.path, copy.read_bytes(), attributes(copy), os.path.dirname(temporary)))
        if wanted.path == str(second):
            raise BadInput("second: no")

    files = [Desired(str(first), b"new", 0o600), Desired(str(second), b"bad", 0o640)]
    result = finish(*files, check=check, removed=[f"{tmp_path}/none"])
    assert result == {"failed": True, "msg": "second: no", "changed_paths": []}
    assert seen == [
        (str(first), b"new", (0o600, 0, 0), str(tmp_path)),
        (str(second), b"bad", (0o640, 0, 0), str(tmp_path)),
    ]
    assert names(tmp_path) == ["first"]
    assert first.read_bytes() == b"old"


def test_the_check_is_not_called_in_check_mode_nor_for_a_file_that_is_right(tmp_path: Path) -> None:
    def check(wanted: Desired, temporary: str) -> None:
        raise BadInput("called")

    wanted = Desired(f"{tmp_path}/file", b"x")
    assert finish(wanted, check=check, check_mode=True)["failed"] is False
    finish(wanted)
    assert finish(wanted, check=check)["failed"] is False


def test_a_given_diff_is_used(tmp_path: Path) -> None:
    diff = [{"before": "a\n", "after": "b\n"}]
    assert finish(Desired(f"{tmp_path}/file", b"\xff"), diff=diff, count=3) == {
        "failed": False,
        "changed": True,
        "changed_paths": [f"{tmp_path}/file"],
        "diff": diff,
        "count": 3,
    }


def test_bytes_that_are_no_text_have_a_diff_too(tmp_path: Path) -> None:
    assert finish(Desired(f"{tmp_path}/file", b"\xff\n"))["diff"][0]["after"] == "\\xff\n"


def test_an_owner_who_does_not_exist_yet_is_predicted_and_refused_in_a_run(tmp_path: Path) -> None:
    for wanted, kind in [
        (Desired(f"{tmp_path}/file", b"", owner="nemo"), "owner"),
        (Desired(f"{tmp_path}/file", b"", group="nemo"), "group"),
    ]:
        assert finish(wanted, check_mode=True)["changed"] is True
        known = {"owner": "user", "group": "group"}[kind]
        assert finish(wanted) == {
            "failed": True,
            "msg": f"path {tmp_path}/file: {kind} 'nemo' does not exist; expected a known {known}",
            "changed_paths": [],
        }
    directory = Directory(f"{tmp_path}/directory", owner="nemo")
    assert finish(check_mode=True, directories=[directory])["changed"] is True
    assert finish(directories=[directory])["failed"] is True
    assert names(tmp_path) == []


def test_a_missing_parent_is_predicted_and_named_in_a_run(tmp_path: Path) -> None:
    for path in ("none/file", "plain/file"):
        (tmp_path / "plain").write_bytes(b"")
        full = f"{tmp_path}/{path}"
        message = f"path {full}: its directory '{os.path.dirname(full)}' does not exist; expected it before"
        for arguments in ({"desired": [Desired(full, b"")]}, {"directories": [Directory(full)]}):
            files = arguments.pop("desired", [])
            assert finish(*files, check_mode=True, **arguments)["changed"] is True  # type: ignore[arg-type]
            assert finish(*files, **arguments)["msg"] == message  # type: ignore[arg-type]
        assert finish(links=[Link(full, "x")])["msg"] == message
        assert finish(removed=[full])["changed"] is False


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link(path: Path) -> None:
    path.with_name("secret").write_bytes(b"secret")
    path.symlink_to("secret")


OTHERS: list[tuple[Callable[[Path], object], str]] = [
    (make_fifo, "file"),
    (make_link, "file"),
    (Path.mkdir, "file"),
    (make_fifo, "directory"),
    (make_link, "directory"),
    (Path.touch, "directory"),
    (make_fifo, "link"),
    (Path.mkdir, "link"),
    (Path.touch, "link"),
    (make_fifo, "removed"),
    (make_link, "removed"),
    (Path.mkdir, "removed"),
]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(("make", "kind"), OTHERS)
def test_something_else_at_the_path_is_refused_and_left(
    tmp_path: Path, make: Callable[[Path], object], kind: str, check_mode: bool
) -> None:
    path = tmp_path / "path"
    make(path)
    before = names(tmp_path), path.lstat()
    arguments: dict[str, dict[str, Any]] = {
        "file": {},
        "directory": {"directories": [Directory(str(path))]},
        "link": {"links": [Link(str(path), "x")]},
        "removed": {"removed": [str(path)]},
    }
    files = [Desired(str(path), b"x")] if kind == "file" else []
    expected = {"directory": "a directory", "link": "a link"}.get(kind, "a regular file")
    assert finish(*files, check_mode=check_mode, **arguments[kind]) == {
        "failed": True,
        "msg": f"path {path}: there is something else; expected {expected} or nothing",
        "changed_paths": [],
    }
    assert (names(tmp_path), path.lstat()) == before


BAD_PATHS: list[tuple[list[str], str]] = [
    (["etc/file"], "path 'etc/file': not absolute and plain; expected one such as '/etc/name'"),
    (["/etc/../file"], "path '/etc/../file': not absolute and plain; expected one such as '/etc/name'"),
    (["/nowhere/a", "/nowhere/a"], "path '/nowhere/a': named twice; expected once"),
]


@pytest.mark.parametrize(("paths", "message"), BAD_PATHS)
def test_bad_paths_are_refused_before_anything_is_read(paths: list[str], message: str) -> None:
    assert finish(*(Desired(path, b"") for path in paths), check_mode=True)["msg"] == message


def test_a_failure_in_the_middle_says_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = f"{tmp_path}/first", f"{tmp_path}/second"
    rename = os.rename

    def full(source: str, target: str) -> None:
        if target == second:
            raise OSError(28, "No space left on device", target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    result = finish(Desired(first, b"1"), Desired(second, b"2"))
    assert result == {
        "failed": True,
        "msg": f"[Errno 28] No space left on device: '{second}'",
        "changed_paths": [first],
    }
    assert names(tmp_path) == ["first"]


def test_everything_is_on_the_disk_before_it_is_called_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of fsync and rename, which only a crash would show otherwise."""
    events: list[str] = []
    fsync, rename = os.fsync, os.rename

    def seen_fsync(descriptor: int) -> None:
        events.append("fsync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def seen_rename(source: str, target: str) -> None:
        events.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    finish(Desired(f"{tmp_path}/file", b"x"))
    assert events == ["fsync file", "rename", "fsync directory"]


def test_read_bytes(tmp_path: Path) -> None:
    assert managed_file.read_bytes(f"{tmp_path}/none") is None
    (tmp_path / "file").write_bytes(b"x")
    assert managed_file.read_bytes(f"{tmp_path}/file") == b"x"
    with pytest.raises(IsADirectoryError):
        managed_file.read_bytes(str(tmp_path))
