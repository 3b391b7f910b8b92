/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How much of a message of the queue goes back with a bounce, and whether one goes back at all.
 *
 * What goes back is the header: its fields up to an empty line, or to the first line that is not a field, and at most
 * BOUNCEHEADER_MAX bytes of them. The sender of a message that our scanner took for spam is as a rule forged, so
 * no bounce is sent for it. The scanner puts X-Spam-Flag: YES, or X-Spam-Status: Yes, above what qmail-smtpd handed
 * it, so above qmail-smtpd's own Received: field; what is below that was written by somebody else and does not
 * count. qmail-queue's fields, Received: (qmail ...), are above both.
 *
 * The message may be passed in pieces of any size. No side effects; valid as gnu89 and as C99.
 */
#ifndef BOUNCEHEADER_H
#define BOUNCEHEADER_H

#include <stddef.h>

#define BOUNCEHEADER_MAX 16384   /* bytes of the message that go back */
#define BOUNCEHEADER_WORD 16     /* bytes of names and values that are compared */

struct bounceheader {
  /* the result, once bounceheader_end() was called */
  size_t length;          /* how many bytes from the message's first on go back, whole lines unless cut */
  int cut;                /* whether the header is longer than that */
  int spam;               /* whether our scanner took the message for spam */
  /* how far the message was read */
  size_t at;
  size_t fields;          /* where the last line that belongs to a field ends */
  int state;
  int ended;
  int foreign;            /* whether a Received: field of another program than qmail-queue has come */
  size_t named;
  size_t valued;
  char name[BOUNCEHEADER_WORD];
  char value[BOUNCEHEADER_WORD];
};

extern void bounceheader_begin(struct bounceheader *header);

/* Reads the next piece of the message. Returns 0 when the header is over and no more is needed. */
extern int bounceheader_read(struct bounceheader *header, const char *bytes, size_t length);

extern void bounceheader_end(struct bounceheader *header);

#endif
