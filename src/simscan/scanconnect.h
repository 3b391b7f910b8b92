/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asks a daemon one question on its unix socket: connection, question and answer have one deadline together.
 */
#ifndef SCANCONNECT_H
#define SCANCONNECT_H

#include <stddef.h>
#include "scanchild.h"
#include "scanfeed.h"

enum scanconnect_end {
  SCANCONNECT_ANSWERED, /* the answer is complete, or the daemon has closed the connection */
  SCANCONNECT_NONE,     /* there is no connection; code is an errno */
  SCANCONNECT_LATE,     /* the deadline came first */
  SCANCONNECT_BROKEN,   /* the connection failed; code is an errno */
  SCANCONNECT_TROUBLE,  /* a socket, or what the question is made of, failed here; code is an errno */
  SCANCONNECT_STOPPED,  /* the tap, or the watch, refused; code is the errno they left */
  SCANCONNECT_CHANGED   /* the data to send has changed since it was written; the daemon did not get the end of it */
};

enum scanconnect_how {
  SCANCONNECT_WHOLE,      /* the bytes of the feed, and then the end of them */
  SCANCONNECT_CHUNKS,     /* its bytes as they are, then its pieces in clamd's chunks: the length in four bytes before each */
  SCANCONNECT_DESCRIPTOR  /* its bytes, which are few, together with a descriptor */
};

struct scanconnect {
  const char *socket;                  /* its path */
  enum scanconnect_how how;
  const struct scanfeed *question;
  int descriptor;
  const struct scanchild_tap *answer;  /* returns 1 when the answer is complete */
  const struct scanchild_watch *watch; /* called as for a child, and once more at the end; or NULL */
};

struct scanconnect_result {
  enum scanconnect_end end;
  int code;
  int fed;               /* whether the whole question was sent */
};

/* Asks until the deadline, a time of clock_ms(). */
void scanconnect_run(const struct scanconnect *ask, long long deadline, struct scanconnect_result *result);

/* Describes the result for a person: "spamd did not answer in time". Returns text. */
const char *scanconnect_words(const char *name, const struct scanconnect_result *result, char *text, size_t size);

#endif
