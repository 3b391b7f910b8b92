# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module versioned_tree does: a tree of files in versions, switched by a link."""

from __future__ import annotations

import fnmatch
import os
from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import package_versions as versions
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import is_validator, validate

SHOWN = 10  # names of files in a diff


def refuse_bad_input(given: dict[str, Any]) -> None:
    """Raise BadInput for contradictory or invalid arguments, before anything is read."""
    directory, link, argv = given["directory"], given["link"], given["validate"]
    if not os.path.isabs(directory) or os.path.normpath(directory) != directory:
        raise BadInput(f"directory {directory!r}: not absolute and plain; expected one such as '/opt/name'")
    if "/" in link or link.startswith(".") or not link or versions.is_version(link):
        raise BadInput(f"link {link!r}: not a name for a link; expected one such as 'current'")
    if argv and not is_validator(argv):
        raise BadInput(f"validate {argv!r}: wrong; expected '%s' in one argument")


def flat_files(directory: str, names: list[str], flat: dict[str, str] | None) -> list[str]:
    """Return the names of the earlier layout's files."""
    return [
        name
        for name in names
        if flat
        and fnmatch.fnmatchcase(name, flat["pattern"])
        and os.path.isfile(os.path.join(directory, name))
        and not os.path.islink(os.path.join(directory, name))
    ]


def read_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def differences(
    given: dict[str, Any], current: str | None, before: versions.Found, wanted: Any, plan: versions.Plan
) -> list[dict[str, str]]:
    """Return the diff: what becomes current, which files differ, and what is removed.

    The files' text is that of the collection, which nobody reads in a diff of thousands of lines.
    """
    directory, link = given["directory"], os.path.join(given["directory"], given["link"])
    lines = [f"{link}: link to {current or 'nothing'} -> {plan.name}\n"]
    if not os.path.isdir(directory):
        lines.insert(0, f"{directory}: directory made\n")
    lines.append(f"{link}: {changes(before.files, wanted)}\n")
    lines += [f"{fault} (in the version that was current)\n" for fault in before.faults]
    lines += [f"{os.path.join(directory, name)}: removed\n" for name in plan.removed]
    return [{"prepared": "".join(lines)}]


def changes(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """Return which files differ, in one line."""
    words = [f"{len(after)} files"]
    kinds = {
        "new": [path for path in sorted(after) if path not in before],
        "changed": [path for path in sorted(after) if path in before and before[path] != after[path]],
        "removed": [path for path in sorted(before) if path not in after],
    }
    for kind, paths in kinds.items():
        if paths and (before or kind != "new"):
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            words.append(f"{kind}: {', '.join(paths[:SHOWN])}{more}")
    return "; ".join(words)


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    required = {"type": "str", "required": True}
    return {
        "directory": {"type": "path", "required": True},
        "link": {"type": "str", "default": "current"},
        "files": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"path": required, "content": required},
        },
        "validate": {"type": "list", "elements": "str", "default": []},
        "flat": {
            "type": "dict",
            "options": {"pattern": required, "path": required, "command": required},
        },
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    given = module.params
    directory, flat = given["directory"], given["flat"]

    def check(path: str) -> None:
        place, shown = f"validate {given['validate']!r}:", os.path.join(directory, "NEW")
        validate(module, given["validate"], path, place=place, shown=shown, what="the new version")

    try:
        refuse_bad_input(given)
        wanted = versions.tree(
            (item["path"], item["content"].encode("utf-8", "surrogateescape")) for item in given["files"]
        )
        names = versions.entries(directory)
        current = versions.link_target(os.path.join(directory, given["link"]))
        there = {
            name: versions.read_version(os.path.join(directory, name))
            for name in names
            if versions.is_version(name)
        }
        old = flat_files(directory, names, flat)
        lines = versions.command_lines()
        leftovers = [name for name in names if name.startswith(versions.TEMPORARY)]
        # The first version leaves the earlier layout unchanged, because running programs read their files
        # there.
        if current is not None and not any(flat["command"] in line for line in lines if flat):
            leftovers += old
        plan = versions.plan(wanted, current, there, versions.used(directory, there, lines), leftovers)
        before = versions.Found()
        if current is not None:
            before = there.get(current, before)
        elif flat:
            before = versions.Found(
                {os.path.join(flat["path"], name): read_bytes(os.path.join(directory, name)) for name in old}
            )
        diff = differences(given, current, before, wanted, plan) if plan else []
        if plan and not module.check_mode:
            if not os.path.isdir(directory):
                os.mkdir(directory, 0o700)
                os.chmod(directory, versions.DIRECTORY_MODE)
            if plan.write:
                versions.write_version(directory, plan.name, wanted, check if given["validate"] else None)
            versions.switch(directory, given["link"], plan.name)
            versions.remove(directory, plan.removed)
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=plan is not None,
        version=plan.name if plan else current,
        removed=list(plan.removed) if plan else [],
        diff=diff,
    )
