/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The protocol of smtptls, and how a program uses it. A connection to its unix socket of packets is for one session:
 *
 *   program to smtptls: TLSLINK_BEGIN, with the client's socket
 *   smtptls to program: TLSLINK_TAKEN, with one end of a pair of sockets
 *   program to smtptls: TLSLINK_GO, when it has told the client to begin; before that the socket is not touched
 *   smtptls to program: TLSLINK_ESTABLISHED and "VERSION CIPHER NAME", NAME being what the client asked for, or "-";
 *                       or TLSLINK_FAILED and a reason. It is the last packet.
 *
 * From then on what the program reads from its end, and writes to it, is plain text. The end of either is the end of
 * both. A program that hangs up before the last packet gives the session up.
 *
 * Whether smtptls takes sessions is said by a file beside the socket, PATH.offer: it is locked (fcntl) by the process
 * that keeps it, and its first byte is 1. A process that has died holds no lock.
 */
#ifndef TLSLINK_H
#define TLSLINK_H

#include <stddef.h>

#define TLSLINK_BEGIN 'B'
#define TLSLINK_TAKEN 'T'
#define TLSLINK_GO 'G'
#define TLSLINK_ESTABLISHED 'E'
#define TLSLINK_FAILED 'F'
#define TLSLINK_PACKET_MAX 300
#define TLSLINK_BEGIN_MS 2000        /* for TAKEN; RFC 3207 has 454 for more */
#define TLSLINK_HANDSHAKE_MS 30000
#define TLSLINK_PATH_MAX 100         /* bytes of a path, its NUL included */
#define TLSLINK_OFFER ".offer"

struct tlslink {
  int control;                       /* -1: none */
  int plain;                         /* the end for the program */
  char terms[TLSLINK_PACKET_MAX];    /* VERSION CIPHER NAME, or the reason; printable ASCII */
};

/* Whether TLS can be offered to a client now. */
extern int tlslink_offered(const char *path);

/* Asks for a session with that client, without waiting for the answer. Returns 0 with errno. */
extern int tlslink_begin(struct tlslink *t, const char *path, int client);

/* The client has been told to begin. From now on its socket belongs to smtptls. Returns 0 when smtptls is gone. */
extern int tlslink_go(const struct tlslink *t);

/* Takes an answer that is there. Returns its letter, 0 when there is none yet, -1 when there will be none. */
extern int tlslink_answer(struct tlslink *t);

/* Waits for an answer for that long. Returns as tlslink_answer(). */
extern int tlslink_wait(struct tlslink *t, long milliseconds);

/* Closes the connection to smtptls, and the plain end unless it has been taken out (-1). */
extern void tlslink_end(struct tlslink *t);

#endif
