/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "frontlink.h"

static struct tlsterms terms;

TEST(a_number_is_read_as_it_was_written)
{
  char bytes[FRONTLINK_HEADER];

  frontlink_number_write(bytes, UINT64_C(0x8123456789abcdef));
  CHECK(frontlink_number_read(bytes) == UINT64_C(0x8123456789abcdef));
}

TEST(a_session_in_plain_text_has_no_line)
{
  char out[FRONTLINK_TLS_MAX];

  memset(&terms, 0, sizeof terms);
  CHECK(frontlink_tls_write(out, &terms) == 0);
  CHECK(frontlink_tls_read(&terms, "MGH1....", 8) == 0 && frontlink_tls_read(&terms, "", 0) == 0 && !terms.version[0]);
}

TEST(the_line_is_read_as_it_was_written)
{
  char text[400];
  char bytes[FRONTLINK_TLS_MAX + 8];
  struct tlsterms found;
  size_t len;
  size_t cut;
  int i;

  for (i = 0; i < 3; ++i) {
    sprintf(text, i == 2 ? "%016d %064d %0199d" : i ? "TLSv1.3 X mx%d.example.%d%d" : "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 -", 1, 2, 3);
    CHECK(tlsterms_parse(&terms, text));
    len = frontlink_tls_write(bytes, &terms);
    CHECK(len == strlen("TLS ") + strlen(text) + 1 && len <= FRONTLINK_TLS_MAX && bytes[len - 1] == '\n');
    memcpy(bytes + len, "MGH1....", 8);
    CHECK(frontlink_tls_read(&found, bytes, len + 8) == (int) len && memcmp(&found, &terms, sizeof terms) == 0);
    for (cut = 4; cut < len; ++cut)
      CHECK(frontlink_tls_read(&found, bytes, cut) == -1);
  }
}

TEST(nothing_else_is_a_line)
{
  static const struct { const char *bytes; size_t len; } bad[] = {
    {"TLS \n", 5}, {"TLS TLSv1.3\n", 12}, {"TLS TLSv1.3 X\n", 14}, {"TLS TLSv1.3 X a b\n", 18}, {"TLS TLSv1.3 X a\0\n", 17},
    {"TLS TLSv1.3 X a\r\n", 17}, {"TLS TLSv1.3 X a=\n", 17}, {"TLS  TLSv1.3 X a\n", 17}, {"TLS TLSv1.3 X RELAYCLIENT=\n", 27},
  };
  char text[1000];
  size_t i;

  for (i = 0; i < sizeof bad / sizeof *bad; ++i)
    CHECK(frontlink_tls_read(&terms, bad[i].bytes, bad[i].len) == -1 && !terms.version[0]);
  memset(text, 'x', sizeof text);
  memcpy(text, "TLS ", 4);
  text[999] = '\n';
  CHECK(frontlink_tls_read(&terms, text, sizeof text) == -1);
}

static const struct test tests[] = {
  {"a_number_is_read_as_it_was_written", a_number_is_read_as_it_was_written},
  {"a_session_in_plain_text_has_no_line", a_session_in_plain_text_has_no_line},
  {"the_line_is_read_as_it_was_written", the_line_is_read_as_it_was_written},
  {"nothing_else_is_a_line", nothing_else_is_a_line},
};
MAIN(tests)
