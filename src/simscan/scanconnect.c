/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "clock.h"
#include "descriptor.h"
#include "scanconnect.h"

#define CHUNK_HEAD 4

struct asking {
  const struct scanconnect *ask;
  int fd;
  int sending;               /* the question is not yet sent, and the daemon reads it */
  struct scanfeed_reader reader;
  unsigned char head[CHUNK_HEAD]; /* of a chunk */
  size_t head_left;          /* how much of it is not yet sent */
  int last_chunk;            /* the empty one is being sent */
  long long looked;          /* when the watch was called last */
};

static int end(struct scanconnect_result *result, enum scanconnect_end how, int code)
{
  result->end = how;
  result->code = code;
  return -1;
}

/* Connects. A daemon whose queue is full is waited for, until the deadline. */
static int connect_to(struct asking *a, long long deadline, struct scanconnect_result *result)
{
  struct sockaddr_un address;
  struct timeval patience;
  long long left = deadline - clock_ms();

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(a->ask->socket) >= sizeof address.sun_path) return end(result, SCANCONNECT_NONE, ENAMETOOLONG);
  strcpy(address.sun_path, a->ask->socket);
  if (left <= 0) return end(result, SCANCONNECT_LATE, 0);
  a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (a->fd == -1) return end(result, SCANCONNECT_TROUBLE, errno);
  patience.tv_sec = (time_t) (left / 1000);
  patience.tv_usec = (suseconds_t) (left % 1000 * 1000);
  if (setsockopt(a->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == -1)
    return end(result, SCANCONNECT_TROUBLE, errno);
  while (connect(a->fd, (struct sockaddr *) &address, sizeof address) == -1) {
    if (errno == EINTR && clock_ms() < deadline) continue;
    return errno == EAGAIN || errno == EINTR ? end(result, SCANCONNECT_LATE, 0) : end(result, SCANCONNECT_NONE, errno);
  }
  if (fcntl(a->fd, F_SETFL, O_NONBLOCK) == -1) return end(result, SCANCONNECT_TROUBLE, errno);
  return 0;
}

static void sent(struct asking *a, struct scanconnect_result *result)
{
  a->sending = 0;
  result->fed = 1;
  if (a->ask->how == SCANCONNECT_WHOLE) shutdown(a->fd, SHUT_WR);
}

/* Puts the next chunk, or the empty one behind the last, in front of what is sent. */
static void begin_chunk(struct asking *a, size_t length)
{
  size_t i;

  for (i = 0; i < CHUNK_HEAD; ++i) a->head[i] = (unsigned char) (length >> (8 * (CHUNK_HEAD - 1 - i)) & 255);
  a->head_left = CHUNK_HEAD;
}

/* Finds what is to be sent next; 1 when there is something, 0 at the end, -1 when the question's file fails. */
static int prepare(struct asking *a)
{
  int chunks = a->ask->how == SCANCONNECT_CHUNKS;
  int fresh = a->reader.begin == a->reader.end;
  int got;

  if (a->head_left > 0) return 1;
  if (a->last_chunk) return 0;
  /* the bytes of the feed are the command: only what comes behind them is chunks */
  chunks = chunks && a->reader.bytes == a->ask->question->count;
  got = scanfeed_fill(&a->reader);
  if (got == 1 && fresh && chunks) begin_chunk(a, a->reader.end);
  if (got == 0 && chunks) {
    begin_chunk(a, 0);
    a->last_chunk = 1;
    return 1;
  }
  return got;
}

/* Finds what to send next, and notices the end of the question; -1 when its source fails. */
static int proceed(struct asking *a, struct scanconnect_result *result)
{
  switch (prepare(a)) {
    case -1: return end(result, errno == EBADMSG ? SCANCONNECT_CHANGED : SCANCONNECT_TROUBLE, errno);
    case 0: sent(a, result);
  }
  return 0;
}

/* Sends as much as the daemon takes now. Returns -1 when the source fails. A daemon that takes no more may have said why. */
static int send_some(struct asking *a, struct scanconnect_result *result)
{
  ssize_t w;

  if (a->head_left > 0) {
    w = send(a->fd, a->head + CHUNK_HEAD - a->head_left, a->head_left, MSG_NOSIGNAL);
    if (w >= 0) a->head_left -= (size_t) w;
  } else {
    w = send(a->fd, a->reader.block + a->reader.begin, a->reader.end - a->reader.begin, MSG_NOSIGNAL);
    if (w >= 0) a->reader.begin += (size_t) w;
  }
  if (w == -1 && errno != EINTR && errno != EAGAIN) a->sending = 0;
  /* at once: a quick answer must not seem to come before the end of the question */
  return a->sending ? proceed(a, result) : 0;
}

static int begin(struct asking *a, struct scanconnect_result *result)
{
  const struct scanfeed *question = a->ask->question;

  if (a->ask->how != SCANCONNECT_DESCRIPTOR) {
    scanfeed_begin(&a->reader, question);
    a->sending = 1;
    return proceed(a, result);
  }
  if (!descriptor_send(a->fd, question->bytes, question->count, a->ask->descriptor))
    return end(result, SCANCONNECT_BROKEN, errno);
  result->fed = 1;
  return 0;
}

/* Reads what is there; -1 when the conversation is over. */
static int hear(struct asking *a, struct scanconnect_result *result)
{
  char said[16384];
  ssize_t got = recv(a->fd, said, sizeof said, 0);

  if (got == -1 && (errno == EINTR || errno == EAGAIN)) return 0;
  if (got == -1 && errno != ECONNRESET) return end(result, SCANCONNECT_BROKEN, errno);
  if (got <= 0) /* one that has closed without reading everything may have answered before */
    return end(result, SCANCONNECT_ANSWERED, 0);
  switch (a->ask->answer->take(a->ask->answer->context, said, (size_t) got)) {
    case -1: return end(result, SCANCONNECT_STOPPED, errno);
    case 0: return 0;
  }
  return end(result, SCANCONNECT_ANSWERED, 0);
}

static int watched(struct asking *a, int last, struct scanconnect_result *result)
{
  long long now = clock_ms();

  if (!a->ask->watch || (!last && now < a->looked + SCANCHILD_WATCH_MS)) return 0;
  a->looked = now;
  if (a->ask->watch->look(a->ask->watch->context) == -1) return end(result, SCANCONNECT_STOPPED, errno);
  return 0;
}

static void converse(struct asking *a, long long deadline, struct scanconnect_result *result)
{
  struct pollfd ready;
  long long left;

  for (;;) {
    if (watched(a, 0, result) == -1) return;
    left = deadline - clock_ms();
    if (left <= 0) {
      end(result, SCANCONNECT_LATE, 0);
      return;
    }
    if (a->ask->watch && left > SCANCHILD_WATCH_MS) left = SCANCHILD_WATCH_MS;
    ready.fd = a->fd;
    ready.events = (short) (POLLIN | (a->sending ? POLLOUT : 0));
    ready.revents = 0;
    if (poll(&ready, 1, (int) left) <= 0) continue;
    if ((ready.revents & ~POLLOUT) != 0 && hear(a, result) == -1) break;
    if (a->sending && (ready.revents & POLLOUT) != 0 && send_some(a, result) == -1) return;
  }
  if (result->end == SCANCONNECT_ANSWERED) watched(a, 1, result);
}

void scanconnect_run(const struct scanconnect *ask, long long deadline, struct scanconnect_result *result)
{
  static struct asking a;

  a.ask = ask;
  a.fd = -1;
  a.sending = a.last_chunk = 0;
  a.head_left = 0;
  a.looked = 0;
  result->end = SCANCONNECT_TROUBLE;
  result->code = 0;
  result->fed = 0;
  if (connect_to(&a, deadline, result) == 0 && begin(&a, result) == 0) converse(&a, deadline, result);
  if (a.fd != -1) close(a.fd);
}

const char *scanconnect_words(const char *name, const struct scanconnect_result *result, char *text, size_t size)
{
  switch (result->end) {
    case SCANCONNECT_ANSWERED: snprintf(text, size, "%s has answered", name); break;
    case SCANCONNECT_NONE: snprintf(text, size, "%s: no connection: %s", name, strerror(result->code)); break;
    case SCANCONNECT_LATE: snprintf(text, size, "%s did not answer in time", name); break;
    case SCANCONNECT_BROKEN: snprintf(text, size, "%s: the connection failed: %s", name, strerror(result->code)); break;
    case SCANCONNECT_TROUBLE: snprintf(text, size, "%s cannot be asked: %s", name, strerror(result->code)); break;
    case SCANCONNECT_STOPPED:
      snprintf(text, size, "%s: %s", name, result->code == EMSGSIZE ? "its answer is too long" : strerror(result->code));
      break;
    case SCANCONNECT_CHANGED:
      snprintf(text, size, "%s: the message in the work directory is not what was written there", name);
      break;
  }
  return text;
}
