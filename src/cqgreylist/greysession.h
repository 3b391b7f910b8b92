/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SMTP dialogue of a client that may not pass now, as a state machine that is fed with bytes: MAIL is accepted,
 * and each RCPT and each DATA gets the same refusal. Of what the client sends only the sender is kept, for asked(),
 * and all of it is bounded: a line, the lines, the bytes, and the unknown commands. STARTTLS is left to the caller.
 */
#ifndef GREYSESSION_H
#define GREYSESSION_H

#include <stddef.h>

#define GREYSESSION_LINE_MAX 2048     /* bytes of a command, its end included; a longer one gets a 500 */
#define GREYSESSION_BYTES_MAX 131072  /* bytes of a session */
#define GREYSESSION_LINES_MAX 1000    /* commands of a session */
#define GREYSESSION_WRONG_MAX 20      /* unknown commands of a session */
#define GREYSESSION_ASKED_MAX 10      /* recipients of a session that asked() is told of */
#define GREYSESSION_TEXT_MAX 256
#define GREYSESSION_OUT_MAX 8192

struct greysession {
  char host[GREYSESSION_TEXT_MAX];
  char refusal[GREYSESSION_TEXT_MAX];   /* code and text */
  char verb[10];                        /* the first word of the line so far, in upper case */
  size_t verb_len;
  int verb_ended;
  char arg[GREYSESSION_LINE_MAX + 1];   /* what stands behind it, so far, without CR and NUL */
  size_t arg_len;
  char sender[GREYSESSION_LINE_MAX + 1]; /* of the last MAIL */
  /* A recipient was refused; or null. */
  void (*asked)(const void *ip, const char *sender, const char *recipient);
  const void *ip;                       /* for asked() */
  int asked_for;                        /* how often */
  int (*tls)(void);                     /* whether TLS can be offered now; null: STARTTLS is not known */
  int mail;                             /* MAIL was the last of MAIL, RSET, HELO and EHLO */
  int starttls;                         /* nothing more is taken until greysession_answer(), or greysession_secured() */
  int secured;                          /* by TLS */
  size_t line;                          /* bytes of the line so far */
  size_t bytes;
  int lines;
  int wrong;
  int ended;                            /* out holds the last reply to the client */
  char out[GREYSESSION_OUT_MAX];
  size_t out_len;
};

/* Begins with the greeting in out. Host and refusal are cut and made printable. */
extern void greysession_start(struct greysession *s, const char *host, const char *refusal);

/* Reads bytes until they are used up, the session has ended, STARTTLS waits, or out has no room. Returns how many were
 * taken. */
extern size_t greysession_feed(struct greysession *s, const char *data, size_t n);

/* Answers STARTTLS with one of smtpreply.h; one of 421 ends the session. */
extern void greysession_answer(struct greysession *s, const char *whole);

/* The client has TLS: what it has said before is forgotten (RFC 3207, 4.2), and what was counted is not. */
extern void greysession_secured(struct greysession *s);

/* Ends the session with a 421 of that text. */
extern void greysession_end(struct greysession *s, const char *text);

#endif
