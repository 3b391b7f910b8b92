/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "descriptor.h"

int descriptor_send_some(int to, const char *packet, size_t len, const int *fd, size_t n)
{
  union { struct cmsghdr head; char room[CMSG_SPACE(DESCRIPTOR_MOST * sizeof(int))]; } control;
  struct iovec part = {(char *) packet, len};
  struct msghdr message;

  memset(&message, 0, sizeof message);
  memset(&control, 0, sizeof control);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (n) {
    message.msg_control = control.room;
    message.msg_controllen = CMSG_SPACE(n * sizeof *fd);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(n * sizeof *fd);
    memcpy(CMSG_DATA(&control.head), fd, n * sizeof *fd);
  }
  return sendmsg(to, &message, MSG_NOSIGNAL) != -1;
}

int descriptor_send(int to, const char *packet, size_t len, int fd)
{
  return descriptor_send_some(to, packet, len, &fd, fd != -1);
}

ssize_t descriptor_receive_some(int from, char *packet, size_t size, int *fd, size_t n)
{
  union { struct cmsghdr head; char room[CMSG_SPACE(4 * sizeof(int))]; } control;
  struct iovec part = {packet, size};
  struct msghdr message;
  struct cmsghdr *item;
  ssize_t len;
  size_t found = 0;
  size_t i;

  for (i = 0; i < n; ++i)
    fd[i] = -1;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.room;
  message.msg_controllen = sizeof control.room;
  len = recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (len == -1)
    return -1;
  for (item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
      continue;
    for (i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int one;

      memcpy(&one, CMSG_DATA(item) + i * sizeof one, sizeof one);
      if (found < n)
        fd[found++] = one;
      else
        close(one);
    }
  }
  for (i = 0; message.msg_flags & MSG_CTRUNC && i < found; ++i) {
    close(fd[i]);
    fd[i] = -1;
  }
  return message.msg_flags & MSG_TRUNC ? 0 : len;
}

ssize_t descriptor_receive(int from, char *packet, size_t size, int *fd)
{
  return descriptor_receive_some(from, packet, size, fd, 1);
}
