# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has that no package brought, or that is not as its package brought it, byte by byte."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

# Runs on the host.  Owners by name, since a number is whatever was free.
SCRIPT = r"""
import glob, grp, hashlib, json, os, pwd, stat, subprocess

LEFT_OUT = {"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", "/var/cache", "/var/lib/apt", *LEAVE_OUT}
LEFT_OUT.add("/var/lib/dpkg")

def real(path):
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))

packaged = set()
for name in glob.glob("/var/lib/dpkg/info/*.list"):
    with open(name) as stream:
        packaged.update(map(real, filter(None, map(str.strip, stream))))
verified = subprocess.run(["dpkg", "--verify"], stdout=subprocess.PIPE, text=True).stdout
packaged -= {real("/" + line.partition("/")[2]) for line in verified.splitlines()}

def named(find, number):
    try:
        return find(number)[0]
    except KeyError:
        return str(number)

def look(path):
    one = os.lstat(path)
    said = {
        "mode": stat.filemode(one.st_mode),
        "owner": named(pwd.getpwuid, one.st_uid) + ":" + named(grp.getgrgid, one.st_gid),
    }
    if stat.S_ISLNK(one.st_mode):
        said["content"] = os.readlink(path)
    elif stat.S_ISREG(one.st_mode):
        with open(path, "rb") as stream:
            content = stream.read()
        said["content"] = hashlib.sha256(content).hexdigest()
        said["compiled"] = content.startswith((b"\x7fELF", b"!<arch>\n"))
    return said

found = {}
for place, directories, files in os.walk("/"):
    directories[:] = [
        name for name in directories
        if os.path.join(place, name) not in LEFT_OUT and name != "__pycache__"
    ]
    for path in (os.path.join(place, name) for name in directories + files):
        if path not in packaged:
            try:
                found[path] = look(path)
            except FileNotFoundError:
                pass  # it has gone meanwhile
for one in pwd.getpwall():
    groups = sorted(named(grp.getgrgid, number) for number in os.getgrouplist(one.pw_name, one.pw_gid))
    found["account " + one.pw_name] = {
        "mode": "", "owner": " ".join(groups), "content": " ".join((one.pw_gecos, one.pw_dir, one.pw_shell))
    }
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Entry:
    """A file, a link, a directory, or an account.

    content: the hash of a file, the target of a link, what /etc/passwd says of an account.
    compiled: it is machine code.
    """

    mode: str
    owner: str
    content: str = ""
    compiled: bool = False


Manifest = Mapping[str, Entry]


def manifest_of(container: str, leave_out: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return all that the host has of its own, by path, but what lies below the directories of leave_out."""
    done = subprocess.run(
        ["docker", "exec", "-i", container, "python3", "-"],
        input=f"LEAVE_OUT = {list(leave_out)!r}\n{SCRIPT}",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path: Entry(**entry) for path, entry in json.loads(done.stdout).items()}


def without_pythons_version(manifest: Manifest) -> dict[str, Entry]:
    """Return the manifest with python3 for python3.11, in paths and in the targets of links."""

    def general(text: str) -> str:
        return re.sub(r"\bpython3\.\d+\b", "python3", text)

    return {
        general(path): entry
        if entry.mode.startswith("-")
        else dataclasses.replace(entry, content=general(entry.content))
        for path, entry in manifest.items()
    }


def differences(one: Manifest, other: Manifest) -> dict[str, str]:
    """Return by path: mode, owner, content, machine code, "only the first" or "only the second"."""
    found = {}
    for path in sorted({*one, *other}):
        mine, its = one.get(path), other.get(path)
        if mine is None or its is None:
            found[path] = "only the second" if mine is None else "only the first"
        elif mine != its:
            what = [name for name in ("mode", "owner") if getattr(mine, name) != getattr(its, name)]
            if mine.content != its.content:
                what.append("machine code" if mine.compiled and its.compiled else "content")
            found[path] = ", ".join(what)
    return found


def unexpected(found: Mapping[str, str], expected: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the differences but those that `expected` has by pattern.

    expected: for a pattern, whose `*` stands for any text, which of the results of `differences` are.
    """
    return {
        path: what
        for path, what in found.items()
        if not any(fnmatchcase(path, pattern) and what in whats for pattern, whats in expected.items())
    }
