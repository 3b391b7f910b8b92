/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The protocol of smtpfront and its launcher over a unix socket of packets, one packet for each message.
 *
 *   launcher to front, once: number 0 and FRONTLINK_LOG, with the descriptor of qmail-smtpd's log, which does not block
 *   front to launcher: a number of its choice, and a session (handover.h), with the client's socket; the number's
 *     highest 48 bits are the session's own (sessionid.h). Of a client with TLS a line stands before the session,
 *     "TLS VERSION CIPHER NAME" (tlsterms.h) and LF, and the plain end (tlslink.h) comes behind the client's socket
 *   launcher to front: that number, and the result
 *
 * Pure.
 */
#ifndef FRONTLINK_H
#define FRONTLINK_H

#include <stddef.h>
#include <stdint.h>
#include "handover.h"
#include "tlsterms.h"

#define FRONTLINK_HEADER 8
#define FRONTLINK_TLS "TLS "
#define FRONTLINK_TLS_MAX (sizeof FRONTLINK_TLS + TLSTERMS_MAX)   /* bytes of its line */
#define FRONTLINK_PACKET_MAX (FRONTLINK_HEADER + FRONTLINK_TLS_MAX + HANDOVER_MAX)
#define FRONTLINK_SLOT_BITS 16   /* of a number, below that of the session: for smtpfront's own use */
#define FRONTLINK_ANSWER (FRONTLINK_HEADER + 1)

enum frontlink_answer {
  FRONTLINK_LOG = 'L',
  FRONTLINK_TAKEN = 'T',     /* the client has been taken over */
  FRONTLINK_FULL = 'F',      /* no place for this client now; ask again */
  FRONTLINK_UNABLE = 'U',    /* no session can be started: defer the client */
  FRONTLINK_REFUSED = 'R'    /* hang up on the client */
};

extern void frontlink_number_write(char *out, uint64_t number);
extern uint64_t frontlink_number_read(const char *in);

/* Writes the line of a session's TLS into out[FRONTLINK_TLS_MAX]; returns its length, 0 for a session in plain text. */
extern size_t frontlink_tls_write(char *out, const struct tlsterms *tls);

/* Reads the line of a session's TLS; returns the length of it, 0 when there is none, -1 when it is not a whole one. */
extern int frontlink_tls_read(struct tlsterms *tls, const char *in, size_t len);

#endif
