/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A keyed hash of bytes that are written once and read again: a program that changes them in between does not know
 * the key. SipHash-2-4 with 128 bits (Aumasson, Bernstein, 2012; the reference code's values are the test): sixty
 * lines of its own, so that the program that reads mail of strangers needs no library for it.
 */
#ifndef SCANHASH_H
#define SCANHASH_H

#include <stddef.h>
#include <stdint.h>

#define SCANHASH_KEY 16
#define SCANHASH_BYTES 16

struct scanhash {
  uint64_t v[4];
  unsigned char tail[8]; /* what does not yet make eight bytes */
  size_t tailed;
  uint64_t length;
};

/* Gets a secret key from the kernel; -1 with errno when there is none. */
int scanhash_random_key(unsigned char key[SCANHASH_KEY]);

void scanhash_begin(struct scanhash *hash, const unsigned char key[SCANHASH_KEY]);
void scanhash_add(struct scanhash *hash, const char *bytes, size_t length);
void scanhash_end(struct scanhash *hash, unsigned char digest[SCANHASH_BYTES]);

#endif
