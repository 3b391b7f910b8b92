/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A descriptor in the event loop: ready() is called with the events of epoll(7).
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>

struct watch {
  int fd;
  uint32_t events;   /* asked for; 0 when it is not in the loop */
  void (*ready)(struct watch *watch, uint32_t events);
  void *owner;
};

/* Asks for these events from now on; 0 takes it out of the loop. Returns 0 on failure. */
extern int watch_set(int epoll, struct watch *watch, uint32_t events);

#endif
