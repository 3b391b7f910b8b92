/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The one message that this process handles, and what its scanners share. Each of them returns -1 to go on, or the exit
 * status for qmail-smtpd, whose reason is then in the log.
 */
#ifndef SCAN_H
#define SCAN_H

#include <stddef.h>
#include "scanconf.h"
#include "scanenvelope.h"
#include "scanfile.h"
#include "scanhash.h"
#include "scanheader.h"
#include "scanmessage.h"
#include "scantext.h"

#define SCAN_TEXT_FD 4
#define SCAN_KEEP "SIMSCAN_KEEP" /* in the environment: "no" for a message that only tests the scanners */
#define SCAN_MESSAGE "message"
#define SCAN_PARTS "parts"
#define SCAN_SHARE_MIN 131072 /* the least share; a tiny file system is full before */

struct scan {
  const struct scanplaces *places;
  char *const *environment;
  struct scanconf conf;              /* the site's, and then that of the recipients' domain */
  char directory[512];
  unsigned char key[SCANHASH_KEY];
  struct scanheader header;
  struct scanenvelope envelope;
  struct scanfile_message message;
  struct scannames *names;           /* of attachments; NULL where no suffix is forbidden */
  struct scanfile_room share;        /* what this session may take of the work directory; files 0: not limited */
  long long begun;                   /* milliseconds */
  long long deadline;
  char mark[80];                     /* what is put in front of the message, or "" */
  char *marked;                      /* that and its header with SpamAssassin's marks, in the place of its own; or NULL */
  size_t marked_length;
};

extern char *const scan_environment[]; /* of a scanner */

/* ---- scanlog.c ---- */

#define SCAN_PRINTF(string, first) __attribute__((format(printf, string, first)))

/* Whether descriptor 4 is a pipe of qmail-smtpd's; to be called once, before anything is opened. */
void scan_find_listener(void);

void scan_log(const char *format, ...) SCAN_PRINTF(1, 2);

/* Logs the line with the verdict on the message; about: NULL for its subject. */
void scan_log_verdict(const struct scan *scan, const char *state, const char *about);

/* The same of a message that the qmail-queue with that process number has queued, of which qmail-smtpd is told, too. */
void scan_log_queued(const struct scan *scan, const char *state, const char *about, long queue_pid);

/* Logs why the message is put off, and returns the status for that. */
int scan_put_off(int status, const char *format, ...) SCAN_PRINTF(2, 3);

/* Refuses permanently, with a text if qmail-smtpd reads it. Returns the status. */
int scan_refuse(const char *format, ...) SCAN_PRINTF(1, 2);

/* Logs what is of note about this message, and no verdict. */
void scan_log_note(const char *format, ...) SCAN_PRINTF(1, 2);

/* The id of the message as qmail-smtpd knows it, or "". */
const char *scan_mail_id(void);

/* The exit status for the errno of a file operation. */
int scan_status_of(int error);

struct scanchild_result;

/* SCAN_LATE when the child was too slow, otherwise SCAN_TROUBLE or the like. */
int scan_late_or(const struct scanchild_result *result, int otherwise);

/* Writes the log text for a session that would exceed its share of the work directory into words. Returns words. */
const char *scan_share_words(const struct scan *scan, char *words, size_t size);

/* Puts the message off for that reason. */
int scan_above_share(const struct scan *scan);

/* Whether these words of clamd are new: not those that were logged last, of the same clamd. */
int scan_words_are_new(const struct scan *scan, const char *words);

/* ---- the scanners ---- */

/* The message as it was stored. */
struct scanfeed scan_whole(const struct scan *scan);

/* Takes the rule of the recipients' domain for the site's. */
int scan_rule(struct scan *scan);

int scan_virus(struct scan *scan);

/* Prints what clamd says of the message, asked in both ways. */
void scan_virus_test(struct scan *scan);

int scan_attachments(struct scan *scan);

/* Writes the verdict to log, once the message is queued, to state. */
int scan_spam(struct scan *scan, char *state, size_t size);

/*
 * Keeps a copy of the message, which is about to be refused, if the settings say so: of spam with its score and the rules
 * that hit, of a virus with its name. No failure of this changes what becomes of the message.
 */
void scan_keep(const struct scan *scan, const struct scantext_score *score, const char *rules, const char *virus);

/* Passes the message to qmail-queue; its answer is final. */
int scan_queue(struct scan *scan, const char *state);

#endif
