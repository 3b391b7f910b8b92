# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of a recipe of source_build and the recipe that they make, for the tests of its decisions."""

from __future__ import annotations

from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source

A, B = "a" * 64, "b" * 64
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
        "build_user": "mailgate-build",
        "step_timeout_seconds": 3600,
        "package_method": None,
    }
    return {**given, **changed}


def sources(*places: dict[str, Any], **archive: Any) -> list[dict[str, Any]]:
    return [{"directory": ".", "strip": 1, "sources": list(places), **archive}]


def recipe(
    host: build_recipe.Host = HOST, patches: str = A, files: str = A, **changed: Any
) -> dict[str, Any]:
    return build_recipe.recipe(source.parse(arguments(**changed)), [patches], [files], host)
