/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session that smtpfront has begun (handover.h), as qmail-smtpd takes it over: first the bytes of the client that
 * still count, without replies, as these were sent; then, with the counts as they were, the unanswered bytes; then
 * the client itself. So each command is checked again, and the first reply is the one to the recipient.
 *
 * The session is in the descriptor whose number is in HANDOVER, up to its end. Without that variable there is no
 * such session, and these functions do nothing. Valid as gnu89 and as C99.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stddef.h>
#include "limitcount.h"
#include "mailsize.h"    /* for qmail-smtpd.c, as the next */
#include "smtpreply.h"

/* Takes the session, before the environment is looked at: removes HANDOVER, and for a session that has begun
 * RELAYCLIENT, too. The counts are set later, in time. Returns 0 when the descriptor does not hold a session. */
extern int replay_begin(struct limitcount *counts);

/* Whether the bytes now are a repetition. */
extern int replay_quiet(void);

/* From now on replies are sent: the session ends early, and the client waits. */
extern void replay_speak(void);

/* Whether the client's network is greylisted, and it was let through for one domain. */
extern int replay_greylisted(void);

/* The next bytes, at most len; 0 when there are no more. Called when everything before them is answered. */
extern int replay_read(char *buf, int len);

/* Whether there are more. */
extern int replay_left(void);

#endif
