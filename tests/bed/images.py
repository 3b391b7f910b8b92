# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base images: a bare Debian by debootstrap, and a variant with systemd as PID 1."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .common import BED, LABEL, Trouble, answer, is_root, run, say, tail, timed
from .packages import apt_settings, derived_sources, install_packages

SUITES = ("bookworm", "trixie", "bullseye")


def base_image(suite: str) -> str:
    return os.environ.get(f"MAILGATE_IMAGE_{suite.upper()}") or f"mailgate-base:{suite}"


def systemd_image(suite: str) -> str:
    return os.environ.get("MAILGATE_IMAGE_SYSTEMD") or f"mailgate-systemd:{suite}"


def image_recipe(name: str) -> str | None:
    """Return the recipe that an image was made with: "" for a foreign image, None when it does not exist."""
    status, text = answer(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', name]
    )
    if status != 0:
        return None
    return "" if text.strip() == "<no value>" else text.strip()


def require_image(step: str, name: str) -> None:
    if image_recipe(name) is None:
        with timed(step, f"pulling {name}"):
            run(["docker", "pull", "-q", name], why=f"pulling {name}, which the environment names,")
    say(step, f"{name} is used as it is (named by the environment)")


def make_base(suite: str) -> None:
    step, name = f"image {suite}", base_image(suite)
    if os.environ.get(f"MAILGATE_IMAGE_{suite.upper()}"):
        require_image(step, name)
        return
    sources = derived_sources(suite) if is_root() or image_recipe(name) is None else []
    settings = apt_settings(answer(["apt-config", "dump"])[1])
    listing = "".join(f"deb {source.uri} {source.release} {source.component}\n" for source in sources)
    recipe = hashlib.sha256(f"1\n{suite}\n{listing}\n{settings}".encode()).hexdigest()[:16]
    if image_recipe(name) == recipe:
        say(step, f"{name} is current")
        return
    if not is_root():
        raise Trouble(
            f"the image {name} is missing and only root can make it with debootstrap; run as root, "
            f"or name an image that has python3 and ca-certificates: MAILGATE_IMAGE_{suite.upper()}=IMAGE"
        )
    install_packages(step, ("debootstrap",))
    mirror = [source.uri for source in sources if source.release == suite][:1]
    log = BED / f"debootstrap-{suite}.log"
    tree = Path(tempfile.mkdtemp(prefix=f"mailgate-{suite}-", dir="/var/tmp"))
    try:
        with timed(step, f"debootstrap of {suite} (about a minute)", "unpacked"):
            run(
                [
                    "debootstrap",
                    "--variant=minbase",
                    "--include=python3,ca-certificates",
                    suite,
                    str(tree),
                    *mirror,
                ],
                log=log,
                why=f"debootstrap of {suite}",
            )
        os.chmod(tree, 0o755)
        if listing:
            (tree / "etc/apt/sources.list").write_text(listing, encoding="utf-8")
        (tree / "etc/apt/apt.conf.d/80test-bed").write_text(settings, encoding="utf-8")
        # Speed only: dpkg need not wait for the disk in a container that lives for minutes.
        (tree / "etc/dpkg/dpkg.cfg.d/test-bed").write_text("force-unsafe-io\n", encoding="utf-8")
        with timed(step, f"importing {name}", "imported"):
            import_tree(tree, name, recipe)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def import_tree(tree: Path, name: str, recipe: str) -> None:
    leave_out = [
        "--exclude=./var/cache/apt/archives/*.deb",
        "--exclude=./var/lib/apt/lists/*_*",
        "--exclude=./proc/*",
        "--exclude=./sys/*",
    ]
    with subprocess.Popen(["tar", "-C", str(tree), *leave_out, "-c", "."], stdout=subprocess.PIPE) as pack:
        done = subprocess.run(
            ["docker", "import", "-c", f"LABEL {LABEL}={recipe}", "-", name],
            stdin=pack.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode != 0 or pack.returncode != 0:
        raise Trouble(
            f"importing the image {name} failed: {tail(done.stdout)} (tar ended with {pack.returncode})"
        )


def image_id(name: str) -> str:
    """Return the id of an image that exists."""
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", name], why=f"looking at {name}").strip()


def make_derived(
    step: str, name: str, suite: str, script: str, command: str, adds: str, base: str = ""
) -> None:
    """Make an image by a script in a container of the base image, unless both are unchanged."""
    if not base:
        base = base_image(suite)
        if image_recipe(base) is None:
            make_base(suite)
    recipe = hashlib.sha256(f"1 {image_id(base)} {script}".encode()).hexdigest()[:16]
    if image_recipe(name) == recipe:
        say(step, f"{name} is current")
        return
    builder = f"mailgate-build-{name.partition(':')[0].rpartition('-')[2]}-{os.getpid()}"
    log = BED / f"image-{step.split()[1]}.log"
    try:
        with timed(step, f"adding {adds} to {base}", f"made {name}"):
            run(
                ["docker", "run", "--name", builder, base, "sh", "-c", script],
                log=log,
                why=f"making {name}",
            )
            change = ["-c", f"LABEL {LABEL}={recipe}", "-c", f"CMD {command}"]
            run(["docker", "commit", *change, builder, name], log=log, why=f"making {name}")
    finally:
        answer(["docker", "rm", "-f", builder])


ADD_SYSTEMD = (
    "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "
    "systemd systemd-sysv dbus && apt-get clean && rm -rf /var/lib/apt/lists/*_*"
)
SYSTEMD = '["/lib/systemd/systemd"]'


def make_systemd(suite: str) -> None:
    step, name = f"image systemd {suite}", systemd_image(suite)
    if os.environ.get("MAILGATE_IMAGE_SYSTEMD"):
        require_image(step, name)
        return
    make_base(suite)
    make_derived(step, name, suite, ADD_SYSTEMD, SYSTEMD, "systemd")


def command_image(suite: str, systemd: bool) -> None:
    if systemd:
        make_systemd(suite)
    else:
        make_base(suite)
