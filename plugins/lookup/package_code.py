# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: package_code
short_description: A hash of the code of a command of the gateway
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns one hash for each command of C(mailgate), of the modules of the package that it imports, at its
    start or later, and those that they import.
  - A service keeps the code with which it started. With this hash in its run file it is restarted when
    that code changes, and not when other code does.
options:
  _terms:
    description: Commands of C(mailgate), such as V(stats).
    required: true
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show the hash of the service stats
  ansible.builtin.debug:
    msg: "{{ lookup('mailgate.qmail.package_code', 'stats') }}"
"""

RETURN = r"""
_list:
  description: One hash for each command.
  type: list
  elements: str
"""

import hashlib  # noqa: E402
import re  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.errors import AnsibleLookupError  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli.main import COMMANDS  # noqa: E402

PACKAGE = Path(__file__).resolve().parent.parent / "module_utils" / "mailgate"
LAUNCHED = "cli.main"

# A tenth of the time of Python's parser, which would be a tenth of a run; the tests hold it against that.
IMPORT = re.compile(r"^[ \t]*from (\.+)([\w.]*) import (?:\(([^)]*)\)|(.*))", re.MULTILINE)
NAME = re.compile(r"(?:^|,)(?:\s*#.*)*\s*(\w+)")


def module_file(package, name):
    """Return the file of a module by its dotted name below the package, None without such a module."""
    path = package.joinpath(*name.split(".")) if name else package
    for file in (path / "__init__.py", path.parent / f"{path.name}.py"):
        if file.is_file():
            return file
    return None


def imported(package, file):
    """Yield the dotted names below the package that the file's relative imports may mean."""
    above = file.parent.relative_to(package).parts
    for dots, module, several, one in IMPORT.findall(file.read_text(encoding="utf-8")):
        if len(dots) <= len(above) + 1:
            base = [*above[: len(above) + 1 - len(dots)], *(module.split(".") if module else ())]
            yield ".".join(base)
            for name in NAME.findall(several or one):
                yield ".".join([*base, name])


def closure(package, names):
    """Return the files of the modules, of all that they import, and of their packages."""
    found, waiting = {}, ["", *names]
    while waiting:
        name = waiting.pop()
        file = module_file(package, name)
        if file is None or file in found:
            continue
        found[file] = name
        waiting += [name.rpartition(".")[0], *imported(package, file)]
    return sorted(found)


def code_hash(package, names):
    """Return a hash of the paths and contents of those files."""
    digest = hashlib.sha256()
    for file in closure(package, names):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        for command in terms:
            if command not in COMMANDS:
                raise AnsibleLookupError(f"package_code: {command!r} is not a command of mailgate")
        return [code_hash(PACKAGE, [LAUNCHED, f"cli.{COMMANDS[command].file}"]) for command in terms]
