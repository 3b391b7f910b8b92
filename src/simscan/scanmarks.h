/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SpamAssassin's marks in a message's header: its own fields and the subject come from its answer, every other byte from
 * the message. No side effects.
 */
#ifndef SCANMARKS_H
#define SCANMARKS_H

#include <stddef.h>

#define SCANMARKS_MORE 4      /* ends of lines that had none */
#define SCANMARKS_VERDICT 100 /* how much longer another verdict may be */

/*
 * Writes the answer with another verdict than SpamAssassin's own to judged, which has room for it and for
 * SCANMARKS_VERDICT bytes: in X-Spam-Status, and as X-Spam-Flag in front of it for spam. X-Spam-Report is for spam alone,
 * and X-Spam-Prev-Subject goes, for the subject is not SpamAssassin's. Returns the length; 0 when the answer has no
 * X-Spam-Status that can be changed.
 */
size_t scanmarks_judge(const char *answer, size_t length, int spam, double required, char *judged);

/* What scanmarks_tag() may add to a header. */
size_t scanmarks_tags(const char *header, size_t length, const char *tag);

/*
 * Writes the message's header with the answer's marks to marked, which has room for both and SCANMARKS_MORE bytes.
 * X-Spam-* fields stand behind as many fields of the message as they do in the answer, which is where SpamAssassin put
 * them. Subjects are replaced where the answer has as many as the message, and added where the message has none. No other
 * field is taken from the answer, or lost. Returns the length.
 */
size_t scanmarks_merge(const char *header, size_t length, const char *answer, size_t answer_length, char *marked);

/*
 * The same with the message's own subjects in the place of the answer's; tag, unless it is "", is in front of each, once,
 * as SpamAssassin puts it there. A message without a subject gets one of it. marked has room for scanmarks_tags() more.
 */
size_t scanmarks_tag(const char *header, size_t length, const char *answer, size_t answer_length, const char *tag, char *marked);

#endif
