# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directory servers for the tests: one image with a provisioned Samba domain controller and with slapd.

A container of it lives in another container's network, so that a directory has an address of the tests' own
networks there and nothing of it leaves the machine.
"""

from __future__ import annotations

import os
import subprocess
import threading

from .common import LABEL, answer, run
from .images import make_derived, require_image

REALM = "corp.example.test"
BASE = "DC=corp,DC=example,DC=test"
ADMINISTRATOR = f"Administrator@{REALM}"
ADMINISTRATOR_PASSWORD = "Admin-Of-The-Test-1"

PACKAGES = (
    "samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind ldb-tools "
    "slapd ldap-utils openssl time python3-ldap3"
)
# The attribute store in a file: the container's file system may not take Samba's own attributes.
PROVISION = (
    f"rm -f /etc/samba/smb.conf && samba-tool domain provision --realm={REALM.upper()} --domain=CORP "
    f"--adminpass={ADMINISTRATOR_PASSWORD} --server-role=dc --dns-backend=SAMBA_INTERNAL --host-name=dc1 "
    "--option='posix:eadb = /var/lib/samba/private/eadb.tdb' --option='server services = ldap' "
    "--option='log level = 1' && samba-tool domain passwordsettings set --complexity=off --min-pwd-length=4 "
    "--max-pwd-age=0"
)
SCRIPT = (
    "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && "
    "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "
    f"{PACKAGES} && apt-get clean && rm -rf /var/lib/apt/lists/*_* && {PROVISION}"
)


_making = threading.Lock()  # both servers of the tests start at the same time


def ldap_image(suite: str = "bookworm") -> str:
    return os.environ.get("MAILGATE_IMAGE_LDAP") or f"mailgate-ldap:{suite}"


def make_ldap(suite: str = "bookworm") -> str:
    """Return the image's name; make the image when it is missing or was made with another recipe."""
    step, name = f"image ldap {suite}", ldap_image(suite)
    if os.environ.get("MAILGATE_IMAGE_LDAP"):
        require_image(step, name)
        return name
    with _making:
        make_derived(step, name, suite, SCRIPT, '["sleep", "infinity"]', "Samba and slapd (about a minute)")
    return name


class Server:
    """A container of the image in the network of the container `beside`; close() removes it."""

    def __init__(self, name: str, beside: str = "") -> None:
        self.name = name
        answer(["docker", "rm", "-f", "-v", name], timeout_seconds=60)
        network = ["--network", f"container:{beside}"] if beside else []
        labels = ["--label", f"{LABEL}.container=yes"]
        argv = ["docker", "run", "-d", "--init", "--name", name, *labels, *network, make_ldap()]
        run([*argv, "sleep", "infinity"], why=f"starting the container {name}")

    def run(self, *argv: str, text: str = "", within_seconds: float = 120) -> str:
        """Return the output of a command in the container that must succeed."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.name, *argv],
            input=text,
            capture_output=True,
            text=True,
            timeout=within_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{argv[:4]} ended with {done.returncode}: {done.stdout} {done.stderr}")
        return done.stdout

    def close(self) -> None:
        answer(["docker", "rm", "-f", "-v", self.name], timeout_seconds=60)
