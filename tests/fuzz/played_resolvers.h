/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The world of a C file that asks resolvers, as the input of a fuzzer says: sockets of UDP and TCP, what comes from
 * them, and randomness. It is included before that C file, whose calls of the system become those here. The target
 * defines before it PLAYED_MOST, the descriptors at once, and PLAYED_FAILS(kind), whether socket() may fail for that kind;
 * and behind it a_question().
 */
#ifndef PLAYED_RESOLVERS_H
#define PLAYED_RESOLVERS_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "dnsmessage.h"
#include "fuzz.h"

/* One of the questions that were put; its length is 0 when there is none. */
static const unsigned char *a_question(size_t *len);

const char *const fuzz_words[] = {
  "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "\x07", "\x08", "\x09", "\xc0\x0c", "\xff\xff", "\x83\x80",
  "\x81\x80", "\x01\x02\x03", "\x02\x02\x02\x02", "\x20", 0,
};

#define FIRST_FD 1000

static const uint8_t *script;
static size_t script_len;
static struct {
  int open;
  int tcp;
  unsigned char honest[2 + DNSMESSAGE_QUERY_MAX + 64];   /* TCP: what is still to come of an answer */
  size_t honest_len;
  size_t honest_at;
} fds[PLAYED_MOST];

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
  HOLD(fd >= FIRST_FD && fd < FIRST_FD + PLAYED_MOST && fds[fd - FIRST_FD].open);
  return fd - FIRST_FD;
}

static int played_socket(int family, int kind, int protocol)
{
  int i;

  HOLD(family == AF_INET || family == AF_INET6);
  HOLD(kind & SOCK_CLOEXEC && kind & SOCK_NONBLOCK && protocol == 0);
  if (PLAYED_FAILS(kind) && next() % 16 == 15) {
    errno = EMFILE;
    return -1;
  }
  for (i = 0; i < PLAYED_MOST; ++i)
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
  size_t len;
  const unsigned char *question = a_question(&len);
  unsigned how = next();

  HOLD(room >= DNSMESSAGE_QUERY_MAX + sizeof record + 8);
  if (!len)
    return raw(out, room);
  memcpy(out, question, len);
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

/* Every descriptor is closed. */
static inline void played_is_over(void)
{
  int i;

  for (i = 0; i < PLAYED_MOST; ++i)
    HOLD(!fds[i].open);
}

#define socket played_socket
#define connect played_connect
#define send played_send
#define recv played_recv
#define close played_close
#define getrandom played_random

#endif
