/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parses what strangers, and programs that read mail of strangers, have written. No side effects.
 */
#ifndef SCANTEXT_H
#define SCANTEXT_H

#include <stddef.h>

/*
 * One field of a log line: printable ASCII without ':' (and without ',' in a list), '_' for everything else, cut to
 * size - 1 bytes. Returns its length.
 */
size_t scantext_field(const char *s, size_t length, int in_list, char *field, size_t size);

/* ASCII letters to lower case, in place. */
void scantext_lower(char *s, size_t length);

enum scantext_virus {
  SCANTEXT_CLEAN,
  SCANTEXT_VIRUS,
  SCANTEXT_LIMIT,     /* Heuristics.Limits.Exceeded.*: clamd has not scanned all of it */
  SCANTEXT_HEURISTIC, /* Heuristics.Phishing.* and others that a site may switch on: a suspicion, not a virus */
  SCANTEXT_LATE,      /* clamd's own limit of time, which a busy machine exceeds, too */
  SCANTEXT_UNCLEAR
};

/*
 * Judges clamdscan's standard output about one file, with its exit status: clean only when it says so in a line that
 * ends with ": OK" and exits 0, found only when a line ends with " FOUND" and it exits 1. Warnings are not a
 * verdict. The name, a field, goes to name; of several the one of a virus.
 */
enum scantext_virus scantext_clamdscan(const char *said, size_t length, int status, char *name, size_t size);

/* Whether clamdscan's standard error has an error, not only a warning: then its verdict is not used. */
int scantext_error(const char *said, size_t length);

struct scantext_score {
  int spam;         /* SpamAssassin's own verdict, by its threshold */
  double score;
  double required;
};

/*
 * The score in the first X-Spam-Status field of a message's header, "Yes, score=12.3 required=5.0 ..." (hits= before
 * SpamAssassin 3). Returns 0, or -1 when there is none with both numbers.
 */
int scantext_status(const char *header, size_t length, struct scantext_score *score);

/* The bytes of a message before its first empty line, that line included; length when there is none. */
size_t scantext_header_length(const char *message, size_t length);

/* Whether a file's name ends with the suffix, in any case, dots and blanks behind it not counted, as Windows does. */
int scantext_suffix(const char *name, const char *suffix);

#endif
