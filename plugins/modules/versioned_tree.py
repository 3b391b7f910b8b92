# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: versioned_tree
short_description: A tree of files in versions, switched by a link
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Writes a tree of files into a directory of its own, named after its content, and then makes O(link)
    point to that directory, by one rename.
  - A program that resolves the link once, when it starts, reads all of its files from one version, also while
    and after another version becomes current.
  - The version that was current stays, and so does each one whose path is in the command line of a
    running process. The others are removed when a new version becomes current, and at no other time.
  - Files belong to root and have mode 0644, directories 0755. A version that was changed by hand is written
    again under another name.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  directory:
    description: The directory of the versions; created when it is missing, its parent must exist.
    type: path
    required: true
  link:
    description: The name of the link in O(directory).
    type: str
    default: current
  files:
    description: All the files of the tree.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file is, below the version; directories are created as needed.
        type: str
        required: true
      content:
        description: All of its text.
        type: str
        required: true
  validate:
    description:
      - A program and its arguments, C(%s) in exactly one of them standing for the new version's directory.
      - It runs before the link is switched; the link is not switched unless it exits with 0.
      - Not run in check mode, nor when the version already exists.
    type: list
    elements: str
    default: []
  flat:
    description:
      - Files that an earlier layout had directly in O(directory). They stay when the first version is
        written, because running programs may still read them, and are removed with the old versions.
    type: dict
    suboptions:
      pattern:
        description: A shell pattern that the names of these files match.
        type: str
        required: true
      path:
        description: The directory below the version in which they lie now, for the diff.
        type: str
        required: true
      command:
        description: A text in the command line of the processes that read them; while there are any, the
          files stay.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Install the package
  mailgate.qmail.versioned_tree:
    directory: /usr/local/lib/mailgate
    files: "{{ lookup('mailgate.qmail.package_files', 'mailgate') }}"
"""

RETURN = r"""
version:
  description: The name of the current version's directory, in check mode the one that would be current.
  returned: success
  type: str
  sample: 3f2a90c1d2e4b5a6
removed:
  description: The names removed, or to be removed, from O(directory).
  returned: success
  type: list
  elements: str
  sample: [0a1b2c3d4e5f6071]
"""

import fnmatch
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import package_versions as versions
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

SHOWN = 10  # names of files in a diff


def refuse_bad_input(given: dict[str, Any]) -> None:
    """Raise BadInput for contradictory or invalid arguments, before anything is read."""
    directory, link, argv = given["directory"], given["link"], given["validate"]
    if not os.path.isabs(directory) or os.path.normpath(directory) != directory:
        raise BadInput(f"directory {directory!r}: not absolute and plain; expected one such as '/opt/name'")
    if "/" in link or link.startswith(".") or not link or versions.is_version(link):
        raise BadInput(f"link {link!r}: not a name for a link; expected one such as 'current'")
    if argv and (sum(argument.count("%s") for argument in argv) != 1 or "%s" in argv[0]):
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


def main() -> None:
    required = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
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
        },
        supports_check_mode=True,
    )
    given = module.params
    directory, flat = given["directory"], given["flat"]

    def check(path: str) -> None:
        argv = [argument.replace("%s", path) for argument in given["validate"]]
        try:
            status, out, err = module.run_command(argv, handle_exceptions=False)
        except OSError as error:
            raise BadInput(
                f"validate {given['validate']!r}: cannot be run, {error.strerror}; "
                "expected a program of this host"
            ) from error
        if status != 0:
            said = (out + err).replace(path, os.path.join(directory, "NEW")).rstrip("\n")
            raise BadInput(
                f"validate {given['validate']!r}: refused the new version with exit status {status}; "
                f"expected 0; its output:\n{said}"
            )

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


if __name__ == "__main__":
    main()
