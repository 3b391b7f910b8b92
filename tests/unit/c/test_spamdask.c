/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "spamdask.h"

#define ROOM 64
#define HEAD "SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: True ; 5.3 / 5.0\r\n\r\n"

static struct spamdask answer;
static char header[ROOM];

/* What is wrong with an answer that came in two pieces, cut everywhere; "" for one that is complete. */
static const char *wrong_bytes(const char *bytes, size_t length)
{
  const char *wrong = NULL;
  size_t cut;

  check_where = bytes;
  for (cut = 0; cut <= length; ++cut) {
    char *exact = malloc(length + 1); /* a byte too far is seen */
    const char *one;
    int done;

    memcpy(exact, bytes, length);
    memset(header, 0, sizeof header);
    spamdask_begin(&answer, header, ROOM);
    done = spamdask_take(&answer, exact, cut);
    if (done == 0 && cut < length) done = spamdask_take(&answer, exact + cut, length - cut);
    one = spamdask_wrong(&answer);
    if (!one) one = "";
    /* bytes that come when the answer is complete are not waited for */
    CHECK(!wrong || strcmp(one, wrong) == 0 || strcmp(one, "") == 0 || strcmp(wrong, "") == 0);
    if (!wrong || cut == 0) wrong = one;
    CHECK((done != 0) == (answer.state >= SPAMDASK_COMPLETE));
    free(exact);
  }
  return wrong;
}

static const char *wrong(const char *text)
{
  return wrong_bytes(text, strlen(text));
}

static int is_wrong(const char *text, const char *why)
{
  return strcmp(wrong(text), why) == 0;
}

TEST(the_question_has_its_length)
{
  char question[SPAMDASK_QUESTION];

  CHECK(spamdask_question(12345, "simscan", question) == strlen(question));
  CHECK(!strcmp(question, "HEADERS SPAMC/1.5\r\nContent-length: 12345\r\nUser: simscan\r\n\r\n"));
}

TEST(an_answer_is_taken_in_any_pieces)
{
  static const char with_nul[] = "SPAMD/1.1 0 EX_OK\r\nSpam: False ; -1.5 / 5.0\r\nContent-length: 3\r\n\r\na\0b";

  CHECK(is_wrong(HEAD "A: b\n", "") && answer.length == 5 && !memcmp(header, "A: b\n", 6));
  CHECK(answer.verdict.spam == 1 && answer.verdict.score == 5.3 && answer.verdict.required == 5);
  CHECK(is_wrong("SPAMD/1.4 0 EX_OK\r\nspam: False ; -1.5 / 5.0\r\nDidSet: local\r\nCONTENT-LENGTH: 3\r\n\r\na\0b", "its answer is cut"));
  CHECK(!strcmp(wrong_bytes(with_nul, sizeof with_nul - 1), ""));
  CHECK(answer.verdict.spam == 0 && answer.verdict.score == -1.5);
  CHECK(is_wrong("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 5.3 / 5.0\r\n\r\n", "") && answer.length == 0);
}

TEST(every_cut_of_an_answer_is_wrong)
{
  static const char whole[] = HEAD "A: b\n";
  size_t n;

  CHECK(is_wrong("", "it has said nothing"));
  for (n = 1; n < sizeof whole - 1; ++n) CHECK(!strcmp(wrong_bytes(whole, n), "its answer is cut"));
  CHECK(!strcmp(wrong_bytes(whole, n), ""));
}

TEST(more_than_it_says_is_wrong)
{
  CHECK(is_wrong(HEAD "A: b\nx", "its answer is longer than it says"));
  CHECK(is_wrong("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 5.3 / 5.0\r\n\r\nx", "its answer is longer than it says"));
}

TEST(the_version_and_the_status_count)
{
#define REST "\r\nContent-length: 0\r\nSpam: True ; 5.3 / 5.0\r\n\r\n"
  CHECK(is_wrong("SPAMD/2.0 0 EX_OK" REST, "its answer is of another version"));
  CHECK(is_wrong("SPAMD/0.9 0 EX_OK" REST, "its answer is of another version"));
  CHECK(is_wrong("SPAMD/11.1 0 EX_OK" REST, "its answer is of another version"));
  CHECK(is_wrong("SPAMD/1. 0 EX_OK" REST, "its answer is of another version"));
  CHECK(is_wrong("SPAMD/1.1x 0 EX_OK" REST, "its answer is of another version"));
  CHECK(is_wrong("SPAMC/1.5 0 EX_OK" REST, "its answer cannot be understood"));
  CHECK(is_wrong("HTTP/1.1 200 OK" REST, "its answer cannot be understood"));
  CHECK(is_wrong("SPAMD/1.1 76 EX_PROTOCOL" REST, "it has not judged the message"));
  CHECK(is_wrong("SPAMD/1.1 00 EX_OK" REST, "it has not judged the message"));
  CHECK(is_wrong("SPAMD/1.1 0" REST, "it has not judged the message"));
  CHECK(is_wrong("SPAMD/1.1 -0 EX_OK" REST, "it has not judged the message"));
  CHECK(is_wrong("SPAMD/1.0 79 Timeout: (30 second timeout)\r\n", "it has not judged the message"));
  CHECK(!strcmp(answer.words, "SPAMD/1.0 79 Timeout_ (30 second timeout)"));
  CHECK(is_wrong("SPAMD/1.1 0 EX_OK\nContent-length: 0\r\nSpam: True ; 5.3 / 5.0\r\n\r\n", "its answer has a line without its end"));
}

TEST(the_length_is_said_once_and_fits)
{
#define WITH(fields) "SPAMD/1.1 0 EX_OK\r\n" fields "Spam: True ; 5.3 / 5.0\r\n\r\n"
  CHECK(is_wrong(WITH(""), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: \r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: -1\r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: 1x\r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: 0x10\r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: 0\r\nContent-length: 0\r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: 99999999999999999999\r\n"), "its answer has no length"));
  CHECK(is_wrong(WITH("Content-length: 65\r\n"), "its answer is too long"));
  CHECK(is_wrong(WITH("Content-length: 104857600\r\n"), "its answer is too long"));
  spamdask_begin(&answer, header, ROOM);
  errno = 0;
  CHECK(spamdask_take(&answer, WITH("Content-length: 65\r\n"), sizeof WITH("Content-length: 65\r\n") - 1) == -1);
  CHECK(errno == EMSGSIZE);
  CHECK(is_wrong(WITH("Content-length: 64\r\n"), "its answer is cut"));
  CHECK(is_wrong(WITH("Length\r\n"), "its answer cannot be understood"));
  CHECK(is_wrong(WITH(": x\r\n"), "its answer cannot be understood"));
}

static int verdict(const char *value)
{
  char text[300];

  snprintf(text, sizeof text, "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: %s\r\n\r\n", value);
  return strcmp(wrong(text), "") == 0;
}

TEST(the_verdict_is_exactly_one)
{
  static const char *const bad[] = {
    "", "True", "True ;", "True ; 5.3", "True ; 5.3 /", "True ; 5.3 / ", "true ; 5.3 / 5.0", "Yes ; 5.3 / 5.0", "True; 5.3 / 5.0",
    "True ;5.3 / 5.0", "True ; 5.3/ 5.0", "True ; 5.3 /5.0", "True ; 5.3 / 5.0 ", "True ; 5.3 / 5.0x", "True ; 5,3 / 5.0",
    "True ; nan / 5.0", "True ; inf / 5.0", "True ; 0x5 / 5.0", "True ; 5e3 / 5.0", "True ; +5 / 5.0", "True ; --5 / 5.0",
    "True ; 5. / 5.0", "True ; .5 / 5.0", "True ; - / 5.0", "True ; 5.3 / 5.0 / 1", "Maybe ; 5.3 / 5.0",
    "True ; 1234567890123 / 5.0", "True ; 5.1234567890123 / 5.0",
  };
  size_t i;

  for (i = 0; i < sizeof bad / sizeof *bad; ++i) CHECK(!verdict(bad[i]));
  CHECK(verdict("True ; 5.3 / 5.0") && verdict("False ; -12.0 / 5.0") && verdict("  True ; 1000 / 5"));
  CHECK(answer.verdict.score == 1000 && answer.verdict.required == 5);
  CHECK(is_wrong("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n", "its answer has no verdict"));
  CHECK(is_wrong("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 5.3 / 5.0\r\nSpam: False ; 1 / 5.0\r\n\r\n",
                 "its verdict cannot be understood"));
}

TEST(lines_have_bounds)
{
  static char text[10000];
  char *at = text + sprintf(text, "SPAMD/1.1 0 EX_OK\r\n");
  int i;

  memset(at, 'x', 5000);
  CHECK(is_wrong(text, "its answer cannot be understood"));
  for (i = 0; i < 5000 - 5; i += 5) memcpy(at + i, "X: \r\n", 5);
  CHECK(is_wrong(text, "its answer cannot be understood"));
  CHECK(!strcmp(wrong_bytes("SPAMD/1.1\0 0 EX_OK\r\n", 20), "its answer cannot be understood"));
}

static const struct test tests[] = {
  {"the_question_has_its_length", the_question_has_its_length},
  {"an_answer_is_taken_in_any_pieces", an_answer_is_taken_in_any_pieces},
  {"every_cut_of_an_answer_is_wrong", every_cut_of_an_answer_is_wrong},
  {"more_than_it_says_is_wrong", more_than_it_says_is_wrong},
  {"the_version_and_the_status_count", the_version_and_the_status_count},
  {"the_length_is_said_once_and_fits", the_length_is_said_once_and_fits},
  {"the_verdict_is_exactly_one", the_verdict_is_exactly_one},
  {"lines_have_bounds", lines_have_bounds},
};
MAIN(tests)
