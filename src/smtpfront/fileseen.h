/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whether a file is still what was read of it: by device, inode, size and times, so that no restart is needed. A
 * program with an event loop looks at a file once in each round at most.
 */
#ifndef FILESEEN_H
#define FILESEEN_H

#include <sys/stat.h>

struct fileseen {
  int looked;
  int there;
  unsigned long round;
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec changed;
  struct timespec written;
};

/* Returns whether the file has changed since the last call, also at the first one; remembers its present state. */
extern int fileseen_changed(struct fileseen *seen, const char *path);

/* A round of the event loop begins. Where none ever does, each call above looks. */
extern void fileseen_round(void);

#endif
