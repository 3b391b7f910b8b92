/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A reader for cdb files that tells "not there" from "cannot know".
 *
 * CDBREAD_MISSING is a promise: the header is consistent, the first record is where its hash says, the table that
 * would hold the key is whole, and every slot that a search for the key passes leads to a record whose key has the
 * hash that the slot says. Therefore a changed byte anywhere, a file cut short at any length, bytes appended and a
 * zeroed stretch never turn a stored key into CDBREAD_MISSING, nor a key that is not stored into CDBREAD_FOUND:
 * what they touch becomes CDBREAD_TROUBLE. A file without any record is trouble too.
 *
 * Layout expected: that of all common writers (cdbmake, tinycdb, cdbx, this collection), in which the 256 hash
 * tables follow each other in order up to the end of the file (an empty table's position is where it would be) and
 * are at least half full.
 *
 * Memory is constant and small, nothing is allocated, nothing is mapped (a file cut while it is read is trouble,
 * not a signal). Valid as gnu89 and as C99.
 */
#ifndef CDBREAD_H
#define CDBREAD_H

#include <stddef.h>
#include <stdint.h>

#define CDBREAD_TROUBLE (-1)
#define CDBREAD_MISSING 0
#define CDBREAD_FOUND 1

struct cdbread {
  int fd;
  uint64_t tables;             /* where the records end and the hash tables begin */
  uint32_t pos[256];
  uint32_t slots[256];
  unsigned char whole[256];    /* 1: the table was read through and found whole */
  uint64_t data_pos;           /* of the record that was found last, */
  uint64_t data_len;           /* and how long it is */
  const char *trouble;         /* a fixed text, set with every CDBREAD_TROUBLE */
};

/* Opens the file, checks its header and its first record: 0, or CDBREAD_TROUBLE and nothing is left open. */
extern int cdbread_open(struct cdbread *c, const char *path);

/* CDBREAD_FOUND, CDBREAD_MISSING or CDBREAD_TROUBLE. */
extern int cdbread_find(struct cdbread *c, const char *key, size_t len);

/* Reads the data of the record that cdbread_find() found last: 0 and its length, or CDBREAD_TROUBLE, also when it is
 * longer than size. */
extern int cdbread_data(struct cdbread *c, char *out, size_t size, size_t *len);

extern void cdbread_close(struct cdbread *c);

#endif
