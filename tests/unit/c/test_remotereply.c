/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "remotereply.h"

#define NONE "is no SMTP reply"
#define CODES "has lines with different codes"
#define ENDLESS "does not end"

struct row {
  const char *said;
  size_t length;
  unsigned long code; /* 0: no reply */
  const char *why;
  const char *heard;
};

#define GOOD(said, code) { said, sizeof said - 1, code, 0, 0 }
#define BAD(said, why, heard) { said, sizeof said - 1, 0, why, heard }

static const struct row rows[] = {
  GOOD("220 mx.example ESMTP\r\n", 220),
  GOOD("220****0*2****\r\n", 220), /* behind a PIX */
  GOOD("250\r\n", 250),
  GOOD("250\n", 250),
  GOOD("250 \r\n", 250),
  GOOD("250 ok\n", 250),
  GOOD("250\r\r\n", 250),
  GOOD("250-\r\n250\r\n", 250),
  GOOD("250-mx\n250-SIZE\n250 HELP\n", 250),
  GOOD("250-mx\r\n250-SIZE\r\n250 HELP\r\n", 250),
  GOOD("250-mx\r\n251 HELP\r\n", 250),
  GOOD("354 go on\r\n", 354),
  GOOD("450 4.2.0 later\r\n", 450),
  GOOD("550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", 550),
  GOOD("554 \0\r\x80\xff\r\n", 554),
  GOOD("250ok\r\n", 250),
  GOOD("250\tok\n", 250),
  GOOD("250_-ok\r\n", 250),
  GOOD("220****0*2**\r\n", 220),
  GOOD("550\xa0no\r\n", 550),
  GOOD("200 x\n", 200),
  GOOD("599 x\n", 599),
  BAD("\r\n", NONE, "(an empty line)"),
  BAD("\n", NONE, "(an empty line)"),
  BAD("\r\r\n", NONE, "?"),
  BAD(" \r\n", NONE, " "),
  BAD("abc\r\n", NONE, "abc"),
  BAD("ok\n", NONE, "ok"),
  BAD("\0\0\0\0\r\n", NONE, "????"),
  BAD("25\r\n", NONE, "25"),
  BAD("25\n", NONE, "25"),
  BAD("2\n", NONE, "2"),
  BAD("25 ok\r\n", NONE, "25 ok"),
  BAD("2500 ok\r\n", NONE, "2500 ok"),
  BAD("250\0\r\n", NONE, "250?"),
  BAD(" 250 ok\r\n", NONE, " 250 ok"),
  BAD("\xef\xbb\xbf" "250 ok\r\n", NONE, "???250 ok"),
  BAD("2\r50 ok\r\n", NONE, "2?50 ok"),
  BAD("250\rok\r\n", NONE, "250?ok"),
  BAD("250\r ok\r\n", NONE, "250? ok"),
  BAD("000 x\r\n", NONE, "000 x"),
  BAD("050 x\r\n", NONE, "050 x"),
  BAD("100 x\r\n", NONE, "100 x"),
  BAD("199 x\r\n", NONE, "199 x"),
  BAD("600 x\r\n", NONE, "600 x"),
  BAD("999 x\r\n", NONE, "999 x"),
  BAD("-50 x\r\n", NONE, "-50 x"),
  BAD("+25 x\r\n", NONE, "+25 x"),
  BAD("2.0 x\r\n", NONE, "2.0 x"),
  BAD("2:0 x\r\n", NONE, "2:0 x"),
  BAD("2/0 x\r\n", NONE, "2/0 x"),
  BAD("\xb2\xb5\xb0 x\r\n", NONE, "??? x"), /* digits with the eighth bit */
  BAD("HTTP/1.1 400 Bad Request\r\n", NONE, "HTTP/1.1 400 Bad Request"),
  BAD("<html>\r\n", NONE, "<html>"),
  BAD("Zno\tt\r\x1b[2J\x7f\r\n", NONE, "Zno?t??[2J?"),
  BAD("250-mx\r\n\r\n", NONE, "250-mx / "),
  BAD("250-mx\r\nmore\r\n", NONE, "250-mx / more"),
  BAD("250-mx\r\n 250 ok\r\n", NONE, "250-mx /  250 ok"),
  BAD("250-mx\r\n25\r\n", NONE, "250-mx / 25"),
  BAD("250-a\r\n250-b\r\n250-c\r\nd\r\n", NONE, "250-a / d"),
  BAD("550-no\r\n250 ok\r\n", CODES, "550-no / 250 ok"),
  BAD("250-ok\r\n550 no\r\n", CODES, "250-ok / 550 no"),
  BAD("250-ok\n450\n", CODES, "250-ok / 450"),
  BAD("250-ok\r\n250-ok\r\n354-no\r\n", CODES, "250-ok / 354-no"),
};

/* Says a row and whatever is behind it; returns how many bytes were taken. */
static size_t said(struct remotereply *reply, const char *bytes, size_t length, enum remotereply_state *state)
{
  size_t i = 0;

  remotereply_begin(reply);
  for (*state = REMOTEREPLY_MORE; i < length && *state == REMOTEREPLY_MORE; ++i)
    *state = remotereply_byte(reply, bytes[i]);
  return i;
}

TEST(each_row_is_what_it_is)
{
  struct remotereply reply;
  enum remotereply_state state;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].said;
    memset(&reply, 0x55, sizeof reply);
    CHECK(said(&reply, rows[i].said, rows[i].length, &state) == rows[i].length);
    CHECK(state == (rows[i].why ? REMOTEREPLY_WRONG : REMOTEREPLY_WHOLE));
    if (rows[i].why) {
      CHECK(strcmp(reply.why, rows[i].why) == 0);
      CHECK(strcmp(remotereply_heard(&reply), rows[i].heard) == 0);
    } else {
      CHECK(reply.why == NULL && reply.code == rows[i].code);
    }
  }
}

TEST(a_row_that_is_cut_is_no_reply_yet)
{
  struct remotereply reply;
  enum remotereply_state state;
  size_t length;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (length = 0; length < rows[i].length; ++length) {
      check_where = rows[i].said;
      CHECK(said(&reply, rows[i].said, length, &state) == length);
      CHECK(state == REMOTEREPLY_MORE);
      CHECK(!reply.why || rows[i].why);
      CHECK(*remotereply_heard(&reply));
    }
}

TEST(all_codes)
{
  struct remotereply reply;
  enum remotereply_state state;
  char line[16];
  int code;

  for (code = 0; code < 1000; ++code) {
    check_where = line;
    snprintf(line, sizeof line, "%03d x\n", code);
    said(&reply, line, strlen(line), &state);
    CHECK(state == (code >= 200 && code < 600 ? REMOTEREPLY_WHOLE : REMOTEREPLY_WRONG));
    CHECK(state == REMOTEREPLY_WRONG || reply.code == (unsigned long) code);
  }
}

TEST(a_line_without_end_is_no_reply_soon)
{
  static const char starts[] = "\0\r x9";
  struct remotereply reply;
  enum remotereply_state state;
  char bytes[REMOTEREPLY_HEARD_MAX + 1];
  size_t i;

  for (i = 0; i < sizeof starts - 1; ++i) {
    memset(bytes, starts[i], sizeof bytes);
    CHECK(said(&reply, bytes, sizeof bytes, &state) == REMOTEREPLY_HEARD_MAX);
    CHECK(state == REMOTEREPLY_WRONG && strcmp(reply.why, NONE) == 0);
    CHECK(strlen(remotereply_heard(&reply)) >= REMOTEREPLY_HEARD_MAX - 1);
  }
}

/* A reply of any number of bytes: lines of one form, and the last one. */
static enum remotereply_state long_one(struct remotereply *reply, const char *line, size_t length, const char *last)
{
  enum remotereply_state state = REMOTEREPLY_MORE;
  size_t bytes = strlen(line);
  size_t i;

  remotereply_begin(reply);
  for (i = 0; i < length && state == REMOTEREPLY_MORE; ++i)
    state = remotereply_byte(reply, line[i % bytes]);
  for (; *last && state == REMOTEREPLY_MORE; ++last)
    state = remotereply_byte(reply, *last);
  return state;
}

TEST(a_reply_without_end_is_none)
{
  struct remotereply reply;

  CHECK(long_one(&reply, "250-and\n", REMOTEREPLY_MAX - 8, "250 end\n") == REMOTEREPLY_WHOLE);
  CHECK(long_one(&reply, "250-and\n", REMOTEREPLY_MAX - 8, "250 end.\n") == REMOTEREPLY_WRONG);
  CHECK(strcmp(reply.why, ENDLESS) == 0 && strcmp(remotereply_heard(&reply), "250-and / 250 end.") == 0);
  CHECK(long_one(&reply, "250-and\n", 10 * REMOTEREPLY_MAX, "") == REMOTEREPLY_WRONG);
  CHECK(strcmp(reply.why, ENDLESS) == 0 && reply.length < REMOTEREPLY_MAX + 2 * REMOTEREPLY_HEARD_MAX);
  remotereply_begin(&reply);
  CHECK(remotereply_byte(&reply, '2') == REMOTEREPLY_MORE);
  CHECK(remotereply_byte(&reply, '5') == REMOTEREPLY_MORE);
  CHECK(remotereply_byte(&reply, '0') == REMOTEREPLY_MORE);
  while (remotereply_byte(&reply, ' ') == REMOTEREPLY_MORE)
    CHECK(reply.length <= REMOTEREPLY_MAX);
  CHECK(strcmp(reply.why, ENDLESS) == 0);
}

TEST(what_was_heard_is_bounded)
{
  struct remotereply reply;
  char first[400];

  memset(first, 'x', sizeof first);
  memcpy(first, "250-", 4);
  first[sizeof first - 2] = '\n';
  first[sizeof first - 1] = 0;
  CHECK(long_one(&reply, first, sizeof first - 1, "what\n") == REMOTEREPLY_WRONG);
  CHECK(strncmp(remotereply_heard(&reply), "250-xxx", 7) == 0);
  CHECK(strcmp(remotereply_heard(&reply) + 60, " / what") == 0);
}

TEST(what_came_before_the_command_is_no_reply)
{
  static const char bytes[] = "250 ok\r\n";
  struct remotereply reply;
  size_t i;

  remotereply_begin(&reply);
  remotereply_early(&reply);
  for (i = 0; i + 2 < sizeof bytes; ++i)
    CHECK(remotereply_byte(&reply, bytes[i]) == REMOTEREPLY_MORE);
  CHECK(remotereply_byte(&reply, '\n') == REMOTEREPLY_WRONG);
  CHECK(strcmp(reply.why, "came too early") == 0 && strcmp(remotereply_heard(&reply), "250 ok") == 0);
}

static int is_line(const char *line, size_t length)
{
  size_t i;

  for (i = 0; i < 3; ++i)
    if (i == length || line[i] < "200"[i] || line[i] > "599"[i])
      return 0;
  if (length > 3 && line[3] != '\r')
    return line[3] != 0 && !strchr("0123456789", line[3]);
  for (i = 3; i < length; ++i)
    if (line[i] != '\r')
      return 0;
  return 1;
}

/* The length of the reply that bytes begin with, judged by whole lines; 0 where there is none. */
static size_t whole(const char *bytes, size_t length)
{
  const char *line = bytes;
  const char *end;
  int more;

  do {
    end = memchr(line, '\n', length - (size_t) (line - bytes));
    if (!end || !is_line(line, (size_t) (end - line)) || *line != *bytes)
      return 0;
    more = line[3] == '-';
    line = end + 1;
  } while (more);
  return (size_t) (line - bytes);
}

TEST(random_bytes_are_judged_as_by_whole_lines)
{
  static const char *const words[] = { "250", "2", "5", "550", "0", " ", "-", "\r", "\n", "\r\n", "ok", "*", "\0", "250-", "250 ok\r\n", "9" };
  struct remotereply reply;
  enum remotereply_state state;
  unsigned long seed = 20070101;
  unsigned long replies = 0;
  char bytes[80];
  const char *word;
  size_t length;
  size_t taken;
  size_t n;
  long round;

  for (round = 0; round < 300000; ++round) {
    for (length = 0; length < sizeof bytes - 10; length += n) {
      seed = seed * 6364136223846793005UL + 1442695040888963407UL;
      word = words[(seed >> 33) % (sizeof words / sizeof *words)];
      n = *word ? strlen(word) : 1;
      memcpy(bytes + length, word, n);
      if ((seed >> 40) % 12 == 0)
        break;
    }
    taken = said(&reply, bytes, length, &state);
    n = whole(bytes, length);
    CHECK((state == REMOTEREPLY_WHOLE) == (n != 0));
    CHECK(n == 0 || (n == taken && reply.code == (unsigned long) atoi(bytes) && !reply.why));
    CHECK((state == REMOTEREPLY_WRONG) <= (reply.why != NULL));
    CHECK(strlen(remotereply_heard(&reply)) <= REMOTEREPLY_HEARD_MAX);
    replies += n != 0;
  }
  CHECK(replies > 1000);
}

static const struct test tests[] = {
  { "each_row_is_what_it_is", each_row_is_what_it_is },
  { "a_row_that_is_cut_is_no_reply_yet", a_row_that_is_cut_is_no_reply_yet },
  { "all_codes", all_codes },
  { "a_line_without_end_is_no_reply_soon", a_line_without_end_is_no_reply_soon },
  { "a_reply_without_end_is_none", a_reply_without_end_is_none },
  { "what_was_heard_is_bounded", what_was_heard_is_bounded },
  { "what_came_before_the_command_is_no_reply", what_came_before_the_command_is_no_reply },
  { "random_bytes_are_judged_as_by_whole_lines", random_bytes_are_judged_as_by_whole_lines },
};
MAIN(tests)
