# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A back end that offers STARTTLS for a while, and what the gateway demands of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.certificates import Signer, tlsa_data

if TYPE_CHECKING:
    from support.gateway import Bed

CONTROL = "/var/qmail/control"
AUTHORITY = f"{CONTROL}/tlsca/test.pem"


def name_of(title: str) -> str:
    """Return the name in the certificate of a back end."""
    return f"{title}.example"


@contextmanager
def policies(bed: Bed, text: str) -> Iterator[None]:
    """Give the gateway other policies meanwhile, in one step as its own are given."""
    path = bed.root / CONTROL[1:] / "tlspolicies"
    kept = path.read_text()

    def write(content: str) -> None:
        new = path.with_name("tlspolicies.test")
        new.write_text(content)
        new.replace(path)

    write(text)
    try:
        yield
    finally:
        write(kept)


@contextmanager
def offering(bed: Bed, title: str, *hosts: str) -> Iterator[None]:
    """Let a back end offer STARTTLS with a certificate for hosts, its own name unless there are some."""
    backend, authority_file = bed.backends[title], bed.root / AUTHORITY[1:]
    with tempfile.TemporaryDirectory() as place:
        authority = Signer(Path(place))
        certificate = authority.issue(title, hosts=hosts or (name_of(title),))
        authority_file.write_bytes(authority.path.read_bytes())
        authority_file.chmod(0o644)
        backend.stop()
        backend.certificate = certificate
        backend.start()
        try:
            yield
        finally:
            backend.stop()
            backend.certificate = None
            backend.start()
            authority_file.unlink()


def tlsa(bed: Bed, title: str) -> bytes:
    """Return the data of a TLSA record for the certificate that a back end offers."""
    certificate = bed.backends[title].certificate
    assert certificate
    return tlsa_data(certificate)


def verify(domain: str, title: str) -> str:
    """Return the policies by which mail for a domain needs the certificate of a back end."""
    return f"{domain}:verify:{name_of(title)}:{AUTHORITY}\n:may\n"
