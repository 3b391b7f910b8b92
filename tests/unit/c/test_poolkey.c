/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "poolkey.h"
#include "sha256.h"

static const char *hex_of(const char *text, size_t len)
{
  static char hex[2 * SHA256_BYTES + 1];
  unsigned char digest[SHA256_BYTES];
  int i;

  sha256(digest, text, len);
  for (i = 0; i < SHA256_BYTES; ++i)
    sprintf(hex + 2 * i, "%02x", digest[i]);
  return hex;
}

TEST(the_hash_is_sha_256)
{
  char text[1000];
  char lengths[200][2 * SHA256_BYTES + 1];
  int i;
  int j;

  /* FIPS 180-4, examples */
  CHECK(!strcmp(hex_of("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  CHECK(!strcmp(hex_of("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  CHECK(!strcmp(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
  memset(text, 'a', sizeof text);
  CHECK(!strcmp(hex_of(text, 1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"));
  for (i = 0; i < 200; ++i) {   /* around the ends of blocks, too */
    strcpy(lengths[i], hex_of(text, (size_t) i));
    for (j = 0; j < i; ++j)
      CHECK(strcmp(lengths[i], lengths[j]) != 0);
  }
}

static int same(const char *sender, const char *other)
{
  char one[POOLKEY_MAX];
  char two[POOLKEY_MAX];

  check_where = sender;
  CHECK(poolkey(one, "example.com", sender, "ann@example.net") && poolkey(two, "example.com", other, "ann@example.net"));
  CHECK(strlen(one) == POOLKEY_MAX - 1 && strlen(two) == POOLKEY_MAX - 1);
  return !strcmp(one, two);
}

TEST(what_a_host_makes_again_for_each_try_does_not_count)
{
  CHECK(same("SRS0=HhHh=TT=example.org=bob@fwd.example", "srs0=xY+/=tu=example.org=bob@fwd.example"));
  CHECK(same("SRS0+HhHh=TT=example.org=bob@fwd.example", "SRS0+AAAA=UU=example.org=bob@fwd.example"));
  CHECK(same("SRS1=aaaa=a.example==HhHh=TT=example.org=bob@b.example",
             "SRS1=bbbb=a.example==HhHh=TT=example.org=bob@b.example"));
  CHECK(same("prvs=0123abcdef=bob@example.org", "prvs=1124fedcba=bob@example.org"));
  CHECK(same("msprvs1=17412aBc=bounces-1@example.org", "msprvs1=17413xYz=bounces-1@example.org"));
  CHECK(same("btv1==123abc==bob@example.org", "btv1==124abd==bob@example.org"));
  CHECK(same("Bob@Example.ORG", "bob@example.org"));
}

TEST(another_sender_has_another_key)
{
  CHECK(!same("bob@example.org", "rob@example.org"));
  CHECK(!same("", "bob@example.org"));
  CHECK(!same("list-bounces+ann=example.net@example.org", "list-bounces+eve=example.net@example.org"));
  CHECK(!same("list-return-17@example.org", "list-return-18@example.org"));
  CHECK(!same("SRS0=HhHh=TT=example.org=bob@fwd.example", "SRS0=HhHh=TT=example.org=eve@fwd.example"));
  CHECK(!same("SRS0=HhHh=TT=example.org=bob@fwd.example", "example.org=bob@fwd.example"));
  CHECK(!same("SRS0=HhHh=TT=bob@fwd.example", "SRS1=HhHh=bob@fwd.example"));
  CHECK(!same("prvs=0123abcdef=bob@example.org", "bob@example.org"));
  CHECK(!same("prvs==bob@example.org", "prvs=1=bob@example.org"));
  CHECK(!same("prvs=bob@example.org", "prvs=eve@example.org"));
  CHECK(!same("srs0=a=bob@x", "srs0=b=bob@x"));   /* no day */
}

TEST(the_three_parts_are_apart)
{
  char one[POOLKEY_MAX];
  char two[POOLKEY_MAX];

  CHECK(poolkey(one, "example.com", "a@b", "c@d") && poolkey(two, "example.co", "ma@b", "c@d") && strcmp(one, two));
  CHECK(poolkey(two, "example.com", "a@bc", "@d") && strcmp(one, two));
  CHECK(poolkey(two, "example.com", "a@b", "c@e") && strcmp(one, two));
  CHECK(poolkey(two, "example.net", "a@b", "c@d") && strcmp(one, two));
  CHECK(poolkey(two, "example.com", "a@b", "C@D") && !strcmp(one, two));
}

TEST(an_address_that_is_too_long_has_no_key)
{
  char key[POOLKEY_MAX];
  char text[POOLKEY_TEXT_MAX + 1];

  memset(text, 'x', POOLKEY_TEXT_MAX);
  text[POOLKEY_TEXT_MAX] = 0;
  CHECK(!poolkey(key, "example.com", text, "c@d") && !poolkey(key, "example.com", "a@b", text));
  CHECK(!poolkey(key, text, "a@b", "c@d"));
  text[POOLKEY_TEXT_MAX - 9] = 0;
  CHECK(poolkey(key, text, text, text));
}

static const struct test tests[] = {
  {"the_hash_is_sha_256", the_hash_is_sha_256},
  {"what_a_host_makes_again_for_each_try_does_not_count", what_a_host_makes_again_for_each_try_does_not_count},
  {"another_sender_has_another_key", another_sender_has_another_key},
  {"the_three_parts_are_apart", the_three_parts_are_apart},
  {"an_address_that_is_too_long_has_no_key", an_address_that_is_too_long_has_no_key},
};

MAIN(tests)
