/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _DEFAULT_SOURCE 1
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "refusal.h"
#include "tcporigin.h"
#include "unshared.h"

#define TRIES 1000   /* until nothing comes in or is acknowledged between two looks */
#define ESTABLISHED 1
#define CLOSED 7
#define CLOSE_WAIT 8   /* the client has said that it will say no more, which the kernel counts as a byte */

static struct {
  int demanded;
  uint64_t got;
  uint64_t wrote;
} session;

enum taking_part { ALONE, NOBODY, SHARED };

struct count {
  int state;
  uint64_t came;    /* bytes in order, read or not */
  uint64_t acked;
};

void unshared_begin(void)
{
  memset(&session, 0, sizeof session);
  session.demanded = getenv("TCPACCEPTED") != 0;
  unsetenv("TCPACCEPTED");
}

void unshared_wrote(int n)
{
  session.wrote += (uint64_t) n;
}

static int look(struct count *c)
{
  struct tcp_info info;
  socklen_t len = sizeof info;

  if (getsockopt(0, IPPROTO_TCP, TCP_INFO, &info, &len) == -1
      || len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
    return 0;
  c->state = info.tcpi_state;
  c->came = info.tcpi_bytes_received;
  c->acked = info.tcpi_bytes_acked;
  return 1;
}

/* The queues belong to counts that are the same before and after. A connection that was broken off has none. */
static enum taking_part find_out(void)
{
  struct count before;
  struct count after;
  int unread;
  int unacked;
  int i;

  for (i = 0; i < TRIES; ++i) {
    if (!look(&before) || ioctl(0, FIONREAD, &unread) == -1 || ioctl(0, TIOCOUTQ, &unacked) == -1 || !look(&after))
      return SHARED;
    if (after.state == CLOSED)
      return NOBODY;
    if (before.state == after.state && before.came == after.came && before.acked == after.acked)
      return (after.state == ESTABLISHED || after.state == CLOSE_WAIT)
             && session.got + (uint64_t) unread + (after.state == CLOSE_WAIT) == after.came
             && session.wrote == after.acked + (uint64_t) unacked ? ALONE : SHARED;
  }
  return SHARED;
}

static void say(void)
{
  const char *ip = getenv("TCPREMOTEIP");

  refusal_shared(ip ? ip : "");
}

int unshared_read(int n)
{
  enum taking_part who = ALONE;

  session.got += (uint64_t) n;
  if (session.demanded)
    who = find_out();
  if (session.demanded && !tcporigin_kept(0))
    who = SHARED;
  if (who == SHARED)
    say();
  return who == ALONE ? n : 0;
}

int unshared_secured(void)
{
  const int still = !session.demanded || tcporigin_kept(0);

  session.demanded = 0;
  if (!still)
    say();
  return still;
}
