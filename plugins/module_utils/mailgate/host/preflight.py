# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement whether a host can become the gateway, from facts that the preflight module has gathered.

These functions do not access the host.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.paths import SENDMAIL
from ..formats.os_release import parse_os_release

REFUSED = "this host cannot become the gateway yet; nothing was changed"
SMTP_PORT = 25
SUPPORTED_DEBIAN = ("12", "13")

_LISTEN = "0A"

# Program -> the systemd unit that starts it
_MAIL_PROGRAMS = {
    "exim": "exim4.service",
    "exim4": "exim4.service",
    "master": "postfix.service",
    "nullmailer-send": "nullmailer.service",
    "opensmtpd": "opensmtpd.service",
    "sendmail": "sendmail.service",
    "sendmail-mta": "sendmail.service",
    "smtpd": "opensmtpd.service",
}
_PACKAGE_UNITS = {
    "courier-mta": "courier-mta.service",
    "exim4-base": "exim4.service",
    "exim4-daemon-heavy": "exim4.service",
    "exim4-daemon-light": "exim4.service",
    "nullmailer": "nullmailer.service",
    "opensmtpd": "opensmtpd.service",
    "postfix": "postfix.service",
    "sendmail-bin": "sendmail.service",
}


@dataclass(frozen=True)
class Finding:
    """One result: level is 'error', 'warning' or 'ok'."""

    check: str
    level: str
    message: str


@dataclass(frozen=True)
class Listener:
    """A TCP socket in state LISTEN."""

    address: str
    port: int
    inode: int


@dataclass(frozen=True)
class Process:
    """A process as in /proc; sockets are inodes, None when the kernel does not show them."""

    pid: int
    parent_pid: int
    argv: tuple[str, ...]
    executable: str = ""
    cgroup: str = ""
    sockets: frozenset[int] | None = None

    @property
    def program(self) -> str:
        # A daemon may write its state over its arguments: 'sendmail: MTA: accepting connections'.
        first = (self.argv[0] if self.argv else "").split(" ", 1)[0].rstrip(":")
        return os.path.basename(self.executable.replace(" (deleted)", "") or first)


@dataclass(frozen=True)
class Holder:
    """The process that holds a port: pid 0 when it is unknown; ours: it is the gateway's own front."""

    address: str
    pid: int = 0
    program: str = ""
    executable: str = ""
    unit: str = ""
    package: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Resolution:
    """The answers of a DNS lookup, or the reason why there are none."""

    answers: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Host:
    """The gathered facts: free space in bytes by directory, reverse lookups by address."""

    user_id: int
    os_release: str
    meminfo: str
    free_bytes: Mapping[str, int]
    hostname: str
    forward: Resolution
    reverse: Mapping[str, Resolution]
    holders: Sequence[Holder] = ()
    dpkg_status: str = ""
    dpkg_diversions: str = ""
    is_gateway: bool = False  # a run of the playbook was here before


@dataclass(frozen=True)
class Limits:
    memory_mb_minimum: int
    disk_mb_minimum: int
    replace_mta: bool
    require_hostname_resolution: bool
    clamd_memory_mb: int = 0  # what clamd needs, swap included; 0 when that is not known


@dataclass(frozen=True)
class Report:
    """All findings, and the mail server to be replaced: {program, pid, unit, package}, or {}."""

    findings: tuple[Finding, ...]
    mta: Mapping[str, object] = field(default_factory=dict)

    def messages(self, level: str) -> list[str]:
        return [finding.message for finding in self.findings if finding.level == level]


def _proc_address(text: str) -> str:
    """Convert an address of /proc/net/tcp: each 8 digits are a 32-bit word in the host's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def listeners(tcp: str, tcp6: str, port: int) -> list[Listener]:
    """Return the sockets that listen on a port, from /proc/net/tcp and /proc/net/tcp6 (proc(5))."""
    found: list[Listener] = []
    for line in [*tcp.splitlines()[1:], *tcp6.splitlines()[1:]]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        address, dummy, its_port = fields[1].partition(":")
        if int(its_port, 16) == port:
            found.append(Listener(_proc_address(address), port, int(fields[9])))
    return found


def own_addresses(fib_trie: str) -> list[str]:
    """Return the host's IPv4 addresses, sorted, from /proc/net/fib_trie: the entries '/32 host LOCAL'."""
    found: set[str] = set()
    address = ""
    for line in fib_trie.splitlines():
        if match := re.fullmatch(r"\s*\|-- ([0-9.]+)", line):
            address = match.group(1)
        elif re.fullmatch(r"\s*/32 host LOCAL", line) and address:
            found.add(address)
    return sorted(found, key=ipaddress.IPv4Address)


def own_ipv6_addresses(if_inet6: str) -> list[str]:
    """Return the IPv6 addresses of /proc/net/if_inet6 (proc(5)), sorted, without link-local ones."""
    words = re.findall(r"^([0-9a-f]{32}) ", if_inet6, re.MULTILINE)
    found = {ipaddress.IPv6Address(int(one, 16)) for one in words}
    return [str(one) for one in sorted(found) if not one.is_link_local]


def unit_of(cgroup: str) -> str:
    """Return the systemd service in /proc/PID/cgroup, or ''."""
    found = re.findall(r"/([^/\s]+\.service)(?=/|$)", cgroup, re.MULTILINE)
    return found[-1] if found else ""


def package_of(dpkg_search: str) -> str:
    """Return the first package in the output of `dpkg-query --search`, without its architecture, or ''."""
    for line in dpkg_search.splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)?(?:, |: /)", line):
            return match.group(1)
    return ""


def _is_ours(process: Process, by_pid: Mapping[int, Process]) -> bool:
    """Return whether a process is the gateway's own front, started by supervise."""
    parent = by_pid.get(process.parent_pid)
    if parent is None or parent.program != "supervise":
        return False
    before_qmail = any(os.path.basename(word) == "qmail-smtpd" for word in process.argv)
    return process.program == "smtpfront" or (process.program == "tcpserver" and before_qmail)


def holders(sockets: Sequence[Listener], processes: Iterable[Process]) -> list[Holder]:
    """Return the holder of each socket.

    Without CAP_SYS_PTRACE, as in a container, root cannot see the sockets of other users' processes. In that
    case a mail server or the gateway's own front among those processes is assumed to be the holder.
    """
    by_pid = {process.pid: process for process in processes}
    hidden = [
        process
        for process in by_pid.values()
        if process.sockets is None and (process.program in _MAIL_PROGRAMS or _is_ours(process, by_pid))
    ]
    found: list[Holder] = []
    for socket in sockets:
        owners = [one for one in by_pid.values() if one.sockets and socket.inode in one.sockets] or hidden
        if not owners:
            found.append(Holder(socket.address))
            continue
        owner = min(owners, key=lambda one: one.pid)
        executable = owner.executable or (owner.argv[0] if owner.argv else "")
        found.append(
            Holder(
                socket.address,
                owner.pid,
                owner.program,
                executable,
                unit_of(owner.cgroup),
                ours=_is_ours(owner, by_pid),
            )
        )
    return found


def installed_packages(dpkg_status: str) -> set[str]:
    """Return the names of the installed packages, from /var/lib/dpkg/status."""
    stanza = r"(?m)^Package: (\S+)\n(?:(?!Package:|Status:)\S+: .*\n)*Status: \S+ \S+ installed$"
    return set(re.findall(stanza, dpkg_status))


def installed_mail_servers(dpkg_status: str) -> list[str]:
    """Return the installed packages that provide mail-transport-agent, from /var/lib/dpkg/status."""
    found = []
    for stanza in dpkg_status.split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Status|Provides): (.*)$", stanza))
        provides = {re.sub(r"\s*\(.*", "", name.strip()) for name in fields.get("Provides", "").split(",")}
        if fields.get("Status", "").endswith(" installed") and "mail-transport-agent" in provides:
            found.append(fields.get("Package", ""))
    return sorted(found)


def diverted(dpkg_diversions: str) -> list[str]:
    """Return the paths that /var/lib/dpkg/diversions, groups of three lines, diverts."""
    return dpkg_diversions.splitlines()[::3]


def _system(os_release: str) -> Finding:
    values = parse_os_release(os_release)
    name = values.get("PRETTY_NAME") or values.get("ID") or "unknown"
    if values.get("ID") == "debian" and values.get("VERSION_ID") in SUPPORTED_DEBIAN:
        return Finding("system", "ok", f"system: {name}")
    expected = f"expected Debian {' or '.join(SUPPORTED_DEBIAN)}"
    return Finding("system", "error", f"system: {name!r} is not supported; {expected}")


def _memory(host: Host, limits: Limits) -> Finding:
    found = dict(re.findall(r"(?m)^(MemTotal|SwapTotal):\s+([0-9]+) kB$", host.meminfo))
    if "MemTotal" not in found:
        return Finding("memory", "error", "memory: /proc/meminfo has no MemTotal; expected the host's memory")
    total_mb, swap_mb = (int(found.get(name, "0")) // 1024 for name in ("MemTotal", "SwapTotal"))
    if total_mb < limits.memory_mb_minimum:
        expected = f"expected at least {limits.memory_mb_minimum} MB (base_memory_mb_minimum)"
        return Finding("memory", "error", f"memory: {total_mb} MB is too little; {expected}")
    if total_mb + swap_mb < limits.clamd_memory_mb:
        text = (
            f"memory: {total_mb} MB and {swap_mb} MB of swap are too little for clamd with ClamAV's official "
            "signatures, which it holds twice while it reads new ones; expected at least "
            f"{limits.clamd_memory_mb} MB together (base_clamd_memory_mb), or "
            "clamav_require_official_database: false and signatures of your own"
        )
        # Mail passes there now; a run that is refused would leave it without the next version.
        return Finding("memory", "warning" if host.is_gateway else "error", text)
    return Finding("memory", "ok", f"memory: {total_mb} MB")


def _disks(free_bytes: Mapping[str, int], minimum_mb: int) -> list[Finding]:
    found = []
    for path, free in sorted(free_bytes.items()):
        free_mb = free // 2**20
        if free_mb < minimum_mb:
            expected = f"expected at least {minimum_mb} MB (base_disk_mb_minimum)"
            found.append(
                Finding("disk", "error", f"disk {path}: {free_mb} MB free is too little; {expected}")
            )
        else:
            found.append(Finding("disk", "ok", f"disk {path}: {free_mb} MB free"))
    return found


def _names(host: Host, required: bool) -> list[Finding]:
    if not host.hostname:
        return []
    if not host.forward.answers:
        cause = host.forward.error or "no address"
        text = f"host name {host.hostname}: does not resolve ({cause}); expected an address of this host"
        if required:
            hint = "base_require_hostname_resolution: false turns this into a warning"
            return [Finding("hostname", "error", f"{text} ({hint})")]
        return [Finding("hostname", "warning", text)]
    found = [Finding("hostname", "ok", f"host name {host.hostname}: {', '.join(host.forward.answers)}")]
    for address in host.forward.answers:
        if ipaddress.ip_address(address).is_loopback:
            text = f"host name {host.hostname}: resolves to {address} here, so its name in DNS was not tested"
            found.append(Finding("reverse", "warning", f"{text}; expected its public address"))
            continue
        reverse = host.reverse.get(address, Resolution())
        if host.hostname.lower() in (name.lower().rstrip(".") for name in reverse.answers):
            found.append(Finding("reverse", "ok", f"reverse DNS {address}: {host.hostname}"))
        else:
            shown = ", ".join(reverse.answers) or reverse.error or "no name"
            expected = f"expected {host.hostname}, as other mail servers compare the two"
            found.append(Finding("reverse", "warning", f"reverse DNS {address}: {shown}; {expected}"))
    return found


def _describe(holder: Holder) -> str:
    if not holder.pid:
        return "an unknown program"
    parts = [f"pid {holder.pid}"]
    if holder.unit:
        parts.append(f"unit {holder.unit}")
    if holder.package:
        parts.append(f"package {holder.package}")
    return f"{holder.program} ({', '.join(parts)})"


def _mail_server(program: str, pid: int, unit: str, package: str) -> dict[str, object]:
    # The unit that is enabled, not the instance that it starts: postfix.service, not postfix@-.service
    enabled = _PACKAGE_UNITS.get(package) or _MAIL_PROGRAMS.get(program) or unit
    return {"program": program, "pid": pid, "unit": enabled, "package": package}


def _is_mail_server(holder: Holder, installed: Sequence[str]) -> bool:
    return holder.program in _MAIL_PROGRAMS or holder.package in _PACKAGE_UNITS or holder.package in installed


def _cannot_be_stopped(holder: Holder, installed: Sequence[str], mta: Mapping[str, object]) -> str:
    """Return why base_replace_mta cannot stop a mail server; "" when it can."""
    if not (holder.unit or holder.package or installed):
        return "which is not a service of the system"
    own = _mail_server(holder.program, holder.pid, holder.unit, holder.package)["unit"]
    if mta and mta["unit"] != own:
        return f"beside that of {mta['unit']}"
    return ""


def _port(host: Host, replace: bool) -> tuple[list[Finding], dict[str, object]]:
    installed = installed_mail_servers(host.dpkg_status)
    found: dict[str, Finding] = {}
    mta: dict[str, object] = {}
    for holder in host.holders:
        who = _describe(holder)
        text = f"port {SMTP_PORT}: held by {who}"
        if holder.ours:
            found[who] = Finding("port", "ok", f"{text}, the gateway's own")
        elif not _is_mail_server(holder, installed):
            found[who] = Finding("port", "error", f"{text}; expected it to be free: stop that program")
        elif replace and (why := _cannot_be_stopped(holder, installed, mta)):
            found[who] = Finding("port", "error", f"{text}, {why}; expected it to be free: stop that program")
        else:
            mta = mta or _mail_server(holder.program, holder.pid, holder.unit, holder.package)
            found[who] = (
                Finding("port", "warning", f"{text}, which base_replace_mta stops")
                if replace
                else Finding("port", "error", f"{text}; expected it to be free, or base_replace_mta: true")
            )
    return list(found.values()) or [Finding("port", "ok", f"port {SMTP_PORT}: free")], mta


def _installed(host: Host, replace: bool, mta: dict[str, object]) -> tuple[list[Finding], dict[str, object]]:
    """Judge an installed mail server: even a stopped one owns /usr/sbin/sendmail, which the gateway needs."""
    packages = installed_mail_servers(host.dpkg_status)
    if not packages:
        return [], mta
    text = f"mail server: package {', '.join(packages)} is installed"
    if SENDMAIL in diverted(host.dpkg_diversions):
        return [Finding("mta", "ok", f"{text}, its {SENDMAIL} is diverted")], mta
    mta = mta or _mail_server(SENDMAIL, 0, "", packages[0])
    if replace:
        return [Finding("mta", "warning", f"{text}; base_replace_mta diverts its {SENDMAIL}")], mta
    return [Finding("mta", "error", f"{text}; expected none, or base_replace_mta: true")], mta


def package_fault(found: str | None, wanted: str) -> str:
    """Return why the version of the host's package is not the wanted one; "" when it is.

    A version that was written again has a number after its name.
    """
    if found is not None and found.partition("-")[0] == wanted:
        return ""
    if not found:
        return (
            "this host is no gateway yet: it has no version of this collection's package; "
            "expected a run of mailgate.qmail.gateway first"
        )
    there = f"version {found!r} of the package"
    return (
        f"package: the host has {there}, and this collection is version {wanted!r}; "
        "expected a run of mailgate.qmail.gateway first"
    )


def not_brought(recorded: str, settings: Mapping[str, object]) -> list[str]:
    """Return a line for each setting that differs from the recorded ones, which the last whole run brought.

    recorded is the text of a JSON object, "" where nothing was recorded yet.
    """
    try:
        known = json.loads(recorded) if recorded else {}
    except ValueError:
        known = {}
    return [
        f"{name}: has changed, and this playbook does not bring it; expected a run of playbooks/gateway.yml"
        for name in sorted(settings)
        if isinstance(known, dict) and name in known and str(known[name]) != str(settings[name])
    ]


def judge(host: Host, limits: Limits, site_faults: Iterable[str] = ()) -> Report:
    """Return all findings: the site's faults, then the host's checks in a fixed order."""
    found = [Finding("site", "error", fault) for fault in site_faults]
    if host.user_id == 0:
        found.append(Finding("root", "ok", "user: root"))
    else:
        found.append(Finding("root", "error", f"user: uid {host.user_id} is not root; expected become: true"))
    found.append(_system(host.os_release))
    port, mta = _port(host, limits.replace_mta)
    found += port
    installed, mta = _installed(host, limits.replace_mta, mta)
    found += installed
    found.append(_memory(host, limits))
    found += _disks(host.free_bytes, limits.disk_mb_minimum)
    found += _names(host, limits.require_hostname_resolution)
    return Report(tuple(found), mta)
