/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "envelopeout.h"

static const char *const good[] = {
  "", "a@b.example", "a@b_c.example", "\"a b\"@b.example", "a b@b.example", "a>b@b.example", "a@x@b.example",
  "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "postmaster", "a@b.example.", "\xc3\xa9@b.example", "a@b",
};

static const char *const evil[] = {
  "a@b.example\r", "a@b.example\n", "\ra@b.example", "a\rb@c.example", "a\nb@c.example", "\"a\rb\"@c.example",
  "a@b.example> SIZE=1", "a@b.example>", "a@b c", "a@b.example\rRCPT TO:<x@y.example>", "a\x01@b.example",
  "a\x1f@b.example", "a\x7f@b.example", "a\t@b.example", "a@", "a@b\xc3\xa9.example", "a@[192.0.2.1", "a@[1>2]", "a@b@",
  "a@b..example", "\r", "\x7f", "a\r", "x> SIZE=1", "@", "a@<b.example",
};

TEST(what_may_stand_in_an_envelope_is_sent)
{
  size_t i;

  for (i = 0; i < sizeof good / sizeof *good; ++i) {
    check_where = good[i];
    CHECK(envelopeout_sender(good[i]) == NULL);
    CHECK(envelopeout_recipient(good[i]) == NULL);
  }
}

TEST(what_could_end_its_line_or_its_brackets_is_not_sent)
{
  size_t i;

  for (i = 0; i < sizeof evil / sizeof *evil; ++i) {
    check_where = evil[i];
    CHECK(envelopeout_sender(evil[i]) != NULL && *envelopeout_sender(evil[i]));
    CHECK(envelopeout_recipient(evil[i]) != NULL && *envelopeout_recipient(evil[i]));
  }
}

TEST(no_control_byte_stands_anywhere)
{
  char address[16];
  size_t at;
  int b;

  for (b = 1; b < 256; ++b)
    for (at = 0; at < 11; ++at) {
      strcpy(address, "ann@b.local");
      address[at] = (char) b;
      if (b < 32 || b == 127) {
        CHECK(envelopeout_sender(address) != NULL);
        CHECK(envelopeout_recipient(address) != NULL);
        CHECK(envelopeout_control(address, 11) == 1);
      } else {
        CHECK(envelopeout_control(address, 11) == 0);
        if (at < 3)
          CHECK(envelopeout_recipient(address) == NULL);
      }
    }
  CHECK(envelopeout_control("a", 2) == 1);   /* a NUL */
  CHECK(envelopeout_control("\r", 0) == 0);
}

/* qmail-send makes it, so qmail-remote must send it: double bounces, and one sender for each recipient. */
TEST(qmails_own_host_is_one_of_senders_alone)
{
  CHECK(envelopeout_sender("#@[]") == NULL);
  CHECK(envelopeout_sender("list-owner-@lists.example-@[]") == NULL);
  CHECK(envelopeout_recipient("#@[]") != NULL);
  CHECK(envelopeout_sender("#\r@[]") != NULL);
  CHECK(envelopeout_sender("#@[]>") != NULL);
  CHECK(envelopeout_sender("#@[] SIZE=1") != NULL);
  CHECK(envelopeout_sender("#@[[]") != NULL);
}

TEST(length_is_no_fault_but_hides_none)
{
  char address[2000];

  memset(address, 'a', sizeof address);
  strcpy(address + 1500, "@b.example");
  CHECK(envelopeout_sender(address) == NULL);
  CHECK(envelopeout_recipient(address) == NULL);
  strcpy(address + 1500, "@b.example> SIZE=1");
  CHECK(envelopeout_sender(address) != NULL);
  CHECK(envelopeout_recipient(address) != NULL);
  strcpy(address + 1500, "@[]");
  CHECK(envelopeout_sender(address) == NULL);
  strcpy(address + 1500, "@b.example");
  address[700] = '\r';
  CHECK(envelopeout_sender(address) != NULL);
  address[700] = '@';
  CHECK(envelopeout_recipient(address) == NULL);
}

TEST(a_host_is_a_host)
{
  char name[300];

  CHECK(envelopeout_host("mx.example", 10) == NULL);
  CHECK(envelopeout_host("[192.0.2.1]", 11) == NULL);
  CHECK(envelopeout_host("mx.example>", 11) != NULL);
  CHECK(envelopeout_host("mx\\032x.example", 15) != NULL);
  CHECK(envelopeout_host("mx.example\r", 11) != NULL);
  CHECK(envelopeout_host("a@mx.example", 12) != NULL);
  CHECK(envelopeout_host("", 0) != NULL);
  memset(name, 'a', sizeof name);
  CHECK(envelopeout_host(name, 63) == NULL);
  name[60] = name[120] = name[180] = name[240] = '.';
  CHECK(envelopeout_host(name, 255) == NULL);
  CHECK(envelopeout_host(name, 256) != NULL);
  CHECK(envelopeout_host(name, 300) != NULL);
}

static const struct test tests[] = {
  { "what_may_stand_in_an_envelope_is_sent", what_may_stand_in_an_envelope_is_sent },
  { "what_could_end_its_line_or_its_brackets_is_not_sent", what_could_end_its_line_or_its_brackets_is_not_sent },
  { "no_control_byte_stands_anywhere", no_control_byte_stands_anywhere },
  { "qmails_own_host_is_one_of_senders_alone", qmails_own_host_is_one_of_senders_alone },
  { "length_is_no_fault_but_hides_none", length_is_no_fault_but_hides_none },
  { "a_host_is_a_host", a_host_is_a_host },
};
MAIN(tests)
