/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "spawnreport.h"

TEST(only_100_of_qmail_local_is_for_good)
{
  int status;

  for (status = 0; status < 256; ++status)
    CHECK(spawnreport_local(status) == (status == 0 ? 'K' : status == 100 ? 'D' : 'Z'));
}

/* On the heap, without a byte behind, so that reading too far is seen. */
static int reported(int status, const char *said, size_t length)
{
  char *copy = malloc(length ? length : 1);
  int answer;

  memcpy(copy, said, length);
  answer = spawnreport_remote(status, copy, length);
  free(copy);
  return answer;
}

#define SAID(text) text, sizeof text - 1

TEST(what_qmail_remote_says_is_a_report)
{
  CHECK(reported(0, SAID("r\0K1.2.3.4 accepted message.\0")));
  CHECK(reported(0, SAID("h1.2.3.4 does not like recipient.\0DGiving up on 1.2.3.4.\0")));
  CHECK(reported(0, SAID("sno\0r\0hno\0Kyes\0")));
  CHECK(reported(0, SAID("ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n\0")));
  CHECK(reported(0, SAID("DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0")));
}

TEST(nothing_else_is_one)
{
  static const char missing[] = "qmail-remote: error while loading shared libraries: libx.so.1: cannot open shared object file";
  size_t length;
  int status;

  for (status = 1; status < 256; ++status)
    CHECK(!reported(status, SAID("r\0K1.2.3.4 accepted message.\0")));
  CHECK(!reported(0, SAID("")));
  CHECK(!reported(0, SAID("r\0")));
  CHECK(!reported(0, SAID("r\0h\0s\0")));
  CHECK(!reported(0, SAID("\0D\0")));
  CHECK(!reported(0, SAID("Dcut")));
  CHECK(!reported(0, SAID("r\0Kcut")));
  CHECK(!reported(0, SAID("Died\n")));
  CHECK(!reported(0, SAID("usage: qmail-remote\n\0D\0")));
  CHECK(!reported(0, missing, sizeof missing));
  for (length = 0; length < sizeof "rfine\0Kdone"; ++length)
    CHECK(!reported(0, "rfine\0Kdone", length) == (length < sizeof "rfine\0Kdone"));
}

/* Whether the mail is delivered for qmail-rspawn, whatever stands before qmail-remote's report. */
static int delivered(const char *said, size_t length)
{
  char *copy = malloc(length ? length : 1);
  size_t noise;
  int answer;

  memcpy(copy, said, length);
  noise = spawnreport_noise(copy, length);
  CHECK(noise <= length);
  answer = spawnreport_remote(0, copy + noise, length - noise) && length - noise > 3 && !memcmp(copy + noise, "r\0K", 3);
  free(copy);
  return answer;
}

TEST(accepted_mail_is_delivered_whatever_stands_before)
{
  static const char linker[] = "ERROR: ld.so: object '/gone.so' from /etc/ld.so.preload cannot be preloaded: ignored.\n";
  static const char report[] = "r\0K1.2.3.4 accepted message.\nRemote host said: 250 ok\n";
  char said[512];
  size_t length;
  int first;

  CHECK(delivered(report, sizeof report));
  for (first = 0; first < 256; ++first) { /* r, h, s, K, Z, D and NUL are among them */
    memcpy(said, linker, sizeof linker - 1);
    said[0] = (char) first;
    memcpy(said + sizeof linker - 1, report, sizeof report);
    length = sizeof linker - 1 + sizeof report;
    CHECK(delivered(said, length));
    CHECK(spawnreport_noise(said, length) == sizeof linker - 1);
    CHECK(!delivered(said, length - 1)); /* the report is cut */
    CHECK(!delivered(said, sizeof linker - 1));
  }
  CHECK(delivered(SAID("no end of liner\0Kyes\0and more")));
  CHECK(spawnreport_noise(SAID("")) == 0 && spawnreport_noise(SAID("\0Kyes\0")) == 0);
  CHECK(spawnreport_noise(SAID("noise\nr\0Zno\0")) == 0 && spawnreport_noise(SAID("noise\nr\0Kcut")) == 0);
  CHECK(spawnreport_noise(SAID("sno\n\0Kyes\0")) == 0 && spawnreport_noise(SAID("noise\nKyes\0")) == 0);
}

static const struct test tests[] = {
  { "only_100_of_qmail_local_is_for_good", only_100_of_qmail_local_is_for_good },
  { "what_qmail_remote_says_is_a_report", what_qmail_remote_says_is_a_report },
  { "nothing_else_is_one", nothing_else_is_one },
  { "accepted_mail_is_delivered_whatever_stands_before", accepted_mail_is_delivered_whatever_stands_before },
};
MAIN(tests)
