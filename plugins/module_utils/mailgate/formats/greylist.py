# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of cqgreylist: look up networks, and let a network pass without the delay.

The files are described in greystate.h of cqgreylist. The directory belongs to an unprivileged user, so every
step here uses descriptors of directories and follows no link.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ..core.errors import BadInput
from ..core.paths import GREYLIST_SETTINGS
from . import logged_address
from .networks import Network, contains

FREE_PERCENT = 10  # of files and blocks, that the networks of peers leave
PENDING = ".new"
POOL = "pool-"  # begins the names of smtpfront's attempts of pools: no networks
FAN = 64
PREFIX_MIN = {4: 8, 6: 16}  # by the version of the address: a wider network is not remembered
SHOWN = 500
COUNTED_MAX = 100_000
WALK_SECONDS = 5.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Limits:
    """The settings of cqgreylist that are used here."""

    pass_seconds: int = 36 * 86400
    pending_seconds: int = 2 * 86400
    ipv4_prefix: int = 24
    ipv6_prefix: int = 64
    delay_seconds: int = 60


_LEFT_SECONDS = 28_800  # from the delay's end to the pending time's, at least
_NAMES = {
    "GREYLIST_DELAY_SECONDS": ("delay_seconds", 0, 86_400),
    "GREYLIST_PASS_SECONDS": ("pass_seconds", 1, 315_360_000),
    "GREYLIST_PENDING_SECONDS": ("pending_seconds", 1, 31_536_000),
    "GREYLIST_IPV4_PREFIX": ("ipv4_prefix", PREFIX_MIN[4], 32),
    "GREYLIST_IPV6_PREFIX": ("ipv6_prefix", PREFIX_MIN[6], 128),
}


def limits_of(text: str) -> Limits:
    """Parse the text of the settings; a value that cqgreylist would refuse is its default here, too."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name in _NAMES and value.isascii() and value.isdigit():
            field, least, most = _NAMES[name]
            if least <= int(value) <= most:
                found[field] = int(value)
    limits = Limits(**found)
    if limits.pending_seconds - limits.delay_seconds < _LEFT_SECONDS:
        return replace(limits, delay_seconds=Limits.delay_seconds, pending_seconds=Limits.pending_seconds)
    return limits


def read_limits(path: str = GREYLIST_SETTINGS) -> Limits:
    """Read the host's settings; return the defaults when the file is missing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return limits_of(stream.read(65536))
    except FileNotFoundError:
        return Limits()


def network_of(address: str, limits: Limits) -> str:
    """Return the network, in CIDR form, under which an address is remembered; raises BadInput."""
    one = ipaddress.ip_address(logged_address.canonical(address))
    prefix = limits.ipv4_prefix if one.version == 4 else limits.ipv6_prefix
    return str(ipaddress.ip_network((one, prefix), strict=False))


def place_of(key: str) -> tuple[str, str]:
    """Return the names of the two nested directories that hold a key such as '198.51.100.0-24'."""
    found = 2166136261
    for byte in key.encode("ascii"):
        found = (found ^ byte) * 16777619 & 0xFFFFFFFF
    found ^= found >> 16
    return f"{found % FAN:02x}", f"{found // FAN % FAN:02x}"


@dataclass(frozen=True)
class Seen:
    """A network, when it was first seen (passed: last seen), and whether it has passed."""

    network: str
    since: int
    passed: bool


def _seen(name: str, modified: float, limits: Limits, now: float) -> Seen | None:
    passed = not name.endswith(PENDING)
    if now - modified > (limits.pass_seconds if passed else limits.pending_seconds):
        return None
    key = name if passed else name[: -len(PENDING)]
    return Seen(key.replace("-", "/"), int(modified), passed)


def look_up(directory: str, search: str, limits: Limits, now: float) -> tuple[list[Seen], int]:
    """Return the networks whose name contains the text, newest first, and how many more were found.

    An address is looked up as its network; a network, in any form, finds those inside of it. Raises OSError
    when the directory does not exist.
    """
    with contextlib.suppress(BadInput):
        return sorted(_exactly(directory, network_of(search, limits), limits, now), key=_newest), 0
    found: list[Seen] = []
    end = time.monotonic() + WALK_SECONDS
    wanted = _wanted(search)
    for folder in _folders(directory):
        for entry in folder:
            if wanted(entry.name):
                found += _of_file(entry, limits, now)
        if time.monotonic() > end:
            break
    found.sort(key=_newest)
    return found[:SHOWN], max(0, len(found) - SHOWN)


def _wanted(search: str) -> Callable[[str], bool]:
    """Return whether the name of a file is one that is searched for."""
    text = search.replace("/", "-").lower()
    around: Network | None = None
    if "/" in search:
        with contextlib.suppress(BadInput):
            around = logged_address.network_of(search)

    def wanted(name: str) -> bool:
        if around is None or text in name:
            return text in name
        key = name[: -len(PENDING)] if name.endswith(PENDING) else name
        with contextlib.suppress(ValueError):
            return contains(around, ipaddress.ip_network(key.replace("-", "/")))
        return False

    return wanted


def count(directory: str) -> int:
    """Return how many networks have passed, or COUNTED_MAX if there are more; raises OSError."""
    number = 0
    for folder in _folders(directory):
        number += sum(not entry.name.endswith(PENDING) for entry in folder)
        if number >= COUNTED_MAX:
            return COUNTED_MAX
    return number


def _newest(one: Seen) -> tuple[int, str]:
    return -one.since, one.network


def _of_file(entry: os.DirEntry[str], limits: Limits, now: float) -> list[Seen]:
    """Return the network of a file, [] for one that has ended, is not of a network, or is gone meanwhile."""
    if entry.name.startswith(POOL) or not entry.is_file(follow_symlinks=False):
        return []
    with contextlib.suppress(FileNotFoundError):
        one = _seen(entry.name, entry.stat(follow_symlinks=False).st_mtime, limits, now)
        return [one] if one is not None else []
    return []


def _folders(
    directory: str, numbers: Iterable[int] = range(FAN * FAN)
) -> Iterator[Iterator[os.DirEntry[str]]]:
    os.stat(directory)
    for number in numbers:
        path = os.path.join(directory, f"{number % FAN:02x}", f"{number // FAN:02x}")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as folder:
            yield folder


def _exactly(directory: str, network: str, limits: Limits, now: float) -> Iterator[Seen]:
    os.stat(directory)
    key = network.replace("/", "-")
    for name in (key, key + PENDING):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = os.lstat(os.path.join(directory, *place_of(key), name))
            one = _seen(name, status.st_mtime, limits, now)
            if one is not None and stat.S_ISREG(status.st_mode):
                yield one


def in_folder(directory: str, number: int, limits: Limits, now: float) -> list[Seen]:
    """Return the networks in one of the FAN * FAN directories; raises OSError without the state."""
    folders = _folders(directory, [number])
    return [one for folder in folders for entry in folder for one in _of_file(entry, limits, now)]


def has_room(directory: str) -> bool:
    """Return whether the file system has room for what other gateways know. Raises OSError."""
    space = os.statvfs(directory)
    files = not space.f_files or space.f_favail * 100 >= space.f_files * FREE_PERCENT
    return files and space.f_bavail * 100 >= space.f_blocks * FREE_PERCENT


def learn(
    directory: str, network: str, passed: bool, at: int, limits: Limits, now: float, *, room: bool = True
) -> bool:
    """Join what another gateway knows of a network; return False if it is refused.

    That is by this host's settings, or without room for one that is not known. What stands is the last time
    that it passed, or else its first attempt. A time ahead of now is of now. Raises OSError.
    """
    at = min(at, int(now))
    try:
        known = ipaddress.ip_network(network)
    except ValueError:
        return False
    prefix = limits.ipv4_prefix if known.version == 4 else limits.ipv6_prefix
    usual = str(known) == network and known.prefixlen == prefix
    if not usual or now - at > (limits.pass_seconds if passed else limits.pending_seconds):
        return False
    there = {one.passed: one for one in _exactly(directory, network, limits, now)}
    if not there and not room:
        return False
    if passed:
        if True not in there or there[True].since < at:
            let_pass(directory, network, at)
        return True
    if True not in there and (False not in there or there[False].since > at):
        with contextlib.ExitStack() as stack:
            folder, owner = _opened(stack, directory, place_of(network.replace("/", "-")))
            _make(folder, owner, network.replace("/", "-") + PENDING, at)
    return True


def _make(folder: int, owner: os.stat_result, name: str, at: float) -> None:
    """Create a file unless it is there, and set its time."""
    with contextlib.suppress(FileExistsError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.close(descriptor)
    with contextlib.suppress(FileNotFoundError):  # it passed meanwhile
        os.utime(name, ns=(int(at * 1e9), int(at * 1e9)), dir_fd=folder, follow_symlinks=False)


def _opened(
    stack: contextlib.ExitStack, directory: str, place: tuple[str, str]
) -> tuple[int, os.stat_result]:
    """Open a directory of the state, made if it is missing; return it, and the status of the whole state."""

    def opened(path: str, above: int | None) -> int:
        descriptor = os.open(path, _FOLDER, dir_fd=above)
        stack.callback(os.close, descriptor)
        return descriptor

    folder = opened(directory, None)
    owner = os.fstat(folder)
    for name in place:
        made = False
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
            made = True
        folder = opened(name, folder)
        if made:
            os.fchown(folder, owner.st_uid, owner.st_gid)
    return folder, owner


def let_pass(directory: str, network: str, now: float) -> bool:
    """Record that the network passed just now; return whether it had not passed before. Raises OSError."""
    key = network.replace("/", "-")
    with contextlib.ExitStack() as stack:
        folder, owner = _opened(stack, directory, place_of(key))
        times = (int(now * 1e9), int(now * 1e9))
        with contextlib.suppress(FileNotFoundError):
            os.utime(key, ns=times, dir_fd=folder, follow_symlinks=False)
            return False
        with contextlib.suppress(FileNotFoundError):
            os.rename(key + PENDING, key, src_dir_fd=folder, dst_dir_fd=folder)
            os.utime(key, ns=times, dir_fd=folder, follow_symlinks=False)
            return True
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(key, flags, 0o600, dir_fd=folder)
        except FileExistsError:
            return False
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.close(descriptor)
        os.utime(key, ns=times, dir_fd=folder, follow_symlinks=False)
        with contextlib.suppress(FileNotFoundError):  # made meanwhile by a session
            os.unlink(key + PENDING, dir_fd=folder)
        return True
