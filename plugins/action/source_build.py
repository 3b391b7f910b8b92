# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of source_build: its cache, the downloads, and the order of the module's phases."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import threading
import time

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import host as build_host
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import layout
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.files import atomic_write
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.plugin_utils import bundled_packages, recipes, seen
from ansible_collections.mailgate.qmail.plugins.plugin_utils.controller_cache import cache_path

MODULE = "mailgate.qmail.source_build"
PACKAGES_MODULE = "mailgate.qmail.deb_packages"
TIMEOUT_SECONDS = 30
ALIVE_SECONDS = 30

display = Display()


def warning_text(warning):
    """Return the text of a module's warning, which ansible-core 2.19 wraps."""
    event = getattr(warning, "event", None)
    return warning if isinstance(warning, str) else str(getattr(event, "msg", warning))


class PhaseFailed(Exception):
    """A module that this action runs has failed; result is its result."""

    def __init__(self, result):
        super().__init__(result.get("msg"))
        self.result = result


class Cache:
    """The controller's cache: sources/<sha256>, builds/<recipe hash>.tar.gz and .json; all reads verify."""

    def __init__(self, path):
        self.path = path

    def source(self, sha256):
        return os.path.join(self.path, "sources", sha256)

    def has_source(self, sha256):
        """Return whether the archive is in the cache; raises BadInput when a file with its name differs."""
        path = self.source(sha256)
        if not os.path.isfile(path):
            return False
        found = layout.file_sha256(path)
        if found != sha256:
            raise BadInput(f"source {path}: sha256 {found!r} is wrong; expected {sha256!r}")
        return True

    def make(self, kind):
        directory = os.path.join(self.path, kind)
        os.makedirs(directory, exist_ok=True)
        return directory

    def build(self, recipe_hash):
        """Return (path, sha256) of a recipe's build, or None; raises BadInput when it is damaged."""
        path = os.path.join(self.path, "builds", f"{recipe_hash}.tar.gz")
        about = path[: -len(".tar.gz")] + ".json"
        if not os.path.isfile(path) or not os.path.isfile(about):
            return None
        try:
            with open(about, encoding="utf-8") as stream:
                expected = json.load(stream)["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"cached build {about}: {error!r}; expected JSON with a sha256") from error
        found = layout.file_sha256(path)
        if found != expected:
            raise BadInput(f"cached build {path}: sha256 {found!r} is wrong; expected {expected!r}")
        return path, expected

    def keep_build(self, recipe_hash, temporary, about):
        """Move a build's archive to its place in the cache, and write its description beside it."""
        path = os.path.join(self.path, "builds", recipe_hash)
        with open(os.path.join(self.path, "builds", ".lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(temporary, path + ".tar.gz")
            with atomic_write(path + ".json", 0o644, -1, -1) as stream:
                stream.write((json.dumps(about, sort_keys=True, indent=1) + "\n").encode())


class ActionModule(ActionBase):
    TRANSFERS_FILES = False  # the remote directory is made when it is needed, to save a round trip
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._warnings, self._installed = [], False
        try:
            result.update(self._source_build())
        except PhaseFailed as failure:
            result.update(failure.result, changed=False)
            result["msg"] = without_passwords(str(result.get("msg", "")))
            result.pop("invocation", None)
        except MailgateError as error:
            raise AnsibleActionFail(without_passwords(str(error))) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        if self._warnings:
            told = [without_passwords(one) for one in self._warnings]
            result["warnings"] = list(result.get("warnings", [])) + told
        return seen.noted(result, self._installed)

    # -- the order of the phases

    def _source_build(self):
        self._read_arguments()
        known = (seen.seen(self._vars).get("builds") or {}).get(self._recipe.key)
        if known:
            return {"changed": False, "method": "unchanged", **known}
        plan = self._phase("plan", self._digests)
        renews = not self._repository and not self._task.check_mode
        if plan["unknown_toolchain"] and plan["changed"] and renews:
            plan = self._phase("plan", dict(self._digests, refresh=True))
        result = {"changed": plan["changed"], "recipe_hash": plan["recipe_hash"]}
        if self._task.diff and plan["changed"]:
            result["diff"] = plan["difference"]
        if not plan["changed"]:
            result.update(method="unchanged", source=plan["source"])
        if self._task.check_mode:
            return result
        if plan["changed"]:
            result.update(self._restore(plan["recipe_hash"]) or self._build(plan["old_toolchain"]))
        elif plan["archive"] and self._params["keep_archive"]:  # left behind by a run that was interrupted
            self._keep(plan["recipe_hash"], None)
        return result

    def _restore(self, recipe_hash):
        """Return the result of restoring the recipe's build from the cache, or None."""
        try:
            cached = self._cache.build(recipe_hash)
        except BadInput as error:
            self._warnings.append(f"{error}: the cached file is ignored")
            return None
        if cached is None:
            return None
        path, sha256 = cached
        self._say("installing from the cache")
        remote = self._transfer_file(path, self._remote("built.tar.gz"))
        answer = self._phase("restore", dict(self._digests, archive=remote, sha256=sha256))
        if answer.get("refused"):
            self._warnings.append(f"cached build {path}: {answer['refused']}: the cached file is ignored")
            return None
        return {"method": "restored", "recipe_hash": answer["recipe_hash"], "source": answer["source"]}

    def _build(self, too_old):
        if too_old:
            raise BadInput("\n".join(too_old))
        got = [self._archive(archive) for archive in self._spec.archives]
        if self._spec.packages:
            self._say("installing the packages that compiling needs")
            with self._living("installing packages"):
                wanted = {"name": list(self._spec.packages), "repository": self._repository}
                installed = bundled_packages.install(
                    wanted,
                    False,
                    lambda arguments: self._execute(PACKAGES_MODULE, arguments),
                    lambda path, name: self._transfer_file(path, self._remote(name)),
                )
            self._installed = bool(installed.get("changed"))
        archives = []
        for index, (local, remote, _label) in enumerate(got):
            archives.append(remote or self._transfer_file(local, self._remote(f"archive-{index}")))
        inputs = {
            kind: [base64.b64encode(one).decode() for one in contents]
            for kind, contents in (("patches", self._recipe.patches), ("files", self._recipe.files))
        }
        inputs = self._send(json.dumps(inputs), "inputs.json")
        sources = [
            dict(label, directory=at.directory)
            for (_local, _remote, label), at in zip(got, self._spec.archives)
        ]
        self._say("compiling")
        with self._living("compiling"):
            transfer = dict(self._digests, archives=archives, inputs=inputs, source=sources)
            answer = self._phase("build", transfer)
        if self._params["keep_archive"]:
            self._keep(answer["recipe_hash"], answer["first"])
        return {
            "method": "built",
            "recipe_hash": answer["recipe_hash"],
            "source": sources,
            "log": answer["log"],
        }

    # -- arguments

    def _read_arguments(self):
        self._params = recipes.validate(source.ARGUMENT_SPEC, self._task.args)
        self._repository = self._params["repository"] or ""
        self._recipe = recipes.read(
            self._params["recipe"], self._repository, lambda path: self._find_needle("files", path)
        )
        self._spec, self._digests = self._recipe.spec, self._recipe.transfer
        self._cache = Cache(cache_path(self._params["cache"]))

    # -- sources

    def _archive(self, archive):
        """Return (path here, path on the host or None, {place, via, sha256}) of the archive."""
        causes, refused = [], []
        for one in archive.sources:
            try:
                if self._cache.has_source(one.sha256):
                    return self._cache.source(one.sha256), None, self._label(one, "cache")
            except BadInput as error:
                causes.append(str(error))
                self._warnings.append(f"{error}: the cached file is ignored")
        self._cache.make("sources")
        for one in archive.sources:
            self._say(f"downloading {one.place}")
            for via, get in (("controller", self._from_here), ("host", self._from_host)):
                remote, said = get(one)
                causes += [f"{place} from the {via}: {cause}" for place, cause in said]
                refused += [f"{place} from the {via}: {cause}" for place, cause in said if "sha256 " in cause]
                if remote is not None:
                    self._warnings += refused
                    return self._cache.source(one.sha256), remote or None, self._label(one, via)
        by_hand = list(dict.fromkeys(self._cache.source(one.sha256) for one in archive.sources))
        lines = [
            f"source of {self._spec.name} {self._spec.version}: not available; expected one of these places"
        ]
        lines += [f"  {cause}" for cause in causes]
        lines += [f"put the file at {path}" for path in by_hand]
        if self._recipe.params["package_method"]:
            method = self._recipe.params["package_method"]
            lines.append(f"or install the distribution's package with {method}")
        raise BadInput("\n".join(lines))

    def _from_here(self, one):
        """Download a source to the cache; return ('' on success, else None; [[place, cause], …])."""
        causes = []
        urls = build_host.pool_urls(one.pool) if one.pool else [one.url]
        for url in urls:
            try:
                build_host.download(self._open, url, self._cache.source(one.sha256), one.sha256)
                return "", causes
            except MailgateError as error:
                causes.append([url, str(error)])
        return None, causes or [[one.place, "apt has no mirror with that component"]]

    @staticmethod
    def _open(url):
        return open_url(url, timeout=TIMEOUT_SECONDS, decompress=False)

    def _from_host(self, one):
        """Download a source on the host and copy it to the cache; return (its path there or None, causes)."""
        answer = self._phase("fetch", {"url": one.url, "pool": one.pool, "sha256": one.sha256})
        if answer["path"] is None:
            return None, answer["causes"]
        with self._fetched("fetched", one.sha256, "sources") as (temporary, found, _size):
            if found != one.sha256:
                return None, [
                    *answer["causes"],
                    [one.place, f"sha256 {found!r} is wrong; expected {one.sha256!r}"],
                ]
            os.rename(temporary, self._cache.source(one.sha256))
        return answer["path"], answer["causes"]

    @staticmethod
    def _label(one, via):
        return {"place": one.place, "via": via, "sha256": one.sha256}

    # -- built files

    def _keep(self, recipe_hash, first):
        with self._fetched("built", recipe_hash, "builds", first) as (temporary, sha256, size):
            about = {
                "recipe_hash": recipe_hash,
                "sha256": sha256,
                "size": size,
                "name": self._spec.name,
                "version": self._spec.version,
            }
            self._cache.keep_build(recipe_hash, temporary, about)

    @contextlib.contextmanager
    def _fetched(self, what, digest, kind, first=None):
        """Yield (path, sha256, bytes) of a copy of a file of the host that only root may read.

        It is copied in pieces by the module, so that nothing has to be readable for the connection's user,
        whatever become does. first is the first piece if it has been read already.
        """
        descriptor, temporary = tempfile.mkstemp(prefix=".mailgate-", dir=self._cache.make(kind))
        try:
            sha256, end, offset, expected = hashlib.sha256(), False, 0, None
            with os.fdopen(descriptor, "wb") as stream:
                while not end:
                    answer = first or self._phase("read", {what: digest, "offset": offset})
                    first = None
                    piece = base64.b64decode(answer["data"])
                    end, expected, offset = answer["end"], answer.get("sha256", expected), offset + len(piece)
                    sha256.update(piece)
                    stream.write(piece)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
            if sha256.hexdigest() != expected:
                raise BadInput(
                    f"file of the host: sha256 {sha256.hexdigest()!r} is wrong; expected {expected!r}"
                )
            yield temporary, expected, offset
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    # -- the host

    def _phase(self, phase, transfer):
        arguments = {key: value for key, value in self._params.items() if value is not None}
        return self._execute(MODULE, dict(arguments, phase=phase, transfer=transfer))

    def _execute(self, module, arguments):
        answer = self._execute_module(module_name=module, module_args=arguments, task_vars=self._vars)
        if answer.get("failed") or "changed" not in answer:
            raise PhaseFailed(dict(answer, failed=True))
        self._warnings += [warning_text(one) for one in answer.get("warnings", [])]
        return answer

    def _remote(self, name):
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        return self._connection._shell.join_path(self._connection._shell.tmpdir, name)

    def _send(self, text, name):
        descriptor, temporary = tempfile.mkstemp(prefix="mailgate-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            return self._transfer_file(temporary, self._remote(name))
        finally:
            os.unlink(temporary)

    @contextlib.contextmanager
    def _living(self, what):
        """Say now and then that a long phase goes on, and for how long."""
        begin, ended = time.monotonic(), threading.Event()

        def tell():
            while not ended.wait(ALIVE_SECONDS):
                minutes, seconds = divmod(round(time.monotonic() - begin), 60)
                self._say(f"still {what}, {minutes} min {seconds:02d} s")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    def _say(self, what):
        host = self._vars.get("inventory_hostname", "")
        display.display(f"{self._spec.name} {self._spec.version}: {what} [{host}]")
