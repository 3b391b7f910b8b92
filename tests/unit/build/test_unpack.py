# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive may hold, and how it is unpacked."""

from __future__ import annotations

import io
import os
import tarfile
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import members as build_members
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import unpack as build
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build.unpack import unpack
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)


def archive(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """Return a gzipped tar file of (name, tar type, link or content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size, info.mode = len(text), 0o6777
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    stream.seek(0)
    return stream


TOP = ("top", tarfile.DIRTYPE, "")
FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("/etc/x", FILE, "")], "member '/etc/x' is absolute; expected a relative path"),
        ([("top/../../x", FILE, "")], "member 'top/../../x' leads upwards; expected a path without '..'"),
        ([("../x", FOLDER, "")], "member '../x' leads upwards; expected a path without '..'"),
        (
            [("x", FILE, "")],
            "member 'x' lies above the directory that is stripped; expected 1 leading directories",
        ),
        (
            [("top/x", tarfile.FIFOTYPE, "")],
            "member 'top/x' is a device or fifo; expected files, directories and links",
        ),
        (
            [("top/x", tarfile.CHRTYPE, "")],
            "member 'top/x' is a device or fifo; expected files, directories and links",
        ),
        (
            [("top/x", LINK, "/etc")],
            "symbolic link 'top/x' to '/etc' leaves the tree; expected a relative link that stays inside",
        ),
        (
            [("top/x", LINK, "..")],
            "symbolic link 'top/x' to '..' leaves the tree; expected a relative link that stays inside",
        ),
        (
            [("top/a/x", LINK, "../../b")],
            "symbolic link 'top/a/x' to '../../b' leaves the tree;"
            " expected a relative link that stays inside",
        ),
        (
            [("top/a/x", LINK, ".."), ("top/y", LINK, "a/x/..")],
            "symbolic link 'top/y' to 'a/x/..' leaves the tree; expected a relative link that stays inside",
        ),
        (
            [("top/x", LINK, "a"), ("top/x/y", FILE, "")],
            "member 'top/x/y' passes through a symbolic link; expected none",
        ),
        (
            [("top/x", LINK, "a"), ("top/x", FILE, "")],
            "member 'top/x' passes through a symbolic link; expected none",
        ),
        ([("top/x", FILE, ""), ("top/x", FILE, "")], "member 'top/x' is there twice; expected it once"),
        (
            [("top/x", HARD, "top/y")],
            "hard link 'top/x' to 'top/y' has no target; expected an earlier file of the archive",
        ),
        ([("top/x", HARD, "/etc/passwd")], "member '/etc/passwd' is absolute; expected a relative path"),
        (
            [("top/y", LINK, "a"), ("top/x", HARD, "top/y")],
            "hard link 'top/x' to 'top/y' has no target; expected an earlier file of the archive",
        ),
    ],
    ids=repr,
)
def test_evil_archives(tmp_path: Any, members: list[Any], message: str) -> None:
    tree = tmp_path / "tree"
    with pytest.raises(MailgateError) as caught:
        unpack(archive(TOP, *members), str(tree), 1, "here")
    assert str(caught.value) == f"archive here: {message}"
    assert list(tree.iterdir()) == []


def test_a_good_archive_is_unpacked(tmp_path: Any) -> None:
    tree = tmp_path / "tree"
    good = [
        ("top/bin/x", FILE, "content"), ("top/bin/up", LINK, "../lib/./y"), ("top/hard", HARD, "top/bin/x"),
    ]  # fmt: skip
    unpack(archive(TOP, *good), str(tree), 1, "here")
    assert (tree / "hard").read_text() == "content"
    assert os.readlink(tree / "bin/up") == "../lib/./y"
    assert (tree / "bin/x").stat().st_mode == 0o100755


def compressed(content: bytes) -> bytes:
    """As compress(1) writes it, with codes of up to 10 bits, each byte a code of its own (gzip's unlzw.c)."""
    narrow, wide = content[:257], content[257:]
    bits = "".join(f"{byte:09b}"[::-1] for byte in narrow)
    bits += "0" * (-len(bits) % 72 if wide else 0)
    bits += "".join(f"{byte:010b}"[::-1] for byte in wide)
    bits += "0" * (-len(bits) % 8)
    packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return b"\x1f\x9d\x0a" + packed


def test_an_archive_of_compress_is_unpacked(tmp_path: Any) -> None:
    place, tree = tmp_path / "hello.tar.Z", tmp_path / "tree"
    with tarfile.open(fileobj=archive(TOP, ("top/x", FILE, "content")), mode="r:*") as tar:
        members = [(info, tar.extractfile(info)) for info in tar.getmembers()]
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as out:
            for info, content in members:
                out.addfile(info, content)
    place.write_bytes(compressed(plain.getvalue()))
    with open(place, "rb") as stream:
        unpack(stream, str(tree), 1, "here")
    assert (tree / "x").read_text() == "content"


@pytest.mark.parametrize(
    ("content", "bound", "message"),
    [
        (compressed(bytes(20000)), 10000, "unpacks to more than 10000 bytes; expected a whole tar archive"),
        (b"\x1f\x9d\xff\xff\xff\xff", 10000, "gzip ended with status 1; expected a whole tar archive"),
    ],
    ids=["endless", "garbage"],
)
def test_a_bad_archive_of_compress(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, content: bytes, bound: int, message: str
) -> None:
    place = tmp_path / "hello.tar.Z"
    place.write_bytes(content)
    monkeypatch.setattr(build, "UNPACKED_BYTES", bound)
    with pytest.raises(MailgateError) as caught, open(place, "rb") as stream:
        unpack(stream, str(tmp_path / "tree"), 1, "here")
    assert str(caught.value) == f"archive here: {message}"


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\x1f\x8b\x08\x00", "gz"), (b"BZh91", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x1f\x9d\x90", "Z")],
)
def test_compression(head: bytes, kind: str) -> None:
    assert build_members.compression(head, "here") == kind


@pytest.mark.parametrize("head", [b"", b"hello-1.0/", b"PK\x03\x04"])
def test_unknown_compression(head: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        build_members.compression(head, "here")
    assert str(caught.value) == (
        f"archive here: first bytes {head[:6]!r} are not those of a known compression;"
        " expected gzip, bzip2, xz or compress"
    )
