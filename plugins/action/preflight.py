# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of preflight: variables, its cache, and what it can reach itself."""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os

from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import host as build_host
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import planning
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.preflight import REFUSED
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import (
    reach,
    run_plan,
    variable_names,
)
from ansible_collections.mailgate.qmail.plugins.plugin_utils import recipes, role_arguments, seen
from ansible_collections.mailgate.qmail.plugins.plugin_utils.controller_cache import cache_path

NAMESPACE = "mailgate.qmail."
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text(*path):
    with open(os.path.join(COLLECTION, *path), encoding="utf-8") as stream:
        return stream.read()


def collection_names(specs):
    """Return the names of all variables, and the values that the playbooks set; specs: by role."""
    site = text("playbooks", "vars", "site.yml")
    known = set(variable_names.site_names(site))
    known.update(name for entries in specs.values() for options in entries.values() for name in options)
    return known, yaml_load(site)


def all_specs():
    place = os.path.join(COLLECTION, "roles")
    return {
        role: role_arguments.argument_specs(os.path.join(place, role)) for role in sorted(os.listdir(place))
    }


def refused(result, faults):
    """Return the module's result with more faults, which it does not know."""
    if not faults or (result.get("failed") and not result.get("findings")):
        return result
    lines = [result["msg"] if result.get("failed") else REFUSED, *faults]
    findings = [{"check": "site", "level": "error", "message": fault} for fault in faults]
    kept = {name: value for name, value in result.items() if name != "exception"}  # which has the old message
    return {
        **kept,
        "failed": True,
        "msg": "\n".join(lines),
        "findings": [*findings, *result.get("findings", [])],
    }


def opener(url):
    return open_url(url, timeout=reach.SECONDS, decompress=False)


def built(cache):
    """Return the names of what the cache has a build of, for some platform."""
    names = set()
    for path in glob.glob(os.path.join(cache, "builds", "*.json")):
        with (
            contextlib.suppress(OSError, ValueError, KeyError, TypeError),
            open(path, encoding="utf-8") as stream,
        ):
            names.add(json.load(stream)["name"])
    return names


def kept(cache, at):
    return os.path.join(cache, "sources", at["sha256"])


def missing(cache, sources):
    """Return those of the archives that are not in the cache."""
    return [one for one in sources if not any(os.path.isfile(kept(cache, at)) for at in one["sources"])]


def places(at):
    return build_host.pool_urls(at["pool"]) if at.get("pool") else [at["url"]]


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        specs = all_specs()
        known, settings = collection_names(specs)
        own = arguments.get("own_variables") or []
        prefixes = [f"{role}_" for role in specs]
        faults, notices = variable_names.judge(task_vars, known, prefixes, own, settings=settings)
        given = task_vars["hostvars"].raw_get(task_vars["inventory_hostname"])
        faults += variable_names.replaced(given, task_vars, settings, known)
        of_site, of_roles = self._role_faults(arguments.get("roles") or [], specs, task_vars, settings, known)
        faults += of_roles
        if any(fault.startswith("role base: ") for fault in of_roles):  # the module's own options
            return refused(result, faults)
        arguments["faults"] = [*(arguments.get("faults") or []), *faults]
        arguments["notices"] = [*(arguments.get("notices") or []), *notices]
        wanted = arguments.pop("recipes", None) or []
        sources = planning.archives_of(wanted)
        repository = (arguments.get("bundle") or {}).get("packages") or ""
        arguments["fetch"] = self._unreachable(sources)
        arguments["builds"] = self._builds(wanted, repository)
        result.update(
            self._execute_module(
                module_name="mailgate.qmail.preflight", module_args=arguments, task_vars=task_vars
            )
        )
        told = str(result.get("msg", ""))
        untold = [fault for fault, made_of in of_site if not any(one in told for one in made_of)]
        result = refused(result, untold)
        if "seen" in result:
            result = seen.begun(result, task_vars)
        names = [one["name"] for one in wanted]
        result["plan"] = self._plan(arguments, names, sources, result.get("stamped") or [])
        return result

    def _role_faults(self, names, specs, values, settings, known):
        """Return what the argument specs of these roles refuse: of the site, and of the roles' own variables.

        The site's are pairs of a fault and the site's variables in it, as the module may judge those itself.
        """
        of_site, of_roles = [], []
        for name in dict.fromkeys(names):
            role = name[len(NAMESPACE) :]
            if not name.startswith(NAMESPACE) or role not in specs:
                continue
            for one in role_arguments.faults(role, specs[role], values, self._templar.template):
                told = without_passwords(f"role {role}: {one.message}")
                made_of = variable_names.made_of(one.variable, settings, known)
                if made_of:
                    of_site.append((f"{told}; it is made of {', '.join(made_of)}", made_of))
                else:
                    of_roles.append(told)
        return of_site, of_roles

    def _builds(self, given, repository):
        """Return what the host plans; a recipe that is refused is told of by its own task."""
        found = []
        for one in given:
            try:
                params = recipes.validate(source.RECIPE_SPEC, one)
                recipe = recipes.read(params, repository, lambda path: self._find_needle("files", path))
            except (AnsibleError, MailgateError, OSError):
                continue
            found.append({"key": recipe.key, "recipe": recipe.params, "transfer": recipe.transfer})
        return found

    @staticmethod
    def _plan(arguments, names, sources, stamped):
        """Return what the run compiles and fetches, in lines."""
        cache = cache_path()
        cached = built(cache)
        known = {*stamped, *cached}
        new = [one["name"] for one in missing(cache, sources) if one["name"] not in known]
        if not stamped:  # a fresh host
            new += ["signatures of ClamAV"] if arguments.get("signatures") else []
            new += ["wheels of the operators' screen"] if arguments.get("wheels") else []
        return run_plan.plan(names, stamped, cached, new)

    @staticmethod
    def _unreachable(sources):
        """Return what neither cache nor controller has, for the host, in source_build's own order."""
        cache = cache_path()
        fetched = missing(cache, sources)
        urls = [[url for at in one["sources"] for url in places(at)] for one in fetched]
        found = reach.tried(
            {url: functools.partial(reach.fetchable, opener, url) for every in urls for url in every}
        )
        there = built(cache)
        return [
            {
                "name": one["name"],
                "places": [at["url"] for at in one["sources"] if at.get("url")],
                "pools": [at["pool"] for at in one["sources"] if at.get("pool")],
                "causes": [f"{url} from the controller: {found[url]}" for url in every],
                "instead": [
                    *(f"put the file at {kept(cache, at)}" for at in one["sources"]),
                    *([f"set {one['instead']}"] if one.get("instead") else []),
                ],
                "built": one["name"] in there,
            }
            for one, every in zip(fetched, urls)
            if not any(found[url] == "" for url in every)
        ]
