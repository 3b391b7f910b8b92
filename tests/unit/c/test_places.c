/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "places.h"

#define KEYS 300

static const unsigned char secret[16] = "sixteen bytes ..";

TEST(a_client_and_its_network_are_counted_apart)
{
  struct places p;
  struct address one;
  struct address other;

  CHECK(places_begin(&p, 10, secret));
  CHECK(address_parse(&one, "198.51.100.7") && address_parse(&other, "198.51.100.8"));
  CHECK(places_key(&p, &one, 24) == places_key(&p, &other, 24));
  CHECK(places_key(&p, &one, 32) != places_key(&p, &other, 32));
  CHECK(places_key(&p, &one, 32) != places_key(&p, &one, 24));
  CHECK(address_parse(&one, "198.51.100.0"));
  CHECK(places_key(&p, &one, 32) != places_key(&p, &one, 24));
  CHECK(address_parse(&one, "2001:db8::1") && address_parse(&other, "2001:db8::2:0:0:1"));
  CHECK(places_key(&p, &one, 64) == places_key(&p, &other, 64));
  CHECK(places_key(&p, &one, 128) != places_key(&p, &other, 128));
  CHECK(address_parse(&one, "::ffff:198.51.100.7") && address_parse(&other, "198.51.100.7"));
  CHECK(places_key(&p, &one, 32) == places_key(&p, &other, 32));
  places_end(&p);
}

TEST(keys_depend_on_the_secret)
{
  struct places p;
  struct places q;
  struct address a;

  CHECK(places_begin(&p, 10, secret) && places_begin(&q, 10, (const unsigned char *) "another secret .") );
  CHECK(address_parse(&a, "198.51.100.7") && places_key(&p, &a, 32) != places_key(&q, &a, 32));
  places_end(&p);
  places_end(&q);
}

/* Against a plain list of counts, with keys that stand close together, so that gaps are closed in all ways. */
TEST(counts_stay_right_whoever_comes_and_goes)
{
  static unsigned counts[KEYS + 1];
  struct places p;
  unsigned random = 1;
  uint64_t key;
  int round;
  int i;

  CHECK(places_begin(&p, KEYS, secret));
  for (round = 0; round < 200000; ++round) {
    random = random * 1103515245u + 12345u;
    key = 1 + (random >> 8) % KEYS;
    if ((random >> 20 & 1) && counts[key] < 5) {
      places_add(&p, key);
      ++counts[key];
    } else if (counts[key]) {
      places_remove(&p, key);
      --counts[key];
    }
    CHECK(places_count(&p, key) == counts[key]);
  }
  for (i = 1; i <= KEYS; ++i)
    CHECK(places_count(&p, (uint64_t) i) == counts[i]);
  for (i = 1; i <= KEYS; ++i)
    while (counts[i]-- > 0)
      places_remove(&p, (uint64_t) i);
  for (i = 0; (size_t) i <= p.mask; ++i)
    CHECK(!p.entry[i].key && !p.entry[i].count);
  places_remove(&p, 7);   /* which is not there */
  CHECK(places_count(&p, 7) == 0);
  places_end(&p);
}

static const struct test tests[] = {
  {"a_client_and_its_network_are_counted_apart", a_client_and_its_network_are_counted_apart},
  {"keys_depend_on_the_secret", keys_depend_on_the_secret},
  {"counts_stay_right_whoever_comes_and_goes", counts_stay_right_whoever_comes_and_goes},
};
MAIN(tests)
