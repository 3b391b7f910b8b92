# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move this process into a container's network namespace, and give that one the clients' addresses.

Through a published port every client has the bridge's address.  Inside the namespace a client can have any
address of the networks that the loopback owns, and nothing of it leaves the container.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys

# Documentation and benchmark networks: a loopback that has one address of a network owns the whole of it.
NETWORKS = (("198.51.100.1", "255.255.255.0"), ("198.18.0.1", "255.254.0.0"))
# Of IPv6 a loopback has single addresses alone: the gateway's, and one for each number of a client's network.
GATEWAY_IPV6 = "2001:db8::25"
IPV6_NETWORKS, IPV6_CLIENTS = ("2001:db8:7", "2001:db8:19", "2001:db8:66", "2001:db8:70"), (7, 8, 9)

SIOCGIFADDR = 0x8915
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
CLONE_NEWNET = 0x40000000


def enter(pid: int) -> None:
    """Threads and processes started from now on live in the network namespace of process `pid`.

    os.setns came with Python 3.12.  Raises OSError; it takes root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), f"network namespace of process {pid}")


def add_addresses() -> None:
    """Give NETWORKS to the loopback of the namespace that this process is in, by ioctl, without iproute2."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for number, (address, netmask) in enumerate(NETWORKS):
            label = f"lo:{number}".encode()
            wanted = struct.pack("16sHH4s8x", label, socket.AF_INET, 0, socket.inet_aton(address))
            try:
                if fcntl.ioctl(handle, SIOCGIFADDR, wanted)[20:24] == socket.inet_aton(address):
                    continue
            except OSError:
                pass  # the label does not exist yet
            fcntl.ioctl(handle, SIOCSIFADDR, wanted)
            fcntl.ioctl(
                handle,
                SIOCSIFNETMASK,
                struct.pack("16sHH4s8x", label, socket.AF_INET, 0, socket.inet_aton(netmask)),
            )


def add_ipv6_addresses() -> bool:
    """Give the loopback the addresses of IPv6; return False where there is no IPv6."""
    try:
        with open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "w", encoding="ascii") as switch:
            switch.write("0")  # of the namespace that this process is in
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle:
            index = socket.if_nametoindex("lo")
            clients = [f"{network}::{client}" for network in IPV6_NETWORKS for client in IPV6_CLIENTS]
            for address in (GATEWAY_IPV6, *clients):
                packed = socket.inet_pton(socket.AF_INET6, address)
                with contextlib.suppress(FileExistsError):
                    fcntl.ioctl(handle, SIOCSIFADDR, struct.pack("16sIi", packed, 128, index))
    except OSError:
        return False
    return True


def main(argv: list[str]) -> int:
    try:
        enter(int(argv[1]))
        add_addresses()
    except PermissionError as error:
        print(f"entering a container's network namespace takes root: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
