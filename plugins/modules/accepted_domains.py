# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: accepted_domains
short_description: Domains whose mail the gateway accepts
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Owns control/rcpthosts, in which qmail-smtpd looks up the domain of each recipient.
  - Describes which domains will be accepted, where their mail goes, and which stop being accepted.
  - Refuses an empty list, with which the gateway would accept no mail at all, and domains that never match.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  domains:
    description: The domains; one in Unicode is written in its A-labels (C(xn--)).
    type: list
    elements: str
    required: true
  routes:
    description: Where mail goes, each with C(domain) and C(route). They are used only for the description of
      the changes.
    type: list
    elements: dict
    default: []
  local:
    description: The domains of control/locals, whose mail is delivered on this host. For the words only.
    type: list
    elements: str
    default: []
  path:
    description: The file.
    type: path
    default: /var/qmail/control/rcpthosts
"""

EXAMPLES = r"""
- name: Accept mail for the site's domains
  mailgate.qmail.accepted_domains:
    domains: [example.com, mx1.example.com]
    routes:
      - domain: example.com
        route: 10.0.0.5
"""

RETURN = r"""
changes:
  description: A description of what changes for which domain.
  type: list
  elements: str
  returned: success
  sample: [domain example.com will be accepted and goes to 10.0.0.5]
changed_paths:
  description: The file, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import addresses as recipients
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import (
    accepted_domains,
    smtproutes,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import ACCEPTED_DOMAINS
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def accepted(domains):
    """Return the domains in lower case and ASCII, each once, in order."""
    if not domains:
        raise BadInput("domains: [] accepts no mail at all; expected at least one domain")
    known = [recipients.ascii_domain(domain) for domain in domains]
    for number, domain in enumerate(domains, 1):
        fault = recipients.domain_fault(known[number - 1])
        if fault:
            raise BadInput(f"domains item {number}: {domain!r} {fault}")
    return list(dict.fromkeys(known))


def main():
    module = AnsibleModule(
        argument_spec={
            "domains": {"type": "list", "elements": "str", "required": True},
            "routes": {"type": "list", "elements": "dict", "default": []},
            "local": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path", "default": ACCEPTED_DOMAINS},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        domains = accepted(module.params["domains"])
        routes = [
            smtproutes.make_route(one.get("domain") or "", one.get("route") or "", f"routes item {number}")
            for number, one in enumerate(module.params["routes"], 1)
        ]
        before = (read_bytes(path) or b"").decode("utf-8", "backslashreplace")
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])
    content = "".join(f"{domain}\n" for domain in domains)
    now = accepted_domains.parse(before)
    words = smtproutes.describe_accepted(now, domains, routes, module.params["local"])
    finish(
        module,
        [Desired(path, content.encode("utf-8"))],
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if words else None,
        changes=words,
    )


if __name__ == "__main__":
    main()
