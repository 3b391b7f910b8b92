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
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "dnsmessage.h"
#include "dnsstream.h"
#include "fuzz.h"

static int played_socket(int family, int kind, int protocol);
static int played_connect(int fd, const struct sockaddr *to, socklen_t len);
static ssize_t played_send(int fd, const void *data, size_t n, int flags);
static ssize_t played_recv(int fd, void *data, size_t n, int flags);
static int played_close(int fd);
static ssize_t played_random(void *out, size_t n, unsigned flags);

#define watch_set played_watch_set
#include "watch.h"
#define socket played_socket
#define connect played_connect
#define send played_send
#define recv played_recv
#define close played_close
#define getrandom played_random
#include "resolver.c"
#undef socket
#undef connect
#undef send
#undef recv
#undef close
#undef getrandom

const char *const fuzz_words[] = {
  "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "\x07", "\x08", "\x09", "\xc0\x0c", "\xff\xff", "\x83\x80",
  "\x81\x80",
  "\x01\x02\x03", "\x02\x02\x02\x02", "\x20", 0,
};

#define FIRST_FD 1000
#define OPEN_MAX_PLAYED 256
#define ASKERS 6
#define EACH_MOST 60

static const uint8_t *script;
static size_t script_len;
static long now_ms;
static struct resolver r;
static struct asker {
  int open[EACH_MOST];   /* asked and not ended, by which */
  long end_ms[EACH_MOST];
} asker[ASKERS];
static struct {
  int open;
  int tcp;
  unsigned char honest[2 + DNSMESSAGE_QUERY_MAX + 64];   /* TCP: what is still to come of an answer */
  size_t honest_len;
  size_t honest_at;
} fds[OPEN_MAX_PLAYED];

static unsigned next(void)
{
  if (!script_len)
    return 0;
  --script_len;
  return *script++;
}

static size_t raw(unsigned char *out, size_t most)
{
  size_t n = next();

  if (n > most)
    n = most;
  if (n > script_len)
    n = script_len;
  memcpy(out, script, n);
  script += n;
  script_len -= n;
  return n;
}

static int number_of(int fd)
{
  HOLD(fd >= FIRST_FD && fd < FIRST_FD + OPEN_MAX_PLAYED && fds[fd - FIRST_FD].open);
  return fd - FIRST_FD;
}

static int played_socket(int family, int kind, int protocol)
{
  int i;

  HOLD(family == AF_INET || family == AF_INET6);
  HOLD(kind & SOCK_CLOEXEC && kind & SOCK_NONBLOCK && protocol == 0);
  if (next() % 16 == 15) {
    errno = EMFILE;
    return -1;
  }
  for (i = 0; i < OPEN_MAX_PLAYED; ++i)
    if (!fds[i].open) {
      memset(&fds[i], 0, sizeof fds[i]);
      fds[i].open = 1;
      fds[i].tcp = (kind & 0xf) == SOCK_STREAM;
      return FIRST_FD + i;
    }
  HOLD(!"descriptors are few");
  return -1;
}

static int played_connect(int fd, const struct sockaddr *to, socklen_t len)
{
  HOLD(to->sa_family == AF_INET ? len == sizeof(struct sockaddr_in) : len == sizeof(struct sockaddr_in6));
  if (!fds[number_of(fd)].tcp)
    return 0;
  errno = next() % 4 == 3 ? ECONNREFUSED : EINPROGRESS;
  return -1;
}

/* An answer to one of the questions: whole, cut, of another kind. Returns its length. */
static size_t answer_of(unsigned char *out, size_t room)
{
  static const unsigned char record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 2};
  const struct resolver_question *one = r.question;
  unsigned skipped = next() % 4;
  unsigned how = next();
  size_t len;

  while (one + 1 < r.question + RESOLVER_MOST && (!one->used || skipped--))
    ++one;
  len = one->query_len;
  HOLD(room >= DNSMESSAGE_QUERY_MAX + sizeof record + 8);
  if (!len)
    return raw(out, room);
  memcpy(out, one->query, len);
  out[2] = how & 1 ? 0x83 : 0x81;
  out[3] = how & 2 ? 0x82 : how & 4 ? 0x83 : 0x80;
  if (how & 8) {
    out[7] = 1;
    memcpy(out + len, record, sizeof record);
    len += sizeof record;
  }
  if (how & 16)
    out[7] = (unsigned char) next();
  if (how & 32)
    out[next() % len] = (unsigned char) next();
  if (how & 64)
    len -= next() % len;
  return len;
}

static ssize_t played_send(int fd, const void *data, size_t n, int flags)
{
  int i = number_of(fd);
  unsigned char *honest = fds[i].honest;
  size_t len;

  (void) data;
  HOLD(flags & MSG_NOSIGNAL && n > 0 && n <= 2 + DNSMESSAGE_QUERY_MAX);
  if (!fds[i].tcp) {
    if (next() % 8 == 7) {
      errno = ECONNREFUSED;
      return -1;
    }
    return (ssize_t) n;
  }
  switch (next() % 4) {
    case 1: errno = EAGAIN; return -1;
    case 2: errno = ECONNREFUSED; return -1;
    case 3: n = 1 + next() % n; break;
    default: break;
  }
  if (!fds[i].honest_len) {
    len = answer_of(honest + 2, sizeof fds[i].honest - 2);
    honest[0] = (unsigned char) (len >> 8);
    honest[1] = (unsigned char) len;
    fds[i].honest_len = 2 + len;
  }
  return (ssize_t) n;
}

static ssize_t played_recv(int fd, void *data, size_t n, int flags)
{
  int i = number_of(fd);
  unsigned char packet[DNSMESSAGE_QUERY_MAX + 600];
  size_t len;

  HOLD(n >= sizeof packet);
  switch (next() % 6) {
    case 1:
      errno = ECONNREFUSED;
      return -1;
    case 2:
      return (ssize_t) raw(data, n);
    case 3:
      if (fds[i].tcp)
        return 0;
      HOLD(flags & MSG_TRUNC);
      len = answer_of(packet, sizeof packet);
      memset(data, 0, n);
      memcpy(data, packet, len);
      return (ssize_t) (n + next());   /* it was longer */
    case 4:
    case 5:
      if (!fds[i].tcp) {
        len = answer_of(packet, sizeof packet);
        memcpy(data, packet, len);
        return (ssize_t) len;
      }
      len = fds[i].honest_len - fds[i].honest_at;
      if (len > 1 + next())
        len = 1 + script_len % len;
      memcpy(data, fds[i].honest + fds[i].honest_at, len);
      fds[i].honest_at += len;
      return (ssize_t) len;
    default:
      errno = EAGAIN;
      return -1;
  }
}

static int played_close(int fd)
{
  fds[number_of(fd)].open = 0;
  return 0;
}

static ssize_t played_random(void *out, size_t n, unsigned flags)
{
  (void) flags;
  if (next() % 16 == 15)
    return -1;
  memset(out, (int) next(), n);
  return (ssize_t) n;
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
  for (i = 0; i < OPEN_MAX_PLAYED; ++i)
    HOLD(!fds[i].open);
  return 0;
}
