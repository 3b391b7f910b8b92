# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle
short_description: One file on the controller with everything that a gateway fetches
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Makes a bundle of archives, wheels, ClamAV's signatures, SpamAssassin's rules and, if asked, the
    distribution's packages with all that they depend on; or checks one and unpacks it for a run.
  - Each file has its sha256 in the bundle's manifest. A bundle that is cut off, or has another byte in any of
    its files, is refused with that file's name.
  - The same files make the same bytes, and the bundle appears when it is whole.
  - Runs on the controller alone and connects to no host.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  check_mode:
    description: A bundle is not made; one is taken all the same, which fills the controller's cache.
    support: full
  diff_mode:
    description: There is never a diff.
    support: full
options:
  state:
    description:
      - V(named) returns facts about the hosts' platform, which the roles' variables read.
      - V(made) makes the bundle. V(taken) checks it and unpacks it into the controller's cache.
    type: str
    required: true
    choices: [named, made, taken]
  path:
    description: The bundle that is taken.
    type: path
    default: ""
  directory:
    description: Where the bundle is made; its name has release and machine.
    type: path
    default: ""
  release:
    description: The hosts' release of Debian, such as V(12); that of the controller by default.
    type: str
    default: ""
  machine:
    description: The hosts' architecture, such as V(x86_64); that of the controller by default.
    type: str
    default: ""
  recipes:
    description: What is built from source, as for M(mailgate.qmail.preflight); its archives are fetched.
    type: list
    elements: dict
    default: []
  wheels:
    description: Whether the wheels of the operators' screen belong to it.
    type: bool
    default: true
  wheels_directory:
    description: A directory that has them; by default pip fetches them.
    type: path
    default: ""
  freshclam:
    description: Settings with which the controller's freshclam fetches ClamAV's databases; empty for none.
    type: dict
    default: {}
  signatures:
    description: A directory that has C(main.cvd), C(daily.cvd) and C(bytecode.cvd), instead of freshclam.
    type: path
    default: ""
  channel:
    description: The channel of SpamAssassin's rules; empty for none.
    type: str
    default: ""
  rules:
    description: An update's archive with its sums and signature beside it, instead of the channel.
    type: path
    default: ""
  packages:
    description:
      - Whether the distribution's packages belong to it.
      - For V(taken), whether they are compared with what the site's roles install.
    type: bool
    default: false
  apt_sources:
    description: Lines of sources.list for the hosts' release; by default made of the controller's own.
    type: list
    elements: str
    default: []
  leave_out:
    description: What is left out though the site needs it.
    type: list
    elements: str
    choices: [rules, signatures, wheels]
    default: []
notes:
  - The controller's cache is C(~/.cache/mailgate), or E(MAILGATE_CACHE).
"""

EXAMPLES = r"""
- name: Check a bundle and unpack it
  mailgate.qmail.bundle:
    state: taken
    path: /srv/mailgate-debian-12-x86_64.bundle
  register: taken
"""

RETURN = r"""
path:
  description: The bundle that was made.
  type: str
  returned: when O(state=made)
sha256:
  description: Its sha256.
  type: str
  returned: when O(state=made), not in check mode
contents:
  description: What is in it, a line for each kind of file.
  type: list
  elements: str
  returned: when O(state=made) or O(state=taken)
bundle:
  description:
    - Where its files are on the controller, as C(wheels), C(signatures), C(rules) and C(packages), each empty
      when it has none; C(path), C(platform) and C(sha256) of itself; and C(lacks), the packages that the
      site's roles install and it has not.
  type: dict
  returned: when O(state=taken)
"""
