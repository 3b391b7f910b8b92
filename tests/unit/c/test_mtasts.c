/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "mtasts.h"

static struct mtasts policy;

static int asks(const char *domain, const char *expected)
{
  char question[MTASTS_QUESTION_MAX];
  char *name = malloc(strlen(domain) + 1);
  size_t length;

  CHECK(name);
  memcpy(name, domain, strlen(domain));
  length = mtasts_question(question, name, strlen(domain));
  free(name);
  return length == strlen(expected) && memcmp(question, expected, length) == 0;
}

TEST(a_question_is_a_netstring)
{
  char longest[MTASTS_DOMAIN_MAX + 2];

  CHECK(asks("example.com", "19:mta-sts example.com,"));
  CHECK(asks("Example.com.", "19:mta-sts Example.com,"));
  CHECK(asks("a", "9:mta-sts a,"));
  CHECK(asks("xn--bcher-kva.example", "29:mta-sts xn--bcher-kva.example,"));
  memset(longest, 'a', MTASTS_DOMAIN_MAX);
  longest[63] = longest[127] = longest[191] = '.';
  longest[MTASTS_DOMAIN_MAX] = 0;
  check_where = "the longest name";
  {
    char expected[MTASTS_QUESTION_MAX + 1];

    sprintf(expected, "%d:mta-sts %s,", MTASTS_DOMAIN_MAX + 8, longest);
    CHECK(strlen(expected) <= MTASTS_QUESTION_MAX);
    CHECK(asks(longest, expected));
  }
  strcat(longest, "a");
  CHECK(asks(longest, ""));
  check_where = "a label that is too long";
  longest[MTASTS_DOMAIN_MAX] = 0;
  longest[63] = 'a';
  CHECK(asks(longest, ""));
  longest[64] = 0;
  CHECK(asks(longest, ""));
}

TEST(what_cannot_have_a_policy_is_not_asked)
{
  static const char *const rows[] = {
    "", ".", "..", "[192.0.2.1]", ".example.com", "a..b", "a b", "a:b", "a,b", "b\303\274cher.example", "a\n", "a/b", "a%b",
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i];
    CHECK(asks(rows[i], ""));
  }
}

/* Reads an answer that comes byte by byte: it is not whole before its last byte. */
static enum mtasts_state reads(const char *answer)
{
  enum mtasts_state state = MTASTS_MORE;
  size_t i;

  check_where = answer;
  memset(&policy, 0x55, sizeof policy);
  policy.length = 0;
  CHECK(mtasts_read(&policy) == MTASTS_MORE);
  for (i = 0; i < strlen(answer); ++i) {
    policy.answer[policy.length++] = answer[i];
    state = mtasts_read(&policy);
    if (i + 1 < strlen(answer) && state != MTASTS_MORE) {
      CHECK(state == MTASTS_UNKNOWN);
      return state;
    }
  }
  return state;
}

static enum mtasts_state says(const char *text)
{
  char answer[1000];

  sprintf(answer, "%d:%s,", (int) strlen(text), text);
  return reads(answer);
}

TEST(answers_have_their_states)
{
  static const struct { const char *text; enum mtasts_state state; } rows[] = {
    { "NOTFOUND ", MTASTS_NONE },
    { "NOTFOUND", MTASTS_NONE },
    { "NOTFOUND because", MTASTS_NONE },
    { "OK secure match=mx.example.com servername=hostname", MTASTS_ENFORCED },
    { "OK secure match=mx.example.com", MTASTS_ENFORCED },
    { "OK secure servername=hostname match=mx.example.com", MTASTS_ENFORCED },
    { "OK secure match=a:b:.c servername=hostname policy_type=sts { policy_string = mode: enforce }", MTASTS_ENFORCED },
    { "TEMP no memory", MTASTS_UNKNOWN },
    { "PERM what?", MTASTS_UNKNOWN },
    { "TIMEOUT ", MTASTS_UNKNOWN },
    { "", MTASTS_UNKNOWN },
    { "NOTFOUNDS", MTASTS_UNKNOWN },
    { "notfound ", MTASTS_UNKNOWN },
    { "OK", MTASTS_UNKNOWN },
    { "OK ", MTASTS_UNKNOWN },
    { "OK may", MTASTS_UNKNOWN },
    { "OK secure", MTASTS_UNKNOWN },
    { "OK secure servername=hostname", MTASTS_UNKNOWN },
    { "OK secure match=", MTASTS_UNKNOWN },
    { "OK secure match= servername=hostname", MTASTS_UNKNOWN },
    { "OK secure match=a match=b", MTASTS_UNKNOWN },
    { "OK securematch=a", MTASTS_UNKNOWN },
    { "OK secure-only match=a", MTASTS_UNKNOWN },
    { "OK verify match=a", MTASTS_UNKNOWN },
    { "OK secure nomatch=a", MTASTS_UNKNOWN },
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    CHECK(says(rows[i].text) == rows[i].state);
}

TEST(what_is_no_netstring_is_not_known)
{
  static const char *const rows[] = {
    "x", ":", ",", "-1:x,", " 9:NOTFOUND ,", "9 :NOTFOUND ,", "09:NOTFOUND ,", "00:,", "0:,", "9:NOTFOUND x", "8:NOTFOUND ,",
    "70000:", "99999:", "100000", "NOTFOUND ", "9\n:NOTFOUND ,",
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    CHECK(reads(rows[i]) == MTASTS_UNKNOWN);
}

TEST(more_than_one_answer_is_not_known)
{
  strcpy(policy.answer, "9:NOTFOUND ,9:NOTFOUND ,");
  for (policy.length = strlen(policy.answer); policy.length > 12; --policy.length)
    CHECK(mtasts_read(&policy) == MTASTS_UNKNOWN);
  CHECK(mtasts_read(&policy) == MTASTS_NONE);
}

TEST(a_cut_answer_is_not_whole)
{
  CHECK(reads("9") == MTASTS_MORE);
  CHECK(reads("9:") == MTASTS_MORE);
  CHECK(reads("9:NOTFOUND ") == MTASTS_MORE);
  CHECK(reads("0:") == MTASTS_MORE);
}

TEST(an_answer_may_fill_its_place)
{
  size_t most = MTASTS_ANSWER_MAX - sizeof "69993:,";
  size_t head;

  head = (size_t) sprintf(policy.answer, "%lu:OK secure match=a:", (unsigned long) most + 1);
  memset(policy.answer + head, 'b', MTASTS_ANSWER_MAX - head);
  policy.answer[MTASTS_ANSWER_MAX - 1] = ',';
  policy.length = MTASTS_ANSWER_MAX - 1;
  CHECK(mtasts_read(&policy) == MTASTS_MORE);
  policy.length = MTASTS_ANSWER_MAX;
  CHECK(mtasts_read(&policy) == MTASTS_ENFORCED);
  CHECK(mtasts_lists(&policy, "a") && !mtasts_lists(&policy, "b"));
  sprintf(policy.answer, "%lu", (unsigned long) most + 2);
  policy.answer[5] = ':';
  CHECK(mtasts_read(&policy) == MTASTS_UNKNOWN);
}

TEST(hosts_are_listed_by_their_names)
{
  static const struct { const char *patterns, *host; int listed; } rows[] = {
    { "mx.example.com", "mx.example.com", 1 },
    { "mx.example.com", "MX.Example.COM", 1 },
    { "MX.Example.COM", "mx.example.com", 1 },
    { "mx.example.com", "mx.example.com.", 1 },
    { "mx.example.com.", "mx.example.com", 1 },
    { "mx.example.com", "mx.example.co", 0 },
    { "mx.example.com", "mx.example.comm", 0 },
    { "mx.example.com", "a.mx.example.com", 0 },
    { "mx.example.com", "xmx.example.com", 0 },
    { "mx.example.com", "", 0 },
    { "mx.example.com", ".", 0 },
    { "a:mx.example.com:b", "mx.example.com", 1 },
    { "a:b:mx.example.com", "mx.example.com", 1 },
    { "a:b:mx.example.com", "b", 1 },
    { "a:b:mx.example.com", "c", 0 },
    { "a:b", "a:b", 0 },
    { ".example.com", "mx.example.com", 1 },
    { ".example.com", "MX.EXAMPLE.com.", 1 },
    { ".example.com", "a.mx.example.com", 0 },
    { ".example.com", "example.com", 0 },
    { ".example.com", ".example.com", 0 },
    { ".example.com", "mxexample.com", 0 },
    { ".example.com", "mx.example.com.evil.test", 0 },
    { ".com", "example.com", 1 },
    { ".", "com", 0 },
    { ":", "", 0 },
    { "::a", "a", 1 },
    { "*.example.com", "mx.example.com", 0 },
  };
  char text[200];
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    sprintf(text, "OK secure match=%s servername=hostname", rows[i].patterns);
    CHECK(says(text) == MTASTS_ENFORCED);
    CHECK(mtasts_lists(&policy, rows[i].host) == rows[i].listed);
  }
}

static const struct test tests[] = {
  { "a_question_is_a_netstring", a_question_is_a_netstring },
  { "what_cannot_have_a_policy_is_not_asked", what_cannot_have_a_policy_is_not_asked },
  { "answers_have_their_states", answers_have_their_states },
  { "what_is_no_netstring_is_not_known", what_is_no_netstring_is_not_known },
  { "more_than_one_answer_is_not_known", more_than_one_answer_is_not_known },
  { "a_cut_answer_is_not_whole", a_cut_answer_is_not_whole },
  { "an_answer_may_fill_its_place", an_answer_may_fill_its_place },
  { "hosts_are_listed_by_their_names", hosts_are_listed_by_their_names },
};

MAIN(tests)
