# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# DMARC (RFC 7489) for SpamAssassin 4: check_dmarc_policy(VERDICT) is true for a message of that verdict:
#   pass        a policy is published, and SPF or DKIM is aligned with the domain in From
#   none        nothing is aligned, and the policy asks for nothing
#   unknown     quarantine or reject, but a key or SPF record that may be aligned could not be had from the DNS
#   quarantine  nothing is aligned, and the policy, or the share of it that pct leaves, says so
#   reject      the same for reject
#   altered     reject, but a signature of the domain fits the header, and only the body was changed on the way
#   exempt      unknown, quarantine or reject, from a network or domain of dmarc_exempt
#   arc         the same, but a sealer of dmarc_arc_trusted vouches that it was aligned where it came in
# A message has no verdict when its domain publishes no policy, when the policy could not be had from the DNS, and when only a
# part of it is here (dmarc_message_bytes) and a signature that the part cannot prove might be aligned.
#
# Not SpamAssassin's own plugin DMARC with Mail::DMARC: that one asks the DNS, by the system's resolver and one question after the
# other, while the message waits, counts a key or SPF record that it could not have as a failure, and knows neither exempt
# senders nor ARC.

package Mail::SpamAssassin::Plugin::DmarcPolicy;

use strict;
use warnings;
use re 'taint';

use Digest::MD5 ();
use Mail::SpamAssassin::Plugin;

our @ISA = qw(Mail::SpamAssassin::Plugin);

use constant SUFFIXES => '/usr/share/publicsuffix/public_suffix_list.dat';
use constant AUTHORS_MAX => 8;       # domains in From fields that are judged
use constant SIGNATURES_MAX => 10;   # keys that are asked for
use constant SIGNATURE_FIELDS_MAX => 50; # fields that are looked at, as many as Mail::DKIM verifies

our @STRICTNESS = qw(pass none arc exempt unknown quarantine altered reject);

# ---- pure: what a record says, and what follows from it -------------------------------------------------------------

# Returns the tags of a policy record, or undef for a text that is not a valid one (RFC 7489 6.3 and 6.6.3).
sub parse_record {
  my ($text) = @_;
  my ($version, @rest) = split(/;/, $text);
  my %tags;

  return unless defined $version && $version =~ /^\s*v\s*=\s*DMARC1\s*$/;
  foreach my $part (@rest) {
    my ($name, $value) = $part =~ /^\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*$/s or next;
    $tags{lc $name} = $value unless exists $tags{lc $name};
  }
  foreach my $name (qw(p sp)) {
    next unless defined $tags{$name} || $name eq 'p';
    my $policy = lc($tags{$name} // '');
    if ($policy !~ /^(?:none|quarantine|reject)$/) {
      # a record with a fault and an address for reports counts as one that asks for nothing
      return unless ($tags{rua} // '') =~ /\bmailto:[^\s,;@]+\@[^\s,;@]+/i;
      return {p => 'none', pct => 100, adkim => 'r', aspf => 'r'};
    }
    $tags{$name} = $policy;
  }
  my $pct = $tags{pct} // '';
  $pct = 100 unless $pct =~ /^[0-9]{1,3}$/ && $pct <= 100;
  return {
    p => $tags{p},
    (defined $tags{sp} ? (sp => $tags{sp}) : ()),
    pct => $pct + 0,
    map { ($_ => lc($tags{$_} // '') eq 's' ? 's' : 'r') } qw(adkim aspf),
  };
}

# Returns the organizational domain by a list of public suffixes, {rule => 1} with "*.rule" and "!rule" as they stand there:
# one label more than the longest suffix, or the name itself where it is a suffix.
sub organizational_domain {
  my ($suffixes, $domain) = @_;
  my @labels = split(/\./, $domain);

  for my $i (0 .. $#labels) {
    my $name = join('.', @labels[$i .. $#labels]);
    my $above = join('.', @labels[$i + 1 .. $#labels]);
    return $name if $suffixes->{"!$name"};
    next unless $suffixes->{$name} || $suffixes->{"*.$above"} || $i == $#labels;
    return $i ? join('.', @labels[$i - 1 .. $#labels]) : $domain;
  }
  return $domain;
}

# Returns {suffix => 1} of the lines of a public suffix list; to_ascii makes xn-- of a name in Unicode.
sub parse_suffixes {
  my ($lines, $to_ascii) = @_;
  my %suffixes;

  foreach my $line (@$lines) {
    next unless $line =~ /^([^\s\/]\S*)/;
    my $rule = $1;
    $rule = $to_ascii->($rule) if $rule =~ /[^\x00-\x7f]/;
    $suffixes{lc $rule} = 1 if defined $rule;
  }
  return \%suffixes;
}

# Returns (policy, how far a failure goes) of the first of [domain => [texts] or undef] that has records; undef for "nobody
# knows": an answer that did not come decides nothing. The first is the domain in From, the second its organization.
sub find_policy {
  my (@places) = @_;

  foreach my $i (0 .. $#places) {
    my $texts = $places[$i];
    return unless defined $texts;
    my @records = grep { /^\s*v\s*=\s*DMARC1\s*(?:;|$)/ } @$texts;
    next unless @records;
    return if @records > 1;
    my $policy = parse_record($records[0]) or return;
    return ($policy, $i && defined $policy->{sp} ? $policy->{sp} : $policy->{p});
  }
  return;
}

# Returns the verdict on one domain in From, or undef. Facts: policy, wish (none, quarantine, reject), from, org (a function),
# share (0 to 99, the message's own place among those that pct divides), and what came in: [kind, domain, result], kind spf
# or dkim, result pass, altered, unknown or anything else.
sub judge {
  my (%facts) = @_;
  my $policy = $facts{policy};
  my $unknown = 0;
  my $altered = 0;

  foreach my $evidence (@{$facts{evidence}}) {
    my ($kind, $domain, $result) = @$evidence;
    my $strict = $policy->{"a$kind"} eq 's';
    next unless $domain eq $facts{from} || (!$strict && $facts{org}->($domain) eq $facts{org}->($facts{from}));
    return 'pass' if $result eq 'pass';
    $unknown = 1 if $result eq 'unknown';
    $altered = 1 if $result eq 'altered';
  }
  my $wish = $facts{wish};
  # the next policy lower holds for those that pct leaves out (RFC 7489 6.6.4)
  $wish = $wish eq 'reject' ? 'quarantine' : 'none' if $facts{share} >= $policy->{pct};
  # a sender can always make a key unknown, by a name in his signature that no server answers for: so this is not nothing
  return $wish eq 'none' ? undef : 'unknown' if $unknown;
  return $wish eq 'reject' && $altered ? 'altered' : $wish;
}

# Returns the strictest of several verdicts; those that are undef do not count.
sub strictest {
  my (@verdicts) = grep { defined } @_;
  my ($strictest) = grep { my $one = $_; grep { $_ eq $one } @verdicts } reverse @STRICTNESS;
  return $strictest;
}

# Returns the verdict on the message, the strictest of its authors', {domain => verdict}; who is exempt, or vouched for
# ({domain => 1}), is so for himself alone.
sub overall {
  my (%facts) = @_;

  return strictest(map {
    my $verdict = $facts{verdicts}{$_};
    my $heavy = defined $verdict && $verdict =~ /^(?:unknown|quarantine|altered|reject)\z/;
    $heavy && $facts{exempt}{$_} ? 'exempt' : $heavy && $facts{vouched}{$_} ? 'arc' : $verdict;
  } keys %{$facts{verdicts}});
}

# Returns the text of a field without its comments and quoted strings, and whether all of these end.
sub without_comments {
  my ($field) = @_;
  my $text = '';
  my $depth = 0;
  my $whole = 1;

  while ($field =~ /\G(?:([()])|("(?:[^"\\]++|\\.)*+")|(\\.|[^()"\\]++|.))/gs) {
    my ($bracket, $quoted, $other) = ($1, $2, $3);
    if (defined $quoted && $depth) {
      pos($field) -= length($quoted) - 1; # in a comment a quote is a letter like others
    } elsif (defined $bracket && ($depth || $bracket eq '(')) {
      $depth += $bracket eq '(' ? 1 : -1;
      $text .= ' ' unless $depth;
    } elsif (!$depth) {
      $whole = 0 if defined $other && $other eq '"';
      $text .= $bracket // $other // ' ';
    }
  }
  return ($text, $whole && !$depth);
}

# Returns the domains behind an @ that the parser of a From field has passed over, given the addresses that it found. A mail
# reader may show one of them as the author: without an address every domain of the field counts, else those of the members
# of its list that have none of the addresses.
sub overlooked {
  my ($field, @addresses) = @_;
  my @members = $field;

  if (@addresses) {
    my ($text) = without_comments($field);
    $text =~ s/=\?[^?\s]*\?[bq]\?[^?\s]*\?=/ /gi; # an encoded word is a part of a name, whatever stands in it
    @members = grep { my $member = lc; !grep { index($member, lc) >= 0 } @addresses } split(/,/, $text);
  }
  return map { /\@\s*([^\s<>()\[\]\\,;:"\@\/]+)/g } @members;
}

# Returns the authors that are judged: with too many the first and the last, so that nobody hides behind the others.
sub chosen {
  my (@authors) = @_;
  splice(@authors, AUTHORS_MAX / 2, @authors - AUTHORS_MAX) if @authors > AUTHORS_MAX;
  return @authors;
}

# Returns the first word of a tag of a signature or seal, or undef.
sub tag {
  my ($field, $name) = @_;
  my ($word) = $field =~ /(?:^|;)\s*$name\s*=\s*([^\s;]+)/;
  return $word;
}

# Returns the name of a signature's key, or undef where the DNS can have no such name.
sub key_name {
  my ($selector, $domain) = @_;

  return unless $selector =~ /^[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\z/;
  my $name = lc($selector) . "._domainkey.$domain";
  return length($name) <= 253 ? $name : undef;
}

# Returns what a signature proves: pass, altered, unknown or fail. Facts: result and detail of Mail::DKIM, no result where it was
# stopped before; refused (a weak key, or expired); name of the key, and key, defined when the DNS has told it here too.
sub signature_result {
  my (%facts) = @_;
  my ($result, $detail) = ($facts{result}, $facts{detail} // '');

  return 'fail' if $facts{refused};
  return 'pass' if defined $result && $result eq 'pass';
  return 'fail' unless defined $facts{name};
  return 'unknown' if !defined $result || $detail =~ /__alarm__/;
  return 'altered' if $detail =~ /body has been altered/;
  my ($trouble) = $detail =~ /\(public key: (.*)/s;
  return 'fail' unless defined $trouble;
  return 'unknown' if $trouble =~ /\b(?:timed out|timeout|DNS error|SERVFAIL|temporar)/i;
  # SpamAssassin's resolver says "no key" for an answer that is cut, and for a server that failed
  return $trouble =~ /^not available/ && !defined $facts{key} ? 'unknown' : 'fail';
}

# Returns what an ARC-Authentication-Results field (RFC 8617, RFC 8601) found: {i => instance, passed => [[kind, domain]]},
# kind spf, dkim or dmarc. Comments and quoted strings do not count.
sub parse_arc_results {
  my ($field) = @_;
  my @passed;

  ($field, my $whole) = without_comments($field);
  return unless $whole &&  $field =~ /^\s*i\s*=\s*([0-9]{1,2})\s*;/;
  my $instance = $1 + 0;
  foreach my $part (split(/;/, $field)) {
    next unless $part =~ /^\s*(spf|dkim|dmarc)\s*=\s*pass(?=\s|$)/i;
    my $kind = lc $1;
    my $property = {spf => 'smtp\.mail(?:from)?', dkim => 'header\.[di]', dmarc => 'header\.from'}->{$kind};
    push @passed, [$kind, lc $1] if $part =~ /\s$property\s*=\s*(?:[^\s;@]*\@)?([A-Za-z0-9.-]+)/i;
  }
  return {i => $instance, passed => \@passed};
}

# Whether trusted sealers vouch for the domain: the newest sealer of a valid chain must be trusted, and then each below it as
# long as it is, and one of them has seen that the domain was aligned. seals: {instance => domain}; results: of each field, undef
# for one that cannot be read.
sub vouched {
  my (%facts) = @_;
  my %results;

  # a result that is forged may stand beside the one that is sealed
  foreach my $result (@{$facts{results}}) {
    return 0 unless defined $result && !exists $results{$result->{i}};
    $results{$result->{i}} = $result->{passed};
  }
  foreach my $i (sort { $b <=> $a } keys %{$facts{seals}}) {
    return 0 unless $facts{trusted}->($facts{seals}{$i});
    foreach my $passed (@{$results{$i} || []}) {
      my ($kind, $domain) = @$passed;
      my $strict = $kind ne 'dmarc' && $facts{policy}{"a$kind"} eq 's';
      return 1 if $domain eq $facts{from};
      return 1 if $kind ne 'dmarc' && !$strict && $facts{org}->($domain) eq $facts{org}->($facts{from});
    }
  }
  return 0;
}

# Whether a name is one of the domains, or below one of them.
sub is_within {
  my ($domains, $name) = @_;

  while (defined $name && $name ne '') {
    return 1 if $domains->{$name};
    $name =~ s/^[^.]*\.?//;
  }
  return 0;
}

# ---- SpamAssassin ---------------------------------------------------------------------------------------------------

sub new {
  my ($class, $main) = @_;
  my $self = Mail::SpamAssassin::Plugin::new($class, $main);

  bless($self, ref($class) || $class);
  $self->register_eval_rule('check_dmarc_policy', $Mail::SpamAssassin::Conf::TYPE_HEAD_EVALS);
  $self->register_method_priority('parsed_metadata', -10);
  my @settings = (
    {
      setting => 'dmarc_exempt', # networks and domains
      is_admin => 1,
      type => $Mail::SpamAssassin::Conf::CONF_TYPE_TEMPLATE,
      code => sub { my ($conf, undef, $value) = @_; read_exempt($conf, $value) },
    },
    {
      setting => 'dmarc_arc_trusted', # domains of sealers
      is_admin => 1,
      type => $Mail::SpamAssassin::Conf::CONF_TYPE_TEMPLATE,
      code => sub { my ($conf, undef, $value) = @_; read_domains($conf->{dmarc_arc_trusted} ||= {}, $value) },
    },
    {
      setting => 'dmarc_message_bytes', # a message of so many bytes may be the first part of a longer one
      is_admin => 1,
      default => 0,
      type => $Mail::SpamAssassin::Conf::CONF_TYPE_NUMERIC,
    },
  );
  $main->{conf}->{parser}->register_commands(\@settings);
  return $self;
}

sub read_domains {
  my ($domains, $value) = @_;

  foreach my $name (split(' ', $value)) {
    $name = ascii($name);
    return $Mail::SpamAssassin::Conf::INVALID_VALUE unless valid_domain($name);
    $domains->{$name} = 1;
  }
  return;
}

sub read_exempt {
  my ($conf, $value) = @_;

  foreach my $word (split(' ', $value)) {
    if ($word =~ /^(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:\/[0-9]{1,3})?$/) {
      require Mail::SpamAssassin::NetSet;
      $conf->{dmarc_exempt_networks} ||= Mail::SpamAssassin::NetSet->new('dmarc_exempt');
      return $Mail::SpamAssassin::Conf::INVALID_VALUE unless $conf->{dmarc_exempt_networks}->add_cidr($word);
    } else {
      my $invalid = read_domains($conf->{dmarc_exempt_domains} ||= {}, $word);
      return $invalid if defined $invalid;
    }
  }
  return;
}

sub ascii {
  my ($name) = @_;
  $name = Mail::SpamAssassin::Util::idn_to_ascii($name);
  $name =~ s/\.+\z//;
  return lc $name;
}

sub valid_domain {
  my ($name) = @_;
  return $name =~ /^(?=.{3,253}\z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\z/;
}

# Read by the parent, so that all children have one copy. Without the list no organization is known, and no message judged.
sub finish_parsing_end {
  my ($self) = @_;

  if (open(my $list, '<', SUFFIXES)) {
    $self->{suffixes} = parse_suffixes([<$list>], \&ascii);
    close($list);
  } else {
    Mail::SpamAssassin::Logger::info('dmarc: ' . SUFFIXES . ": $!; nothing is judged by DMARC");
  }
  return 1;
}

# The names of the rules that ask for a verdict; without one nothing is looked up.
sub rules {
  my ($self) = @_;
  return $self->{main}->{conf}->{eval_to_rule}->{check_dmarc_policy} || [];
}

sub organization {
  my ($self, $domain) = @_;
  return organizational_domain($self->{suffixes}, $domain);
}

# Asks for policies and keys, so that they come while other rules work. Of a message that is only a part the signatures are not
# verified either: they cannot fit. It is judged when no signature or seal in it could have been a reason to spare it.
sub parsed_metadata {
  my ($self, $opts) = @_;
  my $pms = $opts->{permsgstatus};
  my $limit = $pms->{conf}->{dmarc_message_bytes};
  my $cut = $limit && length($pms->{msg}->get_pristine()) >= $limit;

  if ($cut) {
    $pms->{$_} = 1 foreach qw(dkim_checked_signature arc_checked_signature);
    $pms->{$_} = 0 foreach qw(dkim_signatures_ready arc_signatures_ready dkim_signed arc_signed dkim_valid arc_valid
                              dkim_signatures_dependable dkim_key_testing);
    $pms->{$_} = [] foreach qw(dkim_signatures arc_signatures dkim_valid_signatures arc_valid_signatures
                               dkim_author_addresses arc_author_addresses);
    $pms->{$_} = {} foreach qw(dkim_author_domains arc_author_domains dkim_author_sig_tempfailed dkim_has_valid_author_sig
                               dkim_has_any_author_sig);
  }
  return unless $self->{suffixes} && @{$self->rules()} && $pms->is_dns_available() && $pms->{relays_external}->[0];
  my @authors = authors($pms) or return;
  my @signed = $self->signed($pms, @authors);
  return if $cut && (@signed || names_trusted_sealer($pms));

  my $dmarc = $pms->{dmarc_policy_state} = {authors => \@authors, signed => \@signed, texts => {}, keys => {}};
  $self->ask($pms, $dmarc->{texts}, "_dmarc.$_") foreach map { ($_, $self->organization($_)) } @authors;
  $self->ask($pms, $dmarc->{keys}, $_->[1]) foreach @signed;
  return;
}

# The domains of the authors that are judged.
sub authors {
  my ($pms) = @_;
  my (%seen, @domains);

  foreach my $field ($pms->get('From:raw')) {
    my @addresses = grep { /\@([^\@\s]+)\s*\z/ && valid_domain(ascii($1)) }
      map { $_->{address} // () } Mail::SpamAssassin::Util::parse_header_addresses($field);
    push @domains, map { /\@([^\@\s]+)\s*\z/ ? $1 : () } @addresses;
    push @domains, overlooked($field, @addresses);
  }
  return chosen(grep { valid_domain($_) && !$seen{$_}++ } map { ascii($_) } @domains);
}

# [domain, name of the key] of the signatures that may be aligned with one of the authors.
sub signed {
  my ($self, $pms, @authors) = @_;
  my $fields = 0;
  my @signed;

  foreach my $field ($pms->get('DKIM-Signature')) {
    last if ++$fields > SIGNATURE_FIELDS_MAX || @signed >= SIGNATURES_MAX;
    my ($domain, $selector) = map { tag($field, $_) } qw(d s);
    next unless defined $domain && defined $selector;
    $domain = ascii($domain);
    next unless valid_domain($domain) && grep { $self->organization($_) eq $self->organization($domain) } @authors;
    my $name = key_name($selector, $domain);
    push @signed, [$domain, $name] if defined $name;
  }
  return @signed;
}

sub names_trusted_sealer {
  my ($pms) = @_;
  my $trusted = $pms->{conf}->{dmarc_arc_trusted} or return 0;
  return scalar grep { is_within($trusted, ascii($_)) } grep { defined } map { tag($_, 'd') } $pms->get('ARC-Seal');
}

# Asks for TXT records; answers{name} becomes the list of texts when the DNS has said what there is, or that there is nothing.
sub ask {
  my ($self, $pms, $answers, $name) = @_;

  return if exists $answers->{$name};
  $answers->{$name} = undef;
  $pms->{async}->bgsend_and_start_lookup(
    $name, 'TXT', undef, {rulename => [@{$self->rules()}], type => 'DMARC'},
    sub {
      my ($ent, $packet) = @_;
      return if !$packet || $packet->header->tc; # of a cut answer nobody knows what it says
      my $code = $packet->header->rcode;
      return unless $code eq 'NOERROR' || $code eq 'NXDOMAIN';
      $answers->{$name} = [map { join('', $_->txtdata) } grep { uc($_->type) eq 'TXT' } $packet->answer];
    },
    master_deadline => $pms->{master_deadline});
  return;
}

sub check_dmarc_policy {
  my ($self, $pms, $verdict) = @_;

  # known when all answers are there, in check_cleanup
  push @{$pms->{dmarc_policy_rules}}, [$pms->get_current_eval_rule_name(), $verdict];
  return;
}

sub check_cleanup {
  my ($self, $opts) = @_;
  my $pms = $opts->{permsgstatus};
  my $rules = delete $pms->{dmarc_policy_rules} or return;
  my $verdict = $pms->{deadline_exceeded} ? undef : $self->verdict($pms);

  foreach my $rule (@$rules) {
    my ($name, $wanted) = @$rule;
    if (defined $verdict && $verdict eq $wanted) {
      $pms->got_hit($name, '', ruletype => 'eval');
    } else {
      $pms->rule_ready($name, 1);
    }
  }
  return;
}

sub verdict {
  my ($self, $pms) = @_;
  my $dmarc = $pms->{dmarc_policy_state} or return;
  my $org = sub { $self->organization($_[0]) };
  my @evidence = ($self->spf_evidence($pms), $self->dkim_evidence($pms, $dmarc));
  my $share = unpack('N', Digest::MD5::md5(join("\0", map { scalar($pms->get($_)) // '' } qw(From Message-ID Date)))) % 100;
  my $exempt = $self->exempt($pms, \@evidence);
  my (%verdicts, %exempt, %vouched);

  foreach my $from (@{$dmarc->{authors}}) {
    my @places = map { $dmarc->{texts}{"_dmarc.$_"} } $org->($from) eq $from ? ($from) : ($from, $org->($from));
    my ($policy, $wish) = find_policy(@places);
    next unless $policy;
    $verdicts{$from} = judge(policy => $policy, wish => $wish, from => $from, org => $org, share => $share,
                             evidence => \@evidence);
    $exempt{$from} = $exempt || is_within($pms->{conf}->{dmarc_exempt_domains} || {}, $from);
    $vouched{$from} = $self->arc_vouches($pms, $from, $policy);
  }
  return overall(verdicts => \%verdicts, exempt => \%exempt, vouched => \%vouched);
}

# SPF of the envelope sender; of HELO where that is empty.
sub spf_evidence {
  my ($self, $pms) = @_;
  my ($which, $domain);

  if (defined $pms->{spf_sender} && $pms->{spf_sender} =~ /\@([^\@\s]+)\z/) {
    ($which, $domain) = ('spf_', ascii($1));
  } else {
    ($which, $domain) = ('spf_helo_', ascii($pms->{relays_external}->[0]->{helo} // ''));
  }
  return unless valid_domain($domain);
  return ['spf', $domain, 'pass'] if $pms->{"${which}pass"};
  my $known = grep { $pms->{"$which$_"} } qw(neutral none fail softfail permerror);
  return ['spf', $domain, $known ? 'fail' : 'unknown'];
}

sub dkim_evidence {
  my ($self, $pms, $dmarc) = @_;
  my @evidence;
  my $least = $pms->{conf}->{dkim_minimum_key_bits};
  my $verifier = $pms->{dkim_verifier};
  my @signatures = grep { defined } @{$pms->{dkim_signatures} || []};
  # of a verifier that was stopped (dkim_timeout) nobody has fetched the signatures, nor measured their keys
  my $stopped = !@signatures && $verifier && $verifier->can('signatures');
  @signatures = $verifier->signatures if $stopped;

  foreach my $signature (@signatures) {
    my $domain = ascii($signature->domain // '');
    next unless valid_domain($domain);
    my $result = $signature->result;
    $result = undef if $stopped && $least && ($result // '') eq 'pass';
    my $bits = $signature->{_spamassassin_key_size};
    my $weak = $least && $bits && $bits < $least;
    my $expired = $signature->can('check_expiration') && !$signature->check_expiration;
    my $name = key_name($signature->selector // '', $domain);
    push @evidence, ['dkim', $domain, signature_result(
      result => $result, detail => scalar($signature->can('result_detail') ? $signature->result_detail : ''),
      refused => $weak || $expired, name => $name, key => defined $name ? $dmarc->{keys}{$name} : undef)];
  }
  # no verifier, or one that could not read the message
  push @evidence, map { ['dkim', $_->[0], 'unknown'] } @{$dmarc->{signed}} unless $pms->{dkim_signatures_ready};
  return @evidence;
}

# An exempt network sends it, or an exempt domain: by a confirmed name of the client, SPF or DKIM.
sub exempt {
  my ($self, $pms, $evidence) = @_;
  my $client = $pms->{relays_external}->[0];
  my $networks = $pms->{conf}->{dmarc_exempt_networks};
  my $domains = $pms->{conf}->{dmarc_exempt_domains} || {};

  return 1 if $networks && $networks->contains_ip($client->{ip});
  return 1 if is_within($domains, lc($client->{rdns} // ''));
  return scalar grep { $_->[2] eq 'pass' && is_within($domains, $_->[1]) } @$evidence;
}

sub arc_vouches {
  my ($self, $pms, $from, $policy) = @_;
  my $trusted = $pms->{conf}->{dmarc_arc_trusted} or return 0;
  my $verifier = $pms->{arc_verifier};

  return 0 unless $verifier && ($verifier->result // '') eq 'pass';
  my %seals;
  foreach my $field ($pms->get('ARC-Seal')) {
    my ($i) = $field =~ /(?:^|;)\s*i\s*=\s*([0-9]{1,2})\s*(?:;|$)/;
    my $domain = tag($field, 'd');
    return 0 unless defined $i && defined $domain && !exists $seals{$i + 0};
    $seals{$i + 0} = ascii($domain);
  }
  return vouched(seals => \%seals, trusted => sub { is_within($trusted, $_[0]) }, from => $from, policy => $policy,
                 org => sub { $self->organization($_[0]) },
                 results => [map { scalar parse_arc_results($_) } $pms->get('ARC-Authentication-Results')]);
}

1;
