# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup: what is in it comes back as it was, and nothing else gets onto a host by it."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import backup as command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput, TryAgain
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import backup

FILES = {
    "etc/tcp.d/20-operator": ("# 2026\n192.0.2.1:deny\n", 0o644),
    "etc/badmailfrom.d/20-operator": ("@spam.example\n", 0o644),
    "etc/mail/spamassassin/operator.cf": ("whitelist_from a@b.example\n", 0o644),
    "var/lib/mailgate/operator/audit.jsonl": ("{}\n", 0o640),
    "var/lib/mailgate/operator/recipients": ("ann@example.com\n", 0o640),
    "var/lib/mailgate/blacklist/state.json": ('{"entries": []}\n', 0o600),
    "var/qmail/cqgreylist/1c/2a/198.51.100.0-24": ("", 0o644),
    "var/qmail/cqgreylist/1c/2a/203.0.113.0-24.new": ("", 0o644),
    "var/qmail/cqgreylist/1c/2a/2001:db8::-64.new": ("", 0o644),
    f"var/qmail/cqgreylist/1c/2a/pool-{'5' * 64}.new": ("", 0o644),
    "var/lib/mailgate/recipients/generations/1/validrcptto.cdb": ("cdb" * 1000, 0o644),
    "var/lib/mailgate/stats/state.json": ("{}", 0o600),
    "var/lib/spamd/txrep/tx-reputation": ("db", 0o600),
    "etc/mailgate/tls/0123456789abcdef/key.pem": ("secret", 0o640),
}
LINKS = {
    "var/lib/mailgate/recipients/validrcptto.cdb": "generations/1/validrcptto.cdb",
    "etc/mailgate/tls/current": "0123456789abcdef",
}
OTHERS = {  # must not be in it
    "etc/tcp.d/10-site": "10.:allow\n",
    "etc/shadow": "root",
    "var/lib/mailgate/operator/service.lock": "",
    "var/lib/mailgate/operator/released/0123456789abcdef": "{}",
    "var/lib/mailgate/refused/0123456789abcdef": "mailgate-refused 1",
    "var/lib/mailgate/recipients/.lock": "",
    "var/lib/mailgate/stats/lock": "",
    "var/lib/mailgate/stats/.mailgate-abc": "half",
}
WRITTEN = 1_700_000_000


def write(root: Path, name: str, content: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    os.utime(path, (WRITTEN, WRITTEN))


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def old(tmp_path: Path) -> backup.Host:
    root = tmp_path / "old"
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o755)
    for name, (content, mode) in FILES.items():
        write(root, name, content, mode)
    for name, content in OTHERS.items():
        write(root, name, content)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "var/lib/mailgate/operator/fifo")
    learn = program(tmp_path / "learn", 'test "$1" = --backup && echo "v 3 db_version"\n')
    return backup.Host(str(root), (learn,), "nobody", program(tmp_path / "queue", "exit 1\n"))


@pytest.fixture
def new(tmp_path: Path) -> backup.Host:
    root = tmp_path / "new"
    root.mkdir()
    root.chmod(0o755)
    learned = tmp_path / "learned"
    learned.touch()
    learned.chmod(0o666)
    learn = program(tmp_path / "relearn", f'test "$1" = --restore && cat "$2" >{learned}\n')
    queue = program(tmp_path / "requeue", f"cat >>{tmp_path}/queued; cat <&1 >>{tmp_path}/envelopes\n")
    return backup.Host(str(root), (learn,), "nobody", queue)


def archive(tmp_path: Path) -> str:
    return str(tmp_path / "backup.tar.gz")


def test_all_of_it_comes_back_as_it_was(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    counts = backup.create(old, archive(tmp_path), queue=False)
    assert stat.S_IMODE(os.stat(archive(tmp_path)).st_mode) == 0o600
    assert counts["learned"] == 1
    found = backup.inspect(new, archive(tmp_path))
    assert (found.hostname, found.queued) == (os.uname().nodename, 0)
    assert found.services == (
        "operator", "fleet", "fleet-engine", "spamd", "adaptive-blacklist", "recipients", "stats",
    )  # fmt: skip
    restored = backup.restore(new, archive(tmp_path), queue=False)
    assert restored | {"queue": 0} == counts | {"queue": 0}
    for name, (content, mode) in FILES.items():
        path = Path(new.root) / name
        assert path.read_text() == content
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime) == (mode, WRITTEN), name
    for name, target in LINKS.items():
        assert os.readlink(Path(new.root) / name) == target
    for name in OTHERS:
        assert not (Path(new.root) / name).exists(), name
    assert not (Path(new.root) / "var/lib/mailgate/operator/fifo").exists()


def test_a_restored_gateway_tells_the_others_nothing_of_the_archives_age(
    old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    write(Path(old.root), "var/lib/mailgate/fleet/state", "of the old host")
    write(Path(new.root), "var/lib/mailgate/fleet/state", "of this host")
    backup.create(old, archive(tmp_path), queue=False)
    backup.restore(new, archive(tmp_path), queue=False)
    assert not (Path(new.root) / "var/lib/mailgate/fleet/state").exists()


def test_what_was_learned_is_learned_again(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    backup.create(old, archive(tmp_path), queue=False)
    backup.restore(new, archive(tmp_path), queue=False)
    assert (tmp_path / "learned").read_text() == "v 3 db_version\n"
    assert new.warnings == []


def test_a_learner_that_fails_is_said(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    new.learn = old.learn
    backup.create(old, archive(tmp_path), queue=False)
    assert backup.restore(new, archive(tmp_path), queue=False)["learned"] == 0
    assert "--restore ended with 1" in new.warnings[0]
    old.learn = ("/nowhere",)
    assert backup.create(old, archive(tmp_path), queue=False)["learned"] == 0
    assert old.warnings == ["/nowhere --backup ended with 127: No such file or directory"]


def test_what_is_only_on_the_host_stays(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    backup.create(old, archive(tmp_path), queue=False)
    write(Path(new.root), "var/qmail/cqgreylist/00/00/192.0.2.0-24", "")
    write(Path(new.root), "etc/tcp.d/20-operator", "198.51.100.9:deny\n")
    backup.restore(new, archive(tmp_path), queue=False)
    assert (Path(new.root) / "var/qmail/cqgreylist/00/00/192.0.2.0-24").exists()
    assert (Path(new.root) / "etc/tcp.d/20-operator").read_text() == FILES["etc/tcp.d/20-operator"][0]


def test_two_names_of_one_file_are_two_files(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    state = Path(old.root) / "var/lib/mailgate/stats/state.json"
    os.link(state, state.with_name("state.json.yesterday"))
    backup.create(old, archive(tmp_path), queue=False)
    backup.inspect(new, archive(tmp_path))
    backup.restore(new, archive(tmp_path), queue=False)
    restored = Path(new.root) / "var/lib/mailgate/stats"
    assert (restored / "state.json").read_text() == (restored / "state.json.yesterday").read_text() == "{}"


def queue_of(root: str) -> None:
    queue = Path(root) / "var/qmail/queue"
    for name, content in {
        "mess/1/24": "Subject: partly done\n\none\n",
        "info/1/24": "Fann@example.com\0",
        "remote/1/24": "Dbob@done.example\0Tcy@left.example\0",
        "local/1/24": "Tpostmaster@mx.example\0",
        "mess/2/25": "Subject: not taken yet\n\ntwo\n",
        "todo/25": "u1\0p2\0F\0Tdan@later.example\0",
        "mess/3/26": "Subject: all done\n\nthree\n",
        "info/3/26": "Fann@example.com\0",
        "remote/3/26": "Dbob@done.example\0",
        "mess/4/27": "half",
    }.items():
        write(Path(root), f"var/qmail/queue/{name}", content)
    assert queue.is_dir()


def test_the_queue_goes_through_qmail_queue(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    queue_of(old.root)
    assert backup.create(old, archive(tmp_path), queue=True)["queue"] == 2
    assert backup.inspect(new, archive(tmp_path)).queued == 2
    assert backup.restore(new, archive(tmp_path), queue=False)["queue"] == 0
    assert not (tmp_path / "queued").exists()
    assert backup.restore(new, archive(tmp_path), queue=True)["queue"] == 2
    queued = (tmp_path / "queued").read_bytes()
    assert queued == b"Subject: partly done\n\none\nSubject: not taken yet\n\ntwo\n"
    assert (tmp_path / "envelopes").read_bytes() == (
        b"Fann@example.com\0Tpostmaster@mx.example\0Tcy@left.example\0\0F\0Tdan@later.example\0\0"
    )


def test_a_queue_that_takes_nothing_is_said(old: backup.Host, tmp_path: Path) -> None:
    queue_of(old.root)
    backup.create(old, archive(tmp_path), queue=True)
    with pytest.raises(TryAgain, match="ended with 1; expected 0"):
        backup.restore(old, archive(tmp_path), queue=True)


def test_a_database_that_never_rests_is_left_out_and_said(
    old: backup.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_quiet_copy", lambda _path: None)
    backup.create(old, archive(tmp_path), queue=False)
    assert [line.partition(": ")[2] for line in old.warnings] == [
        "was written to all the time; it is not in the archive"
    ]


# --- archives that are not ours ---


def forged(tmp_path: Path, *members: tuple[str, dict[str, Any]], manifest: bytes | None = None) -> str:
    path = archive(tmp_path)
    about = json.dumps({"format": 1, "hostname": "x", "made": 1}).encode() if manifest is None else manifest
    with tarfile.open(path, "w:gz") as tar:
        for name, more in (("manifest.json", {"content": about}), *members):
            more = {"uname": "root", "gname": "root", "content": b"x", **more}
            content = more.pop("content")
            info = tarfile.TarInfo(name)
            for key, value in more.items():
                setattr(info, key, value)
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return path


BAD: dict[str, tuple[tuple[str, dict[str, Any]], str]] = {
    "another place": (("etc/shadow", {}), "belongs to no part of a backup"),
    "beside a place": (("etc/tcp.d/10-site", {}), "belongs to no part of a backup"),
    "an absolute path": (("/etc/tcp.d/20-operator", {}), "belongs to no part of a backup"),
    "a path that climbs": (("var/qmail/cqgreylist/../bin/x", {}), "is not a plain path"),
    "a link outwards": (
        ("var/qmail/cqgreylist/a", {"type": tarfile.SYMTYPE, "linkname": "../../../etc"}),
        "expected a link within its part",
    ),
    "a link that climbs behind another one": (
        ("var/qmail/cqgreylist/a", {"type": tarfile.SYMTYPE, "linkname": "x/y/link/../.."}),
        "expected a link within its part",
    ),
    "an absolute link": (
        ("var/qmail/cqgreylist/a", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        "expected a link within its part",
    ),
    "a hard link": (
        ("var/qmail/cqgreylist/a", {"type": tarfile.LNKTYPE, "linkname": "etc/shadow"}),
        "is neither a file, a directory nor a link",
    ),
    "a device": (("var/qmail/cqgreylist/a", {"type": tarfile.CHRTYPE}), "is neither a file"),
    "set-user-id": (("var/qmail/cqgreylist/a", {"mode": 0o4755}), "expected one without set-user-id"),
    "an unknown owner": (
        ("var/lib/mailgate/stats/a", {"uname": "no-such-user"}),
        "which is not on this host",
    ),
    "half a message": (("queue/7.message", {}), "a queued message is not whole"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_changes_nothing(
    name: str, new: backup.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    member, said = BAD[name]
    path = forged(tmp_path, ("etc/tcp.d/20-operator", {}), member)
    assert command.main(["restore", "--queue", path], new) == 100
    assert said in capsys.readouterr().err
    assert list(Path(new.root).iterdir()) == []


LINK = ("var/lib/mailgate/stats/x/y/l", {"type": tarfile.SYMTYPE, "linkname": "../../t"})
BELOW = ("var/lib/mailgate/stats/x/y/l/m", {"type": tarfile.SYMTYPE, "linkname": "../../../a"})


@pytest.mark.parametrize("members", [(LINK, BELOW), (BELOW, LINK)])
def test_nothing_is_below_a_link_of_the_archive(
    members: tuple[tuple[str, dict[str, Any]], ...], new: backup.Host, tmp_path: Path
) -> None:
    """There '..' would begin somewhere else than the path says."""
    with pytest.raises(BadInput, match="is a link with files below"):
        backup.inspect(new, forged(tmp_path, *members))


@pytest.mark.parametrize(
    "member", [("var/lib/mailgate/stats/1/x", {}), ("var/lib/mailgate/stats/1", {"type": tarfile.DIRTYPE})]
)
def test_a_link_on_the_host_leads_nowhere(
    member: tuple[str, dict[str, Any]], new: backup.Host, tmp_path: Path
) -> None:
    """The user of a service could make one; root restores."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    place = Path(new.root) / "var/lib/mailgate/stats"
    place.mkdir(parents=True)
    (place / "1").symlink_to(outside)
    path = forged(tmp_path, member)
    with pytest.raises(BadInput, match="a link leads out of"):
        backup.restore(new, path, queue=False)
    assert list(outside.iterdir()) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_the_place_itself_may_be_a_link(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    real = Path(new.root) / "etc/spamassassin"
    real.mkdir(parents=True)
    (Path(new.root) / "etc/mail").mkdir()
    (Path(new.root) / "etc/mail/spamassassin").symlink_to("../spamassassin")
    (Path(new.root) / "srv/greylist").mkdir(parents=True)
    (Path(new.root) / "var/qmail").mkdir(parents=True)
    (Path(new.root) / "var/qmail/cqgreylist").symlink_to("../../srv/greylist")
    backup.create(old, archive(tmp_path), queue=False)
    backup.inspect(new, archive(tmp_path))
    backup.restore(new, archive(tmp_path), queue=False)
    assert (real / "operator.cf").exists()
    assert (Path(new.root) / "srv/greylist/1c/2a/198.51.100.0-24").exists()


def test_the_greylist_is_its_owner_s_on_this_host(new: backup.Host, tmp_path: Path) -> None:
    """The front serves meanwhile, and lets everybody pass when it cannot write there."""
    place = Path(new.root) / "var/qmail/cqgreylist"
    place.mkdir(parents=True)
    stranger = {"uname": "no-such-user", "gname": "no-such-group"}
    path = forged(
        tmp_path,
        ("var/qmail/cqgreylist", {"type": tarfile.DIRTYPE, "mode": 0o700, **stranger}),
        ("var/qmail/cqgreylist/00/00/192.0.2.0-24", stranger),
    )
    backup.inspect(new, path)
    backup.restore(new, path, queue=False)
    assert (place / "00/00/192.0.2.0-24").stat().st_uid == place.stat().st_uid == os.geteuid()


# With names, for gzip writes the time, of which each worker has its own.
@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"not tar"), gzip.compress(b"\0" * 1024)],
    ids=["nothing", "not gzip", "not tar", "empty tar"],
)
def test_no_archive(content: bytes, new: backup.Host, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="expected"):
        backup.inspect(new, str(path))


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"format": 2, "hostname": "x", "made": 1}'])
def test_another_manifest(manifest: bytes, new: backup.Host, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"manifest\.json|format 2"):
        backup.inspect(new, forged(tmp_path, manifest=manifest))


def test_a_cut_archive(old: backup.Host, new: backup.Host, tmp_path: Path) -> None:
    backup.create(old, archive(tmp_path), queue=False)
    whole = Path(archive(tmp_path)).read_bytes()
    Path(archive(tmp_path)).write_bytes(whole[:-200])
    with pytest.raises(BadInput, match="expected a whole one"):
        backup.inspect(new, archive(tmp_path))


def test_the_command(
    old: backup.Host, new: backup.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["create", archive(tmp_path)], old) == 0
    assert "mailgate backup: greylist: " in capsys.readouterr().out
    assert command.main(["show", archive(tmp_path)], new) == 0
    assert capsys.readouterr().out.startswith(f"mailgate backup: from {os.uname().nodename}, ")
    assert list(Path(new.root).iterdir()) == []
    assert command.main(["restore", archive(tmp_path)], new) == 0
    assert "mailgate backup: certificates: " in capsys.readouterr().out
    assert command.main(["restore", str(tmp_path / "none")], new) == 111
