/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "bounceheader.h"
#include "check.h"

#define QUEUE "Received: (qmail 7 invoked by uid 89); 1 Jan 2026 00:00:00 -0000\n"
#define SMTPD "Received: from x (HELO y) (192.0.2.1) (envelope-sender <a@b.example>)\n  by mx with SMTP; 1 Jan 2026\n"

/* Reads text in pieces of so many bytes, each on the heap alone, so that ASan sees one byte more. */
static struct bounceheader read_in(const char *text, size_t length, size_t each)
{
  struct bounceheader header;
  size_t at;
  size_t n;
  char *piece;

  bounceheader_begin(&header);
  for (at = 0; at < length; at += n) {
    n = length - at < each ? length - at : each;
    piece = malloc(n);
    CHECK(piece != NULL);
    memcpy(piece, text + at, n);
    at = bounceheader_read(&header, piece, n) ? at : length;
    free(piece);
  }
  bounceheader_end(&header);
  return header;
}

struct row {
  const char *text;
  size_t length;   /* of what goes back */
  int spam;
};

/* text is header and rest: what goes back is the first of the two */
#define BACK(header, rest, spam) { header rest, sizeof header - 1, spam }

static const struct row rows[] = {
  BACK("", "", 0),
  BACK("", "\nbody\n", 0),
  BACK("", "\r\nbody\n", 0),
  BACK("Subject: x\n", "\nbody\n", 0),
  BACK("Subject: x\n", "\r\nbody: x\n", 0),
  BACK("Subject: x\r\n", "\r\nbody\n", 0),
  BACK("Subject: x\n y\n\tz\n", "\nbody\n", 0),
  BACK("Subject: x", "", 0),
  BACK("Subject: x\nTo:", "", 0),
  BACK("Subject: x\n", "To", 0),
  /* no header, or what no header goes on with: a body, of which nothing goes back */
  BACK("", "buy now\nX: y\n\nbody\n", 0),
  BACK("", " folded: x\n\nbody\n", 0),
  BACK("", ": x\n\nbody\n", 0),
  BACK(SMTPD, "buy now\nX: y\n", 0),
  BACK(SMTPD "Subject: x\n", "buy now: x\nX: y\n", 0),
  BACK(SMTPD, "\x80: x\n", 0),
  BACK(SMTPD, "X\x7f: x\n", 0),
  BACK(SMTPD, "\rX: y\n", 0),
  BACK("Subject : x\nX-Y\t: z\n", "\nbody\n", 0),
  /* the scanner's words */
  BACK(QUEUE "X-Spam-Flag: YES\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "X-Spam-Status: Yes, score=7.1 required=5.0\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "x-SPAM-status:\n\tyEs, score=7.1\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "X-Spam-Status: \n \n Yes\n , score=7.1\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "X-Spam-Flag:YES\r\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "X-Spam-Flag : YES\n" SMTPD, "\nbody\n", 1),
  BACK("X-Spam-Flag: YES\n", "\nbody\n", 1),
  BACK("Subject: x\nX-Spam-Flag: YES", "", 1),
  BACK("Subject: a longer one\nX-Spam-Flag: YES", "", 1),
  BACK(QUEUE "Delivered-To: postmaster@b.example\n" QUEUE "X-Spam-Flag: YES\n" SMTPD, "\nbody\n", 1),
  BACK(QUEUE "X-Spam-Checker-Version: x\nX-Spam-Level: *****\nX-Spam-Flag: YES\n" SMTPD, "\n", 1),
  BACK(QUEUE "X-Spam-Status: No, score=1.0\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag: NO\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag: YESTERDAY\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag: yes2\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag: ye\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag: ye\n s\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag:\nYes: x\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flags: YES\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "XX-Spam-Flag: YES\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Flag-And-A-Name-That-Goes-On: YES\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "Subject: X-Spam-Flag: YES\n X-Spam-Flag: YES\n" SMTPD, "\nbody\n", 0),
  BACK(QUEUE "X-Spam-Checked: no\n" SMTPD, "\nbody\n", 0),
  /* somebody else's words: below the field of qmail-smtpd, or in the body */
  BACK(QUEUE SMTPD "X-Spam-Flag: YES\n", "\nbody\n", 0),
  BACK(QUEUE SMTPD QUEUE "X-Spam-Status: Yes\n", "\nbody\n", 0),
  BACK(QUEUE "received:\n from x\nX-Spam-Flag: YES\n", "\nbody\n", 0),
  BACK(QUEUE "Received: (qmailer 7)\nX-Spam-Flag: YES\n", "\nbody\n", 0),
  BACK(QUEUE "Received:\nX-Spam-Flag: YES\n", "\nbody\n", 0),
  BACK(QUEUE "Received: (QMAIL 7 invoked for bounce)\nX-Spam-Flag: YES\n", "\nbody\n", 1),
  BACK(QUEUE SMTPD "Subject: x\n", "\nX-Spam-Flag: YES\n", 0),
  BACK("Subject: x\n", "\nX-Spam-Flag: YES\n\n", 0),
  BACK("Subject: x\n", "no field\nX-Spam-Flag: YES\n\n", 0),
};

TEST(the_header_goes_back_unless_the_scanner_took_it_for_spam)
{
  struct bounceheader header;
  size_t each;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    for (each = 1; each < 400; each += each < 20 ? 1 : 37) {
      check_where = rows[i].text;
      header = read_in(rows[i].text, strlen(rows[i].text), each);
      CHECK(header.length == rows[i].length);
      CHECK(header.spam == rows[i].spam);
      CHECK(header.cut == 0);
    }
}

TEST(a_nul_is_no_part_of_a_name)
{
  static const char text[] = "Subject: x\nX-Spam\0-Flag: YES\n\nbody\n";
  struct bounceheader header = read_in(text, sizeof text - 1, 5);

  CHECK(header.length == 11 && header.spam == 0);
}

TEST(what_goes_back_is_bounded_to_the_byte)
{
  size_t size = 3 * BOUNCEHEADER_MAX;
  char *text = malloc(size);
  struct bounceheader header;
  size_t n;

  CHECK(text != NULL);
  for (n = BOUNCEHEADER_MAX - 2; n <= BOUNCEHEADER_MAX + 2; ++n) {
    memset(text, 'x', size);
    memcpy(text, "Subject: ", 9);
    text[n - 1] = '\n';
    text[n] = '\n';
    header = read_in(text, size, 1000);
    CHECK(header.length == (n > BOUNCEHEADER_MAX ? BOUNCEHEADER_MAX : n));
    CHECK(header.cut == (n > BOUNCEHEADER_MAX));
  }
  /* a header without end, and the scanner's field behind the bound */
  memcpy(text + size - 19, "\nX-Spam-Flag: YES\n\n", 19);
  text[BOUNCEHEADER_MAX - 1] = text[BOUNCEHEADER_MAX] = text[BOUNCEHEADER_MAX + 1] = text[BOUNCEHEADER_MAX + 2] = 'x';
  header = read_in(text, size, 1000);
  CHECK(header.length == BOUNCEHEADER_MAX && header.cut == 1 && header.spam == 1);
  free(text);
}

TEST(no_more_is_asked_for_behind_the_header)
{
  struct bounceheader header;

  bounceheader_begin(&header);
  CHECK(bounceheader_read(&header, "Subject: x\n", 11) == 1);
  CHECK(bounceheader_read(&header, "\nX: y\n", 6) == 0);
  CHECK(bounceheader_read(&header, "X-Spam-Flag: YES\n", 17) == 0);
  bounceheader_end(&header);
  CHECK(header.length == 11 && header.spam == 0);
}

static const struct test tests[] = {
  { "the_header_goes_back_unless_the_scanner_took_it_for_spam", the_header_goes_back_unless_the_scanner_took_it_for_spam },
  { "a_nul_is_no_part_of_a_name", a_nul_is_no_part_of_a_name },
  { "what_goes_back_is_bounded_to_the_byte", what_goes_back_is_bounded_to_the_byte },
  { "no_more_is_asked_for_behind_the_header", no_more_is_asked_for_behind_the_header },
};
MAIN(tests)
