/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is remembered of each network: one empty file, whose mtime is the time:
 *
 *   DIRECTORY/1f/2a/198.51.100.0-24.new   its first attempt was then, and it has not passed yet
 *   DIRECTORY/1f/2a/198.51.100.0-24       it has passed; its last attempt was then, or up to 1/32 of the pass time later
 *
 * The two directories, 64 times 64, come from a hash of the name, so that no range of addresses fills one of them:
 * 1,000,000 names are 244 in each. A network passes by rename(2) from the first to the second name, over an older one.
 * Sessions need no lock: whatever two of them do at once, each sees one of the two files or neither. A session that
 * sees neither creates the first, and before it refuses it looks for the second once more, as the network may have
 * passed between the two looks; a first file that was created too late is removed by the session that created it.
 *
 * Beside networks an attempt may be remembered under a key of its own, in the same way and place but always as the
 * first kind of file: it never passes itself, its caller lets a network pass.
 *
 * A file that is too old is ignored, so no cleaner has to run. One in 16 new networks also clears its
 * directory of such files: the programs that add files also remove them, and a directory without new files does not
 * grow.
 */
#ifndef GREYSTATE_H
#define GREYSTATE_H

#include <time.h>

#define GREYSTATE_SWEEP_MAX 4096   /* files that one session looks at when it clears a directory */

enum greystate {
  GREYSTATE_NEW,      /* first attempt; remembered */
  GREYSTATE_EARLY,    /* back within the delay */
  GREYSTATE_PASSED,   /* back after the delay; remembered */
  GREYSTATE_KNOWN,    /* passed before; renewed */
  GREYSTATE_TROUBLE   /* the state cannot be read or written */
};

struct greystate_limits {
  long delay_seconds;
  long pending_seconds;
  long pass_seconds;     /* not below the pending time, for a file that passes has its first time for a moment */
};

struct greystate_result {
  long seconds;        /* EARLY, PASSED: since the first time */
  const char *trouble; /* TROUBLE: what could not be done, */
  int error;           /* and its errno */
};

/* Looks up and records the network of that key, such as 198.51.100.0-24. */
extern enum greystate greystate_judge(const char *directory, const char *key, const struct greystate_limits *limits,
                                      struct timespec now, struct greystate_result *result);

/* Looks up an attempt under a key of its own, and records it if it is new and create is not 0: NEW, EARLY, PASSED when
 * the delay is over, or TROUBLE. */
extern enum greystate greystate_await(const char *directory, const char *key, int create,
                                      const struct greystate_limits *limits, struct timespec now,
                                      struct greystate_result *result);

/* Records that the network of that key has passed now: PASSED, or TROUBLE. */
extern enum greystate greystate_pass(const char *directory, const char *key, struct timespec now,
                                     struct greystate_result *result);

/* Removes all files that are too old. Returns how many files, or -1 with errno. */
extern long greystate_expire(const char *directory, const struct greystate_limits *limits, struct timespec now);

#endif
