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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import versioned_tree


def main():
    module = AnsibleModule(argument_spec=versioned_tree.argument_spec(), supports_check_mode=True)
    versioned_tree.run(module)


if __name__ == "__main__":
    main()
