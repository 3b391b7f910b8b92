/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Replies whose text is the site's own: of a rule, a DNS list, or for a client that is denied. Pure.
 */
#ifndef REPLYCODE_H
#define REPLYCODE_H

#include <stddef.h>

#define REPLYCODE_MAX 10   /* bytes before the text: "553 5.7.1 " */

/* Returns what stands before the text, in before[REPLYCODE_MAX + 1]: the code and, unless the text begins with a status
 * code of RFC 3463 of that class, X.7.1, delivery not authorized. */
extern const char *replycode(char *before, const char *code, const char *text);

#endif
