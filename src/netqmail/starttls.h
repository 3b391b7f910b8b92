/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TLS in a session of qmail-smtpd (RFC 3207), which smtptls makes (tlslink.h). SMTPTLS in the environment is smtptls's
 * socket; without it there is no STARTTLS. A session that was handed over with TLS has TLS_VERSION, TLS_CIPHER and
 * TLS_NAME there (tlsterms.h); one that begins it here gets them, for the scanner. Lines of the log name both
 * (refusal.h). Valid as gnu89 and as C99.
 */
#ifndef STARTTLS_H
#define STARTTLS_H

/* Looks at the environment. */
extern void starttls_begin(void);

/* The part of EHLO's reply that offers STARTTLS; "" while it is not offered. */
extern char *starttls_offer(void);

/* The reply to STARTTLS with that argument when nothing comes of it, so that the session goes on as it is; else null. */
extern char *starttls_objection(const char *argument, int transaction);

/* Before 220 is said: has smtptls take the client, the socket that is descriptor 0. Returns 0 when it does not, within
 * two seconds: then 454, and the session goes on as it is. */
extern int starttls_prepare(void);

/* Whether the client has sent something that is not read yet, though it has not heard 220. */
extern int starttls_followed(void);

/* After 220: waits for the handshake, and puts the plain text in the place
 * of descriptors 0 and 1, so that nothing here has the client's socket any more. Returns 0 when the session is over. */
extern int starttls_turn(void);

/* Whether the session has TLS. */
extern int starttls_active(void);

/* What stands behind "with" in a Received field: SMTP, or ESMTPS (RFC 3848). */
extern char *starttls_protocol(void);

/* The comment behind that, with version and cipher, or null. SpamAssassin knows a line of qmail by " SMTP" in it. */
extern char *starttls_comment(void);

#endif
