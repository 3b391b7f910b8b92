/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever one to three resolvers send, by UDP and by TCP, in whatever pieces and at whatever time: each question is
 * answered by a whole answer to it, or in trouble with a reason, or left when enough is known; within the time, and no
 * descriptor is left open. Sockets and the clock are played here, as the input says.
 * fuzz-flags: -DDNSASK_RESOLV_CONF="resolv.conf"
 */
#define PLAYED_MOST 64
#define PLAYED_FAILS(kind) (((kind) & 0xf) != SOCK_DGRAM)
#include "played_resolvers.h"
#include <poll.h>
#include "clock.h"

static int played_poll(struct pollfd *wanted, nfds_t n, int milliseconds);
static long long played_clock(void);

#define poll(wanted, n, milliseconds) played_poll(wanted, n, milliseconds)
#define clock_ms played_clock
#include "dnsask.c"
#undef poll

#define ASKS 4

static long now_ms;
static long end_ms;
static struct dnsask ask[ASKS];
static int asks;
static int polls;

static const unsigned char *a_question(size_t *len)
{
  const struct dnsask *one = &ask[next() % (unsigned) asks];

  *len = one->query_len;
  return one->query;
}

static int played_poll(struct pollfd *wanted, nfds_t n, int milliseconds)
{
  nfds_t i;
  int ready = 0;
  unsigned which = next();

  HOLD(milliseconds >= 0 && now_ms + milliseconds <= end_ms);
  HOLD(++polls < 20000);
  for (i = 0; i < n; ++i) {
    wanted[i].revents = 0;
    if (wanted[i].fd == -1)
      continue;
    number_of(wanted[i].fd);
    HOLD(wanted[i].events == POLLIN || wanted[i].events == POLLOUT);
    if (which >> (i % 8) & 1) {
      wanted[i].revents = next() % 8 == 7 ? POLLERR | POLLHUP : wanted[i].events;
      ++ready;
    }
  }
  now_ms += ready ? 1 + (long) next() % 50 : milliseconds;
  return ready;
}

static long long played_clock(void)
{
  return now_ms;
}

static int enough(int number, void *arg)
{
  int *wanted = arg;

  HOLD(ask[number].state == DNSASK_ANSWERED);
  return *wanted && ask[number].answer_len % 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const conf[] = {
    "nameserver 192.0.2.1\n", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n",
    "search x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", "",
  };
  static const char *const names[] = {"a.test", "a.test", "b.test", "..", "c.test"};
  static unsigned written = 99;
  FILE *f;
  int wanted;
  int stopped = 0;
  int i;

  if (size < 4)
    return 0;
  if (written != data[0] % 4u) {
    written = data[0] % 4u;
    f = fopen("resolv.conf", "we");
    HOLD(f && fputs(conf[written], f) >= 0 && fclose(f) == 0);
  }
  memset(fds, 0, sizeof fds);
  asks = 1 + data[1] % ASKS;
  wanted = data[2] & 1;
  script = data + 4;
  script_len = size - 4;
  now_ms = 1000000;
  end_ms = now_ms + 100 + 20 * data[3];
  polls = 0;
  for (i = 0; i < asks; ++i)
    dnsask_question(&ask[i], names[(i + data[2] / 2) % 5], i % 2 ? DNSMESSAGE_PTR : DNSMESSAGE_A);
  dnsask_all(ask, asks, end_ms - now_ms, enough, &wanted);
  for (i = 0; i < asks; ++i)
    stopped |= ask[i].state == DNSASK_ANSWERED && enough(i, &wanted);
  for (i = 0; i < asks; ++i) {
    HOLD(ask[i].connection == -1 && ask[i].stream.message == 0);
    HOLD(ask[i].state != DNSASK_WAITING || stopped);
    if (ask[i].state == DNSASK_TROUBLE)
      HOLD(ask[i].trouble && ask[i].answer == 0);
    if (ask[i].state == DNSASK_ANSWERED)
      HOLD(dnsmessage_check(ask[i].answer, ask[i].answer_len, ask[i].query, ask[i].query_len) == DNSMESSAGE_ANSWER);
    free(ask[i].answer);
  }
  played_is_over();
  HOLD(now_ms < end_ms + 60);
  return 0;
}
