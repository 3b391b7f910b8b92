/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "dataread.h"

static char came[200000];
static size_t came_length;
static size_t used_length;
static unsigned long hops;

/* Feeds bytes in pieces of this size, each with room for no byte more than promised, until an event. */
static enum dataread_event feed(const char *bytes, size_t length, size_t piece)
{
  struct dataread d;
  enum dataread_event event = DATAREAD_MORE;
  size_t at = 0;

  came_length = 0;
  dataread_begin(&d);
  while (at < length && event == DATAREAD_MORE) {
    size_t n = length - at < piece ? length - at : piece;
    char *in = malloc(n);
    char *out = malloc(DATAREAD_ROOM(n));
    size_t used;
    size_t written;
    CHECK(in != NULL && out != NULL);
    memcpy(in, bytes + at, n);
    event = dataread(&d, in, n, &used, out, &written);
    CHECK(used <= n && written <= DATAREAD_ROOM(n) && (event != DATAREAD_MORE || used == n));
    memcpy(came + came_length, out, written);
    came_length += written;
    at += used;
    free(in);
    free(out);
  }
  hops = d.hops;
  used_length = at;
  return event;
}

struct row {
  const char *bytes;
  size_t length;
  const char *comes;
};
#define ROW(bytes, comes) { bytes, sizeof bytes - 1, comes }

/* Each behind "a: b" CRLF CRLF "x", in front of CRLF . CRLF; what comes out of it alone. */
static const struct row settled[] = {
  ROW("", ""), ROW("y", "y"), ROW("\r\n", "\n"), ROW("\r\n\r\n", "\n\n"),
  ROW("\ry", " y"), ROW("\r\ry", "  y"), ROW("\r\r\ry", "   y"), ROW("\r\r\r\ry", "    y"),
  ROW("\r\r\n", "\n"), ROW("\r\r\r\n", " \n"), ROW("\r\r\r\r\n", "  \n"), ROW("\r\r\r\r\r\n", "   \n"),
  ROW("\0", " "), ROW("\0\0y", "  y"), ROW("\r\0y", "  y"), ROW("\0\ry", "  y"), ROW("\r\0\r\n", "  \n"),
  ROW("\r\n\r\r\n", "\n\n"), ROW("\r\n\r\r\r\n", "\n \n"), ROW("\r\n\ry", "\n y"), ROW("\r\n\0y", "\n y"),
  ROW("\r.\r", " . "), ROW("\r.\r\ny", " .\ny"), ROW("\r\n.\ry", "\n. y"), ROW("\r\n.\r\r\ny", "\n.\ny"),
  ROW("\r\n.\r\r\r\ny", "\n. \ny"), ROW("\r\r\n.\r\r\ny", "\n.\ny"),
  ROW("\r\n\0.\r\ny", "\n .\ny"), ROW("\r\n.\0\r\ny", "\n \ny"), ROW("\r\n.\r\0\r\ny", "\n.  \ny"), ROW("\r\0.\r\ny", "  .\ny"),
  ROW("\r\n..\r\ny", "\n.\ny"), ROW("\r\n...\r\ny", "\n..\ny"), ROW("\r\n.y", "\ny"), ROW("\r\n. y", "\n y"),
  ROW("\r\n..\ry", "\n. y"), ROW("\r\n..\r\r\ny", "\n.\ny"), ROW("\r\n.\r.\r\ny", "\n. .\ny"), ROW("\r\n.\r\r.\r\ny", "\n.  .\ny"),
  ROW("\x80\xff\x7f\x01\x0b\x0c\t y", "\x80\xff\x7f\x01\x0b\x0c\t y"),
};

TEST(what_is_settled_and_how)
{
  size_t i;
  size_t piece;
  char bytes[200];
  char want[200];

  for (i = 0; i < sizeof settled / sizeof *settled; ++i) {
    size_t n = 0;
    memcpy(bytes, "a: b\r\n\r\nx", 9);
    memcpy(bytes + 9, settled[i].bytes, settled[i].length);
    n = 9 + settled[i].length;
    memcpy(bytes + n, "\r\n.\r\nNOOP", 9);
    snprintf(want, sizeof want, "a: b\n\nx%s\n", settled[i].comes);
    /* A CR at the end is one more in front of the CRLF. */
    if (settled[i].length && settled[i].bytes[settled[i].length - 1] == '\r')
      snprintf(want, sizeof want, "a: b\n\nx%.*s\n", (int) strlen(settled[i].comes) - 1, settled[i].comes);
    check_where = want;
    for (piece = 1; piece < 40; ++piece) {
      CHECK(feed(bytes, n + 9, piece) == DATAREAD_END);
      CHECK(used_length == n + 5);
      CHECK(came_length == strlen(want) && !memcmp(came, want, came_length));
    }
  }
}

TEST(a_bare_lf_is_a_fault_wherever_it_stands)
{
  static const struct row faults[] = {
    ROW("\n", ""), ROW("x\n", "x"), ROW("x\r\n\n", "x\n"), ROW("x\r\n.\n", "x\n"), ROW("x\r\n.\r\0\n", "x\n.  "), ROW("x\r\0\n", "x  "),
    ROW("x\r\n..\n", "x\n."), ROW("x\n.\r\n", "x"), ROW("x\r.\n", "x ."), ROW(".\n", ""), ROW("x\r\r\0\n", "x   "),
  };
  size_t i;
  size_t piece;

  for (i = 0; i < sizeof faults / sizeof *faults; ++i)
    for (piece = 1; piece < 9; ++piece) {
      check_where = faults[i].bytes;
      CHECK(feed(faults[i].bytes, faults[i].length, piece) == DATAREAD_BARE_LF);
      CHECK(came_length == strlen(faults[i].comes) && !memcmp(came, faults[i].comes, came_length));
    }
}

TEST(only_crlf_dot_crlf_ends_the_data)
{
  /* Every sequence of up to six of these in a line's end; the reference looks for the five bytes alone. */
  static const char alphabet[] = "\r\n.\0 x";
  char bytes[40];
  long number;
  long left;
  size_t n;
  size_t i;

  for (number = 0; number < 6L * 6 * 6 * 6 * 6 * 6 * 6; ++number) {
    enum dataread_event event;
    size_t end;
    size_t bare;
    memcpy(bytes, "\r\n", 2);
    n = 2;
    for (left = number, i = 0; i < 7; ++i, left /= 6)
      bytes[n++] = alphabet[left % 6];
    event = feed(bytes + 2, n - 2, n);
    for (end = 2; end + 3 <= n; ++end)
      if (!memcmp(bytes + end - 2, "\r\n.\r\n", 5))
        break;
    for (bare = 2; bare < n; ++bare)
      if (bytes[bare] == '\n' && bytes[bare - 1] != '\r')
        break;
    if (end + 3 <= n && end < bare)
      CHECK(event == DATAREAD_END && used_length == end + 1);
    else if (bare < n)
      CHECK(event == DATAREAD_BARE_LF && used_length == bare - 1);
    else
      CHECK(event == DATAREAD_MORE);
    CHECK(!memchr(came, '\r', came_length) && !memchr(came, 0, came_length));
  }
}

TEST(the_first_byte_is_not_a_part_of_our_header)
{
  char bytes[] = "?: b\r\n\r\n.\r\n";
  char want[] = "\n?: b\n\n";
  size_t piece;
  int b;

  for (b = 0; b < 256; ++b)
    for (piece = 1; piece < 12; piece += 5) {
      int name = b > 32 && b < 127 && b != ':';
      if (b == '\n' || b == '\r' || b == '.')
        continue;
      bytes[0] = (char) b;
      want[1] = b ? (char) b : ' ';
      CHECK(feed(bytes, sizeof bytes - 1, piece) == DATAREAD_END);
      CHECK(came_length == sizeof want - 1 - (size_t) name && !memcmp(came, want + name, came_length));
    }
}

TEST(what_the_first_line_is_after_settling_counts)
{
  static const struct row first[] = {
    ROW("\r\nx\r\n", "\nx\n"), ROW("\rx: y\r\n", "\n x: y\n"), ROW("\r\rx\r\n", "\n  x\n"), ROW("\r\r\nx\r\n", "\nx\n"),
    ROW("\r\r\r\nx\r\n", "\n \nx\n"), ROW(". x\r\n", "\n x\n"), ROW(".\tx\r\n", "\n\tx\n"), ROW("..x\r\n", ".x\n"),
    ROW(".\0x\r\n", "\n x\n"), ROW(".\rx\r\n", ". x\n"), ROW(".\r\r\nx\r\n", ".\nx\n"), ROW(".x\r\n", "x\n"), ROW(".:x\r\n", "\n:x\n"),
    ROW("", ""), ROW("X y\r\n", "X y\n"), ROW(" with ESMTPSA;\r\n", "\n with ESMTPSA;\n"), ROW("\x0bx\r\n", "\n\x0bx\n"),
    ROW("\0\r\n", "\n \n"), ROW(".\x80\r\n", "\n\x80\n"),
  };
  size_t i;
  size_t piece;
  char bytes[100];

  for (i = 0; i < sizeof first / sizeof *first; ++i)
    for (piece = 1; piece < 9; ++piece) {
      memcpy(bytes, first[i].bytes, first[i].length);
      memcpy(bytes + first[i].length, ".\r\n", 3);
      check_where = first[i].comes;
      CHECK(feed(bytes, first[i].length + 3, piece) == DATAREAD_END);
      CHECK(came_length == strlen(first[i].comes) && !memcmp(came, first[i].comes, came_length));
    }
}

TEST(hops_are_counted_in_the_header_that_comes_out)
{
  static const struct { const char *bytes; unsigned long hops; } rows[] = {
    { "Received: x\r\nreceived: y\r\nDELIVERED-To: z\r\ndElIvErEd", 4 }, { "Receive: x\r\nX-Received: y\r\n Received: z\r\n", 0 },
    { "\r\nReceived: x\r\n", 0 }, { "a: b\r\n\r\nReceived: x\r\n", 0 }, { "a: b\r\nReceived: x\r\n", 1 }, { " a\r\nReceived: x\r\n", 0 },
    { "a: b\r\n\r\r\nReceived: x\r\n", 0 }, { "a: b\r\n.Received: x\r\n", 1 }, { "Received\r\n", 1 }, { "Deliver\r\n", 0 },
    { "a: b\r\n.\r\r\nReceived: x\r\n", 1 }, { "a: b\r\n \r\nReceived: x\r\n", 1 },
  };
  size_t i;
  size_t piece;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (piece = 1; piece < 20; ++piece) {
      check_where = rows[i].bytes;
      feed(rows[i].bytes, strlen(rows[i].bytes), piece);
      CHECK(hops == rows[i].hops);
    }
}

TEST(a_long_message_in_any_cut)
{
  static char bytes[100000];
  static char whole[200000];
  size_t n;
  size_t piece;
  unsigned seed = 1;

  for (n = 0; n < sizeof bytes; ++n) {
    seed = seed * 1103515245u + 12345u;
    bytes[n] = "\r\r.x\0 y:"[seed >> 16 & 7];
  }
  feed(bytes, sizeof bytes, sizeof bytes);
  n = came_length;
  memcpy(whole, came, n);
  for (piece = 1; piece < 3000; piece = piece * 3 + 1) {
    CHECK(feed(bytes, sizeof bytes, piece) == DATAREAD_MORE);
    CHECK(came_length == n && !memcmp(came, whole, n));
  }
}

static const struct test tests[] = {
  { "what_is_settled_and_how", what_is_settled_and_how },
  { "a_bare_lf_is_a_fault_wherever_it_stands", a_bare_lf_is_a_fault_wherever_it_stands },
  { "only_crlf_dot_crlf_ends_the_data", only_crlf_dot_crlf_ends_the_data },
  { "the_first_byte_is_not_a_part_of_our_header", the_first_byte_is_not_a_part_of_our_header },
  { "what_the_first_line_is_after_settling_counts", what_the_first_line_is_after_settling_counts },
  { "hops_are_counted_in_the_header_that_comes_out", hops_are_counted_in_the_header_that_comes_out },
  { "a_long_message_in_any_cut", a_long_message_in_any_cut },
};
MAIN(tests)
