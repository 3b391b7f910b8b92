# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module accepted_domains does: domains whose mail the gateway accepts."""

from __future__ import annotations

from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import ACCEPTED_DOMAINS
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import (
    accepted_domains,
    smtproutes,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import addresses as recipients
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


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "domains": {"type": "list", "elements": "str", "required": True},
        "routes": {"type": "list", "elements": "dict", "default": []},
        "local": {"type": "list", "elements": "str", "default": []},
        "path": {"type": "path", "default": ACCEPTED_DOMAINS},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
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
