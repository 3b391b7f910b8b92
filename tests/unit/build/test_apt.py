# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and os-release say: versions, candidates, URLs of a pool, a toolchain that is too old."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import apt
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from support.build_specs import arguments


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [("4:12.2.0-3", "12.2.0"), ("2.36-9+deb12u14", "2.36"), ("1.0-rc1-2", "1.0-rc1"), ("4.3", "4.3")],
)
def test_upstream_version(debian: str, upstream: str) -> None:
    assert apt.upstream_version(debian) == upstream


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
