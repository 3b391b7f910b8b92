/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where a rule is found is compared with formats/tcprules.py in test_tcprule.py, which is compared with tcprulescheck.
 */
#include "check.h"
#include "tcprule.h"

static struct tcprule_found found;

static enum tcprule rule(const char *data, size_t len)
{
  memcpy(found.data, data, len);
  return tcprule_read(&found, len);
}

TEST(data_of_a_rule)
{
  CHECK(rule("", 0) == TCPRULE_ALLOW && found.variables == 0);
  CHECK(rule("D\0", 2) == TCPRULE_DENY);
  CHECK(rule("D\0+A=1\0", 7) == TCPRULE_DENY);
  CHECK(rule("+A=1\0+RELAYCLIENT=\0", 19) == TCPRULE_ALLOW && found.variables == 2);
  CHECK(strcmp(tcprule_value(&found, "A"), "1") == 0);
  CHECK(strcmp(tcprule_value(&found, "RELAYCLIENT"), "") == 0);
  CHECK(!tcprule_value(&found, "RELAY") && !tcprule_value(&found, "RELAYCLIENTS"));
}

TEST(the_last_of_two_values_counts)
{
  CHECK(rule("+A=1\0+A=2\0", 10) == TCPRULE_ALLOW);
  CHECK(strcmp(tcprule_value(&found, "A"), "2") == 0);
}

TEST(what_is_no_item_is_passed_over)
{
  CHECK(rule("+A=1", 4) == TCPRULE_ALLOW && found.variables == 0);   /* without its end */
  CHECK(rule("+A\0+=1\0X\0\0", 10) == TCPRULE_ALLOW && found.variables == 0);
  CHECK(rule("+A\0D\0", 5) == TCPRULE_DENY);
}

TEST(too_many_variables_are_trouble)
{
  char data[TCPRULE_DATA_MAX];
  size_t len = 0;
  int i;

  for (i = 0; i <= TCPRULE_VARIABLES_MAX; ++i, len += 5)
    memcpy(data + len, "+A=1", 5);
  CHECK(rule(data, len - 5) == TCPRULE_ALLOW && found.variables == TCPRULE_VARIABLES_MAX);
  CHECK(rule(data, len) == TCPRULE_TROUBLE && found.trouble);
}

static int has_key(const char *client, int prefix, const char *expected)
{
  char key[TCPRULE_IPV6_KEY_MAX];
  struct address a;
  size_t len;

  if (!address_parse(&a, client))
    return 0;
  len = tcprule_ipv6_key(key, &a, prefix);
  return len == strlen(expected) && memcmp(key, expected, len) == 0;
}

TEST(keys_of_networks_of_ipv6)
{
  CHECK(has_key("2001:db8::7", 32, "[20010db8]/32"));
  CHECK(has_key("2001:db8:8000::7", 33, "[20010db880]/33"));
  CHECK(has_key("2001:db8:7fff::7", 33, "[20010db800]/33"));
  CHECK(has_key("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, "[80]/1"));
  CHECK(has_key("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 127, "[fffffffffffffffffffffffffffffffe]/127"));
  CHECK(has_key("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128, "[ffffffffffffffffffffffffffffffff]/128"));
  CHECK(has_key("2001:db8::7", 0, "[]/0"));
}

static const struct test tests[] = {
  {"data_of_a_rule", data_of_a_rule},
  {"the_last_of_two_values_counts", the_last_of_two_values_counts},
  {"what_is_no_item_is_passed_over", what_is_no_item_is_passed_over},
  {"too_many_variables_are_trouble", too_many_variables_are_trouble},
  {"keys_of_networks_of_ipv6", keys_of_networks_of_ipv6},
};
MAIN(tests)
