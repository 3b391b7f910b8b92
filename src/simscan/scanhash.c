/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <sys/random.h>
#include "scanhash.h"

#define ROTATED(x, n) ((x) << (n) | (x) >> (64 - (n)))

static void round_once(uint64_t v[4])
{
  v[0] += v[1];
  v[2] += v[3];
  v[1] = ROTATED(v[1], 13) ^ v[0];
  v[3] = ROTATED(v[3], 16) ^ v[2];
  v[0] = ROTATED(v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = ROTATED(v[1], 17) ^ v[2];
  v[3] = ROTATED(v[3], 21) ^ v[0];
  v[2] = ROTATED(v[2], 32);
}

static uint64_t little_endian(const unsigned char *bytes, size_t n)
{
  uint64_t word = 0;

  while (n > 0) word = word << 8 | bytes[--n];
  return word;
}

static void take(struct scanhash *hash, uint64_t word)
{
  hash->v[3] ^= word;
  round_once(hash->v);
  round_once(hash->v);
  hash->v[0] ^= word;
}

int scanhash_random_key(unsigned char key[SCANHASH_KEY])
{
  ssize_t got;

  do got = getrandom(key, SCANHASH_KEY, 0); while (got == -1 && errno == EINTR);
  if (got == SCANHASH_KEY) return 0;
  if (got != -1) errno = EIO;
  return -1;
}

void scanhash_begin(struct scanhash *hash, const unsigned char key[SCANHASH_KEY])
{
  uint64_t k0 = little_endian(key, 8);
  uint64_t k1 = little_endian(key + 8, 8);

  hash->v[0] = k0 ^ UINT64_C(0x736f6d6570736575);
  hash->v[1] = k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee;
  hash->v[2] = k0 ^ UINT64_C(0x6c7967656e657261);
  hash->v[3] = k1 ^ UINT64_C(0x7465646279746573);
  hash->tailed = 0;
  hash->length = 0;
}

void scanhash_add(struct scanhash *hash, const char *bytes, size_t length)
{
  const unsigned char *at = (const unsigned char *) bytes;

  hash->length += length;
  for (; length > 0 && hash->tailed > 0; --length) {
    hash->tail[hash->tailed++] = *at++;
    if (hash->tailed < 8) continue;
    take(hash, little_endian(hash->tail, 8));
    hash->tailed = 0;
  }
  for (; length >= 8; length -= 8, at += 8) take(hash, little_endian(at, 8));
  while (length-- > 0) hash->tail[hash->tailed++] = *at++;
}

void scanhash_end(struct scanhash *hash, unsigned char digest[SCANHASH_BYTES])
{
  uint64_t word;
  int half;
  int i;

  take(hash, little_endian(hash->tail, hash->tailed) | hash->length << 56);
  hash->v[2] ^= 0xee;
  for (half = 0; half < 2; ++half) {
    for (i = 0; i < 4; ++i) round_once(hash->v);
    word = hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
    for (i = 0; i < 8; ++i) digest[8 * half + i] = (unsigned char) (word >> 8 * i);
    hash->v[1] ^= 0xdd;
  }
}
