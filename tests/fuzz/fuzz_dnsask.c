/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever one to three resolvers send, by UDP and by TCP, in whatever pieces and at whatever time: each question is
 * answered by a whole answer to it, or in trouble with a reason, or left when enough is known; within the time, and no
 * descriptor is left open. Sockets and the clock are played here, as the input says.
 * fuzz-flags: -DDNSASK_RESOLV_CONF="resolv.conf"
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "dnsmessage.h"
#include "dnsstream.h"
#include "fuzz.h"

static int played_socket(int family, int kind, int protocol);
static int played_connect(int fd, const struct sockaddr *to, socklen_t len);
static ssize_t played_send(int fd, const void *data, size_t n, int flags);
static ssize_t played_recv(int fd, void *data, size_t n, int flags);
static int played_poll(struct pollfd *fds, nfds_t n, int milliseconds);
static int played_close(int fd);
static long long played_clock(void);
static ssize_t played_random(void *out, size_t n, unsigned flags);

#define socket played_socket
#define connect played_connect
#define send played_send
#define recv played_recv
#define poll(fds, n, milliseconds) played_poll(fds, n, milliseconds)
#define close played_close
#define clock_ms played_clock
#define getrandom played_random
#include "dnsask.c"
#undef socket
#undef connect
#undef send
#undef recv
#undef poll
#undef close
#undef clock_ms

const char *const fuzz_words[] = {
  "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "\x07", "\x08", "\x09", "\xc0\x0c", "\xff\xff", "\x83\x80", "\x81\x80",
  "\x01\x02\x03", "\x02\x02\x02\x02", "\x20", 0,
};

#define FIRST_FD 1000
#define OPEN_MAX_PLAYED 64
#define ASKS 4

static const uint8_t *script;
static size_t script_len;
static long now_ms;
static long end_ms;
static struct dnsask ask[ASKS];
static int asks;
static int polls;
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
  if (kind & 0xf & ~SOCK_DGRAM && next() % 16 == 15) {
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
  const struct dnsask *one = &ask[next() % (unsigned) asks];
  static const unsigned char record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 2};
  size_t len = one->query_len;
  unsigned how = next();

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
      len = raw(data, n);
      return (ssize_t) (len || fds[i].tcp ? len : 0);
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

static int played_close(int fd)
{
  fds[number_of(fd)].open = 0;
  return 0;
}

static long long played_clock(void)
{
  return now_ms;
}

static ssize_t played_random(void *out, size_t n, unsigned flags)
{
  (void) flags;
  if (next() % 16 == 15)
    return -1;
  memset(out, (int) next(), n);
  return (ssize_t) n;
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
  for (i = 0; i < OPEN_MAX_PLAYED; ++i)
    HOLD(!fds[i].open);
  HOLD(now_ms < end_ms + 60);
  return 0;
}
