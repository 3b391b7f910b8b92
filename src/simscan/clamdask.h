/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What clamd is asked about one message, and its answer (clamd(8), "COMMANDS"). No side effects.
 */
#ifndef CLAMDASK_H
#define CLAMDASK_H

#include <stddef.h>

#define CLAMDASK_ANSWER 1024 /* the longest answer, its NUL included */

/* The commands, with their NULs; the one about a descriptor comes with it, and a byte more that clamd ignores. */
#define CLAMDASK_DESCRIPTOR "zFILDES\0"
#define CLAMDASK_STREAM "zINSTREAM"

enum clamdask_verdict {
  CLAMDASK_CLEAN,
  CLAMDASK_VIRUS,
  CLAMDASK_LIMIT,     /* Heuristics.Limits.Exceeded.*, XZ.DicSizeLimit: clamd has not scanned all of it */
  CLAMDASK_HEURISTIC, /* Heuristics.Phishing.* and others that a site may switch on, or the form of a file: no virus */
  CLAMDASK_LATE,      /* clamd's own limit of time, which a busy machine exceeds, too */
  CLAMDASK_UNCLEAR
};

struct clamdask {
  char bytes[CLAMDASK_ANSWER];
  size_t length;
};

void clamdask_begin(struct clamdask *answer);

/* A tap that collects the answer, in any pieces; -1, EMSGSIZE, when it is too long. */
int clamdask_take(void *answer, const char *bytes, size_t length);

/*
 * Judges the whole answer, of one line and its NUL: clean is "stream: OK" or "fd[N]: OK", found is the same prefix with
 * "NAME FOUND". The name, a field of the log, goes to name. Anything else, such as half an answer, is unclear.
 */
enum clamdask_verdict clamdask_judge(const struct clamdask *answer, char *name, size_t size);

/* Writes the answer as a field of the log. Returns it. */
const char *clamdask_words(const struct clamdask *answer, char *field, size_t size);

#endif
