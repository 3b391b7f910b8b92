# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module files does: many whole files, directories and links in one call."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import (
    Desired,
    Directory,
    Link,
    finish,
    is_validator,
    validate,
)


def parse_mode(path: str, mode: str) -> int:
    """Convert an octal mode; raises BadInput, above all for 420, which YAML makes of an unquoted 0644."""
    if re.fullmatch("0[0-7]{3,4}", mode) is None:
        raise BadInput(f"path {path}: mode {mode!r} is not octal; expected digits such as '0644'")
    return int(mode, 8)


def parse_validators(files: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the validators' arguments by path; raises BadInput unless '%s' is in exactly one of them."""
    validators: dict[str, list[str]] = {}
    for item in files:
        argv = item["validate"]
        if not argv:
            continue
        if not is_validator(argv):
            raise BadInput(f"path {item['path']}: validate {argv!r} is wrong; expected '%s' in one argument")
        validators[item["path"]] = argv
    return validators


def stale(names: list[str], directory: str, pattern: str, listed: set[str]) -> list[str]:
    """Return the paths of the names in the directory that match the pattern and are not listed, sorted."""
    if "/" in pattern or not pattern:
        raise BadInput(f"prune {directory}: pattern {pattern!r} is not a name; expected one such as '*.cf'")
    paths = [os.path.join(directory, name) for name in names if fnmatch.fnmatchcase(name, pattern)]
    return sorted(path for path in paths if path not in listed)


def regular_files(directory: str) -> list[str]:
    """Return the names of the regular files directly in the directory; none when it does not exist."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    owned = {"mode": {"type": "str"}, "owner": {"type": "str"}, "group": {"type": "str"}}
    path = {"type": "path", "required": True}
    text = {"type": "str", "required": True}

    def dicts(options: dict[str, Any]) -> dict[str, Any]:
        return {"type": "list", "elements": "dict", "default": [], "options": options}

    return {
        "files": dicts(
            {
                "path": path,
                "content": text,
                "once": {"type": "bool", "default": False},
                "validate": {"type": "list", "elements": "str"},
                **owned,
            }
        ),
        "directories": dicts({"path": path, "once": {"type": "bool", "default": False}, **owned}),
        "links": dicts({"path": path, "target": text, "force": {"type": "bool", "default": False}}),
        "prune": dicts({"directory": path, "pattern": text}),
        "mode": {"type": "str", "default": "0644"},
        "directory_mode": {"type": "str", "default": "0755"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    given = module.params

    def attributes(item: dict[str, Any], mode: str) -> dict[str, Any]:
        return {
            "mode": parse_mode(item["path"], item["mode"] or mode),
            "owner": item["owner"] or given["owner"],
            "group": item["group"] or given["group"],
        }

    try:
        validators = parse_validators(given["files"])
        files = [
            Desired(
                item["path"],
                item["content"].encode("utf-8", "surrogateescape"),
                **attributes(item, given["mode"]),
            )
            for item in given["files"]
            if not (item["once"] and os.path.lexists(item["path"]))
        ]
        directories = [
            Directory(item["path"], **attributes(item, given["directory_mode"]))
            for item in given["directories"]
            if not (item["once"] and os.path.isdir(item["path"]))
        ]
        listed = {item["path"] for item in given["files"]}
        removed = [
            path
            for item in given["prune"]
            for path in stale(regular_files(item["directory"]), item["directory"], item["pattern"], listed)
        ]
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])

    def check(wanted: Desired, temporary: str) -> None:
        argv = validators.get(wanted.path)
        if argv:
            place = f"path {wanted.path}: {argv!r}"
            validate(module, argv, temporary, place=place, shown=wanted.path)

    finish(
        module,
        files,
        removed=list(dict.fromkeys(removed)),
        check=check,
        directories=directories,
        links=[Link(item["path"], item["target"], item["force"]) for item in given["links"]],
    )
