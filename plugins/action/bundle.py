# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bundles on the controller: made of what a site needs, or checked and unpacked for a run.

Nothing of it connects to a host.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.mailgate.qmail.plugins.lookup import collection_version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import (
    bundle,
    planning,
    role_packages,
    rule_channel,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle_packages as packages
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import host as build_host
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build.layout import file_sha256
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import locks
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import (
    BadInput,
    MailgateError,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.text import without_passwords
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.os_release import (
    parse_os_release,
)
from ansible_collections.mailgate.qmail.plugins.plugin_utils.controller_cache import cache_path

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text may be a template

    def trust_as_template(value):
        return value


COLLECTION = collection_version.COLLECTION
REQUIREMENTS = os.path.join(COLLECTION, "roles", "qmailadmin", "files", "requirements.txt")
TIMEOUT_SECONDS = 30
DATABASES = ("main", "daily", "bytecode")
# What a gateway installs beside what playbooks/gateway.yml does: gpg of an encrypted backup.
ALSO = [("backup", "main", [])]
ARGUMENT_SPEC = {
    "state": {"type": "str", "required": True, "choices": ["named", "made", "taken"]},
    "path": {"type": "path", "default": ""},
    "directory": {"type": "path", "default": ""},
    "release": {"type": "str", "default": ""},
    "machine": {"type": "str", "default": ""},
    "recipes": {"type": "list", "elements": "dict", "default": []},
    "wheels": {"type": "bool", "default": True},
    "wheels_directory": {"type": "path", "default": ""},
    "freshclam": {"type": "dict", "default": {}},
    "signatures": {"type": "path", "default": ""},
    "channel": {"type": "str", "default": ""},
    "rules": {"type": "path", "default": ""},
    "packages": {"type": "bool", "default": False},
    "apt_sources": {"type": "list", "elements": "str", "default": []},
    "leave_out": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": ["rules", "signatures", "wheels"],
    },
}

display = Display()


def trusted(value):
    """Return a value of the collection's own files whose texts may be templates."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, list):
        return [trusted(one) for one in value]
    return value


def tasks_of(role, file):
    """Return the tasks of a role's file."""
    path = os.path.join(COLLECTION, "roles", role, "tasks", f"{file}.yml")
    with open(path, encoding="utf-8") as stream:
        return yaml_load(stream.read()) or []


def run(argv, what, **options):
    """Run a program of the controller and return its output; raises BadInput with its last words."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )
    if done.returncode != 0:
        said = without_passwords((done.stderr or done.stdout).strip())[-1000:]
        raise BadInput(f"{what}: {argv[0]} ended with status {done.returncode}; expected 0: {said}")
    return done.stdout


def own_platform():
    """Return the release and the machine of the controller, if it runs Debian; else none."""
    with contextlib.suppress(OSError), open("/etc/os-release", encoding="utf-8") as stream:
        found = parse_os_release(stream.read())
        if found.get("ID") == "debian" and found.get("VERSION_ID"):
            return found["VERSION_ID"], os.uname().machine
    return "", ""


def pinned_wheels():
    """Return the sha256 of each requirement of the operators' screen, with its name."""
    with open(REQUIREMENTS, encoding="utf-8") as stream:
        found = re.findall(
            r"^(\S+==\S+) \\\n((?:\s+--hash=sha256:[0-9a-f]{64}[ \\\n]*)+)", stream.read(), re.M
        )
    return {name: set(re.findall("[0-9a-f]{64}", hashes)) for name, hashes in found}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        validated = ArgumentSpecValidator(ARGUMENT_SPEC).validate(dict(self._task.args))
        if validated.error_messages:
            raise AnsibleActionFail(f"bundle: {'; '.join(validated.error_messages)}")
        self._params = validated.validated_parameters
        self._causes, self._cache = [], cache_path()
        try:
            result.update(getattr(self, f"_{self._params['state']}")())
        except MailgateError as error:
            raise AnsibleActionFail(without_passwords(str(error))) from error
        return result

    @property
    def _platform(self):
        own = own_platform()
        release, machine = self._params["release"] or own[0], self._params["machine"] or own[1]
        if not release or not machine:
            raise BadInput(
                "bundle_release, bundle_machine: not set; expected the hosts', such as 12 and x86_64"
            )
        if not re.fullmatch("[0-9]+", release) or not re.fullmatch("[a-z0-9_]+", machine):
            raise BadInput(
                f"bundle_release, bundle_machine: {release!r}, {machine!r}; expected 12 and x86_64"
            )
        return bundle.Platform("debian", release, machine)

    # -- the platform's facts, for what the roles' variables say of it

    def _named(self):
        platform = self._platform
        facts = {
            "distribution": "Debian",
            "distribution_major_version": platform.release,
            "architecture": platform.machine,
            "service_mgr": "systemd",
            "fqdn": "localhost",
        }
        return {"changed": False, "ansible_facts": facts}

    def _wanted_packages(self):
        """Return the names of all packages that the site's roles install."""
        with open(os.path.join(COLLECTION, "playbooks", "gateway.yml"), encoding="utf-8") as stream:
            roots = [one for play in yaml_load(stream.read()) for one in role_packages.roles_of(play)]
        names = set()
        for role, file, when in [*roots, *ALSO]:
            if self._holds(when):
                for given in role_packages.packages(role, file, tasks_of, self._holds):
                    found = self._templar.template(trusted(given))
                    names.update(found.get("packages") or () if isinstance(found, dict) else found)
        return sorted(names)

    def _holds(self, when):
        """Return whether conditions hold; what only a run knows is taken for true."""
        for condition in when if isinstance(when, list) else [when]:
            text = "{{ (" + str(condition) + ") | bool }}"
            try:
                found = self._templar.template(trusted(text))
            except Exception:  # of a task that was not run
                continue
            if str(found).lower() == "false":
                return False
        return True

    # -- taking

    def _taken(self):
        path = os.path.abspath(os.path.expanduser(self._params["path"]))
        manifest, place = bundle.take(path, self._cache)

        def directory(kind):
            return os.path.join(place, kind) if manifest.of_kind(kind) else ""

        archives = [name for name in manifest.of_kind("rules") if name.endswith(".tar.gz")]
        found = {
            "path": path,
            "platform": str(manifest.platform),
            "sha256": manifest.digest(),
            "wheels": directory("wheels"),
            "signatures": directory("signatures"),
            "rules": os.path.join(place, archives[0]) if archives else "",
            "packages": directory("packages"),
            "lacks": [],
        }
        if found["packages"] and self._params["packages"]:
            index = os.path.join(place, "packages", packages.INDEX)
            with open(index, encoding="utf-8") as stream:
                known = {one.name for one in packages.stanzas(stream.read(), index)}
            found["lacks"] = [name for name in self._wanted_packages() if name not in known]
        return {"changed": False, "bundle": found, "contents": bundle.names_of(manifest)}

    # -- making

    def _made(self):
        platform = self._platform
        directory = os.path.abspath(os.path.expanduser(self._params["directory"]))
        target = os.path.join(directory, bundle.file_name(platform))
        if self._task.check_mode:
            return {"changed": True, "path": target, "contents": []}
        os.makedirs(directory, exist_ok=True)
        with self._work_directory() as work:
            steps = {
                "archives": functools.partial(self._sources, platform),
                "wheels": functools.partial(self._wheels, work),
                "signatures": functools.partial(self._signatures, work),
                "rules": functools.partial(self._rules, work),
                "packages": functools.partial(self._packages, work, platform),
            }
            files = {}
            for name, step in steps.items():
                try:
                    files.update(step())
                except (MailgateError, OSError) as error:
                    self._causes.append(f"{name}: {error}")
            if self._causes:
                raise BadInput("\n".join([f"bundle {target}: not made; nothing was changed", *self._causes]))
            version = collection_version.version(collection_version.COLLECTION)
            manifest = bundle.describe(platform, version if isinstance(version, str) else "", files)
            same = bundle.is_whole(target, manifest)
            if not same:
                self._say(f"writing {target}")
                bundle.write(target, manifest, files)
        digest = file_sha256(target)
        contents = bundle.names_of(manifest)
        return {"changed": not same, "path": target, "sha256": digest, "contents": contents}

    @contextlib.contextmanager
    def _work_directory(self):
        """Yield an empty directory of the cache; one that an interrupted run left is emptied."""
        os.makedirs(self._cache, exist_ok=True)
        try:
            lock = locks.acquire(os.path.join(self._cache, ".making.lock"))
        except BlockingIOError as error:
            raise BadInput(
                f"cache {self._cache}: another run makes a bundle; expected one at a time"
            ) from error
        work = os.path.join(self._cache, "making")
        try:
            shutil.rmtree(work, ignore_errors=True)
            os.mkdir(work)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(lock)

    @staticmethod
    def _say(what):
        display.display(f"bundle: {what}")

    @staticmethod
    def _get(url):
        with contextlib.closing(open_url(url, timeout=TIMEOUT_SECONDS, decompress=False)) as response:
            return response.read()

    def _apt_lines(self, platform):
        given = self._params["apt_sources"]
        if given:
            return given
        form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(TRUSTED)"
        argv = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
        try:
            return packages.sources(run(argv, "apt"), platform.release)
        except OSError:
            return []

    def _sources(self, platform):
        """Return the archives, one of each; those that are not in the cache are fetched into it."""
        cache = os.path.join(self._cache, "sources")
        os.makedirs(cache, exist_ok=True)
        lines, files = self._apt_lines(platform), {}
        for wanted in planning.archives_of(self._params["recipes"]):
            chosen, causes = self._source(wanted["sources"], cache, lines)
            if chosen:
                place = chosen.get("url") or f"pool {chosen['pool']}"
                what = f"{wanted['name']}, {without_passwords(place)}"
                files[f"sources/{chosen['sha256']}"] = (os.path.join(cache, chosen["sha256"]), what)
                continue
            paths = dict.fromkeys(os.path.join(cache, one["sha256"]) for one in wanted["sources"])
            instead = [f"put the file at {path}" for path in paths]
            instead += [f"set {wanted['instead']}"] if wanted.get("instead") else []
            lines_of = [f"source of {wanted['name']}: cannot be fetched", *causes, *instead]
            self._causes.append("\n  ".join(lines_of))
        return files

    def _source(self, sources, cache, lines):
        """Return which of an archive's sources is in the cache now, or None and why none could be fetched."""
        for one in sources:
            path = os.path.join(cache, one["sha256"])
            if os.path.isfile(path) and file_sha256(path) == one["sha256"]:
                return one, []
        opener = functools.partial(open_url, timeout=TIMEOUT_SECONDS, decompress=False)
        causes = []
        for one in sources:
            urls = packages.pool_urls(lines, one["pool"]) if one.get("pool") else [one["url"]]
            if not urls:
                causes.append(f"{one['pool']}: no source of apt is known; set bundle_apt_sources")
            for url in urls:
                self._say(f"fetching {without_passwords(url)}")
                try:
                    build_host.download(opener, url, os.path.join(cache, one["sha256"]), one["sha256"])
                    return one, []
                except MailgateError as error:
                    causes.append(f"{url}: {error}")
        return None, causes

    def _wheels(self, work):
        """Return the wheels that the operators' screen pins; of its own directory, or fetched by pip."""
        given = self._params["wheels_directory"]
        if not self._params["wheels"] or "wheels" in self._params["leave_out"]:
            return {}
        place = given or os.path.join(work, "wheels")
        if not given:
            self._say("fetching wheels")
            pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "-d", place]
            pins = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", REQUIREMENTS]
            run([*pip, *pins], "wheels (or set qmailadmin_wheels, or qmailadmin_enabled: false)")
        paths = [os.path.join(place, name) for name in sorted(os.listdir(place))]
        found = {file_sha256(path): os.path.basename(path) for path in paths if os.path.isfile(path)}
        files = {}
        for name, hashes in pinned_wheels().items():
            there = sorted(hashes & set(found))
            if not there:
                raise BadInput(f"{place}: has no wheel of {name}; expected one of the pinned sha256")
            file = found[there[0]]
            files[f"wheels/{file}"] = (os.path.join(place, file), f"wheel of {name}")
        return files

    def _signatures(self, work):
        """Return ClamAV's official databases, of a directory or from the controller's freshclam."""
        given, settings = self._params["signatures"], self._params["freshclam"]
        if "signatures" in self._params["leave_out"] or not (given or settings):
            return {}
        place = given or os.path.join(work, "signatures")
        if not given:
            program = shutil.which(
                "freshclam", path=f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/usr/sbin"
            )
            if program is None:
                raise BadInput(
                    "freshclam is not on the controller; expected it (apt install clamav-freshclam), or"
                    " bundle_signatures: a directory with main.cvd, daily.cvd and bytecode.cvd, or"
                    " bundle_leave_out: [signatures]"
                )
            os.mkdir(place)
            configuration = os.path.join(work, "freshclam.conf")
            with open(configuration, "w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(freshclam_settings(settings, place))
            self._say("fetching ClamAV's signatures")
            run([program, f"--config-file={configuration}", "--stdout"], "signatures")
        files = {}
        for name in DATABASES:
            path = os.path.join(place, f"{name}.cvd")
            with open(path, "rb") as stream:
                head = stream.read(512)
                digest = hashlib.md5(stream.read(), usedforsecurity=False).hexdigest()
            fields = head.split(b":")
            if (
                fields[0] != b"ClamAV-VDB"
                or len(fields) < 8
                or fields[5].decode("ascii", "replace") != digest
            ):
                raise BadInput(f"{path}: is not a whole database of ClamAV; expected what freshclam fetches")
            what = f"signatures of ClamAV, {name} {fields[2].decode('ascii', 'replace')}"
            files[f"signatures/{name}.cvd"] = (path, what)
        return files

    def _rules(self, work):
        """Return SpamAssassin's rules of today: an archive of the controller, or the channel's."""
        given, channel = self._params["rules"], self._params["channel"]
        if "rules" in self._params["leave_out"] or not (given or channel):
            return {}
        if given:
            there = [f"{given}{suffix}" for suffix in ("", ".asc", ".sha256", ".sha512")]
            paths = [path for path in there if os.path.exists(path)]
            if not given.endswith(".tar.gz") or given not in paths:
                raise BadInput(
                    f"bundle_rules: {given} is not there or no .tar.gz; expected an update's archive"
                )
            return {f"rules/{os.path.basename(path)}": (path, "rules of SpamAssassin") for path in paths}
        self._say("fetching SpamAssassin's rules")
        try:
            with open("/etc/resolv.conf", encoding="utf-8") as stream:
                servers = rule_channel.name_servers(stream.read())
            ask = functools.partial(rule_channel.ask_txt, servers=servers)
            fetched = rule_channel.fetch(channel, ask, self._get)
        except Exception as error:  # of the network
            instead = (
                "bundle_rules: an update's .tar.gz with its .asc and .sha256, or bundle_leave_out: [rules]"
            )
            raise BadInput(f"{error}; or set {instead}") from error
        files = {}
        for name, content in fetched.items():
            path = os.path.join(work, name)
            with open(path, "wb") as stream:
                stream.write(content)
            files[f"rules/{name}"] = (path, f"rules of SpamAssassin, {channel}")
        return files

    def _packages(self, work, platform):
        """Return the distribution's packages with all that they depend on, and their index."""
        if not self._params["packages"]:
            return {}
        lines = self._apt_lines(platform)
        if not lines:
            raise BadInput(
                "no source of apt is known here; expected bundle_apt_sources: lines of sources.list"
            )
        place = os.path.join(work, "apt")
        os.mkdir(place)
        configuration = packages.prepare(place, lines, platform.machine, os.path.join(place, "status"))
        get = ["apt-get", "-c", configuration, "-q"]
        wanted = [*packages.STANDARD, *self._wanted_packages()]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        hint = "packages (or set bundle_apt_sources)"
        self._say(f"fetching packages of Debian {platform.release}")
        run([*get, "update"], hint, env=environment)
        install = ["-y", "--download-only", "--no-install-recommends", "install", *wanted]
        simulated = packages.simulated(run([*get, "-s", *install], hint, env=environment))
        run([*get, *install], hint, env=environment)
        shown = run(
            ["apt-cache", "-c", configuration, "show", "--no-all-versions", *simulated], hint, env=environment
        )
        found = {one.name: one for one in packages.stanzas(shown, "apt-cache")}
        files = {}
        for one in (found[name] for name in simulated):
            path = os.path.join(place, "archives", packages.archive_name(one, platform.machine))
            files[f"packages/{one.file}"] = (path, f"package {one.name} {one.version}")
        index = os.path.join(work, packages.INDEX)
        with open(index, "w", encoding="utf-8") as stream:
            stream.write(packages.index([found[name] for name in simulated]))
        files[f"packages/{packages.INDEX}"] = (index, "index of the packages")
        return files


def freshclam_settings(given, directory):
    """Return freshclam's settings for whole databases in the directory, by those of the site."""
    left_out = ("DatabaseDirectory", "DatabaseOwner", "NotifyClamd", "Checks")
    values = {key: value for key, value in given.items() if key not in left_out}
    values.update(DatabaseDirectory=directory, DatabaseOwner="root", ScriptedUpdates="no")
    lines = []
    for key, value in sorted(values.items()):
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"{key} {one}")
    return "\n".join([*lines, ""])
