# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Many whole files, directories and links in one call
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Creates directories, writes whole files, creates links and removes files that are no longer listed.
  - Exists beside M(ansible.builtin.copy) in a loop because each item of a loop takes a second, and because
    here every new file is complete and validated before the first one is replaced.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  files:
    description: The files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file is; its directory exists or is listed in O(directories).
        type: path
        required: true
      content:
        description: All of its text.
        type: str
        required: true
      mode:
        description: Its mode, when it is not O(mode).
        type: str
      owner:
        description: Its owner, when it is not O(owner).
        type: str
      group:
        description: Its group, when it is not O(group).
        type: str
      once:
        description:
          - Whether it is only created when nothing exists at the path. Afterwards another program owns it,
            and neither its text nor its mode is compared.
        type: bool
        default: false
      validate:
        description:
          - A program and its arguments, C(%s) in exactly one of them standing for the path of the new file.
          - It runs on the complete copy before anything is replaced, and nothing is replaced unless it exits
            with 0.
          - Not run in check mode.
        type: list
        elements: str
  directories:
    description: The directories, each one after its parent.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the directory is.
        type: path
        required: true
      mode:
        description: Its mode, when it is not O(directory_mode).
        type: str
      owner:
        description: Its owner, when it is not O(owner).
        type: str
      group:
        description: Its group, when it is not O(group).
        type: str
  links:
    description: The symbolic links.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the link is.
        type: path
        required: true
      target:
        description: The target of the link, which need not exist.
        type: str
        required: true
  prune:
    description: Files to remove unless they are listed in O(files).
    type: list
    elements: dict
    default: []
    suboptions:
      directory:
        description: The directory; its subdirectories are ignored.
        type: path
        required: true
      pattern:
        description: A shell pattern that the name of a regular file must match to be removed.
        type: str
        required: true
  mode:
    description: The mode of files, four or five octal digits that begin with 0.
    type: str
    default: "0644"
  directory_mode:
    description: The mode of directories, four or five octal digits that begin with 0.
    type: str
    default: "0755"
  owner:
    description: The owner of files and directories, a name or a number.
    type: str
    default: root
  group:
    description: The group of files and directories, a name or a number.
    type: str
    default: root
"""

EXAMPLES = r"""
- name: Write the control files
  mailgate.qmail.files:
    directories:
      - path: /var/qmail/control
    files:
      - path: /var/qmail/control/me
        content: "mx1.example.com\n"
      - path: /var/qmail/rc
        mode: "0755"
        content: "{{ lookup('ansible.builtin.template', 'var/qmail/rc.j2') }}"
        validate: [/bin/sh, -n, "%s"]
    prune:
      - directory: /var/qmail/control
        pattern: "*.old"
"""

RETURN = r"""
changed_paths:
  description: The paths that changed, or would change, in the order of the changes.
  returned: always
  type: list
  elements: str
  sample: [/var/qmail/control/me]
"""

import fnmatch
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import (
    Desired,
    Directory,
    Link,
    finish,
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
        if sum(argument.count("%s") for argument in argv) != 1 or "%s" in argv[0]:
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


def main() -> None:
    owned = {"mode": {"type": "str"}, "owner": {"type": "str"}, "group": {"type": "str"}}
    path = {"type": "path", "required": True}
    text = {"type": "str", "required": True}

    def dicts(options: dict[str, Any]) -> dict[str, Any]:
        return {"type": "list", "elements": "dict", "default": [], "options": options}

    module = AnsibleModule(
        argument_spec={
            "files": dicts(
                {
                    "path": path,
                    "content": text,
                    "once": {"type": "bool", "default": False},
                    "validate": {"type": "list", "elements": "str"},
                    **owned,
                }
            ),
            "directories": dicts({"path": path, **owned}),
            "links": dicts({"path": path, "target": text}),
            "prune": dicts({"directory": path, "pattern": text}),
            "mode": {"type": "str", "default": "0644"},
            "directory_mode": {"type": "str", "default": "0755"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
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
        argv = [argument.replace("%s", temporary) for argument in validators.get(wanted.path, [])]
        if not argv:
            return
        try:
            status, out, err = module.run_command(argv, handle_exceptions=False)
        except OSError as error:
            raise BadInput(
                f"path {wanted.path}: {validators[wanted.path]!r} cannot be run, {error.strerror}; "
                "expected a program of this host"
            ) from error
        if status != 0:
            said = (out + err).replace(temporary, wanted.path).rstrip("\n")
            raise BadInput(
                f"path {wanted.path}: {validators[wanted.path]!r} refused it with exit status {status}; "
                f"expected 0; its output:\n{said}"
            )

    finish(
        module,
        files,
        removed=list(dict.fromkeys(removed)),
        check=check,
        directories=directories,
        links=[Link(item["path"], item["target"]) for item in given["links"]],
    )


if __name__ == "__main__":
    main()
