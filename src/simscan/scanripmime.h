/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parses the output of ripmime -v, passed in pieces of any size. ripmime exits 0 whatever happened, so its output
 * is the only evidence: a line that is not known to be harmless is a trouble.
 */
#ifndef SCANRIPMIME_H
#define SCANRIPMIME_H

#include <stddef.h>

#define SCANRIPMIME_LINE 24576    /* the longest that it writes */
#define SCANRIPMIME_NAMES 8388608 /* bytes of names that are kept; more is a trouble */

#define SCANRIPMIME_WRITTEN 'W'    /* a file of this name was to be written */
#define SCANRIPMIME_IMPOSSIBLE 'I' /* no file can have this name */

enum scanripmime_state {
  SCANRIPMIME_FINE,
  SCANRIPMIME_DEEP,   /* parts within parts, deeper than it looks */
  SCANRIPMIME_TROUBLE /* said says what; "" for no memory */
};

struct scanripmime {
  enum scanripmime_state state;
  char said[200];         /* the line that is not harmless, a log field */
  char line[SCANRIPMIME_LINE];
  size_t length;
  int quoting;            /* a harmless line may have a line end within a stranger's text, which continues here */
  char *names;            /* of parts: a kind, the name, NUL for each; on the heap */
  size_t names_length;
  size_t names_room;
};

void scanripmime_begin(struct scanripmime *ripmime);
void scanripmime_add(struct scanripmime *ripmime, const char *said, size_t length);

/* The last line may lack its end. */
void scanripmime_end(struct scanripmime *ripmime);

#endif
