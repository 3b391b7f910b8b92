/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The environment of a session of qmail-smtpd, made for each: the service's own environment, the variables of the
 * client's rule, what tcpserver sets, the session's id, and the terms of its TLS (TLS_VERSION, TLS_CIPHER, TLS_NAME), which
 * neither the service's environment nor the rule says. Nothing of it but the id and the terms comes from smtpfront. The
 * service's own environment also says where smtptls is (SMTPTLS). No side effects.
 */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include "tcprule.h"
#include "tlsterms.h"

#define ENVIRONMENT_MAX 256    /* variables */
#define ENVIRONMENT_OWN 12
#define ENVIRONMENT_TEXT 256

struct environment_session {
  const char *local_host;      /* as the service is told, or null */
  const char *local_ip;
  const char *remote_ip;
  unsigned local_port;
  unsigned remote_port;
  const char *id;              /* sessionid.h */
  int begun;                   /* bytes are replayed: neither RELAYCLIENT nor another QMAILQUEUE is taken from the rule */
  int accepted;                /* the socket must stay the one that came in: TCPACCEPTED (unshared.h) */
  struct tlsterms tls;         /* without a version in plain text; with one the same as begun */
};

struct environment {
  const char *variable[ENVIRONMENT_MAX + 1];   /* NAME=VALUE; a null behind the last */
  int variables;
  char own[ENVIRONMENT_OWN][ENVIRONMENT_TEXT];
};

/* Returns 0 when there is no room. The texts of base and found must stay. */
extern int environment_make(struct environment *e, char *const *base, const struct tcprule_found *found,
                            const struct environment_session *session);

#endif
