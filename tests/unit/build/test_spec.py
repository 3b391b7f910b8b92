# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of source_build: what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
)
from support.build_specs import A, arguments, sources

PATH = "a path relative to the build tree, without '..'"


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
