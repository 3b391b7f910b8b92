# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test programs in C, compiled with the sources of src/ that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, SANITIZE, STRICT, TESTS, gcc, needed
from support.certificates import Signer, make_pair
from support.qmail_remote import Remote, build_remote
from support.smtpfront_programs import Programs, build
from support.smtptls import SmtpTls, compile_smtptls


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile tests/unit/c/NAME.c under ASan and UBSan, once for the flags that the test adds."""
    made = tmp_path_factory.mktemp("c")

    def make(name: str, *flags: str) -> Path:
        target = made / "".join([name, *flags])
        if not target.exists():
            main = TESTS / f"{name}.c"
            gcc("-std=c99", *flags, *STRICT, *SANITIZE, *INCLUDES, main, *needed(main), "-o", target)
        return target

    return make


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Return smtpfront, its launcher and the real qmail-smtpd, compiled once."""
    return build(tmp_path_factory.mktemp("smtpfront"))


@pytest.fixture(scope="session")
def tls_programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return smtptls and tlsuser, compiled once."""
    directory = tmp_path_factory.mktemp("smtptls")
    for one in (directory, directory.parent, directory.parent.parent):
        one.chmod(0o755)
    return compile_smtptls(directory)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a certificate and its key."""
    directory = tmp_path_factory.mktemp("certificates")
    make_pair(directory, "ecdsa")
    return directory


@pytest.fixture(scope="module")
def tls(
    tls_programs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, certificates: Path
) -> Iterator[SmtpTls]:
    """Return an smtptls that offers TLS, with the module's certificates."""
    directory = tmp_path_factory.mktemp("common")
    directory.chmod(0o755)
    with SmtpTls(tls_programs, directory / "tls", certificates) as one:
        yield one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Return an authority that signs certificates of a module's servers."""
    return Signer(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """Return the real qmail-remote with control files of its own, compiled for the module."""
    return build_remote(tmp_path_factory.mktemp("remote"))
