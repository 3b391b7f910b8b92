# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_rules
short_description: Who may connect to the gateway, and who may relay
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Owns the fragments C(10-site) and C(90-default) of tcpserver's access rules, and compiles all fragments.
  - C(20-operator) and C(30-adaptive) belong to others. They are read, never written. When one is bad, its
    last good version is compiled, or nothing of it, and a warning says so.
  - The site counts before the operator, and the operator before the adaptive blacklist, whatever is more
    specific. Nobody can deny a protected network, and the blacklist no relay or whitelisted network.
  - Only the relay networks, those of the operator's own list and 127.0.0.1 can relay, whatever any fragment
    says.
  - The difference is given in words, network by network. What the adaptive blacklist lists meanwhile is none.
extends_documentation_fragment:
  - mailgate.qmail.attributes
options:
  relay_networks:
    description:
      - Networks in CIDR form whose hosts may send mail to everywhere, each C(/8) or narrower.
    type: list
    elements: str
    default: []
  scanner:
    description:
      - The program that takes mail of relay clients into the queue, E(QMAILQUEUE) in each of their rules.
      - Empty leaves it to the environment of the SMTP service.
    type: str
    default: ""
  scan_relay_clients:
    description:
      - Whether mail of relay clients is scanned. If not, it goes straight into the queue.
    type: bool
    default: true
  protected_networks:
    description:
      - Networks in CIDR form that nobody may deny, such as the back ends and the administrators' hosts, each
        C(/8) or narrower. A protected address below somebody's wider denial gets a rule of its own.
    type: list
    elements: str
    default: []
  whitelisted_networks:
    description:
      - Networks in CIDR form whose rules carry E(WHITELISTED), which takes them past greylisting and the
        adaptive blacklist. They are scanned like everybody.
    type: list
    elements: str
    default: []
  relay_environment:
    description: Further environment variables for relay clients.
    type: dict
    default: {}
  rules:
    description: Further rules of the site. Of several that match an address the narrowest network counts.
    type: list
    elements: dict
    default: []
    suboptions:
      network:
        description: A network in CIDR form, or one host with C(/32).
        type: str
        required: true
      action:
        description: Whether to take connections.
        type: str
        choices: [allow, deny]
        required: true
      environment:
        description: Environment variables for the SMTP service, for O(rules[].action=allow) only.
        type: dict
        default: {}
  directory:
    description: Where the fragments are. It is made when it is missing.
    type: path
    default: /etc/tcp.d
  compiled:
    description: The compiled file that tcpserver reads.
    type: path
    default: /etc/tcp.smtp.cdb
  copy:
    description: The readable copy of all fragments.
    type: path
    default: /etc/tcp.smtp
  state:
    description: Where the compiler keeps the last good version of each fragment. It is read only.
    type: path
    default: /var/lib/mailgate/rules
  adaptive_user:
    description: The user who writes what C(30-adaptive) links to.
    type: str
    default: blacklist
  force:
    description:
      - Replace O(copy) also when it was edited by hand, or never came from here.
      - Rules that stand only there are lost.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Let the office relay, and turn one network away
  mailgate.qmail.tcp_rules:
    relay_networks:
      - 10.0.0.0/24
    rules:
      - network: 198.51.100.0/24
        action: deny
"""

RETURN = r"""
changed_paths:
  description: The files that were written, or would be.
  returned: always
  type: list
  elements: str
  sample: [/etc/tcp.d/10-site, /etc/tcp.smtp.cdb, /etc/tcp.smtp]
changes:
  description: What changes for whom, in words.
  returned: success
  type: list
  elements: str
  sample: [10.0.0.0/24 gains relay]
notices:
  description: Rules that have no effect and fragments that are not in force as they stand, and why.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
import time
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import apply as rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import compiled
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import site_fragment
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import readable_copy
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import verify
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import files as rules_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import changes as rules_changes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import fragments
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    RULES_COMPILED,
    RULES_COPY,
    RULES_DIRECTORY,
    RULES_STATE,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _site(params: dict) -> str:
    return site_fragment.site_rules(
        params["relay_networks"],
        scanner=params["scanner"],
        scan_relay_clients=params["scan_relay_clients"],
        relay_environment=params["relay_environment"],
        protected_networks=params["protected_networks"],
        whitelisted_networks=params["whitelisted_networks"],
        extra=[
            site_fragment.SiteRule(one["network"], one["action"], one["environment"])
            for one in params["rules"]
        ],
    )


def _compile(params: dict, paths: rules_command.Paths, own: dict[str, str]) -> compiled.Compiled:
    """All fragments as they will be, compiled; raises MailgateError when something is to be refused."""
    wanted = rules_command.load(paths, time.time(), own)
    if not params["force"]:
        copy = rules_files.read_text(paths.copy)
        rules_command.refuse_edited(copy, wanted.copy, paths.copy, paths.directory)
    return wanted


def _run(module: AnsibleModule, paths: rules_command.Paths, own: dict[str, str]) -> NoReturn:
    wanted = _compile(module.params, paths, own)
    cdb, copy = wanted.cdb, _encode(wanted.copy)
    now = read_bytes(paths.compiled), read_bytes(paths.copy)
    if (
        now[0]
        and now[1]
        and readable_copy.is_made_of(now[1].decode("utf-8", "surrogateescape"), now[0], wanted)
    ):
        cdb, copy = now
    desired = [Desired(os.path.join(paths.directory, name), _encode(text)) for name, text in own.items()]
    desired += [Desired(paths.compiled, cdb), Desired(paths.copy, copy)]
    before, _listed = rules_command.rules_in_force(paths.copy)
    changes = rules_changes.describe_changes(before, wanted.rules)
    rewritten = [one.path for one in desired if read_bytes(one.path) != one.content]
    words = changes or [f"{path} is written anew, no connection is treated otherwise" for path in rewritten]
    for fault in wanted.faults():
        module.warn(fault)

    def check(written: Desired, temporary: str) -> None:
        if written.path == paths.compiled:
            verify.verify_cdb(read_bytes(temporary) or b"", wanted, paths.compiled)

    finish(
        module,
        desired,
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if rewritten else None,
        check=check,
        changes=changes,
        notices=[*wanted.faults(), *rules_command.stray_files(paths.directory), *wanted.notices],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "relay_networks": {"type": "list", "elements": "str", "default": []},
            "scanner": {"type": "str", "default": ""},
            "scan_relay_clients": {"type": "bool", "default": True},
            "protected_networks": {"type": "list", "elements": "str", "default": []},
            "whitelisted_networks": {"type": "list", "elements": "str", "default": []},
            "relay_environment": {"type": "dict", "default": {}},
            "rules": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "network": {"type": "str", "required": True},
                    "action": {"type": "str", "choices": ["allow", "deny"], "required": True},
                    "environment": {"type": "dict", "default": {}},
                },
            },
            "directory": {"type": "path", "default": RULES_DIRECTORY},
            "compiled": {"type": "path", "default": RULES_COMPILED},
            "copy": {"type": "path", "default": RULES_COPY},
            "state": {"type": "path", "default": RULES_STATE},
            "adaptive_user": {"type": "str", "default": rules_command.ADAPTIVE_USER},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    names = ("directory", "compiled", "copy", "state", "adaptive_user")
    paths = rules_command.Paths(**{name: module.params[name] for name in names})
    try:
        own = {fragments.SITE: _site(module.params), fragments.DEFAULT: site_fragment.default_rules()}
        _compile(module.params, paths, own)  # refuses before even the directory is made
        with rules_files.prepared(paths.directory, module.check_mode):
            _run(module, paths, own)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])


if __name__ == "__main__":
    main()
