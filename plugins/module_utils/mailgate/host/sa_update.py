# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate sa-update: fetch SpamAssassin's rules, check them, activate them together, and reload spamd.

sa-update changes its directory in place, and a directory that it fails to fill leaves SpamAssassin without
any rules. So it works on a copy here. Only a copy that passes the lint replaces the active rules, by one
rename of a symbolic link, and only then spamd is told to read them.

Exit status: 0 done, or nothing new; 100 permanent error; 111 temporary error, try again.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..core import locks
from ..core.errors import BadInput, Busy, TryAgain
from ..core.files import fsync_directory
from ..core.paths import (
    SA_UPDATE_SETTINGS,
    SPAMASSASSIN_SITE,
    SPAMASSASSIN_UPDATED_RULES,
    SPAMD_HOME,
    SPAMD_PID,
    SPAMD_SOCKET,
)
from ..core.text import without_passwords

BASE_RULES = "10_default_prefs.cf"
SHOWN_LINES = 8
SHOWN_CHARACTERS = 300

# Exit statuses of sa-update (its manual page, "EXIT CODES")
UPDATED, NOTHING_NEW = 0, 1


@dataclass(frozen=True)
class Channel:
    """A source of rules, and the key that must have signed them; an empty fingerprint is the built-in key."""

    name: str
    fingerprint: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class Settings:
    """The settings that the role wrote: paths, the user that runs everything, and the channels in order."""

    channels: tuple[Channel, ...]
    user: str = "spamd"
    home: str = SPAMD_HOME
    site: str = SPAMASSASSIN_SITE
    state: str = SPAMASSASSIN_UPDATED_RULES
    pid_file: str = SPAMD_PID
    socket: str = SPAMD_SOCKET
    proxy: str = ""


def parse_settings(text: str, path: str) -> Settings:
    """Parse the settings in a JSON object; raises BadInput that names the faulty value."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadInput(f"file {path}: is not valid JSON, {error}; expected an object") from error
    if not isinstance(given, dict):
        raise BadInput(f"file {path}: {given!r} is not an object; expected one with 'channels'")
    words = {name for name in Settings.__dataclass_fields__ if name != "channels"}
    for name, value in given.items():
        if name == "channels":
            continue
        if name not in words or not isinstance(value, str):
            raise BadInput(
                f"file {path}: {name!r}: {value!r} is unknown or not text; "
                f"expected {', '.join(sorted(words))}"
            )
    channels = given.get("channels")
    if not isinstance(channels, list) or not channels:
        raise BadInput(f"file {path}: channels {channels!r} is not a list of channels; expected at least one")
    texts = {name: value for name, value in given.items() if name in words}
    return Settings(tuple(parse_channel(item, path) for item in channels), **texts)


def parse_channel(item: object, path: str) -> Channel:
    """Parse a channel: a name in sa-update's form, a complete fingerprint; raises BadInput."""
    if not isinstance(item, dict) or not all(isinstance(value, str) for value in item.values()):
        raise BadInput(f"file {path}: channel {item!r} is not an object of strings; expected one with 'name'")
    unknown = sorted(set(item) - set(Channel.__dataclass_fields__))
    if unknown:
        raise BadInput(f"file {path}: channel {item!r} has {unknown!r}; expected name, fingerprint, key_file")
    name, fingerprint = item.get("name", ""), item.get("fingerprint", "").replace(" ", "").upper()
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) is None:
        raise BadInput(
            f"file {path}: channel {name!r} is not a name of a channel; "
            "expected one such as 'updates.spamassassin.org'"
        )
    if fingerprint and re.fullmatch("[0-9A-F]{40}", fingerprint) is None:
        raise BadInput(
            f"file {path}: channel {name!r}: fingerprint {fingerprint!r} is too short or not a fingerprint; "
            "expected 40 hexadecimal digits"
        )
    return Channel(name, fingerprint, item.get("key_file", ""))


def update_command(channel: Channel, directory: str, keys: str) -> list[str]:
    """Return the command that updates one channel in the directory, trusting only that channel's key."""
    argv = ["sa-update", "--updatedir", directory, "--gpghomedir", keys, "--channel", channel.name]
    return argv + (["--gpgkey", channel.fingerprint] if channel.fingerprint else [])


def install_command(channel: Channel, directory: str, keys: str, bundle: str, signed: bool) -> list[str]:
    """Return the command that installs one file; without a signature only its checksum is verified."""
    argv = [*update_command(channel, directory, keys), "--install", bundle]
    return argv if signed else [*argv, "--nogpg"]


def lint_command(rules: str | None, site: str) -> list[str]:
    """Return the command that checks rules and site configuration together, without user preferences."""
    argv = ["spamassassin", "-x", "--prefs-file", "/dev/null", "--lint", "--siteconfigpath", site]
    return argv + (["--configpath", rules] if rules else [])


def last_words(text: str) -> str:
    """Return the last lines of a program's output, joined to one line, printable and short."""
    lines = [line.strip()[:SHOWN_CHARACTERS] for line in text.splitlines() if line.strip()]
    said = without_passwords("; ".join(lines[-SHOWN_LINES:]) or "nothing")
    return "".join(char if char.isprintable() else "?" for char in said)


def has_base_rules(directory: str) -> bool:
    """Return whether the directory has SpamAssassin's own rules, which then replace the released ones."""
    return any(BASE_RULES in files for _path, _names, files in os.walk(directory))


def run(argv: Sequence[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program; return its exit status and output; raises TryAgain when it cannot be run.

    It runs in /: Razor's modules search ./lib first, and in the caller's directory, such as root's home, an
    unprivileged user may not look and should find nothing.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            check=False,
        )
    except OSError as error:
        raise TryAgain(f"program {argv[0]}: cannot be run, {error.strerror}; expected it in PATH") from error
    return done.returncode, done.stdout.decode("utf-8", "replace")


def become(user: str, home: str) -> None:
    """Switch from root to the user permanently; any other user is kept."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.environ["HOME"] = home
    os.umask(0o022)


def lint(rules: str | None, site: str) -> None:
    """Raise BadInput with SpamAssassin's output unless rules and site configuration pass the lint."""
    status, said = run(lint_command(rules, site))
    if status != 0:
        raise BadInput(
            f"configuration in {site}: 'spamassassin --lint' ended with status {status}; expected 0; "
            f"it said: {last_words(said)}"
        )


@contextlib.contextmanager
def site_with(site: str, changes: dict[str, bytes]) -> Iterator[str]:
    """Yield a copy of the site's configuration in which the files in changes have that content."""
    with tempfile.TemporaryDirectory(prefix="mailgate-sa-") as copy:
        if os.path.isdir(site):
            for name in sorted(os.listdir(site)):
                path = os.path.join(site, name)
                if name.endswith((".cf", ".pre")) and os.path.isfile(path):
                    shutil.copyfile(path, os.path.join(copy, name))
        for name, content in changes.items():
            with open(os.path.join(copy, name), "wb") as stream:
                stream.write(content)
        yield copy


def parse_change(text: str) -> tuple[str, str]:
    """Return name and path of NAME=PATH; raises BadInput."""
    name, equals, path = text.partition("=")
    if not equals or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.(cf|pre)", name) is None or not path:
        raise BadInput(f"argument {text!r}: is not a change; expected one such as 'local.cf=/tmp/new'")
    return name, path


def rules_in_force(settings: Settings) -> str:
    """Return the path where this version of SpamAssassin looks for updated rules."""
    status, said = run(["perl", "-MMail::SpamAssassin", "-e", "print $Mail::SpamAssassin::VERSION"])
    if status != 0 or re.fullmatch(r"\d+\.\d{6}", said) is None:
        words = last_words(said)
        raise BadInput(f"program perl: says {words!r} of SpamAssassin's version; expected 4.000001")
    return os.path.join(settings.state, said)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the lock of the rules, one run at a time; raises Busy when another run holds it."""
    path = os.path.join(settings.home, "sa-update.lock")
    try:
        descriptor = locks.acquire(path)
    except BlockingIOError as error:
        raise Busy(f"file {path}: locked by another run; try later") from error
    try:
        yield
    finally:
        os.close(descriptor)


def put_into_force(copy: str, force: str) -> None:
    """Make the copy the active rules by one rename; a directory in its place is moved aside before."""
    directory, name = os.path.split(force)
    link = os.path.join(directory, f".{name}.{os.getpid()}")
    os.symlink(os.path.basename(copy), link)
    try:
        if os.path.isdir(force) and not os.path.islink(force):
            os.rename(force, f"{copy}.before")
        os.rename(link, force)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
    fsync_directory(directory)


def remove_old(state: str, keep: set[str]) -> None:
    """Remove the copies of earlier runs."""
    for name in os.listdir(state):
        path = os.path.join(state, name)
        if name.startswith("rules-") and path not in keep:
            shutil.rmtree(path, ignore_errors=True)


def spamd_process(settings: Settings) -> int:
    """Return the process id in spamd's pid file; 0 when spamd does not run."""
    try:
        with open(settings.pid_file, encoding="ascii") as stream:
            number = int(stream.read())
        with open(f"/proc/{number}/cmdline", "rb") as stream:
            return number if b"spamd" in stream.read() else 0
    except (OSError, ValueError):
        return 0


def ping(path: str, within_seconds: float) -> bool:
    """Return whether spamd answers on its socket within that time (spamd/PROTOCOL, PING)."""
    end = time.monotonic() + within_seconds
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(5)
                peer.connect(path)
                peer.sendall(b"PING SPAMC/1.2\r\n\r\n")
                if b"PONG" in peer.recv(100):
                    return True
        except OSError:
            pass
        if time.monotonic() >= end:
            return False
        time.sleep(0.2)


def reload_spamd(settings: Settings, within_seconds: float = 60) -> str:
    """Tell spamd to read its rules again and wait until it answers; raises TryAgain when it does not."""
    number = spamd_process(settings)
    if not number:
        return "spamd does not run; it reads the rules when it starts"
    os.kill(number, signal.SIGHUP)
    time.sleep(0.5)
    if not ping(settings.socket, within_seconds):
        raise TryAgain(
            f"socket {settings.socket}: spamd does not answer within {within_seconds:g} s of SIGHUP; "
            "see /var/log/spamd/current"
        )
    return f"spamd, process {number}, has read the rules"


def environment_of(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the site's proxy."""
    proxy = dict.fromkeys(("http_proxy", "https_proxy"), settings.proxy) if settings.proxy else {}
    return {**os.environ, **proxy}


def import_keys(settings: Settings, keys: str) -> None:
    """Import the channels' keys into gpg's key directory; raises TryAgain."""
    os.makedirs(keys, 0o700, exist_ok=True)
    for channel in settings.channels:
        if channel.key_file:
            status, said = run(["sa-update", "--gpghomedir", keys, "--import", channel.key_file])
            if status != 0:
                words = last_words(said)
                raise TryAgain(f"key {channel.key_file}: sa-update ended with status {status}: {words}")


def update(settings: Settings, bundle: str = "") -> tuple[list[str], list[str]]:
    """Update the rules; return (what was done, what failed); raises MailgateError and OSError if none was."""
    force = rules_in_force(settings)
    keys = os.path.join(settings.home, "sa-update-keys")
    now = os.path.realpath(force) if os.path.isdir(force) else ""
    copy = tempfile.mkdtemp(prefix="rules-", dir=settings.state)
    done, failed, changed = [], [], []
    try:
        os.chmod(copy, 0o755)
        if now:
            shutil.copytree(now, copy, dirs_exist_ok=True, symlinks=True)
        import_keys(settings, keys)
        for channel in settings.channels[:1] if bundle else settings.channels:
            argv = update_command(channel, copy, keys)
            if bundle:
                argv = install_command(channel, copy, keys, bundle, os.path.exists(f"{bundle}.asc"))
            status, said = run(argv, environment_of(settings))
            if status == UPDATED:
                changed.append(channel.name)
            elif status != NOTHING_NEW:
                words = last_words(said)
                failed.append(f"channel {channel.name}: sa-update ended with status {status}: {words}")
        if changed:
            if not has_base_rules(copy):
                raise BadInput(
                    f"rules in {copy}: there is no {BASE_RULES}; expected a channel that has "
                    "SpamAssassin's own rules, as no others are read beside them"
                )
            lint(copy, settings.site)
            put_into_force(copy, force)
            done.append(f"new rules in force from {', '.join(changed)}")
        else:
            done.append("nothing new")
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    finally:
        if os.path.isdir(keys):
            run(["gpgconf", "--homedir", keys, "--kill", "gpg-agent"])
    remove_old(settings.state, {os.path.realpath(force), now} if changed else {now})
    if changed:
        done.append(reload_spamd(settings))
    return done, failed


EPILOG = f"""\
reads:
  {SA_UPDATE_SETTINGS}   channels, keys and paths, written by Ansible

Works on a copy; only a copy that passes the lint replaces the active rules, by one rename.

exit status:
  0 done, or nothing new, 100 permanent error, 111 temporary error, try again

example:
  mailgate sa-update --reload"""


def read_settings(path: str, missing_ok: bool = False) -> Settings:
    """Read the settings in the file; return the defaults if it is missing and missing_ok is set."""
    try:
        with open(path, encoding="utf-8") as stream:
            return parse_settings(stream.read(), path)
    except FileNotFoundError:
        if missing_ok:
            return Settings(())
        raise


def complain(text: str, status: int) -> int:
    for line in text.splitlines():
        sys.stderr.write(f"mailgate sa-update: {line}\n")
    return status
