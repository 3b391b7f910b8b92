/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "address.h"
#include "check.h"

static const char *network(const char *text, int prefix)
{
  static char out[ADDRESS_TEXT_MAX];
  struct address a;

  if (!address_parse(&a, text))
    return "none";
  prefix = address_network(&a, prefix);
  address_text(out, &a, '/', prefix);
  return out;
}

TEST(networks)
{
  static const struct { const char *text; int prefix; const char *network; } rows[] = {
    {"198.51.100.255", 24, "198.51.100.0/24"},
    {"198.51.100.255", 25, "198.51.100.128/25"},
    {"198.51.100.255", 31, "198.51.100.254/31"},
    {"198.51.100.255", 32, "198.51.100.255/32"},
    {"198.51.100.255", 64, "198.51.100.255/32"},
    {"255.255.255.255", 8, "255.0.0.0/8"},
    {"2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"},
    {"2001:db8:1:2:3:4:5:6", 63, "2001:db8:1:2::/63"},
    {"2001:db8:1:3:3:4:5:6", 63, "2001:db8:1:2::/63"},
    {"2001:DB8::F", 128, "2001:db8::f/128"},
    {"::ffff:198.51.100.7", 24, "198.51.100.0/24"},
    {"::1", 64, "::/64"},
    {"", 24, "none"}, {"1.2.3", 24, "none"}, {"1.2.3.4 ", 24, "none"}, {"256.1.1.1", 24, "none"}, {"::1%lo", 64, "none"},
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].text;
    CHECK(strcmp(network(rows[i].text, rows[i].prefix), rows[i].network) == 0);
  }
}

TEST(networks_of_a_file)
{
  static const char *const right[] = {"127.0.0.0/8", "127.0.0.2", "127.0.0.2/32", "0.0.0.0/0", "10.0.0.128/25", "2001:db8::/32",
    "2001:db8::1", "::/0", "2001:db8::1/128", "::ffff:10.0.0.0/104"};
  static const char *const wrong[] = {
    "", "/8", "127.0.0.0/", "127.0.0.0/33", "127.0.0.0/08x", "127.0.0.1/24", "127.0.0.0/-1", "127.0.0.0/ 8", "127.0.0.0/008",
    "::1/64", "2001:db8::/129", "2001:db8::/0032", "::ffff:10.0.0.0/95", "127.0.0.0.0/8", "1111111111111111111111111/8",
  };
  struct address a;
  int prefix;
  size_t i;

  for (i = 0; i < sizeof right / sizeof *right; ++i) {
    check_where = right[i];
    CHECK(address_parse_network(&a, &prefix, right[i]));
  }
  for (i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    check_where = wrong[i];
    CHECK(!address_parse_network(&a, &prefix, wrong[i]));
  }
}

static const struct test tests[] = {
  {"networks", networks},
  {"networks_of_a_file", networks_of_a_file},
};

MAIN(tests)
