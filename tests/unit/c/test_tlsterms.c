/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "tlsterms.h"

static struct tlsterms t;

TEST(what_smtptls_says)
{
  CHECK(tlsterms_parse(&t, "TLSv1.3 TLS_AES_256_GCM_SHA384 mx.example.com"));
  CHECK(!strcmp(t.version, "TLSv1.3") && !strcmp(t.cipher, "TLS_AES_256_GCM_SHA384") && !strcmp(t.name, "mx.example.com"));
  CHECK(tlsterms_parse(&t, "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 -"));
  CHECK(!strcmp(t.version, "TLSv1.2") && !strcmp(t.cipher, "ECDHE-RSA-AES256-GCM-SHA384") && !strcmp(t.name, ""));
}

TEST(nothing_else_is_taken)
{
  static const char *const bad[] = {
    "", " ", "TLSv1.3", "TLSv1.3 ", "TLSv1.3 X", "TLSv1.3 X ", "TLSv1.3  X a", " TLSv1.3 X a", "TLSv1.3 X a ", "TLSv1.3 X a b",
    "TLSv1.3 X a\n", "TLSv1.3\tX a", "TLSv1.3 X/Y a", "TLSv1/3 X a", "TLSv1.3 X a=b", "TLSv1.3 X a(b)", "TLSv1.3 X \xc3\xa9", "the handshake took too long",
  };
  size_t i;

  for (i = 0; i < sizeof bad / sizeof *bad; ++i) {
    CHECK(!tlsterms_parse(&t, bad[i]));
    CHECK(!t.version[0] && !t.cipher[0] && !t.name[0]);
  }
}

TEST(each_has_its_most)
{
  char text[400];

  sprintf(text, "%016d %064d %0199d", 1, 2, 3);
  CHECK(tlsterms_parse(&t, text) && strlen(t.name) == TLSTERMS_NAME_MAX);
  sprintf(text, "%017d %064d %0199d", 1, 2, 3);
  CHECK(!tlsterms_parse(&t, text));
  sprintf(text, "%016d %065d %0199d", 1, 2, 3);
  CHECK(!tlsterms_parse(&t, text));
  sprintf(text, "%016d %064d %0200d", 1, 2, 3);
  CHECK(!tlsterms_parse(&t, text));
}

static const struct test tests[] = {
  {"what_smtptls_says", what_smtptls_says},
  {"nothing_else_is_taken", nothing_else_is_taken},
  {"each_has_its_most", each_has_its_most},
};
MAIN(tests)
