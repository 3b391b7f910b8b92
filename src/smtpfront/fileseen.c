/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <string.h>
#include "fileseen.h"

static unsigned long this_round;

void fileseen_round(void)
{
  ++this_round;
}

static int same_time(struct timespec one, struct timespec other)
{
  return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

static int same(const struct fileseen *one, const struct fileseen *other)
{
  return one->looked == other->looked && one->there == other->there && one->device == other->device
         && one->inode == other->inode && one->size == other->size && same_time(one->changed, other->changed)
         && same_time(one->written, other->written);
}

int fileseen_changed(struct fileseen *seen, const char *path)
{
  struct fileseen before = *seen;
  struct stat st;

  if (seen->looked && this_round && seen->round == this_round)
    return 0;
  memset(seen, 0, sizeof *seen);
  seen->looked = 1;
  seen->round = this_round;
  if (stat(path, &st) == 0) {
    seen->there = 1;
    seen->device = st.st_dev;
    seen->inode = st.st_ino;
    seen->size = st.st_size;
    seen->changed = st.st_ctim;
    seen->written = st.st_mtim;
  }
  return !same(&before, seen);
}
