/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The id of a session of qmail-smtpd, and of the message that it receives (sessionid.h). The launcher says that of the
 * session in SMTPSESSION; without it, as behind tcpserver, qmail-smtpd makes one. The scanner, or whatever takes
 * qmail-queue's place, finds that of the message in SMTPMAIL. Valid as gnu89 and as C99.
 */
#ifndef MAILID_H
#define MAILID_H

/* Takes or makes the id of the session, and removes both variables: neither is believed unless it is an id. */
extern void mailid_begin(void);

/* The id of the session: the lines of the log (refusal.h) get it, until a message begins. */
extern void mailid_session(void);

/* The next message of the session begins: the lines of the log, and the environment, get its id. Returns 0 when there
 * is no memory for that. */
extern int mailid_next(void);

/* The id of the message, or "" before the first one. */
extern char *mailid(void);

#endif
