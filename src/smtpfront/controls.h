/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The files that say who may connect and whose mail is accepted: each is read at its first use, and again when
 * it has changed (device, inode, size, times), so that no restart is needed.
 */
#ifndef CONTROLS_H
#define CONTROLS_H

#include "address.h"
#include "cdbread.h"
#include "dialogue.h"
#include "domainrules.h"
#include "fileseen.h"
#include "nameset.h"
#include "requiretls.h"
#include "tcprule.h"

#define CONTROLS_GREETING_MAX 512
#define CONTROLS_NUMBER_MAX 32
#define CONTROLS_FILE_MAX (64L << 20)

struct controls_cdb {
  struct fileseen identity;
  int state;                   /* 0: not read; 1: open; -1: in trouble, tried again */
  const char *trouble;
  struct cdbread cdb;
};

struct controls_names {
  struct fileseen identity;
  int state;                   /* 0: not read; 1: read; 2: there is no such file; -1: in trouble */
  struct nameset set;
};

struct controls {
  const char *rules_path;      /* /etc/tcp.smtp.cdb */
  const char *directory;       /* /var/qmail/control */
  const char *tls_path;        /* smtptls's socket, or null */
  struct controls_cdb rules;
  struct controls_cdb validrcptto;
  struct controls_cdb morercpthosts;
  struct controls_names rcpthosts;
  struct controls_names badmailfrom;
  struct fileseen requiretls_identity;
  struct requiretls requiretls;
  struct fileseen domainrules_identity;
  struct domainrules domainrules;
  struct fileseen greeting_identity;
  int greeting_state;
  char greeting[CONTROLS_GREETING_MAX];
  struct fileseen databytes_identity;
  int databytes_state;         /* as of names */
  char databytes[CONTROLS_NUMBER_MAX];
  struct fileseen drained_identity;
};

extern void controls_begin(struct controls *c, const char *rules_path, const char *directory);

/* control/smtpgreeting, or control/me where it is missing; null when neither can be read. */
extern const char *controls_greeting(struct controls *c);

/* Reads a whole file of at most CONTROLS_FILE_MAX bytes into memory from malloc; null with errno. */
extern char *controls_read_file(const char *path, size_t *len);

extern enum tcprule controls_rule(struct controls *c, struct tcprule_found *found, const struct address *client);

/* For struct dialogue_lists; arg is the struct controls. An address literal is left to qmail-smtpd, which knows
 * those of this host. */
extern int controls_badmailfrom(void *arg, const char *sender);
extern enum dialogue_answer controls_rcpthosts(void *arg, const char *recipient);
extern enum dialogue_answer controls_validrcptto(void *arg, const char *recipient);
extern enum requiretls_answer controls_requiretls(void *arg, const char *ip, const char *sender, const char *recipient);

/* Whether a recipient's domain takes mail of networks that are greylisted. */
extern int controls_no_greylist(struct controls *c, const char *recipient);

/* Whether smtptls takes a session now. */
extern int controls_tls(void *arg);

/* Whether the gateway was taken out (drained.h); a file that cannot be looked at does not say so. */
extern int controls_drained(struct controls *c);

/* Whether badmailfrom and databytes can be read, or do not exist: otherwise qmail-smtpd serves no client. */
extern int controls_usable(struct controls *c);

/* How many bytes a message of a client may have, 0 for no limit: DATABYTES of its rule, else of the environment, else
 * control/databytes. */
extern unsigned controls_databytes(struct controls *c, const char *of_rule);

#endif
