/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "mailsize.h"

TEST(a_size_above_the_limit_is_found_among_the_parameters)
{
  static const char *const rows[] = {
    "FROM:<a@b.example> SIZE=1001", "FROM:<a@b.example> size=1001", "FROM:<a@b.example>SIZE=1001", "FROM:<> BODY=8BITMIME SIZE=9999",
    "FROM:<a@b.example>  Size=1001  BODY=8BITMIME", "FROM:<a@b.example>\tSIZE=1001", "FROM:<a@b.example> SIZE=10 SIZE=1001",
    "FROM: a@b.example SIZE=1001", "FROM:<\"a>b\"@b.example> SIZE=2000", "FROM:<a\\>b@b.example> SIZE=2000",
    "FROM:<@r.example:a@b.example> SIZE=2000", "FROM:<a@b.example> SIZE=0001001", "FROM:<a@b.example> SIZE=18446744073709551617",
    "FROM:<a@b.example> SIZE=99999999999999999999", "FROM:<a@b.example> SIZE=100000000000000000000000000000000000000",
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i];
    CHECK(mailsize_exceeds(rows[i], 1000));
    CHECK(!mailsize_exceeds(rows[i], 0));
  }
}

TEST(what_fits_and_what_is_no_declaration_passes)
{
  static const char *const rows[] = {
    "FROM:<a@b.example> SIZE=1000", "FROM:<a@b.example> SIZE=0", "FROM:<a@b.example>", "FROM:<a@b.example> SIZE=", "FROM:<a@b.example> SIZE",
    "FROM:<a@b.example> SIZE=2000x", "FROM:<a@b.example> SIZE=-2000", "FROM:<a@b.example> SIZE= 2000", "FROM:<a@b.example> XSIZE=2000",
    "FROM:<a@b.example> SIZES=2000", "FROM:<SIZE=2000@b.example>", "FROM:<\"> SIZE=2000\"@b.example>", "FROM:<a@b.example SIZE=2000",
    "FROM:SIZE=2000", "SIZE=2000", "", "<", "FROM:<a@b.example> SIZE=00000000000000000000000000000000000001000",
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i];
    CHECK(!mailsize_exceeds(rows[i], 1000));
  }
}

TEST(the_largest_numbers_are_compared_right)
{
  CHECK(!mailsize_exceeds("FROM:<> SIZE=4294967294", 4294967294ul));
  CHECK(mailsize_exceeds("FROM:<> SIZE=4294967295", 4294967294ul));
  CHECK(!mailsize_exceeds("FROM:<> SIZE=9", 9) && mailsize_exceeds("FROM:<> SIZE=10", 9) && mailsize_exceeds("FROM:<> SIZE=9", 5));
}

TEST(the_limit_is_that_of_qmail_smtpd)
{
  CHECK(mailsize_limit(0, 0) == 0);
  CHECK(mailsize_limit("52428800\n", 0) == 52428800);
  CHECK(mailsize_limit("1000 x", 0) == 1000 && mailsize_limit("x", 0) == 0 && mailsize_limit("", 0) == 0);
  CHECK(mailsize_limit("1000", "2000") == 2000 && mailsize_limit("1000", "0") == 0 && mailsize_limit("1000", "") == 0);
  CHECK(mailsize_limit("4294967295", 0) == 4294967294u);
}

TEST(the_greeting_says_the_limit)
{
  char out[MAILSIZE_EHLO_MAX];

  CHECK(strcmp(mailsize_ehlo(out, 0), "\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n") == 0);
  CHECK(strcmp(mailsize_ehlo(out, 4294967294u), "\r\n250-PIPELINING\r\n250-SIZE 4294967294\r\n250 8BITMIME\r\n") == 0);
}

static const struct test tests[] = {
  {"a_size_above_the_limit_is_found_among_the_parameters", a_size_above_the_limit_is_found_among_the_parameters},
  {"what_fits_and_what_is_no_declaration_passes", what_fits_and_what_is_no_declaration_passes},
  {"the_largest_numbers_are_compared_right", the_largest_numbers_are_compared_right},
  {"the_limit_is_that_of_qmail_smtpd", the_limit_is_that_of_qmail_smtpd},
  {"the_greeting_says_the_limit", the_greeting_says_the_limit},
};
MAIN(tests)
