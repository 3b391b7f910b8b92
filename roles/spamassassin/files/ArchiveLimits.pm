# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# How much plug-ins unpack of the zip archives of one message, Office documents included. Archive::Zip unpacks a member as a
# whole, and 1 MB can become 1 GB. A member beyond the limits counts as one that cannot be read; ClamAV has limits of its own.

package Mail::SpamAssassin::Plugin::ArchiveLimits;

use strict;
use warnings;

use Mail::SpamAssassin::Plugin;

our @ISA = qw(Mail::SpamAssassin::Plugin);

use constant BYTES_MAX => 20_000_000;  # of all members of a message
use constant MEMBERS_MAX => 200;       # members that are unpacked
use constant CHUNK_BYTES => 8192;      # packed bytes at a time, which become 8 MB at most

my ($bytes, $members) = (0, 0);

sub new {
  my ($class, $main) = @_;
  my $self = Mail::SpamAssassin::Plugin::new($class, $main);

  bless($self, ref($class) || $class);
  limit_archives() if eval { require Archive::Zip; 1 };
  return $self;
}

sub check_start {
  ($bytes, $members) = (0, 0);
  return;
}

sub limit_archives {
  no warnings 'redefine';
  my $contents = \&Archive::Zip::Member::contents;

  return if defined &Archive::Zip::Member::contents_without_limits;
  *Archive::Zip::Member::contents_without_limits = $contents;
  *Archive::Zip::Member::contents = sub {
    my ($member, @new) = @_;
    return $member->contents_without_limits(@new) if @new;
    my ($content, $status) = unpack_member($member);
    return wantarray ? ($content, $status) : $content;
  };
  return;
}

sub unpack_member {
  my ($member) = @_;
  my $content = '';

  return (undef, Archive::Zip::AZ_ERROR()) if ++$members > MEMBERS_MAX || $bytes > BYTES_MAX;
  my $kept = $member->desiredCompressionMethod(Archive::Zip::COMPRESSION_STORED());
  my $status = $member->rewindData();
  while ($status == Archive::Zip::AZ_OK()) {
    (my $chunk, $status) = $member->readChunk(CHUNK_BYTES);
    last if $status != Archive::Zip::AZ_OK() && $status != Archive::Zip::AZ_STREAM_END();
    $content .= $$chunk;
    $bytes += length($$chunk);
    $status = Archive::Zip::AZ_ERROR() if $bytes > BYTES_MAX;
  }
  $member->desiredCompressionMethod($kept);
  $member->endRead();
  return ($content, Archive::Zip::AZ_OK()) if $status == Archive::Zip::AZ_STREAM_END();
  return (undef, $status);
}

1;
