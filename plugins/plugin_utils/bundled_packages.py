# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of deb_packages: of its repository the host gets what an installation takes."""

from __future__ import annotations

import os
import tarfile
import tempfile

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle_packages


def pack(repository, files):
    """Return a new file with those files of the repository, for the host."""
    descriptor, path = tempfile.mkstemp(prefix="mailgate-")
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
        for name in files:
            archive.add(os.path.join(repository, name), name, recursive=False)
    return path


def install(arguments, check_mode, execute, send):
    """Run the module's phases and return the result of the last.

    execute: runs the module with arguments; its result has failed when it has. send: copies a file of the
    controller to a name in a directory of the host, and returns its path there.
    """
    repository = arguments.get("repository") or ""
    if not repository:
        return execute(arguments)
    answer = execute(dict(arguments, phase="missing"))
    if check_mode or answer.get("failed") or not answer.get("installed"):
        return answer
    index = send(os.path.join(repository, bundle_packages.INDEX), bundle_packages.INDEX)
    planned = execute(dict(arguments, phase="plan", transfer={"index": index}))
    if planned.get("failed"):
        return planned
    archive = pack(repository, planned["files"])
    try:
        sent = send(archive, "packages.tar")
    finally:
        os.unlink(archive)
    return execute(dict(arguments, phase="install", transfer={"index": index, "archive": sent}))
