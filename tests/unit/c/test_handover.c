/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "handover.h"

static char bytes[HANDOVER_MAX];

static size_t written(const char *said, const char *unanswered)
{
  struct handover h = {3, 40, 2, said, strlen(said), unanswered, strlen(unanswered), 0};

  return handover_write(bytes, &h);
}

TEST(what_is_written_is_read)
{
  struct handover h;
  size_t len = written("EHLO a\r\nMAIL FROM:<a@b.example>\r\n", "RCPT TO:<x@y.example>\r\nDATA\r\nhalf");

  CHECK(len && handover_read(&h, bytes, len));
  CHECK(h.refusals == 3 && h.spent == 40 && h.misses == 2);
  CHECK(h.said_len == 33 && memcmp(h.said, "EHLO a\r\nMAIL", 12) == 0);
  CHECK(h.unanswered_len == 33 && memcmp(h.unanswered + 29, "half", 4) == 0);
}

TEST(texts)
{
  static const struct { const char *said, *unanswered; int fits; } rows[] = {
    {"MAIL FROM:<>\r\n", "RCPT TO:<x>\n", 1},
    {"helo a b\nmail x\n", "rcpt\n", 1},
    {"mail\n", "RCPT\r\n", 1},
    {"", "RCPT TO:<x>\r\n", 0},
    {"EHLO a\r\n", "RCPT TO:<x>\r\n", 0},
    {"MAIL FROM:<>\r\n", "", 0},
    {"MAIL FROM:<>\r\n", "RCPT TO:<x>", 0},
    {"MAIL FROM:<>", "RCPT TO:<x>\r\n", 0},
    {"MAIL FROM:<>\r\n", "DATA\r\n", 0},
    {"MAIL FROM:<>\r\n", "RCPTX TO:<x>\r\n", 0},
    {"MAILX FROM:<>\r\n", "RCPT TO:<x>\r\n", 0},
    {"MAIL FROM:<>\r\nMAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", 0},
    {"EHLO a\r\nEHLO b\r\nMAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", 0},
    {"MAIL FROM:<>\r\nEHLO a\r\n", "RCPT TO:<x>\r\n", 0},
    {"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y>\r\n", "RCPT TO:<x>\r\n", 0},
    {"EHLO a\r\nMAIL FROM:<>\r\nDATA\r\n", "RCPT TO:<x>\r\n", 0},
  };
  struct handover h;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].said;
    CHECK(handover_read(&h, bytes, written(rows[i].said, rows[i].unanswered)) == rows[i].fits);
  }
}

TEST(a_session_that_has_not_begun_has_no_counts)
{
  struct handover h = {0, 0, 0, "", 0, "", 0, 0};
  size_t len = handover_write(bytes, &h);

  CHECK(len == HANDOVER_HEADER && handover_read(&h, bytes, len) && h.said_len == 0 && h.unanswered_len == 0);
  bytes[12] = 1;
  CHECK(!handover_read(&h, bytes, len));
}

TEST(a_client_that_is_greylisted_is_named_so)
{
  struct handover h = {3, 40, 2, "mail\n", 5, "rcpt\n", 5, 1};
  size_t len = handover_write(bytes, &h);

  h.greylisted = 0;
  CHECK(handover_read(&h, bytes, len) && h.greylisted == 1);
  len = written("mail\n", "rcpt\n");
  CHECK(handover_read(&h, bytes, len) && h.greylisted == 0);
  bytes[3] = '3';
  CHECK(!handover_read(&h, bytes, len));
  h.said_len = h.unanswered_len = h.refusals = h.spent = h.misses = 0;
  h.greylisted = 1;
  CHECK(!handover_read(&h, bytes, handover_write(bytes, &h)));   /* one that has not begun is not */
}

TEST(any_other_length_is_refused)
{
  struct handover h;
  size_t len = written("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n");
  size_t i;

  for (i = 0; i < len; ++i)
    CHECK(!handover_read(&h, bytes, i));
  CHECK(handover_read(&h, bytes, len));
  CHECK(!handover_read(&h, bytes, len + 1));
  bytes[0] = 'X';
  CHECK(!handover_read(&h, bytes, len));
  len = written("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n");
  memset(bytes + 16, 0xff, 8);   /* lengths that wrap when they are added */
  CHECK(!handover_read(&h, bytes, len));
}

TEST(what_does_not_fit_is_not_written)
{
  static char much[HANDOVER_MAX + 1];
  struct handover h = {0, 0, 0, "MAIL\n", 5, much, HANDOVER_MAX - HANDOVER_HEADER - 5, 0};

  memset(much, 'x', sizeof much);
  memcpy(much, "RCPT\n", 5);
  CHECK(handover_write(bytes, &h) == HANDOVER_MAX);
  CHECK(handover_read(&h, bytes, HANDOVER_MAX));
  h.said = "MAIL\n";
  h.unanswered = much;
  ++h.unanswered_len;
  CHECK(!handover_write(bytes, &h));
  h.unanswered_len = (size_t) -1;
  CHECK(!handover_write(bytes, &h));
}

static const struct test tests[] = {
  {"what_is_written_is_read", what_is_written_is_read},
  {"texts", texts},
  {"a_session_that_has_not_begun_has_no_counts", a_session_that_has_not_begun_has_no_counts},
  {"a_client_that_is_greylisted_is_named_so", a_client_that_is_greylisted_is_named_so},
  {"any_other_length_is_refused", any_other_length_is_refused},
  {"what_does_not_fit_is_not_written", what_does_not_fit_is_not_written},
};
MAIN(tests)
