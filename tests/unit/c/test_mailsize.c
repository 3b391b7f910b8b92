/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "mailsize.h"

TEST(a_size_above_the_limit_is_found_among_the_parameters)
{
  static const char *const rows[] = {
    "FROM:<a@b.example> SIZE=1126", "FROM:<a@b.example> size=1126", "FROM:<a@b.example>SIZE=1126", "FROM:<> BODY=8BITMIME SIZE=9999",
    "FROM:<a@b.example>  Size=1126  BODY=8BITMIME", "FROM:<a@b.example>\tSIZE=1126", "FROM:<a@b.example> SIZE=10 SIZE=1126",
    "FROM: a@b.example SIZE=1126", "FROM:<\"a>b\"@b.example> SIZE=2000", "FROM:<a\\>b@b.example> SIZE=2000",
    "FROM:<@r.example:a@b.example> SIZE=2000", "FROM:<a@b.example> SIZE=0001126", "FROM:<a@b.example> SIZE=18446744073709551617",
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
    "FROM:<a@b.example> SIZE=1000", "FROM:<a@b.example> SIZE=1125", "FROM:<a@b.example> SIZE=0", "FROM:<a@b.example>", "FROM:<a@b.example> SIZE=", "FROM:<a@b.example> SIZE",
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
  CHECK(!mailsize_exceeds("FROM:<> SIZE=4831838205", 4294967294ul));
  CHECK(mailsize_exceeds("FROM:<> SIZE=4831838206", 4294967294ul));
  CHECK(!mailsize_exceeds("FROM:<> SIZE=18446744073709551615", ~0ul) && mailsize_exceeds("FROM:<> SIZE=18446744073709551616", ~0ul));
  CHECK(!mailsize_exceeds("FROM:<> SIZE=10", 9) && mailsize_exceeds("FROM:<> SIZE=11", 9) && mailsize_exceeds("FROM:<> SIZE=9", 5));
}

/* A message that fits, as its client counts it: CR LF for each LF. */
TEST(a_message_that_fits_is_not_refused_for_the_ends_of_its_lines)
{
  static const unsigned long limits[] = {1000, 65536, 15000000, 52428800, 4294967294ul};
  static const unsigned long lines[] = {77, 73, 65, 40, 20, 10, MAILSIZE_LINE_ENDS};
  char arg[100];
  size_t i;
  size_t j;

  for (i = 0; i < sizeof limits / sizeof *limits; ++i)
    for (j = 0; j < sizeof lines / sizeof *lines; ++j) {
      sprintf(arg, "FROM:<a@b.example> SIZE=%lu", limits[i] + limits[i] / lines[j]);
      check_where = arg;
      CHECK(!mailsize_exceeds(arg, limits[i]));
      sprintf(arg, "FROM:<a@b.example> SIZE=%lu", limits[i] + limits[i] / MAILSIZE_LINE_ENDS + 1);
      CHECK(mailsize_exceeds(arg, limits[i]));
    }
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
  {"a_message_that_fits_is_not_refused_for_the_ends_of_its_lines",
   a_message_that_fits_is_not_refused_for_the_ends_of_its_lines},
  {"the_limit_is_that_of_qmail_smtpd", the_limit_is_that_of_qmail_smtpd},
  {"the_greeting_says_the_limit", the_greeting_says_the_limit},
};
MAIN(tests)
