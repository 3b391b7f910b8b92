/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "tcptable.h"

/* Each 32 bits of an address are written as one number of this machine. */
static int read_address(struct address *a, const char *text)
{
  size_t len = strlen(text);
  uint32_t words[4] = {0, 0, 0, 0};
  char shown[INET6_ADDRSTRLEN];
  size_t i;

  if (len != 8 && len != 32)
    return 0;
  for (i = 0; i < len / 8; ++i) {
    unsigned one;

    if (sscanf(text + 8 * i, "%8X", &one) != 1)
      return 0;
    words[i] = one;
  }
  return inet_ntop(len == 8 ? AF_INET : AF_INET6, words, shown, sizeof shown) != 0 && address_parse(a, shown);
}

int tcptable_line(struct tcptable_entry *entry, const char *line)
{
  char here[33];
  char there[33];

  return sscanf(line, " %*u: %32[0-9A-F]:%4X %32[0-9A-F]:%4X %2X %*8X:%*8X %*2X:%*8X %*8X %lu %*d %lu", here,
                &entry->here.port, there, &entry->there.port, &entry->state, &entry->uid, &entry->inode) == 7
         && read_address(&entry->here.address, here) && read_address(&entry->there.address, there);
}

static int same_end(const struct tcptable_end *one, const struct tcptable_end *other)
{
  return one->port == other->port && address_equal(&one->address, &other->address);
}

void tcptable_see(struct tcptable_seen *seen, const char *line, const struct tcptable_end *here,
                  const struct tcptable_end *there, unsigned long user)
{
  struct tcptable_entry entry;

  if (!tcptable_line(&entry, line))
    return;
  if (entry.state == TCPTABLE_LISTENS) {
    seen->listens |= entry.here.port == here->port;
  } else if (same_end(&entry.here, there) && same_end(&entry.there, here)) {
    seen->other_end = 1;
    seen->of_user |= entry.inode == 0 || entry.uid == user;
  }
}

const char *tcptable_objection(const struct tcptable_seen *seen, int local)
{
  if (!seen->listens)
    return "nobody listens at the port that it came to";
  if (seen->of_user || (local && !seen->other_end))
    return "it is a connection of smtpfront's own";
  return 0;
}
