# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: whole or not there, the same bytes of the same files, and each damage named."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

PLATFORM = bundle.Platform("debian", "12", "x86_64")
CONTENTS = {
    "sources/" + hashlib.sha256(b"archive").hexdigest(): (
        b"archive",
        "hello, https://example.com/hello.tar.gz",
    ),
    "wheels/textual-1.0-py3-none-any.whl": (b"wheel" * 1000, "wheel of textual==1.0"),
    "packages/gcc_4%3a12.2.0-3_amd64.deb": (b"", "package gcc 4:12.2.0-3"),
}


def files(place: Path) -> dict[str, tuple[str, str]]:
    place.mkdir(exist_ok=True)
    found = {}
    for number, (name, (content, what)) in enumerate(CONTENTS.items()):
        path = place / str(number)
        path.write_bytes(content)
        found[name] = (str(path), what)
    return found


def make(target: Path, given: dict[str, tuple[str, str]]) -> bundle.Manifest:
    manifest = bundle.describe(PLATFORM, "1.0", given)
    bundle.write(str(target), manifest, given)
    return manifest


def cached(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    given = files(tmp_path / "one")
    manifest = make(tmp_path / "a.bundle", given)
    for path in (tmp_path / "one").iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    make(tmp_path / "b.bundle", dict(reversed(list(given.items()))))
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()
    assert bundle.is_whole(str(tmp_path / "a.bundle"), manifest)
    assert sorted(os.listdir(tmp_path)) == ["a.bundle", "b.bundle", "one"]


def test_what_is_taken_is_what_was_given_and_sources_come_into_the_cache(tmp_path: Path) -> None:
    manifest = make(tmp_path / "a.bundle", files(tmp_path / "one"))
    cache = tmp_path / "cache"
    archive = hashlib.sha256(b"archive").hexdigest()
    (cache / "sources").mkdir(parents=True)
    (cache / "sources" / archive).write_text("damaged")
    taken, place = bundle.take(str(tmp_path / "a.bundle"), str(cache))
    assert taken == manifest and taken.of_kind("wheels") == ["wheels/textual-1.0-py3-none-any.whl"]
    for name, (content, _what) in CONTENTS.items():
        assert Path(place, name).read_bytes() == content
    assert (cache / "sources" / archive).read_bytes() == b"archive"
    # What was damaged in the cache since then is put right.
    Path(place, taken.of_kind("wheels")[0]).write_text("damaged")
    before = cached(cache)
    assert bundle.take(str(tmp_path / "a.bundle"), str(cache)) == (taken, place)
    assert cached(cache) == before and not bundle.damaged(place, taken)


def test_a_cut_anywhere_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    make(tmp_path / "a.bundle", files(tmp_path / "one"))
    whole = (tmp_path / "a.bundle").read_bytes()
    contents = whole.rstrip(b"\0")  # behind them only the end of a tar archive
    cut, cache = tmp_path / "cut.bundle", tmp_path / "cache"
    for length in [*range(0, len(contents), 97), len(contents) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=rf"bundle {cut}: "):
            bundle.take(str(cut), str(cache))
    assert [name for name in cached(cache) if name != "bundles/.lock"] == []


def test_another_byte_of_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    make(tmp_path / "a.bundle", files(tmp_path / "one"))
    whole = bytearray((tmp_path / "a.bundle").read_bytes())
    whole[whole.index(b"wheel" * 10)] ^= 1
    (tmp_path / "a.bundle").write_bytes(whole)
    with pytest.raises(
        BadInput, match=r"wheels/textual-1\.0-py3-none-any\.whl \(wheel of textual==1\.0\): sha256"
    ):
        bundle.take(str(tmp_path / "a.bundle"), str(tmp_path / "cache"))
    assert not (tmp_path / "cache" / "sources").exists()


def write_tar(path: Path, members: list[tuple[str, bytes, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "more",
    [
        ("../../etc/cron.d/x", b"x", tarfile.REGTYPE),
        ("wheels/other.whl", b"x", tarfile.REGTYPE),
        ("wheels/textual-1.0-py3-none-any.whl", b"", tarfile.SYMTYPE),
        ("manifest.json", b"{}", tarfile.REGTYPE),
    ],
)
def test_a_member_that_the_manifest_does_not_name_once_is_refused(
    tmp_path: Path, more: tuple[str, bytes, bytes]
) -> None:
    manifest = bundle.describe(PLATFORM, "1.0", files(tmp_path / "one"))
    write_tar(
        tmp_path / "a.bundle",
        [("manifest.json", manifest.text().encode(), tarfile.REGTYPE), more],
    )
    with pytest.raises(BadInput, match=re.escape(repr(more[0]))):
        bundle.take(str(tmp_path / "a.bundle"), str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "manifest.json is damaged"),
        ("[]", "format None is not known"),
        ('{"format": 2}', "format 2 is not known here; expected 1"),
        ('{"format": 1, "platform": {}, "version": "", "files": {}}', "is damaged"),
        ('{"format": 1, "files": {"wheels/../../x": {"what": "", "sha256": "", "size": 0}}}', "is damaged"),
    ],
)
def test_a_manifest_of_another_form_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        bundle.parse_manifest(text.encode(), "bundle x")


@pytest.mark.parametrize(
    "name", ["wheels/../x", "/etc/passwd", "wheels/", "other/x", "wheels/.x", "wheels/a\n"]
)
def test_a_name_that_leaves_its_directory_is_refused(name: str) -> None:
    given = bundle.Manifest(PLATFORM, "", {name: bundle.Entry("", "0" * 64, 0)})
    with pytest.raises(BadInput, match="is not a name of a file"):
        bundle.parse_manifest(given.text().encode(), "bundle x")


def test_a_file_that_changes_while_it_is_bundled_leaves_the_old_bundle(tmp_path: Path) -> None:
    given = files(tmp_path / "one")
    manifest = make(tmp_path / "a.bundle", given)
    before = (tmp_path / "a.bundle").read_bytes()
    name = manifest.of_kind("wheels")[0]
    Path(given[name][0]).write_bytes(b"other" * 1000)
    with pytest.raises(BadInput, match="has changed while the bundle was made"):
        bundle.write(str(tmp_path / "a.bundle"), manifest, given)
    assert (tmp_path / "a.bundle").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.bundle", "one"]


def test_what_an_interrupted_making_left_is_overwritten_and_two_do_not_mix(tmp_path: Path) -> None:
    given, part = files(tmp_path / "one"), tmp_path / ".a.bundle.part"
    part.write_bytes(b"half" * 100_000)
    make(tmp_path / "a.bundle", given)
    make(tmp_path / "b.bundle", given)
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes() and not part.exists()
    with open(part, "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another run makes it"):
            make(tmp_path / "a.bundle", given)


def test_only_the_last_bundles_stay_in_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "bundles" / ".new-killed").mkdir(parents=True)
    places = []
    for number in range(4):
        given = bundle.describe(PLATFORM, str(number), {})
        bundle.write(str(tmp_path / "a.bundle"), given, {})
        places.append(bundle.take(str(tmp_path / "a.bundle"), str(cache), kept=2)[1])
        os.utime(places[-1], (number, number))
    there = {name for name in os.listdir(cache / "bundles") if name != ".lock"}
    assert there == {os.path.basename(one) for one in places[-2:]}


def test_a_bundle_of_another_platform_is_refused_by_name() -> None:
    given = {"path": "/srv/x.bundle", "platform": "debian-12-x86_64", "lacks": ["gcc", "make"]}
    assert bundle.faults(given, PLATFORM, {"gcc", "make"}) == []
    (fault,) = bundle.faults(given, PLATFORM, {"gcc"})
    assert "has no package make, and neither has this host" in fault
    (fault,) = bundle.faults(given, bundle.Platform("debian", "13", "aarch64"), set())
    assert "is for debian-12-x86_64" in fault and "mailgate-debian-13-aarch64.bundle" in fault
