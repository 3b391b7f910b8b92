/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include "listening.h"

static struct sockaddr_storage address;
static const char *why;

static int refused(const char *text, const char *said)
{
  return !listening_address(&address, text, 25, &why) && strstr(why, said) && strstr(why, "; expected ");
}

TEST(addresses_of_both_families)
{
  const struct sockaddr_in *four = (const struct sockaddr_in *) &address;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) &address;
  char shown[INET6_ADDRSTRLEN];

  CHECK(listening_address(&address, "192.0.2.25", 2525, &why) == sizeof *four);
  CHECK(four->sin_family == AF_INET && four->sin_port == htons(2525) && four->sin_addr.s_addr == htonl(0xc0000219));
  CHECK(!listening_every_ipv6(&address));
  CHECK(listening_address(&address, "0.0.0.0", 25, &why) == sizeof *four && !listening_every_ipv6(&address));
  CHECK(listening_address(&address, "2001:DB8:0::25", 2525, &why) == sizeof *six);
  CHECK(six->sin6_family == AF_INET6 && six->sin6_port == htons(2525) && six->sin6_scope_id == 0);
  CHECK(inet_ntop(AF_INET6, &six->sin6_addr, shown, sizeof shown) && strcmp(shown, "2001:db8::25") == 0);
  CHECK(!listening_every_ipv6(&address));
  CHECK(listening_address(&address, "::", 25, &why) && listening_every_ipv6(&address));
}

TEST(a_link_local_address_names_its_interface)
{
  CHECK(listening_address(&address, "fe80::1%lo", 25, &why) && ((const struct sockaddr_in6 *) &address)->sin6_scope_id);
  CHECK(refused("fe80::1", "link-local"));
  CHECK(refused("fe80::1%", "link-local"));
  CHECK(refused("fe80::1%nowhere0", "link-local"));
  CHECK(refused("2001:db8::1%lo", "an interface behind it"));
}

TEST(what_is_no_address_to_listen_at_is_refused_with_a_reason)
{
  static const char *const none[] = {"", "x", "*", "192.0.2", "192.0.2.256", "192.0.2.0/24", "[2001:db8::25]", "2001:db8::/64",
                                     "2001:db8:::1", "localhost", "192.0.2.1%lo",
                                     "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
  size_t i;

  for (i = 0; i < sizeof none / sizeof *none; ++i) {
    check_where = none[i];
    CHECK(refused(none[i], "is not an address"));
  }
  CHECK(refused("::ffff:192.0.2.25", "written as IPv6"));
  CHECK(refused("ff02::1", "many receivers"));
}

static int port_of(int fd)
{
  struct sockaddr_storage bound;
  socklen_t len = sizeof bound;

  CHECK(fd != -1 && getsockname(fd, (struct sockaddr *) &bound, &len) == 0);
  return ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *) &bound)->sin_port : ((struct sockaddr_in6 *) &bound)->sin6_port);
}

TEST(both_families_listen_at_the_same_port)
{
  socklen_t len = listening_address(&address, "0.0.0.0", 0, &why);
  int four = listening_open(&address, len, 1);
  int six;

  len = listening_address(&address, "::", port_of(four), &why);
  six = listening_open(&address, len, 1);
  if (six == -1 && errno == EAFNOSUPPORT)
    return;   /* this host has no IPv6 */
  CHECK(port_of(six) == port_of(four));
  CHECK(listening_open(&address, len, 1) == -1 && errno == EADDRINUSE);
}

TEST(an_address_that_is_not_here_yet_is_listened_at)
{
  socklen_t len = listening_address(&address, "192.0.2.25", 0, &why);

  CHECK(port_of(listening_open(&address, len, 1)));
  len = listening_address(&address, "2001:db8::25", 0, &why);
  CHECK(listening_open(&address, len, 1) != -1 || errno == EAFNOSUPPORT);
}

static const struct test tests[] = {
  {"addresses_of_both_families", addresses_of_both_families},
  {"a_link_local_address_names_its_interface", a_link_local_address_names_its_interface},
  {"what_is_no_address_to_listen_at_is_refused_with_a_reason", what_is_no_address_to_listen_at_is_refused_with_a_reason},
  {"both_families_listen_at_the_same_port", both_families_listen_at_the_same_port},
  {"an_address_that_is_not_here_yet_is_listened_at", an_address_that_is_not_here_yet_is_listened_at},
};

MAIN(tests)
