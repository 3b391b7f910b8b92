# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of what was built: what it may name, and what differs from it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import manifest as build_manifest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
)
from support.build_specs import A, B, recipe

URL = "https://example.com/h.tar.gz"
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
