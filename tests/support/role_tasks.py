"""What the roles ask of this collection's modules, by a task of its own or as one of several steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OURS = "mailgate.qmail."
STEPS = ROOT / "plugins" / "module_utils" / "steps"


def _dictionaries(node: object) -> Iterator[dict[Any, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from _dictionaries(one)


def dictionaries(role: Path) -> list[dict[Any, Any]]:
    """Return each dictionary in a role's tasks and variables, at any depth."""
    files = [*sorted((role / "tasks").glob("*.yml")), role / "vars" / "main.yml"]
    texts = [path.read_text(encoding="utf-8") for path in files if path.exists()]
    return [one for text in texts for one in _dictionaries(yaml.safe_load(text))]


def calls(role: Path, module: str) -> list[dict[str, Any]]:
    """Return the options of each call of a module in a role's tasks and in the steps of its variables."""
    found = []
    for one in dictionaries(role):
        given = one.get(OURS + module)
        if given is None and set(one) <= {module, "wanted"}:
            given = one.get(module)
        if isinstance(given, dict):
            found.append(given)
    return found


def roles() -> list[Path]:
    """Return the directories of all roles."""
    return sorted(path for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
