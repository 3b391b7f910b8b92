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
  repository:
    description:
      - A directory of the controller with packages and their index C(Packages), such as a bundle's.
      - Then only what is needed of it is copied to the host, and apt looks nowhere else; empty means the
        host's own sources of apt.
    type: path
    default: ""
  phase:
    description: Set by the action plugin of this module, never by a playbook.
    type: str
    choices: [missing, plan, install]
  transfer:
    description: Set by the action plugin of this module, never by a playbook.
    type: dict
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
import shutil
import tarfile
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle_packages
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
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


def install(module, names, settings=()):
    """Install the packages with apt's settings; fails unless all of them are there then."""
    options = ["-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    run(module, ["apt-get", *settings, "install", *options, *names])
    absent = missing(module, names)
    if absent:
        msg = f"packages: {', '.join(absent)} not installed; expected apt-get to install them"
        module.fail_json(msg=msg)


def from_repository(module, names):
    """Install from the controller's repository; in phase plan return which of its files that takes."""
    transfer, place = module.params["transfer"], tempfile.mkdtemp(prefix="mailgate-packages-")
    try:
        repository = os.path.join(place, "repository")
        os.mkdir(repository)
        with open(transfer["index"], encoding="utf-8") as stream:
            index = stream.read()
        with open(os.path.join(repository, bundle_packages.INDEX), "w", encoding="utf-8") as stream:
            stream.write(index)
        configuration = bundle_packages.prepare(place, [f"deb [trusted=yes] file:{repository} ./"])
        settings = ["-c", configuration]
        run(module, ["apt-get", *settings, "update", "-q"])
        if module.params["phase"] == "plan":
            argv = ["apt-get", *settings, "-s", "-y", "install", *names]
            status, out, err = module.run_command(argv, environ_update=busy.ENGLISH)
            if status != 0:
                said = (err or out).strip()[-2000:]
                wanted = " ".join(names)
                msg = f"bundle: {wanted} cannot be installed from it; expected all that they need: {said}"
                module.fail_json(msg=msg, rc=status)
            wanted = bundle_packages.simulated(out)
            return bundle_packages.files_of(bundle_packages.stanzas(index, "bundle"), wanted, "bundle")
        with tarfile.open(transfer["archive"], "r:") as archive:
            for member in archive:  # each is hashed by apt, against the index
                source = archive.extractfile(member)
                target = os.path.join(repository, os.path.basename(member.name))
                if source is not None:
                    with source, open(target, "wb") as out:
                        shutil.copyfileobj(source, out)
        install(module, names, settings)
    except MailgateError as error:
        module.fail_json(msg=str(error))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return []


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "update_after_seconds": {"type": "int", "default": 3600},
            "lock_seconds": {"type": "int", "default": 120},
            "repository": {"type": "path", "default": ""},
            "phase": {"type": "str", "choices": ["missing", "plan", "install"]},
            "transfer": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    names, phase, files = missing(module, module.params["name"]), module.params["phase"], []
    if names and not module.check_mode and phase != "missing":
        if phase:
            files = from_repository(module, names)
        else:
            if lists_age_seconds(time.time()) > module.params["update_after_seconds"]:
                run(module, ["apt-get", "update", "-q"])
            install(module, names)
    after = "".join(f"{name} installed\n" for name in names)
    before = "".join(f"{name} absent\n" for name in names)
    result = {"changed": bool(names), "installed": names, "diff": {"before": before, "after": after}}
    module.exit_json(**result, **({"files": files} if phase == "plan" else {}))


if __name__ == "__main__":
    main()
