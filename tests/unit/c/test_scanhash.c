/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scanhash.h"

static unsigned char key[SCANHASH_KEY];
static unsigned char digest[SCANHASH_BYTES];

static void hash(const char *bytes, size_t length, size_t piece)
{
  struct scanhash h;
  size_t at;

  scanhash_begin(&h, key);
  for (at = 0; at < length; at += piece) scanhash_add(&h, bytes + at, length - at < piece ? length - at : piece);
  scanhash_end(&h, digest);
}

/* The reference implementation's vectors_sip128: the key 00 01 .. 0f, the message 00 01 .. */
TEST(it_is_siphash)
{
  static const struct { size_t length; unsigned char digest[SCANHASH_BYTES]; } known[] = {
    {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
    {1, {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45}},
    {63, {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a, 0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd, 0x7c}},
  };
  char message[64];
  size_t i;
  size_t piece;

  for (i = 0; i < sizeof message; ++i) message[i] = (char) i;
  for (i = 0; i < sizeof key; ++i) key[i] = (unsigned char) i;
  for (i = 0; i < sizeof known / sizeof *known; ++i)
    for (piece = 1; piece < 65; ++piece) {
      hash(message, known[i].length, piece);
      CHECK(memcmp(digest, known[i].digest, sizeof digest) == 0);
    }
}

TEST(keys_are_random)
{
  unsigned char one[SCANHASH_KEY] = {0};
  unsigned char other[SCANHASH_KEY] = {0};
  static const unsigned char none[SCANHASH_KEY];

  CHECK(scanhash_random_key(one) == 0 && scanhash_random_key(other) == 0);
  CHECK(memcmp(one, other, sizeof one) != 0 && memcmp(one, none, sizeof one) != 0);
}

static const struct test tests[] = {{"it_is_siphash", it_is_siphash}, {"keys_are_random", keys_are_random}};
MAIN(tests)
