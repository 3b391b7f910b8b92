"""Two bare containers and a controller with a cache of its own, for the tests of source_build."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Union

IMAGE = os.environ.get("MAILGATE_TEST_IMAGE", "mailgate-base:bookworm")
ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible" / "collections"


def tarball(path: Path, files: dict[str, str], *others: tarfile.TarInfo, kind: str = "gz") -> str:
    """Write an archive of hello-1.0/ with these files and further members; return its sha256."""
    with tarfile.open(path, mode=f"w:{kind}") as tar:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(f"hello-1.0/{name}")
            info.size, info.mode = len(text.encode()), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in others:
            tar.addfile(info)
    return hashlib.sha256(path.read_bytes()).hexdigest()


NOT_RECIPE = {"_check", "cache", "keep_archive", "repository"}
Task = Union[dict[str, Any], str]


def _task(one: Task) -> dict[str, Any]:
    if isinstance(one, str):
        return {"raw": one, "check_mode": False}
    arguments = {"recipe": {key: value for key, value in one.items() if key not in NOT_RECIPE}}
    arguments.update((key, one[key]) for key in ("cache", "keep_archive", "repository") if key in one)
    return {"mailgate.qmail.source_build": arguments, **({"check_mode": True} if "_check" in one else {})}


class Bed:
    """The controller's side: a directory for archives, a cache, and two hosts named by their containers."""

    def __init__(self, directory: Path, hosts: list[str]) -> None:
        self.directory = directory
        self.cache = directory / "cache"
        self.first, self.second = hosts
        self.served = directory / "served"
        self.served.mkdir()
        (directory / "ansible.cfg").write_text("[defaults]\n")
        self.sha256 = tarball(self.served / "hello.tar.gz", {"hello.in": "hello from @WHO@\n"})

    def project(self, name: str, **changed: Any) -> dict[str, Any]:
        """Return a task that builds /usr/local/bin/<name> with only a shell."""
        task = {
            "name": name,
            "version": "1.0",
            "archives": [{"sources": [{"url": f"file://{self.served}/hello.tar.gz", "sha256": self.sha256}]}],
            "build": [["sh", "-c", 'sed "s/@WHO@/$(id -un)/" hello.in > out']],
            "install": [["sh", "-c", f"cp out /usr/local/bin/{name} && chmod 755 /usr/local/bin/{name}"]],
            "artifacts": [f"/usr/local/bin/{name}"],
        }
        return {**task, **changed}

    def play(self, host: str, *tasks: Task, check: bool = False, **environment: str) -> list[Any]:
        """Return the results of the tasks on one host; see plays."""
        return self.plays((host, tasks), check=check, **environment)

    def plays(self, *plays: tuple[str, Sequence[Task]], check: bool = False, **environment: str) -> list[Any]:
        """Return the results of all tasks of the plays, in order, from one run of ansible-playbook.

        A dict is a task of source_build, with _check in check mode; a failing one does not stop the next. A
        string is a shell script; it returns its output.
        """
        book = [
            {
                "hosts": host,
                "gather_facts": False,
                "ignore_errors": True,
                "tasks": [_task(one) for one in tasks],
            }
            for host, tasks in plays
        ]
        playbook = self.directory / "play.json"
        playbook.write_text(json.dumps(book))
        names = dict.fromkeys(host for host, _tasks in plays)
        program = shutil.which("ansible-playbook") or str(Path(sys.executable).parent / "ansible-playbook")
        done = subprocess.run(
            [program, "-i", "".join(f"{name}," for name in names), "--diff",
             *(["--check"] if check else []), str(playbook)],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_TRANSPORT": "community.docker.docker",
                "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "MAILGATE_CACHE": str(self.cache),
                **environment,
            },
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if "\n{" not in "\n" + done.stdout:
            raise RuntimeError(done.stdout + done.stderr)
        report = json.loads(done.stdout[("\n" + done.stdout).index("\n{") :])
        results = [next(iter(task["hosts"].values())) for play in report["plays"] for task in play["tasks"]]
        for result in results:
            if result.get("action") == "raw" and result["rc"] != 0:
                raise RuntimeError(result)
        return [result["stdout"] if result.get("action") == "raw" else result for result in results]

    def shell(self, host: str, script: str) -> str:
        done = subprocess.run(
            ["docker", "exec", host, "sh", "-c", script], capture_output=True, text=True, check=True
        )
        return done.stdout

    def listing(self, host: str) -> str:
        """Return everything below the paths that source_build may touch, with times of change."""
        places = "/usr/local /var/lib/mailgate /var/lib/apt /var/cache/apt /srv /etc"
        return self.shell(host, f"find {places} -printf '%p %s %m %u %C@\\n' 2>/dev/null | sort")

    @contextlib.contextmanager
    def web(self) -> Iterator[str]:
        """Serve `served` over HTTP; the block gets the URL."""

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(self.served))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def bed(directory: Path) -> Iterator[Bed]:
    hosts = [f"mt-sb-{os.getpid()}-{side}" for side in ("first", "second")]
    try:
        for host in hosts:
            subprocess.run(
                ["docker", "run", "-d", "--init", "--name", host, IMAGE, "sleep", "infinity"],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        yield Bed(directory, hosts)
    finally:
        for host in hosts:
            subprocess.run(["docker", "rm", "-f", host], check=False, capture_output=True)
