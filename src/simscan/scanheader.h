/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Removes the sender's own statements about spam and viruses from a message's header, as it is read: fields whose
 * names begin with X-Spam- or X-Virus-, whatever the case. CR and NUL inside a name are not counted, for a program
 * further on may drop them. Every other byte is unchanged. A first byte that cannot begin a field, such as a blank,
 * gets an empty line in front of it, or it would continue a field that is put in front later.
 */
#ifndef SCANHEADER_H
#define SCANHEADER_H

#include <stddef.h>

#define SCANHEADER_HELD 64     /* most bytes that are held back until a line's name is known */
#define SCANHEADER_SUBJECT 400 /* five encoded words */

struct scanheader {
  int in_header;
  int dropping;              /* this field, with its continuation lines, is removed */
  int known;                 /* the kind of this line has been decided */
  char held[SCANHEADER_HELD];
  size_t holding;
  char name[SCANHEADER_HELD]; /* held without CR and NUL, in lower case */
  size_t named;
  char subject[SCANHEADER_SUBJECT];
  size_t subject_length;
  int subject_state;         /* 0: none seen, 1: in a line of it, 2: complete, 3: its line has ended, another may follow */
  int folding;               /* at the blanks that begin a continuation line, which become one */
  unsigned long dropped;     /* fields */
  long long length;          /* bytes of the header that were passed on, its empty line included */
};

void scanheader_begin(struct scanheader *h);

/* Writes what is kept of in to out, which has room for length + SCANHEADER_HELD + 1 bytes; returns how much. */
size_t scanheader_pass(struct scanheader *h, const char *in, size_t length, char *out);

/* The same at the end of the message, for at most SCANHEADER_HELD + 1 bytes. */
size_t scanheader_end(struct scanheader *h, char *out);

#endif
