# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt with sources of its own, and the index of what it fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle_packages as packages
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

GCC = """Package: gcc
Version: 4:12.2.0-3
Architecture: amd64
Depends: cpp (= 4:12.2.0-3),
 libc6
Filename: pool/main/g/gcc-defaults/gcc_12.2.0-3_amd64.deb
SHA256: aa
"""


def test_the_sources_of_another_release_come_from_those_of_the_controller() -> None:
    targets = (
        "http://one.example/debian bookworm main yes\nhttp://one.example/debian bookworm-updates main\n"
        "http://one.example/security bookworm-security main\nhttp://one.example/debian bookworm contrib\n"
        "http://other.example/ nodistro main\nhttp://one.example/debian bookworm-backports main\n"
        "http://one.example/debian bookworm main yes\n"
    )
    assert packages.sources(targets, "13") == [
        "deb [trusted=yes] http://one.example/debian trixie main",
        "deb http://one.example/debian trixie-updates main",
        "deb http://one.example/security trixie-security main",
    ]
    assert packages.pool_urls(packages.sources(targets, "13"), "main/h/h.tar.gz") == [
        "http://one.example/debian/pool/main/h/h.tar.gz",
        "http://one.example/security/pool/main/h/h.tar.gz",
    ]


def test_an_index_names_files_beside_it_each_once_and_in_order() -> None:
    found = packages.stanzas(f"{GCC}\n{GCC.replace('gcc', 'cpp')}\n\n{GCC}", "x")
    assert [one.file for one in found] == [f"{n}_12.2.0-3_amd64.deb" for n in ("gcc", "cpp", "gcc")]
    text = packages.index(found)
    assert text == packages.index(list(reversed(found)))
    assert [one.name for one in packages.stanzas(text, "x")] == ["cpp", "gcc"]
    assert "\nFilename: ./gcc_12.2.0-3_amd64.deb\n" in text and " libc6\n" in text
    assert packages.archive_name(found[0], "x86_64") == "gcc_4%3a12.2.0-3_amd64.deb"
    assert packages.candidates(found, ["gcc", "perl"]) == {"gcc": "12.2.0"}
    assert packages.files_of(found, ["gcc"], "x") == ["gcc_12.2.0-3_amd64.deb"]
    with pytest.raises(BadInput, match="has no package 'perl'"):
        packages.files_of(found, ["gcc", "perl"], "x")
    with pytest.raises(BadInput, match="has no SHA256"):
        packages.stanzas(GCC.replace("SHA256", "SHA1"), "x")


def test_what_apt_would_install_is_read() -> None:
    said = "\nInst libc6 [2.36-9] (2.36-9+deb12u9 Debian:12 [amd64])\nInst gcc:amd64 (4)\nConf gcc"
    assert packages.simulated(said) == ["libc6", "gcc"]


def test_settings_lead_below_one_directory(tmp_path: Path) -> None:
    place = str(tmp_path)
    conf = Path(packages.prepare(place, ["deb http://one.example/ x main"], "aarch64", f"{place}/status"))
    text = conf.read_text()
    assert 'APT::Architectures { "arm64"; };' in text and "#clear APT::Update::Post-Invoke;" in text
    assert f'Dir::State::status "{place}/status";' in text
    assert (tmp_path / "lists/partial").is_dir() and (tmp_path / "status").read_text() == ""
    assert "Dir::State::status" not in packages.settings(place)  # the host's own
