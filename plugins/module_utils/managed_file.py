# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The final step of every module that owns files: compare, check mode, diff, validate, write, exit."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.files import (
    fsync_directory,
    temporary_beside,
)


@dataclass(frozen=True)
class Desired:
    """A regular file's wanted state; owner and group are names or numbers, mode is an int such as 0o644."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Directory:
    """A directory's wanted state; its parent must exist or be created before it."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Link:
    """A symbolic link's wanted state; the target need not exist. With force it replaces a regular file."""

    path: str
    target: str
    force: bool = False


@dataclass
class Step:
    """The difference at one path: its diff, and the wanted state."""

    path: str
    diff: dict[str, str]
    wanted: Desired | Directory | Link | None  # None: to be removed
    whole: bool = True  # False: only mode, owner or group
    temporary: str = ""


def read_bytes(path: str) -> bytes | None:
    """Return the file's content, or None when it does not exist; raises OSError for other errors."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _number(name: str, look_up: Callable[[str], int]) -> int | None:
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        return None


def _uid(name: str) -> int | None:
    return _number(name, lambda known: pwd.getpwnam(known).pw_uid)


def _gid(name: str) -> int | None:
    return _number(name, lambda known: grp.getgrnam(known).gr_gid)


def _attributes(wanted: Desired | Directory) -> str:
    return f"{wanted.mode:04o} {wanted.owner} {wanted.group}"


def _attributes_now(wanted: Desired | Directory, now: os.stat_result) -> str:
    """Return mode, owner and group of a path, with the wanted names where they mean the same ids."""
    owner, group = wanted.owner, wanted.group
    if now.st_uid != _uid(owner):
        try:
            owner = pwd.getpwuid(now.st_uid).pw_name
        except KeyError:
            owner = str(now.st_uid)
    if now.st_gid != _gid(group):
        try:
            group = grp.getgrgid(now.st_gid).gr_name
        except KeyError:
            group = str(now.st_gid)
    return f"{stat.S_IMODE(now.st_mode):04o} {owner} {group}"


def _owners(wanted: Desired | Directory) -> tuple[int, int]:
    uid, gid = _uid(wanted.owner), _gid(wanted.group)
    if uid is None:
        raise BadInput(f"path {wanted.path}: owner {wanted.owner!r} does not exist; expected a known user")
    if gid is None:
        raise BadInput(f"path {wanted.path}: group {wanted.group!r} does not exist; expected a known group")
    return uid, gid


def _open_nofollow(path: str, flags: int = 0) -> int | None:
    """Return a descriptor of the path itself, never of a link's target; None when it does not exist."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENOTDIR and not os.path.lexists(path):
            return None
        # A link, a socket, or with O_DIRECTORY a file
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
            expected = "a directory" if flags & os.O_DIRECTORY else "a regular file"
            raise _something_else(path, expected) from error
        raise


def _something_else(path: str, expected: str) -> BadInput:
    return BadInput(f"path {path}: there is something else; expected {expected} or nothing")


def _content(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        return stream.read()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


def _attribute_note(path: str, now: str, wanted: str) -> str:
    return f"{path}: mode, owner, group {now} -> {wanted}\n"


def _owners_alone(mode: int) -> bool:
    """Return whether only the owner may read a file of this mode; then its content is not shown either."""
    return mode & 0o044 == 0


def _text_diff(wanted: Desired, before: bytes) -> dict[str, str]:
    return {
        "before_header": wanted.path,
        "after_header": wanted.path,
        "before": _text(before),
        "after": _text(wanted.content),
    }


def _compare_file(wanted: Desired) -> Step | None:
    descriptor = _open_nofollow(wanted.path)
    if descriptor is None:
        diff = {"prepared": f"{wanted.path}: file made, {_attributes(wanted)}\n"}
        if not _owners_alone(wanted.mode):
            diff.update(_text_diff(wanted, b""))
        return Step(wanted.path, diff, wanted)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _something_else(wanted.path, "a regular file")
        before = _content(descriptor)
    finally:
        os.close(descriptor)
    diff = {}
    if before != wanted.content and (_owners_alone(wanted.mode) or _owners_alone(status.st_mode)):
        diff["prepared"] = f"{wanted.path}: content differs, and is its owner's alone\n"
    elif before != wanted.content:
        diff = _text_diff(wanted, before)
    now = _attributes_now(wanted, status)
    if now != _attributes(wanted):
        note = _attribute_note(wanted.path, now, _attributes(wanted))
        diff["prepared"] = diff.get("prepared", "") + note
    return Step(wanted.path, diff, wanted, whole=before != wanted.content) if diff else None


def _compare_directory(wanted: Directory) -> Step | None:
    descriptor = _open_nofollow(wanted.path, os.O_DIRECTORY)
    if descriptor is None:
        diff = {"prepared": f"{wanted.path}: directory made, {_attributes(wanted)}\n"}
        return Step(wanted.path, diff, wanted)
    try:
        now = _attributes_now(wanted, os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if now == _attributes(wanted):
        return None
    diff = {"prepared": _attribute_note(wanted.path, now, _attributes(wanted))}
    return Step(wanted.path, diff, wanted, whole=False)


def _compare_link(wanted: Link) -> Step | None:
    try:
        now = os.readlink(wanted.path)
    except (FileNotFoundError, NotADirectoryError):
        now = "nothing"
    except OSError as error:
        if not (wanted.force and os.path.isfile(wanted.path)):
            raise _something_else(wanted.path, "a link") from error
        now = "nothing, a file instead"
    if now == wanted.target:
        return None
    diff = {"prepared": f"{wanted.path}: link to {now} -> {wanted.target}\n"}
    return Step(wanted.path, diff, wanted)


def _compare_removed(path: str) -> Step | None:
    descriptor = _open_nofollow(path)
    if descriptor is None:
        return None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _something_else(path, "a regular file")
        before = _text(_content(descriptor))
    finally:
        os.close(descriptor)
    diff = {"prepared": f"{path}: file removed\n"}
    if not _owners_alone(mode):
        diff.update(before_header=path, after_header=f"{path} (absent)", before=before, after="")
    return Step(path, diff, None)


def _parent(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise BadInput(f"path {path}: its directory {directory!r} does not exist; expected it before")
    return directory


def _write_copy(wanted: Desired) -> str:
    """Write a complete, synced copy with mode and owners beside the target; return its path."""
    uid, gid = _owners(wanted)
    _parent(wanted.path)
    with temporary_beside(wanted.path, wanted.mode, uid, gid) as (stream, temporary):
        stream.write(wanted.content)
    return temporary


def _set_attributes(wanted: Desired | Directory) -> None:
    uid, gid = _owners(wanted)
    descriptor = _open_nofollow(wanted.path, os.O_DIRECTORY if isinstance(wanted, Directory) else 0)
    if descriptor is None:
        raise BadInput(
            f"path {wanted.path}: it was removed meanwhile; expected no other program to change it"
        )
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, wanted.mode)
    finally:
        os.close(descriptor)


def _make_directory(wanted: Directory) -> None:
    _owners(wanted)
    _parent(wanted.path)
    os.mkdir(wanted.path, 0o700)
    _set_attributes(wanted)


def _make_link(wanted: Link) -> None:
    parent = _parent(wanted.path)
    temporary = os.path.join(parent, f".mailgate-{os.getpid()}-link")
    os.symlink(wanted.target, temporary)
    try:
        os.rename(temporary, wanted.path)
    except BaseException:
        os.unlink(temporary)
        raise


def apply(steps: Sequence[Step], check: Callable[[Desired, str], None] | None, changed: list[str]) -> None:
    """Apply the steps: directories, every file's copy with its check, and only then the renames."""
    copies: list[Step] = []
    touched: set[str] = set()
    try:
        for step in steps:
            if isinstance(step.wanted, Directory) and step.whole:
                _make_directory(step.wanted)
                touched.add(os.path.dirname(step.path))
                changed.append(step.path)
            elif isinstance(step.wanted, Desired) and step.whole:
                step.temporary = _write_copy(step.wanted)
                copies.append(step)
                if check is not None:
                    check(step.wanted, step.temporary)
            elif isinstance(step.wanted, (Desired, Directory)):
                _owners(step.wanted)
        for step in steps:
            if step.temporary:
                os.rename(step.temporary, step.path)
                copies.remove(step)
                touched.add(os.path.dirname(step.path))
            elif isinstance(step.wanted, Link):
                _make_link(step.wanted)
                touched.add(os.path.dirname(step.path))
            elif step.wanted is None:
                os.unlink(step.path)
                touched.add(os.path.dirname(step.path))
            elif not step.whole:
                _set_attributes(step.wanted)
            if step.path not in changed:
                changed.append(step.path)
    finally:
        for step in copies:
            os.unlink(step.temporary)
        for directory in sorted(touched):
            fsync_directory(directory)


def _refuse_bad_paths(paths: Sequence[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if not os.path.isabs(path) or os.path.normpath(path) != path:
            raise BadInput(f"path {path!r}: not absolute and plain; expected one such as '/etc/name'")
        if path in seen:
            raise BadInput(f"path {path!r}: named twice; expected once")
        seen.add(path)


def compare(
    desired: Sequence[Desired],
    removed: Sequence[str] = (),
    directories: Sequence[Directory] = (),
    links: Sequence[Link] = (),
) -> list[Step]:
    """Return what differs from the disk, in the order in which apply changes it; raises BadInput, OSError."""
    _refuse_bad_paths([*(wanted.path for wanted in (*directories, *desired, *links)), *removed])
    found = [
        *(_compare_directory(directory) for directory in directories),
        *(_compare_file(file) for file in desired),
        *(_compare_link(link) for link in links),
        *(_compare_removed(path) for path in removed),
    ]
    return [step for step in found if step is not None]


def is_validator(argv: Sequence[str]) -> bool:
    """Return whether a validator is told its file: '%s' in exactly one argument, and not the program."""
    return sum(argument.count("%s") for argument in argv) == 1 and "%s" not in argv[0]


def validate(
    module: AnsibleModule, argv: Sequence[str], copy: str, *, place: str, shown: str, what: str = "it"
) -> None:
    """Run a validator on the copy of what is to be in place; raises BadInput with what it said.

    place begins the message, shown is the path in it, and what is what was refused.
    """
    command = [argument.replace("%s", copy) for argument in argv]
    try:
        status, out, err = module.run_command(command, handle_exceptions=False)
    except OSError as error:
        raise BadInput(f"{place} cannot be run, {error.strerror}; expected a program of this host") from error
    if status != 0:
        said = (out + err).replace(copy, shown).rstrip("\n")
        raise BadInput(f"{place} refused {what} with exit status {status}; expected 0; its output:\n{said}")


def finish(
    module: AnsibleModule,
    desired: Sequence[Desired],
    *,
    removed: Sequence[str] = (),
    diff: list[dict[str, str]] | None = None,
    check: Callable[[Desired, str], None] | None = None,
    directories: Sequence[Directory] = (),
    links: Sequence[Link] = (),
    **result: object,
) -> NoReturn:
    """Bring files, directories and links to the wanted state, or predict that in check mode, and exit.

    check is called with each file that gets new content and the path of its complete copy, before anything
    but new directories was changed; it raises BadInput to refuse. With diff None each change gets a text
    diff. The module returns changed, changed_paths, diff and result, and fails with changed_paths and msg.
    """
    changed: list[str] = []
    try:
        steps = compare(desired, removed, directories, links)
        if module.check_mode:
            changed = [step.path for step in steps]
        else:
            apply(steps, check, changed)
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=changed)
    module.exit_json(
        changed=bool(steps),
        changed_paths=changed,
        diff=[step.diff for step in steps] if diff is None else diff,
        **result,
    )
