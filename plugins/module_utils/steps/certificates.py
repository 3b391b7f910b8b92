# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module certificates does: the certificates that the gateway speaks TLS with."""

from __future__ import annotations

import datetime
import os
from typing import Any

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


def bring(module):
    """Return (changed, what is in use after, lines before, lines after)."""
    gid = group_id(module)
    changed, before, after = (replace if module.params["pairs"] else make)(module, gid)
    if changed:
        return True, after, before, after
    was, is_now = set_rights(module, gid)
    return bool(was), after, before + was, after + is_now


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    pair = {
        "certificate": {"type": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": True},
    }
    return {
        "directory": {"type": "path", "default": "/etc/mailgate/tls"},
        "group": {"type": "str", "default": "smtptls"},
        "hostname": {"type": "str", "required": True},
        "pairs": {"type": "list", "elements": "dict", "default": [], "options": pair},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    try:
        changed, found, before, after = bring(module)
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
