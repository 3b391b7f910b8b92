/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The file of those whose mail is taken over TLS only. One line for each:
 *
 *   sender example.com           mail from this domain, case aside
 *   recipient .example.org       mail to each domain below this one; without the dot, to it alone
 *   client 198.51.100.0/24       mail of these hosts
 *
 * Empty lines and those that begin with # are comments. A file that is not there requires nothing. One that cannot be
 * read, is larger than REQUIRETLS_FILE_MAX, or has a line that is none of these, leaves each question open: the mail
 * has to be put off. This host itself (127.0.0.1, ::1) is never asked for TLS: nothing leaves it. requiretls_judge()
 * is pure; all of it is valid as gnu89 and as C99. smtpfront asks it before a session is handed over, and qmail-smtpd
 * at each recipient that it would accept.
 */
#ifndef REQUIRETLS_H
#define REQUIRETLS_H

#include <stddef.h>
#include "address.h"

#define REQUIRETLS_FILE_MAX 65536
#define REQUIRETLS_WORD_MAX 256    /* a domain or a network, with its NUL */

enum requiretls_answer {
  REQUIRETLS_NO,
  REQUIRETLS_SENDER,
  REQUIRETLS_RECIPIENT,
  REQUIRETLS_CLIENT,
  REQUIRETLS_UNSURE
};

struct requiretls {
  int state;                   /* 0: there is no file; 1: it is in text; -1: it cannot be read */
  char *text;                  /* from malloc, or null */
  size_t len;
};

/* Reads the file, in the place of what was read before; *r is all zero at first. */
extern void requiretls_read(struct requiretls *r, const char *path);

extern void requiretls_free(struct requiretls *r);

/* Who asks for TLS for a mail in plain text. client is null when its address is not known. */
extern enum requiretls_answer requiretls_judge(const struct requiretls *r, const struct address *client,
                                               const char *sender, const char *recipient);

/* Writes the line of the log (refusal.h) of a recipient that is put off, and returns the reply; null for
 * REQUIRETLS_NO. */
extern const char *requiretls_refuse(enum requiretls_answer answer, const char *recipient, const char *sender,
                                     const char *ip);

#endif
