# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ripmime as its role builds it, under ASan and UBSan; without the source there is nothing to build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.c_programs import CACHE, run
from support.kept_builds import keep

ROLE = Path(__file__).resolve().parents[3] / "roles" / "ripmime"
FILES = ROLE / "files"
SOURCE = ROLE.parents[1] / "src" / "ripmime"
ARCHIVES = (
    "f705c679ce897eaadc1aa7c8a43d2bbd99b56c16e7a3ace9aab542be0cf8fd09",
    "896115488a7b7cad3b80f2718695b0c7b7c89fc0d456b09125c37f5a5734406a",
)
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
FLAGS = VARIABLES["_ripmime_flags"].split()
HARD = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1"}


@pytest.fixture(scope="session")
def ripmime(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build it as the role does; without a patch, or without a flag, where the test says so."""
    archives = [CACHE / sha256 for sha256 in ARCHIVES if (CACHE / sha256).is_file()]
    if not archives:
        pytest.skip(f"the source of ripmime 1.4.0.10 is not in {CACHE}")

    def built(without: str = "") -> Path:
        patches = sorted((FILES / "patches").glob("*.patch")) if without != "patches" else []
        files, sources = VARIABLES["_ripmime_build_files"], sorted(SOURCE.glob("*.[ch]"))
        flags = [flag for flag in FLAGS if flag != without and not flag.startswith(("-O", "-D_FORTIFY"))]
        sanitized = [
            "-g",
            "-O1",
            "-fsanitize=address,undefined",
            "-fno-sanitize=shift,signed-integer-overflow",
        ]
        objects = VARIABLES["_ripmime_objects"]
        argv = ["make", "ripmime", "COMPONENTS=", f"CFLAGS={' '.join([*flags, *sanitized])}",
                f"OFILES={' '.join(objects)}"]  # fmt: skip

        def made(place: Path) -> None:
            assert run(["tar", "-xzf", archives[0], "-C", place, "--strip-components=1"]).returncode == 0
            for patch in patches:
                assert run(["patch", "-p1", "-F0", "-i", patch], cwd=place).returncode == 0
            for file in files:
                (place / file["path"]).parent.mkdir(exist_ok=True)
                (place / file["path"]).write_text(file["content"])
            for path in sources:
                shutil.copy(path, place / path.name)
            done = run(argv, cwd=place)
            assert done.returncode == 0, done.stderr.decode(errors="replace")

        place = tmp_path_factory.mktemp("ripmime")
        keep(place, [repr(files), *argv], [archives[0], *patches, *sources], made)
        return place / "ripmime"

    kept: dict[str, Path] = {}

    def cached(without: str = "") -> Path:
        if without not in kept:
            kept[without] = built(without)
        return kept[without]

    return cached


def unpack(program: Path, message: bytes, place: Path) -> tuple[int, str, list[str]]:
    """Return (status, output, parts) of a run with simscan's options."""
    parts = place / "parts"
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir()
    argv = [program, "--disable-qmail-bounce", "-i", "-", "-d", "parts", "-v", "--no-tnef", "--no-ole"]
    done = subprocess.run(
        argv, input=message, capture_output=True, cwd=place, env=HARD, timeout=10, check=False
    )
    said = (done.stdout + done.stderr).decode("latin-1")
    return done.returncode, said, sorted(os.listdir(parts))


def message(*lines: str) -> bytes:
    return "\n".join(("From: a@b.example", "MIME-Version: 1.0", *lines, "")).encode("latin-1")


def multipart(*lines: str) -> bytes:
    return message("Content-Type: multipart/mixed; boundary=oo", "", "--oo", *lines, "--oo--")


NEGATIVE = {
    "quoted-printable": multipart(
        "Content-Type: text/plain", "Content-Transfer-Encoding: quoted-printable", "", "a=\xe4\xff=\x80\x81 b"
    ),
    "base64": multipart(
        "Content-Type: text/plain; name=a.txt",
        "Content-Transfer-Encoding: base64",
        "",
        "\xff\xe4\x80=\xffTVqQ",
    ),
    "encoded word, Q": message("Subject: =?utf-8?Q?=\xe4\xff?=", "", "body"),
    "encoded word, B": message("Subject: =?utf-8?B?\xe4\xff\xe4\xff?=", "", "body"),
    "uuencode": message("", "begin 644 x.exe", "#\xff\xe4\x80", "`", "end"),
}


@pytest.mark.parametrize("name", NEGATIVE)
def test_bytes_above_127_are_no_negative_index(
    ripmime: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    status, said, dummy = unpack(ripmime(), NEGATIVE[name], tmp_path)
    assert status == 0, said


@pytest.mark.slow
def test_without_unsigned_characters_they_are(ripmime: Callable[..., Path], tmp_path: Path) -> None:
    said = [unpack(ripmime("-funsigned-char"), one, tmp_path)[1] for one in NEGATIVE.values()]
    assert any("index -" in text or "AddressSanitizer" in text for text in said)


ENDS = {
    "after two CRs": message("Content-Type: text/plain\r\r", "", "body"),
    "in a part after two CRs": multipart("Subject: x\r\r", "", "body", "--oo", "X-A: b\r\r")[:-7],
    "in base64": multipart("Content-Transfer-Encoding: base64", "Content-Type: a/b; name=c", "", "TVqQ")[:-8],
    "in base64 after byte 255": multipart(
        "Content-Transfer-Encoding: base64", "Content-Type: a/b; name=c", "", "TV\xffqQTVq"
    )[:-8],
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("cut", range(12))
def test_the_end_of_the_message_is_the_end(
    ripmime: Callable[..., Path], name: str, cut: int, tmp_path: Path
) -> None:
    """Byte 255 is not taken for the end, nor the end for byte 255, which would be written for ever."""
    status, said, dummy = unpack(ripmime(), ENDS[name][: len(ENDS[name]) - cut], tmp_path)
    assert status == 0, said
    assert all(path.stat().st_size < 10_000 for path in (tmp_path / "parts").iterdir())


CUT = [
    f"=?utf-8?B?{word}?="
    for word in ("ZXZpbC5leGU", "ZXZpbC5leGV", "ZXZpbC5leGU=", "Z", "ZX", "ZXZ", "=", "====")
]


@pytest.mark.parametrize("word", CUT)
@pytest.mark.parametrize("padding", range(0, 24, 3))
def test_an_encoded_word_ends_with_its_text(
    ripmime: Callable[..., Path], word: str, padding: int, tmp_path: Path
) -> None:
    """The suffix is found anywhere in the buffer, also in a name without its stop characters."""
    for lines in (
        (f"X-Filler: {'x' * padding}", f"Subject: {word}", "", "body"),
        (f'Content-Type: text/plain; {"x" * padding}; name="{word}"', "", "body"),
    ):
        status, said, parts = unpack(ripmime(), message(*lines), tmp_path)
        assert status == 0, said
        if "name" in lines[0] and word.startswith("=?utf-8?B?ZXZpbC5leGU"):
            assert "evil.exe" in parts


@pytest.mark.slow
def test_without_the_patch_it_does_not(ripmime: Callable[..., Path], tmp_path: Path) -> None:
    said = [
        unpack(ripmime("patches"), message(f"X-Filler: {'x' * n}", f"Subject: {word}", "", "body"), tmp_path)[
            1
        ]
        for word in CUT
        for n in range(24)
    ]
    assert any("AddressSanitizer" in text for text in said)


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_part_is_written_whole_or_not_at_all(
    ripmime: Callable[..., Path], size: int, tmp_path: Path
) -> None:
    """A limit of file size acts like a full disk; both make it end."""
    text = multipart("Content-Type: text/plain", "", "x" * size)
    program = ripmime()
    status, said, parts = unpack(program, text, tmp_path)
    assert (status, parts) == (0, ["textfile0", "textfile1"])
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 0\nexec {program} "$@"\n')
    limited.chmod(0o755)
    status, said, parts = unpack(limited, text, tmp_path)
    assert status == 1 and re.search(
        "^ripmime: ERROR: cannot (write|close) a file: (File too large|Input/output error)$",
        said,
        re.MULTILINE,
    )


@pytest.mark.parametrize("patch", sorted((FILES / "patches").glob("*.patch")), ids=lambda path: path.name)
def test_a_patch_says_what_why_and_how_tested(patch: Path) -> None:
    head = patch.read_text().split("\n--- a/")[0]
    assert all(f"\n{word}" in head for word in ("What it mends:", "What it does:", "How it was tested:"))
