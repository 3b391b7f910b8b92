/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What SpamAssassin's daemon is asked about one message, and its answer (spamd/PROTOCOL of SpamAssassin 4). No side
 * effects.
 */
#ifndef SPAMDASK_H
#define SPAMDASK_H

#include <stddef.h>
#include "scantext.h"

#define SPAMDASK_LINE 256     /* the longest line in front of the answer's header, its end included */
#define SPAMDASK_LINES 32
#define SPAMDASK_QUESTION 200 /* room for the question's head */

enum spamdask_state { SPAMDASK_STATUS, SPAMDASK_FIELDS, SPAMDASK_HEADER, SPAMDASK_COMPLETE, SPAMDASK_WRONG };

struct spamdask {
  enum spamdask_state state;
  char *header;               /* of the message as SpamAssassin gives it back; the caller's, room bytes */
  size_t room;
  size_t length;              /* of it */
  size_t expected;            /* Content-length */
  int has_length;
  int has_verdict;
  struct scantext_score verdict;
  char line[SPAMDASK_LINE];
  size_t in_line;
  int lines;
  const char *wrong;          /* why the state is SPAMDASK_WRONG */
  char words[SPAMDASK_LINE];  /* the line that is wrong, as a field of the log, or "" */
};

/* Writes the head of the question for so many bytes of a message, on behalf of a user. Returns its length. */
size_t spamdask_question(long long bytes, const char *user, char question[SPAMDASK_QUESTION]);

void spamdask_begin(struct spamdask *answer, char *header, size_t room);

/* A tap that takes the answer, in any pieces: 1 when it is complete or wrong, -1, EMSGSIZE, when it is longer than room. */
int spamdask_take(void *answer, const char *bytes, size_t length);

/*
 * Once the answer has ended: NULL when it is complete, has version 1, status 0, one Content-length that is its length, and
 * one verdict such as "Spam: True ; 5.3 / 5.0"; otherwise what is wrong.
 */
const char *spamdask_wrong(const struct spamdask *answer);

#endif
