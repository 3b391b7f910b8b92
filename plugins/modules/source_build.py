# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: source_build
short_description: A program compiled from pinned source and installed
version_added: "0.1.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Compiles a program as an unprivileged user and installs it as root, and does so again only when its
    recipe, which determines the result, or one of the installed files has changed.
  - The recipe is made of the archives' checksums, the patches, the files, the steps, the platform, the
    compiler's upstream version, the C library and the numeric ids that the build reads.
  - The built files are stored in the controller's cache by the hash of their recipe. The next host of the
    same platform gets them from there and needs no compiler.
  - Source archives come through the controller's cache, so that the host needs no access to the internet.
  - A directory given as an artifact must belong to this build alone. Files in it that were not recorded
    are ignored.
  - Only one build or restoration runs on a host at a time; the next one waits.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  recipe:
    description: What is built, and how.
    type: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the stamp, the log and the build directory; lower-case letters, digits and C(-).
        type: str
        required: true
      version:
        description: The version, for people and for the recipe.
        type: str
        required: true
      archives:
        description:
          - The archives that make up the tree, unpacked in this order.
          - Empty when O(recipe.files) are the whole tree.
        type: list
        elements: dict
        required: true
        suboptions:
          directory:
            description: Where the archive goes, relative to the build tree.
            type: str
            default: "."
          strip:
            description: How many leading directories of the members' names are removed.
            type: int
            default: 1
          sources:
            description:
              - Where the archive is available. The first one that answers with the right checksum is used.
            type: list
            elements: dict
            required: true
            suboptions:
              url:
                description:
                  - An http, https or file URL, requested by the controller first and then by the host.
                type: str
              pool:
                description: A path below C(pool/) of the Debian mirror that apt is configured with.
                type: str
              sha256:
                description:
                  - The archive's checksum, 64 hexadecimal digits. A source without one is refused.
                type: str
      patches:
        description:
          - Patches on the controller, applied in this order with C(-p1) and no fuzz in O(recipe.chdir).
        type: list
        elements: str
        default: []
      series:
        description:
          - A series file of the tree, such as C(debian/patches/series) of Debian's patch set. The patches
            that it names, relative to its directory, are applied in its order before those of
            O(recipe.patches), likewise with C(-p1) and no fuzz in O(recipe.chdir).
        type: str
      files:
        description:
          - Files written into the tree after the patches; each has either C(content) or C(src).
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Where the file goes, relative to the build tree.
            type: str
            required: true
          content:
            description: The file's text.
            type: str
          src:
            description: A file on the controller.
            type: str
      chdir:
        description: The directory of patches and steps, relative to the build tree.
        type: str
        default: "."
      build:
        description:
          - The steps that compile, run as O(recipe.build_user).
          - Each is a list of words, or a dictionary of C(argv), C(chdir) and C(environment).
        type: list
        elements: raw
        default: []
      install:
        description: The steps that install, run as root; written like those of O(recipe.build).
        type: list
        elements: raw
        required: true
      toolchain:
        description: Debian packages whose upstream version is part of the recipe.
        type: list
        elements: str
        default: []
      toolchain_minimum:
        description:
          - The lowest upstream version, in digits and dots, that each of these packages of
            O(recipe.toolchain) may have.
          - Checked only when something is really compiled, and before anything is installed for it.
        type: dict
        default: {}
      packages:
        description:
          - Debian packages that compiling needs. They are installed only when something is really compiled.
        type: list
        elements: str
        default: []
      ids:
        description:
          - The users and groups whose numeric ids the build reads. Artifacts belong to root or to one of
            these.
        type: dict
        default: {}
        suboptions:
          users:
            description: Names of users.
            type: list
            elements: str
            default: []
          groups:
            description: Names of groups.
            type: list
            elements: str
            default: []
      artifacts:
        description:
          - The installed files, symbolic links or whole directories; their content, type, owner and mode are
            restored when they differ.
        type: list
        elements: str
        required: true
      skeleton:
        description:
          - Directories that are filled when the program runs. Of their content at build time only the
            directories and fifos
            are recorded; their existence, type, owner and mode are restored when they differ.
          - A regular file is recorded only when it is named here itself. Contents are neither read again nor
            overwritten.
        type: list
        elements: str
        default: []
      directory_modes:
        description:
          - Directories that get root as owner, and this octal mode in quotes, after the install steps.
        type: dict
        default: {}
      build_user:
        description:
          - The user that compiles, created when missing. Every process of that user is killed before the
            install steps.
        type: str
        default: mailgate-build
      step_timeout_seconds:
        description:
          - How long one step may run before it is killed and the build fails; not part of the recipe's hash.
        type: int
        default: 3600
      package_method:
        description:
          - The setting that installs a package instead; the message names it when no source is available.
        type: str
  cache:
    description:
      - The controller's cache. The default is the environment variable E(MAILGATE_CACHE), else
        C(~/.cache/mailgate).
      - An archive that cannot be downloaded can be put there by hand as C(sources/) and its sha256.
    type: str
  keep_archive:
    description: Whether the built files are stored in the controller's cache.
    type: bool
    default: true
  repository:
    description:
      - A directory of the controller with the packages that compiling needs, as that of
        M(mailgate.qmail.deb_packages); the host's apt then looks nowhere else.
    type: str
  phase:
    description: Set by the action plugin of this module, never by a playbook.
    type: str
    choices: [plan, fetch, restore, build, read]
  transfer:
    description: Set by the action plugin of this module, never by a playbook.
    type: dict
"""

EXAMPLES = r"""
- name: Install ucspi-tcp from source
  mailgate.qmail.source_build:
    recipe:
      name: ucspi-tcp
      version: "0.88"
      archives:
        - sources:
            - url: https://cr.yp.to/ucspi-tcp/ucspi-tcp-0.88.tar.gz
              sha256: 4a0615cab74886f5b4f7e8fd32933a07b955536a3476d74ea087a3ea66a23e9c
            - pool: main/u/ucspi-tcp/ucspi-tcp_0.88.orig.tar.gz
              sha256: 4a0615cab74886f5b4f7e8fd32933a07b955536a3476d74ea087a3ea66a23e9c
      files:
        - path: conf-cc
          content: "gcc -O2 -include /usr/include/errno.h\n"
      build:
        - [make]
      install:
        - [make, setup]
      toolchain: [gcc, libc6-dev]
      packages: [gcc, libc6-dev, make]
      artifacts: [/usr/local/bin/tcpserver, /usr/local/bin/tcprules]
      directory_modes: {/usr/local: "0755", /usr/local/bin: "0755"}
"""

RETURN = r"""
recipe_hash:
  description: The sha256 of the recipe.
  type: str
  returned: always
method:
  description:
    - The action, or in check mode the state found; V(unchanged), V(restored) or V(built).
  type: str
  returned: when not in check mode, or nothing would change
source:
  description:
    - The origin of each archive when this was built, with C(directory), C(place), C(via) and
      C(sha256).
    - C(via) is C(cache), C(controller) or C(host).
  type: list
  elements: dict
  returned: when not in check mode, or nothing would change
log:
  description: The build's log on the host.
  type: str
  returned: when something was built
"""

import base64
import json
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import host as build_host
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import layout
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import workshop
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import archive
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import planning
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import recipe as build_recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import STATE_DIRECTORY
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import busy

READ_BYTES = 6_000_000
LOCK_SECONDS = 120


def recipe_here(module, spec):
    """Return the recipe on this host."""
    transfer = module.params["transfer"]
    versions = build_host.toolchain(spec.toolchain, transfer.get("candidates") or {})
    return planning.recipe_here(spec, transfer, module.check_mode, versions)


def plan(module, spec, transfer):
    """Return what has to be done."""
    if transfer.get("refresh"):
        done = busy.run_when_free(
            lambda: module.run_command(["apt-get", "update", "-q"], environ_update={"LC_ALL": "C"}),
            busy.APT_LOCKED,
            LOCK_SECONDS,
        )
        if done.held:
            module.warn(done.warning("packages"))
    return planning.plan(spec, recipe_here(module, spec))


def fetch(module, spec, transfer):
    """Download an archive from one place to this host."""
    from ansible.module_utils.urls import open_url  # imported only here, as it takes a tenth of a second

    path = f"{STATE_DIRECTORY}/fetched/{transfer['sha256']}"
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    pool = transfer.get("pool")
    causes = []
    for url in build_host.pool_urls(pool) if pool else [transfer["url"]]:
        try:
            build_host.download(
                lambda url: open_url(url, timeout=30, decompress=False), url, path, transfer["sha256"]
            )
            return {"path": path, "causes": causes}
        except MailgateError as error:
            causes.append([url, str(error)])
    return {"path": None, "causes": causes or [[f"pool {pool}", "apt has no mirror with that component"]]}


def restore(module, spec, transfer):
    """Install what was built on another host; refused tells why nothing was changed."""
    digest = build_recipe.recipe_hash(recipe_here(module, spec))
    with layout.locked():
        try:
            found = layout.file_sha256(transfer["archive"])
            if found != transfer["sha256"]:
                raise BadInput(
                    f"transferred archive: sha256 {found!r} is wrong; expected {transfer['sha256']!r}"
                )
            manifest = archive.restore(transfer["archive"], spec.name, digest, spec.directory_modes)
        except BadInput as error:
            return {"changed": False, "refused": str(error)}
        layout.write_stamp(spec.name, manifest)
    return {"changed": True, "recipe_hash": digest, "source": manifest.sources}


def build(module, spec, transfer):
    """Compile and install the program, and pack it for the controller's cache."""
    recipe = recipe_here(module, spec)
    unknown = [name for name, version in recipe["toolchain"].items() if version is None]
    if unknown:
        raise BadInput(
            f"toolchain: {unknown!r} unknown to both dpkg and apt; expected names of Debian packages"
        )
    with open(transfer["inputs"], encoding="utf-8") as stream:
        inputs = {key: [base64.b64decode(one) for one in values] for key, values in json.load(stream).items()}
    archives = [(path, one["sha256"]) for path, one in zip(transfer["archives"], transfer["source"])]
    answer = {"changed": True, "log": layout.log_path(spec.name)}
    with layout.locked():
        manifest = workshop.build(
            spec, recipe, archives, inputs["patches"], inputs["files"], transfer["source"]
        )
        if module.params["keep_archive"]:
            archive.pack(manifest)
        layout.write_stamp(spec.name, manifest)
        shutil.rmtree(f"{STATE_DIRECTORY}/fetched", ignore_errors=True)
        if module.params["keep_archive"]:
            answer["first"] = read(module, spec, {"built": manifest.recipe_hash, "offset": 0})
    return dict(answer, recipe_hash=manifest.recipe_hash)


def read(module, spec, transfer):
    """Return a piece of a file for the controller; a build's archive is deleted after its last piece."""
    if "built" in transfer:
        path = archive.built_path(transfer["built"])
    else:
        path = f"{STATE_DIRECTORY}/fetched/{transfer['fetched']}"
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        stream.seek(transfer["offset"])
        piece = stream.read(READ_BYTES)
    end = transfer["offset"] + len(piece) >= size
    answer = {"data": base64.b64encode(piece).decode(), "end": end, "size": size}
    if transfer["offset"] == 0:
        answer["sha256"] = layout.file_sha256(path)
    if end and "built" in transfer:
        os.unlink(path)
    return answer


PHASES = {"plan": plan, "fetch": fetch, "restore": restore, "build": build, "read": read}


def main():
    phase = {"type": "str", "choices": ["plan", "fetch", "restore", "build", "read"]}
    module = AnsibleModule(
        argument_spec=dict(source.ARGUMENT_SPEC, phase=phase, transfer={"type": "dict"}),
        supports_check_mode=True,
    )
    chosen, transfer = module.params["phase"], module.params["transfer"]
    if chosen is None or transfer is None:
        module.fail_json(msg="source_build: called without its action plugin; expected a task of a playbook")
    if os.geteuid() != 0:
        module.fail_json(msg=f"source_build: runs with uid {os.geteuid()}; expected root (become: true)")
    if module.check_mode and chosen != "plan":
        module.fail_json(msg=f"source_build: phase {chosen!r} in check mode; expected 'plan'")
    try:
        answer = PHASES[chosen](module, source.parse(module.params["recipe"]), transfer)
    except (MailgateError, OSError) as error:
        log = layout.log_path(module.params["recipe"]["name"])
        module.fail_json(
            msg=str(error), **({"log": log} if chosen == "build" and os.path.exists(log) else {})
        )
    module.exit_json(**{"changed": False, **answer})


if __name__ == "__main__":
    main()
