# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: smtproutes
short_description: Routes of qmail-remote in control/smtproutes
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Sets single routes, or all of them, in the file in which qmail-remote looks up the relay for a domain.
  - Comments, blank lines and the order of the lines are kept; new routes are added at the end.
  - Refuses lines that qmail-remote would bounce permanently, misread or ignore silently, such as a
    blank after the colon, an IPv6 address, an empty port, a carriage return, a domain given twice, or a line
    without a colon. The message names the line and what was expected.
  - qmail-remote reads the file for each message, so nothing needs to be restarted.
  - The diff describes the changes domain by domain, and shows the text.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  path:
    description: The file.
    type: path
    default: /var/qmail/control/smtproutes
  routes:
    description: The routes to set or to remove.
    type: list
    elements: dict
    required: true
    suboptions:
      domain:
        description:
          - The recipient's domain; C(.example.com) for everything below a domain, but not itself.
          - An empty string is the default route, for every domain that has no other.
        type: str
        required: true
      route:
        description:
          - C(host) or C(host:port), where the host is an IPv4 address or a name with its domain; qmail-remote
            has no IPv6.
          - An empty string sends the domain's mail to its MX.
          - Required for O(state=present), and ignored for O(state=absent).
        type: str
  state:
    description: Whether the routes must exist.
    type: str
    choices: [present, absent]
    default: present
  exclusive:
    description:
      - O(routes) are the only routes of the file. Any other route is removed, and so is a faulty line.
      - Otherwise a faulty line anywhere in the file is an error and nothing is changed.
    type: bool
    default: false
  accepted:
    description:
      - The file of accepted domains, control/rcpthosts. With O(exclusive) a route is not removed as long as a
        domain that goes by it is accepted, so that O(routes) can be set before the domains are.
      - An accepted domain that goes by a default route that is removed gets that route as its own.
      - A domain with a route of its own in O(routes), an empty one too, goes by that at once.
    type: path
  local:
    description: Domains of O(accepted) whose mail is delivered here; no route is kept for them.
    type: list
    elements: str
    default: []
  queue:
    description:
      - qmail's queue. With O(exclusive) a route is not removed as long as mail that goes by it waits there.
      - Without its route that mail would follow the domain's MX, maybe to this host. A warning names the
        domain, and the next run removes the route. A route of its own in O(routes), an empty one too, counts
        at once.
    type: path
  owner:
    description: The file's owner.
    type: str
    default: root
  group:
    description: The file's group.
    type: str
    default: root
  mode:
    description: The file's mode, in octal. qmail-remote, as user qmailr, must be able to read it.
    type: raw
    default: "0644"
"""

EXAMPLES = r"""
- name: Route the site's domains, and nothing else
  mailgate.qmail.smtproutes:
    exclusive: true
    routes:
      - domain: example.com
        route: 10.0.0.5
      - domain: example.net
        route: mail.example.net:2525

- name: Send one domain's mail to its MX
  mailgate.qmail.smtproutes:
    routes:
      - domain: example.org
        route: ""

- name: Remove the default route
  mailgate.qmail.smtproutes:
    state: absent
    routes:
      - domain: ""
"""

RETURN = r"""
routes:
  description: Every route of the file as it is, or in check mode would be, in the file's order.
  type: list
  elements: dict
  returned: success
  sample: [{"domain": "example.com", "route": "10.0.0.5"}]
changes:
  description: A description of whose mail goes where from now on.
  type: list
  elements: str
  returned: success
  sample: [mail for example.com goes to 10.0.0.5 instead of 10.0.0.4]
changed_paths:
  description: The file, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import smtproutes


def main():
    module = AnsibleModule(argument_spec=smtproutes.argument_spec(), supports_check_mode=True)
    smtproutes.run(module)


if __name__ == "__main__":
    main()
