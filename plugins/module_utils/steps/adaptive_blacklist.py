# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module adaptive_blacklist does: settings of the adaptive blacklist."""

from __future__ import annotations

from typing import Any

from ansible_collections.mailgate.qmail.plugins.module_utils import managed_file
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import (
    settings as blacklist_settings,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import BLACKLIST_SETTINGS

NUMBERS = {
    "attempts": 10,
    "bad_percent": 50,
    "window_seconds": 3600,
    "listing_seconds": 14400,
    "session_attempts": 10,
    "spare_ham": 50,
    "spare_ham_seconds": 604800,
    "addresses_max": 100000,
    "events_max": 200,
    "entries_max": 10000,
    "ipv6_site_networks": 8,
}


def before_in_words(content, path):
    """Describe the settings in the file, or what is wrong with them."""
    if content is None:
        return ""
    try:
        return blacklist_settings.describe(blacklist_settings.parse(content.decode("utf-8", "replace"), path))
    except BadInput as error:
        return f"{error}\n"


def difference(before, settings, path):
    """Return the diff, or None when at most mode or owner differ."""
    content = blacklist_settings.render(settings).encode("ascii")
    if before == content:
        return None
    old, new = before_in_words(before, path), blacklist_settings.describe(settings)
    if old == new:
        new += "same settings, written again\n"
    return [{"before_header": path, "after_header": path, "before": old, "after": new}]


def argument_spec() -> dict[str, Any]:
    """Return the options of the module as Ansible takes them."""
    spec = {name: {"type": "int", "default": default} for name, default in NUMBERS.items()}
    spec.update(
        {
            "path": {"type": "path", "default": BLACKLIST_SETTINGS},
            "marked": {"type": "str", "choices": ["spam", "ham", "neither"], "default": "spam"},
            "spam_score": {"type": "float", "default": 0},
            "never": {"type": "list", "elements": "str", "default": []},
            "added": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True},
                    "until": {"type": "str"},
                    "note": {"type": "str"},
                },
            },
            "released": {"type": "list", "elements": "str", "default": []},
        }
    )
    return spec


def run(module: Any) -> None:
    """Bring the host to the state that module.params describe, or predict that in check mode, and exit."""
    values = dict(module.params)
    path = values.pop("path")
    try:
        settings = blacklist_settings.make(values)
        before = managed_file.read_bytes(path)
    except (BadInput, OSError) as error:
        module.fail_json(msg=str(error))
    managed_file.finish(
        module,
        [managed_file.Desired(path, blacklist_settings.render(settings).encode("ascii"), 0o644)],
        diff=difference(before, settings, path),
        settings=blacklist_settings.as_values(settings),
    )
