# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: The certificates that the gateway speaks TLS with
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Puts a certificate and its key into use, or one of ECDSA and one of RSA, after checking that each key is
    that of its certificate and that each certificate is valid now. Both are replaced at the same instant.
  - Without O(pairs) it makes self-signed certificates where there are none, and leaves those that are there,
    which C(mailgate certificate install) may have put there. It fails where
    those that are there cannot be used.
  - Sets the owner, group and mode of the directory and of what is in use right.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  directory:
    description: Where they are kept.
    type: path
    default: /etc/mailgate/tls
  group:
    description: Who may read the keys beside root.
    type: str
    default: smtptls
  hostname:
    description: The name in self-signed certificates.
    type: str
    required: true
  pairs:
    description: One certificate, or two with different kinds of keys.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: Its text (PEM) with the chain behind it, or the path of a file on the host.
        type: str
        required: true
      key:
        description: The text of its key without a passphrase, or the path of a file on the host.
        type: str
        required: true
requirements: [the program openssl on the host]
"""

EXAMPLES = r"""
- name: Use the company's certificate
  mailgate.qmail.certificates:
    hostname: mx1.example.com
    pairs:
      - certificate: "{{ lookup('ansible.builtin.file', 'mx1.pem') }}"
        key: "{{ vault_mx1_key }}"
"""

RETURN = r"""
certificates:
  description: What is in use, one line for each.
  type: list
  elements: str
  returned: success
"""

import datetime
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import certificates


def in_use(directory):
    """Return (a line for each certificate in use, whether each could be read)."""
    lines, whole = [], True
    try:
        for pair in certificates.installed(directory):
            try:
                lines.append(certificates.told(certificates.facts(pair.certificate, directory)))
            except BadInput:
                lines.append("not a certificate")
                whole = False
    except BadInput as error:
        return [f"not a certificate with its key: {error}"], False
    return lines, whole


def group_id(module):
    """Return the number of the group; -1 on a host that is to get it yet."""
    try:
        return certificates.group_id(module.params["group"])
    except BadInput:
        if module.check_mode:
            return -1
        raise


def replace(module, gid):
    """Return (changed, lines before, lines after) for the pairs that are given."""
    given = module.params
    directory = given["directory"]
    pairs, places = certificates.given_pairs(given["pairs"], "pairs")
    before, whole = in_use(directory)
    if whole and certificates.in_use(directory, pairs):
        return False, before, before  # checked when they were put there; the doctor watches their dates
    judge = certificates.check_beforehand if module.check_mode else certificates.check_pairs
    found = judge(pairs, places, datetime.datetime.now(datetime.timezone.utc))
    if found is None:
        after = [f"{place[0]}, judged when openssl is there" for place in places]
    else:
        after = [certificates.told(one) for one in found]
    if not module.check_mode:
        certificates.make_directory(directory)
        certificates.install(directory, pairs, gid)
    return True, before, after


def make(module, gid):
    """Return (changed, lines before, lines after) where no pairs are given."""
    directory, name = module.params["directory"], module.params["hostname"]
    if module.check_mode:
        certificates.check_name(name)
        certificates.check_whole(directory)
        made = not os.path.lexists(os.path.join(directory, certificates.CURRENT))
    else:
        certificates.make_directory(directory)
        made = bool(certificates.install_self_signed(directory, name, gid))
    if made:
        return True, [], [f"self-signed for {name}"]
    before = in_use(directory)[0]
    return False, before, before


def set_rights(module, gid):
    """Return (lines before, lines after) of the owners and modes that are not right, and set them right."""
    directory = module.params["directory"]
    wrong = certificates.wrong_rights(directory, gid)
    if wrong and not module.check_mode:
        certificates.set_rights(directory, gid)
    return [one.before for one in wrong], [one.after for one in wrong]


def run(module):
    """Return (changed, what is in use after, lines before, lines after)."""
    gid = group_id(module)
    changed, before, after = (replace if module.params["pairs"] else make)(module, gid)
    if changed:
        return True, after, before, after
    was, is_now = set_rights(module, gid)
    return bool(was), after, before + was, after + is_now


def main():
    pair = {
        "certificate": {"type": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/mailgate/tls"},
            "group": {"type": "str", "default": "smtptls"},
            "hostname": {"type": "str", "required": True},
            "pairs": {"type": "list", "elements": "dict", "default": [], "options": pair},
        },
        supports_check_mode=True,
    )
    try:
        changed, found, before, after = run(module)
    except (MailgateError, OSError) as error:
        module.fail_json(msg=str(error))
    path = module.params["directory"]
    texts = {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }
    if changed and texts["before"] == texts["after"]:
        texts["after"] += "(another key)\n"
    header = {"before_header": path, "after_header": path}
    module.exit_json(changed=changed, certificates=found, diff=[{**header, **texts}] if changed else [])


if __name__ == "__main__":
    main()
