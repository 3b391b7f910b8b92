/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scanheader.h"

static struct scanheader h;
static char *out;
static size_t length;

/* The message in pieces of this size. */
static void pass(const char *in, size_t n, size_t piece)
{
  size_t take;

  free(out);
  out = malloc(n + 2 * SCANHEADER_HELD);
  CHECK(out != NULL);
  length = 0;
  scanheader_begin(&h);
  while (n > 0) {
    take = n < piece ? n : piece;
    length += scanheader_pass(&h, in, take, out + length);
    in += take;
    n -= take;
  }
  length += scanheader_end(&h, out + length);
}

static int becomes_all(const char *in, size_t n, const char *expected, size_t m)
{
  size_t piece;

  check_where = in;
  for (piece = 1; piece <= n + 1; ++piece) {
    pass(in, n, piece);
    if (length != m || memcmp(out, expected, m) != 0) return 0;
  }
  return 1;
}

#define BECOMES(in, expected) becomes_all(in, sizeof(in) - 1, expected, sizeof(expected) - 1)
#define STAYS(in) BECOMES(in, in)

TEST(what_the_sender_says_of_spam_and_viruses_goes)
{
  CHECK(BECOMES("A: b\nX-Spam-Flag: NO\nC: d\n\nbody\n", "A: b\nC: d\n\nbody\n"));
  CHECK(h.dropped == 1);
  CHECK(BECOMES("X-Virus-Scanned: yes\n\nbody\n", "\nbody\n"));
  CHECK(BECOMES("x-sPAM-STATUS: No,\n score=1\n\trequired=5\nA: b\n\n", "A: b\n\n"));
  CHECK(BECOMES("X-Spam-A: b\nX-Spam-C: d\nX-Virus-E: f\n g\n\n", "\n"));
  CHECK(h.dropped == 3);
  CHECK(BECOMES("X-Spam-Checked: no\n", ""));
  CHECK(BECOMES("X-Spam-A : b\n\n", "\n"));
  CHECK(BECOMES("X-Spam-\n\n", "\n"));
}

TEST(a_name_hides_behind_nothing)
{
  CHECK(BECOMES("X-\rSpam-A: b\n\n", "\n"));
  CHECK(BECOMES("\rX-Spam-A: b\n\n", "\n"));
  CHECK(BECOMES("X-\0Spam-A: b\n\n", "\n"));
  CHECK(BECOMES("\0\r\0X-Virus-A: b\n c\nD: e\n\n", "D: e\n\n"));
  CHECK(BECOMES("\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r"
                "\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\r\rX-Spam-A: b\nC: d\n\n", "C: d\n\n"));
}

TEST(what_cannot_begin_a_field_is_behind_the_header)
{
  CHECK(BECOMES(" x\nX-Spam-A: b\n\nbody\n", "\n x\nX-Spam-A: b\n\nbody\n") && h.length == 1 && !h.in_header);
  CHECK(BECOMES("\tx\n", "\n\tx\n") && BECOMES(": x\n", "\n: x\n") && BECOMES("\r\n", "\n\r\n"));
  CHECK(BECOMES("\377A: b\n\n", "\n\377A: b\n\n") && BECOMES("\0", "\n\0") && BECOMES("\177", "\n\177"));
  CHECK(BECOMES("X-Spam-A: b\n c\n\001\n", "\n\001\n") && h.dropped == 1);
  CHECK(STAYS("\n x\n") && STAYS("!: x\n\n") && STAYS("~\n x\n") && h.length == 5);
}

TEST(everything_else_stays)
{
  CHECK(STAYS("A: b\n\nX-Spam-Flag: YES\n"));
  CHECK(STAYS("\nX-Spam-Flag: YES\n"));
  CHECK(STAYS("A: b\n X-Spam-Flag: YES\n\n"));
  CHECK(STAYS("X-Spamflag: x\nX-Spa\nX-Vir\nX-\nX\nx-virusx: y\n\n"));
  CHECK(STAYS("A: b\0c\r\n\0\n\r\n\nbody\0\0\n"));
  CHECK(STAYS("Subject: X-Spam-A\n\n"));
  CHECK(STAYS("Subject : x\nSubject \t: y\nSubject\n\n") && STAYS("Subject "));
  CHECK(STAYS("Subject                                                                               : x\n y\n\n"));
  CHECK(STAYS("no line end"));
  CHECK(STAYS("X-Spam"));
  CHECK(STAYS(""));
  CHECK(STAYS("\n"));
  CHECK(STAYS("A: b\n\377\376: \200\n\n"));
  CHECK(h.dropped == 0);
}

static int subject_is(const char *in, const char *subject)
{
  size_t piece;

  check_where = in;
  for (piece = 1; piece <= strlen(in); ++piece) {
    pass(in, strlen(in), piece);
    if (h.subject_length != strlen(subject) || memcmp(h.subject, subject, h.subject_length) != 0) return 0;
  }
  return 1;
}

TEST(the_subject_is_known)
{
  CHECK(subject_is("Subject: hello you\n\n", "hello you"));
  CHECK(subject_is("A: b\nsUBJECT:hello\n\n", "hello"));
  CHECK(subject_is("Subject: hello\n you\n\n", "hello you"));
  CHECK(subject_is("Subject: \t hello\r\n\n", "hello"));
  CHECK(subject_is("Subject: one\nSubject: two\n\n", "one"));
  CHECK(subject_is("X-Spam-A: b\nSubject: one\nX-Spam-C: d\n\n", "one"));
  CHECK(subject_is("Subject:\nA: b\n\n", ""));
  CHECK(subject_is("A: b\n\nSubject: not\n", ""));
  CHECK(subject_is("Subjec: t\n\n", ""));
  CHECK(subject_is("Subject: cut", "cut"));
  CHECK(subject_is("Subject : hello\n you\n\n", "hello you"));
  CHECK(subject_is("SUBJECT\t \r:hello\n\n", "hello"));
  CHECK(subject_is("Subject \nA: b\n\n", ""));
  CHECK(subject_is("Sub ject: no\nSubject one: no\nSubject: yes\n\n", "yes"));
}

TEST(a_folded_subject_is_whole)
{
  CHECK(subject_is("Subject: =?utf-8?B?xaE=?=\n =?utf-8?B?xaE=?=\n\n", "=?utf-8?B?xaE=?= =?utf-8?B?xaE=?="));
  CHECK(subject_is("Subject: =?utf-8?Q?a?=\r\n\t=?utf-8?Q?b?=\r\nA: b\n\n", "=?utf-8?Q?a?= =?utf-8?Q?b?="));
  CHECK(subject_is("Subject: one\n two\n \t  three\n\tfour\nA: b\n\n", "one two three four"));
  CHECK(subject_is("Subject:\n one\n\n", "one"));
  CHECK(subject_is("Subject: \r\n \r\n one \n two\n\n", "one two"));
  CHECK(subject_is("Subject: one\n \n two\n\n", "one two"));
  CHECK(subject_is("Subject: one\n two", "one two"));
  CHECK(subject_is("Subject: one\n", "one"));
  CHECK(subject_is("Subject: one\n \n\n", "one"));
  CHECK(subject_is("Subject: a  b\n\n", "a  b"));
}

TEST(what_follows_a_subject_is_none_of_it)
{
  CHECK(subject_is("Subject: one\nA: b\n two\n\n", "one"));
  CHECK(subject_is("Subject: one\nX-Spam-A: b\n two\nC: d\n three\n\n", "one"));
  CHECK(subject_is("Subject: one\n\n two\n", "one"));
  CHECK(subject_is("Subject: one\nSubject: two\n three\n\n", "one"));
  CHECK(subject_is("Subject: one\n two\nSubject: three\n four\n\n", "one two"));
  CHECK(subject_is("Subject: one\n\r two\n\n", "one"));
  CHECK(subject_is("X-Spam-A: b\n Subject: no\nSubject: one\n two\n\n", "one two"));
}

TEST(a_long_subject_is_cut)
{
  char in[600] = "Subject: ";

  memset(in + 9, 'x', 500);
  strcpy(in + 509, "\nX-Spam-A: b\nC: d\n\n");
  pass(in, strlen(in), 7);
  CHECK(h.subject_length == SCANHEADER_SUBJECT);
  CHECK(length == 509 + strlen("\nC: d\n\n"));

  memset(in + 9, 'x', 500);
  memcpy(in + 9 + SCANHEADER_SUBJECT - 1, "\n yy", 4);
  pass(in, strlen(in), 7);
  CHECK(h.subject_length == SCANHEADER_SUBJECT && h.subject[SCANHEADER_SUBJECT - 1] == ' ');
}

static const struct test tests[] = {
  {"what_the_sender_says_of_spam_and_viruses_goes", what_the_sender_says_of_spam_and_viruses_goes},
  {"a_name_hides_behind_nothing", a_name_hides_behind_nothing},
  {"what_cannot_begin_a_field_is_behind_the_header", what_cannot_begin_a_field_is_behind_the_header},
  {"everything_else_stays", everything_else_stays},
  {"the_subject_is_known", the_subject_is_known},
  {"a_folded_subject_is_whole", a_folded_subject_is_whole},
  {"what_follows_a_subject_is_none_of_it", what_follows_a_subject_is_none_of_it},
  {"a_long_subject_is_cut", a_long_subject_is_cut},
};
MAIN(tests)
