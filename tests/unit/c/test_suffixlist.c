/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "punycode.h"
#include "suffixlist.h"

/* A part of the list, for the cases of https://publicsuffix.org/list/test.txt. */
static const char text[] =
  "// a comment\n\n// ===BEGIN ICANN DOMAINS===\ncom\nbiz\nuk\nco.uk\nac\n*.mm\njp\nac.jp\nkyoto.jp\nide.kyoto.jp\n*.kobe.jp\n"
  "!city.kobe.jp\n*.ck\n!www.ck\nus\nak.us\nk12.ak.us\ncn\ncom.cn\n\xe5\x85\xac\xe5\x8f\xb8.cn\n\xe4\xb8\xad\xe5\x9b\xbd\n"
  "de blank\nnet\r\n\xff\xfe.broken\n..\n// ===BEGIN PRIVATE DOMAINS===\nuk.com\ncompute.cloud.com";

struct sample {
  const char *name;
  const char *organization;
};

TEST(the_organizational_domain_is_one_label_below_a_public_suffix)
{
  static const struct sample samples[] = {
    {"com", 0}, {"example.com", "example.com"}, {"www.example.com", "example.com"}, {"example", 0},
    {"example.example", "example.example"}, {"b.example.example", "example.example"}, {"biz", 0},
    {"domain.biz", "domain.biz"}, {"a.b.domain.biz", "domain.biz"}, {"uk.com", 0},
    {"example.uk.com", "example.uk.com"}, {"a.b.example.uk.com", "example.uk.com"}, {"test.ac", "test.ac"}, {"mm", 0},
    {"c.mm", 0}, {"b.c.mm", "b.c.mm"}, {"a.b.c.mm", "b.c.mm"}, {"jp", 0}, {"test.jp", "test.jp"}, {"ac.jp", 0},
    {"www.test.ac.jp", "test.ac.jp"}, {"kyoto.jp", 0}, {"ide.kyoto.jp", 0}, {"a.b.ide.kyoto.jp", "b.ide.kyoto.jp"},
    {"kobe.jp", 0}, {"c.kobe.jp", 0}, {"b.c.kobe.jp", "b.c.kobe.jp"}, {"a.b.c.kobe.jp", "b.c.kobe.jp"}, {"city.kobe.jp", "city.kobe.jp"},
    {"www.city.kobe.jp", "city.kobe.jp"}, {"ck", 0}, {"test.ck", 0}, {"b.test.ck", "b.test.ck"},
    {"a.b.test.ck", "b.test.ck"}, {"www.ck", "www.ck"}, {"www.www.ck", "www.ck"}, {"us", 0}, {"www.test.us", "test.us"},
    {"k12.ak.us", 0}, {"www.test.k12.ak.us", "test.k12.ak.us"}, {"xn--55qx5d.cn", 0},
    {"www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"}, {"shishi.xn--55qx5d.cn", "shishi.xn--55qx5d.cn"},
    {"xn--fiqs8s", 0}, {"www.xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s"}, {"co.uk", 0},
    {"mail.example.co.uk", "example.co.uk"}, {"de", 0}, {"a.net", "a.net"}, {"compute.cloud.com", 0},
    {"a.b.compute.cloud.com", "b.compute.cloud.com"}, {"cloud.com", "cloud.com"}, {"", 0},
  };
  struct suffixlist list;
  const char *found;
  size_t i;

  CHECK(suffixlist_read(&list, text, sizeof text - 1));
  for (i = 0; i < sizeof samples / sizeof *samples; ++i) {
    check_where = samples[i].name;
    found = suffixlist_organization(&list, samples[i].name);
    CHECK(samples[i].organization ? found && !strcmp(found, samples[i].organization) : !found);
  }
  suffixlist_free(&list);
}

TEST(a_list_without_a_rule_is_none)
{
  struct suffixlist list;

  CHECK(!suffixlist_read(&list, "", 0) && !list.text && !list.rule);
  CHECK(!suffixlist_read(&list, "// com\n\n\xff\n", 10));
}

TEST(labels_beyond_ascii_are_written_as_dns_has_them)
{
  static const struct sample samples[] = {
    {"example", "example"}, {"b\xc3\xbc" "cher", "xn--bcher-kva"}, {"\xe5\x85\xac\xe5\x8f\xb8", "xn--55qx5d"},
    {"\xd8\xa7\xd9\x84\xd8\xac\xd8\xb2\xd8\xa7\xd8\xa6\xd8\xb1", "xn--lgbbat1ad8j"}, {"\xf0\x9f\x92\xa9", "xn--ls8h"},
    {"\xc0\xaf", 0}, {"\xed\xa0\x80", 0}, {"\xe5\x85", 0}, {"\xf5\x80\x80\x80", 0}, {"\x80", 0}, {"", 0},
    {"123456789012345678901234567890123456789012345678901234567890123",
     "123456789012345678901234567890123456789012345678901234567890123"},
    {"1234567890123456789012345678901234567890123456789012345678901234", 0},
    {"12345678901234567890123456789012345678901234567890123456789012\xc3\xbc", 0},
  };
  char out[PUNYCODE_LABEL_MAX];
  size_t len;
  size_t i;

  for (i = 0; i < sizeof samples / sizeof *samples; ++i) {
    check_where = samples[i].name;
    len = punycode_label(out, samples[i].name, strlen(samples[i].name));
    if (samples[i].organization)
      CHECK(len == strlen(samples[i].organization) && !memcmp(out, samples[i].organization, len));
    else
      CHECK(!len);
  }
}

static const struct test tests[] = {
  {"the_organizational_domain_is_one_label_below_a_public_suffix", the_organizational_domain_is_one_label_below_a_public_suffix},
  {"a_list_without_a_rule_is_none", a_list_without_a_rule_is_none},
  {"labels_beyond_ascii_are_written_as_dns_has_them", labels_beyond_ascii_are_written_as_dns_has_them},
};

MAIN(tests)
