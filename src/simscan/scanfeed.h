/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a scanner gets: bytes, then pieces of files, which are proven while they are read.
 */
#ifndef SCANFEED_H
#define SCANFEED_H

#include <stddef.h>
#include "scanhash.h"

/*
 * Bytes of a file whose hash was kept when they were written. A file that ends before fails with EIO, other bytes with
 * EBADMSG, and the last of them are not passed on.
 */
struct scanpiece {
  int file;
  long long offset;
  long long length;
  unsigned char digest[SCANHASH_BYTES];
};

#define SCANFEED_PIECES 3

struct scanfeed {
  const char *bytes;
  size_t count;
  const struct scanpiece *pieces[SCANFEED_PIECES]; /* NULL: no more */
  const unsigned char *key;                        /* of the pieces' hashes */
};

#define SCANFEED_BLOCK 65536

/* How far a feed has been read. */
struct scanfeed_reader {
  const struct scanfeed *feed;
  size_t bytes;         /* how much of the feed's bytes is read */
  int piece;            /* which of its pieces is being read */
  long long offset;     /* how much of it is */
  struct scanhash hash; /* of what was read of it */
  char block[SCANFEED_BLOCK];
  size_t begin, end;    /* what of block is not yet used */
};

void scanfeed_begin(struct scanfeed_reader *reader, const struct scanfeed *feed);

/* Puts the next bytes into block when all of it is used; 1 when there are some, 0 at the end, -1 with errno. */
int scanfeed_fill(struct scanfeed_reader *reader);

/* The bytes of the whole feed. */
long long scanfeed_length(const struct scanfeed *feed);

#endif
