/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _DEFAULT_SOURCE 1
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tcporigin.h"

#define SAVE_SYN 27    /* TCP_SAVE_SYN, which older headers lack */
#define SAVED_SYN 28   /* TCP_SAVED_SYN */

int tcporigin_keep(int listening)
{
  const int on = 1;

  return setsockopt(listening, IPPROTO_TCP, SAVE_SYN, &on, sizeof on) == 0;
}

int tcporigin_kept(int fd)
{
  char nothing[1];
  socklen_t len = 0;

  return getsockopt(fd, IPPROTO_TCP, SAVED_SYN, nothing, &len) == -1 && errno == EINVAL && len > 0;
}

static int disconnect(int fd)
{
  struct sockaddr none;

  memset(&none, 0, sizeof none);
  none.sa_family = AF_UNSPEC;
  return connect(fd, &none, sizeof none) == 0;
}

/* Returns the accepted end of a connection to fd[0] by fd[1], or -1. */
static int connection(const int fd[2])
{
  struct sockaddr_in here;
  socklen_t len = sizeof here;

  memset(&here, 0, sizeof here);
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd[0] == -1 || fd[1] == -1 || bind(fd[0], (struct sockaddr *) &here, sizeof here) == -1 || listen(fd[0], 1) == -1
      || getsockname(fd[0], (struct sockaddr *) &here, &len) == -1
      || connect(fd[1], (struct sockaddr *) &here, sizeof here) == -1)
    return -1;
  return accept(fd[0], 0, 0);
}

int tcporigin_possible(void)
{
  int fd[3];
  int possible = -1;
  int saved;
  int i;

  fd[0] = socket(AF_INET, SOCK_STREAM, 0);
  fd[1] = socket(AF_INET, SOCK_STREAM, 0);
  if (fd[0] != -1 && !tcporigin_keep(fd[0]) && (errno == ENOPROTOOPT || errno == EOPNOTSUPP))
    possible = 0;
  fd[2] = possible == -1 ? connection(fd) : -1;
  if (fd[2] != -1) {
    possible = tcporigin_kept(fd[2]) && tcporigin_kept(fd[2]) && !tcporigin_kept(fd[1]);
    possible = possible && disconnect(fd[2]) && !tcporigin_kept(fd[2]);
  }
  saved = errno;
  for (i = 0; i < 3; ++i)
    if (fd[i] != -1)
      close(fd[i]);
  errno = saved;
  return possible;
}
