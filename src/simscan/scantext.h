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

/* Whether a file's name ends with the suffix, in any case, dots and blanks behind it not counted, as Windows does. */
int scantext_suffix(const char *name, const char *suffix);

#endif
