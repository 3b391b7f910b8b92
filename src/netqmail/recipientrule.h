/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which recipients qmail-smtpd takes for one message: those whose domains have one rule (domainrules.h), for a message is
 * judged once. The rules are read at the first recipient of each message, and hold up to its last.
 * Valid as gnu89 and as C99.
 */
#ifndef RECIPIENTRULE_H
#define RECIPIENTRULE_H

#include <stddef.h>

enum recipientrule_answer {
  RECIPIENTRULE_TOGETHER,   /* it may be a recipient of this message */
  RECIPIENTRULE_OTHER,      /* it has to come by itself; said in the log once a message */
  RECIPIENTRULE_LATER,      /* its domain greylists, and the client was let through for another; the same */
  RECIPIENTRULE_UNSURE      /* the rules cannot be used; said in the log */
};

/* list: the recipients of the message so far, as recipientlist.h has them; recipient: one more that could be accepted.
 * relay: the client may relay. sender and ip are for the log. */
extern enum recipientrule_answer recipientrule(const char *list, size_t length, const char *recipient, int relay,
                                               const char *sender, const char *ip);

#endif
