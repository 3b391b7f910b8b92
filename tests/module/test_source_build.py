"""source_build through ansible-playbook, on real hosts: first run, second run, and refusals."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module
from support.source_build_hosts import Bed, bed, tarball

DOCKER = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DOCKER, reason="docker is not there: source_build is tested on containers"),
]
MISSING = "file:///nowhere/hello.tar.gz"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with bed(tmp_path_factory.mktemp("source_build")) as made:
        yield made


def sources(*places: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"sources": list(places)}]


def test_built_once_predicted_and_repaired(hosts: Bed) -> None:
    task = hosts.project("hello")
    before = hosts.listing(hosts.first)
    (check,) = hosts.play(hosts.first, task, check=True)
    assert hosts.listing(hosts.first) == before
    assert not hosts.cache.exists()

    run, again, content, left, _dummy, check_evil, repaired, third, mended = hosts.play(
        hosts.first,
        task,
        task,
        "cat /usr/local/bin/hello",
        "cd /var/lib/mailgate; ls build built; stat -c '%n %a %U' . stamps/* log/*",
        "echo evil > /usr/local/bin/hello; chmod 4755 /usr/local/bin/hello",
        {**task, "_check": True},
        task,
        {**task, "_check": True},
        "cat /usr/local/bin/hello; stat -c %a /usr/local/bin/hello",
    )
    assert (check["changed"], run["changed"], run["method"]) == (True, True, "built")
    assert check["diff"] == run["diff"]
    assert check["diff"]["before"] == ""
    assert json.loads(check["diff"]["after"])["name"] == "hello"
    assert run["recipe_hash"] == check["recipe_hash"]
    place = {"directory": ".", "place": task["archives"][0]["sources"][0]["url"], "sha256": hosts.sha256}
    assert run["source"] == [{**place, "via": "controller"}]
    assert run["log"] == "/var/lib/mailgate/log/hello.log"
    assert content == "hello from mailgate-build\n"
    assert left == "build:\n\nbuilt:\n. 755 root\nstamps/hello.json 644 root\nlog/hello.log 644 root\n"

    evil, good = (hashlib.sha256(text).hexdigest() for text in (b"evil\n", b"hello from mailgate-build\n"))
    assert check_evil["diff"] == repaired["diff"] == {
        "before": f"/usr/local/bin/hello: file 4755 0:0 sha256 {evil}\n",
        "after": f"/usr/local/bin/hello: file 0755 0:0 sha256 {good}\n",
    }  # fmt: skip
    assert (repaired["method"], mended) == ("restored", "hello from mailgate-build\n755\n")
    for result in (again, third):
        assert (result["changed"], result["method"], result.get("diff")) == (False, "unchanged", None)
        assert result["source"] == run["source"]


def test_a_failing_step_is_named(hosts: Bed) -> None:
    say = "seq -f 'line %.0f' 40; exit 3"
    result, missing, absent = hosts.play(
        hosts.first,
        hosts.project("sick", build=[["sh", "-c", say]]),
        hosts.project("sick", build=[["nosuch"]]),
        hosts.project("sick", install=[["true"]]),
    )
    lines = "\n".join(f"line {number}" for number in range(11, 41))
    assert result["msg"] == (
        f"build of sick: ['sh', '-c', \"{say}\"] ended with exit status 3; expected exit status 0;"
        f" log /var/lib/mailgate/log/sick.log, last lines:\n{lines}"
    )
    assert result["log"] == "/var/lib/mailgate/log/sick.log"
    assert missing["msg"] == (
        "build of sick: ['nosuch'] cannot be started: [Errno 2] No such file or directory: 'nosuch';"
        " expected a command"
    )
    assert absent["msg"] == (
        "install of sick: ['/usr/local/bin/sick'] not there afterwards; expected every artifact"
    )


def test_an_install_killed_halfway_is_repaired(hosts: Bed) -> None:
    """The first time the step kills the module itself, the second time it succeeds."""
    stop = "test -e /srv/go || { kill -9 $PPID; exit; }"
    step = f"echo half > /usr/local/bin/killed; {stop}; cp out /usr/local/bin/killed"
    task = hosts.project("killed", install=[["sh", "-c", step]])
    earlier = {**task, "version": "0.9", "install": [["cp", "out", "/usr/local/bin/killed"]]}
    first, killed, half, _dummy, run, again, whole = hosts.play(
        hosts.first,
        earlier,
        task,
        "cd /var/lib/mailgate; cat /usr/local/bin/killed; ls stamps/killed.json 2>&1; ls build | wc -l",
        "touch /srv/go",
        task,
        task,
        "cat /usr/local/bin/killed; ls /var/lib/mailgate/build",
    )
    assert (first["method"], killed["failed"], run["method"], again["method"]) == (
        "built",
        True,
        "built",
        "unchanged",
    )
    missing = "ls: cannot access 'stamps/killed.json': No such file or directory"
    assert half == f"half\n{missing}\n1\n"
    assert whole == "hello from mailgate-build\n"


def test_the_next_host_restores_owners_modes_links_and_skeleton(hosts: Bed) -> None:
    look = (
        "cd / && stat -c '%n %F %a %u:%g %N' usr/local/bin/guarded opt/guarded opt/guarded/link"
        " opt/guarded/pipe srv/spool srv/spool/sub srv/spool/trigger srv/spool/counter opt usr/local/bin"
    )
    steps = [
        "mkdir -p /opt/guarded /srv/spool/sub; cp out /usr/local/bin/guarded",
        "chown 4321:4322 /usr/local/bin/guarded; chmod 6711 /usr/local/bin/guarded",
        "ln -sfn /usr/local/bin/guarded /opt/guarded/link",
        "test -p /opt/guarded/pipe || mkfifo /opt/guarded/pipe",
        "chown 4321 /srv/spool /srv/spool/sub; chmod 700 /srv/spool/sub",
        "test -p /srv/spool/trigger || mkfifo -m 622 /srv/spool/trigger",
        "test -e /srv/spool/counter || echo 0 > /srv/spool/counter; echo junk > /srv/spool/sub/unrecorded",
        "chmod 2755 /usr/local/bin",
    ]
    task = hosts.project(
        "guarded",
        install=[["sh", "-ec", step] for step in steps],
        artifacts=["/usr/local/bin/guarded", "/opt/guarded"],
        skeleton=["/srv/spool", "/srv/spool/counter"],
        ids={"users": ["keeper"], "groups": ["keepers"]},
        directory_modes={"/usr/local/bin": "0755"},
    )
    arrive = "mkdir -p /srv/spool/sub; cd /srv/spool; echo 7 > counter; echo mail > sub/mail; chmod 600 c*"
    people = "groupadd -g 4322 keepers; useradd -u 4321 -g keepers keeper"
    spool = "cat /srv/spool/counter /srv/spool/sub/mail"
    (
        check, nobody, _dummy, built, seen_built, _dummy,
        _dummy, restored, again, seen, mail, left, _dummy, repaired, last, mended,
        rebuilt, kept,
    ) = hosts.plays(
        (hosts.first, [
            {**task, "_check": True},
            task,
            people,
            task,
            look,
            "echo 5 > /srv/spool/counter; echo letter > /srv/spool/sub/mail",
        ]),
        (hosts.second, [
            f"{people}; {arrive}",
            task,
            task,
            look,
            f"{spool}; ls /srv/spool/sub",
            "ls /var/lib/mailgate; getent passwd mailgate-build || echo nobody",
            "chmod 755 /srv/spool/sub; rm /srv/spool/trigger /srv/spool/counter",
            task,
            task,
            spool,
        ]),
        (hosts.first, [{**task, "version": "1.1"}, spool]),
    )  # fmt: skip
    assert json.loads(check["diff"]["after"])["ids"] == {
        "groups": {"keepers": None},
        "users": {"keeper": None},
    }
    assert nobody["msg"] == "ids.users: ['keeper'] missing on this host; expected them to be made before"
    assert (built["method"], restored["method"], again["method"]) == ("built", "restored", "unchanged")
    assert restored["source"] == built["source"]
    assert seen == seen_built
    assert "usr/local/bin directory 755 0:0" in seen
    assert "usr/local/bin/guarded regular file 6711 4321:4322" in seen
    assert (mail, left) == ("7\nmail\nmail\n", "build.lock\nstamps\nnobody\n")

    assert (repaired["method"], last["method"]) == ("restored", "unchanged")
    assert repaired["diff"]["before"].splitlines() == [
        "/srv/spool/counter: absent", "/srv/spool/sub: directory 0755 4321:0", "/srv/spool/trigger: absent",
    ]  # fmt: skip
    assert mended == "0\nmail\n"
    assert (rebuilt["method"], kept) == ("built", "5\nletter\n")


def test_a_cached_build_that_is_not_what_it_says_is_not_used(hosts: Bed) -> None:
    """Damage is found by the controller; an archive of another recipe with a right checksum by the host."""
    corrupt, first, other = (
        hosts.project("corrupt"),
        hosts.project("claim"),
        hosts.project("claim", version="6"),
    )
    built, claimed, wanted = hosts.play(hosts.first, corrupt, first, {**other, "_check": True})
    builds = hosts.cache / "builds"
    kept, about = builds / f"{built['recipe_hash']}.tar.gz", builds / f"{built['recipe_hash']}.json"
    good = kept.read_bytes()
    assert json.loads(about.read_text()) == {
        "name": "corrupt", "version": "1.0", "recipe_hash": built["recipe_hash"],
        "sha256": hashlib.sha256(good).hexdigest(), "size": len(good),
    }  # fmt: skip
    kept.write_bytes(good + b"x")
    for end in (".tar.gz", ".json"):
        shutil.copy(builds / f"{claimed['recipe_hash']}{end}", builds / f"{wanted['recipe_hash']}{end}")

    run, another = hosts.play(hosts.second, corrupt, other)
    assert (run["method"], another["method"]) == ("built", "built")
    found = hashlib.sha256(good + b"x").hexdigest()
    expected = hashlib.sha256(good).hexdigest()
    assert run["warnings"] == [
        f"cached build {kept}: sha256 {found!r} is wrong; expected {expected!r}: the cached file is ignored"
    ]
    assert another["warnings"] == [
        f"cached build {builds}/{wanted['recipe_hash']}.tar.gz: archive of what was built:"
        f" recipe {claimed['recipe_hash']!r} is another; expected {wanted['recipe_hash']!r}:"
        " the cached file is ignored"
    ]
    assert kept.read_bytes() == good  # the same recipe and source give the same bytes


def test_sources_that_cannot_be_had_are_named(hosts: Bed) -> None:
    wrong = f"file://{hosts.served}/hello.tar.gz"
    first, second = "1" * 64, "2" * 64
    task = hosts.project(
        "nowhere",
        archives=sources({"url": MISSING, "sha256": first}, {"url": wrong, "sha256": second}),
        package_method="nowhere_install_method: package",
    )
    (run,) = hosts.play(hosts.first, task)
    missing = "[Errno 2] No such file or directory: "
    assert run["msg"] == (
        "source of nowhere 1.0: not available; expected one of these places\n"
        f"  {MISSING} from the controller: <urlopen error {missing}'/nowhere/hello.tar.gz'>\n"
        f"  {MISSING} from the host: <urlopen error {missing}'/nowhere/hello.tar.gz'>\n"
        f"  {wrong} from the controller: sha256 '{hosts.sha256}' is wrong; expected '{second}'\n"
        f"  {wrong} from the host: <urlopen error {missing}'{hosts.served}/hello.tar.gz'>\n"
        f"put the file at {hosts.cache}/sources/{first}\n"
        f"put the file at {hosts.cache}/sources/{second}\n"
        "or install the distribution's package with nowhere_install_method: package"
    )
    assert not (hosts.cache / "sources" / second).exists()


def test_sources_by_hand_from_the_host_and_from_a_mirror(hosts: Bed) -> None:
    sums = {
        name: tarball(hosts.served / name, {"hello.in": f"{name} @WHO@\n"})
        for name in ("hand", "host", "pool")
    }
    (hosts.cache / "sources").mkdir(parents=True, exist_ok=True)
    shutil.move(hosts.served / "hand", hosts.cache / "sources" / sums["hand"])
    subprocess.run(["docker", "cp", hosts.served / "host", f"{hosts.first}:/srv/only.tar.gz"], check=True)
    pool = hosts.served / "debian/pool/main/h/hello/hello_1.0.orig.tar.gz"
    pool.parent.mkdir(parents=True)
    shutil.move(hosts.served / "pool", pool)
    apt = hosts.directory / "apt"
    (apt / "sources.list.d").mkdir(parents=True)
    with hosts.web() as url:
        (apt / "sources.list").write_text(f"deb [trusted=yes] {url}/empty bookworm main\n")
        (apt / "sources.list.d/x.sources").write_text(
            f"Types: deb\nURIs: {url}/debian\nSuites: x\nComponents: main\n"
        )
        (apt / "apt.conf").write_text(f'Dir::Etc "{apt}/";\n')
        runs = hosts.play(
            hosts.first,
            hosts.project("hand", archives=sources({"url": MISSING, "sha256": sums["hand"]})),
            hosts.project(
                "host", archives=sources({"url": "file:///srv/only.tar.gz", "sha256": sums["host"]})
            ),
            hosts.project(
                "pool",
                archives=sources({"pool": "main/h/hello/hello_1.0.orig.tar.gz", "sha256": sums["pool"]}),
            ),
            hosts.project("web", archives=sources({"url": f"{url}/hello.tar.gz", "sha256": hosts.sha256})),
            APT_CONFIG=str(apt / "apt.conf"),
        )
    assert [run.get("msg") for run in runs] == [None] * 4
    assert [run["source"][0]["via"] for run in runs] == ["cache", "host", "controller", "cache"]
    assert runs[2]["source"][0]["place"] == "pool main/h/hello/hello_1.0.orig.tar.gz"
    for name in ("hand", "host", "pool"):
        assert hosts.shell(hosts.first, f"cat /usr/local/bin/{name}") == f"{name} mailgate-build\n"
        kept = (hosts.cache / "sources" / sums[name]).read_bytes()
        assert hashlib.sha256(kept).hexdigest() == sums[name]
    assert hosts.shell(hosts.first, "ls /var/lib/mailgate") == "build\nbuild.lock\nbuilt\nlog\nstamps\n"


def test_evil_archives_are_refused(hosts: Bed) -> None:
    def member(name: str, link: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
        return info

    evil = {
        "absolute": member("/srv/evil"),
        "upwards": member("hello-1.0/../../evil"),
        "link": member("hello-1.0/out", "/srv"),
    }
    places = []
    for name, info in evil.items():
        digest = tarball(hosts.served / f"{name}.tar.gz", {"a": ""}, info)
        places.append({"url": f"file://{hosts.served}/{name}.tar.gz", "sha256": digest})
    plain = tarball(hosts.served / "plain.tar", {"a": ""}, kind="")
    places.append({"url": f"file://{hosts.served}/plain.tar", "sha256": plain})
    runs = hosts.play(hosts.first, *(hosts.project("evil", archives=sources(place)) for place in places))
    at = f"archive file://{hosts.served}"
    assert [run["msg"] for run in runs] == [
        f"{at}/absolute.tar.gz: member '/srv/evil' is absolute; expected a relative path",
        f"{at}/upwards.tar.gz: member 'hello-1.0/../../evil' leads upwards; expected a path without '..'",
        f"{at}/link.tar.gz: symbolic link 'hello-1.0/out' to '/srv' leaves the tree;"
        " expected a relative link that stays inside",
        f"{at}/plain.tar: first bytes b'hello-' are not those of a known compression;"
        " expected gzip, bzip2, xz or compress",
    ]
    assert hosts.shell(hosts.first, "ls -d /srv/evil /var/lib/mailgate/evil 2>/dev/null || true") == ""


def test_nothing_of_the_build_user_reaches_the_install_steps(hosts: Bed) -> None:
    """What the build leaves behind, a loop that rewrites the result and bits that let others in, is gone."""
    loop = "setsid sh -c 'while :; do echo evil > out; done' & chmod 4777 hello.in; env > seen; id -G >> seen"
    guard = (
        'set -e; test -z "$(find . ! -user root -o ! -type l -perm /6022)"; test "$(stat -c %a .)" = 700;'
        "if stat -c %U /proc/[0-9]* | grep mailgate; then exit 9; fi; cp out seen /usr/local/share/"
    )
    task = hosts.project(
        "guard",
        build=[["sh", "-c", "echo good > out"], ["sh", "-c", loop]],
        install=[["sh", "-c", guard]],
        artifacts=["/usr/local/share/out", "/usr/local/share/seen"],
    )
    (run,) = hosts.play(hosts.first, task)
    assert run.get("msg") is None
    assert hosts.shell(hosts.first, "cat /usr/local/share/out") in ("good\n", "evil\n", "")
    home = f"/var/lib/mailgate/build/guard-{run['recipe_hash'][:12]}"
    gid = hosts.shell(hosts.first, "id -g mailgate-build").strip()
    assert set(hosts.shell(hosts.first, "cat /usr/local/share/seen").splitlines()) == {
        f"HOME={home}", f"PWD={home}", "LC_ALL=C", "TZ=UTC", "USER=mailgate-build", gid,
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }  # fmt: skip
    (escape,) = hosts.play(
        hosts.first, hosts.project("guard", build=[["sh", "-c", "touch /usr/local/bin/x"]])
    )
    assert escape["msg"].endswith("last lines:\ntouch: cannot touch '/usr/local/bin/x': Permission denied")


def test_a_running_program_is_replaced(hosts: Bed) -> None:
    """The install step writes into the file in place, which the kernel refuses for a running program."""
    step = "cat /bin/sleep > /usr/local/bin/runner; chmod 755 /usr/local/bin/runner"
    task = hosts.project("runner", install=[["sh", "-ec", step]])
    run, pid, again, program = hosts.play(
        hosts.first,
        task,
        "setsid /usr/local/bin/runner 300 >/dev/null 2>&1 & echo $! > /srv/pid; cat /srv/pid",
        {**task, "version": "1.1"},
        "readlink /proc/$(cat /srv/pid)/exe; kill $(cat /srv/pid)",
    )
    assert (run["method"], again.get("msg"), again["method"]) == ("built", None, "built")
    assert (pid.strip().isdigit(), program) == (True, "/usr/local/bin/runner (deleted)\n")


def test_a_program_that_begins_while_it_is_installed_is_replaced(hosts: Bed) -> None:
    """As a busy host's qmail-remote does; it may not begin each time."""
    step = (
        "test ! -x /usr/local/bin/starter || for n in $(seq {times}); do test -e /srv/tries.$n && continue; "
        "setsid /usr/local/bin/starter 300 >/dev/null 2>&1 & echo $! >/srv/tries.$n; "
        "until grep -q starter /proc/$!/comm; do :; done; break; done; "
        "cat /bin/sleep > /usr/local/bin/starter; chmod 755 /usr/local/bin/starter"
    )
    twice, always = (step.format(times=times) for times in (2, 1000))
    run, again, tries, other, left = hosts.play(
        hosts.first,
        hosts.project("starter", install=[["sh", "-ec", twice]]),
        {**hosts.project("starter", install=[["sh", "-ec", twice]]), "version": "1.1"},
        "ls /srv/tries.* | wc -l; kill $(cat /srv/tries.*)",
        {**hosts.project("starter", install=[["sh", "-ec", always]]), "version": "1.2"},
        "ls /srv/tries.* | wc -l; kill $(cat /srv/tries.*) 2>/dev/null; /usr/local/bin/starter 0; echo $?",
    )
    assert (run["method"], again.get("msg"), again["method"], tries) == ("built", None, "built", "2\n")
    assert other["msg"].endswith("Text file busy")
    assert left == "22\n0\n"


def test_patches_files_and_packages(hosts: Bed, tmp_path: Path) -> None:
    patch, fuzzy, extra = tmp_path / "10-who.patch", tmp_path / "20-fuzzy.patch", tmp_path / "extra.c"
    head = "--- a/hello.in\n+++ b/hello.in\n"
    patch.write_text(f"{head}@@ -1 +1,2 @@\n hello from @WHO@\n+patched\n")
    fuzzy.write_text(f"{head}@@ -1,2 +1,3 @@\n hello from somebody\n patched\n+twice\n")
    extra.write_text("int extra;\n")
    task = hosts.project(
        "patched",
        patches=[str(patch)],
        files=[{"path": "sub/conf-cc", "content": "cc\n"}, {"path": "extra.c", "src": str(extra)}],
        build=[{"argv": ["sh", "-c", "cat ../hello.in conf-cc ../extra.c - > ../out; echo $MORE >> ../out"],
                "chdir": "sub", "environment": {"MORE": "more"}}],
        packages=["patch"],
    )  # fmt: skip
    bad, run = hosts.play(hosts.first, {**task, "patches": [str(patch), str(fuzzy)]}, task)
    assert bad["msg"].startswith(
        "patch 20-fuzzy.patch of patched: ['patch', '-p1', '-F0', '-N', '--no-backup-if-mismatch'] ended with"
        " exit status 1; expected exit status 0; log /var/lib/mailgate/log/patched.log, last lines:\n"
        "patching file hello.in\n"
    )
    assert run["method"] == "built"
    text = hosts.shell(hosts.first, "cat /usr/local/bin/patched")
    assert text == "hello from @WHO@\npatched\ncc\nint extra;\nmore\n"
    extra.write_text("int other;\n")
    (check,) = hosts.play(hosts.first, task, check=True)
    assert check["changed"]


def test_the_series_of_an_archive_comes_before_the_patches(hosts: Bed, tmp_path: Path) -> None:
    def patch(old: str, new: str) -> str:
        return f"--- a/hello.in\n+++ b/hello.in\n@@ -1 +1 @@\n-{old}\n+{new}\n"

    served = hosts.served / "series.tar.xz"
    files = {
        "patches/series": "b.diff\na.diff\n",
        "patches/b.diff": patch("hello from @WHO@", "first"),
        "patches/a.diff": patch("first", "second"),
    }
    sha256 = tarball(served, files, kind="xz")
    mine = tmp_path / "mine.patch"
    mine.write_text(patch("second", "third"))
    task = hosts.project("serial", patches=[str(mine)], series="debian/patches/series", packages=["patch"])
    more = {"directory": "debian", "sources": [{"url": f"file://{served}", "sha256": sha256}]}
    task["archives"] = [*task["archives"], more]
    missing, run = hosts.play(hosts.first, {**task, "series": "debian/nothing"}, task)
    assert "series debian/nothing: " in missing["msg"]
    assert missing["msg"].endswith("expected a file of the archives")
    assert (run.get("msg"), run["method"]) == (None, "built")
    assert hosts.shell(hosts.first, "cat /usr/local/bin/serial") == "third\n"


def test_a_step_that_never_ends_is_killed(hosts: Bed) -> None:
    steps = {
        "build": [["sh", "-c", "sleep 300 & sleep 300"]],
        "install": [["sh", "-c", "sleep 300 & sleep 300"]],
    }
    slow = hosts.project("slow", step_timeout_seconds=1)
    found = []
    for which, argv in steps.items():
        (run,) = hosts.play(hosts.first, {**slow, which: argv})
        found.append((run["failed"], run["msg"].partition(";")[0]))
    argv = ["sh", "-c", "sleep 300 & sleep 300"]
    assert found == [
        (True, f"{which} of slow: {argv!r} runs longer than 1 seconds") for which in ("build", "install")
    ]
    assert (
        hosts.shell(hosts.first, "cat /proc/[0-9]*/comm").split().count("sleep") <= 1
    )  # the container's own


def test_a_toolchain_that_is_too_old_is_named_before_anything_is_installed(hosts: Bed) -> None:
    task = hosts.project(
        "modern", toolchain=["libc6"], toolchain_minimum={"libc6": "99"}, packages=["nothing"]
    )
    (run,) = hosts.play(hosts.first, task)
    assert re.fullmatch(r"toolchain: libc6 '[0-9.]+' is too old; expected 99 or newer", run["msg"])


def test_arguments_are_refused_before_the_host_is_asked(hosts: Bed) -> None:
    unpinned = hosts.project("x", archives=sources({"url": "https://example.com/x.tar.gz"}))
    unknown = hosts.project("x", phase="build")
    first, second = hosts.play("mt-sb-nowhere", unpinned, unknown, check=True)
    assert first["msg"].endswith(
        "archives[0].sources[0]: 'https://example.com/x.tar.gz' has no sha256; expected 64 hexadecimal digits"
    )
    assert "source_build: ['recipe.phase'] unknown; expected name, version, archives," in second["msg"]


def test_the_module_alone_does_nothing(hosts: Bed) -> None:
    result = run_module("source_build", {"recipe": hosts.project("x")})
    assert result["msg"] == "source_build: called without its action plugin; expected a task of a playbook"
