/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "tlspolicy.h"

static struct tlspolicy found;

/* The line of the first fault; from a copy of just this size, so that ASan sees one byte more. */
static size_t find(const char *file, size_t length, const char *domain)
{
  char *bytes = malloc(length ? length : 1);
  char *name = malloc(strlen(domain) + 1);
  size_t line;

  CHECK(bytes && name);
  memcpy(bytes, file, length);
  memcpy(name, domain, strlen(domain));
  memset(&found, 0x55, sizeof found);
  line = tlspolicy_find(&found, bytes, length, name, strlen(domain));
  free(bytes);
  free(name);
  return line;
}

static size_t find_text(const char *file, const char *domain)
{
  check_where = file;
  return find(file, strlen(file), domain);
}

TEST(each_policy_has_its_word)
{
  static const char *const words[] = { "none", "may", "encrypt", "verify", "secure", "dane" };
  char file[64];
  size_t i;

  for (i = 0; i < sizeof words / sizeof *words; ++i) {
    sprintf(file, ":%s\n", words[i]);
    CHECK(find_text(file, "a.test") == 0 && found.level == (enum tlspolicy_level) i);
    CHECK(strcmp(tlspolicy_word(found.level), words[i]) == 0);
    CHECK(found.names == 0 && found.cafile[0] == 0);
  }
}

TEST(looked_up_as_a_route_is)
{
  static const struct { const char *file, *domain; enum tlspolicy_level level; } rows[] = {
    { "a.test:verify\n:may\n", "a.test", TLSPOLICY_VERIFY },
    { "a.test:verify\n:may\n", "A.TEST", TLSPOLICY_VERIFY },
    { "A.Test:verify\n:may\n", "a.test", TLSPOLICY_VERIFY },
    { "a.test:verify\n:may\n", "a.test.", TLSPOLICY_VERIFY },
    { "a.test:verify\n:may\n", "b.a.test", TLSPOLICY_MAY },
    { "a.test:verify\n:may\n", "xa.test", TLSPOLICY_MAY },
    { "a.test:verify\n:may\n", "", TLSPOLICY_MAY },
    { ".a.test:verify\n:may\n", "a.test", TLSPOLICY_MAY },
    { ".a.test:verify\n:may\n", "b.a.test", TLSPOLICY_VERIFY },
    { ".a.test:verify\n:may\n", "c.b.A.test", TLSPOLICY_VERIFY },
    { ".a.test:verify\n:may\n", "xa.test", TLSPOLICY_MAY },
    { ".test:none\n.a.test:verify\nb.a.test:secure\n:may\n", "b.a.test", TLSPOLICY_SECURE },
    { "b.a.test:secure\n.a.test:verify\n.test:none\n:may\n", "b.a.test", TLSPOLICY_SECURE },
    { ".test:none\n.a.test:verify\nb.a.test:secure\n:may\n", "c.a.test", TLSPOLICY_VERIFY },
    { ".test:none\n.a.test:verify\nb.a.test:secure\n:may\n", "a.test", TLSPOLICY_NONE },
    { "[192.0.2.1]:none\n:may\n", "[192.0.2.1]", TLSPOLICY_NONE },
    { "# c\n\n \t\n#\na.test:none \t\n:may\t \n", "a.test", TLSPOLICY_NONE },
    { "a_b.test:none\n:may\n", "a_b.test", TLSPOLICY_NONE },
    { "xn--a-b.test:none\n:may\n", "xn--a-b.test", TLSPOLICY_NONE },
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    CHECK(find_text(rows[i].file, rows[i].domain) == 0 && found.level == rows[i].level);
}

TEST(names_and_authorities)
{
  CHECK(find_text("a.test:verify:mx.a.test\n:may\n", "a.test") == 0);
  CHECK(found.names == 1 && strcmp(found.name[0], "mx.a.test") == 0 && found.cafile[0] == 0);
  CHECK(find_text("a.test:secure:mx.a.test,.b.test,192.0.2.1:/etc/ca.pem\n:may\n", "a.test") == 0);
  CHECK(found.names == 3 && strcmp(found.name[1], ".b.test") == 0 && strcmp(found.name[2], "192.0.2.1") == 0);
  CHECK(strcmp(found.cafile, "/etc/ca.pem") == 0);
  CHECK(find_text(":verify::/etc/ca.pem\n", "a.test") == 0);
  CHECK(found.names == 0 && strcmp(found.cafile, "/etc/ca.pem") == 0);
}

TEST(every_fault_has_its_line)
{
  static const struct { const char *file; size_t line; } rows[] = {
    { "", 1 }, { "\n", 2 }, { "# only this\n", 2 }, { "a.test:may\n", 2 }, { ":may", 1 }, { "a.test:may\n:ma", 2 },
    { "a.test:may\n:may\na.b:may\n", 3 }, { ":may\n:may\n", 2 }, { ":may\n\n# end\n", 0 },
    { "a.test\n:may\n", 1 }, { "a.test:\n:may\n", 1 }, { "a.test:May\n:may\n", 1 }, { "a.test:maybe\n:may\n", 1 },
    { "a.test:ma\n:may\n", 1 }, { "a.test: may\n:may\n", 1 }, { " a.test:may\n:may\n", 1 }, { "a.test:may\r\n:may\n", 1 },
    { "a.test:may\n:may\r\n", 2 }, { "a.test :may\n:may\n", 1 }, { "a b:may\n:may\n", 1 }, { "a..test:may\n:may\n", 1 },
    { "a.test.:may\n:may\n", 1 }, { ".:may\n:may\n", 1 }, { "..a.test:may\n:may\n", 1 }, { "*.a.test:may\n:may\n", 1 },
    { "-a.test:may\n:may\n", 1 }, { "[192.0.2.1:may\n:may\n", 1 }, { "[192.0.2]:may\n:may\n", 1 }, { "[]:may\n:may\n", 1 },
    { "[::1]:may\n:may\n", 1 }, { "\xe4.test:may\n:may\n", 1 },
    { "a.test:none:a.test\n:may\n", 1 }, { "a.test:may:a.test\n:may\n", 1 }, { "a.test:encrypt:a.test\n:may\n", 1 },
    { "a.test:may::/ca\n:may\n", 1 }, { "a.test:may:\n:may\n", 1 }, { "a.test:may::\n:may\n", 1 },
    { "a.test:verify:\n:may\n", 1 }, { "a.test:verify:,\n:may\n", 1 }, { "a.test:verify:a.test,\n:may\n", 1 },
    { "a.test:verify:,a.test\n:may\n", 1 }, { "a.test:verify:a.test, b.test\n:may\n", 1 }, { "a.test:verify:a/b\n:may\n", 1 },
    { "a.test:verify:*.a.test\n:may\n", 1 }, { "a.test:verify:a.test:\n:may\n", 1 }, { "a.test:verify::\n:may\n", 1 },
    { "a.test:verify::ca.pem\n:may\n", 1 }, { "a.test:verify::/\n:may\n", 1 }, { "a.test:verify::/a b\n:may\n", 1 },
    { "a.test:verify::/\xe4\n:may\n", 1 }, { "a.test:verify:a:/ca:\n:may\n", 1 }, { "a.test:verify:a:/ca:x\n:may\n", 1 },
    { "a.test:dane:a.test\n:may\n", 1 }, { "a.test:dane::/ca\n:may\n", 1 }, { "a.test:dane-only\n:may\n", 1 }, { "b.test:may\na.test:verify\na.TEST:may\n:may\n", 3 }, { ".test:may\n.test:may\n:may\n", 2 },
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    CHECK(find_text(rows[i].file, "a.test") == rows[i].line);
  check_where = "NUL";
  CHECK(find("a.test:may\0\n:may\n", 17, "a.test") == 1);
  CHECK(find("\0\0\0\0", 4, "a.test") == 1);
  CHECK(find("a.test:may\n:may\0\n", 17, "a.test") == 2);
}

TEST(a_file_that_is_cut_anywhere_is_a_fault)
{
  static const char file[] = "# policies\na.test:verify:mx.a.test:/etc/ca.pem\n.b.test:encrypt\n\n:may\n";
  size_t length;

  for (length = 0; length < sizeof file - 1; ++length)
    CHECK(find(file, length, "a.test") != 0);
  CHECK(find(file, length, "a.test") == 0 && found.level == TLSPOLICY_VERIFY);
}

TEST(limits)
{
  char file[12000];
  char name[TLSPOLICY_NAME_MAX + 2];
  size_t at;
  int i;

  memset(name, 'a', sizeof name);
  name[TLSPOLICY_NAME_MAX] = 0;
  sprintf(file, "%s:verify:%s\n:may\n", name, name);
  CHECK(find_text(file, name) == 0 && strcmp(found.name[0], name) == 0);
  sprintf(file, "%sb:may\n:may\n", name);
  CHECK(find_text(file, "a.test") == 1);
  sprintf(file, ":verify:%sb\n", name);
  CHECK(find_text(file, "a.test") == 1);
  for (i = 0; i < 2; ++i) {
    at = (size_t) sprintf(file, ":verify:");
    while (at < 8 + 2 * (size_t) (TLSPOLICY_NAMES_MAX + i))
      at += (size_t) sprintf(file + at, "a,");
    strcpy(file + at - 1, "\n");
    CHECK(find_text(file, "a.test") == (size_t) i);
    CHECK(i || found.names == TLSPOLICY_NAMES_MAX);
  }
  for (i = 0; i < 2; ++i) {
    at = (size_t) sprintf(file, ":verify::/");
    memset(file + at, 'p', TLSPOLICY_PATH_MAX);
    strcpy(file + at + TLSPOLICY_PATH_MAX - 1 + i, "\n");
    CHECK(find_text(file, "a.test") == (size_t) i);
    CHECK(i || strlen(found.cafile) == TLSPOLICY_PATH_MAX);
  }
}

TEST(addresses)
{
  static const struct { const char *text; int is; } rows[] = {
    { "192.0.2.1", 1 }, { "0.0.0.0", 1 }, { "255.255.255.255", 1 }, { "256.0.0.1", 0 }, { "1.2.3", 0 }, { "1.2.3.4.5", 0 },
    { "1.2.3.", 0 }, { ".1.2.3", 0 }, { "01.2.3.4", 0 }, { "1.2.3.4x", 0 }, { "", 0 }, { "mx.test", 0 }, { "1..2.3", 0 },
    { "99999999999.1.1.1", 0 },
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].text;
    CHECK(tlspolicy_is_address(rows[i].text) == rows[i].is);
  }
}

TEST(an_offer)
{
  static const struct { const char *text; int is; } rows[] = {
    { "250-mx\n250-STARTTLS\n250 SIZE\n", 1 }, { "250-mx\n250 STARTTLS\n", 1 }, { "250 starttls\n", 1 }, { "250-STARTTLS \n", 1 },
    { "250-mx\n250 SIZE\n", 0 }, { "250-mx STARTTLS\n250 SIZE\n", 0 }, { "250-STARTTLSX\n250 SIZE\n", 0 }, { "250-STARTTL\n", 0 },
    { "250-XSTARTTLS\n", 0 }, { "250 STARTTLS", 0 }, { "", 0 }, { "\n", 0 }, { "550-STARTTLS\n", 0 }, { "250=STARTTLS\n", 0 },
  };
  size_t i;
  char *bytes;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].text;
    bytes = malloc(strlen(rows[i].text) + 1);
    CHECK(bytes);
    memcpy(bytes, rows[i].text, strlen(rows[i].text));
    CHECK(tlspolicy_offered(bytes, strlen(rows[i].text)) == rows[i].is);
    free(bytes);
  }
}

static const struct test tests[] = {
  { "each_policy_has_its_word", each_policy_has_its_word },
  { "looked_up_as_a_route_is", looked_up_as_a_route_is },
  { "names_and_authorities", names_and_authorities },
  { "every_fault_has_its_line", every_fault_has_its_line },
  { "a_file_that_is_cut_anywhere_is_a_fault", a_file_that_is_cut_anywhere_is_a_fault },
  { "limits", limits },
  { "addresses", addresses },
  { "an_offer", an_offer },
};
MAIN(tests)
