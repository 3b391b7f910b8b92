/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The file of clients that are not greylisted. One network or domain a line:
 *
 *   198.51.100.0/24
 *   2001:db8::/32
 *   outbound.example.com      hosts whose confirmed name (confirmedname.h) is that, or ends in it behind a dot
 *
 * Empty lines and those that begin with # are comments. A domain has at least two labels: one label would exempt
 * everybody below com. No side effects.
 */
#ifndef GREYEXEMPT_H
#define GREYEXEMPT_H

#include "address.h"

#define GREYEXEMPT_FILE "/etc/mailgate/greylist_exempt"
#define GREYEXEMPT_LINE_MAX 300
#define GREYEXEMPT_DOMAIN_MAX 256
#define GREYEXEMPT_LINES_MAX 5000   /* of a file */

enum greyexempt_line { GREYEXEMPT_NETWORK, GREYEXEMPT_DOMAIN, GREYEXEMPT_COMMENT, GREYEXEMPT_WRONG };

struct greyexempt {
  enum greyexempt_line kind;
  struct address network;
  int prefix;
  char domain[GREYEXEMPT_DOMAIN_MAX];   /* in small letters */
};

/* Reads one line, with or without its newline; sets wrong to the reason when the line is not valid. */
extern enum greyexempt_line greyexempt_parse(struct greyexempt *exempt, const char *line, const char **wrong);

extern int greyexempt_has_address(const struct greyexempt *exempt, const struct address *client);

/* name: confirmed, in small letters. */
extern int greyexempt_has_name(const struct greyexempt *exempt, const char *name);

#endif
