/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reads one message from a TCP connection to a resolver (RFC 1035, 4.2.2): two bytes of length, and so many bytes,
 * which come in any pieces.
 */
#ifndef DNSSTREAM_H
#define DNSSTREAM_H

#include <stddef.h>

#define DNSSTREAM_LEAST 12     /* no message is shorter than its header; the two bytes allow 65535 at most */

enum dnsstream_state {
  DNSSTREAM_MORE,      /* it is not complete yet */
  DNSSTREAM_WHOLE,
  DNSSTREAM_WRONG      /* its length is not possible for a message, or there is no memory */
};

struct dnsstream {
  unsigned char head[2];
  size_t head_len;
  unsigned char *message;   /* from malloc; a caller that keeps it sets this to 0 */
  size_t wanted;            /* its length, */
  size_t len;               /* and how much of it has been read */
};

extern void dnsstream_begin(struct dnsstream *s);

/* Reads bytes; those behind the message are ignored. */
extern enum dnsstream_state dnsstream_feed(struct dnsstream *s, const unsigned char *data, size_t n);

extern void dnsstream_end(struct dnsstream *s);

#endif
