/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session that smtpfront has begun (handover.h), as qmail-smtpd takes it over: first what the client has said that
 * still counts, while nothing is answered, for it was; then, with the counts as they were, what is not answered yet; then
 * the client itself. So each command is judged once more, and the first reply is the one to the recipient.
 *
 * The session is in the descriptor whose number is in HANDOVER, up to its end. Without that variable there is none, and
 * nothing here does anything. Valid as gnu89 and as C99.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stddef.h>
#include "limitcount.h"
#include "smtpreply.h"   /* for qmail-smtpd.c */

/* Takes the session, before the environment is looked at: HANDOVER goes, and for a session that has begun RELAYCLIENT does,
 * too. The counts are set when it is their time. Returns 0 when what is there is no session. */
extern int replay_begin(struct limitcount *counts);

/* Whether the bytes now are a repetition. */
extern int replay_quiet(void);

/* From now on it is said: the session ends early, and the client waits. */
extern void replay_speak(void);

/* The next bytes, at most len; 0 when there are no more. Called when everything before them is answered. */
extern int replay_read(char *buf, int len);

#endif
