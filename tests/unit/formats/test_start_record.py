"""The record of what a service started with: what is read, and what makes a restart owed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import start_record
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.start_record import (
    ABSENT,
    Owed,
    StartRecord,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.run_script import (
    Definition,
    Log,
    log_script,
    run_script,
)

ONE, TWO, TEXT = "1" * 64, "2" * 64, "a" * 64
RECORD = StartRecord(4711, TEXT, {"/s/run": ONE}, {"/etc/a b": ONE, "/etc/none": ABSENT}, {"/bin/p": TWO})
RENDERED = f"""\
pid 4711
text {TEXT}
run
{ONE}  /s/run
reads
{ONE}  /etc/a b
absent  /etc/none
programs
{TWO}  /bin/p
end
"""


def test_parse_and_render_are_inverses() -> None:
    assert start_record.render(RECORD) == RENDERED
    assert start_record.parse(RENDERED) == RECORD
    empty = StartRecord(1, TEXT, {}, {}, {})
    assert start_record.parse(start_record.render(empty)) == empty


@pytest.mark.parametrize("length", range(len(RENDERED)))
def test_a_record_that_was_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(BadInput):
        start_record.parse(RENDERED[:length])


@pytest.mark.parametrize(
    "bad",
    [
        RENDERED.replace("pid 4711", "pid 0"),
        RENDERED.replace("pid 4711", "pid x"),
        RENDERED.replace("reads", "run"),
        RENDERED.replace("reads\n", ""),
        RENDERED.replace(f"{ONE}  /s/run", f"{ONE} /s/run"),
        RENDERED.replace("/s/run", "s/run"),
        RENDERED.replace("run\n", "", 1),
        RENDERED.replace("end\n", ""),
        RENDERED + "end\n",
        RENDERED.replace("programs\n", "end\nprograms\n"),
        "\0" * 100,
    ],
)
def test_what_is_no_record_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="start record"):
        start_record.parse(bad)


def now(**changed: str) -> dict[str, str]:
    names = {"run": "/s/run", "a": "/etc/a b", "none": "/etc/none", "program": "/bin/p"}
    there = {**RECORD.run, **RECORD.reads, **RECORD.programs}
    return {**there, **{names[name]: content for name, content in changed.items()}}


@pytest.mark.parametrize(
    ("record", "changed", "replaced", "expected"),
    [
        (RECORD, {}, [], None),
        (None, {}, [], Owed(start_record.NOT_RECORDED)),
        (replace(RECORD, pid=4712), {}, [], Owed(start_record.NOT_RECORDED)),
        (replace(RECORD, text=ONE), {}, [], Owed("its run script changed")),
        (RECORD, {"run": TWO}, [], Owed("its run script changed")),
        (RECORD, {"run": ABSENT}, [], Owed("its run script changed")),
        (RECORD, {"a": TWO}, [], Owed("/etc/a b changed", reload_does=True)),
        (RECORD, {"a": ABSENT}, [], Owed("/etc/a b changed", reload_does=True)),
        (RECORD, {"none": ONE}, [], Owed("/etc/none changed", reload_does=True)),
        (RECORD, {"program": ONE, "a": TWO}, [], Owed("/bin/p changed")),
        (RECORD, {"a": TWO}, ["/usr/lib/libc.so.6"], Owed("/usr/lib/libc.so.6 was replaced")),
    ],
)
def test_what_makes_a_restart_owed(
    record: StartRecord | None, changed: dict[str, str], replaced: list[str], expected: Owed | None
) -> None:
    assert start_record.owed(record, 4711, TEXT, now(**changed).__getitem__, replaced) == expected


def test_a_reload_renews_the_files_alone() -> None:
    record = start_record.reloaded(RECORD, {"/etc/a b": TWO, "/etc/none": ONE})
    assert start_record.owed(record, 4711, TEXT, now(a=TWO, none=ONE).__getitem__) is None
    assert start_record.owed(record, 4711, TEXT, now(a=TWO, none=ONE, program=ONE).__getitem__) is not None


MAPS = """\
55d0c0a00000-55d0c0a02000 r--p 00000000 00:32 1571 /usr/local/bin/tcpserver (deleted)
55d0c0a02000-55d0c0a06000 r-xp 00002000 00:32 1571 /usr/local/bin/tcpserver (deleted)
7f01c2000000-7f01c2155000 r-xp 00026000 00:32 1983 /usr/lib/x86_64-linux-gnu/libc.so.6
7f01c2200000-7f01c2201000 r--p 00000000 00:32 1990 /usr/lib/locale/C.utf8/LC_CTYPE (deleted)
7f01c2300000-7f01c2301000 r-xp 00000000 00:32 1991 /opt/a library (deleted)
7f01c2300000-7f01c2301000 r-xp 00000000 00:32 1991 /opt/a library (deleted)
7f01c2400000-7f01c2401000 rwxs 00000000 00:01 1024 /dev/zero (deleted)
7f01c2500000-7f01c2501000 r-xs 00000000 00:01 1025 /memfd:pcre (deleted)
7f01c2600000-7f01c2601000 r-xp 00000000 00:32 1026 /tmp/ffiXXXX (deleted)
7ffd0b000000-7ffd0b002000 r-xp 00000000 00:00 0 [vdso]
7ffd0b100000-7ffd0b102000 rwxp 00000000 00:00 0
"""


def test_programs_and_libraries_that_were_replaced_are_found() -> None:
    assert start_record.replaced_programs(MAPS) == ["/usr/local/bin/tcpserver", "/opt/a library"]
    assert start_record.replaced_programs("") == []


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_writes_what_is_compared(tmp_path: Path, shell: str) -> None:
    """The real shell and sha256sum against our reader; the record is the process's that goes on."""
    records, read = tmp_path / "run" / "started", tmp_path / 'it\'s $HOME `x` "q"'
    read.write_text("one\n")
    texts = [str(read), f"{tmp_path}/none"]
    definition = Definition("send", str(tmp_path), "exec sh -c 'echo $$'", (), texts, [shell_path(shell)])
    script = run_script(definition, str(records))
    (tmp_path / "run.sh").write_text(script)
    (tmp_path / "run").mkdir()
    done = subprocess.run([shell, f"{tmp_path}/run.sh"], capture_output=True, text=True, check=True)
    record = start_record.parse((records / "send").read_text())
    assert (str(record.pid), record.text) == (done.stdout.strip(), start_record.text_of(script))
    assert record.reads == {path: restarts.hash_file(path) for path in texts}
    assert record.reads[texts[1]] == ABSENT != record.reads[texts[0]]
    assert record.programs == {shell_path(shell): restarts.hash_file(shell_path(shell))}
    assert [path.name for path in records.iterdir()] == ["send"]
    assert (records.stat().st_mode & 0o777, (records / "send").stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_record_that_could_not_be_written_whole_does_not_take_the_place_of_another(
    tmp_path: Path, shell: str
) -> None:
    (tmp_path / "send").write_text("the old one\n")
    (tmp_path / "send.new").symlink_to("/dev/full")
    script = run_script(Definition("send", str(tmp_path), "echo runs"), str(tmp_path))
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    assert (tmp_path / "send").read_text() == "the old one\n"
    assert done.stdout.endswith("send: what it starts with could not be recorded\nruns\n")


def shell_path(name: str) -> str:
    return f"/bin/{name}"


def test_each_text_says_its_own_hash() -> None:
    one = Definition("send", "/s", "exec one\n")
    texts = {
        start_record.text_of(script)
        for script in (
            run_script(one, "/r"),
            run_script(replace(one, commands="exec two\n"), "/r"),
            run_script(replace(one, code="c"), "/r"),
            run_script(replace(one, reads=["/a"]), "/r"),
            run_script(replace(one, accounts=["clamav"]), "/r"),
            log_script(one, Log("/l", 5000, 2), "/r"),
            log_script(one, Log("/l", 5000, 3), "/r"),
        )
    }
    assert len(texts) == 7
    assert all(len(text) == 64 for text in texts)
    assert start_record.text_of("#!/bin/sh\nexec one\n") == ""


def test_lines_of_a_log_are_chosen_with_multilogs_own_words() -> None:
    log = Log("/var/log/dns cache", 5000, 2, "qmaill", ["-*", "+* error: *"])
    last = log_script(Definition("dnscache", "/etc/dnscache", ""), log, "/r").splitlines()[-1]
    assert last == "exec setuidgid qmaill multilog t '-*' '+* error: *' s5000 n2 '/var/log/dns cache'"


@pytest.mark.parametrize(("size", "files"), [(4095, 5), (5000, 1)])
def test_a_log_that_multilog_would_make_larger_is_refused(size: int, files: int) -> None:
    with pytest.raises(BadInput, match="is too small; expected 2 or more of 4096 or more"):
        log_script(Definition("send", "/s", ""), Log("/l", size, files), "/r")
