# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages of a bundle: an apt that knows only given sources, and the index of what was fetched.

A bundle's packages are a repository without directories: the files, and Packages beside them, whose hashes
apt checks before it installs anything. apt's own settings and lists, of the controller and of the host, stay
as they are: all paths of these runs lead below one directory.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from .apt import upstream_version

INDEX = "Packages"
# Debian's names of what uname(2) calls machine.
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
}
CODENAMES = {"12": "bookworm", "13": "trixie"}
# What is on a fresh host in any case: a newer one may be needed by what is installed.
STANDARD = ("?essential", "?priority(required)", "?priority(important)", "ca-certificates", "python3", "sudo")


def architecture(machine: str) -> str:
    return ARCHITECTURES.get(machine, machine)


def sources(targets: str, release: str) -> list[str]:
    """Return lines of sources.list for a release, from a machine's own sources of Debian.

    targets: lines `<URI> <codename or suite> <component> <yes: trusted>` of apt-get indextargets.
    """
    wanted = CODENAMES.get(release, release)
    lines = []
    for line in targets.splitlines():
        words = line.split()
        if len(words) < 3 or words[2] != "main":
            continue
        uri, suite = words[:2]
        base, dash, pocket = suite.partition("-")
        if base not in CODENAMES.values() or pocket not in ("", "updates", "security"):
            continue
        options = "[trusted=yes] " if words[3:] == ["yes"] else ""
        lines.append(f"deb {options}{uri} {wanted}{dash}{pocket} main")
    return list(dict.fromkeys(lines))


def pool_urls(lines: Sequence[str], pool: str) -> list[str]:
    """Return where a pool file may be, by lines of sources.list; each mirror once."""
    uris = [re.sub(r"^deb (\[[^]]*\] )?", "", line).split()[0].rstrip("/") for line in lines]
    return [f"{uri}/pool/{pool}" for uri in dict.fromkeys(uris)]


def settings(directory: str, machine: str = "", status: str = "") -> str:
    """Return apt's settings for a run whose files lie below the directory.

    status: the packages that are there; by default those of this host.
    """
    values = {
        "Dir::State::Lists": f"{directory}/lists",
        "Dir::State::extended_states": f"{directory}/extended" if status else "",
        "Dir::State::status": status,
        "Dir::Cache::archives": f"{directory}/archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::SourceList": f"{directory}/sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "APT::Architecture": architecture(machine) if machine else "",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    always = ("Dir::Cache::pkgcache", "Dir::Cache::srcpkgcache")
    lines = [f'{name} "{value}";' for name, value in values.items() if value or name in always]
    if machine:
        lines += ["#clear APT::Architectures;", f'APT::Architectures {{ "{architecture(machine)}"; }};']
    hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")
    return "\n".join([*lines, *(f"#clear {name};" for name in hooks), ""])


def prepare(directory: str, lines: Sequence[str], machine: str = "", status: str = "") -> str:
    """Make the files of such a run; return the path of its settings, for `apt-get -c`."""
    for name in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    if status:
        with open(status, "a", encoding="utf-8"):
            pass
    for name, text in (
        ("sources.list", "\n".join([*lines, ""])),
        ("apt.conf", settings(directory, machine, status)),
    ):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return os.path.join(directory, "apt.conf")


@dataclass(frozen=True)
class Package:
    """A stanza of an index: the file's name alone, and the stanza for an index beside it."""

    name: str
    version: str
    file: str
    stanza: str


def stanzas(text: str, where: str) -> list[Package]:
    """Parse an index of packages (deb822), or what apt-cache show prints; raises BadInput."""
    found = []
    for stanza in re.split(r"\n\s*\n", text.strip("\n")):
        if not stanza.strip():
            continue
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): *(.*)$", stanza, re.MULTILINE))
        missing = [name for name in ("Package", "Version", "Filename", "SHA256") if not fields.get(name)]
        if missing:
            begin = stanza[:60]
            raise BadInput(f"{where}: {begin!r} has no {missing[0]}; expected it of each package")
        file = posixpath.basename(fields["Filename"])
        own = re.sub(r"^Filename: .*$", f"Filename: ./{file}", stanza, flags=re.MULTILINE)
        found.append(Package(fields["Package"], fields["Version"], file, own))
    return found


def index(packages: Sequence[Package]) -> str:
    """Return the text of an index, each package once, in the order of their names."""
    by_name = {(one.name, one.version): one for one in packages}
    return "".join(f"{by_name[key].stanza}\n\n" for key in sorted(by_name))


def archive_name(package: Package, machine: str) -> str:
    """Return how apt names a package's file in its directory of archives (%-encoded epoch)."""
    found = re.search(r"^Architecture: (\S+)$", package.stanza, re.MULTILINE)
    own = found[1] if found else architecture(machine)
    return f"{package.name}_{package.version.replace(':', '%3a')}_{own}.deb"


def simulated(text: str) -> list[str]:
    """Return the packages that `apt-get -s install` would install, in its order."""
    return [found.partition(":")[0] for found in re.findall(r"^Inst (\S+)", text, re.MULTILINE)]


def candidates(packages: Sequence[Package], names: Collection[str]) -> dict[str, str]:
    """Return the upstream version of those of the names that the index has."""
    return {one.name: upstream_version(one.version) for one in packages if one.name in names}


def files_of(packages: Sequence[Package], names: Sequence[str], where: str) -> list[str]:
    """Return the files of the named packages; raises BadInput for one that the index has not."""
    known: Mapping[str, Package] = {one.name: one for one in packages}
    missing = [name for name in names if name not in known]
    if missing:
        raise BadInput(f"{where}: has no package {missing[0]!r}; expected it made again with bundle_packages")
    return [known[name].file for name in names]
