# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts, each controller and gateway at once, by the oldest ansible-core and by the newest.

They are converged by README.md's commands, and every file is compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from bed import choose, containers, controllers, images
from bed.common import BED, ROOT, answer, run, timed
from bed.python_venv import floor_release
from bed.sources import CHOICE
from bed.targets import hold_conversations
from bed.wheels import wheel_directory
from support.conversations import selected
from support.manifest import differences, manifest_of, unexpected, without_pythons_version
from support.playbook_output import RECAP
from support.readme import INSTALL, RUN, commands

SUITES = ("bookworm", "trixie")
CORES = {"bookworm": f"ansible-core=={floor_release()}", "trixie": "ansible-core"}
FIRST, SECOND = "/opt/ansible", "/opt/newest"
SITE = "/root/mailgate-site"  # where README.md has it
INVENTORY = ROOT / "tests" / "inventory"
KEPT = BED / "controllers"
GIVEN = os.environ.get("MAILGATE_CONTROLLERS", "")  # of an earlier run with --keep: the end of their names

# What the controller has for itself.
LEAVE_OUT = ("/opt", "/root", str(wheel_directory()), str(BED))
ENTRIES_AT_LEAST = 2000
CONTENT = ("content",)
ANY = ("content", "only the first", "only the second")

# What programs write down while they run.
STATE = {
    "/var/log/*": ANY,
    "*/supervise/status": CONTENT,
    "/var/lib/mailgate/blacklist/state.json": ANY,
    "/var/lib/mailgate/doctor/starts.json": ANY,
    "/var/lib/mailgate/operator/clock.json": ANY,
    "/var/lib/mailgate/refused/*": ANY,
    "/var/lib/mailgate/simscan/*": ANY,
    "/var/lib/mailgate/stats/*": ANY,
    "/var/lib/spamd/bayes/*": ANY,
    "/var/lib/spamd/state/*": ANY,
    "/var/lib/spamd/txrep/*": ANY,
    "/var/qmail/backends/*": ANY,
    "/var/qmail/cqgreylist/*": ANY,
    "/var/qmail/queue/*": ANY,
    "/etc/machine-id": CONTENT,
}
# What differs between two hosts, or between two releases of Debian, whichever ansible-core was there.
EXPECTED = {
    # Made by chance on each host, and named by its hash.
    "/etc/mailgate/tls/????????????????": ANY,
    "/etc/mailgate/tls/????????????????/*.pem": ANY,
    "/etc/mailgate/tls/current": CONTENT,
    # When, and by which compiler and libraries.
    "*": ("machine code",),
    "/var/lib/mailgate/log/*.log": CONTENT,
    "/var/lib/mailgate/recipients/generations/1/reason.json": CONTENT,
    "/var/lib/mailgate/stamps/*.json": CONTENT,
    "/var/qmail/man/cat?/*.0": CONTENT,  # formatted by the groff of the release
    # A venv names the release of its Python, and the files that this compiles.
    "/usr/local/lib/qmailadmin/venv/.gitignore": ANY,
    "/usr/local/lib/qmailadmin/venv/pyvenv.cfg": CONTENT,
    "/usr/local/lib/qmailadmin/venv/lib/*.dist-info/RECORD": CONTENT,
    # What packages write when they are installed.
    "/etc/apt/sources.list": CONTENT,
    "/etc/ca-certificates.conf": CONTENT,
    "/etc/default/locale": ANY,
    "/etc/fonts/*": ANY,
    "/etc/hosts": CONTENT,  # the container's address
    "/etc/ld.so.cache": CONTENT,
    "/etc/pam.d/common-session*": CONTENT,
    "/etc/profile": CONTENT,
    "/etc/rc?.d/*": ANY,
    "/etc/shells": CONTENT,
    "/etc/ssl/certs/*": ANY,
    "/etc/systemd/*.wants*": ANY,
    "/etc/timezone": ANY,
    "/etc/vconsole.conf": ANY,
    "/usr/lib64": ANY,
    "/usr/local/libexec": ANY,
    "/usr/local/share/fonts": ("mode, owner",),
    "/var/lib/python/*": ANY,
    "/var/lib/shells.state": CONTENT,
    "/var/lib/spamassassin/*": ANY,  # the package's own copy of its rules, and the keys of sa-update
    "/var/lib/spamd/sa-update-keys/*": CONTENT,  # imported when gpg said so
    "/var/lib/systemd/*": ANY,
    # Numbers of accounts and groups are whatever was free; the accounts themselves are compared.
    "/etc/group*": CONTENT,
    "/etc/gshadow*": CONTENT,
    "/etc/passwd*": CONTENT,
    "/etc/shadow*": CONTENT,
}


def container_of(suite: str) -> str:
    return f"mailgate-controller-{suite}-{GIVEN or os.getpid()}"


def inventory(example: str) -> str:
    """Return the example with this host in it, and the site of the tests."""
    whole = yaml.safe_load(example)
    group = whole["gateways"]
    (host,) = group["hosts"].values()
    group["hosts"] = {"gateway": {**host, "ansible_connection": "local"}}
    site = (INVENTORY / "group_vars" / "gateways" / "site.yml").read_text(encoding="utf-8")
    group["vars"] = {**yaml.safe_load(site), **yaml.safe_load(CHOICE.read_text(encoding="utf-8"))}
    return str(yaml.safe_dump(whole))


def play(suite: str, venv: str, lines: str) -> list[str]:
    """Run lines of README.md on the host itself; return how many tasks of each run changed something."""
    name = container_of(suite)
    with timed(name, f"mailgate.qmail.gateway by {venv}"):
        script = f"export PATH={venv}/bin:$PATH; cd {SITE}\n{lines}"
        said = controllers.inside(name, script, f"mailgate.qmail.gateway on {suite}")
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{suite}-{Path(venv).name}.log").write_text(said, encoding="utf-8")
    return RECAP.findall(said)


def converge(suite: str) -> str:
    """Make the host and its gateway; return the release of ansible-core."""
    name = container_of(suite)
    controllers.make_controller(name, suite)
    release = controllers.install_core(name, FIRST, CORES[suite])
    pasted = f"export PATH={FIRST}/bin:$PATH; cd {controllers.CHECKOUT}\n{commands(INSTALL)}"
    controllers.inside(name, pasted, "README.md's commands")
    example = controllers.inside(name, f"cat {SITE}/inventory.yml", "reading the example")
    KEPT.mkdir(parents=True, exist_ok=True)
    edited = KEPT / f"{suite}.yml"
    edited.write_text(inventory(example), encoding="utf-8")
    controllers.copy_into(name, edited, f"{SITE}/inventory.yml")
    controllers.copy_into(name, INVENTORY / "files", f"{SITE}/files")
    assert len(play(suite, FIRST, commands(RUN).splitlines()[-1])) == 1
    return release


@pytest.fixture(scope="module")
def releases(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the release of ansible-core that each host has."""
    if GIVEN:
        yield {suite: controllers.core_of(container_of(suite), FIRST) for suite in SUITES}
        return
    for suite in SUITES:
        images.make_base(suite)
    choose.command_choose()
    try:
        with ThreadPoolExecutor() as pool:
            yield dict(zip(SUITES, pool.map(converge, SUITES)))
    finally:
        if not request.config.getoption("--keep"):
            for suite in SUITES:
                containers.command_down(container_of(suite))


def test_the_oldest_and_the_newest_have_converged(releases: dict[str, str]) -> None:
    assert releases["bookworm"] == floor_release()
    assert number(releases["trixie"]) > number(floor_release())
    commit = run(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
    for suite in SUITES:
        assert commit[:12] in controllers.inside(container_of(suite), "mailgate --version", "asking mailgate")


def number(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


def test_every_file_is_the_same(releases: dict[str, str]) -> None:
    first, second = (without_pythons_version(manifest_of(container_of(suite), LEAVE_OUT)) for suite in SUITES)
    assert len(first) > ENTRIES_AT_LEAST
    found = differences(first, second)
    left = unexpected(found, {**STATE, **EXPECTED})
    assert left == {}, told(left)
    assert [one for one in EXPECTED if not any(fnmatchcase(path, one) for path in found)] == []


def told(paths: Mapping[str, str]) -> str:
    """Return what differs, and how the contents of files do."""
    lines = [f"{path}: {what}" for path, what in paths.items()]
    for path, what in paths.items():
        if what == "content":
            cat = [answer(["docker", "exec", container_of(suite), "cat", path])[1] for suite in SUITES]
            one, other = map(str.splitlines, cat)
            lines += list(unified_diff(one, other, path, path, n=0, lineterm=""))[:20]
    return "\n".join(lines)


@pytest.mark.parametrize("suite", SUITES)
def test_ten_conversations(releases: dict[str, str], suite: str) -> None:
    assert len(selected("debian13")) >= 10
    assert hold_conversations(container_of(suite), "--tag", "debian13")


def test_the_newest_finds_nothing_to_change_after_the_oldest(releases: dict[str, str]) -> None:
    name = container_of("bookworm")
    release = controllers.install_core(name, SECOND, "ansible-core")
    assert number(release) > number(releases["bookworm"])
    before = manifest_of(name, LEAVE_OUT)
    assert play("bookworm", SECOND, commands(RUN)) == ["0", "0"]  # in check mode, and then for real
    assert unexpected(differences(before, manifest_of(name, LEAVE_OUT)), STATE) == {}
