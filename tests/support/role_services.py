"""The services of all roles: their run scripts as the module writes them, without a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.run_script import (
    Definition,
    Log,
    log_script,
    run_script,
)

from support.role_tasks import calls, roles

RECORDS = "/run/mailgate/started"
TEMPLATE = re.compile(r"\{\{ lookup\('mailgate\.qmail\.template', '([^']+)'\) \}\}")


class Anything(jinja2.Undefined):
    """Stands for each variable of a role: a script's shape does not depend on them."""

    def __str__(self) -> str:
        return "value"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Any:
        return iter(())

    def __getitem__(self, _key: object) -> Any:
        return self

    def __bool__(self) -> bool:
        return True


class Filters(dict):  # type: ignore[type-arg]
    """Jinja's, and for any other the value as it is."""

    def __missing__(self, _name: str) -> Any:
        return lambda value, *_words, **_more: value

    def get(self, name: str, _other: object = None) -> Any:
        return self[name]

    def __contains__(self, _name: object) -> bool:
        return True


def rendered(text: str) -> str:
    environment = jinja2.Environment(undefined=Anything, trim_blocks=True, keep_trailing_newline=True)
    environment.filters = Filters({"join": lambda value, _by="": str(value)})
    return environment.from_string(text).render(_spamassassin_client="simscan")


@dataclass(frozen=True)
class RoleService:
    """A task that runs a service; given is what the module is given, without the values of variables."""

    role: Path
    given: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.given["name"])

    @property
    def commands(self) -> str:
        """The text of `run`, still with the names of variables."""
        found = TEMPLATE.fullmatch(self.given["run"])
        return (self.role / "templates" / found.group(1)).read_text() if found else str(self.given["run"])

    @property
    def definition(self) -> Definition:
        accounts = [*self.given.get("accounts", []), *([self.given["user"]] if "user" in self.given else [])]
        directory = f"/var/lib/mailgate/supervise/{self.name}"
        names = [rendered(one) for one in accounts]
        return Definition(self.name, directory, rendered(self.commands), names)

    @property
    def scripts(self) -> dict[str, str]:
        """The scripts of the service and of its log, by what their messages begin with."""
        log = Log(f"/var/log/{self.name}", 100000, 5)
        return {
            self.name: run_script(self.definition, RECORDS),
            f"{self.name}/log": log_script(self.definition, log, RECORDS),
        }


def role_services() -> list[RoleService]:
    """Return every service that a role runs."""
    return [
        RoleService(role, given)
        for role in roles()
        for given in calls(role, "daemontools_service")
        if "run" in given
    ]
