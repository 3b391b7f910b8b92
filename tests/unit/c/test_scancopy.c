/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scancopy.h"

TEST(the_crc_is_zlibs_in_any_cut)
{
  static const char text[] = "123456789";
  size_t i;

  CHECK(scancopy_crc(0, text, 9) == 0xcbf43926);
  CHECK(scancopy_crc(0, "", 0) == 0);
  for (i = 0; i <= 9; ++i) CHECK(scancopy_crc(scancopy_crc(0, text, i), text + i, 9 - i) == 0xcbf43926);
  CHECK(scancopy_crc(0, "\0\377\n", 3) == 0x8cb0cd7e);
}

TEST(the_first_line_has_one_length)
{
  char first[SCANCOPY_FIRST + 1];

  scancopy_first(0, first);
  CHECK(!strcmp(first, "mailgate-refused 1 00000000\n") && strlen(first) == SCANCOPY_FIRST);
  scancopy_first(0xffffffff, first);
  CHECK(!strcmp(first, "mailgate-refused 1 ffffffff\n"));
}

static const char *head_of(const struct scancopy *copy)
{
  static char text[SCANCOPY_HEAD + 1];
  char *exact = malloc(SCANCOPY_HEAD); /* a byte too far is seen */
  size_t n = scancopy_head(copy, exact);

  CHECK(n > 0 && n <= SCANCOPY_HEAD);
  memcpy(text, exact, n);
  text[n] = 0;
  free(exact);
  return text;
}

TEST(the_lines_of_spam)
{
  struct scantext_score score = {1, 15.324, 5};
  struct scancopy copy = {0, 1764208000, &score, 10, "A,B", NULL, "192.0.2.1", "6kz3rt9qm4.1", 54, 1234};

  CHECK(!strcmp(head_of(&copy), "verdict SPAM\nat 1764208000\nscore 15.32\nlimit 10.00\nrules A,B\nclient 192.0.2.1\n"
                                "id 6kz3rt9qm4.1\nenvelope 54\nmessage 1234\n\n"));
}

TEST(the_lines_of_a_virus_and_what_is_not_known)
{
  struct scancopy copy = {1, 1, NULL, 10, NULL, "Eicar-Test", NULL, "", 5, 0};

  CHECK(!strcmp(head_of(&copy), "verdict VIRUS\nat 1\nname Eicar-Test\nclient -\nid -\nenvelope 5\nmessage 0\n\n"));
}

TEST(no_value_makes_a_line_of_its_own_or_a_line_too_long)
{
  struct scantext_score score = {1, 1e300, 5};
  struct scancopy copy = {1, 1, NULL, 10, NULL, "a\nmessage 9\r\t\377", "x\n\ny", "", 5, 0};
  static char rules[SCANCOPY_HEAD * 2];
  const char *text;

  CHECK(!strcmp(head_of(&copy), "verdict VIRUS\nat 1\nname a_message 9___\nclient x__y\nid -\nenvelope 5\nmessage 0\n\n"));
  memset(rules, 'R', sizeof rules - 1);
  copy.virus = 0;
  copy.score = &score;
  copy.rules = rules;
  text = head_of(&copy);
  CHECK(!strcmp(text + strlen(text) - strlen("message 0\n\n"), "message 0\n\n"));
  CHECK(strlen(text) < SCANCOPY_HEAD);
}

static char rules[200];

static int gives(const char *header, size_t size, const char *expected)
{
  size_t length = strlen(header);
  char *exact = malloc(length ? length : 1);
  size_t n;

  check_where = header;
  memcpy(exact, header, length);
  n = scancopy_rules(exact, length, rules, size);
  free(exact);
  return n == strlen(rules) && !strcmp(rules, expected);
}

TEST(rules_are_found_in_the_first_status)
{
  CHECK(gives("A: b\nX-Spam-Status: Yes, score=15.3 required=5.0 tests=BAYES_99,URIBL_BLACK,\n\tMISSING_DATE autolearn=no\n"
              "\tversion=4.0.1\nX-Spam-Status: No tests=C\n\n", 200, "BAYES_99,URIBL_BLACK,MISSING_DATE"));
  CHECK(gives("x-spam-status: Yes, tests=A=1.2,B=-0.5\n", 200, "A=1.2,B=-0.5"));
  CHECK(gives("X-Spam-Status: Yes,\n tests=A", 200, "A"));
  CHECK(gives("X-Spam-Status: Yes, tests=none autolearn=no\n", 200, "none"));
  CHECK(gives("X-Spam-Status: Yes, tests=A,\n\n", 200, "A"));
}

TEST(nothing_else_is_taken_for_rules)
{
  CHECK(gives("", 200, ""));
  CHECK(gives("X-Spam-Status: Yes\n", 200, ""));
  CHECK(gives("X-Spam-Status: Yes, tests=\n", 200, ""));
  CHECK(gives("X-Spam-Status: Yes, notests=A\n", 200, ""));
  CHECK(gives("Subject: X-Spam-Status: tests=A\n\nX-Spam-Status: Yes, tests=B\n", 200, ""));
  CHECK(gives("Subject: x\n X-Spam-Status: Yes, tests=A\n\n", 200, ""));
  CHECK(gives("X-Spam-Status: Yes, tests=A\033[2J,B\n", 200, "A"));
  CHECK(gives("X-Spam-Status: Yes\nX-Other: tests=A\n\n", 200, ""));
}

TEST(a_long_list_is_cut_behind_a_rule)
{
  CHECK(gives("X-Spam-Status: Yes, tests=AAA,BBB,CCC\n", 15, "AAA,BBB,CCC"));
  CHECK(gives("X-Spam-Status: Yes, tests=AAA,BBB,CCC\n", 14, "AAA,BBB,..."));
  CHECK(gives("X-Spam-Status: Yes, tests=AAA,BBB,CCC\n", 12, "AAA,BBB,..."));
  CHECK(gives("X-Spam-Status: Yes, tests=AAA,BBB,CCC\n", 9, "AAA,..."));
  CHECK(gives("X-Spam-Status: Yes, tests=AAAAAAAAAAAA\n", 10, "..."));
}

static const struct test tests[] = {
  {"the_crc_is_zlibs_in_any_cut", the_crc_is_zlibs_in_any_cut},
  {"the_first_line_has_one_length", the_first_line_has_one_length},
  {"the_lines_of_spam", the_lines_of_spam},
  {"the_lines_of_a_virus_and_what_is_not_known", the_lines_of_a_virus_and_what_is_not_known},
  {"no_value_makes_a_line_of_its_own_or_a_line_too_long", no_value_makes_a_line_of_its_own_or_a_line_too_long},
  {"rules_are_found_in_the_first_status", rules_are_found_in_the_first_status},
  {"nothing_else_is_taken_for_rules", nothing_else_is_taken_for_rules},
  {"a_long_list_is_cut_behind_a_rule", a_long_list_is_cut_behind_a_rule},
};
MAIN(tests)
