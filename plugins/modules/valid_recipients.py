# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: valid_recipients
short_description: The recipients that the gateway accepts, in control/validrcptto.cdb
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Compiles the site's domains into the cdb that qmail-smtpd asks for each recipient.
  - Every domain also gets postmaster and abuse, the gateway's own name postmaster, abuse, root and
    mailer-daemon, and postmaster without a domain is always there.
  - The new file is read back, key by key, before it takes the place of the old one. An empty list is refused,
    as qmail-smtpd would then refuse every recipient for good.
  - A file that is there and damaged is replaced, and the difference says so.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  path:
    description:
      - The file. Its directory must be there.
      - The file belongs to root and everybody may read it, as qmaild must.
    type: path
    default: /var/qmail/control/validrcptto.cdb
  hostname:
    description: The gateway's fully qualified host name.
    type: str
    required: true
  domains:
    description: The gateway's domains.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The domain.
        type: str
        required: true
      recipients:
        description:
          - V(list) accepts O(domains[].addresses), V(any) every address of the domain.
          - V(directory) is not available in this version.
        type: str
        required: true
      addresses:
        description:
          - Local parts, or whole addresses of this domain.
          - An address whose local part ends in C(-default) accepts every local part with the text before it.
        type: list
        elements: str
      route:
        description: Not used here; it may stay in the list, so that the site's domains fit as they are.
        type: str
  diff_limit:
    description: How many addresses of each kind the difference and the result name at most.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Accept the recipients of the site's domains
  mailgate.qmail.valid_recipients:
    hostname: mx1.example.com
    domains:
      - name: example.com
        recipients: list
        addresses: [joe, jane.doe@example.com]
      - name: example.net
        recipients: any
"""

RETURN = r"""
count:
  description: How many keys the file has, or in check mode would have.
  type: int
  returned: success
gained_count:
  description: How many keys are new.
  type: int
  returned: success
lost_count:
  description: How many keys go.
  type: int
  returned: success
gained:
  description: The first of the new keys, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
lost:
  description: The first of the keys that go, O(diff_limit) at most.
  type: list
  elements: str
  returned: success
damage:
  description: What was wrong with the file that was there; empty for a sound file or none.
  type: str
  returned: success
changed_paths:
  description: The file, when it changes.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils import managed_file
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate import cdb, recipients
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.errors import BadInput


def present_keys(content, path):
    """(keys of the file that is there, what is wrong with it)."""
    if content is None:
        return [], ""
    try:
        items = cdb.Reader(content, path).items()
        return [key.decode("utf-8", "backslashreplace") for key, dummy in items], ""
    except BadInput as error:
        return [], str(error)


def check_with(records):
    """The check of the finished copy: it holds these records and no other."""

    def check(wanted, temporary):
        with open(temporary, "rb") as stream:
            reader = cdb.Reader(stream.read(), temporary)
        for key, value in records:
            if reader.get(key) != value:
                expected = f"expected all {len(records)} keys"
                raise BadInput(f"{wanted.path}: {key!r} is not in its new copy; {expected}")
        count = sum(1 for dummy in reader.items())
        if count != len(records):
            raise BadInput(f"{wanted.path}: {count} records are in its new copy; expected {len(records)}")

    return check


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/qmail/control/validrcptto.cdb"},
            "hostname": {"type": "str", "required": True},
            "domains": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "recipients": {"type": "str", "required": True},
                    "addresses": {"type": "list", "elements": "str"},
                    "route": {"type": "str"},
                },
            },
            "diff_limit": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = params["path"]
    try:
        wanted = recipients.keys(params["domains"], hostname=params["hostname"])
        records = wanted.records()
        content = cdb.build(records)
        before = managed_file.read_bytes(path)
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error))
    old_keys, damage = present_keys(before, path)
    change = recipients.difference(old_keys, wanted.keys, limit=params["diff_limit"])
    diff = None
    if before != content:
        old_text, new_text = recipients.describe(change)
        if damage:
            old_text = f"{damage}\n"
        elif before is not None and not change.gained_count and not change.lost_count:
            new_text += "same recipients, written anew\n"
        diff = [{"before_header": path, "after_header": path, "before": old_text, "after": new_text}]
    managed_file.finish(
        module,
        [managed_file.Desired(path, content, 0o644)],
        diff=diff,
        check=check_with(records),
        count=change.after_count,
        gained_count=change.gained_count,
        lost_count=change.lost_count,
        gained=list(change.gained),
        lost=list(change.lost),
        damage=damage,
    )


if __name__ == "__main__":
    main()
