/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "bodywrite.h"
#include "check.h"

struct row {
  const char *in;
  size_t in_length;
  const char *out;
  size_t out_length;
};

#define ROW(in, out) { in, sizeof in - 1, out, sizeof out - 1 }

/* Without the end of the message. */
static const struct row rows[] = {
  ROW("", ""),
  ROW("\n", "\r\n"),
  ROW("\n\n", "\r\n\r\n"),
  ROW("Subject: x\n\nhello\n", "Subject: x\r\n\r\nhello\r\n"),
  ROW(".\n", "..\r\n"),
  ROW("..\n", "...\r\n"),
  ROW("a\n.\nb\n", "a\r\n..\r\nb\r\n"),
  ROW("a.\n.b.\n", "a.\r\n..b.\r\n"),
  ROW("a\r\n", "a\r\n"),
  ROW("a\r\r\n", "a \r\n"),
  ROW("\r\n", "\r\n"),
  ROW("\r\r\n", " \r\n"),
  ROW("a\rb\n", "a b\r\n"),
  ROW("a\r.\rb\n", "a . b\r\n"),
  ROW("\r.\n", " .\r\n"),
  ROW("a\n\r.\n", "a\r\n .\r\n"),
  ROW("a\n.\r\n", "a\r\n..\r\n"),
  ROW("a\n.\rQUIT\n", "a\r\n.. QUIT\r\n"),
  ROW("a\0b\n", "a b\r\n"),
  ROW("\0.\n", " .\r\n"),
  ROW("a\n\0.\n", "a\r\n .\r\n"),
  ROW("a\n.\0\n", "a\r\n.. \r\n"),
  ROW("a\r\0\n", "a  \r\n"),
  ROW("a\0\r\n", "a \r\n"),
  ROW("\0\0\0\n", "   \r\n"),
  ROW("\x80\xff\x7f\x01\t\n", "\x80\xff\x7f\x01\t\r\n"),
};

/* What the row becomes when it is handed over in pieces that end at the places whose bits are set. */
static size_t written(const struct row *row, unsigned long cuts, char *out)
{
  struct bodywrite body;
  size_t begin = 0;
  size_t n = 0;
  size_t i;
  char *piece;

  bodywrite_begin(&body);
  for (i = 0; i <= row->in_length; ++i)
    if (i == row->in_length || (i < 32 && cuts & (1ul << i))) {
      /* of exactly that size, so that ASan sees one byte more */
      piece = malloc(i - begin ? i - begin : 1);
      CHECK(piece != NULL);
      memcpy(piece, row->in + begin, i - begin);
      n += bodywrite(&body, piece, i - begin, out + n);
      free(piece);
      begin = i;
    }
  i = bodywrite_end(&body, out + n);
  CHECK(i == 3 && memcmp(out + n, ".\r\n", 3) == 0);
  return n;
}

TEST(every_row_becomes_what_smtp_carries)
{
  char out[200];
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].in;
    CHECK(written(&rows[i], 0, out) == rows[i].out_length);
    CHECK(memcmp(out, rows[i].out, rows[i].out_length) == 0);
  }
}

TEST(pieces_make_no_difference)
{
  char whole[200];
  char out[200];
  size_t length;
  unsigned long cuts;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].in;
    length = written(&rows[i], 0, whole);
    for (cuts = 0; cuts < 1ul << (rows[i].in_length < 10 ? rows[i].in_length : 10); ++cuts) {
      CHECK(written(&rows[i], cuts, out) == length);
      CHECK(memcmp(out, whole, length) == 0);
    }
  }
}

TEST(a_message_whose_last_line_has_no_end_is_not_ended)
{
  static const char *const partial[] = { "a", ".", "a\nb", "\r", "a\n\r", "a\r" };
  struct bodywrite body;
  char out[20];
  size_t i;

  for (i = 0; i < sizeof partial / sizeof *partial; ++i) {
    check_where = partial[i];
    bodywrite_begin(&body);
    bodywrite(&body, partial[i], strlen(partial[i]), out);
    CHECK(bodywrite_end(&body, out) == 0);
  }
  bodywrite_begin(&body);
  bodywrite(&body, "", 1, out);   /* a NUL */
  CHECK(bodywrite_end(&body, out) == 0);
}

TEST(the_room_is_enough)
{
  char in[1000];
  struct bodywrite body;
  char *out;
  size_t n;
  int kind;

  for (kind = 0; kind < 4; ++kind)
    for (n = 0; n <= sizeof in; n += n < 8 ? 1 : 31) {
      memset(in, kind == 0 ? '\n' : kind == 1 ? '.' : kind == 2 ? '\r' : 0, sizeof in);
      out = malloc(BODYWRITE_ROOM(n));
      CHECK(out != NULL);
      bodywrite_begin(&body);
      bodywrite(&body, "\r", 1, out);
      CHECK(bodywrite(&body, in, n, out) <= BODYWRITE_ROOM(n));
      free(out);
    }
}

static const struct test tests[] = {
  { "every_row_becomes_what_smtp_carries", every_row_becomes_what_smtp_carries },
  { "pieces_make_no_difference", pieces_make_no_difference },
  { "a_message_whose_last_line_has_no_end_is_not_ended", a_message_whose_last_line_has_no_end_is_not_ended },
  { "the_room_is_enough", the_room_is_enough },
};
MAIN(tests)
