/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "tcppeer.h"

#define TRIES 3   /* an entry can be missed while others come and go */

/* Returns 0 when the table cannot be read. */
static int search(struct tcptable_seen *seen, const char *path, const struct tcptable_end *here,
                  const struct tcptable_end *there, uid_t user)
{
  char line[512];
  FILE *table = fopen(path, "re");
  int failed;

  if (!table)
    return 0;
  while (fgets(line, sizeof line, table))
    tcptable_see(seen, line, here, there, user);
  failed = ferror(table);
  fclose(table);
  if (failed)
    errno = EIO;
  return !failed;
}

static int interface_has(const struct sockaddr *of, const struct address *a)
{
  char text[INET6_ADDRSTRLEN];
  struct address own;
  const void *bytes;

  if (!of || (of->sa_family != AF_INET && of->sa_family != AF_INET6))
    return 0;
  bytes = of->sa_family == AF_INET ? (const void *) &((const struct sockaddr_in *) of)->sin_addr
                                   : (const void *) &((const struct sockaddr_in6 *) of)->sin6_addr;
  return inet_ntop(of->sa_family, bytes, text, sizeof text) && address_parse(&own, text) && address_equal(&own, a);
}

/* Also when that cannot be found out. */
static int of_this_machine(const struct address *a)
{
  struct address loopback;
  struct ifaddrs *all;
  struct ifaddrs *one;
  int found = 0;

  if (address_parse(&loopback, "127.0.0.0") && address_inside(a, &loopback, 8))
    return 1;
  if (getifaddrs(&all) == -1)
    return 1;
  for (one = all; one && !found; one = one->ifa_next)
    found = interface_has(one->ifa_addr, a);
  freeifaddrs(all);
  return found;
}

const char *tcppeer_objection(const struct tcptable_end *here, const struct tcptable_end *there, uid_t user)
{
  const int local = address_equal(&here->address, &there->address) || of_this_machine(&there->address);
  struct tcptable_seen seen;
  int i;

  memset(&seen, 0, sizeof seen);
  for (i = 0; i < TRIES && (!seen.listens || (local && !seen.other_end)); ++i) {
    if (!search(&seen, "/proc/net/tcp", here, there, user))
      return "/proc/net/tcp cannot be read";
    /* A kernel without IPv6 has no such table. */
    if (!search(&seen, "/proc/net/tcp6", here, there, user) && (errno != ENOENT || here->address.bits != 32))
      return "/proc/net/tcp6 cannot be read";
  }
  return tcptable_objection(&seen, local);
}
