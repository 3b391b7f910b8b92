# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that clients see: dates, names, chain, and what the DNS and MTA-STS promise of them."""

from __future__ import annotations

import functools
import grp
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from http.client import HTTPException

from ..core.errors import BadInput, MailgateError
from ..core.paths import ACCEPTED_DOMAINS, AUTHORITIES, CERTIFICATES_DIRECTORY
from ..core.threads import run_parallel
from ..formats import accepted_domains, tls_policies
from ..host import certificates
from ..rules.files import read_text
from .context import Context
from .findings import CRITICAL, OK, UNKNOWN, WARNING, Finding, Limit, graded, several
from .network import Answer, resolve

CHECK = "certificate"
GROUP = "smtptls"
DOMAINS_MAX = 20  # whose MTA-STS is asked
FETCH_SECONDS = 6.0
ASK_SECONDS = 6.0
DAY_SECONDS = 86400.0
_INSTALL = "install another one: mailgate certificate install FULLCHAIN KEY, or gateway_certificate"


@dataclass(frozen=True)
class Seen:
    """A certificate in use; chain_fault is why senders that check its issuer would refuse it, or ''."""

    facts: certificates.Facts
    chain: tuple[tls_policies.Certificate, ...]
    chain_fault: str = ""

    def is_for(self, hostname: str) -> bool:
        return tls_policies.names_host(self.facts.names, hostname)


@dataclass(frozen=True)
class Promise:
    """What a domain's MTA-STS says: its policy, or why it could not be read; unasked: the DNS is silent."""

    domain: str
    policy: tls_policies.Policy | None = None
    trouble: str = ""
    unasked: bool = False


def judge(seen: Seen, hostname: str, now: datetime, limits: Mapping[str, Limit]) -> list[Finding]:
    """Judge the dates, the names and the chain of a certificate."""
    name = f"the {seen.facts.algorithm} certificate"
    left_days = (seen.facts.not_after - now).total_seconds() / DAY_SECONDS
    until = f"{seen.facts.not_after:%Y-%m-%d %H:%M} UTC"
    found = []
    if left_days <= 0:
        text = f"{name} has expired, {until}: TLS is not offered, and who requires it cannot deliver"
        found.append(Finding(CHECK, CRITICAL, text, _INSTALL))
    elif seen.facts.not_before > now:
        text = f"{name} is valid from {seen.facts.not_before:%Y-%m-%d %H:%M} UTC on: TLS is not offered"
        found.append(Finding(CHECK, CRITICAL, text, f"look at the clock, or {_INSTALL}"))
    else:
        level = graded("certificate_days", left_days, limits)
        if level != OK:
            text = f"{name} expires in {left_days:.0f} days, {until}; without a new one TLS ends then"
            found.append(Finding(CHECK, level, text, f"look why it was not renewed, and {_INSTALL}"))
    if seen.chain_fault and not seen.facts.is_self_signed and left_days > 0:
        # RFC 5246 7.4.2: the server sends what is between its own certificate and the authority's.
        why = "is incomplete or of an authority that senders do not know"
        text = f"the chain of {name} {why}: {seen.chain_fault}"
        advice = "put the issuer's certificates behind it (certbot: fullchain.pem), and install it again"
        found.append(Finding(CHECK, WARNING, text, advice))
    if not seen.is_for(hostname):
        names = ", ".join(seen.facts.names) or f"no host ({seen.facts.subject})"
        text = f"{name} is for {names}, not for {hostname}: senders that check names do not deliver"
        found.append(Finding(CHECK, WARNING, text, f"install one for gateway_hostname, {hostname}"))
    return found


def judge_self_signed(seen: Sequence[Seen]) -> list[Finding]:
    """Return one warning for all certificates that nobody vouches for."""
    names = [one.facts.algorithm for one in seen if one.facts.is_self_signed]
    if not names:
        return []
    what = (
        f"the {names[0]} certificate is" if len(names) == 1 else f"the {' and '.join(names)} certificates are"
    )
    text = (
        f"{what} self-signed: most senders encrypt all the same, those that check it (MTA-STS, connectors of "
        "Microsoft 365, banks) do not deliver"
    )
    return [Finding(CHECK, WARNING, text, _INSTALL)]


def judge_tlsa(hostname: str, answer: Answer, seen: Sequence[Seen]) -> list[Finding]:
    """Judge whether each certificate is one of those that the TLSA records of the gateway name."""
    name = f"_25._tcp.{hostname}"
    if answer.error:
        advice = "see the check dns; nothing is known of DANE until it answers"
        return [Finding(CHECK, UNKNOWN, f"TLSA of {name} could not be asked: {answer.error}", advice)]
    found, records = [], []
    for text in answer.answers:
        try:
            records.append(tls_policies.parse_record(text))
        except BadInput as error:
            advice = "mend the record in the DNS"
            found.append(Finding(CHECK, WARNING, f"{name}: {error}", advice))
    for one in seen if records else ():
        if not tls_policies.authenticates(records, one.chain):
            text = (
                f"the TLSA records of {name} do not name the {one.facts.algorithm} certificate in use: "
                "senders with DANE do not deliver"
            )
            digest = tls_policies.spki_record(one.chain[0])
            advice = f"publish beside them '{name}. IN TLSA {digest}', and take the old one away a day later"
            found.append(Finding(CHECK, CRITICAL, text, advice))
    return found


def judge_promises(hostname: str, promises: Sequence[Promise], seen: Sequence[Seen]) -> list[Finding]:
    """Judge what domains have published by MTA-STS; what could not be read is unknown."""
    found = _unasked([one for one in promises if one.unasked])
    for one in promises:
        if one.unasked:
            continue
        if one.policy is None:
            advice = f"look at https://mta-sts.{one.domain}/.well-known/mta-sts.txt and the DNS"
            text = f"the MTA-STS policy of {one.domain} could not be read: {one.trouble}"
            found.append(Finding(CHECK, UNKNOWN, text, advice))
            continue
        if one.policy.mode == tls_policies.NONE:
            continue
        enforced = one.policy.mode == tls_policies.ENFORCE
        level = CRITICAL if enforced else WARNING
        then = (
            "senders do not deliver" if enforced else "senders report it, and will not deliver with enforce"
        )
        if not tls_policies.names_host(one.policy.patterns, hostname):
            text = f"the MTA-STS policy of {one.domain} does not have {hostname} as mx: {then}"
            advice = (
                f"add 'mx: {hostname}' to the policy, and change the id in the TXT of _mta-sts.{one.domain}"
            )
            found.append(Finding(CHECK, level, text, advice))
        if not any(
            each.is_for(hostname) and not each.chain_fault and not each.facts.is_self_signed for each in seen
        ):
            text = f"the MTA-STS policy of {one.domain} asks for a certificate that can be checked: {then}"
            found.append(Finding(CHECK, level, text, _INSTALL))
    return found


def _unasked(promises: Sequence[Promise]) -> list[Finding]:
    """Return one finding for all domains of which the DNS did not say whether they have a policy."""
    if not promises:
        return []
    first, others = promises[0], len(promises) - 1
    more = f", nor of {others} more" if others else ""
    text = f"the DNS does not say whether {first.domain} has an MTA-STS policy: {first.trouble}{more}"
    return [
        Finding(
            CHECK, UNKNOWN, text, "see the check dns; nothing is known of these policies until it answers"
        )
    ]


# What is there


def key_trouble(path: str, top: str, group: str = GROUP) -> str:
    """Return why a key cannot be used by smtptls, or can be read by others; or ''.

    The directories above it are looked at, up to the host's highest, top.
    """
    try:
        status = os.stat(path)
        readers = grp.getgrnam(group).gr_gid
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except KeyError:
        return f"cannot be read by smtptls, as there is no group {group}"
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o007:
        return f"may be read by every local user ({mode:04o})"
    if status.st_gid != readers or not mode & 0o040:
        return f"cannot be read by the group {group} ({mode:04o})"
    for above in _directories_above(path, top):
        status = os.stat(above)
        if not status.st_mode & (0o010 if status.st_gid == readers else 0o001):
            return f"cannot be reached by the group {group}: {above} ({stat.S_IMODE(status.st_mode):04o})"
    return ""


def _directories_above(path: str, top: str) -> list[str]:
    """Return the directories between top and a file, as it is named and where it is, the highest first."""
    found = set()
    top = top.rstrip("/") or "/"
    for one, end in ((path, top), (os.path.realpath(path), os.path.realpath(top))):
        above = os.path.dirname(one)
        while above not in (end, "/"):
            found.add(os.path.realpath(above))
            above = os.path.dirname(above)
    return sorted(found)


def look(pair: certificates.Pair, where: str, authorities: str = AUTHORITIES) -> Seen:
    """Return what stands in a pair in use; raises BadInput when its parts do not belong to each other."""
    found = certificates.facts(pair.certificate, where)
    certificates.check_match(pair, where, f"{where}: key")
    every = tuple(
        tls_policies.Certificate(one, certificates.public_key(one))
        for one in certificates.chain(pair.certificate)
    )
    fault = ""
    if not found.is_self_signed and os.path.exists(authorities):
        fault = certificates.chain_fault(pair.certificate, authorities)
    return Seen(found, every, fault)


def fetch_policy(domain: str, seconds: float = FETCH_SECONDS) -> tls_policies.Policy:
    """Fetch a policy over https, without following a redirection (RFC 8461 3.3); raises OSError, BadInput."""
    opener = urllib.request.build_opener(_NoRedirection())
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    try:
        with opener.open(url, timeout=seconds) as reply:
            text = reply.read(tls_policies.POLICY_BYTES + 1)
    except HTTPException as error:
        raise BadInput(f"{url}: {error!r:.80}; expected a policy") from error
    if len(text) > tls_policies.POLICY_BYTES:
        raise BadInput(f"{url}: more than {tls_policies.POLICY_BYTES} bytes; expected a policy")
    return tls_policies.parse_policy(text.decode("utf-8", "replace"))


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        return None


def promise(
    domain: str,
    ask: Callable[[str, str], Answer],
    fetch: Callable[[str], tls_policies.Policy] = fetch_policy,
) -> Promise | None:
    """Return what a domain has published, or None; without its TXT in the DNS nothing is fetched."""
    answer = ask(f"_mta-sts.{domain}", "TXT")
    if answer.error:
        return Promise(domain, trouble=answer.error, unasked=True)
    if not tls_policies.has_policy(answer.answers):
        return None
    try:
        return Promise(domain, fetch(domain))
    except urllib.error.HTTPError as error:
        return Promise(domain, trouble=f"the web server says {error.code}")
    except urllib.error.URLError as error:
        return Promise(domain, trouble=str(error.reason))
    except (OSError, MailgateError) as error:
        return Promise(domain, trouble=str(error) or type(error).__name__)


def _domains(context: Context) -> list[str]:
    text = read_text(context.path(ACCEPTED_DOMAINS)) or ""
    every = dict.fromkeys(one.lower() for one in accepted_domains.parse(text))
    return [one for one in every if not one.startswith(".")][:DOMAINS_MAX]


def _published(context: Context, seen: Sequence[Seen]) -> list[Finding]:
    """Ask the DNS, and where it says so the web, what senders are told of these certificates."""
    ask = functools.partial(_ask, context.settings.dns_server)
    hostname = context.settings.hostname
    domains = [one for one in _domains(context) if one != hostname.lower()]
    tries = [((lambda domain=domain: promise(domain, ask)), 15.0) for domain in domains]
    tlsa = ask(f"_25._tcp.{hostname}", "TLSA")
    promises = []
    for domain, done in zip(domains, run_parallel(tries)):
        if not done.ended or done.error is not None:
            why = "no answer in time" if done.error is None else repr(done.error)
            promises.append(Promise(domain, trouble=why))
        elif done.value is not None:
            promises.append(done.value)
    return [*judge_tlsa(hostname, tlsa, seen), *judge_promises(hostname, promises, seen)]


def _ask(server: str, name: str, kind: str) -> Answer:
    return resolve(server, name, kind, ASK_SECONDS)


def certificate(context: Context) -> list[Finding]:
    """Check the certificates in use; what is published of them is asked unless the check has to be quick."""
    if not context.settings.tls:
        return [Finding(CHECK, OK, "the gateway does not offer TLS (gateway_tls)")]
    directory = context.path(CERTIFICATES_DIRECTORY)
    current = os.path.join(directory, certificates.CURRENT)
    seen, found = [], []
    pairs = certificates.installed(directory)
    for pair, names in zip(pairs, certificates.NAMES):
        where = os.path.join(current, names[0])
        if trouble := key_trouble(os.path.join(current, names[1]), context.path("/")):
            advice = f"run the playbook again; a key that others could read is spent: {_INSTALL}"
            found.append(Finding(CHECK, CRITICAL, f"{os.path.join(current, names[1])} {trouble}", advice))
        try:
            seen.append(look(pair, where))
        except BadInput as error:
            found.append(Finding(CHECK, CRITICAL, str(error), _INSTALL))
    if not pairs:
        text = f"{current} has no certificate with its key: TLS is not offered"
        return [Finding(CHECK, CRITICAL, text, f"run the playbook again, or {_INSTALL}")]
    now = datetime.fromtimestamp(context.now, timezone.utc)
    for one in seen:
        found += judge(one, context.settings.hostname, now, context.settings.limits)
    found += judge_self_signed(seen)
    if seen and not context.quick:
        found += _published(context, seen)
    return several(found, CHECK, "; ".join(certificates.told(one.facts) for one in seen))
