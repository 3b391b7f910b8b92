# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deb_packages
short_description: Debian packages that must be installed
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Installs those of a list of Debian packages that are missing, without recommended packages.
  - Exists beside M(ansible.builtin.apt) because that module cannot run in check mode without python3-apt,
    and check mode must work on a fresh host.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  name:
    description: The packages.
    type: list
    elements: str
    required: true
  update_after_seconds:
    description: Update the package lists before an installation when they are older than this.
    type: int
    default: 3600
  lock_seconds:
    description:
      - For how long to wait while another program, such as unattended-upgrades, holds a lock of dpkg or apt.
      - How long it took is said in a warning.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Install cdb's tools
  mailgate.qmail.deb_packages:
    name: [freecdb]
"""

RETURN = r"""
installed:
  description: The packages that were, or in check mode would be, installed.
  type: list
  elements: str
  returned: always
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import busy

LISTS = "/var/lib/apt/lists"


def missing(module, names):
    """Return the names of the packages that dpkg does not report as installed, in the order given."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]
    dummy, out, dummy = module.run_command(query)
    present = {line.split()[0] for line in out.splitlines() if line.split()[-1:] == ["installed"]}
    return [name for name in names if name not in present]


def lists_age_seconds(now):
    """Return the seconds since the package lists changed; infinite when there are none."""
    try:
        lists = [entry for entry in os.scandir(LISTS) if entry.is_file() and entry.name != "lock"]
        return now - os.stat(LISTS).st_mtime if lists else float("inf")
    except FileNotFoundError:
        return float("inf")


def run(module, argv):
    """Run a program of apt; while another one holds a lock, again until lock_seconds are over."""
    environment = {**busy.ENGLISH, "DEBIAN_FRONTEND": "noninteractive"}
    done = busy.run_when_free(
        lambda: module.run_command(argv, environ_update=environment),
        busy.APT_LOCKED,
        module.params["lock_seconds"],
    )
    if done.held:
        module.warn(done.warning("packages"))
    if done.status != 0:
        said = (done.err or done.out).strip()[-2000:]
        msg = f"packages: {' '.join(argv)!r} ended with status {done.status}; expected 0: {said}"
        module.fail_json(msg=msg, rc=done.status)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "update_after_seconds": {"type": "int", "default": 3600},
            "lock_seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    names = missing(module, module.params["name"])
    if names and not module.check_mode:
        if lists_age_seconds(time.time()) > module.params["update_after_seconds"]:
            run(module, ["apt-get", "update", "-q"])
        options = ["-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
        run(module, ["apt-get", "install", *options, *names])
        absent = missing(module, names)
        if absent:
            msg = f"packages: {', '.join(absent)} not installed; expected apt-get to install them"
            module.fail_json(msg=msg)
    after = "".join(f"{name} installed\n" for name in names)
    before = "".join(f"{name} absent\n" for name in names)
    module.exit_json(changed=bool(names), installed=names, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
