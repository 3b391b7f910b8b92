"""The cdb writer and reader against cdbmake and cdbget of Debian's package freecdb, and against cdbx."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader, build

Records = list[tuple[bytes, bytes]]


def oracle(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing; install the Debian package freecdb")
    return path


def cdbmake(records: Records, directory: Path) -> bytes:
    lines = [b"+%d,%d:%s->%s\n" % (len(key), len(data), key, data) for key, data in records]
    target = directory / "made.cdb"
    subprocess.run(
        [oracle("cdbmake"), str(target), str(directory / "made.tmp")],
        input=b"".join(lines) + b"\n",
        check=True,
    )
    return target.read_bytes()


def random_records(seed: int) -> Records:
    chance = random.Random(seed)
    longest = chance.choice([1, 3, 30])
    return [
        (chance.randbytes(chance.randrange(longest + 1)), chance.randbytes(chance.randrange(20)))
        for _ in range(chance.choice([0, 1, 5, 300, 1200]))
    ]


CASES: list[Records] = [
    [],
    [(b"", b"")],
    [(b"x_kbhba", b"hash 0")],
    [(b"one", b"1"), (b"one", b"2"), (b"x_kbhba", b""), (b"one", b"3")],
    *(random_records(seed) for seed in range(12)),
]


@pytest.mark.parametrize("records", CASES, ids=range(len(CASES)))
def test_build_gives_the_bytes_of_cdbmake(records: Records, tmp_path: Path) -> None:
    assert build(records) == cdbmake(records, tmp_path)


@pytest.mark.parametrize("records", CASES, ids=range(len(CASES)))
def test_reader_reads_what_cdbmake_wrote(records: Records, tmp_path: Path) -> None:
    reader = Reader(cdbmake(records, tmp_path))
    assert list(reader.items()) == records
    assert reader.get(b"no such key, it is too long") is None


# Not the empty key: this cdbget does not find it in cdbmake's own files either. tcprulescheck asks for it.
@pytest.mark.parametrize("key", [b"one", b"x_kbhba", b"missing"])
def test_cdbget_finds_what_the_reader_finds(key: bytes, tmp_path: Path) -> None:
    data = build([(b"one", b"1"), (b"", b"empty"), (b"x_kbhba", b"zero"), (b"one", b"2")])
    found = Reader(data).get(key)
    (tmp_path / "cdb").write_bytes(data)
    with (tmp_path / "cdb").open("rb") as stream:
        answer = subprocess.run([oracle("cdbget"), key], stdin=stream, capture_output=True, check=False)
    assert (answer.returncode, answer.stdout) == ((100, b"") if found is None else (0, found))


@pytest.mark.parametrize("records", CASES, ids=range(len(CASES)))
def test_cdbx_and_we_read_each_others_files(records: Records, tmp_path: Path) -> None:
    try:
        import cdbx
    except ImportError:
        pytest.fail("cdbx is missing; install the Python package cdbx")
    path = tmp_path / "ours.cdb"
    path.write_bytes(build(records))
    theirs = cdbx.CDB(str(path))
    assert list(theirs.items(all=True)) == records
    ours = Reader(build(records))
    assert {key: theirs[key] for key, _data in records} == {key: ours.get(key) for key, _data in records}
    maker = cdbx.CDB.make(str(tmp_path / "theirs.cdb"))
    for key, data in records:
        maker.add(key, data)
    maker.commit().close()
    assert list(Reader((tmp_path / "theirs.cdb").read_bytes()).items()) == records
