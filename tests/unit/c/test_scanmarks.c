/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scanmarks.h"

/* Takes the bytes that were written to a place of so much room. */
static const char *text_of(char *exact, size_t n, size_t room)
{
  static char text[2000];

  CHECK(n <= room && n < sizeof text);
  memcpy(text, exact, n);
  text[n] = 0;
  free(exact);
  return text;
}

static const char *merged(const char *header, const char *answer)
{
  size_t room = strlen(header) + strlen(answer) + SCANMARKS_MORE;
  char *exact = malloc(room); /* a byte too far is seen */
  size_t n = scanmarks_merge(header, strlen(header), answer, strlen(answer), exact);

  return text_of(exact, n, room);
}

static int gives(const char *header, const char *answer, const char *expected)
{
  check_where = answer;
  return strcmp(merged(header, answer), expected) == 0;
}

/* What SpamAssassin gives for these messages, rules of the message's own kept. */
TEST(an_answer_about_the_message_is_taken_as_it_is)
{
  static const struct { const char *header; const char *answer; } rows[] = {
    {"A: b\nSubject: x\n\n", "X-Spam-Status: No\nX-Spam-Level: \nA: b\nSubject: x\n\n"},
    {"Return-Path: <a>\n b\nA: b\n\n", "Return-Path: <a>\n b\nX-Spam-Status: No\nA: b\n\n"},
    {"A: b\nSubject: x\nC: d\n\n", "X-Spam-Flag: YES\nA: b\nSubject: [SPAM] x\nC: d\nX-Spam-Prev-Subject: x\n\n"},
    {"A: b\n\n", "X-Spam-Flag: YES\nA: b\nSubject: [SPAM] \nX-Spam-Prev-Subject: \n\n"},
    {"subject: x\n y\nSUBJECT: z\n\n", "X-Spam-Flag: YES\nsubject: [S] x\n y\nSUBJECT: [S] z\nX-Spam-Prev-subject: x\n y\n\n"},
    {"\n", "X-Spam-Status: No\n\n"},
    {"A: b\n", "X-Spam-Status: No\nA: b\n"},
    {"A: b\nno field\n\n", "X-Spam-Status: Yes,\n\ttests=A,\n\tB\nA: b\nno field\n\n"},
    {"", ""},
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) CHECK(gives(rows[i].header, rows[i].answer, rows[i].answer));
}

TEST(nothing_else_is_taken_or_lost)
{
  CHECK(gives("A: b\nC: d\n\n", "X-Spam-Flag: NO\nEvil: x\nC: e\n\n", "X-Spam-Flag: NO\nA: b\nC: d\n\n"));
  CHECK(gives("A: b\nC: d\n\n", "X-Spam-Flag: NO\n\n", "X-Spam-Flag: NO\nA: b\nC: d\n\n"));
  CHECK(gives("A: b\nC: d\n\n", "", "A: b\nC: d\n\n"));
  CHECK(gives("A: b\n\n", "X-Spam-Flag: NO\nA: b\nB: c\nD: e\nX-Spam-Prev-Subject: x\n\n", "X-Spam-Flag: NO\nA: b\nX-Spam-Prev-Subject: x\n\n"));
  CHECK(gives("A: b\n\n", "X-Spam-Flag: NO\nA: b\n\nX-Spam-Flag: YES\n", "X-Spam-Flag: NO\nA: b\n\n"));
  CHECK(gives("A: b\r\nC: \r\n d\n\n", "X-Spam-Flag: NO\nA: b\nC: \n d\n\n", "X-Spam-Flag: NO\nA: b\r\nC: \r\n d\n\n"));
  CHECK(gives("X-SpamX: a\nB: c\n\n", "x-spam-flag: NO\nX-SpamX: a\nB: c\n\n", "x-spam-flag: NO\nX-SpamX: a\nB: c\n\n"));
}

TEST(a_subject_is_replaced_by_its_own)
{
  CHECK(gives("A: b\nSubject: x\n\n", "X-Spam-Flag: YES\nSubject: [S] x\n\n", "X-Spam-Flag: YES\nA: b\nSubject: [S] x\n\n"));
  CHECK(gives("Subject: x\n\n", "A: b\nC: d\nSubject: [S] x\n\n", "Subject: [S] x\n\n"));
  CHECK(gives("Subject: x\nSubject: y\n\n", "Subject: [S] x\n\n", "Subject: x\nSubject: y\n\n"));
  CHECK(gives("1\n2\n3\n4\nSubject: x\n\n", "1\n2\n3\nSubject: [S] \n4\nSubject: x\n\n", "1\n2\n3\n4\nSubject: x\n\n"));
  CHECK(gives("Subjects: x\n\n", "Subjects: x\n\n", "Subjects: x\n\n"));
}

TEST(no_field_grows_by_the_one_behind_it)
{
  CHECK(gives("A: b", "X-Spam-Flag: NO\nA: b\nX-Spam-Prev-Subject: x", "X-Spam-Flag: NO\nA: b\nX-Spam-Prev-Subject: x"));
  CHECK(gives("A: b\n\n", "X-Spam-Flag: NO", "X-Spam-Flag: NO\nA: b\n\n"));
  CHECK(gives("\n", "X-Spam-Flag: NO", "X-Spam-Flag: NO\n\n"));
  CHECK(gives("A: b", "X-Spam-Flag: NO", "X-Spam-Flag: NO\nA: b"));
}

static const char *tagged(const char *header, const char *answer, const char *tag)
{
  size_t room = strlen(header) + strlen(answer) + SCANMARKS_MORE + scanmarks_tags(header, strlen(header), tag);
  char *exact = malloc(room);
  size_t n = scanmarks_tag(header, strlen(header), answer, strlen(answer), tag, exact);

  return text_of(exact, n, room);
}

static int tags(const char *header, const char *answer, const char *tag, const char *expected)
{
  check_where = expected;
  return strcmp(tagged(header, answer, tag), expected) == 0;
}

TEST(the_subject_gets_the_tag_of_the_domain)
{
  static const char said[] = "X-Spam-Flag: YES\nA: b\nSubject: [SPAM] x\n\n";

  CHECK(tags("A: b\nSubject: x\n\n", said, "[D]", "X-Spam-Flag: YES\nA: b\nSubject: [D] x\n\n"));
  CHECK(tags("A: b\nSubject: x\n\n", said, "", "X-Spam-Flag: YES\nA: b\nSubject: x\n\n"));
  CHECK(tags("A: b\nSUBJECT:\t x\r\n y\n\n", said, "[D]", "X-Spam-Flag: YES\nA: b\nSUBJECT: [D] x\r\n y\n\n"));
  CHECK(tags("A: b\nSubject: [D] x\n\n", said, "[D]", "X-Spam-Flag: YES\nA: b\nSubject: [D] x\n\n"));
  CHECK(tags("A: b\nSubject: [D]\n\n", said, "[D]", "X-Spam-Flag: YES\nA: b\nSubject: [D] [D]\n\n"));
  CHECK(tags("Subject: x\nSubject: y\n\n", "X-Spam-Flag: YES\n\n", "[D]", "X-Spam-Flag: YES\nSubject: [D] x\nSubject: [D] y\n\n"));
  CHECK(tags("Subject:\n\n", "X-Spam-Flag: YES\n\n", "[D]", "X-Spam-Flag: YES\nSubject: [D] \n\n"));
  CHECK(tags("Subject: x", "X-Spam-Flag: YES\n", "[D]", "X-Spam-Flag: YES\nSubject: [D] x"));
}

TEST(a_message_without_a_subject_gets_one_of_the_tag)
{
  static const char said[] = "X-Spam-Flag: YES\nA: b\nSubject: [SPAM] \n\n";

  CHECK(tags("A: b\n\n", said, "[D]", "X-Spam-Flag: YES\nA: b\nSubject: [D] \n\n"));
  CHECK(tags("A: b\n\n", said, "", "X-Spam-Flag: YES\nA: b\n\n"));
  CHECK(tags("A: b", said, "[D]", "X-Spam-Flag: YES\nA: b\nSubject: [D] \n"));
  CHECK(tags("\n", "X-Spam-Flag: YES\n\n", "[D]", "X-Spam-Flag: YES\nSubject: [D] \n\n"));
  CHECK(tags("", "X-Spam-Flag: YES\n", "[D]", "X-Spam-Flag: YES\nSubject: [D] \n"));
}

static const char *judge(const char *answer, int spam, double required)
{
  size_t room = strlen(answer) + SCANMARKS_VERDICT;
  char *exact = malloc(room);
  size_t n = scanmarks_judge(answer, strlen(answer), spam, required, exact);

  check_where = answer;
  return text_of(exact, n, room);
}

TEST(another_verdict_stands_in_the_marks)
{
  CHECK(!strcmp(judge("X-Spam-Status: No, score=4.2 required=5.0 tests=A,\n\tB\nA: b\n\n", 1, 4),
                "X-Spam-Flag: YES\nX-Spam-Status: Yes, score=4.2 required=4.0 tests=A,\n\tB\nA: b\n\n"));
  CHECK(!strcmp(judge("X-Spam-Checker: x\nX-Spam-Flag: YES\nX-Spam-Level: ***\nX-Spam-Status: Yes, score=6.0\n\trequired=5.0 tests=A\n"
                      "X-Spam-Report:\n\t* 6.0 A\nA: b\nSubject: [S] x\nX-Spam-Prev-Subject: x\n\n", 0, 7.5),
                "X-Spam-Checker: x\nX-Spam-Level: ***\nX-Spam-Status: No, score=6.0\n\trequired=7.5 tests=A\nA: b\nSubject: [S] x\n\n"));
  CHECK(!strcmp(judge("X-Spam-Report: x\nX-Spam-Status:Yes,score=6 hits=6,required=5\n", 1, 999.9),
                "X-Spam-Report: x\nX-Spam-Flag: YES\nX-Spam-Status:Yes,score=6 hits=6,required=999.9\n"));
  CHECK(!strcmp(judge("X-Spam-Status:\n\tNo, required=5.0", 0, 5), "X-Spam-Status:\n\tNo, required=5.0"));
  CHECK(!strcmp(judge("X-Spam-Status: No, xrequired=1 required=5\nX-Spam-Flag: NO\n\nX-Spam-Status: x\n", 1, 5),
                "X-Spam-Flag: YES\nX-Spam-Status: Yes, xrequired=1 required=5.0\n\nX-Spam-Status: x\n"));
}

TEST(marks_that_cannot_be_changed_are_not)
{
  static const char *const answers[] = {
    "", "\n", "A: b\n\n", "X-Spam-Status:\n\n", "X-Spam-Status: No\n\n", "X-Spam-Status: No, score=4 xrequired=5\n",
    "X-Spam-Status: No, required=5\nX-Spam-Status: No, required=5\n", "A: b\n\nX-Spam-Status: No, required=5\n",
    "X-Spam-Status: No,\nrequired=5\n", "X-Spam-Status", "X-Spam-Status: , required=5\n",
  };
  size_t i;

  for (i = 0; i < sizeof answers / sizeof *answers; ++i) CHECK(!*judge(answers[i], 1, 5) && !*judge(answers[i], 0, 5));
}

static const struct test tests[] = {
  {"the_subject_gets_the_tag_of_the_domain", the_subject_gets_the_tag_of_the_domain},
  {"a_message_without_a_subject_gets_one_of_the_tag", a_message_without_a_subject_gets_one_of_the_tag},
  {"another_verdict_stands_in_the_marks", another_verdict_stands_in_the_marks},
  {"marks_that_cannot_be_changed_are_not", marks_that_cannot_be_changed_are_not},
  {"an_answer_about_the_message_is_taken_as_it_is", an_answer_about_the_message_is_taken_as_it_is},
  {"nothing_else_is_taken_or_lost", nothing_else_is_taken_or_lost},
  {"a_subject_is_replaced_by_its_own", a_subject_is_replaced_by_its_own},
  {"no_field_grows_by_the_one_behind_it", no_field_grows_by_the_one_behind_it},
};
MAIN(tests)
