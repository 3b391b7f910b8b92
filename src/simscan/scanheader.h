/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Takes what the sender says of spam and viruses out of a message's header, while the message goes by: fields whose
 * names begin with X-Spam- or X-Virus-, whatever the case. CR and NUL inside a name are not counted, for a program
 * further on may drop them. Every other byte goes by as it is. A first byte that cannot begin a field, a blank say, gets
 * an empty line in front of it, or it would continue the field that somebody puts there.
 */
#ifndef SCANHEADER_H
#define SCANHEADER_H

#include <stddef.h>

#define SCANHEADER_HELD 64     /* most bytes that are held back until a line's name is known */
#define SCANHEADER_SUBJECT 400 /* five encoded words */

struct scanheader {
  int in_header;
  int dropping;              /* this field, with its continuation lines, goes */
  int known;                 /* what this line is has been decided */
  char held[SCANHEADER_HELD];
  size_t holding;
  char name[SCANHEADER_HELD]; /* held without CR and NUL, in lower case */
  size_t named;
  char subject[SCANHEADER_SUBJECT];
  size_t subject_length;
  int subject_state;         /* 0: none seen, 1: in a line of it, 2: complete, 3: its line has ended, another may follow */
  int folding;               /* at the blanks that begin another line of it, which become one */
  unsigned long dropped;     /* fields */
  long long length;          /* bytes of the header that went on, its empty line included */
};

void scanheader_begin(struct scanheader *h);

/* Writes what of in goes on to out, which has room for length + SCANHEADER_HELD + 1 bytes; returns how much. */
size_t scanheader_pass(struct scanheader *h, const char *in, size_t length, char *out);

/* The same at the end of the message, for at most SCANHEADER_HELD + 1 bytes. */
size_t scanheader_end(struct scanheader *h, char *out);

#endif
