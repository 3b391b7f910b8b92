"""source_build's decisions: arguments, recipe, what archives may hold, what differs."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import apt
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import manifest as build_manifest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import members as build_members
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import unpack as build
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build.unpack import unpack
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)

A, B = "a" * 64, "b" * 64
PATH = "a path relative to the build tree, without '..'"
HOST = build_recipe.Host(
    system="debian",
    release="12",
    machine="x86_64",
    libc="glibc 2.36",
    toolchain={"gcc": "12.2.0"},
    users={"alias": 990},
    groups={"qmail": 980},
)


def arguments(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "hello",
        "version": "1.0",
        "archives": [
            {
                "directory": ".",
                "strip": 1,
                "sources": [{"url": "https://example.com/hello.tar.gz", "sha256": A}],
            }
        ],
        "patches": ["one.patch"],
        "series": None,
        "files": [{"path": "conf-cc", "content": "cc\n", "src": None}],
        "chdir": ".",
        "build": [["make"]],
        "install": [["make", "install"]],
        "toolchain": ["gcc"],
        "toolchain_minimum": {},
        "packages": ["gcc"],
        "ids": {"users": ["alias"], "groups": ["qmail"]},
        "artifacts": ["/usr/local/bin/hello"],
        "skeleton": ["/var/spool/hello"],
        "directory_modes": {"/usr/local/bin": "0755"},
        "cache": None,
        "build_user": "mailgate-build",
        "step_timeout_seconds": 3600,
        "keep_archive": True,
        "package_method": None,
    }
    return {**given, **changed}


def sources(*places: dict[str, Any], **archive: Any) -> list[dict[str, Any]]:
    return [{"directory": ".", "strip": 1, "sources": list(places), **archive}]


def recipe(
    host: build_recipe.Host = HOST, patches: str = A, files: str = A, **changed: Any
) -> dict[str, Any]:
    return build_recipe.recipe(source.parse(arguments(**changed)), [patches], [files], host)


# -- the recipe -----------------------------------------------------------------------------------


def test_recipe_is_what_the_task_and_the_host_say() -> None:
    assert recipe() == {
        "format": 1,
        "name": "hello",
        "version": "1.0",
        "archives": [{"directory": ".", "strip": 1, "sha256": [A]}],
        "patches": [A],
        "files": [{"path": "conf-cc", "sha256": A}],
        "chdir": ".",
        "build": [{"argv": ["make"], "chdir": ".", "environment": {}}],
        "install": [{"argv": ["make", "install"], "chdir": ".", "environment": {}}],
        "packages": ["gcc"],
        "artifacts": ["/usr/local/bin/hello"],
        "skeleton": ["/var/spool/hello"],
        "directory_modes": {"/usr/local/bin": "0755"},
        "platform": {"system": "debian", "release": "12", "machine": "x86_64"},
        "libc": "glibc 2.36",
        "toolchain": {"gcc": "12.2.0"},
        "ids": {"users": {"alias": 990}, "groups": {"qmail": 980}},
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "hallo"},
        {"version": "1.1"},
        {"archives": sources({"url": "https://example.com/hello.tar.gz", "sha256": B})},
        {
            "archives": sources(
                {"pool": "main/h/h.tar.gz", "sha256": A}, {"pool": "main/h/g.tar.gz", "sha256": B}
            )
        },
        {"archives": sources({"pool": "main/h/h.tar.gz", "sha256": A}, strip=2)},
        {"archives": sources({"pool": "main/h/h.tar.gz", "sha256": A}, directory="sub")},
        {"patches": B},
        {"files": B},
        {"chdir": "src"},
        {"series": "debian/patches/series"},
        {"build": [["make", "it"]]},
        {"build": [{"argv": ["make"], "chdir": "src"}]},
        {"build": [{"argv": ["make"], "environment": {"V": "1"}}]},
        {"install": [["make", "setup"]]},
        {"packages": ["gcc", "make"]},
        {"artifacts": ["/usr/local/bin/hallo"]},
        {"skeleton": []},
        {"directory_modes": {"/usr/local/bin": "2755"}},
        {"host": dataclasses.replace(HOST, system="ubuntu")},
        {"host": dataclasses.replace(HOST, release="13")},
        {"host": dataclasses.replace(HOST, machine="aarch64")},
        {"host": dataclasses.replace(HOST, libc="glibc 2.41")},
        {"host": dataclasses.replace(HOST, toolchain={"gcc": "14.2.0"})},
        {"host": dataclasses.replace(HOST, users={"alias": 991})},
        {"host": dataclasses.replace(HOST, groups={"qmail": None})},
    ],
    ids=repr,
)
def test_every_input_changes_the_hash(changed: dict[str, Any]) -> None:
    if isinstance(changed.get("patches"), str) or isinstance(changed.get("files"), str):
        other = build_recipe.recipe(
            source.parse(arguments()), [changed.get("patches", A)], [changed.get("files", A)], HOST
        )
    else:
        other = recipe(**changed)
    assert build_recipe.recipe_hash(other) != build_recipe.recipe_hash(recipe())


@pytest.mark.parametrize(
    "changed",
    [
        {"archives": sources({"pool": "main/h/h.tar.gz", "sha256": A.upper()})},
        {"cache": "/elsewhere"},
        {"keep_archive": False},
        {"package_method": "hello_install_method: package"},
        {"build": [{"argv": ["make"]}]},
        {"step_timeout_seconds": 60},
        {"toolchain_minimum": {"gcc": "12"}},
        {"directory_modes": {"/usr/local/bin": "755"}},
    ],
    ids=repr,
)
def test_where_and_how_it_is_kept_does_not(changed: dict[str, Any]) -> None:
    assert build_recipe.recipe_hash(recipe(**changed)) == build_recipe.recipe_hash(recipe())


def test_readable_recipe_is_sorted_lines() -> None:
    assert build_recipe.readable(None) == ""
    assert build_recipe.readable({"b": [1], "a": "ä"}) == '{\n  "a": "ä",\n  "b": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [("4:12.2.0-3", "12.2.0"), ("2.36-9+deb12u14", "2.36"), ("1.0-rc1-2", "1.0-rc1"), ("4.3", "4.3")],
)
def test_upstream_version(debian: str, upstream: str) -> None:
    assert apt.upstream_version(debian) == upstream


def test_os_release() -> None:
    text = "# made\nID=debian\nVERSION_ID=\"12\"\nNAME='x y'\n\n"
    assert apt.os_release(text) == {"ID": "debian", "VERSION_ID": "12", "NAME": "x y"}


def test_apt_candidates() -> None:
    text = "gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n  Version table:\n     4:12.2.0-3 500\n"
    assert apt.apt_candidates(text + "ghost:\n  Installed: (none)\n  Candidate: (none)\n") == {
        "gcc": "4:12.2.0-3"
    }


def test_pool_urls_are_those_of_mirrors_with_the_component() -> None:
    targets = (
        "http://one.example/debian/ main\nhttp://one.example/debian/ main\nhttps://x.example/ contrib\n"
        "mirror+file:/etc/list main\nfile:/srv/debian/ main\n"
    )
    assert apt.pool_urls(targets, "main/h/hello/hello_1.tar.gz") == [
        "http://one.example/debian/pool/main/h/hello/hello_1.tar.gz",
        "file:///srv/debian/pool/main/h/hello/hello_1.tar.gz",
    ]


def test_a_tree_can_be_made_of_files_alone() -> None:
    assert recipe(archives=[])["archives"] == []
    assert recipe(archives=[], files=B) != recipe(archives=[])


@pytest.mark.parametrize(
    ("found", "minimum", "old"),
    [
        ("1.85.0+dfsg3", "1.87", True),
        ("1.96.0+dfsg1", "1.87", False),
        ("1.87", "1.87", False),
        ("1.9", "1.87", True),
        ("2", "1.87", False),
        (None, "1.87", False),
    ],
)
def test_a_toolchain_that_is_too_old(found: str | None, minimum: str, old: bool) -> None:
    spec = source.parse(arguments(toolchain=["rustc"], toolchain_minimum={"rustc": minimum}))
    sentence = f"toolchain: rustc {found!r} is too old; expected {minimum} or newer"
    assert apt.too_old(spec, {"rustc": found}) == ([sentence] if old else [])


def test_a_series_is_names_in_order() -> None:
    assert source.series("b.patch\n\n# why\nsub/a.patch -p1 # first\n", "s") == ["b.patch", "sub/a.patch"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.patch\nb.patch -p0\n",
            "series s line 2: 'b.patch -p0' has options; expected the name of a patch",
        ),
        ("../a\n", f"series s line 1: '../a' leads upwards; expected {PATH}"),
        ("/etc/passwd\n", f"series s line 1: '/etc/passwd' is absolute; expected {PATH}"),
        ("# none\n", "series s: '# none\\n' names no patch; expected one or more"),
    ],
)
def test_a_refused_series(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        source.series(text, "s")
    assert str(caught.value) == message


# -- what is refused ------------------------------------------------------------------------------

URL = "https://example.com/h.tar.gz"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Hello"}, "name: 'Hello' is refused; expected lower-case letters, digits and '-'"),
        ({"name": "../x"}, "name: '../x' is refused; expected lower-case letters, digits and '-'"),
        ({"name": "x\n"}, "name: 'x\\n' is refused; expected lower-case letters, digits and '-'"),
        ({"version": "1/2"}, "version: '1/2' is refused; expected one such as '1.06'"),
        ({"archives": [], "files": []}, "archives: [] is empty; expected one or more"),
        ({"install": []}, "install: [] is empty; expected one or more"),
        ({"artifacts": []}, "artifacts: [] is empty; expected one or more"),
        ({"archives": sources()}, "archives[0].sources: [] names no source; expected one or more"),
        (
            {"archives": sources({"url": URL})},
            "archives[0].sources[0]: 'https://example.com/h.tar.gz' has no sha256;"
            " expected 64 hexadecimal digits",
        ),
        (
            {"archives": sources({"url": URL, "sha256": A}, {"url": URL, "sha256": "abc"})},
            "archives[0].sources[1].sha256: 'abc' is not a sha256; expected 64 hexadecimal digits",
        ),
        (
            {"archives": sources({"url": URL, "pool": "main/h.gz", "sha256": "x"})},
            "archives[0].sources[0]:"
            " {'url': 'https://example.com/h.tar.gz', 'pool': 'main/h.gz', 'sha256': 'x'}"
            " has both url and pool; expected exactly one of them",
        ),
        (
            {"archives": sources({"sha256": "x"})},
            "archives[0].sources[0]: {'sha256': 'x'} has neither url nor pool; expected exactly one of them",
        ),
        (
            {"archives": sources({"url": "ftp://example.com/h", "sha256": A})},
            "archives[0].sources[0].url: 'ftp://example.com/h' is refused;"
            " expected 'http://…', 'https://…' or 'file:///…'",
        ),
        (
            {"archives": sources({"pool": "main/../h.gz", "sha256": A})},
            f"archives[0].sources[0].pool: 'main/../h.gz' leads upwards; expected {PATH}",
        ),
        (
            {"archives": sources({"pool": "/main/h.gz", "sha256": A})},
            "archives[0].sources[0].pool: '/main/h.gz' is refused;"
            " expected 'main/d/name/name_1.0.orig.tar.gz'",
        ),
        (
            {"archives": sources({"url": URL, "sha256": A}, directory="/tmp")},
            f"archives[0].directory: '/tmp' is absolute; expected {PATH}",
        ),
        (
            {"archives": sources({"url": URL, "sha256": A}, directory="a/../..")},
            f"archives[0].directory: 'a/../..' leads upwards; expected {PATH}",
        ),
        (
            {"archives": sources({"url": URL, "sha256": A}, strip=-1)},
            "archives[0].strip: -1 is refused; expected a number of directories, 0 or more",
        ),
        ({"chdir": "/"}, f"chdir: '/' is absolute; expected {PATH}"),
        (
            {"files": [{"path": "x", "content": "1", "src": "y"}]},
            "files[0]: 'x' has both content and src; expected exactly one of them",
        ),
        (
            {"files": [{"path": "x"}]},
            "files[0]: 'x' has neither content nor src; expected exactly one of them",
        ),
        (
            {"files": [{"path": "../x", "content": ""}]},
            f"files[0].path: '../x' leads upwards; expected {PATH}",
        ),
        (
            {"files": [{"path": "./", "content": ""}]},
            "files[0].path: '.' is the build tree; expected a file below it",
        ),
        (
            {"files": [{"path": "x", "content": ""}, {"path": "./x", "content": ""}]},
            "files: 'x' is there twice; expected it once",
        ),
        (
            {"build": ["make it"]},
            "build[0]: 'make it' is not a command; expected a list such as ['make', 'it']",
        ),
        ({"build": [[]]}, "build[0]: [] is not a command; expected a list such as ['make', 'it']"),
        ({"build": [["make", None]]}, "build[0]: None is not a word of a command; expected a string"),
        (
            {"install": [{"argv": ["make"], "cwd": "x"}]},
            "install[0]: 'cwd' is unknown; expected argv, chdir or environment",
        ),
        (
            {"build": [{"argv": ["make"], "environment": {"A B": "x"}}]},
            "build[0].environment: 'A B' is refused; expected the name of a variable",
        ),
        (
            {"build": [{"argv": ["make"], "chdir": "../x"}]},
            f"build[0].chdir: '../x' leads upwards; expected {PATH}",
        ),
        ({"toolchain": ["-gcc"]}, "toolchain: '-gcc' is refused; expected the name of a Debian package"),
        ({"packages": ["gcc", "gcc"]}, "packages: 'gcc' is there twice; expected it once"),
        ({"ids": {"users": ["A"], "groups": []}}, "ids.users: 'A' is refused; expected the name of a user"),
        (
            {"artifacts": ["bin/hello"]},
            "artifacts: 'bin/hello' is refused; expected an absolute path without '.', '..' and '//'",
        ),
        (
            {"artifacts": ["/"]},
            "artifacts: '/' is refused; expected an absolute path without '.', '..' and '//'",
        ),
        (
            {"artifacts": ["/usr/../etc/x"]},
            "artifacts: '/usr/../etc/x' is refused; expected an absolute path without '.', '..' and '//'",
        ),
        (
            {"skeleton": ["/usr/local/bin"]},
            "skeleton: '/usr/local/bin' overlaps the artifact '/usr/local/bin/hello'; expected them apart",
        ),
        (
            {"directory_modes": {"/usr/local/bin": 493}},
            "directory_modes[/usr/local/bin]: 493 is refused;"
            " expected an octal mode in quotes such as '0755'",
        ),
        (
            {"build_user": "root"},
            "build_user: 'root' runs more than builds; expected a user whose every process may be killed",
        ),
        (
            {"build_user": "alias"},
            "build_user: 'alias' runs more than builds; expected a user whose every process may be killed",
        ),
        ({"series": "/etc/series"}, f"series: '/etc/series' is absolute; expected {PATH}"),
        (
            {"toolchain_minimum": {"rustc": "1.87"}},
            "toolchain_minimum: 'rustc' is not in the toolchain; expected one of it",
        ),
        (
            {"toolchain_minimum": {"gcc": "12-1"}},
            "toolchain_minimum[gcc]: '12-1' is refused; expected a version such as '1.87'",
        ),
        ({"step_timeout_seconds": 0}, "step_timeout_seconds: 0 is refused; expected 1 or more"),
    ],
    ids=repr,
)
def test_refused_arguments(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        source.parse(arguments(**changed))
    assert str(caught.value) == message


# -- archives of source ---------------------------------------------------------------------------


def archive(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """A gzipped tar file of (name, tar type, link or content)."""
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


# -- what was installed ---------------------------------------------------------------------------

PROGRAM = build_manifest.Entry("/usr/local/bin/hello", "file", 0o4755, 990, 980, sha256=B)
SPOOL = build_manifest.Entry("/var/spool/hello", "directory", 0o750, 0, 0)
BIN = build_manifest.Entry("/usr/local/bin", "directory", 0o755, 0, 0)


def manifest(**changed: Any) -> build_manifest.Manifest:
    made = recipe()
    given: dict[str, Any] = {
        "recipe": made,
        "recipe_hash": build_recipe.recipe_hash(made),
        "sources": [{"directory": ".", "place": URL, "via": "cache", "sha256": A}],
        "artifacts": (PROGRAM,),
        "skeleton": (SPOOL,),
        "parents": (BIN,),
    }
    return build_manifest.Manifest(**{**given, **changed})


def test_a_manifest_survives_its_journey() -> None:
    assert build_manifest.parse_manifest(manifest().text(), "here") == manifest()
    build_manifest.check_manifest(manifest())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{}", "'recipe'"),
        (manifest().text().replace("1.0", "1.1"), "recipe_hash is not that of the recipe"),
        (manifest().text().replace('"/usr/local/bin/hello",\n   "sha', '"hello",\n   "sha'), None),
        (manifest().text().replace('"file"', '"socket"'), "kind 'socket' is unknown"),
        (manifest().text().replace('"mode": 2541', '"mode": 999999'), "mode or sha256 is out of range"),
    ],
)
def test_a_damaged_manifest(text: str, why: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        build_manifest.parse_manifest(text, "here")
    assert str(caught.value).startswith(f"manifest here: {text[:60]!r} is damaged (")
    if why is not None:
        assert str(caught.value).endswith(f"is damaged ({why}); expected what was written")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"artifacts": (dataclasses.replace(PROGRAM, path="/etc/shadow"),)},
            "artifact /etc/shadow: is not in the recipe; expected one of its paths",
        ),
        (
            {"artifacts": (dataclasses.replace(PROGRAM, path="/usr/local/bin/hello2"),)},
            "artifact /usr/local/bin/hello2: is not in the recipe; expected one of its paths",
        ),
        (
            {"artifacts": (dataclasses.replace(PROGRAM, uid=1000),)},
            "artifact /usr/local/bin/hello: owner '1000:980' is foreign to the recipe;"
            " expected root or one of ids",
        ),
        (
            {"skeleton": (dataclasses.replace(SPOOL, gid=5),)},
            "skeleton /var/spool/hello: owner '0:5' is foreign to the recipe; expected root or one of ids",
        ),
        (
            {"artifacts": (dataclasses.replace(PROGRAM, kind="device or socket"),)},
            "artifact /usr/local/bin/hello: a device or socket; expected file, directory, link, fifo",
        ),
        (
            {"parents": (dataclasses.replace(BIN, path="/etc"),)},
            "directory /etc: above nothing; expected a parent directory",
        ),
    ],
)
def test_a_manifest_that_reaches_too_far(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        build_manifest.check_manifest(manifest(**changed))
    assert str(caught.value) == message


def test_parents_come_first() -> None:
    paths = ["/a-b", "/a/b", "/a"]
    entries = tuple(dataclasses.replace(PROGRAM, path=path) for path in paths)
    ordered = build_manifest.wanted_entries(manifest(artifacts=entries, skeleton=()))
    assert [entry.path for entry in ordered] == ["/a", "/a/b", "/a-b"]


def test_differences_name_the_path_and_how() -> None:
    link = build_manifest.Entry("/l", "link", 0o777, 0, 0, target="x")
    found = {PROGRAM.path: dataclasses.replace(PROGRAM, mode=0o755), SPOOL.path: SPOOL}
    assert build_manifest.differences([PROGRAM, SPOOL, link], found) == [
        (PROGRAM.path, f"file 0755 990:980 sha256 {B}", f"file 4755 990:980 sha256 {B}"),
        ("/l", "absent", "link 0777 0:0 to x"),
    ]
