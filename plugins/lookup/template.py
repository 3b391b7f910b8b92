# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: template
short_description: The text of a role's template
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns the text of a file of the role's directory C(templates), with its expressions evaluated.
  - Exists beside P(ansible.builtin.template#lookup), which copies all variables of a run for each file. That
    takes longer than everything else that the controller does for a task.
  - It has no options, no variables of its own such as C(template_path), and no C(include).
options:
  _terms:
    description: Paths below C(templates).
    required: true
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Write the launcher
  mailgate.qmail.files:
    files:
      - path: /usr/local/bin/mailgate
        content: "{{ lookup('mailgate.qmail.template', 'usr/local/bin/mailgate.j2') }}"
"""

RETURN = r"""
_list:
  description: One text for each file.
  type: list
  elements: str
"""

from ansible import template  # noqa: E402
from ansible.errors import AnsibleLookupError  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402

# An ansible-core before 2.19 takes any text for a template, and its result for a value if it looks so.
TRUSTED = getattr(template, "trust_as_template", None)


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [self._rendered(term, variables) for term in terms]

    def _rendered(self, term, variables):
        path = self.find_file_in_search_path(variables, "templates", term)
        if not path:
            raise AnsibleLookupError(
                f"template: {term!r} is not there; expected a file of the role's templates"
            )
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        if TRUSTED is not None:
            return self._templar.template(TRUSTED(text), escape_backslashes=False)
        return self._templar.template(text, convert_data=False, escape_backslashes=False)
