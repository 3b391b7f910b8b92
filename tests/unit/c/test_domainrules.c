/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "domainrules.h"

#define TWO "rule\nreject 8\nmark 4.5\nsubject_tag [Spam ?]\nsuffix .exe\nsuffix .tar.gz\ndomain one.example\n" \
            "domain uno.example\n\n# the second\nrule\nno_suffix\nno_subject_tag\ndomain two.example\nend"

static struct domainrules rules;
static struct domainrule rule;

/* Without a NUL behind it: nothing may be read there. */
static int take(const char *text, size_t len)
{
  char *copy = malloc(len ? len : 1);

  CHECK(copy);
  memcpy(copy, text, len);
  domainrules_take(&rules, copy, len);
  return rules.state;
}

static int number(const char *text, const char *recipient)
{
  check_where = text;
  take(text, strlen(text));
  return domainrules_number(&rules, recipient);
}

TEST(a_domain_has_the_rule_that_names_it)
{
  CHECK(number(TWO, "ann@one.example") == 1 && number(TWO, "ann@UNO.Example") == 1 && number(TWO, "ann@two.example") == 2);
  CHECK(number(TWO, "ann@two.example.") == 2 && number(TWO, "a@one.example@two.example") == 2);
  CHECK(number(TWO, "ann@three.example") == 0 && number(TWO, "ann@sub.one.example") == 0);
  CHECK(number(TWO, "ann@one.exampl") == 0 && number(TWO, "ann@one.example.net") == 0);
  CHECK(number(TWO, "one.example") == 0 && number(TWO, "ann@") == 0 && number(TWO, "") == 0 && number(TWO, "a@[192.0.2.1]") == 0);
  CHECK(number("end", "ann@one.example") == 0 && number("# none\nend\n", "ann@one.example") == 0);
  domainrules_free(&rules);
  CHECK(rules.state == 0 && domainrules_number(&rules, "ann@one.example") == 0);
}

TEST(a_rule_says_what_it_says)
{
  CHECK(number(TWO, "ann@one.example") == 1);
  domainrules_rule(&rules, 1, &rule);
  CHECK(rule.reject == 8 && rule.mark == 4.5 && rule.tags && strcmp(rule.tag, "[Spam ?]") == 0);
  CHECK(rule.suffixes && rule.suffix_count == 2);
  CHECK(strcmp(rule.suffix[0], ".exe") == 0 && strcmp(rule.suffix[1], ".tar.gz") == 0);
  domainrules_rule(&rules, 2, &rule);
  CHECK(rule.reject == 0 && rule.mark == 0 && rule.tags && !rule.tag[0] && rule.suffixes && rule.suffix_count == 0);
  domainrules_rule(&rules, 0, &rule);
  CHECK(rule.reject == 0 && rule.mark == 0 && !rule.tags && !rule.suffixes);
  domainrules_rule(&rules, 3, &rule);
  CHECK(rule.reject == 0 && !rule.tags && !rule.suffixes);
}

static int wrong(const char *text)
{
  check_where = text;
  return take(text, strlen(text)) == -1 && domainrules_number(&rules, "ann@one.example") == -1
         && domainrules_number(&rules, "ann@three.example") == -1;
}

TEST(a_line_that_is_wrong_leaves_every_question_open)
{
  static const char *const lines[] = {
    "reject", "reject ", "reject 0", "reject 0.0", "reject -1", "reject +1", "reject 1000", "reject 8.25", "reject .5",
    "reject 8.", "reject 1e2", "reject nan", "reject 0x8", "reject  8", "reject 8 ", "reject 8\r", "reject\t8", "Reject 8",
    "reject 8 # spam", " reject 8", "mark 0", "mark x", "mark", "rule 1", "subject_tag", "subject_tag ", "subject_tag  x",
    "subject_tag x ", "subject_tag b\xc3\xa4h", "subject_tag a\tb", "no_subject_tag x", "no_subject_tag ", "suffix", "suffix ",
    "suffix .exe .bat", "suffix .a:b", "suffix .a/b", "suffix .a\177", "no_suffix x", "domain", "domain ", "domain a@one.example",
    "domain One.example", "domain .one.example", "domain one.example.", "domain b\xc3\xa4r.example", "domain *", "greylist no",
    "colour blue", "end\nend", "end x", "end\n# x", "End", "reject 8\nreject 9", "mark 1\nmark 2", "subject_tag a\nno_subject_tag", "no_subject_tag\nsubject_tag a",
    "suffix .exe\nno_suffix", "no_suffix\nsuffix .exe", "no_suffix\nno_suffix", "no_greylist x", "no_greylist\nno_greylist", "subject_tag a\nsubject_tag b",
  };
  char text[1000];
  size_t i;

  for (i = 0; i < sizeof lines / sizeof *lines; ++i) {
    snprintf(text, sizeof text, "rule\ndomain one.example\n%s\nend\n", lines[i]);
    CHECK(wrong(text) && rules.wrong >= 3 && rules.wrong <= 4);
    snprintf(text, sizeof text, "rule\n%s\nend", lines[i]);
    CHECK(wrong(text));
  }
  CHECK(wrong("reject 8\n") && rules.wrong == 1);
  CHECK(wrong("# a comment\n\ndomain one.example\nrule\n") && rules.wrong == 3);
  memset(text, 'a', sizeof text);
  memcpy(text, "rule\nsubject_tag ", 17);
  strcpy(text + 17 + DOMAINRULES_TAG, "\nend\n");
  CHECK(take(text, strlen(text)) == 1);
  strcpy(text + 17 + DOMAINRULES_TAG, "a\nend\n");
  CHECK(wrong(text));
  memcpy(text, "rule\nsuffix aaaaa", 17);
  strcpy(text + 12 + DOMAINRULES_SUFFIX - 1, "\nend\n");
  CHECK(take(text, strlen(text)) == 1);
  strcpy(text + 12 + DOMAINRULES_SUFFIX - 1, "a\nend\n");
  CHECK(wrong(text));
}

TEST(a_nul_does_not_hide_a_line)
{
  static const char text[] = "rule\ndomain one.example\0\nend\n";
  static const char tag[] = "rule\nsubject_tag a\0b\nend\n";

  CHECK(take(text, sizeof text - 1) == -1 && take(tag, sizeof tag - 1) == -1);
}

TEST(a_domain_of_two_rules_is_not_judged)
{
  static const char text[] = "rule\ndomain one.example\ndomain one.example\nrule\ndomain two.example\nrule\ndomain two.example\nend\n";

  CHECK(number(text, "ann@one.example") == 1);
  CHECK(number(text, "ann@two.example") == -1 && number(text, "ann@three.example") == 0);
}

TEST(a_domain_may_take_mail_of_greylisted_networks)
{
  CHECK(number("rule\nreject 8\ndomain one.example\nrule\nno_greylist\ndomain two.example\nend", "ann@two.example") == 2);
  CHECK(domainrules_no_greylist(&rules, "ann@two.example") == 1);
  CHECK(domainrules_no_greylist(&rules, "ann@one.example") == 0 && domainrules_no_greylist(&rules, "ann@three.example") == 0);
  CHECK(number("rule\nno_greylist\ndomain two.example\n", "ann@two.example") == -1);
  CHECK(domainrules_no_greylist(&rules, "ann@two.example") == 0);
}

TEST(so_many_suffixes_and_no_more)
{
  char text[DOMAINRULES_SUFFIXES * 12 + 20] = "rule\n";
  int i;

  for (i = 0; i < DOMAINRULES_SUFFIXES; ++i) strcat(text, "suffix .exe\n");
  strcat(text, "end");
  CHECK(take(text, strlen(text)) == 1);
  domainrules_rule(&rules, 1, &rule);
  CHECK(rule.suffix_count == DOMAINRULES_SUFFIXES);
  strcpy(strstr(text, "end"), "suffix .e\nend");
  CHECK(take(text, strlen(text)) == -1 && rules.wrong == DOMAINRULES_SUFFIXES + 2);
}

TEST(which_recipients_go_together)
{
  static const char text[] = "rule\nreject 8\ndomain one.example\nrule\nsuffix .exe\nsuffix .bat\ndomain two.example\n"
                             "rule\nmark 2\nsuffix .exe\nsuffix .bat\ndomain three.example\nrule\nno_suffix\ndomain four.example\nend\n";

  CHECK(take(text, strlen(text)) == 1);
  CHECK(domainrules_together(&rules, 0, 0, 0) && domainrules_together(&rules, 2, 2, 0) && domainrules_together(&rules, 2, 2, 1));
  CHECK(!domainrules_together(&rules, 0, 1, 0) && !domainrules_together(&rules, 1, 2, 0) && !domainrules_together(&rules, 2, 3, 0));
  /* of a client that may relay, nothing but attachments is judged by rules */
  CHECK(domainrules_together(&rules, 0, 1, 1) && domainrules_together(&rules, 2, 3, 1) && domainrules_together(&rules, 3, 2, 1));
  CHECK(!domainrules_together(&rules, 1, 2, 1) && !domainrules_together(&rules, 0, 2, 1) && !domainrules_together(&rules, 0, 4, 1));
  CHECK(!domainrules_together(&rules, 4, 3, 1));
  CHECK(!domainrules_together(&rules, -1, -1, 0) && !domainrules_together(&rules, -1, -1, 1) && !domainrules_together(&rules, 0, -1, 1));
}

static void write_file(const char *name, const char *text, size_t len)
{
  FILE *file = fopen(name, "w");

  CHECK(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

TEST(the_file)
{
  static char large[DOMAINRULES_FILE_MAX + 1];

  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == 0 && domainrules_number(&rules, "ann@one.example") == 0);
  write_file("domainrules", TWO, strlen(TWO));
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == 1 && domainrules_number(&rules, "ann@two.example") == 2);
  write_file("domainrules", "", 0);
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == -1 && rules.wrong == 1 && domainrules_number(&rules, "ann@one.example") == -1);
  memset(large, '\n', sizeof large);
  memcpy(large + sizeof large - 4, "end", 3);
  write_file("domainrules", large + 1, sizeof large - 1);
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == 1 && rules.len == sizeof large - 1);
  write_file("domainrules", large, sizeof large);
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == -1 && rules.wrong == 0 && domainrules_number(&rules, "ann@x.example") == -1);
  CHECK(unlink("domainrules") == 0 && mkdir("domainrules", 0700) == 0);
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == -1 && domainrules_number(&rules, "ann@x.example") == -1);
  CHECK(rmdir("domainrules") == 0 && symlink("domainrules", "domainrules") == 0);
  domainrules_read(&rules, "domainrules");
  CHECK(rules.state == -1);
  domainrules_rule(&rules, 1, &rule);
  CHECK(rule.reject == 0 && !rule.suffixes);
  domainrules_free(&rules);
  CHECK(rules.state == 0 && !rules.text);
}

TEST(a_file_that_was_cut_is_not_used)
{
  size_t i;

  for (i = 0; i < strlen(TWO); ++i) {
    CHECK(take(TWO, i) == -1 && rules.wrong > 0);
    domainrules_number(&rules, "ann@two.example");
    domainrules_rule(&rules, 1, &rule);
  }
  domainrules_free(&rules);
}

static const struct test tests[] = {
  {"a_domain_has_the_rule_that_names_it", a_domain_has_the_rule_that_names_it},
  {"a_rule_says_what_it_says", a_rule_says_what_it_says},
  {"a_line_that_is_wrong_leaves_every_question_open", a_line_that_is_wrong_leaves_every_question_open},
  {"a_nul_does_not_hide_a_line", a_nul_does_not_hide_a_line},
  {"a_domain_of_two_rules_is_not_judged", a_domain_of_two_rules_is_not_judged},
  {"a_domain_may_take_mail_of_greylisted_networks", a_domain_may_take_mail_of_greylisted_networks},
  {"so_many_suffixes_and_no_more", so_many_suffixes_and_no_more},
  {"which_recipients_go_together", which_recipients_go_together},
  {"the_file", the_file},
  {"a_file_that_was_cut_is_not_used", a_file_that_was_cut_is_not_used},
};
MAIN(tests)
