# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookup c_sources gives to a build: a program's own files and what it needs of the common ones."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible_collections.mailgate.qmail.plugins.lookup import c_sources
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import c_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "src"
FILES = sorted(path for path in SOURCES.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in {
        "one/one.c": '#include <a.h>\n#include "near.h"\n#include "a.h"\n#include "upstream.h"\n',
        "one/near.h": "",
        "one/Makefile": "",
        "two/two.c": '# include "b.h"\n',
        "common/a.h": "",
        "common/a.c": '#include "a.h"\n#include "c.h"\n',
        "common/b.h": "",
        "common/b.c": "",
        "common/c.h": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(place: Path, *programs: str) -> list[str]:
    return sorted(
        path.relative_to(place).as_posix() for path in c_files.program_files(place, programs).values()
    )


def test_a_program_gets_its_own_files_and_what_these_include_of_the_common_ones(place: Path) -> None:
    one = ["common/a.c", "common/a.h", "common/c.h", "one/Makefile", "one/near.h", "one/one.c"]
    assert names(place, "one") == one
    assert names(place, "two") == ["common/b.c", "common/b.h", "two/two.c"]
    assert names(place, "one", "two") == sorted([*one, "common/b.c", "common/b.h", "two/two.c"])


def test_what_a_compiler_left_is_not_taken(place: Path) -> None:
    expected = names(place, "one")
    for left in ("one/one.o", "one/one", "one/one.d", "one/a.out", "common/a.o"):
        (place / left).write_bytes(b"\x7fELF")
    assert names(place, "one") == expected


@pytest.mark.parametrize("name", ["three", "common", "", "one/..", "../one"])
def test_an_unknown_program_is_named(place: Path, name: str) -> None:
    said = rf"^program {re.escape(repr(name))} has no folder in .*; expected one of \['one', 'two'\]$"
    with pytest.raises(BadInput, match=said):
        c_files.program_files(place, [name])


def test_two_files_of_one_name_do_not_replace_each_other(place: Path) -> None:
    (place / "two" / "near.h").write_text("")
    with pytest.raises(
        BadInput, match=r"^file 'near.h' of .* is in one and two; expected one file of each name$"
    ):
        c_files.program_files(place, ["one", "two"])
    (place / "one" / "a.c").write_text("")
    with pytest.raises(BadInput, match=r"'a.c' of .* is in one and common;"):
        c_files.program_files(place, ["one"])


def test_the_lookup_gives_files_for_a_source_tree() -> None:
    found = c_sources.LookupModule().run(["cqgreylist"])
    assert [entry["path"] for entry in found] == sorted({entry["path"] for entry in found})
    assert {"cqgreylist.c", "Makefile", "say.c", "say.h"} <= {entry["path"] for entry in found}
    assert all(Path(entry["src"]).is_file() and Path(entry["src"]).name == entry["path"] for entry in found)
    with pytest.raises(AnsibleLookupError, match=r"c_sources: program 'qmail' has no folder in .*/src;"):
        c_sources.LookupModule().run(["qmail"])


def test_what_roles_build_is_there() -> None:
    built = set()
    for path in ROOT.glob("roles/*/vars/main.yml"):
        for words in re.findall(r"query\('mailgate\.qmail\.c_sources', ([^)]*)\)", path.read_text()):
            built |= set(re.findall(r"'(\w+)'", words))
    assert {"cqgreylist", "netqmail", "ripmime", "simscan"} <= built
    assert all(c_files.program_files(SOURCES, [name]) for name in built)


def test_headers_have_names_of_their_own() -> None:
    """Programs and tests name them without a folder."""
    headers = [path.name for path in FILES if path.suffix == ".h"]
    assert len(headers) == len(set(headers))


def test_the_archive_takes_sources_alone() -> None:
    """build_ignore names what a compiler leaves, by what it is not: neither .c, .h nor Makefile."""
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]

    def enters(name: str) -> bool:
        return not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)

    for path in FILES:
        if path.suffix in (".c", ".h") or path.name == "Makefile":
            assert enters(path.relative_to(ROOT).as_posix()), path
    for folder in {path.parent for path in FILES}:
        assert enters(folder.relative_to(ROOT).as_posix()), folder
        left = [folder.name, "dnsbl", "clientname", "smtpbench", "whole", "make", "c", "h", "e", "a.out"]
        left += [f"x.{suffix}" for suffix in ("o", "a", "so", "d", "i", "s", "gcno", "gcda", "gch", "cc")]
        for name in left:
            assert not enters(f"{folder.relative_to(ROOT).as_posix()}/{name}"), name
