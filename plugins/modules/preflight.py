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
        C(front), C(listen), C(public_addresses), C(greylist_exempt), C(tls_minimum), C(tls_sessions),
        C(certificate) without its key, C(tls_policies), C(tls_backend_ca), C(outbound_dane),
        C(outbound_mta_sts) and C(peers).
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
  certificates:
    description:
      - The certificates that the run would put into use, each with its key; a key that is not its
        certificate's, or a certificate that is not valid now, is an error, unless it is in use already.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: Its text (PEM) with the chain behind it, or the path of a file on the host.
        type: str
        required: true
      key:
        description: The text of its key without a passphrase, or the path of a file on the host.
        type: str
        required: true
  recipes:
    description:
      - What the run builds from source, each the O(mailgate.qmail.source_build#module:recipe) of a task.
      - For their archives the controller looks into its cache and tries the others, and then the host does;
        each all at once, for ten seconds.
      - Those for which nothing is to be done are told, so that the tasks of this play need not ask the host.
    type: list
    elements: dict
    default: []
  fetch:
    description: The archives that the controller could not reach; it sets this itself.
    type: list
    elements: dict
    default: []
  builds:
    description: The recipes with the digests of their files; the controller sets this itself.
    type: list
    elements: dict
    default: []
  wheels:
    description:
      - The file that is there once the operators' screen has its wheels from a package index; without it, no
        index is tried.
    type: path
  signatures:
    description:
      - From where ClamAV's signatures come, as C(mirrors), and C(proxy) as C(host:port) or empty.
      - Without a database on the host they have to be reachable.
    type: dict
  proxies:
    description: Proxies of other programs, as URLs.
    type: list
    elements: str
    default: []
  bundle:
    description:
      - What M(mailgate.qmail.bundle) returns of the bundle that the run takes everything from.
      - One for another platform is an error, and so is a package that neither it nor the host has.
    type: dict
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
  roles:
    description:
      - The roles of this collection whose variables are checked against their argument specs on the
        controller, as C(ansible_play_role_names) has them.
      - Roles of other collections are left out.
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
      user_ids:
        description: The numbers that users will have, by their names.
        type: dict
        default: {}
      group_ids:
        description: The numbers that groups will have, by their names.
        type: dict
        default: {}
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
diverted:
  description: The paths of which dpkg diverts the files of packages.
  type: list
  elements: str
  returned: always
ansible_facts:
  description:
    - C(memtotal_mb) and C(processor_vcpus), named like the hardware facts.
  type: dict
  returned: when the amount of memory is known
services:
  description:
    - The names of the services of this host; and of those that are not there, but have left their settings.
    - They are no facts, which may be those of an earlier run.
  type: list
  elements: str
  returned: always
own_addresses:
  description: The host's IPv4 addresses.
  type: list
  elements: str
  returned: always
stamped:
  description: The names of what was built from source on this host.
  type: list
  elements: str
  returned: success
began:
  description: When the check was made, in unix seconds of the host.
  type: int
  returned: success
seen:
  description:
    - What the tasks of this play need not ask the host again, as C(builds) by the hash of all that is sent
      for one, C(packages), the names of those that are installed, and C(play).
  type: dict
  returned: success
plan:
  description:
    - What the run compiles and fetches, and about how long it takes, in lines.
    - Empty when nothing is built from source.
  type: list
  elements: str
  returned: always
"""

import contextlib
import dataclasses
import datetime
import functools
import importlib
import importlib.util
import os
import re
import socket
import threading
import time
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle as build_bundle
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import host as build_host
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import layout, planning
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    CERTIFICATES_DIRECTORY,
    CLAMAV_DATABASES,
    FLEET_SETTINGS,
    SERVICES,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtproutes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.os_release import (
    parse_os_release,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import (
    accounts,
    certificates,
    preflight,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import ldap_settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.ldap_connection import (
    Connection,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import reach
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.check import check_site

LOOKUP_SECONDS = 5
REVERSE_LOOKUPS = 4
DISKS = ("/", "/var")
# Services that another program looks for by their settings.
SETTINGS_OF = {"dccifd": "/etc/mail/spamassassin/dcc.cf", "fleet": FLEET_SETTINGS}
OUTSIDE = ("fetch", "wheels", "signatures", "proxies", "bundle")
PIP_SETTINGS = ("/etc/pip.conf", "/root/.config/pip/pip.conf", "/root/.pip/pip.conf")


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


def names_in(directory):
    """Return the names in a directory, sorted; none when it does not exist."""
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def services_here():
    """Return the names of the services, and of those whose settings a run that broke off has left."""
    left = [name for name, path in SETTINGS_OF.items() if os.path.lexists(path)]
    return sorted({*names_in(SERVICES), *left})


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
        is_gateway=os.path.lexists(layout.stamps_directory()),
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


def opener(url):
    return open_url(url, timeout=reach.SECONDS, decompress=False)


def database(directory):
    """Return whether ClamAV has an official database."""
    return os.path.isdir(directory) and any(name.startswith("daily.c") for name in os.listdir(directory))


def default_indexes():
    """Return the index that pip asks when none is configured; [] on a host without pip."""
    try:
        return [importlib.import_module("pip._internal.models.index").PyPI.simple_url.rstrip("/")]
    except (ImportError, AttributeError):
        return []


def bundle_faults(given, host):
    """Return what is wrong with the controller's bundle for this host."""
    if not given:
        return []
    words = parse_os_release(host.os_release)
    own = build_bundle.Platform(words.get("ID", ""), words.get("VERSION_ID", ""), os.uname().machine)
    return build_bundle.faults(given, own, preflight.installed_packages(host.dpkg_status))


def wanted(fetch, wheels, signatures, bundle):
    """Return what is to be fetched by the host: archives, wheels, signatures; and a try for each place."""
    needed, tries = [], {}
    lacking = [f"make {bundle['path']} again, which does not have it"] if bundle else []
    for one in fetch:
        places = [*one["places"], *(url for pool in one["pools"] for url in build_host.pool_urls(pool))]
        optional = bool(one["built"]) or os.path.exists(layout.stamp_path(one["name"]))
        needed.append(
            reach.Needed(
                f"source of {one['name']}", places, [*lacking, *one["instead"]], one["causes"], optional
            )
        )
        tries.update({url: functools.partial(reach.fetchable, opener, url) for url in places})
    if wheels is not None:
        texts = "\n".join(read_text(path) for path in PIP_SETTINGS)
        indexes = reach.pip_indexes(texts, os.environ) or default_indexes()
        places = [f"{url}/textual/" for url in indexes]
        instead = [
            *lacking,
            "qmailadmin_wheels: a directory of the controller with them",
            "qmailadmin_enabled: false",
        ]
        needed.append(reach.Needed("wheels of qmailadmin", places, instead, (), os.path.exists(wheels)))
        tries.update({url: functools.partial(reach.answers, opener, url) for url in places})
    if signatures is not None and not signatures["proxy"]:
        places = [url if "://" in url else f"https://{url}" for url in signatures["mirrors"]]
        instead = [
            *lacking,
            "clamav_private_mirrors or clamav_proxy_server: another way to them",
            "clamav_database_files: databases of the controller, with clamav_freshclam: false",
        ]
        optional = database(CLAMAV_DATABASES)
        needed.append(reach.Needed("signatures of ClamAV", places, instead, (), optional))
        tries.update({url: functools.partial(reach.answers, opener, url) for url in places})
    return needed, tries


def bind(directory, server):
    """Bind to a directory's server; return "" or why that failed."""
    with open(directory.password_file, encoding="utf-8") as stream:
        password = stream.read().rstrip("\r\n")
    try:
        Connection(directory, server, password).close()
    except MailgateError as error:
        return str(error).replace(password, "***") if password else str(error)
    return ""


def authority(path):
    return read_text(path) or None


def talks_to(site, signatures, proxies):
    """Return a try for each back end, directory and proxy."""
    backends = {}
    for item in [*(site.get("domains") or []), *(site.get("extra_routes") or [])]:
        if isinstance(item, dict):
            name = item.get("name") or item.get("domain") or ""
            with contextlib.suppress(BadInput):
                route = smtproutes.make_route(str(name), str(item.get("route") or ""), "route")
                if route.host:
                    backends.setdefault((route.host, route.effective_port), name or "all other domains")
    directories, _faults = ldap_settings.parse_ldap_directories(site.get("directories") or [], "directory")
    can_bind = importlib.util.find_spec("ldap3") and all(
        os.path.exists(path) for one in directories for path in (one.password_file, one.ca_file) if path
    )
    tries = reach.partners(backends, directories, bind if can_bind else None, authority)
    named = [signatures["proxy"]] if signatures and signatures["proxy"] else []
    for proxy in [*named, *proxies]:
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.hostname:
            address = (parts.hostname, parts.port or 3128)
            tries[f"proxy {address[0]}:{address[1]}"] = functools.partial(reach.connects, *address)
    return tries


def reached(site, fetch, wheels, signatures, proxies, bundle):
    """Return the findings about other machines; all are tried beside each other."""
    needed, tries = wanted(fetch, wheels, signatures, bundle)
    talks = talks_to(site, signatures, proxies)
    found = reach.tried({**tries, **talks})
    return [*reach.judge(needed, found), *reach.partner_findings({name: found[name] for name in talks})]


def certificate_faults(given):
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        return certificates.check_given(given, "gateway_certificate", CERTIFICATES_DIRECTORY, now)
    except OSError as error:
        return [f"{error.filename}: {error.strerror}; expected root, who reads the certificates in use"]


def main():
    pair = {
        "certificate": {"type": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "dict", "required": True},
            "memory_mb_minimum": {"type": "int", "default": 512},
            "disk_mb_minimum": {"type": "int", "default": 1024},
            "clamd_memory_mb": {"type": "int", "default": 0},
            "certificates": {"type": "list", "elements": "dict", "default": [], "options": pair},
            "recipes": {"type": "list", "elements": "dict", "default": []},
            "fetch": {"type": "list", "elements": "dict", "default": []},
            "builds": {"type": "list", "elements": "dict", "default": []},
            "wheels": {"type": "path"},
            "signatures": {"type": "dict"},
            "proxies": {"type": "list", "elements": "str", "default": []},
            "bundle": {"type": "dict"},
            "faults": {"type": "list", "elements": "str", "default": []},
            "notices": {"type": "list", "elements": "str", "default": []},
            "roles": {"type": "list", "elements": "str", "default": []},
            "own_variables": {"type": "list", "elements": "str", "default": []},
            "replace_mta": {"type": "bool", "default": False},
            "require_hostname_resolution": {"type": "bool", "default": True},
            "accounts": {
                "type": "dict",
                "options": {
                    "groups": {"type": "list", "elements": "str", "required": True},
                    "users": {"type": "list", "elements": "dict", "required": True},
                    "take_over": {"type": "list", "elements": "str", "default": []},
                    "user_ids": {"type": "dict", "default": {}},
                    "group_ids": {"type": "dict", "default": {}},
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
    own_certificates = module.params.pop("certificates")
    found_before, notices = module.params.pop("faults"), module.params.pop("notices")
    for name in ("own_variables", "roles", "recipes"):
        module.params.pop(name)  # the controller's part has read it
    builds = module.params.pop("builds")
    outside = {name: module.params.pop(name) for name in OUTSIDE}
    limits = preflight.Limits(**module.params)
    wrong_package = package_fault(package)
    if wrong_package:  # nothing else about this host is of use then
        module.fail_json(msg=wrong_package, findings=[], mta={}, own_addresses=[])
    own_addresses = preflight.own_addresses(read_text("/proc/net/fib_trie"))
    hostname = site.get("hostname")
    host = gather(module, hostname if isinstance(hostname, str) else "")
    try:
        faults = [*found_before, *check_site(site, own_addresses), *account_faults(names)]
        faults += [*certificate_faults(own_certificates), *bundle_faults(outside["bundle"], host)]
    except BadInput as error:
        module.fail_json(msg=without_passwords(str(error)))
    faults = [without_passwords(fault) for fault in faults]
    others = reached(site, **outside)
    report = preflight.judge(host, limits, faults)
    report = dataclasses.replace(report, findings=(*report.findings, *others))
    late = preflight.not_brought(read_text(brought["path"]), brought["settings"]) if brought else []
    for message in [*notices, *report.messages("warning"), *late]:
        module.warn(message)
    result = {
        "changed": False,
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
        "mta": dict(report.mta),
        "own_addresses": own_addresses,
        "stamped": layout.stamped(),
        "diverted": preflight.diverted(host.dpkg_diversions),
        "services": services_here(),
        "began": int(time.time()),
    }
    found = re.search(r"^MemTotal: +([0-9]+) kB$", host.meminfo, re.MULTILINE)
    if found:
        # Gathering all hardware facts would take seconds.
        cpus = os.cpu_count() or 1
        result["ansible_facts"] = {"memtotal_mb": int(found[1]) // 1024, "processor_vcpus": cpus}
    errors = report.messages("error")
    if errors:
        module.fail_json(msg="\n".join([preflight.REFUSED, *errors]), **result)
    ids = names or {"user_ids": {}, "group_ids": {}}
    seen = {
        "builds": planning.current(builds, {"users": ids["user_ids"], "groups": ids["group_ids"]}),
        "packages": " ".join(sorted(preflight.installed_packages(host.dpkg_status))),
    }
    module.exit_json(seen=seen, **result)


if __name__ == "__main__":
    main()
