/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "places.h"

int places_begin(struct places *p, size_t keys, const unsigned char secret[16])
{
  size_t size = 16;

  while (size < 2 * keys)
    size *= 2;
  p->entry = calloc(size, sizeof *p->entry);
  p->mask = size - 1;
  memcpy(p->secret, secret, sizeof p->secret);
  return p->entry != 0;
}

void places_end(struct places *p)
{
  free(p->entry);
  p->entry = 0;
}

static uint64_t rotated(uint64_t x, int bits)
{
  return x << bits | x >> (64 - bits);
}

/* SipHash's round (Aumasson and Bernstein, 2012). */
static void mix(uint64_t v[4])
{
  v[0] += v[1]; v[1] = rotated(v[1], 13); v[1] ^= v[0]; v[0] = rotated(v[0], 32);
  v[2] += v[3]; v[3] = rotated(v[3], 16); v[3] ^= v[2];
  v[0] += v[3]; v[3] = rotated(v[3], 21); v[3] ^= v[0];
  v[2] += v[1]; v[1] = rotated(v[1], 17); v[1] ^= v[2]; v[2] = rotated(v[2], 32);
}

uint64_t places_key(const struct places *p, const struct address *client, int prefix)
{
  struct address network = *client;
  uint64_t v[4];
  uint64_t word[3];
  uint64_t key;
  int i;

  prefix = address_network(&network, prefix);
  memset(word, 0, sizeof word);
  memcpy(word, network.bytes, (size_t) network.bits / 8);
  word[2] = (uint64_t) network.bits << 8 | (uint64_t) prefix;
  v[0] = p->secret[0] ^ UINT64_C(0x736f6d6570736575);
  v[1] = p->secret[1] ^ UINT64_C(0x646f72616e646f6d);
  v[2] = p->secret[0] ^ UINT64_C(0x6c7967656e657261);
  v[3] = p->secret[1] ^ UINT64_C(0x7465646279746573);
  for (i = 0; i < 3; ++i) {
    v[3] ^= word[i];
    mix(v);
    mix(v);
    v[0] ^= word[i];
  }
  v[2] ^= 0xff;
  for (i = 0; i < 4; ++i)
    mix(v);
  key = v[0] ^ v[1] ^ v[2] ^ v[3];
  return key ? key : 1;
}

static size_t find(const struct places *p, uint64_t key)
{
  size_t at = (size_t) key & p->mask;

  while (p->entry[at].key && p->entry[at].key != key)
    at = (at + 1) & p->mask;
  return at;
}

unsigned places_count(const struct places *p, uint64_t key)
{
  return p->entry[find(p, key)].count;
}

void places_add(struct places *p, uint64_t key)
{
  size_t at = find(p, key);

  p->entry[at].key = key;
  ++p->entry[at].count;
}

/* Moves up the entries behind a place that becomes free, so that they are still found. */
static void close_gap(struct places *p, size_t gap)
{
  size_t at = gap;
  size_t home;

  for (;;) {
    at = (at + 1) & p->mask;
    if (!p->entry[at].key)
      break;
    home = (size_t) p->entry[at].key & p->mask;
    if (((at - home) & p->mask) < ((at - gap) & p->mask))
      continue;
    p->entry[gap] = p->entry[at];
    gap = at;
  }
  p->entry[gap].key = 0;
  p->entry[gap].count = 0;
}

void places_remove(struct places *p, uint64_t key)
{
  size_t at = find(p, key);

  if (p->entry[at].key && --p->entry[at].count == 0)
    close_gap(p, at);
}
