/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What qmail-smtpd writes to its log (descriptor 2) when it refuses, or accepts a message. The lines:
 *
 *   qmail-smtpd: not in validrcptto: RECIPIENT from SENDER at IP
 *   qmail-smtpd: excessive validrcptto violations, hanging up on IP
 *   qmail-smtpd: badmailfrom: SENDER to RECIPIENT at IP
 *   qmail-smtpd: rcpthosts: RECIPIENT from SENDER at IP
 *   qmail-smtpd: mail refused: REASON from SENDER at IP
 *   qmail-smtpd: rcpt refused: REASON for RECIPIENT from SENDER at IP
 *   qmail-smtpd: data refused: REASON from SENDER at IP
 *   qmail-smtpd: starttls refused: followed from <> at IP   bytes behind STARTTLS; the session has ended
 *   qmail-smtpd: excessive WHAT, hanging up on IP   WHAT is refusals or commands
 *   qmail-smtpd: client trouble: somebody else takes part in the session of IP   of a relay client (unshared.h)
 *   qmail-smtpd: THING trouble: REASON              THING is validrcptto.cdb, rcpthosts, requiretls or domainrules,
 *                                                   REASON fixed
 *   qmail-smtpd: validrcptto RCPT TO: RECIPIENT     with VALIDRCPTTO_LOG
 *   qmail-smtpd: validrcptto found: KEY             with VALIDRCPTTO_LOG
 *   qmail-smtpd: accepted: from SENDER at IP
 *
 * Behind IP the session is named, as far as it was told: " id ID", the id of the session or of its message
 * (sessionid.h), " pid PID", of the process; and of a message that is in the queue " qp PID", of its qmail-queue. Such a
 * line ends with " tls=VERSION/CIPHER" where the client has TLS.
 *
 * REASON is one of these words: control-byte, too-long, not-a-host-name, not-a-name (an address; see
 * envelopeaddress.h), too-many, other-rule and greylisted (recipients; once a message; recipientrule.h),
 * no-tls-of-sender, no-tls-for-recipient, no-tls-of-client (requiretls.h), bare-lf, too-slow, too-long, silent, client-left,
 * too-many-hops, too-large, put-off, queue-refused (a message; the last two are the answer of the queue or the scanner).
 *
 * RECIPIENT, SENDER, KEY and IP are fields: each is one word of the characters ! to ~. A space, a control
 * character, a byte above ~, and each of \ < > is written as \xHH with two lower-case hexadecimal digits. An empty
 * field is <>, which nothing else is written as. A field of more than REFUSAL_FIELD_MAX characters is cut between
 * two characters and ends with \... which nothing else does. So a line can be split at its spaces, and nothing that
 * a client sends can end a line, forge one or move the words in it.
 *
 * A line goes out in a single write(2) and is shorter than PIPE_BUF, so lines of concurrent processes do not mix.
 * errno is kept; a line that cannot be written at once is dropped, and does not change the reply to the client. The
 * next line of the session says so before:
 *   qmail-smtpd: dropped NUMBER lines of the log
 * Valid as gnu89 and as C99.
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include <stddef.h>

#define REFUSAL_FIELD_MAX 200   /* characters of one field, without the mark of a cut */
#define REFUSAL_LINE_MAX 1000    /* bytes of a line, its newline included */

/* Writes text as a field, NUL-ended, into out[REFUSAL_FIELD_MAX + 5]; returns its length. */
extern size_t refusal_field(char *out, const char *text);

/* Where lines go: descriptor 2, unless a program has another place for them. */
extern void (*refusal_write)(const char *line, size_t len);

/* What is said of the next lines' session; pid 0: not told. An empty id: nothing. */
extern void refusal_session(const char *id, long pid);

/* The same of its TLS (tlsterms.h). An empty version: it is in plain text. */
extern void refusal_tls(const char *version, const char *cipher);

extern void refusal_validrcptto(const char *recipient, const char *sender, const char *ip);
extern void refusal_excess(const char *ip);
extern void refusal_badmailfrom(const char *sender, const char *recipient, const char *ip);
extern void refusal_rcpthosts(const char *recipient, const char *sender, const char *ip);

/* A command that is refused because of itself: mail, rcpt, data or starttls. recipient is null except for rcpt. */
extern void refusal_command(const char *command, const char *reason, const char *recipient, const char *sender, const char *ip);

/* The session ends, because of too many of these. */
extern void refusal_hangup(const char *what, const char *ip);

/* The session ends, because another process uses the client's socket, too. */
extern void refusal_shared(const char *ip);

/* A message is in the queue. */
extern void refusal_accepted(const char *sender, const char *ip, unsigned long queue_pid);

extern void refusal_trouble(const char *thing, const char *reason);
extern void refusal_rcpt(const char *recipient);
extern void refusal_found(const char *key);

#endif
