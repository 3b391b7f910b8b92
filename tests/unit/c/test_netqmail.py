# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recipient lookup beside a second implementation and in damaged files; netqmail's patches and stand-in.

The tests in test_*.c are run by test_every_program.py.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cdbx
import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb
from support.c_programs import CACHE, INCLUDES, ROOT, STRICT, gcc, run

PATCHES = ROOT / "roles" / "netqmail" / "files" / "patches"
STANDIN = ROOT / "tests" / "standins" / "netqmail"
ARCHIVES = (
    "3536c8eb2e477cf985422504adf9368ccdf29a3d8107e18051afca28a7d0245c",
    "8e7d98d15211fc9f9c28109e942e2268f42a6672d68df92a42f2afa90ff00532",
)

FUZZ_SECONDS = 6


# --- the recipient lookup against a second implementation ---


def admitted_by(address: bytes, keys: set[bytes]) -> bytes | None:
    """Return the key that admits an address: the whole, user-default forms from the right, @domain."""
    address = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in address)
    tries = [address]
    if b"@" in address:
        local, _, domain = address.rpartition(b"@")
        dashes = [at for at, byte in enumerate(local) if byte == ord("-")]
        tries += [local[:at] + b"-default@" + domain for at in reversed(dashes)]
        tries.append(b"@" + domain)
    return next((key for key in tries if key in keys), None)


def some_address(rng: random.Random) -> bytes:
    words = [b"joe", b"JOE", b"anna", b"default", b"-", b"-", b"-", b"a", b"B", b"", b"\xe4", b"x y", b"@"]
    local = b"".join(rng.choice(words) for _ in range(rng.randint(0, 6)))
    domain = rng.choice([b"a.test", b"A.test", b"b-c.test", b"", b"a.test."])
    return local + rng.choice([b"@", b"@", b"@", b""]) + domain


def write_with_cdbx(path: Path, keys: Iterable[bytes]) -> None:
    maker = cdbx.CDB.make(str(path))
    for key in keys:
        maker.add(key, b"-")
    maker.commit().close()


def write_with_package(path: Path, keys: Iterable[bytes]) -> None:
    path.write_bytes(cdb.build((key, b"-") for key in keys))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("write", [write_with_package, write_with_cdbx])
def test_lookup_is_the_reference(
    write: Callable[[Path, Iterable[bytes]], None], seed: int, program: Callable[[str], Path], tmp_path: Path
) -> None:
    rng = random.Random(seed)
    forms = [some_address(rng).lower() for _ in range(rng.choice([30, 100, 300]))]
    forms += [
        rng.choice([b"joe", b"joe-a", b"-", b""]) + b"-default@a.test" for _ in range(rng.randint(0, 3))
    ]
    forms += [rng.choice([b"@a.test", b"@b-c.test", b"@"]) for _ in range(rng.randint(0, 2))]
    keys = set(forms)
    write(tmp_path / "t.cdb", sorted(keys))
    addresses = [some_address(rng) for _ in range(2000)] + sorted(keys)
    done = run(
        [program("lookup"), tmp_path / "t.cdb"], input=b"".join(address + b"\0" for address in addresses)
    )
    assert done.returncode == 0, done.stderr.decode()
    answers = done.stdout.split(b"\0")[:-1]
    expected = [
        b"missing" if key is None else b"found " + key for key in (admitted_by(a, keys) for a in addresses)
    ]
    wrong = [item for item in zip(addresses, answers, expected) if item[1] != item[2]]
    assert not wrong[:5] and len(answers) == len(expected)
    assert 30 < sum(answer == b"missing" for answer in answers) < len(answers) - 30


@pytest.mark.slow
def test_damaged_files_never_mislead(program: Callable[[str], Path], tmp_path: Path) -> None:
    done = run([program("mutate"), 20070101, FUZZ_SECONDS], cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


# --- what is laid beside netqmail's files, and in its place ---


def test_the_stand_in_is_small() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in STANDIN.rglob("*.[ch]"))
    assert 0 < lines <= 490


def test_the_stand_in_compiles_without_a_warning(tmp_path: Path) -> None:
    gcc(
        "-O2",
        "-std=gnu89",
        *STRICT,
        "-D_GNU_SOURCE",
        '-DQMAIL="/var/qmail"',
        *INCLUDES,
        "-c",
        STANDIN / "standin.c",
        "-o",
        tmp_path / "out.o",
    )


@pytest.mark.parametrize("sha256", ARCHIVES)
def test_patches_apply_in_order_without_fuzz(sha256: str, tmp_path: Path) -> None:
    archive = CACHE / sha256
    if not archive.is_file():
        pytest.skip(f"the source of netqmail 1.06 is not at {archive}")
    assert run(["tar", "-xzf", archive, "-C", tmp_path, "--strip-components=1"]).returncode == 0
    for patch in sorted(PATCHES.glob("*.patch")):
        done = run(["patch", "-p1", "-F0", "-i", patch], cwd=tmp_path)
        assert done.returncode == 0, f"{patch.name}: {done.stdout.decode()}"


@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda path: path.name)
def test_a_patch_says_what_why_and_how_tested(patch: Path) -> None:
    head = patch.read_text().split("\n--- a/")[0]
    assert all(f"\n{word}" in head for word in ("What it mends:", "What it does:", "How it was tested:"))


@pytest.mark.slow
def test_the_stand_in_is_linked_with_all_that_it_needs(tmp_path: Path) -> None:
    for path in (
        *STANDIN.iterdir(),
        *(ROOT / "src/netqmail").glob("*.[ch]"),
        *(ROOT / "src/common").glob("*.[ch]"),
    ):
        shutil.copy(path, tmp_path)
    done = run(["make", "standin"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
