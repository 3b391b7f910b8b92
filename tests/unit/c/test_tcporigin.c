/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What this machine's kernel keeps of a connection, over both families.
 */
#define _GNU_SOURCE 1
#include "check.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include "tcporigin.h"

static const int family[] = {AF_INET, AF_INET6};

struct port {
  int fd;
  struct sockaddr_storage address;
  socklen_t len;
};

/* Returns 0 where there is no such family. */
static int opened(struct port *p, int of, int keep)
{
  memset(p, 0, sizeof *p);
  p->address.ss_family = (sa_family_t) of;
  p->len = of == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (of == AF_INET)
    ((struct sockaddr_in *) &p->address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    ((struct sockaddr_in6 *) &p->address)->sin6_addr = in6addr_loopback;
  p->fd = socket(of, SOCK_STREAM, 0);
  if (of == AF_INET6 && (p->fd == -1 || bind(p->fd, (struct sockaddr *) &p->address, p->len) == -1))
    return 0;
  CHECK(!keep || tcporigin_keep(p->fd));
  CHECK((of == AF_INET6 || bind(p->fd, (struct sockaddr *) &p->address, p->len) == 0) && listen(p->fd, 5) == 0);
  CHECK(getsockname(p->fd, (struct sockaddr *) &p->address, &p->len) == 0);
  return 1;
}

static int connected(const struct port *to)
{
  int fd = socket(to->address.ss_family, SOCK_STREAM, 0);

  CHECK(connect(fd, (const struct sockaddr *) &to->address, to->len) == 0);
  return fd;
}

static int disconnected(int fd)
{
  struct sockaddr none;

  memset(&none, 0, sizeof none);
  none.sa_family = AF_UNSPEC;
  return connect(fd, &none, sizeof none) == 0;
}

TEST(what_came_to_a_port_is_known_as_often_as_it_is_asked)
{
  struct port p;
  size_t i;

  for (i = 0; i < 2; ++i) {
    int client;
    int fd;
    int k;

    if (!opened(&p, family[i], 1))
      continue;
    client = connected(&p);
    fd = accept(p.fd, 0, 0);
    for (k = 0; k < 3; ++k)
      CHECK(tcporigin_kept(fd) && tcporigin_kept(dup(fd)));
    CHECK(!tcporigin_kept(client) && !tcporigin_kept(p.fd));
    CHECK(shutdown(fd, SHUT_RDWR) == 0 && close(client) == 0 && tcporigin_kept(fd));
  }
}

TEST(what_never_came_is_not_known)
{
  struct port p;
  size_t i;
  int pair[2];

  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && !tcporigin_kept(pair[0]) && !tcporigin_kept(-1));
  CHECK(pipe(pair) == 0 && !tcporigin_kept(pair[0]));
  for (i = 0; i < 2; ++i) {
    if (!opened(&p, family[i], 0))
      continue;
    CHECK(!tcporigin_kept(socket(family[i], SOCK_STREAM, 0)) && !tcporigin_kept(socket(family[i], SOCK_DGRAM, 0)));
    CHECK(!tcporigin_kept(connected(&p)) && !tcporigin_kept(accept(p.fd, 0, 0)));
  }
}

TEST(a_socket_that_is_connected_again_is_not_what_came)
{
  struct port p;
  struct port other;
  size_t i;
  int fd;
  int same;

  for (i = 0; i < 2; ++i) {
    if (!opened(&p, family[i], 1))
      continue;
    CHECK(opened(&other, family[i], 1));
    connected(&p);
    fd = accept(p.fd, 0, 0);
    same = dup(fd);
    CHECK(connect(same, (struct sockaddr *) &other.address, other.len) == -1 && errno == EISCONN);
    CHECK(listen(same, 5) == -1 && tcporigin_kept(fd));
    CHECK(shutdown(same, SHUT_RDWR) == 0 && connect(same, (struct sockaddr *) &other.address, other.len) == -1);
    CHECK(tcporigin_kept(fd) && disconnected(same) && !tcporigin_kept(fd));
    CHECK(connect(same, (struct sockaddr *) &other.address, other.len) == 0 && !tcporigin_kept(fd));
    CHECK(disconnected(same) && listen(same, 5) == 0 && !tcporigin_kept(fd));
  }
}

/* As smtpfront does when it is paused. */
TEST(a_port_that_is_closed_and_opened_again_keeps_what_comes)
{
  struct port p;

  CHECK(opened(&p, AF_INET, 1) && shutdown(p.fd, SHUT_RD) == 0 && listen(p.fd, 5) == 0);
  CHECK(getsockname(p.fd, (struct sockaddr *) &p.address, &p.len) == 0);
  connected(&p);
  CHECK(tcporigin_kept(accept(p.fd, 0, 0)));
}

TEST(who_reads_the_syn_takes_it_away)
{
  struct port p;
  char syn[500];
  socklen_t len = sizeof syn;
  int fd;

  CHECK(opened(&p, AF_INET, 1));
  connected(&p);
  fd = accept(p.fd, 0, 0);
  CHECK(getsockopt(fd, IPPROTO_TCP, 28, syn, &len) == 0 && len > 20 && !tcporigin_kept(fd));
}

TEST(it_is_tried_and_leaves_nothing_open)
{
  int next = dup(0);

  close(next);
  CHECK(tcporigin_possible() == 1 && dup(0) == next);
}

static const struct test tests[] = {
  {"what_came_to_a_port_is_known_as_often_as_it_is_asked", what_came_to_a_port_is_known_as_often_as_it_is_asked},
  {"what_never_came_is_not_known", what_never_came_is_not_known},
  {"a_socket_that_is_connected_again_is_not_what_came", a_socket_that_is_connected_again_is_not_what_came},
  {"a_port_that_is_closed_and_opened_again_keeps_what_comes", a_port_that_is_closed_and_opened_again_keeps_what_comes},
  {"who_reads_the_syn_takes_it_away", who_reads_the_syn_takes_it_away},
  {"it_is_tried_and_leaves_nothing_open", it_is_tried_and_leaves_nothing_open},
};

MAIN(tests)
