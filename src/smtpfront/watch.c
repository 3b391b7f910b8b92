/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <string.h>
#include <sys/epoll.h>
#include "watch.h"

int watch_set(int epoll, struct watch *watch, uint32_t events)
{
  struct epoll_event event;
  int operation = !events ? EPOLL_CTL_DEL : watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

  if (events == watch->events)
    return 1;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.ptr = watch;
  if (epoll_ctl(epoll, operation, watch->fd, &event) == -1)
    return 0;
  watch->events = events;
  return 1;
}
