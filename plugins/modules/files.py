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
      once:
        description:
          - Whether it is only made when no directory is there. Another one, or a link to one, is left as is.
        type: bool
        default: false
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
      force:
        description: Whether the link replaces a regular file. Without, a file there is an error.
        type: bool
        default: false
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import files


def main():
    module = AnsibleModule(argument_spec=files.argument_spec(), supports_check_mode=True)
    files.run(module)


if __name__ == "__main__":
    main()
