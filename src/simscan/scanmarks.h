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

#define SCANMARKS_MORE 4 /* ends of lines that had none */

/*
 * Writes the message's header with the answer's marks to marked, which has room for both and SCANMARKS_MORE bytes.
 * X-Spam-* fields stand behind as many fields of the message as they do in the answer, which is where SpamAssassin put
 * them. Subjects are replaced where the answer has as many as the message, and added where the message has none. No other
 * field is taken from the answer, or lost. Returns the length.
 */
size_t scanmarks_merge(const char *header, size_t length, const char *answer, size_t answer_length, char *marked);

#endif
