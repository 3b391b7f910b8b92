# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The rules for a message's text see the first body_part_scan_size bytes of each part, and of all its parts together twice
# as much: one with many long parts would take as long as one without a limit. Where they have more, long parts are cut at
# the same place, and short ones are seen whole. check_text_beyond_limit() is true for a message with a part whose rendered
# text is longer than what is seen of it, so that the rest costs points and X-Spam-Status says so.

package Mail::SpamAssassin::Plugin::TextBeyondLimit;

use strict;
use warnings;

use Mail::SpamAssassin::Plugin;

our @ISA = qw(Mail::SpamAssassin::Plugin);

use constant PARTS => 2;   # so many parts of that size

sub new {
  my ($class, $main) = @_;
  my $self = Mail::SpamAssassin::Plugin::new($class, $main);

  bless($self, ref($class) || $class);
  $self->register_eval_rule('check_text_beyond_limit', $Mail::SpamAssassin::Conf::TYPE_BODY_EVALS);
  return $self;
}

sub lengths {
  my ($msg) = @_;

  return map { my ($type, $text) = $_->rendered(); defined $text ? length($text) : () } $msg->find_parts(qr/./, 1);
}

# The size at which parts of these lengths are cut, so that all together are no longer than the sum.
sub share {
  my ($limit, $sum, @lengths) = @_;
  my $left = @lengths;

  foreach my $length (sort { $a <=> $b } @lengths) {
    my $share = int($sum / $left--);

    return $share < $limit ? $share : $limit if $length > $share;
    $sum -= $length;
  }
  return $limit;
}

sub post_message_parse {
  my ($self, $opts) = @_;
  my $msg = $opts->{message};
  my $limit = $self->{main}->{conf}->{body_part_scan_size};

  return unless $limit;
  my $share = share($limit, PARTS * $limit, map { $_ > $limit ? $limit : $_ } lengths($msg));
  $msg->{body_part_scan_size} = $share > 0 ? $share : 1;   # 0 is no limit
  return;
}

sub check_text_beyond_limit {
  my ($self, $pms) = @_;
  my $limit = $pms->{msg}->{body_part_scan_size} || $pms->{conf}->{body_part_scan_size};

  return 0 unless $limit;
  foreach my $length (lengths($pms->{msg})) {
    return 1 if $length > $limit;
  }
  return 0;
}

1;
