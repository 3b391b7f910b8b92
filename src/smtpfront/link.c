/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "descriptor.h"
#include "front.h"

#define AGAIN_MS 1000

/* The session's number, and its place. */
static uint64_t packet_number(const struct front *f, const struct session *s)
{
  return s->number << FRONTLINK_SLOT_BITS | (uint64_t) (s - f->session);
}

/* A client that was handed over without an answer may have been taken over: nothing more is sent to it. */
static void hang_up(struct front *f)
{
  size_t i;

  if (f->link.fd == -1)
    return;
  watch_set(f->epoll, &f->link, 0);
  close(f->link.fd);
  f->link.fd = -1;
  f->link_try_ms = f->now_ms + AGAIN_MS;
  for (i = 0; i < f->limits.all; ++i)
    if (f->session[i].state == SESSION_HANDING) {
      front_say(f, f->session[i].number, "lost %s the launcher went away%s", f->session[i].ip, starttls_said(&f->session[i]));
      session_end(f, &f->session[i], 0);
    }
}

static void take_log(struct front *f, int fd)
{
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1) {
    close(fd);
    return;
  }
  if (f->log.fd != -1) {
    watch_set(f->epoll, &f->log_watch, 0);
    close(f->log.fd);
  }
  f->log.fd = f->log_watch.fd = fd;
}

static void ready(struct watch *watch, uint32_t events)
{
  struct front *f = watch->owner;
  char packet[FRONTLINK_ANSWER];
  uint64_t number;
  size_t slot;
  ssize_t n;
  int fd;

  (void) events;
  while (f->link.fd != -1) {
    n = descriptor_receive(f->link.fd, packet, sizeof packet, &fd);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
      return;
    if (n != FRONTLINK_ANSWER) {
      if (fd != -1)
        close(fd);
      hang_up(f);
      return;
    }
    number = frontlink_number_read(packet);
    slot = (size_t) (number & ((1u << FRONTLINK_SLOT_BITS) - 1));
    if (fd != -1)
      take_log(f, fd);
    else if (slot < f->limits.all && f->session[slot].state == SESSION_HANDING
             && packet_number(f, &f->session[slot]) == number)
      session_answered(f, &f->session[slot], (enum frontlink_answer) packet[FRONTLINK_HEADER]);
  }
}

static void connect_launcher(struct front *f)
{
  struct sockaddr_un address;

  if (f->link.fd != -1)
    return;
  f->link_try_ms = f->now_ms + AGAIN_MS;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(f->link_path) >= sizeof address.sun_path)
    return;
  strcpy(address.sun_path, f->link_path);
  f->link.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (f->link.fd == -1)
    return;
  if (connect(f->link.fd, (struct sockaddr *) &address, sizeof address) == -1 || !watch_set(f->epoll, &f->link, EPOLLIN)) {
    close(f->link.fd);
    f->link.fd = -1;
  }
}

void link_begin(struct front *f)
{
  f->link.fd = -1;
  f->link.ready = ready;
  f->link.owner = f;
  connect_launcher(f);
}

void link_time(struct front *f)
{
  if (f->link.fd == -1 && f->now_ms >= f->link_try_ms)
    connect_launcher(f);
}

int link_send(struct front *f, struct session *s, const char *bytes, size_t len)
{
  static char packet[FRONTLINK_PACKET_MAX];
  const struct tlsterms *tls = starttls_terms(s);
  const int fd[DESCRIPTOR_MOST] = {tls->version[0] ? s->tls->client : s->watch.fd, s->watch.fd};
  size_t head = FRONTLINK_HEADER;

  connect_launcher(f);
  if (f->link.fd == -1)
    return -1;
  frontlink_number_write(packet, packet_number(f, s));
  head += frontlink_tls_write(packet + head, tls);
  memcpy(packet + head, bytes, len);
  if (descriptor_send_some(f->link.fd, packet, head + len, fd, tls->version[0] ? 2 : 1))
    return 1;
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
    return 0;
  hang_up(f);
  return -1;
}
