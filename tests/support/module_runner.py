"""Run a module of the collection as Ansible does, in its own process, in a hundredth of Ansible's time."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

MODULES = "ansible_collections.mailgate.qmail.plugins.modules"


class ModuleCrashed(AssertionError):
    """The module ended without one JSON object on standard output; its text is all that it printed."""


def run_module(
    name: str, args: dict[str, Any], check: bool = False, *, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a module; return what it returned.

    The module's main() runs in a forked child, with stdin empty and both outputs caught. `failed` is always
    there, and `exit_status`, the child's. Raises ModuleCrashed when the child did not end with
    exit_json or fail_json.
    """
    # Imported by the parent, so that the children of one test file share the work.
    basic = importlib.import_module("ansible.module_utils.basic")
    module = importlib.import_module(f"{MODULES}.{name}")
    arguments = json.dumps(
        {
            "ANSIBLE_MODULE_ARGS": {
                **args,
                "_ansible_check_mode": check,
                "_ansible_diff": True,
                "_ansible_module_name": f"mailgate.qmail.{name}",
            }
        }
    ).encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _child(basic, module, arguments, out.fileno(), err.fileno(), environment or {})
        _, wait_status = os.waitpid(pid, 0)
        out.seek(0)
        err.seek(0)
        printed, complaints = out.read().decode(), err.read().decode()
    status = os.waitstatus_to_exitcode(wait_status)
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if len(lines) != 1 or (status == 0) == bool(json.loads(lines[0]).get("failed")):
        raise ModuleCrashed(f"{name} ended with {status}\nstdout:\n{printed}\nstderr:\n{complaints}")
    return {"failed": False, **json.loads(lines[0]), "exit_status": status}


def _child(
    basic: Any, module: Any, arguments: bytes, out: int, err: int, environment: dict[str, str]
) -> NoReturn:
    """Run the module and exit, whatever happens: the forked copy of pytest must not continue."""
    status = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        # pytest may have put its own objects there.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.update(environment)
        os.chdir("/")
        _be_a_managed_host()
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments, "legacy"
        module.main()
        status = 71
        print("main() returned without exit_json", file=sys.stderr)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 72
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _be_a_managed_host() -> None:
    """Undo what ansible changes in a process that loads a controller's plugins, as tests of lookups do."""
    with contextlib.suppress(ImportError):
        internal = importlib.import_module("ansible.module_utils._internal")
        internal.is_controller = False  # type: ignore[attr-defined]
        internal.get_controller_serialize_map = dict  # type: ignore[attr-defined]
        profiles = importlib.import_module("ansible.module_utils._internal._json._profiles")
        profiles._string_encoding_check_enabled = lambda: False  # type: ignore[attr-defined]


def modules() -> list[str]:
    """Return the names of all modules of the collection."""
    directory = Path(__file__).resolve().parents[2] / "plugins" / "modules"
    return sorted(path.stem for path in directory.glob("*.py") if path.stem != "__init__")
