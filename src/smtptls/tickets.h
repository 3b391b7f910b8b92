/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The keys of session tickets (RFC 5077, RFC 8446 4.6.1), in memory that all workers share: so that a client resumes
 * with any of them. One process makes a new key when it is time; a ticket of the key before is still taken. Nothing
 * of it is ever written to a file.
 */
#ifndef TICKETS_H
#define TICKETS_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <time.h>

#define TICKETS_NAME 16
#define TICKETS_KEY 32
#define TICKETS_SECONDS 3600   /* a key makes tickets for so long; a ticket is good for twice as long at most */

struct ticket_key {
  unsigned char name[TICKETS_NAME];
  unsigned char cipher[TICKETS_KEY];
  unsigned char mac[TICKETS_KEY];
};

struct tickets {
  struct ticket_key key[3];    /* the one that is used, the one before, and the one to be written next */
  atomic_uint current;         /* number of the one that is used; each is in its place modulo 3 */
  time_t made;
};

/* Makes the first key, in memory that children share. Returns null with errno. */
extern struct tickets *tickets_make(time_t now);

/* Makes another key when it is time. Returns 0 when there is no randomness. */
extern int tickets_rotate(struct tickets *t, time_t now);

/* Lets sessions of that context use them. */
extern void tickets_use(struct tickets *t, SSL_CTX *context);

#endif
