# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of converged gateways: converged once, and the beginning of every test that is not about converging.

An image is named after everything that determines what the playbook makes: another tree, another choice of
sources or another base image is another image.  What a name cannot tell, such as a package that the mirror
has renewed, is bounded by the image's age.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import time
from collections.abc import Iterable

from .collection import project_files
from .common import LABEL, ROOT, Trouble, answer, only_one, run, say, timed
from .containers import command_converge, command_down, command_up
from .images import ADD_SYSTEMD, SYSTEMD, base_image, image_id, make_base, make_derived
from .sources import CHOICE

CONVERGED = f"{LABEL}.converged"
OLDEST_SECONDS = 7 * 86400
KEPT = 4  # recipes of a platform; the others' images are removed
UP_SECONDS = 180

DETERMINE = (
    "roles/",
    "plugins/",
    "src/",
    "playbooks/",
    "meta/",
    "molecule/shared/",
    "tests/inventory/",
    "tests/bed/containers.py",
    "ansible.cfg",
    "requirements-test.txt",
)

# Services before their logs, so that last lines are written.  What does not end in time is killed, as at a
# shutdown.  supervise goes on: its lock is the kernel's, and it writes its state again at every start.
STOP = """
stopped() { svc -d "$@"; for try in $(seq 60); do
  svstat "$@" | grep -q ': up ' || return 0; [ "$try" = 40 ] && svc -k "$@"; sleep 0.5
done; svstat "$@"; return 1; }
stopped /service/* && stopped /service/*/log
"""
START = "svc -u /service/* /service/*/log"

# They load for seconds, in which mail is put off.
SCANNERS = "clamdscan --config-file=/etc/clamav/clamd.conf --ping 1 && spamc -U /run/spamd/spamd.sock -K"

# Up for two seconds each: one that cannot start is started every second.
STATE = "for which in /service/* /service/*/log; do [ -d $which ] && svstat $which; done; exit 0"


def determining(names: Iterable[str]) -> list[str]:
    """Return the project's files that determine what is converged."""
    return sorted(name for name in names if name.startswith(DETERMINE) and not name.endswith(".md"))


def recipe_of(suite: str) -> str:
    """Return one hash of everything that determines a converged gateway."""
    whole = hashlib.sha256(f"1 {suite} {image_id(base_image(suite))}\n".encode())
    for name in [*determining(project_files()), str(CHOICE.relative_to(ROOT))]:
        path = ROOT / name
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        executable = path.stat().st_mode & 0o100 if path.is_file() else 0
        whole.update(f"{name} {executable} {content}\n".encode())
    return whole.hexdigest()[:16]


def converged_image(suite: str, systemd: bool = False) -> str:
    """Return the name of the image of this tree's gateway, whether or not it exists."""
    return f"mailgate-converged{'-systemd' if systemd else ''}:{suite}-{recipe_of(suite)}"


def is_fresh(name: str) -> bool:
    """Return whether the image exists and is not too old."""
    status, text = answer(["docker", "image", "inspect", "--format", "{{.Created}}", name])
    if status != 0:
        return False
    made = datetime.datetime.fromisoformat(text.strip()[:19]).replace(tzinfo=datetime.timezone.utc)
    return (datetime.datetime.now(datetime.timezone.utc) - made).total_seconds() < OLDEST_SECONDS


def stop_services(name: str) -> None:
    """Stop what svscan supervises, so that no file is caught half written."""
    run(["docker", "exec", name, "sh", "-c", STOP], why=f"stopping the services of {name}")


def start_services(name: str) -> None:
    run(["docker", "exec", name, "sh", "-c", START], why=f"starting the services of {name}")


def commit(name: str, image: str, suite: str) -> None:
    """Make an image of a gateway whose services are stopped meanwhile."""
    stop_services(name)
    try:
        run(["docker", "commit", "-c", f"LABEL {CONVERGED}={suite}", name, image], why=f"committing {name}")
    finally:
        start_services(name)


def command_keep(name: str, suite: str) -> None:
    """Make the image of this tree's gateway from the container `name`, unless it is there."""
    step, image = f"image {suite}", converged_image(suite)
    if is_fresh(image):
        say(step, f"{image} is current")
        return
    with timed(step, f"keeping {name} as {image}", "kept"):
        commit(name, image, suite)
    forget_old(suite)


def surplus(listing: Iterable[tuple[str, str]], kept: int) -> list[str]:
    """Return the images to remove from (name, tag), newest first: all but those of the newest `kept` tags."""
    newest: list[str] = []
    names = []
    for name, tag in listing:
        if tag not in newest:
            newest.append(tag)
        if newest.index(tag) >= kept:
            names.append(f"{name}:{tag}")
    return names


def forget_old(suite: str) -> None:
    """Remove images of earlier recipes; one that a container still uses stays."""
    form = "{{.Repository}} {{.Tag}}"
    listing = answer(["docker", "images", "--filter", f"label={CONVERGED}={suite}", "--format", form])[1]
    found = [(one[0], one[1]) for one in map(str.split, listing.splitlines()) if len(one) == 2]
    for image in surplus([one for one in found if one[1] != "<none>"], KEPT):
        if answer(["docker", "rmi", image], timeout_seconds=120)[0] == 0:
            say(f"image {suite}", f"{image} of an earlier recipe is removed")


def make_converged(suite: str) -> str:
    """Return the image of this tree's gateway; converge one first unless it exists."""
    make_base(suite)
    image = converged_image(suite)
    with only_one(f"converge-{suite}"):
        if is_fresh(image):
            say(f"image {suite}", f"{image} is current")
            return image
        name = f"mailgate-converge-{suite}-{os.getpid()}"  # another checkout may converge, too
        command_up(name, suite, systemd=False)
        try:
            run(["docker", "exec", name, "apt-get", "update", "-q"], why="fetching the package lists")
            command_converge(name)
            command_keep(name, suite)
        finally:
            command_down(name)
    return image


def make_converged_systemd(suite: str) -> str:
    """Make the same image with systemd, which has not run there yet: the playbook makes its unit."""
    base, image = make_converged(suite), converged_image(suite, systemd=True)
    with only_one(f"converge-{suite}"):
        make_derived(f"image systemd {suite}", image, suite, ADD_SYSTEMD, SYSTEMD, "systemd", base)
    return image


def settled(states: str) -> bool:
    """Return whether svstat's lines say of every service that it has been up for two seconds."""
    lines = states.splitlines()
    seconds = [line.rpartition(" seconds")[0].rpartition(" ")[2] for line in lines if ": up (pid" in line]
    return bool(lines) and len(seconds) == len(lines) and all(int(one) >= 2 for one in seconds)


def comes_up(name: str) -> str:
    """Wait until the gateway is up; return what is still down after the time allowed, or ""."""
    deadline = time.monotonic() + UP_SECONDS
    while True:
        states = answer(["docker", "exec", name, "sh", "-c", STATE])[1]
        up = settled(states)
        if up and answer(["docker", "exec", name, "sh", "-c", SCANNERS])[0] == 0:
            return ""
        if time.monotonic() > deadline:
            if up:
                return "clamd or spamd does not answer"
            down = [line for line in states.splitlines() if not settled(line)]
            return "; ".join(down[:5]) or "no service in /service"
        time.sleep(0.5)


def command_await(name: str) -> None:
    """Wait until the services of a gateway are up and its scanners answer."""
    begin = time.monotonic()
    down = comes_up(name)
    if down:
        raise Trouble(f"the gateway {name} does not come up: {down}")
    say("await", f"the services of {name} came up in {time.monotonic() - begin:.1f} s")


def command_start(name: str, suite: str, systemd: bool) -> None:
    """Start a container of this tree's converged gateway, with its services up unless systemd starts them."""
    image = make_converged_systemd(suite) if systemd else make_converged(suite)
    command_up(name, suite, systemd, image)
    if systemd:
        return
    begin = time.monotonic()
    down = comes_up(name)
    if down:
        say("start", f"{image} does not come up ({down}); it is converged again")
        command_down(name)
        run(["docker", "rmi", "-f", image], why=f"removing {image}")
        command_up(name, suite, systemd, make_converged(suite))
        down = comes_up(name)
        if down:
            raise Trouble(f"a gateway fresh from its image does not come up: {down}")
    say("start", f"{name} is a gateway, its services came up in {time.monotonic() - begin:.1f} s")
