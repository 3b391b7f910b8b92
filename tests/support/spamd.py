# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SpamAssassin says of a message, and messages that are signed as other hosts sign them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email import message_from_bytes
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.gateway import Bed

SOCKET = "/run/spamd/spamd.sock"

# ACTION DOMAIN CHAIN, with a key from the environment and a message from stdin; or "key".
SIGNER = """
use strict; use warnings; use Crypt::OpenSSL::RSA; use Mail::DKIM::PrivateKey;
my ($action, $domain, $chain) = @ARGV;
if ($action eq "key") {
  my $key = Crypt::OpenSSL::RSA->generate_key(1024);
  my $public = $key->get_public_key_x509_string(); $public =~ s/-----[^-]*-----|\\s//g;
  print "$public\\n", $key->get_private_key_string();
  exit 0;
}
my $key = Mail::DKIM::PrivateKey->load(Cork => Crypt::OpenSSL::RSA->new_private_key($ENV{KEY}));
my @of = (Algorithm => "rsa-sha256", Domain => $domain, Selector => "s", Key => $key);
local $/; my $text = <STDIN>; my $signer;
if ($action eq "sign") {
  require Mail::DKIM::Signer; $signer = Mail::DKIM::Signer->new(@of, Method => "relaxed/relaxed");
} else {
  require Mail::DKIM::ARC::Signer;
  $signer = Mail::DKIM::ARC::Signer->new(@of, Chain => $chain, SrvId => $domain);
}
$signer->PRINT($text); $signer->CLOSE;
print $action eq "sign" ? $signer->signature->as_string . "\\r\\n" : $signer->as_string;
"""


@dataclass(frozen=True)
class Verdict:
    """The content of X-Spam-Status."""

    score: float
    rules: frozenset[str]


def verdict(content: bytes) -> Verdict:
    """Return what X-Spam-Status of a judged message says."""
    status = message_from_bytes(content)["X-Spam-Status"]
    assert status, f"no X-Spam-Status in {content[:1000]!r}"
    found = re.fullmatch(
        r"(?:Yes|No), score=(-?[0-9.]+) required=[0-9.]+ tests=(.*?) autolearn=.*",
        " ".join(str(status).split()),
    )
    assert found, status
    return Verdict(float(found[1]), frozenset(re.split(r"[, ]+", found[2])))


def received(client: str, sender: str, name: str = "mail.sender.example") -> str:
    """Return the field that the gateway writes above a client's message."""
    return (
        f"Received: from {name} (HELO {name}) ({client}) (envelope-sender <{sender}>)\r\n"
        f"  by mx1.example.test with SMTP; {time.strftime('%d %b %Y %H:%M:%S -0000', time.gmtime())}\r\n"
    )


class Spamd:
    """spamd of a gateway, asked as simscan asks it."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    @cached_property
    def _keys(self) -> tuple[str, str]:
        public, _line, private = self._sign("key", "", "", "").partition("\n")
        return public, private

    @property
    def public_key(self) -> str:
        """The key of every domain that signs, as it stands in the DNS."""
        return self._keys[0]

    def _sign(self, action: str, domain: str, chain: str, text: str) -> str:
        key = f"KEY={self._keys[1]}" if action != "key" else "KEY="
        status, said, trouble = self.bed.inside(
            "env", key, "perl", "-e", SIGNER, action, domain, chain, text=text
        )
        assert status == 0, trouble
        return said.replace("\r\n", "\n").replace("\n", "\r\n") if action != "key" else said

    def signed(self, text: str, domain: str) -> str:
        """Return the message with a DKIM signature of the domain, selector s."""
        return self._sign("sign", domain, "", text) + text

    def sealed(self, text: str, domain: str, results: str, chain: str = "none") -> str:
        """Return the message with an ARC set of the domain, whose sealer found these results."""
        text = f"Authentication-Results: {domain}; {results}\r\n{text}"
        return self._sign("seal", domain, chain, text) + text

    def reload(self) -> None:
        status, said, trouble = self.bed.inside("mailgate", "sa-update", "--reload")
        assert status == 0, said + trouble

    def judge(self, text: str, client: str, sender: str, name: str = "mail.sender.example") -> Verdict:
        """Return the verdict on a message that a client brought with this envelope sender."""
        whole = (received(client, sender, name) + text).replace("\r\n", "\n")
        status, said, trouble = self.bed.inside(
            "setuidgid", "simscan", "spamc", "-x", "-s", "10000000", "-U", SOCKET, text=whole
        )
        assert status == 0, trouble
        return verdict(said.encode("utf-8", "surrogateescape"))
