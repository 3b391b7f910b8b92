# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The rules for a message's text see the first body_part_scan_size bytes of each part. check_text_beyond_limit() is true
# for a message with a part whose rendered text is longer, so that the rest costs points and X-Spam-Status says so.

package Mail::SpamAssassin::Plugin::TextBeyondLimit;

use strict;
use warnings;

use Mail::SpamAssassin::Plugin;

our @ISA = qw(Mail::SpamAssassin::Plugin);

sub new {
  my ($class, $main) = @_;
  my $self = Mail::SpamAssassin::Plugin::new($class, $main);

  bless($self, ref($class) || $class);
  $self->register_eval_rule('check_text_beyond_limit', $Mail::SpamAssassin::Conf::TYPE_BODY_EVALS);
  return $self;
}

sub check_text_beyond_limit {
  my ($self, $pms) = @_;
  my $limit = $pms->{conf}->{body_part_scan_size};

  return 0 unless $limit;
  foreach my $part ($pms->{msg}->find_parts(qr/./, 1)) {
    my ($type, $text) = $part->rendered();
    return 1 if defined $text && length($text) > $limit;
  }
  return 0;
}

1;
