/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How many sessions each client and each network has. A fixed table, as strangers choose the keys: a key is 64 bits of
 * a hash with a secret, so nobody can choose two clients with the same key. No side effects.
 */
#ifndef PLACES_H
#define PLACES_H

#include <stddef.h>
#include <stdint.h>
#include "address.h"

struct places_entry {
  uint64_t key;      /* 0: free */
  unsigned count;
};

struct places {
  struct places_entry *entry;   /* a power of 2 of them, at least twice as many as there are sessions' keys */
  size_t mask;
  uint64_t secret[2];
};

/* Room for so many keys at once. Returns 0 without memory. */
extern int places_begin(struct places *p, size_t keys, const unsigned char secret[16]);
extern void places_end(struct places *p);

/* The key of the client's network of that prefix; the prefix itself is a part of it. Never 0. */
extern uint64_t places_key(const struct places *p, const struct address *client, int prefix);

extern unsigned places_count(const struct places *p, uint64_t key);
extern void places_add(struct places *p, uint64_t key);
extern void places_remove(struct places *p, uint64_t key);

#endif
