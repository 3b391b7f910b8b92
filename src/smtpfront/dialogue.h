/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SMTP dialogue of a client up to its first recipient that could be accepted: every line gets the reply that
 * qmail-smtpd gives, and the same lines of the log and counts. No reply accepts a recipient: one that could be
 * accepted is handed over, unanswered. These functions neither wait, read nor write.
 */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include <stddef.h>
#include "handover.h"
#include "limitcount.h"
#include "mailsize.h"
#include "requiretls.h"
#include "smtpcommand.h"
#include "smtpreply.h"

#define DIALOGUE_HELO_MAX 255   /* bytes of a greeting that are kept, as qmail-smtpd keeps them */

enum dialogue_event {
  DIALOGUE_REPLY,       /* send the reply and go on */
  DIALOGUE_END,         /* send the reply and hang up */
  DIALOGUE_RECIPIENT,   /* no reply yet: ask dialogue_refuse() or dialogue_recipient() */
  DIALOGUE_ACCEPTABLE,  /* no reply: hand over, with the line of RCPT unanswered */
  DIALOGUE_STARTTLS     /* no reply yet: SMTPREPLY_TLS_READY and dialogue_secured(), or SMTPREPLY_NO_TLS */
};

/* A reply is the three texts, one after the other; the greeting, control/smtpgreeting, may stand between two of
 * them. */
struct dialogue_reply {
  const char *before;
  int greeting;
  const char *after;
  char ehlo[MAILSIZE_EHLO_MAX + sizeof SMTPREPLY_EHLO_STARTTLS];   /* after, for EHLO */
};

struct dialogue {
  struct limitcount count;
  unsigned long misses;
  unsigned long misses_max;   /* 0: no limit */
  char *helo;                 /* a line of HELO or EHLO, from malloc, or null */
  char *mail;                 /* the line of MAIL that was accepted last, from malloc; null without one */
  size_t mail_len;
  char *sender;               /* its address, from malloc */
  int barred;                 /* it is in badmailfrom */
  unsigned databytes;         /* of a message, 0 for no limit; set by the caller */
  int secured;                /* by TLS */
  int greylisted;             /* its recipient takes its mail all the same; set by the caller */
};

enum dialogue_answer { DIALOGUE_UNSURE = -1, DIALOGUE_NO = 0, DIALOGUE_YES = 1 };

/* Checks that a dialogue makes of an address, and the log of its refusals (refusal.h). */
struct dialogue_lists {
  void *arg;
  int (*badmailfrom)(void *arg, const char *sender);
  enum dialogue_answer (*rcpthosts)(void *arg, const char *recipient);
  enum dialogue_answer (*validrcptto)(void *arg, const char *recipient);
  int (*tls)(void *arg);      /* whether TLS can be offered now; null where there is none: STARTTLS is not known then */
  /* Who asks for TLS for a recipient of a client without it; null: nobody. */
  enum requiretls_answer (*requiretls)(void *arg, const char *ip, const char *sender, const char *recipient);
};

/* A limit is a text as limitcount_number() reads it, or null. */
extern void dialogue_begin(struct dialogue *d, const char *refusals_max, const char *commands_max,
                           const char *misses_max);
extern void dialogue_end(struct dialogue *d);

/* The client has TLS from now on: what it has said before is forgotten (RFC 3207, 4.2), and what was counted is not. */
extern void dialogue_secured(struct dialogue *d);

/* Takes a line, its LF included. ip is for the log. RECIPIENT: recipient, of SMTPCOMMAND_LINE_MAX + 1 bytes, is it. */
extern enum dialogue_event dialogue_line(struct dialogue *d, const struct dialogue_lists *lists, const char *ip,
                                         const char *line, size_t len, char *recipient, struct dialogue_reply *reply);

/* Answers the recipient with that refusal of the client, a whole reply. */
extern enum dialogue_event dialogue_refuse(struct dialogue *d, const char *ip, const char *refusal,
                                           struct dialogue_reply *reply);

/* Looks the recipient up. */
extern enum dialogue_event dialogue_recipient(struct dialogue *d, const struct dialogue_lists *lists, const char *ip,
                                              const char *recipient, struct dialogue_reply *reply);

/* Writes the session as it is into out[HANDOVER_MAX], with those bytes unanswered; 0 if it does not fit. */
extern size_t dialogue_handover(const struct dialogue *d, char *out, const char *unanswered, size_t len);

#endif
