/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever one to three resolvers send to smtpfront, by UDP and TCP, in whatever pieces and at whatever time, while
 * questions come, are forgotten and are asked again: each ends once, by a whole answer to it or in trouble with a
 * reason, in time, unless it is forgotten; no more than RESOLVER_MOST are outstanding, and no descriptor is left open.
 * Sockets are played here, as the input says.
 * fuzz-flags: -DRESOLVER_CONF="resolv.conf"
 */
#define PLAYED_MOST 256
#define PLAYED_FAILS(kind) 1
#include "played_resolvers.h"
#include <sys/epoll.h>

#define watch_set played_watch_set
#include "resolver.c"

#define ASKERS 6
#define EACH_MOST 60

static long now_ms;
static struct resolver r;
static struct asker {
  int open[EACH_MOST];   /* asked and not ended, by which */
  long end_ms[EACH_MOST];
} asker[ASKERS];

static const unsigned char *a_question(size_t *len)
{
  const struct resolver_question *one = r.question;
  unsigned skipped = next() % 4;

  while (one + 1 < r.question + RESOLVER_MOST && (!one->used || skipped--))
    ++one;
  *len = one->query_len;
  return one->query;
}

int played_watch_set(int epoll, struct watch *watch, uint32_t events)
{
  HOLD(epoll == 7);
  number_of(watch->fd);
  if (events && next() % 32 == 31)
    return 0;
  watch->events = events;
  return 1;
}

static void ended(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble);

static void ask_one(struct asker *a)
{
  static const char *const names[] = {"a.test", "a.test", "b.test", "..", "c.test", ""};
  int before = r.outstanding;
  long end_ms = now_ms + 20L * next();
  int which;

  for (which = 0; which < EACH_MOST && a->open[which]; ++which)
    ;
  if (which == EACH_MOST)
    return;
  a->open[which] = 1;
  a->end_ms[which] = end_ms;
  if (!resolver_ask(&r, names[next() % 6], next() % 2 ? DNSMESSAGE_PTR : DNSMESSAGE_A, now_ms, end_ms, ended, a, which))
    a->open[which] = 0;
  HOLD(r.outstanding == before + a->open[which] && r.outstanding <= RESOLVER_MOST);
}

static void ended(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble)
{
  struct asker *a = arg;
  const struct resolver_question *q = r.question;

  HOLD(a >= asker && a < asker + ASKERS && which >= 0 && which < EACH_MOST && a->open[which]);
  a->open[which] = 0;
  HOLD(!answer == (trouble != 0));
  if (answer) {
    static volatile unsigned char last;

    last = answer[len - 1];
    while (q < r.question + RESOLVER_MOST
           && (q->used || q->arg != arg || q->which != which
               || dnsmessage_check(answer, len, q->query, q->query_len) != DNSMESSAGE_ANSWER))
      ++q;
    HOLD(q < r.question + RESOLVER_MOST);
    (void) last;
  }
  if (next() % 4 == 3)
    ask_one(a);
}

static int open_questions(void)
{
  int n = 0;
  int i;
  int j;

  for (i = 0; i < ASKERS; ++i)
    for (j = 0; j < EACH_MOST; ++j)
      n += asker[i].open[j];
  return n;
}

static void tell(int number)
{
  int i;

  for (i = 0; i < RESOLVER_MOST; ++i) {
    struct watch *watch = &r.question[(number + i) % RESOLVER_MOST].watch;

    if (watch->fd != -1 && watch->events) {
      watch->ready(watch, watch->events);
      return;
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const conf[] = {
    "nameserver 192.0.2.1\n", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n",
    "search x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", "",
  };
  static unsigned written = 99;
  FILE *f;
  long due;
  int i;

  if (size < 2)
    return 0;
  if (written != data[0] % 4u) {
    written = data[0] % 4u;
    f = fopen("resolv.conf", "we");
    HOLD(f && fputs(conf[written], f) >= 0 && fclose(f) == 0);
  }
  memset(fds, 0, sizeof fds);
  memset(asker, 0, sizeof asker);
  script = data + 1;
  script_len = size - 1;
  now_ms = 1000000;
  resolver_begin(&r, 7);
  while (script_len) {
    struct asker *a = &asker[next() % ASKERS];

    switch (next() % 6) {
      case 0: ask_one(a); break;
      case 1:
        resolver_forget(&r, a);
        memset(a->open, 0, sizeof a->open);
        break;
      case 2:
        now_ms += 10L * next();
        due = resolver_time(&r, now_ms);
        HOLD(r.outstanding ? due != -1 : due == -1);
        break;
      default: tell((int) next() % RESOLVER_MOST); break;
    }
    HOLD(r.outstanding == open_questions());
  }
  for (i = 0; i < 10 && r.outstanding; ++i) {   /* who asks again at the end has no time */
    now_ms += 10000;
    resolver_time(&r, now_ms);
  }
  HOLD(!r.outstanding && !open_questions());
  for (i = 0; i < RESOLVER_MOST; ++i)
    HOLD(r.question[i].watch.fd == -1);
  played_is_over();
  return 0;
}
