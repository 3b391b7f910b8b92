/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs another program to its end, or to the deadline: every child has one.
 */
#ifndef SCANCHILD_H
#define SCANCHILD_H

#include <stddef.h>
#include "scanfeed.h"
#include "scanjail.h"

enum scanchild_end {
  SCANCHILD_EXITED,   /* it exited; code is its exit status */
  SCANCHILD_SIGNALLED,/* a signal ended it; code is the signal */
  SCANCHILD_LATE,     /* the deadline came first, and it was killed */
  SCANCHILD_NOT_RUN,  /* it could not be executed; code is an errno */
  SCANCHILD_TROUBLE,  /* a pipe, fork, or what it was fed from failed here; code is an errno */
  SCANCHILD_STOPPED,  /* a tap, or the watch, refused what it did, and it was killed; code is the errno they left */
  SCANCHILD_CHANGED   /* the data to feed it has changed since it was written; it did not get the end of it */
};

/* Gets the child's output on a descriptor; returns -1, and sets errno, to have the child killed. */
struct scanchild_tap {
  int (*take)(void *context, const char *said, size_t length);
  void *context;
};

/* Called every SCANCHILD_WATCH_MS, and once more at the end; returns -1, and sets errno, to have the child killed. */
#define SCANCHILD_WATCH_MS 50

struct scanchild_watch {
  int (*look)(void *context);
  void *context;
};

struct scanchild {
  const char *program;
  char *const *argv;
  char *const *environment;
  int input;                       /* what becomes its descriptor 0; -1: feeds[0], or nothing to read */
  const struct scanfeed *feeds[2]; /* for its descriptors 0 and 1; the second after the whole of the first */
  const struct scanchild_tap *taps[2];   /* on its descriptors 1 and 2; without one its output is discarded */
  int scanner;                     /* it keeps only the privileges in effect, and leaves no child behind */
  const struct scanjail *jail;     /* where a scanner is confined, or NULL */
  const struct scanchild_watch *watch; /* called while it works, or NULL */
  int patience_ms;                 /* extra time beyond the deadline once it has all that feeds hold */
};

struct scanchild_result {
  enum scanchild_end end;
  int code;
  int fed;                         /* whether all that feeds hold was written */
  long pid;                        /* its process number, or 0 when it was not run */
};

/* To be called once, first of all: signals that would interrupt a write or end this process come as errors. */
int scanchild_prepare(void);

/* Run the child until the deadline, a time of clock_ms(). */
void scanchild_run(const struct scanchild *child, long long deadline, struct scanchild_result *result);

/* Describes the result for a person: "spamc did not end in time". Returns text. */
const char *scanchild_words(const char *name, const struct scanchild_result *result, char *text, size_t size);

#endif
