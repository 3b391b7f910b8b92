/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "greyexempt.h"

static struct greyexempt exempt;
static const char *wrong;

static enum greyexempt_line parse(const char *line)
{
  check_where = line;
  wrong = 0;
  return greyexempt_parse(&exempt, line, &wrong);
}

static int has(const char *text)
{
  struct address a;

  CHECK(address_parse(&a, text));
  return greyexempt_has_address(&exempt, &a);
}

TEST(networks_of_both_families)
{
  CHECK(parse("198.51.100.0/24\n") == GREYEXEMPT_NETWORK);
  CHECK(has("198.51.100.255") && has("::ffff:198.51.100.1") && !has("198.51.101.0") && !has("2001:db8::1"));
  CHECK(parse(" 198.51.100.7 \r\n") == GREYEXEMPT_NETWORK && has("198.51.100.7") && !has("198.51.100.8"));
  CHECK(parse("2001:db8::/33") == GREYEXEMPT_NETWORK);
  CHECK(has("2001:db8:7fff::1") && !has("2001:db8:8000::1") && !has("198.51.100.7"));
  CHECK(parse("::ffff:198.51.100.0/120") == GREYEXEMPT_NETWORK && has("198.51.100.7"));
  CHECK(!greyexempt_has_name(&exempt, "example.com"));
}

TEST(domains_and_what_is_below_them)
{
  CHECK(parse("Mail.Example.com\n") == GREYEXEMPT_DOMAIN);
  CHECK(greyexempt_has_name(&exempt, "mail.example.com") && greyexempt_has_name(&exempt, "a.b.mail.example.com"));
  CHECK(!greyexempt_has_name(&exempt, "email.example.com") && !greyexempt_has_name(&exempt, "example.com"));
  CHECK(!greyexempt_has_name(&exempt, "mail.example.com.evil.test") && !greyexempt_has_name(&exempt, ""));
  CHECK(!has("198.51.100.7"));
}

TEST(comments_and_lines_that_are_wrong)
{
  static const char *const bad[] = {
    "com", ".", ".example.com", "example.com.", "a..b", "*.example.com", "example.com x", "198.51.100.1/24", "198.51.100.0/33",
    "198.51.100", "198.51.100.300", "2001:db8::1/32", "2001:db8::/129", "::ffff:1.2.3.4/64", "a/24", "exämple.com",
    "1234567890123456789012345678901234567890123456789012345678901234.example",
  };
  char line[400];
  size_t i;

  CHECK(parse("") == GREYEXEMPT_COMMENT && parse("\n") == GREYEXEMPT_COMMENT && parse("  # x\n") == GREYEXEMPT_COMMENT);
  CHECK(!greyexempt_has_name(&exempt, "") && !greyexempt_has_name(&exempt, "example.com"));
  for (i = 0; i < sizeof bad / sizeof *bad; ++i)
    CHECK(parse(bad[i]) == GREYEXEMPT_WRONG && wrong && !greyexempt_has_name(&exempt, "a.example.com"));
  memset(line, 'a', sizeof line - 1);
  line[sizeof line - 1] = 0;
  for (i = 60; i < sizeof line - 1; i += 60)
    line[i] = '.';
  CHECK(parse(line) == GREYEXEMPT_WRONG);
  line[299] = 0;
  CHECK(parse(line) == GREYEXEMPT_WRONG);
  line[255] = 0;
  CHECK(parse(line) == GREYEXEMPT_DOMAIN && greyexempt_has_name(&exempt, line));
}

static const struct test tests[] = {
  {"networks_of_both_families", networks_of_both_families},
  {"domains_and_what_is_below_them", domains_and_what_is_below_them},
  {"comments_and_lines_that_are_wrong", comments_and_lines_that_are_wrong},
};

MAIN(tests)
