# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of a recipe: its files, and what the host gets to plan it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle_packages, planning
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput


class Recipe(NamedTuple):
    """params: as validated; spec: parsed; patches, files: contents; transfer: what the host plans with."""

    params: dict[str, Any]
    spec: source.Spec
    patches: list[bytes]
    files: list[bytes]
    transfer: dict[str, Any]

    @property
    def key(self) -> str:
        return planning.key(self.params, self.transfer)


def validate(argument_spec, arguments):
    """Return the arguments with their types and defaults; raises BadInput."""
    validated = ArgumentSpecValidator(argument_spec).validate(dict(arguments))
    if validated.unsupported_parameters:
        names = validated.unsupported_parameters  # a nested one is a tuple
        unknown = sorted(name if isinstance(name, str) else ".".join(name) for name in names)
        options = source.RECIPE_SPEC if unknown[0].startswith("recipe.") else argument_spec
        raise BadInput(f"source_build: {unknown!r} unknown; expected {', '.join(options)}")
    if validated.error_messages:
        raise BadInput(f"source_build: {'; '.join(validated.error_messages)}")
    return validated.validated_parameters


def read(params, repository, find):
    """Return a recipe by its validated parameters.

    repository: a directory of packages, or empty; find: returns the path of a file that the recipe names.
    """

    def content(path):
        with open(find(path), "rb") as stream:
            return stream.read()

    spec = source.parse(params)
    patches = [content(path) for path in spec.patches]
    files = [content(file.src) if file.content is None else file.content.encode() for file in spec.files]
    transfer = {
        "patches": [source.sha256(one) for one in patches],
        "files": [source.sha256(one) for one in files],
    }
    if repository:  # what of the compiler is not on the host comes from there
        index = os.path.join(repository, bundle_packages.INDEX)
        with open(index, encoding="utf-8") as stream:
            known = bundle_packages.stanzas(stream.read(), index)
        transfer["candidates"] = bundle_packages.candidates(known, spec.toolchain)
    return Recipe(params, spec, patches, files, transfer)
