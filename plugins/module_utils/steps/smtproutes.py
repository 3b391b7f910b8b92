# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module smtproutes does: routes of qmail-remote in control/smtproutes."""

from __future__ import annotations

from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils import managed_file
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import ROUTES
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import (
    accepted_domains,
    qmail_queue,
    smtproutes,
)


def octal(mode):
    """Return the mode as a number; YAML may have converted an unquoted 0644 already."""
    if isinstance(mode, int):
        return mode
    try:
        return int(str(mode), 8)
    except ValueError as error:
        raise BadInput(f"mode: {mode!r} is not octal; expected one such as '0644'") from error


def wanted_routes(items):
    """Return the module's routes, checked."""
    routes = []
    for number, item in enumerate(items, 1):
        where = f"routes item {number}"
        if item["route"] is None:
            raise BadInput(f"{where}: {item['domain']!r} has no route; expected 'host', 'host:port' or ''")
        routes.append(smtproutes.make_route(item["domain"], item["route"], where))
    return routes


def kept_routes(table, wanted, params):
    """Return (routes that are needed still and not wanted, a warning for each that only mail waits for)."""
    accepted = []
    if params["accepted"]:
        text = (managed_file.read_bytes(params["accepted"]) or b"").decode("utf-8", "backslashreplace")
        accepted = accepted_domains.parse(text)
    waiting = qmail_queue.waiting_hosts(params["queue"]) if params["queue"] else ()
    local = {domain.lower() for domain in params["local"]}
    hosts = [domain for domain in accepted if domain.lower() not in local]
    kept = smtproutes.needed_routes(table, wanted, hosts, default=True)
    queued = [one for one in smtproutes.needed_routes(table, wanted, waiting) if one not in kept]
    return [*kept, *queued], [
        f"mail for {route.domain} waits in the queue: its route to {route.text or 'its MX'} stays; "
        "run the playbook again when it is delivered, or give it an explicit route, '' for its MX, to change "
        "it now"
        for route in queued
    ]


def changed_table(table, path, params, warn):
    """Return the table changed as the parameters say."""
    if params["state"] == "present" and params["exclusive"]:
        wanted = wanted_routes(params["routes"])
        kept, warnings = kept_routes(table, wanted, params)
        for text in warnings:
            warn(text)
        return smtproutes.replace_routes(table, [*wanted, *kept])
    faults = smtproutes.faults(table, path)
    if faults:
        raise BadInput("\n".join(faults))
    if params["state"] == "absent":
        return smtproutes.remove_routes(table, [item["domain"] for item in params["routes"]])
    return smtproutes.set_routes(table, wanted_routes(params["routes"]))


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    return {
        "path": {"type": "path", "default": ROUTES},
        "routes": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"domain": {"type": "str", "required": True}, "route": {"type": "str"}},
        },
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "exclusive": {"type": "bool", "default": False},
        "accepted": {"type": "path"},
        "local": {"type": "list", "elements": "str", "default": []},
        "queue": {"type": "path"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "raw", "default": "0644"},
    }


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    params = module.params
    path = params["path"]
    try:
        if params["exclusive"] and params["state"] == "absent":
            raise BadInput("exclusive: true with state 'absent' has no meaning; expected state 'present'")
        mode = octal(params["mode"])
        before = managed_file.read_bytes(path)
        now = smtproutes.parse((before or b"").decode("utf-8", "surrogateescape"))
        table = changed_table(now, path, params, module.warn)
    except (BadInput, OSError) as error:
        module.fail_json(msg=without_passwords(str(error)))
    content = smtproutes.render(table).encode("utf-8", "surrogateescape")
    desired = []
    if before is not None or params["state"] == "present":
        desired.append(managed_file.Desired(path, content, mode, params["owner"], params["group"]))
    words = smtproutes.describe_changes(now, table)
    diff = {
        "prepared": "".join(f"{line}\n" for line in words),
        "before_header": path,
        "after_header": path,
        "before": (before or b"").decode("utf-8", "backslashreplace"),
        "after": content.decode("utf-8", "backslashreplace"),
    }
    managed_file.finish(
        module,
        desired,
        diff=[diff] if words and desired else None,
        routes=[{"domain": route.domain, "route": route.text} for route in table.routes],
        changes=words,
    )
