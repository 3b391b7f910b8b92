"""Findings about a host, from texts as the kernel, dpkg and the resolver give them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import preflight
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.preflight import (
    Finding,
    Holder,
    Host,
    Limits,
    Listener,
    Process,
    Resolution,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712
   2: 0200000A:0019 0500000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 4713
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A 00000000:00000000 \
00:00000000 00000000   101        0 4714
"""
FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/24 2 0 2
        |-- 10.0.0.0
           /24 link UNICAST
        |-- 10.0.0.2
           /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
        |-- 10.0.0.2
           /32 host LOCAL
"""
DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
MEMINFO = "MemTotal:        2035712 kB\nMemFree:          100000 kB\n"
STATUS = """\
Package: exim4-daemon-light
Status: install ok installed
Architecture: amd64
Provides: mail-transport-agent

Package: postfix
Status: deinstall ok config-files
Provides: mail-transport-agent, default-mta (= 3.7)

Package: mailutils
Status: install ok installed
Description: not one
 Provides: mail-transport-agent
"""
DIVERSIONS = "/usr/sbin/sendmail\n/usr/sbin/sendmail.distrib\n:\n"
LIMITS = Limits(512, 1024, replace_mta=False, require_hostname_resolution=True)
REPLACE = dataclasses.replace(LIMITS, replace_mta=True)
EXIM = Holder("0.0.0.0", 77, "exim4", "/usr/sbin/exim4", "exim4.service", "exim4-daemon-light")
POSTFIX = Holder("0.0.0.0", 78, "master", "/usr/lib/postfix/sbin/master", "postfix@-.service", "postfix")


def _host(**more: Any) -> Host:
    values: dict[str, Any] = {
        "user_id": 0,
        "os_release": DEBIAN_12,
        "meminfo": MEMINFO,
        "free_bytes": {"/var": 5 * 2**30},
        "hostname": "mx1.example.com",
        "forward": Resolution(("192.0.2.25",)),
        "reverse": {"192.0.2.25": Resolution(("MX1.example.com.",))},
    }
    return Host(**{**values, **more})


def test_a_good_host() -> None:
    report = preflight.judge(_host(), LIMITS)
    assert report.findings == (
        Finding("root", "ok", "user: root"),
        Finding("system", "ok", "system: Debian GNU/Linux 12 (bookworm)"),
        Finding("port", "ok", "port 25: free"),
        Finding("memory", "ok", "memory: 1988 MB"),
        Finding("disk", "ok", "disk /var: 5120 MB free"),
        Finding("hostname", "ok", "host name mx1.example.com: 192.0.2.25"),
        Finding("reverse", "ok", "reverse DNS 192.0.2.25: mx1.example.com"),
    )
    assert report.mta == {}


def _system(name: str, version: str) -> str:
    return f'PRETTY_NAME="{name}"\nID={name.split()[0].lower()}\nVERSION_ID="{version}"\n'


HEAD = "port 25: held by"
EXIM_TEXT = f"{HEAD} exim4 (pid 77, unit exim4.service, package exim4-daemon-light)"
POSTFIX_TEXT = f"{HEAD} master (pid 78, unit postfix@-.service, package postfix)"
UNRESOLVED = (
    "host name mx1.example.com: does not resolve (Name or service not known); "
    "expected an address of this host"
)
NOT_FOUND = Resolution(error="Name or service not known")

# A host, the limits, and every finding that is not ok.
FINDINGS: list[tuple[Host, Limits, list[tuple[str, str, str]]]] = [
    (_host(user_id=1000), LIMITS, [("root", "error", "user: uid 1000 is not root; expected become: true")]),
    (_host(os_release=_system("Debian 13", "13")), LIMITS, []),
    (
        _host(os_release=_system("Debian 11", "11")),
        LIMITS,
        [("system", "error", "system: 'Debian 11' is not supported; expected Debian 12 or 13")],
    ),
    (
        _host(os_release=_system("Ubuntu 12", "12")),
        LIMITS,
        [("system", "error", "system: 'Ubuntu 12' is not supported; expected Debian 12 or 13")],
    ),
    (
        _host(os_release=""),
        LIMITS,
        [("system", "error", "system: 'unknown' is not supported; expected Debian 12 or 13")],
    ),
    (
        _host(meminfo="MemTotal: 523264 kB\n"),
        LIMITS,
        [
            (
                "memory",
                "error",
                "memory: 511 MB is too little; expected at least 512 MB (base_memory_mb_minimum)",
            )
        ],
    ),
    (_host(meminfo="MemTotal: 524288 kB\n"), LIMITS, []),
    (
        _host(meminfo=""),
        LIMITS,
        [("memory", "error", "memory: /proc/meminfo has no MemTotal; expected the host's memory")],
    ),
    (
        _host(free_bytes={"/": 2**30, "/var": 2**30 - 1}),
        LIMITS,
        [
            (
                "disk",
                "error",
                "disk /var: 1023 MB free is too little; expected at least 1024 MB (base_disk_mb_minimum)",
            )
        ],
    ),
    (
        _host(holders=[EXIM, dataclasses.replace(EXIM, address="::1")]),
        LIMITS,
        [("port", "error", f"{EXIM_TEXT}; expected it to be free, or base_replace_mta: true")],
    ),
    (_host(holders=[EXIM]), REPLACE, [("port", "warning", f"{EXIM_TEXT}, which base_replace_mta stops")]),
    (
        _host(holders=[POSTFIX]),
        REPLACE,
        [("port", "warning", f"{POSTFIX_TEXT}, which base_replace_mta stops")],
    ),
    # Nothing starts it again, but nothing could stop it either, and the gateway would find its port taken.
    (
        _host(holders=[Holder("0.0.0.0", 9, "exim", "/opt/exim/bin/exim")]),
        REPLACE,
        [
            (
                "port",
                "error",
                f"{HEAD} exim (pid 9), which is not a service of the system; "
                "expected it to be free: stop that program",
            )
        ],
    ),
    (
        _host(holders=[EXIM, dataclasses.replace(POSTFIX, address="192.0.2.25")]),
        REPLACE,
        [
            ("port", "warning", f"{EXIM_TEXT}, which base_replace_mta stops"),
            (
                "port",
                "error",
                f"{POSTFIX_TEXT}, beside that of exim4.service; expected it to be free: stop that program",
            ),
        ],
    ),
    (
        _host(holders=[Holder("0.0.0.0", 9, "python3.11", "/usr/bin/python3.11", "", "python3.11-minimal")]),
        REPLACE,
        [
            (
                "port",
                "error",
                f"{HEAD} python3.11 (pid 9, package python3.11-minimal); "
                "expected it to be free: stop that program",
            )
        ],
    ),
    (
        _host(holders=[Holder("0.0.0.0")]),
        LIMITS,
        [
            (
                "port",
                "error",
                f"{HEAD} an unknown program; expected it to be free: stop that program",
            )
        ],
    ),
    (_host(holders=[Holder("0.0.0.0", 5, "tcpserver", "/usr/local/bin/tcpserver", ours=True)]), LIMITS, []),
    (
        _host(dpkg_status=STATUS),
        LIMITS,
        [
            (
                "mta",
                "error",
                "mail server: package exim4-daemon-light is installed; "
                "expected none, or base_replace_mta: true",
            )
        ],
    ),
    (
        _host(dpkg_status=STATUS),
        REPLACE,
        [
            (
                "mta",
                "warning",
                "mail server: package exim4-daemon-light is installed; "
                "base_replace_mta diverts its /usr/sbin/sendmail",
            )
        ],
    ),
    (_host(dpkg_status=STATUS, dpkg_diversions=DIVERSIONS), LIMITS, []),
    (_host(hostname="MX1.Example.com"), LIMITS, []),
    (
        _host(forward=NOT_FOUND),
        LIMITS,
        [
            (
                "hostname",
                "error",
                f"{UNRESOLVED} (base_require_hostname_resolution: false turns this into a warning)",
            )
        ],
    ),
    (
        _host(forward=NOT_FOUND),
        dataclasses.replace(LIMITS, require_hostname_resolution=False),
        [("hostname", "warning", UNRESOLVED)],
    ),
    (
        _host(forward=Resolution(("127.0.1.1",))),
        LIMITS,
        [
            (
                "reverse",
                "warning",
                "host name mx1.example.com: resolves to 127.0.1.1 here, so its name in DNS was not "
                "tested; expected its public address",
            )
        ],
    ),
    (
        _host(reverse={"192.0.2.25": Resolution(("dsl-25.isp.test",))}),
        LIMITS,
        [
            (
                "reverse",
                "warning",
                "reverse DNS 192.0.2.25: dsl-25.isp.test; expected mx1.example.com, "
                "as other mail servers compare the two",
            )
        ],
    ),
    (
        _host(reverse={"192.0.2.25": Resolution(error="no answer in 5 s")}),
        LIMITS,
        [
            (
                "reverse",
                "warning",
                "reverse DNS 192.0.2.25: no answer in 5 s; expected mx1.example.com, "
                "as other mail servers compare the two",
            )
        ],
    ),
]


@pytest.mark.parametrize(("host", "limits", "expected"), FINDINGS)
def test_findings(host: Host, limits: Limits, expected: list[tuple[str, str, str]]) -> None:
    found = preflight.judge(host, limits).findings
    assert [dataclasses.astuple(finding) for finding in found if finding.level != "ok"] == expected


@pytest.mark.parametrize(
    ("host", "mta"),
    [
        (
            _host(holders=[EXIM], dpkg_status=STATUS),
            {"program": "exim4", "pid": 77, "unit": "exim4.service", "package": "exim4-daemon-light"},
        ),
        # The enabled unit, not the instance that runs.
        (
            _host(holders=[POSTFIX]),
            {"program": "master", "pid": 78, "unit": "postfix.service", "package": "postfix"},
        ),
        (
            _host(dpkg_status=STATUS),
            {
                "program": "/usr/sbin/sendmail",
                "pid": 0,
                "unit": "exim4.service",
                "package": "exim4-daemon-light",
            },
        ),
        (_host(dpkg_status=STATUS, dpkg_diversions=DIVERSIONS), {}),
        (_host(holders=[Holder("0.0.0.0", 9, "nc")]), {}),
    ],
)
def test_mta(host: Host, mta: dict[str, object]) -> None:
    assert preflight.judge(host, LIMITS).mta == mta
    assert preflight.judge(host, REPLACE).mta == mta


def test_faults_of_the_site_come_first_and_nothing_hides_another() -> None:
    report = preflight.judge(_host(user_id=7, meminfo="", forward=NOT_FOUND), LIMITS, ["first", "second"])
    assert [finding.check for finding in report.findings if finding.level == "error"] == [
        "site",
        "site",
        "root",
        "memory",
        "hostname",
    ]
    assert report.messages("error")[:2] == ["first", "second"]


def test_listeners() -> None:
    assert preflight.listeners(TCP, TCP6, 25) == [Listener("127.0.0.1", 25, 4711), Listener("::1", 25, 4714)]
    assert preflight.listeners("", "", 25) == []


def test_own_ipv6_addresses() -> None:
    table = (
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "20010db8000000000000000000000025 02 40 00 80     eth0\n"
        "fe800000000000000000000000000025 02 40 20 80     eth0\n"
    )
    assert preflight.own_ipv6_addresses(table) == ["::1", "2001:db8::25"]
    assert preflight.own_ipv6_addresses("") == []


def test_own_addresses() -> None:
    assert preflight.own_addresses(FIB_TRIE) == ["10.0.0.2", "127.0.0.1"]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/exim4.service\n", "exim4.service"),
        ("0::/system.slice/system-postfix.slice/postfix@-.service\n", "postfix@-.service"),
        ("1:name=systemd:/system.slice/svscan.service/x\n0::/\n", "svscan.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", ""),
        ("0::/\n", ""),
    ],
)
def test_unit_of(cgroup: str, unit: str) -> None:
    assert preflight.unit_of(cgroup) == unit


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("exim4-daemon-light: /usr/sbin/exim4\n", "exim4-daemon-light"),
        ("libc6:amd64, libc6:i386: /usr/share/doc/libc6\n", "libc6"),
        ("libc6:amd64: /lib/x\n", "libc6"),
        (
            "diversion by foo from: /usr/sbin/x\ndiversion by foo to: /usr/sbin/x.real\nbar: /usr/sbin/x\n",
            "bar",
        ),
        ("", ""),
    ],
)
def test_package_of(text: str, package: str) -> None:
    assert preflight.package_of(text) == package


SUPERVISE = Process(3, 1, ("supervise", "qmail-smtpd"), "/usr/local/bin/supervise")
OURS = ("tcpserver", "-v", "0", "smtp", "/var/qmail/bin/qmail-smtpd")
SOCKET = [Listener("0.0.0.0", 25, 4711)]


@pytest.mark.parametrize(
    ("processes", "holder"),
    [
        ([], Holder("0.0.0.0")),
        (
            [SUPERVISE, Process(5, 3, OURS, "/usr/local/bin/tcpserver", "0::/\n", frozenset({4711}))],
            Holder("0.0.0.0", 5, "tcpserver", "/usr/local/bin/tcpserver", ours=True),
        ),
        # Another user's process shows neither its sockets nor its executable.
        ([SUPERVISE, Process(5, 3, OURS)], Holder("0.0.0.0", 5, "tcpserver", "tcpserver", ours=True)),
        (
            [SUPERVISE, Process(5, 3, ("/var/qmail/bin/smtpfront", "-a", "0.0.0.0"))],
            Holder("0.0.0.0", 5, "smtpfront", "/var/qmail/bin/smtpfront", ours=True),
        ),
        ([Process(5, 1, ("/var/qmail/bin/smtpfront",))], Holder("0.0.0.0")),
        # Not started by supervise, or not in front of qmail-smtpd: somebody else's.
        (
            [Process(5, 1, OURS, "/usr/local/bin/tcpserver", "", frozenset({4711}))],
            Holder("0.0.0.0", 5, "tcpserver", "/usr/local/bin/tcpserver"),
        ),
        (
            [SUPERVISE, Process(5, 3, ("tcpserver", "0", "25", "cat"), "", "", frozenset({4711}))],
            Holder("0.0.0.0", 5, "tcpserver", "tcpserver"),
        ),
        ([SUPERVISE, Process(5, 3, ("tcpserver", "0", "25", "cat"))], Holder("0.0.0.0")),
        (
            [Process(9, 1, ("/usr/sbin/exim4", "-bd"), "", "0::/system.slice/exim4.service\n")],
            Holder("0.0.0.0", 9, "exim4", "/usr/sbin/exim4", "exim4.service"),
        ),
        (
            [Process(9, 1, ("sendmail: MTA: accepting connections",))],
            Holder("0.0.0.0", 9, "sendmail", "sendmail: MTA: accepting connections"),
        ),
        # What the kernel shows is believed before any guess.
        (
            [
                Process(4, 1, ("exim4",)),
                Process(9, 1, ("x",), "/usr/bin/nc (deleted)", "", frozenset({1, 4711})),
            ],
            Holder("0.0.0.0", 9, "nc", "/usr/bin/nc (deleted)"),
        ),
        ([Process(4, 1, ("python3",))], Holder("0.0.0.0")),
    ],
)
def test_holders(processes: list[Process], holder: Holder) -> None:
    assert preflight.holders(SOCKET, processes) == [holder]


@pytest.mark.parametrize(
    ("memory_mb", "swap_mb", "is_gateway", "level"),
    [
        (2799, 0, False, "error"),
        (2799, 0, True, "warning"),
        (2800, 0, False, "ok"),
        (1970, 829, False, "error"),
        (1970, 830, False, "ok"),
    ],
)
def test_memory_that_clamd_needs_is_asked_of_a_fresh_host(
    memory_mb: int, swap_mb: int, is_gateway: bool, level: str
) -> None:
    """A gateway with less is warned of: it serves, and needs the new version as well."""
    meminfo = f"MemTotal: {memory_mb * 1024} kB\nSwapTotal: {swap_mb * 1024} kB\n"
    limits = dataclasses.replace(LIMITS, clamd_memory_mb=2800)
    host = _host(meminfo=meminfo, is_gateway=is_gateway)
    (found,) = [one for one in preflight.judge(host, limits).findings if one.check == "memory"]
    assert found.level == level
    assert level == "ok" or f"{memory_mb} MB and {swap_mb} MB of swap" in found.message
