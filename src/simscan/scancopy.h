/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The file of a kept copy of a refused message: its first line, and the lines about the refusal. The format is described
 * where it is read, formats/refused_copy.py of the package. No side effects.
 */
#ifndef SCANCOPY_H
#define SCANCOPY_H

#include <stddef.h>
#include <stdint.h>
#include "scantext.h"

#define SCANCOPY_FIRST 28   /* bytes of the first line: its CRC is known last */
#define SCANCOPY_RULES 4000 /* the longest list of rules */
#define SCANCOPY_HEAD 6000  /* room for the other lines */

struct scancopy {
  int virus;                          /* what it was refused as; 0: spam */
  long long at_seconds;               /* unix */
  const struct scantext_score *score; /* of spam */
  double limit;                       /* the score from which on the site refuses */
  const char *rules;                  /* of spam: a list, or "" */
  const char *name;                   /* of the virus */
  const char *client;                 /* "": not known */
  const char *id;                     /* of the message; "": it has none */
  long long envelope_bytes;
  long long message_bytes;
};

/* CRC-32 as zlib's; crc: of the bytes before, 0 at the beginning. */
uint32_t scancopy_crc(uint32_t crc, const void *bytes, size_t length);

/* Writes the first line. */
void scancopy_first(uint32_t crc, char first[SCANCOPY_FIRST + 1]);

/* Writes the lines behind it, with the empty one. What is not printable ASCII in a value is '_'. Returns their length. */
size_t scancopy_head(const struct scancopy *copy, char head[SCANCOPY_HEAD]);

/*
 * The rules in the first X-Spam-Status field of a header, as a list without blanks; one that does not fit is cut behind a
 * rule and ends with ",...". Returns its length, 0 when there is none.
 */
size_t scancopy_rules(const char *header, size_t length, char *rules, size_t size);

#endif
