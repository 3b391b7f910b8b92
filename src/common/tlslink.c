/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "clock.h"
#include "descriptor.h"
#include "say.h"
#include "tlslink.h"

int tlslink_offered(const char *path)
{
  char name[TLSLINK_PATH_MAX + sizeof TLSLINK_OFFER];
  struct flock lock;
  char state = 0;
  int there;
  int fd;

  snprintf(name, sizeof name, "%s%s", path, TLSLINK_OFFER);
  fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd == -1)
    return 0;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  there = read(fd, &state, 1) == 1 && state == '1' && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
  close(fd);
  return there;
}

int tlslink_begin(struct tlslink *t, const char *path, int client)
{
  static const char begin = TLSLINK_BEGIN;
  struct sockaddr_un address;
  int error;

  memset(t, 0, sizeof *t);
  t->control = t->plain = -1;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return 0;
  }
  strcpy(address.sun_path, path);
  t->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (t->control == -1)
    return 0;
  if (connect(t->control, (struct sockaddr *) &address, sizeof address) == 0 && descriptor_send(t->control, &begin, 1, client))
    return 1;
  error = errno;
  tlslink_end(t);
  errno = error;
  return 0;
}

int tlslink_go(const struct tlslink *t)
{
  static const char go = TLSLINK_GO;

  return descriptor_send(t->control, &go, 1, -1);
}

int tlslink_answer(struct tlslink *t)
{
  char packet[TLSLINK_PACKET_MAX];
  ssize_t n;
  int fd;

  n = descriptor_receive(t->control, packet, sizeof packet - 1, &fd);
  if (n == -1)
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (n > 0 && packet[0] == TLSLINK_TAKEN && fd != -1 && t->plain == -1) {
    t->plain = fd;
    return TLSLINK_TAKEN;
  }
  if (fd != -1)
    close(fd);
  if (n <= 0 || (packet[0] != TLSLINK_ESTABLISHED && packet[0] != TLSLINK_FAILED))
    return -1;
  packet[n] = 0;
  say_printable(t->terms, sizeof t->terms, packet + 1);
  return packet[0];
}

int tlslink_wait(struct tlslink *t, long milliseconds)
{
  long long end = clock_ms() + milliseconds;
  struct pollfd one = {t->control, POLLIN, 0};
  long long left;
  int found;

  for (;;) {
    found = tlslink_answer(t);
    left = end - clock_ms();
    if (found || left <= 0)
      return found;
    if (poll(&one, 1, (int) left) == -1 && errno != EINTR)
      return -1;
  }
}

void tlslink_end(struct tlslink *t)
{
  if (t->control != -1)
    close(t->control);
  if (t->plain != -1)
    close(t->plain);
  t->control = t->plain = -1;
}
