# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe that decides whether a build is made again, and its hash."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from support.build_specs import HOST, A, B, arguments, recipe, sources


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


def test_a_tree_can_be_made_of_files_alone() -> None:
    assert recipe(archives=[])["archives"] == []
    assert recipe(archives=[], files=B) != recipe(archives=[])
