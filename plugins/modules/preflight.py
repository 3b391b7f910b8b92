# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check whether a host can become the gateway, and whether the site file is valid
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Checks the host and the site, changes nothing, and fails with a list of all errors, one line each.
  - An error is a user other than root, a system that is not supported, a port 25 that another program holds,
    another mail server that is installed, a host name that does not resolve, too little memory or disk, or a
    fault of the site.
  - Wrong reverse DNS is a warning.
extends_documentation_fragment: [mailgate.qmail.attributes]
attributes:
  diff_mode:
    description: There is never a diff.
    support: full
options:
  site:
    description:
      - The site, as C(hostname), C(postmaster), C(domains), C(relay_networks), C(protected_networks),
        C(whitelisted_networks), C(operators_protected), C(bad_senders), C(extra_routes), C(deny_reply),
        C(front), C(listen), C(public_addresses) and C(greylist_exempt).
      - A message calls each as the site file does, C(gateway_) and its name, but C(extra_routes)
        C(gateway_routes), and C(operators_protected) C(gateway_operator_protected_networks).
    type: dict
    required: true
  memory_mb_minimum:
    description: The memory that the host must have, in MB.
    type: int
    default: 512
  clamd_memory_mb:
    description:
      - The memory that clamd needs, swap included, in MB; 0 when that is not known.
      - A host with less is refused, or warned of when it is a gateway already.
    type: int
    default: 0
  faults:
    description: More errors, which were found on the controller.
    type: list
    elements: str
    default: []
  notices:
    description: More warnings, which were found on the controller.
    type: list
    elements: str
    default: []
  own_variables:
    description: Names of variables of the site's own that are like the collection's.
    type: list
    elements: str
    default: []
  disk_mb_minimum:
    description: The space that must be free below / and below /var, in MB.
    type: int
    default: 1024
  replace_mta:
    description:
      - Another mail server is a warning and not an error, and RV(mta) tells which.
      - A program on port 25 that is not a known mail server stays an error.
    type: bool
    default: false
  require_hostname_resolution:
    description: A host name that does not resolve is an error and not a warning.
    type: bool
    default: true
  accounts:
    description:
      - The names of the gateway's accounts.
      - One that exists, is somebody else's by its home and group, and is not in C(take_over) is an error.
    type: dict
    suboptions:
      groups:
        description: The groups.
        type: list
        elements: str
        required: true
      users:
        description: The users, each with C(name), C(group) and C(home).
        type: list
        elements: dict
        required: true
      take_over:
        description: The names that may be taken over.
        type: list
        elements: str
        default: []
  brought:
    description:
      - Settings that only a whole run of the gateway's playbook brings, and what the last one brought.
      - One that has changed since is a warning.
    type: dict
    suboptions:
      path:
        description: The file that a whole run writes, with a JSON object of the settings.
        type: path
        required: true
      settings:
        description: The settings of now, by the names of their variables.
        type: dict
        required: true
  package:
    description:
      - The version of the Python package that the host must have; when this is omitted, any or none will do.
      - With another version the programs may not understand the files that a playbook writes.
    type: dict
    suboptions:
      link:
        description: The link of M(mailgate.qmail.versioned_tree).
        type: path
        required: true
      version:
        description: The name of the version.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Check whether this host can become the gateway
  mailgate.qmail.preflight:
    site:
      hostname: mx1.example.com
      postmaster: postmaster@example.com
      domains:
        - name: example.com
          route: 10.0.0.5
          recipients: any
      relay_networks: [10.0.0.0/24]
"""

RETURN = r"""
findings:
  description: Every result, each with C(check), C(level) (error, warning or ok) and C(message).
  type: list
  elements: dict
  returned: always
  sample: [{"check": "port", "level": "ok", "message": "port 25: free"}]
mta:
  description:
    - The conflicting mail server, as C(program), C(pid), C(unit) and C(package); empty for none.
    - C(pid) is 0 when it is installed and does not hold port 25; C(unit) and C(package) may be empty.
  type: dict
  returned: always
ansible_facts:
  description: C(memtotal_mb) and C(processor_vcpus), named like the hardware facts.
  type: dict
  returned: when the amount of memory is known
own_addresses:
  description: The host's IPv4 addresses.
  type: list
  elements: str
  returned: always
"""

import contextlib
import dataclasses
import os
import re
import socket
import threading

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import accounts, preflight
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.check import check_site

LOOKUP_SECONDS = 5
REVERSE_LOOKUPS = 4
DISKS = ("/", "/var")


def read_text(path):
    """Return the file's text, or '' when it cannot be read, which the check that needs it reports."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def look_up(question):
    """Return the answers of a resolver call, or its error, after LOOKUP_SECONDS at the latest.

    The resolver has no time limit, so a thread waits for it, and is abandoned when it is late.
    """
    results = []

    def ask():
        try:
            results.append(preflight.Resolution(tuple(question())))
        except (OSError, UnicodeError) as error:
            results.append(preflight.Resolution(error=getattr(error, "strerror", None) or str(error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LOOKUP_SECONDS)
    return results[0] if results else preflight.Resolution(error=f"no answer in {LOOKUP_SECONDS} s")


def forward(name):
    answers = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({answer[4][0] for answer in answers})


def reverse(address):
    name, aliases = socket.gethostbyaddr(address)[:2]
    return [name, *aliases]


def sockets(pid):
    """Return the inodes of the process's sockets, or None when the kernel does not show them."""
    found = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            # Without CAP_SYS_PTRACE another user's descriptors can be listed, but their targets cannot be
            # read.
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except OSError:
        return None
    return frozenset(found)


def process(pid):
    """Return a process as in /proc, or None when it has ended."""
    argv = read_text(f"/proc/{pid}/cmdline")
    status = read_text(f"/proc/{pid}/status")
    parents = [line.split()[1] for line in status.splitlines() if line.startswith("PPid:")]
    if not argv or not parents:
        return None
    try:
        executable = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        executable = ""
    return preflight.Process(
        int(pid),
        int(parents[0]),
        tuple(argv.rstrip("\0").split("\0")),
        executable,
        read_text(f"/proc/{pid}/cgroup"),
        sockets(pid),
    )


def port_holders(module):
    """Return the holders of port 25, each with its Debian package."""
    tables = [read_text(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    listeners = preflight.listeners(*tables, preflight.SMTP_PORT)
    if not listeners:
        return []
    found = [process(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    holders = preflight.holders(listeners, [one for one in found if one is not None])
    query = module.get_bin_path("dpkg-query")
    packaged = []
    for holder in holders:
        package = ""
        if query and holder.executable.startswith("/"):
            package = preflight.package_of(module.run_command([query, "--search", holder.executable])[1])
        packaged.append(dataclasses.replace(holder, package=package))
    return packaged


def free_bytes(path):
    numbers = os.statvfs(path)
    return numbers.f_bavail * numbers.f_frsize


def gather(module, hostname):
    names = look_up(lambda: forward(hostname)) if hostname else preflight.Resolution()
    return preflight.Host(
        user_id=os.geteuid(),
        os_release=read_text("/etc/os-release"),
        meminfo=read_text("/proc/meminfo"),
        free_bytes={path: free_bytes(path) for path in DISKS},
        hostname=hostname,
        forward=names,
        reverse={
            address: look_up(lambda address=address: reverse(address))
            for address in names.answers[:REVERSE_LOOKUPS]
        },
        holders=port_holders(module),
        dpkg_status=read_text("/var/lib/dpkg/status"),
        dpkg_diversions=read_text("/var/lib/dpkg/diversions"),
        is_gateway=os.path.lexists("/var/lib/mailgate/stamps"),
    )


def package_fault(package):
    """Return why the host's package is not the wanted one; "" when it is, or when none is wanted."""
    if package is None:
        return ""
    try:
        found = os.readlink(package["link"])
    except OSError:
        found = None
    return preflight.package_fault(found, package["version"])


def account_faults(given):
    """Return a fault for each of the gateway's names that another account has."""
    if given is None:
        return []
    users = [accounts.User(one["name"], one["group"], one["home"]) for one in given["users"]]
    names = [one.name for one in users]
    passwd = accounts.with_directory(read_text("/etc/passwd"), names, accounts.passwd_line)
    group = accounts.with_directory(read_text("/etc/group"), given["groups"], accounts.group_line)
    return accounts.foreign(passwd, group, given["groups"], users, given["take_over"])


def main():
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "dict", "required": True},
            "memory_mb_minimum": {"type": "int", "default": 512},
            "disk_mb_minimum": {"type": "int", "default": 1024},
            "clamd_memory_mb": {"type": "int", "default": 0},
            "faults": {"type": "list", "elements": "str", "default": []},
            "notices": {"type": "list", "elements": "str", "default": []},
            "own_variables": {"type": "list", "elements": "str", "default": []},
            "replace_mta": {"type": "bool", "default": False},
            "require_hostname_resolution": {"type": "bool", "default": True},
            "accounts": {
                "type": "dict",
                "options": {
                    "groups": {"type": "list", "elements": "str", "required": True},
                    "users": {"type": "list", "elements": "dict", "required": True},
                    "take_over": {"type": "list", "elements": "str", "default": []},
                },
            },
            "brought": {
                "type": "dict",
                "options": {
                    "path": {"type": "path", "required": True},
                    "settings": {"type": "dict", "required": True},
                },
            },
            "package": {
                "type": "dict",
                "options": {
                    "link": {"type": "path", "required": True},
                    "version": {"type": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    site, package = module.params.pop("site"), module.params.pop("package")
    names, brought = module.params.pop("accounts"), module.params.pop("brought")
    found_before, notices = module.params.pop("faults"), module.params.pop("notices")
    module.params.pop("own_variables")  # the controller's part has read it
    limits = preflight.Limits(**module.params)
    wrong_package = package_fault(package)
    if wrong_package:  # nothing else about this host is of use then
        module.fail_json(msg=wrong_package, findings=[], mta={}, own_addresses=[])
    own_addresses = preflight.own_addresses(read_text("/proc/net/fib_trie"))
    hostname = site.get("hostname")
    host = gather(module, hostname if isinstance(hostname, str) else "")
    try:
        faults = [*found_before, *check_site(site, own_addresses), *account_faults(names)]
    except BadInput as error:
        module.fail_json(msg=without_passwords(str(error)))
    faults = [without_passwords(fault) for fault in faults]
    report = preflight.judge(host, limits, faults)
    late = preflight.not_brought(read_text(brought["path"]), brought["settings"]) if brought else []
    for message in [*notices, *report.messages("warning"), *late]:
        module.warn(message)
    result = {
        "changed": False,
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
        "mta": dict(report.mta),
        "own_addresses": own_addresses,
    }
    found = re.search(r"^MemTotal: +([0-9]+) kB$", host.meminfo, re.MULTILINE)
    if found:
        # Gathering all hardware facts would take seconds.
        result["ansible_facts"] = {
            "memtotal_mb": int(found[1]) // 1024,
            "processor_vcpus": os.cpu_count() or 1,
        }
    errors = report.messages("error")
    if errors:
        head = "this host cannot become the gateway yet; nothing was changed"
        module.fail_json(msg="\n".join([head, *errors]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
