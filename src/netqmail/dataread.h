/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Converts the bytes behind DATA, as a client sends them, into the message that is scanned, queued and delivered.
 *
 * The end of the data is CRLF . CRLF of the client's own bytes and nothing else (RFC 5321, 4.1.1.4); an LF without a
 * CR before it is an error. What is scanned and what is delivered must not differ by what a program takes for the
 * end of a line or leaves out, so the result has neither CR nor NUL:
 *
 *   CRLF                               LF
 *   a CR inside a line                 a blank
 *   CRs in front of CRLF               the last of them vanishes, the others are blanks
 *   NUL                                a blank
 *   a dot that begins a line           is removed (RFC 5321, 4.5.2); one in front of a CR is kept
 *
 * The message must not continue a header field that the gateway has put in front. Where its first byte cannot begin
 * a field name (33 to 126 without ':'; RFC 5322, 2.2), an empty line comes first.
 *
 * No side effects, nothing is allocated; the bytes may come in pieces of any size. Valid as gnu89 and as C99.
 */
#ifndef DATAREAD_H
#define DATAREAD_H

#include <stddef.h>

/* The most bytes that come out of so many that go in: a dot, two CRs and the empty line may have been held back. */
#define DATAREAD_ROOM(length) ((length) + 4)

enum dataread_event {
  DATAREAD_MORE,      /* all was used; more must come */
  DATAREAD_END,       /* the message is complete; unused bytes are behind it */
  DATAREAD_BARE_LF    /* the last byte that was used is an LF without a CR */
};

struct dataread {
  int place;          /* where in the client's bytes: see dataread.c */
  int crs;            /* CRs held back until the next byte: 0 to 2 */
  int begun;          /* 1: a byte has come out */
  int header;         /* 1: still in the header of what comes out */
  unsigned column;    /* bytes of its line, up to 9 */
  int received;       /* 1: the line may begin with Received */
  int delivered;      /* 1: the line may begin with Delivered */
  unsigned long hops; /* lines of the header that do */
};

extern void dataread_begin(struct dataread *d);

/*
 * Reads bytes until an event: *used says how many. The result is in out, which has DATAREAD_ROOM(length) bytes,
 * *written of them used. Nothing may be passed after END and BARE_LF.
 */
extern enum dataread_event dataread(struct dataread *d, const char *bytes, size_t length, size_t *used, char *out, size_t *written);

#endif
