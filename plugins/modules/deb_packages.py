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
import re
import time

from ansible.module_utils.basic import AnsibleModule

LISTS = "/var/lib/apt/lists"
PAUSE_SECONDS = 2.0
# apt waits for some of its locks by itself when it is told to, and for those of the lists and archives never.
LOCKED = re.compile(
    r"(?:Could not get lock|Unable to acquire the dpkg|Unable to lock|dpkg frontend lock)[^\n]*"
)


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
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    begin, held = time.monotonic(), ""
    while True:
        status, out, err = module.run_command(argv, environ_update=environment)
        lock = LOCKED.search(err + out) if status != 0 else None
        left = module.params["lock_seconds"] - (time.monotonic() - begin)
        if lock is None or left <= 0:
            break
        held = lock[0].strip()
        time.sleep(min(PAUSE_SECONDS, left))
    if held:
        module.warn(f"packages: waited {time.monotonic() - begin:.0f} s for another program: {held}")
    if status != 0:
        said = (err or out).strip()[-2000:]
        module.fail_json(
            msg=f"packages: {' '.join(argv)!r} ended with status {status}; expected 0: {said}", rc=status
        )


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
