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
  - C(20-operator) and C(30-adaptive) belong to others. They are read, never written, and must be valid.
  - Only the relay networks and 127.0.0.1 can relay, whatever any fragment says. Otherwise nothing is changed.
  - The difference is given in words, network by network.
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
  description: Rules that have no effect, and why.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate import rules_command, tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.errors import BadInput, MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.managed_file import Desired, finish, read_bytes


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _rules_in_force(copy: str) -> tcprules.Rules:
    """The rules of the readable copy, as they were compiled; none when it is missing or unreadable."""
    try:
        return tcprules.parse(rules_command.read_text(copy) or "", copy)
    except BadInput:
        return tcprules.Rules(copy, (), ())


@contextlib.contextmanager
def _directory(path: str, check_mode: bool) -> Iterator[None]:
    """Makes a missing directory and keeps other compilers away; check mode writes not even a lock."""
    if check_mode:
        yield
        return
    if not os.path.isdir(path):
        os.mkdir(path)
        os.chmod(path, 0o755)
    with rules_command.locked(path):
        yield


def _site(params: dict) -> str:
    return tcprules.site_rules(
        params["relay_networks"],
        scanner=params["scanner"],
        relay_environment=params["relay_environment"],
        extra=[
            tcprules.SiteRule(one["network"], one["action"], one["environment"]) for one in params["rules"]
        ],
    )


def _compile(params: dict, own: dict[str, str]) -> tcprules.Compiled:
    """All fragments as they will be, compiled; raises MailgateError when something is to be refused."""
    directory, copy = params["directory"], params["copy"]
    wanted = tcprules.compile_fragments({**rules_command.read_fragments(directory), **own}, directory)
    if not params["force"]:
        rules_command.refuse_edited(rules_command.read_text(copy), wanted.copy, copy, directory)
    return wanted


def _run(module: AnsibleModule, own: dict[str, str]) -> NoReturn:
    directory, compiled, copy = (module.params[name] for name in ("directory", "compiled", "copy"))
    wanted = _compile(module.params, own)
    desired = [Desired(os.path.join(directory, name), _encode(text)) for name, text in own.items()]
    desired += [Desired(compiled, wanted.cdb), Desired(copy, _encode(wanted.copy))]
    changes = tcprules.describe_changes(_rules_in_force(copy), wanted.rules)
    rewritten = [one.path for one in desired if read_bytes(one.path) != one.content]
    words = changes or [f"{path} is written anew, no connection is treated otherwise" for path in rewritten]

    def check(written: Desired, temporary: str) -> None:
        if written.path == compiled:
            tcprules.verify_cdb(read_bytes(temporary) or b"", wanted.rules, compiled)

    finish(
        module,
        desired,
        diff=[{"prepared": "".join(f"{line}\n" for line in words)}] if rewritten else None,
        check=check,
        changes=changes,
        notices=[*rules_command.stray_files(directory), *wanted.notices],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "relay_networks": {"type": "list", "elements": "str", "default": []},
            "scanner": {"type": "str", "default": ""},
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
            "directory": {"type": "path", "default": rules_command.DIRECTORY},
            "compiled": {"type": "path", "default": rules_command.COMPILED},
            "copy": {"type": "path", "default": rules_command.COPY},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        own = {tcprules.SITE: _site(module.params), tcprules.DEFAULT: tcprules.default_rules()}
        _compile(module.params, own)  # refuses before even the directory is made
        with _directory(module.params["directory"], module.check_mode):
            _run(module, own)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error), changed_paths=[])


if __name__ == "__main__":
    main()
