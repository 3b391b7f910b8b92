/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "envelopeaddress.h"

/* The verdict on bytes that have nothing behind them: ASan sees one byte more. */
static enum envelopeaddress_fault judge(const char *bytes, size_t length)
{
  char *exact = malloc(length ? length : 1);
  enum envelopeaddress_fault fault;

  CHECK(exact != NULL);
  memcpy(exact, bytes, length);
  fault = envelopeaddress_check(exact, length);
  free(exact);
  return fault;
}

static enum envelopeaddress_fault text(const char *address)
{
  check_where = address;
  return judge(address, strlen(address));
}

TEST(addresses_of_every_day)
{
  static const char *const good[] = {
    "", "ann@sender.example", "o'brien+tag@example.test", "a@b", "postmaster", "root", "@example.test",
    "SRS0=Hhh=TT=orig.example=ann@fwd.example", "#@[]", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@x_y.example.test",
    "a@b.c.", "two words@example.test", "a@b@c.test", "a\"b\\@example.test", "a> BODY=8BITMIME@example.test",
    "\xc3\xa9@example.test", "-@-a-.b--c.9", "a@xn--caf-dma.example", "joe,jane", "a\"b", "A@EXAMPLE.TEST",
  };
  size_t i;

  for (i = 0; i < sizeof good / sizeof *good; ++i)
    CHECK(text(good[i]) == ENVELOPEADDRESS_OK);
  CHECK(text("a@[]") == ENVELOPEADDRESS_DOMAIN);
  CHECK(text("#@[]>") == ENVELOPEADDRESS_DOMAIN);
}

TEST(a_control_byte_is_refused_wherever_it_stands)
{
  static const char base[] = "ann@host.test";
  char address[sizeof base];
  size_t at;
  int b;

  for (at = 0; at < sizeof base - 1; ++at)
    for (b = 0; b < 256; ++b) {
      memcpy(address, base, sizeof base);
      address[at] = (char) b;
      if (b < 32 || b == 127)
        CHECK(judge(address, sizeof base - 1) == ENVELOPEADDRESS_CONTROL);
      else
        CHECK(judge(address, sizeof base - 1) != ENVELOPEADDRESS_CONTROL);
    }
  CHECK(text("\n") == ENVELOPEADDRESS_CONTROL);
  CHECK(text("postmaster\r") == ENVELOPEADDRESS_CONTROL);
  CHECK(judge("a\0@b.c", 6) == ENVELOPEADDRESS_CONTROL);
  CHECK(judge("a@b.c\0", 6) == ENVELOPEADDRESS_CONTROL);
  CHECK(text("a@b.c>\rRCPT TO:<x@y.z>\rDATA\r") == ENVELOPEADDRESS_CONTROL);
}

TEST(every_byte_behind_the_at)
{
  char address[] = "a@b?c";
  char in_literal[] = "a@[b?c]";
  int b;

  for (b = 32; b < 256; ++b) {
    int word = (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
    if (b == 127)
      continue;
    address[3] = (char) b;
    in_literal[4] = (char) b;
    CHECK((text(address) == ENVELOPEADDRESS_OK) == (word || (b && strchr(".-_@", b) != NULL)));
    CHECK((text(in_literal) == ENVELOPEADDRESS_OK) == (word || (b && strchr(".-:", b) != NULL)));
  }
}

TEST(what_is_no_domain)
{
  static const char *const bad[] = {
    "a@", "@", "a@.", "a@..", "a@.b", "a@b..c", "a@b..", "a@b c", "a@b> BODY=8BITMIME", "a@b>", "a@<b", "a@b,c", "a@b:c",
    "a@b;c", "a@\"b\"", "a@(b)", "a@b\\", "a@[]", "a@[", "a@]", "a@[1.2.3.4", "a@1.2.3.4]", "a@[1.2.3.4].", "a@[1.2.3.4]x",
    "a@x[1.2.3.4]", "a@[[1]]", "a@[1_2]", "a@[1 2]", "a@b/c", "a@b%c", "a@\xc3\xa9.test", "a@b.c@", "a@ b.c", "a@b.c ",
  };
  size_t i;

  for (i = 0; i < sizeof bad / sizeof *bad; ++i)
    CHECK(text(bad[i]) == ENVELOPEADDRESS_DOMAIN);
}

TEST(a_name_without_at_cannot_end_its_brackets)
{
  CHECK(text("a> BODY=8BITMIME") == ENVELOPEADDRESS_NAME);
  CHECK(text("a>") == ENVELOPEADDRESS_NAME);
  CHECK(text("<a") == ENVELOPEADDRESS_NAME);
  CHECK(text("a b") == ENVELOPEADDRESS_NAME);
  CHECK(text(" ") == ENVELOPEADDRESS_NAME);
}

TEST(labels_domains_and_addresses_are_bounded)
{
  char address[2000];
  size_t n;

  for (n = 1; n < 200; ++n) {
    memset(address, 'x', n + 4);
    memcpy(address, "a@", 2);
    memcpy(address + 2 + n, ".b", 2);
    CHECK((judge(address, n + 4) == ENVELOPEADDRESS_OK) == (n <= 63));
    CHECK((judge(address, n + 2) == ENVELOPEADDRESS_OK) == (n <= 63));
  }
  for (n = 200; n < 320; ++n) {
    memset(address, 'x', sizeof address);
    memcpy(address, "a@", 2);
    address[2 + 50] = address[2 + 100] = address[2 + 150] = address[2 + 198] = address[2 + 250] = '.';
    if (n != 251 && n != 199)   /* a final dot */
      CHECK(judge(address, n + 2) == (n <= 255 ? ENVELOPEADDRESS_OK : n + 2 <= 320 ? ENVELOPEADDRESS_DOMAIN : ENVELOPEADDRESS_LENGTH));
    address[2] = '[';
    address[n + 1] = ']';
    CHECK(judge(address, n + 2) == (n <= 255 ? ENVELOPEADDRESS_OK : n + 2 <= 320 ? ENVELOPEADDRESS_DOMAIN : ENVELOPEADDRESS_LENGTH));
  }
  for (n = 1; n < sizeof address; ++n) {
    memset(address, 'x', n);
    CHECK(judge(address, n) == (n <= 320 ? ENVELOPEADDRESS_OK : ENVELOPEADDRESS_LENGTH));
    if (n > 4) {
      memcpy(address + n - 4, "@b.c", 4);
      CHECK(judge(address, n) == (n <= 320 ? ENVELOPEADDRESS_OK : ENVELOPEADDRESS_LENGTH));
    }
  }
  CHECK(ENVELOPEADDRESS_MAX == 320 && ENVELOPEADDRESS_DOMAIN_MAX == 255 && ENVELOPEADDRESS_LABEL_MAX == 63);
}

TEST(each_fault_has_its_word)
{
  CHECK(!strcmp(envelopeaddress_word(ENVELOPEADDRESS_OK), "ok"));
  CHECK(!strcmp(envelopeaddress_word(ENVELOPEADDRESS_CONTROL), "control-byte"));
  CHECK(!strcmp(envelopeaddress_word(ENVELOPEADDRESS_LENGTH), "too-long"));
  CHECK(!strcmp(envelopeaddress_word(ENVELOPEADDRESS_DOMAIN), "not-a-host-name"));
  CHECK(!strcmp(envelopeaddress_word(ENVELOPEADDRESS_NAME), "not-a-name"));
}

static const struct test tests[] = {
  { "addresses_of_every_day", addresses_of_every_day },
  { "a_control_byte_is_refused_wherever_it_stands", a_control_byte_is_refused_wherever_it_stands },
  { "every_byte_behind_the_at", every_byte_behind_the_at },
  { "what_is_no_domain", what_is_no_domain },
  { "a_name_without_at_cannot_end_its_brackets", a_name_without_at_cannot_end_its_brackets },
  { "labels_domains_and_addresses_are_bounded", labels_domains_and_addresses_are_bounded },
  { "each_fault_has_its_word", each_fault_has_its_word },
};
MAIN(tests)
