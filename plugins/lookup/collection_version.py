# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collection_version
short_description: The version of this collection, and its commit
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Returns what C(mailgate --version) says on a gateway.
  - The commit is that of the checkout, or what the file C(COMMIT) of an archive says, which is made with it.
    It is empty when neither is there.
options:
  _terms:
    description: Nothing.
"""

EXAMPLES = r"""
content: "{{ lookup('mailgate.qmail.collection_version') | to_nice_json }}\n"
"""

RETURN = r"""
_list:
  description: One entry, with C(version) and C(commit).
  type: list
  elements: dict
"""

import json  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.plugins.lookup import LookupBase  # noqa: E402

COLLECTION = Path(__file__).resolve().parent.parent.parent


def version(place):
    """Return the version: from the manifest of an installed collection, or from galaxy.yml of a checkout."""
    try:
        return json.loads((place / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"]
    except FileNotFoundError:
        found = re.search(r"(?m)^version: *(\S+)$", (place / "galaxy.yml").read_text(encoding="utf-8"))
        return found[1] if found else ""


def commit(place):
    """Return the commit, with -dirty behind it when the checkout has changes, or ''."""
    if (place / ".git").exists():
        command = ["git", "-C", str(place), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
    try:
        text = (place / "COMMIT").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text[:12] if re.fullmatch("[0-9a-f]{12,64}", text) else ""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [{"version": version(COLLECTION), "commit": commit(COLLECTION)}]
