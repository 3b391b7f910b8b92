/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What ripmime -v says while it takes a message apart, fed in any cut. It exits 0 whatever happened to it, so its words
 * are all there is: a line that is not known to be harmless is a trouble.
 */
#ifndef SCANRIPMIME_H
#define SCANRIPMIME_H

#include <stddef.h>

#define SCANRIPMIME_LINE 24576    /* it writes no longer ones */
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
  char said[200];         /* the line that is no harmless one, a log field */
  char line[SCANRIPMIME_LINE];
  size_t length;
  int quoting;            /* a harmless line may have broken within a stranger's text, which goes on here */
  char *names;            /* of parts: a kind, the name, NUL for each; on the heap */
  size_t names_length;
  size_t names_room;
};

void scanripmime_begin(struct scanripmime *ripmime);
void scanripmime_add(struct scanripmime *ripmime, const char *said, size_t length);

/* The last line may lack its end. */
void scanripmime_end(struct scanripmime *ripmime);

#endif
