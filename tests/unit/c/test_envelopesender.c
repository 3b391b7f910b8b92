/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include "check.h"
#include "envelopesender.h"

/* A buffer of exactly the size that received() gives, with nothing of its own behind it: ASan sees one byte more. */
static char *buffer(size_t size)
{
  char *safe = malloc(size);

  CHECK(safe != NULL);
  memset(safe, 'X', size);
  return safe;
}

TEST(every_byte_stands_for_itself_or_for_a_question_mark)
{
  char *safe = buffer(ENVELOPESENDER_MAX + 1);
  char address[4] = "a?b";
  char want[4] = "a?b";
  int b;

  for (b = 1; b < 256; ++b) {
    address[1] = (char) b;
    want[1] = b > ' ' && b <= '~' && b != '<' && b != '>' && b != '(' && b != ')' && b != '"' && b != '\\' ? (char) b : '?';
    CHECK(envelopesender(address, safe, ENVELOPESENDER_MAX + 1) == 1 && strcmp(safe, want) == 0);
    CHECK(envelopesender(address + 1, safe, ENVELOPESENDER_MAX + 1) == 1 && safe[0] == want[1]);
  }
  free(safe);
}

TEST(an_address_is_copied_as_it_is)
{
  static const char *const plain[] = {
    "ann@sender.example", "o'brien+tag@example.test", "a@b", "x", "@", "SRS0=Hhh=TT=orig.example=ann@fwd.example",
    "bounce-#{1}/%2!~*$&^|`_-=,.;:[]?@example.test",
  };
  char *safe = buffer(ENVELOPESENDER_MAX + 1);
  size_t i;

  for (i = 0; i < sizeof plain / sizeof *plain; ++i) {
    check_where = plain[i];
    CHECK(envelopesender(plain[i], safe, ENVELOPESENDER_MAX + 1) == 1 && strcmp(safe, plain[i]) == 0);
  }
  free(safe);
}

TEST(nothing_ends_the_comment_or_the_line)
{
  char *safe = buffer(ENVELOPESENDER_MAX + 1);

  CHECK(envelopesender("a@b.test>) by evil\n\tX: \"y\\", safe, ENVELOPESENDER_MAX + 1) == 1);
  CHECK(strcmp(safe, "a@b.test???by?evil??X:??y?") == 0);
  CHECK(envelopesender("\r\n\r\n", safe, ENVELOPESENDER_MAX + 1) == 1 && strcmp(safe, "????") == 0);
  CHECK(envelopesender("\xc3\xa9\x80\xff@b.test", safe, ENVELOPESENDER_MAX + 1) == 1 && strcmp(safe, "????@b.test") == 0);
  free(safe);
}

TEST(the_null_sender_is_left_out)
{
  char *safe = buffer(ENVELOPESENDER_MAX + 1);

  CHECK(envelopesender("", safe, ENVELOPESENDER_MAX + 1) == 0 && safe[0] == 0);
  CHECK(envelopesender("", safe, 1) == 0 && safe[0] == 0);
  free(safe);
}

TEST(what_is_too_long_to_be_an_address_is_left_out)
{
  static char address[5000];
  char *safe = buffer(ENVELOPESENDER_MAX + 1);
  size_t n;

  for (n = 1; n < sizeof address - 1; n += n < 318 || n > 322 ? 53 : 1) {
    memset(address, 'a', n);
    address[n] = 0;
    memset(safe, 'X', ENVELOPESENDER_MAX + 1);
    if (n <= ENVELOPESENDER_MAX)
      CHECK(envelopesender(address, safe, ENVELOPESENDER_MAX + 1) == 1 && strcmp(safe, address) == 0);
    else
      CHECK(envelopesender(address, safe, ENVELOPESENDER_MAX + 1) == 0 && safe[0] == 0);
  }
  CHECK(ENVELOPESENDER_MAX == 320);
  memset(address, 'a', 320);
  address[320] = 0;
  CHECK(envelopesender(address, safe, ENVELOPESENDER_MAX + 1) == 1 && strlen(safe) == 320);
  address[320] = 'a';
  address[321] = 0;
  CHECK(envelopesender(address, safe, ENVELOPESENDER_MAX + 1) == 0 && safe[0] == 0);
  free(safe);
}

static const struct test tests[] = {
  { "every_byte_stands_for_itself_or_for_a_question_mark", every_byte_stands_for_itself_or_for_a_question_mark },
  { "an_address_is_copied_as_it_is", an_address_is_copied_as_it_is },
  { "nothing_ends_the_comment_or_the_line", nothing_ends_the_comment_or_the_line },
  { "the_null_sender_is_left_out", the_null_sender_is_left_out },
  { "what_is_too_long_to_be_an_address_is_left_out", what_is_too_long_to_be_an_address_is_left_out },
};
MAIN(tests)
