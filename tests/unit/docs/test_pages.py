# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages speak of files, functions and commands that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from bed.__main__ import parser
from bed.collection import project_files
from bed.parts import BY_NAME

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "plugins" / "module_utils" / "mailgate"
MAPS = ("docs/ARCHITECTURE.md", "CONTRIBUTING.md")  # each path and function that they name is looked up
WRITTEN_BY_PROGRAMS = "docs/generated/"
PAGES = [
    name
    for name in project_files()
    if name.endswith(".md") and "fixtures" not in name and not name.startswith(WRITTEN_BY_PROGRAMS)
]
FILE = re.compile(r"[\w.-]+\.(?:py|c|h|md|rst|yml|yaml|toml|txt|json|patch)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_a_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _hash, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target} is not there"
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), f"{name}: {target}"


def quoted(line: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", line)


def found(word: str, near: Path | None) -> list[Path]:
    """Return what a word of a page means as a path: from the root, in the package, or beside another path."""
    pattern = re.sub(r"NN-NAME|\b(?:NAME|PROGRAM)\b", "*", word).rstrip("/")
    beside = [near] if near else []
    places = [ROOT, PACKAGE, *beside] if "/" in word else [*beside, ROOT]
    return [path for place in places for path in sorted(place.glob(pattern))]


def words_of_paths(text: str) -> Iterator[tuple[str, list[Path]]]:
    """Yield each quoted word that is written as a path of the checkout, and what is there."""
    for line in text.splitlines():
        near = None
        for word in quoted(line):
            if not re.fullmatch(r"[\w.-]+(?:/[\w.*-]+)*/?", word) or word[0] == "-":
                continue
            if "/" in word or FILE.fullmatch(word):
                paths = found(word, near)
                if paths and "/" in word:
                    near = paths[0] if paths[0].is_dir() else paths[0].parent
                yield word, paths


# Made by a run, on the gateway or here, or by whoever follows the page.
ELSEWHERE = {"log/run", "NN-NAME.patch"}
IN_A_ROLE = {
    "defaults/main.yml",
    "meta/argument_specs.yml",
    "vars/main.yml",
    "meta/main.yml",
    "tasks/main.yml",
}


@pytest.mark.parametrize("name", MAPS)
def test_each_path_of_a_map_is_there(name: str) -> None:
    looked_up = 0
    for word, paths in words_of_paths(read(name)):
        if word in ELSEWHERE or word.startswith(".venv/"):
            continue
        if word in IN_A_ROLE:
            assert list(ROOT.glob(f"roles/*/{word}"))
            continue
        assert paths, f"{name}: {word} is not there"
        looked_up += 1
    assert looked_up > 20


def functions(path: Path) -> set[str]:
    """Return the names of a module's functions and methods, these as Class.method."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return names


def where_to_look() -> list[tuple[str, str, str]]:
    """Return the rows of the table of questions: question, files, functions."""
    table = read(MAPS[0]).split("## Where to look")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line
    ]
    return [(question, files, names) for question, files, names in rows[2:]]


@pytest.mark.parametrize(("question", "files", "names"), where_to_look())
def test_each_function_of_the_map_is_in_its_file(question: str, files: str, names: str) -> None:
    there: set[str] = set()
    for _word, paths in words_of_paths(files):
        for path in paths:
            if path.suffix == ".py":
                there |= functions(path)
    missing = set(quoted(names)) - there
    assert not missing, f"{question}: {missing} is in none of {files}"


def test_each_layer_is_on_the_map() -> None:
    layers = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert layers <= {word.rstrip("/") for word in quoted(read(MAPS[0]))}


def test_the_index_names_each_page() -> None:
    index = read("docs/README.md")
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    pages += (ROOT / "docs" / "generated").glob("*.md")
    assert pages
    assert not [path.name for path in pages if path.name not in index]


@pytest.mark.parametrize("name", [name for name in PAGES if not name.startswith("tests/standins/")])
def test_each_command_of_the_test_bed_is_there(name: str) -> None:
    """Each `make TARGET` and each `tests/bed COMMAND` that a page names."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", read("Makefile"), re.MULTILINE))
    commands = parser().format_help()
    code = "\n".join([*quoted(read(name)), *re.findall(r"^    .+$", read(name), re.MULTILINE)])
    named = set(re.findall(r"(?:^|[ ;])make ([a-z][a-z0-9-]*[a-z0-9])(?=$|[\s;])", code, re.MULTILINE))
    assert named <= targets
    for command in re.findall(r"python3 tests/bed ([a-z]+)", code):
        assert re.search(rf"^ +{command} ", commands, re.MULTILINE), f"{name}: tests/bed {command}"


def test_hooks_of_pre_commit_are_parts_of_the_suite() -> None:
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    entries = [hook["entry"] for hook in hooks if hook["language"] == "system"]
    assert entries
    assert {entry.split()[-1] for entry in entries} <= BY_NAME.keys()
    assert all(entry.startswith("python3 tests/bed part ") for entry in entries)


def test_each_variable_of_the_site_file_is_in_the_readme() -> None:
    site = read("playbooks/vars/site.yml")
    for variable in sorted(set(re.findall(r"(?<![\w])gateway_[a-z_]+", site))):
        assert f"`{variable}`" in read("README.md") or f"\n{variable}:" in read("README.md"), variable


def test_the_change_log_has_the_version_of_the_collection() -> None:
    version = yaml.safe_load(read("galaxy.yml"))["version"]
    assert version in yaml.safe_load(read("changelogs/changelog.yaml"))["releases"]
    assert f"\nv{version}\n" in read("CHANGELOG.rst")


OWN_VARIABLE = re.compile(
    rf"(?:{'|'.join(sorted(path.name for path in (ROOT / 'roles').iterdir()))}|gateway)_[a-z_]*[a-z]"
)


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/")])
def test_each_variable_that_a_page_names_is_one_of_the_site_or_of_a_role(name: str) -> None:
    known = set(re.findall(r"\bgateway_[a-z_]+", read("playbooks/vars/site.yml")))
    known |= {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    for role in (ROOT / "roles").iterdir():
        known |= yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8")).keys()
    named = {word.partition(":")[0].partition(".")[0] for word in quoted(read(name))}
    unknown = sorted(word for word in named if OWN_VARIABLE.fullmatch(word) and word not in known)
    assert unknown == [], f"{name}: {unknown}"
