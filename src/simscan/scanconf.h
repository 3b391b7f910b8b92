/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The site's configuration: control/simscan, lines of a name, a blank and a value, and control/ssattach, a suffix a
 * line. Both must be there; a '#' begins a comment line.
 */
#ifndef SCANCONF_H
#define SCANCONF_H

#include <stddef.h>
#include "domainrules.h"

#define SCANCONF_PATH 108   /* the longest path of a socket */
#define SCANCONF_SUFFIXES DOMAINRULES_SUFFIXES
#define SCANCONF_SUFFIX DOMAINRULES_SUFFIX
#define SCANCONF_DEADLINE 300 /* a sender that waits longer after DATA gives up, and sends again */
#define SCANCONF_SHARE 25
#define SCANCONF_RESERVE_BYTES 268435456
#define SCANCONF_RESERVE_FILES 4096
#define SCANCONF_KEEP_BYTES 1073741824
#define SCANCONF_KEEP_FILES 10000
#define SCANCONF_CLAMD "/run/clamav/clamd.ctl"

struct scanconf {
  int deadline_seconds;              /* 1 to SCANCONF_DEADLINE, for all scanners of a message together */
  int deliver_unchecked;             /* spam_failure: 1 "deliver", 0 "refuse" */
  long long spam_limit_bytes;        /* SpamAssassin gets so much of a longer message */
  int work_share_percent;            /* 1 to 100, of the work directory's file system for one message; optional */
  double reject_score;
  double mark_score;                 /* of the recipients' domain; 0: SpamAssassin's own */
  int tags;                          /* the recipients' domain says what is put in front of the subject of spam */
  char tag[DOMAINRULES_TAG + 1];     /* then: that, or "" */
  char clamd_socket[SCANCONF_PATH];  /* optional */
  char spamd_socket[SCANCONF_PATH];
  char clamd_temporary_directory[SCANCONF_PATH]; /* where clamd unpacks; optional: when "" it is not watched */
  long long clamd_reserve_bytes;     /* bytes that must be free there while clamd works; optional */
  long long clamd_reserve_files;
  char state_directory[SCANCONF_PATH]; /* where simscan remembers what it has logged; optional: "" */
  char keep_directory[SCANCONF_PATH]; /* for copies of refused spam; optional: none is kept when "" */
  long long keep_bytes;              /* all copies together, as allocated; optional */
  long long keep_files;
  int keep_viruses;                  /* 1: those, too; optional */
  char suffixes[SCANCONF_SUFFIXES][SCANCONF_SUFFIX];
  int suffix_count;
};

/* Reads the text of control/simscan. Returns 0, or -1 with a line for a person in why. */
int scanconf_settings(struct scanconf *conf, const char *text, size_t length, char *why, size_t size);

/* The same for the text of control/ssattach; it may be empty. */
int scanconf_suffixes(struct scanconf *conf, const char *text, size_t length, char *why, size_t size);

/* What the rule of the recipients' domain says, in the place of the site's. */
void scanconf_rule(struct scanconf *conf, const struct domainrule *rule);

/* Reads both files below a directory. */
int scanconf_read(struct scanconf *conf, const char *directory, char *why, size_t size);

#endif
