/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The envelope as qmail-smtpd hands it over: F, sender, NUL; T, recipient, NUL for each; NUL.
 */
#ifndef SCANENVELOPE_H
#define SCANENVELOPE_H

#include <stddef.h>

#define SCANENVELOPE_MAX 4000000 /* qmail-smtpd keeps at most 1000000 bytes of recipients */

struct scanenvelope {
  char *bytes;           /* as received, the final NUL included; on the heap */
  size_t length;
  const char *sender;    /* within bytes, ended by NUL */
  const char *recipients;/* the T of the first one */
  unsigned long count;   /* of recipients */
};

enum scanenvelope_state { SCANENVELOPE_GOOD, SCANENVELOPE_SHORT, SCANENVELOPE_BAD, SCANENVELOPE_FAILED };

/* Finds sender and recipients in bytes: short when its end is missing, bad when it is not an envelope. */
enum scanenvelope_state scanenvelope_parse(struct scanenvelope *envelope);

/* Reads a descriptor to its end and parses what came; failed, with errno, when it cannot be read or kept. */
enum scanenvelope_state scanenvelope_read(struct scanenvelope *envelope, int fd);

/* The recipients as a list for a log line, ended with "..." when they do not all fit. Returns its length. */
size_t scanenvelope_list(const struct scanenvelope *envelope, char *list, size_t size);

#endif
