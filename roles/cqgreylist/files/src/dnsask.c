/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "dnsask.h"
#include "dnsmessage.h"

#ifndef DNSASK_PORT
#define DNSASK_PORT 53
#endif
#ifndef DNSASK_RESOLV_CONF
#define DNSASK_RESOLV_CONF "/etc/resolv.conf"
#endif

#define AGAIN_MS 1000
#define RESOLV_CONF_LINES 200
#define PACKETS_MAX 64   /* of one server, before the time is looked at */

struct servers {
  struct pollfd socket[DNSASK_SERVERS_MAX];
  int n;
};

long dnsask_now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void dnsask_question(struct dnsask *ask, const char *name, int type)
{
  unsigned char id[2] = {0, 0};

  memset(ask, 0, sizeof *ask);
  ask->server = -1;
  if (getrandom(id, sizeof id, GRND_NONBLOCK) != (ssize_t) sizeof id)
    id[0] = (unsigned char) getpid();
  ask->query_len = dnsmessage_query(ask->query, name, type, (unsigned) id[0] << 8 | id[1]);
  if (!ask->query_len) {
    ask->state = DNSASK_TROUBLE;
    ask->trouble = "no name";
  }
}

/* A socket that hears that server only; the kernel chooses its port at random. */
static void add_server(struct servers *servers, const char *text)
{
  struct sockaddr_in6 six;
  struct sockaddr_in four;
  const struct sockaddr *to = (const struct sockaddr *) &four;
  socklen_t size = sizeof four;
  int fd;

  if (servers->n == DNSASK_SERVERS_MAX)
    return;
  memset(&four, 0, sizeof four);
  memset(&six, 0, sizeof six);
  four.sin_family = AF_INET;
  four.sin_port = htons(DNSASK_PORT);
  if (inet_pton(AF_INET, text, &four.sin_addr) != 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(DNSASK_PORT);
    if (inet_pton(AF_INET6, text, &six.sin6_addr) != 1)
      return;
    to = (const struct sockaddr *) &six;
    size = sizeof six;
  }
  fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1)
    return;
  if (connect(fd, to, size) == -1) {
    close(fd);
    return;
  }
  servers->socket[servers->n].fd = fd;
  servers->socket[servers->n].events = POLLIN;
  ++servers->n;
}

static void find_servers(struct servers *servers)
{
  const char *own = getenv("DNSCACHEIP");
  char line[256];
  char word[64];
  int lines = 0;
  FILE *f;

  servers->n = 0;
  if (own && *own) {
    add_server(servers, own);
    return;
  }
  f = fopen(DNSASK_RESOLV_CONF, "re");
  if (f) {
    while (lines++ < RESOLV_CONF_LINES && fgets(line, sizeof line, f))
      if (sscanf(line, "nameserver %63s", word) == 1)
        add_server(servers, word);
    fclose(f);
  }
  if (!servers->n)
    add_server(servers, "127.0.0.1");
}

/* Puts a question to the next server that has not failed yet. What the kernel says here is of an earlier datagram. */
static void put(struct servers *servers, struct dnsask *ask, long now)
{
  int rounds;

  do
    ask->server = (ask->server + 1) % servers->n;
  while (ask->failed & (1u << ask->server));
  for (rounds = 0; rounds < 2; ++rounds)
    if (send(servers->socket[ask->server].fd, ask->query, ask->query_len, MSG_NOSIGNAL) >= 0)
      break;
  ask->next_ms = now + AGAIN_MS;
}

/* That server cannot: another one is asked at once, and when no other is left it is trouble. */
static void failed(struct servers *servers, int number, struct dnsask *ask, const char *why, long now)
{
  ask->failed |= 1u << number;
  if (ask->failed == (1u << servers->n) - 1) {
    ask->state = DNSASK_TROUBLE;
    ask->trouble = why;
  } else if (ask->server == number) {
    put(servers, ask, now);
  }
}

static void take(struct servers *servers, int number, struct dnsask *asks, int n, long now)
{
  unsigned char packet[DNSMESSAGE_ANSWER_MAX];
  ssize_t len = -1;
  int packets = 0;
  int i;
  enum dnsmessage what;

  while (packets++ < PACKETS_MAX && (len = recv(servers->socket[number].fd, packet, sizeof packet, 0)) >= 0)
    for (i = 0; i < n; ++i) {
      if (asks[i].state != DNSASK_WAITING)
        continue;
      what = dnsmessage_check(packet, (size_t) len, asks[i].query, asks[i].query_len);
      if (what == DNSMESSAGE_STRANGE)
        continue;
      if (what == DNSMESSAGE_TROUBLE) {
        failed(servers, number, &asks[i], "the resolver has no answer", now);
        break;
      }
      asks[i].answer = malloc((size_t) len);
      if (!asks[i].answer) {
        asks[i].state = DNSASK_TROUBLE;
        asks[i].trouble = "no memory";
        break;
      }
      memcpy(asks[i].answer, packet, (size_t) len);
      asks[i].answer_len = (size_t) len;
      asks[i].state = DNSASK_ANSWERED;
      break;
    }
  if (len == -1 && errno == ECONNREFUSED)   /* nobody listens there */
    for (i = 0; i < n; ++i)
      if (asks[i].state == DNSASK_WAITING)
        failed(servers, number, &asks[i], "no resolver listens", now);
}

void dnsask_all(struct dnsask *asks, int n, long milliseconds, int (*enough)(int, void *), void *arg)
{
  struct servers servers;
  long now = dnsask_now_ms();
  long end = now + milliseconds;
  long next;
  int waiting = 0;
  int i;

  find_servers(&servers);
  for (i = 0; i < n; ++i)
    asks[i].next_ms = now;
  for (;;) {
    waiting = 0;
    next = end;
    for (i = 0; i < n; ++i) {
      if (asks[i].state != DNSASK_WAITING)
        continue;
      if (!servers.n || now >= end) {
        asks[i].state = DNSASK_TROUBLE;
        asks[i].trouble = servers.n ? "no answer in time" : "no resolver";
        continue;
      }
      if (now >= asks[i].next_ms)
        put(&servers, &asks[i], now);
      if (asks[i].next_ms < next)
        next = asks[i].next_ms;
      ++waiting;
    }
    if (!waiting)
      break;
    if (poll(servers.socket, (nfds_t) servers.n, next > now ? (int) (next - now) : 0) > 0) {
      for (i = 0; i < servers.n; ++i)
        if (servers.socket[i].revents)
          take(&servers, i, asks, n, now);
      for (i = 0; enough && i < n; ++i)
        if (asks[i].state == DNSASK_ANSWERED && enough(i, arg))
          goto done;
    }
    now = dnsask_now_ms();
  }
done:
  for (i = 0; i < servers.n; ++i)
    close(servers.socket[i].fd);
}
