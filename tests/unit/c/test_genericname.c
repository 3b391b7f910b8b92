/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "genericname.h"

struct sample {
  const char *client;
  const char *name;
};

static int generic(const struct sample *sample)
{
  struct address client;

  check_where = sample->name;
  CHECK(address_parse(&client, sample->client));
  return genericname(sample->name, &client);
}

TEST(names_that_providers_generate_are_generic)
{
  static const struct sample samples[] = {
    {"198.51.100.7", "198-51-100-7.dsl.isp.example"},
    {"198.51.100.7", "198.51.100.7.isp.example"},
    {"198.51.100.7", "7.100.51.198.isp.example"},
    {"198.51.100.7", "7-100-51-198.static.isp.example"},
    {"198.51.100.7", "ip198-51-100-7.isp.example"},
    {"198.51.100.7", "host198.51.100.7.isp.example"},
    {"198.51.100.7", "c-198-51-100-7.hsd1.ca.isp.example"},
    {"198.51.100.7", "pool-198-51-100-7.nycmny.isp.example"},
    {"198.51.100.7", "198_51_100_7.isp.example"},
    {"198.51.100.7", "x198x51x100x7.isp.example"},
    {"198.51.100.7", "dslb-198-051-100-007.198.051.pools.isp.example"},
    {"198.51.100.7", "198051100007.isp.example"},
    {"198.51.100.7", "007100051198.isp.example"},
    {"198.51.100.7", "ppp198051100007.isp.example"},
    {"198.51.100.7", "dyn.051100007.isp.example"},
    {"198.51.100.7", "a198511007b.isp.example"},
    {"198.51.100.7", "7.ip-198-51-100.eu"},
    {"198.51.100.7", "host198-51-100-7.range198-51.isp.example"},
    {"198.51.100.7", "pc-100-7.area-198-51.isp.example"},
    {"198.51.100.7", "cpe-51-100-7.isp.example"},
    {"198.51.100.7", "7.100.51.dynamic.isp.example"},
    {"198.51.100.7", "p_c6336407.dip0.isp.example"},
    {"198.51.100.7", "pc6336407.dip0.isp.example"},
    {"198.51.100.7", "xc6336407.dyn.isp.example"},
    {"198.51.100.7", "076433c6.isp.example"},
    {"198.51.100.7", "c6-33-64-07.isp.example"},
    {"198.51.100.7", "c6-33-64-7.isp.example"},
    {"198.51.100.7", "c6.33.64.07.isp.example"},
    {"198.51.100.7", "h336407.isp.example"},
    {"198.51.100.7", "3325256711.isp.example"},
    {"198.51.100.7", "ip3325256711.isp.example"},
    {"198.51.100.7", "100-7.dsl.isp.example"},
    {"198.51.100.7", "host-100-7.isp.example"},
    {"198.51.100.7", "7-100.adsl.isp.example"},
    {"198.51.100.7", "ip-100-7.pool.isp.example"},
    {"198.51.100.7", "dhcp-7.isp.example"},
    {"198.51.100.7", "dhcp007.isp.example"},
    {"198.51.100.7", "dialup-7.isp.example"},
    {"198.51.100.7", "customer-7.isp.example"},
    {"0.0.0.0", "0-0-0-0.isp.example"},
    {"255.255.255.255", "4294967295.isp.example"},
    {"198.51.100.113", "113.100.51.198.in-addr.arpa"},
    {"2001:db8::5", "2001-db8--5.isp.example"},
    {"2001:db8::5", "2001-db8-0-0-0-0-0-5.isp.example"},
    {"2001:db8::5", "2001-0db8-0000-0000-0000-0000-0000-0005.isp.example"},
    {"2001:db8::5", "20010db8000000000000000000000005.isp.example"},
    {"2001:db8::5", "p20010db8000000000000000000000005.dip0.isp.example"},
    {"2001:db8::5", "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.isp.example"},
    {"2001:db8::5", "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.isp.example"},
    {"2001:db8:1:2:a0b1:c2d3:e4f5:617", "dynamic-2001-db8-1-2-a0b1-c2d3-e4f5-617.isp.example"},
    {"2001:db8:1:2:a0b1:c2d3:e4f5:617", "a0b1-c2d3-e4f5-617.dynamic.isp.example"},
    {"2001:db8:1:2:a0b1:c2d3:e4f5:617", "a0b1c2d3e4f50617.v6.isp.example"},
    {"2001:db8:1:2:a0b1:c2d3:e4f5:617", "20010db800010002.v6.isp.example"},
    {"2001:db8:1:2:a0b1:c2d3:e4f5:617", "2001-db8-1.v6.isp.example"},
    {"2001:db8:1:2::25", "cust-2001.db8.1.2.isp.example"},
  };
  size_t i;

  for (i = 0; i < sizeof samples / sizeof *samples; ++i)
    CHECK(generic(&samples[i]));
}

TEST(names_of_mail_servers_are_not)
{
  static const struct sample samples[] = {
    {"198.51.100.7", "mail.example.com"},
    {"198.51.100.7", "mail7.example.com"},
    {"198.51.100.7", "mx-7.example.com"},
    {"198.51.100.53", "mail-ed1-f53.google.com"},
    {"198.51.100.45", "mail-bn8nam12on2045.outbound.protection.outlook.com"},
    {"198.51.8.29", "a8-29.smtp-out.amazonses.com"},
    {"198.51.69.169", "m69-169.mailgun.net"},
    {"198.51.100.7", "out-8-7.example.com"},
    {"198.51.100.7", "mx1.198.example.com"},
    {"198.51.100.7", "7.example.com"},
    {"198.51.100.7", "203-0-113-8.example.com"},   /* of another address */
    {"198.51.100.7", "mx7.dslreports.example"},
    {"198.51.100.7", "custom-mail7.example.com"},
    {"198.51.100.7", "mail7.dynamics.example"},
    {"198.51.100.7", "mta7.pool.example.com"},
    {"1.2.3.4", "mx1234.example.com"},
    {"2001:db8::5", "mail5.example.com"},
    {"2001:db8::5", "db8.example.com"},
    {"2001:db8:1:2::25", "mx25.example.com"},
    {"2001:db8:1:2::25", "mx1-2.example.com"},
    {"2a00:1450:4864:20::135", "mail-lf1-x135.google.com"},
  };
  size_t i;

  for (i = 0; i < sizeof samples / sizeof *samples; ++i)
    CHECK(!generic(&samples[i]));
}

TEST(a_long_name_of_digits_is_read_within_its_bounds)
{
  struct sample sample = {"198.51.100.7", 0};
  char name[256];
  int i;

  for (i = 0; i < 255; ++i)
    name[i] = i % 2 ? '.' : '9';
  name[255] = 0;
  sample.name = name;
  CHECK(!generic(&sample));
  memset(name, '9', 255);
  CHECK(!generic(&sample));
  sample.client = "2001:db8::5";
  CHECK(!generic(&sample));
  sample.name = "";
  CHECK(!generic(&sample));
}

static const struct test tests[] = {
  {"names_that_providers_generate_are_generic", names_that_providers_generate_are_generic},
  {"names_of_mail_servers_are_not", names_of_mail_servers_are_not},
  {"a_long_name_of_digits_is_read_within_its_bounds", a_long_name_of_digits_is_read_within_its_bounds},
};

MAIN(tests)
