/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TLS of qmail-remote: the policy of a domain (tlspolicy.h says what the file may have), and the session with the
 * one host that it talks to, by the distribution's OpenSSL. TLS 1.2 is the least. One session at a time.
 * Valid as gnu89 and as C99.
 */
#ifndef REMOTETLS_H
#define REMOTETLS_H

#include <stddef.h>
#include "tlspolicy.h"

#define REMOTETLS_FILE "control/tlspolicies"
#define REMOTETLS_RECORDS_MAX 40         /* TLSA records of one host */
#define REMOTETLS_RECORD_MAX 4096        /* bytes of one */
#define REMOTETLS_HANDSHAKE_SECONDS 120 /* of a whole handshake, where reading may not take less */

/* Reads the policy of a domain. Returns 1, or 0 where the file cannot be read or has a fault: remotetls_why() says it. */
extern int remotetls_policy(struct tlspolicy *policy, const char *domain, size_t length);

/*
 * Takes the data of a TLSA record, for the policy dane of the next session. Returns 1, or 0 where there is no room: then
 * nothing is known. remotetls_forget_records() begins a new list.
 */
extern int remotetls_record(const unsigned char *data, unsigned long length);
extern void remotetls_forget_records(void);

/*
 * Makes a session on a connected socket within so many seconds; what has been read from the socket before is the
 * caller's. domain: of the recipient. host: the route's or the MX, "" where only an address is known. address: of the
 * socket's peer. Returns 1, or 0 where there is none that the policy takes: remotetls_why() says it, in words of our own.
 */
extern int remotetls_begin(int fd, const struct tlspolicy *policy, const char *domain, const char *host, const char *address, int seconds);

/* Makes none, for a reason that the caller knows. */
extern void remotetls_refuse(const char *why);

/* Whether there is a session. */
extern int remotetls_on(void);

/* As timeoutread() and timeoutwrite(), in the session: bytes, 0 at its end, -1 for an error; the seconds are for the whole call. */
extern int remotetls_read(int seconds, char *buffer, int length);
extern int remotetls_write(int seconds, const char *buffer, int length);

/* Says goodbye, without waiting, and forgets the session. The socket stays open. */
extern void remotetls_end(void);

/* "TLSv1.3/TLS_AES_256_GCM_SHA384", or "none" where there is no session. */
extern const char *remotetls_session(void);

/* Why the last of these functions failed; "" where nothing is known. Printable ASCII, in one line, nothing of the peer's. */
extern const char *remotetls_why(void);

#endif
