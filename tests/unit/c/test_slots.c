/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include "check.h"
#include <sys/file.h>
#include "slots.h"

static struct slots_limits limits = {12, 3, 5, 2};
static int busy;

static enum slots take(struct slots_taken *taken, const char *ip, int relay)
{
  struct address client;

  CHECK(address_parse(&client, ip));
  return slots_take(taken, "slots", &limits, &client, relay, &busy);
}

static int fits(const char *ip)
{
  struct slots_taken taken;

  return take(&taken, ip, 0) == SLOTS_TAKEN;
}

TEST(shares)
{
  struct slots_taken first;

  CHECK(mkdir("slots", 0700) == 0);
  CHECK(take(&first, "198.51.100.7", 0) == SLOTS_TAKEN && busy == 1 && first.number == 0);
  CHECK(fits("198.51.100.7") && fits("198.51.100.7") && !fits("198.51.100.7"));
  CHECK(fits("198.51.100.8") && fits("198.51.100.9") && !fits("198.51.100.10") && busy == 5);
  CHECK(fits("198.51.101.1"));
  CHECK(close(first.fd) == 0);
  CHECK(fits("198.51.100.7") && busy == 6);
}

TEST(places_for_relay_clients)
{
  char ip[32];
  struct slots_taken taken;
  int i;

  CHECK(mkdir("slots", 0700) == 0);
  for (i = 0; i < 10; ++i) {
    sprintf(ip, "198.51.%d.1", i);
    CHECK(fits(ip));
  }
  CHECK(!fits("203.0.113.1"));
  CHECK(take(&taken, "10.0.0.1", 1) == SLOTS_TAKEN && take(&taken, "10.0.0.1", 1) == SLOTS_TAKEN && busy == 12);
  CHECK(take(&taken, "10.0.0.1", 1) == SLOTS_FULL);
}

TEST(ipv6_by_64)
{
  CHECK(mkdir("slots", 0700) == 0);
  CHECK(fits("2001:db8::1") && fits("2001:db8::1") && fits("2001:db8::1") && !fits("2001:db8::1"));
  CHECK(fits("2001:db8::2") && fits("2001:db8::3") && !fits("2001:db8::4") && fits("2001:db8:0:1::4"));
}

/* A process that inherits the descriptor holds the place, whatever becomes of who took it. */
TEST(a_place_is_held_by_who_inherits_it)
{
  struct slots_taken taken;
  int ends[2];
  pid_t child;
  char c;

  CHECK(mkdir("slots", 0700) == 0 && pipe(ends) == 0);
  limits.all = 1;
  limits.kept_for_relay = 0;
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TAKEN);
  child = fork();
  if (child == 0) {
    close(ends[1]);
    _exit(read(ends[0], &c, 1) != 0);
  }
  CHECK(child > 0 && close(taken.fd) == 0 && close(ends[0]) == 0);
  CHECK(!fits("203.0.113.1") && busy == 1);
  CHECK(close(ends[1]) == 0);
  while (!fits("203.0.113.1"))
    ;
}

TEST(what_cannot_be_counted_is_not_given_away)
{
  struct slots_taken taken;

  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);   /* no directory */
  CHECK(mkdir("slots", 0700) == 0 && mkdir("slots/0003", 0700) == 0);
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);
  CHECK(rmdir("slots/0003") == 0 && symlink("/dev/null", "slots/0003") == 0);
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);
  CHECK(unlink("slots/0003") == 0 && fits("198.51.100.7"));
}

static const struct test tests[] = {
  {"shares", shares},
  {"places_for_relay_clients", places_for_relay_clients},
  {"ipv6_by_64", ipv6_by_64},
  {"a_place_is_held_by_who_inherits_it", a_place_is_held_by_who_inherits_it},
  {"what_cannot_be_counted_is_not_given_away", what_cannot_be_counted_is_not_given_away},
};
MAIN(tests)
