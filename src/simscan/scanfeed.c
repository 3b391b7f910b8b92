/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "scanfeed.h"

void scanfeed_begin(struct scanfeed_reader *r, const struct scanfeed *feed)
{
  r->feed = feed;
  r->bytes = 0;
  r->piece = 0;
  r->offset = 0;
  r->begin = r->end = 0;
}

static int read_piece(struct scanfeed_reader *r, const struct scanpiece *piece)
{
  unsigned char digest[SCANHASH_BYTES];
  long long left = piece->length - r->offset;
  size_t n = left < SCANFEED_BLOCK ? (size_t) left : SCANFEED_BLOCK;
  ssize_t got;

  if (r->offset == 0) scanhash_begin(&r->hash, r->feed->key);
  do got = pread(piece->file, r->block, n, (off_t) (piece->offset + r->offset)); while (got == -1 && errno == EINTR);
  if (got == 0) errno = EIO;
  if (got <= 0) return -1;
  r->offset += got;
  scanhash_add(&r->hash, r->block, (size_t) got);
  if (r->offset == piece->length) {
    scanhash_end(&r->hash, digest);
    if (memcmp(digest, piece->digest, sizeof digest) != 0) {
      errno = EBADMSG;
      return -1;
    }
    ++r->piece;
    r->offset = 0;
  }
  r->end = (size_t) got;
  return 1;
}

int scanfeed_fill(struct scanfeed_reader *r)
{
  const struct scanfeed *feed = r->feed;
  size_t n;

  if (r->begin < r->end) return 1;
  r->begin = r->end = 0;
  if (r->bytes < feed->count) {
    n = feed->count - r->bytes;
    if (n > SCANFEED_BLOCK) n = SCANFEED_BLOCK;
    memcpy(r->block, feed->bytes + r->bytes, n);
    r->bytes += n;
    r->end = n;
    return 1;
  }
  while (r->piece < SCANFEED_PIECES && feed->pieces[r->piece] && feed->pieces[r->piece]->length == 0) ++r->piece;
  if (r->piece == SCANFEED_PIECES || !feed->pieces[r->piece]) return 0;
  return read_piece(r, feed->pieces[r->piece]);
}

long long scanfeed_length(const struct scanfeed *feed)
{
  long long length = (long long) feed->count;
  int i;

  for (i = 0; i < SCANFEED_PIECES && feed->pieces[i]; ++i) length += feed->pieces[i]->length;
  return length;
}
