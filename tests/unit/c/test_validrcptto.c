/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include "check.h"
#include "image.h"
#include "validrcptto.h"

static void store(const char *const *keys, size_t n)
{
  struct image f = image_make(keys, n);

  mkdir("control", 0755);
  image_write(VALIDRCPTTO_FILE, f.s, f.len);
  free(f.s);
}

/* The key that lets an address in, "-" for a miss and "?" for trouble. */
static const char *key(const char *address)
{
  static struct validrcptto v;
  int r = validrcptto_find(&v, VALIDRCPTTO_FILE, address);

  CHECK((r == VALIDRCPTTO_TROUBLE) == (v.trouble != 0));
  return r == VALIDRCPTTO_FOUND ? v.key : r == VALIDRCPTTO_MISSING ? "-" : "?";
}

/* What was written to descriptor 2, which log_begin points at a file. */
static const char *log_text(void)
{
  static char text[10000];
  ssize_t n = pread(2, text, sizeof text - 1, 0);

  text[n > 0 ? n : 0] = 0;
  return text;
}

static void log_begin(void)
{
  int fd = open("log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);

  CHECK(fd != -1 && dup2(fd, 2) == 2);
}

TEST(the_whole_address_in_any_case)
{
  static const char *const keys[] = { "joe@example.test", "postmaster", "" };

  store(keys, 3);
  CHECK(!strcmp(key("joe@example.test"), "joe@example.test"));
  CHECK(!strcmp(key("JOE@Example.TEST"), "joe@example.test"));
  CHECK(!strcmp(key("Postmaster"), "postmaster"));
  CHECK(!strcmp(key(""), ""));
  CHECK(!strcmp(key("postmaster@example.test"), "-"));
  CHECK(!strcmp(key("joe@example.test."), "-"));
  CHECK(!strcmp(key("joe"), "-"));
  CHECK(!strcmp(key("joe@"), "-"));
  CHECK(!strcmp(key("J\xd6" "E@example.test"), "-"));
}

TEST(the_forms_are_tried_from_the_right)
{
  static const char *const keys[] = { "joe-a-default@x.test", "joe-default@x.test", "@x.test", "joe-a-b@x.test" };
  static const char *const one[] = { "joe-default@x.test" };

  store(keys, 4);
  CHECK(!strcmp(key("joe-a-b@x.test"), "joe-a-b@x.test"));
  CHECK(!strcmp(key("joe-a-c@x.test"), "joe-a-default@x.test"));
  CHECK(!strcmp(key("joe-a-@x.test"), "joe-a-default@x.test"));
  CHECK(!strcmp(key("joe-c@x.test"), "joe-default@x.test"));
  CHECK(!strcmp(key("joe-@x.test"), "joe-default@x.test"));
  CHECK(!strcmp(key("joe@x.test"), "@x.test"));
  CHECK(!strcmp(key("@x.test"), "@x.test"));
  CHECK(!strcmp(key("joe-c"), "-"));
  store(one, 1);
  CHECK(!strcmp(key("joe-a-b-c-d@x.test"), "joe-default@x.test"));
  CHECK(!strcmp(key("joe@x.test"), "-"));
  CHECK(!strcmp(key("jo-e@x.test"), "-"));
}

TEST(the_last_at_sign_counts)
{
  static const char *const keys[] = { "@b.test", "u-default@c.test" };

  store(keys, 2);
  CHECK(!strcmp(key("x@a.test@b.test"), "@b.test"));
  CHECK(!strcmp(key("x@b.test@a.test"), "-"));
  CHECK(!strcmp(key("u-x@a.test@c.test"), "u-default@c.test"));
  CHECK(!strcmp(key("u@a-x.test@c.test"), "-"));
  CHECK(!strcmp(key("u@a.test-x@c.test"), "-"));
}

/* A '-' in the domain is none of the local part. */
TEST(a_dash_in_the_domain_is_no_form)
{
  static const char *const keys[] = { "u@a-default@a-x.test", "u@a-default" };

  store(keys, 2);
  CHECK(!strcmp(key("u@a-x.test"), "-"));
}

TEST(an_address_of_any_length_is_safe)
{
  static const char *const keys[] = { "@x.test" };
  static char address[VALIDRCPTTO_ADDRESS_MAX + 3];
  size_t n;

  store(keys, 1);
  for (n = 0; n < sizeof address - 1; ++n) {
    memset(address, '-', n);
    address[n] = 0;
    if (n >= 7)
      memcpy(address + n - 7, "@x.test", 7);
    CHECK(!strcmp(key(address), n > VALIDRCPTTO_ADDRESS_MAX ? "?" : n >= 7 ? "@x.test" : "-"));
  }
}

TEST(trouble_is_no_miss)
{
  static const char *const keys[] = { "joe@x.test" };

  CHECK(!strcmp(key("joe@x.test"), "?"));
  store(keys, 0);
  CHECK(!strcmp(key("joe@x.test"), "?"));
  store(keys, 1);
  CHECK(!strcmp(key("joe@x.test"), "joe@x.test"));
  CHECK(truncate(VALIDRCPTTO_FILE, 2060) == 0);
  CHECK(!strcmp(key("joe@x.test"), "?") && !strcmp(key("nobody@x.test"), "?"));
}

TEST(the_limit_is_a_number_or_the_default)
{
  CHECK(validrcptto_limit(0) == 10 && validrcptto_limit("") == 10);
  CHECK(validrcptto_limit("0") == 0 && validrcptto_limit("000") == 0);
  CHECK(validrcptto_limit("1") == 1 && validrcptto_limit("007") == 7);
  CHECK(validrcptto_limit("999999999") == 999999999);
  CHECK(validrcptto_limit("4294967296") == 10 && validrcptto_limit("18446744073709551616") == 10);
  CHECK(validrcptto_limit("-1") == 10 && validrcptto_limit(" 5") == 10 && validrcptto_limit("5x") == 10);
}

TEST(misses_are_counted_up_to_the_limit)
{
  static const char *const keys[] = { "joe@x.test" };
  int i;

  store(keys, 1);
  log_begin();
  unsetenv("VALIDRCPTTO_LOG");
  setenv("VALIDRCPTTO_LIMIT", "3", 1);
  CHECK(validrcptto_check("a@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_MISSING);
  CHECK(validrcptto_check("joe@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_FOUND);
  CHECK(rename(VALIDRCPTTO_FILE, "away") == 0);
  for (i = 0; i < 20; ++i)
    CHECK(validrcptto_check("a@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_TROUBLE);
  CHECK(rename("away", VALIDRCPTTO_FILE) == 0);
  log_begin();
  CHECK(validrcptto_check("b@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_MISSING);
  CHECK(validrcptto_check("c d@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_EXCESS);
  CHECK(!strcmp(log_text(),
    "qmail-smtpd: not in validrcptto: b@x.test from s@x.test at 192.0.2.7\n"
    "qmail-smtpd: not in validrcptto: c\\x20d@x.test from s@x.test at 192.0.2.7\n"
    "qmail-smtpd: excessive validrcptto violations, hanging up on 192.0.2.7\n"));
}

TEST(without_a_limit_nobody_is_hung_up_on)
{
  static const char *const keys[] = { "joe@x.test" };
  int i;

  store(keys, 1);
  log_begin();
  setenv("VALIDRCPTTO_LIMIT", "0", 1);
  for (i = 0; i < 100; ++i)
    CHECK(validrcptto_check("a@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_MISSING);
  unsetenv("VALIDRCPTTO_LIMIT");
  CHECK(validrcptto_check("a@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_EXCESS);
}

TEST(the_verbose_log_says_what_was_asked_and_found)
{
  static const char *const keys[] = { "joe-default@x.test" };

  store(keys, 1);
  log_begin();
  setenv("VALIDRCPTTO_LOG", "1", 1);
  CHECK(validrcptto_check("Joe-A@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_FOUND);
  setenv("VALIDRCPTTO_LOG", "00", 1);
  CHECK(validrcptto_check("Joe-B@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_FOUND);
  CHECK(!strcmp(log_text(),
    "qmail-smtpd: validrcptto RCPT TO: Joe-A@x.test\n"
    "qmail-smtpd: validrcptto found: joe-default@x.test\n"));
  log_begin();
  unsetenv("VALIDRCPTTO_LOG");
  CHECK(unlink(VALIDRCPTTO_FILE) == 0);
  CHECK(validrcptto_check("Joe-A@x.test", "s@x.test", "192.0.2.7") == VALIDRCPTTO_TROUBLE);
  CHECK(!strcmp(log_text(), "qmail-smtpd: validrcptto.cdb trouble: no such file\n"));
}

static const struct test tests[] = {
  { "the_whole_address_in_any_case", the_whole_address_in_any_case },
  { "the_forms_are_tried_from_the_right", the_forms_are_tried_from_the_right },
  { "the_last_at_sign_counts", the_last_at_sign_counts },
  { "a_dash_in_the_domain_is_no_form", a_dash_in_the_domain_is_no_form },
  { "an_address_of_any_length_is_safe", an_address_of_any_length_is_safe },
  { "trouble_is_no_miss", trouble_is_no_miss },
  { "the_limit_is_a_number_or_the_default", the_limit_is_a_number_or_the_default },
  { "misses_are_counted_up_to_the_limit", misses_are_counted_up_to_the_limit },
  { "without_a_limit_nobody_is_hung_up_on", without_a_limit_nobody_is_hung_up_on },
  { "the_verbose_log_says_what_was_asked_and_found", the_verbose_log_says_what_was_asked_and_found },
};
MAIN(tests)
