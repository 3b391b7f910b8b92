/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "clock.h"
#include "scan.h"
#include "scanchild.h"

/* The status for qmail-smtpd from an exit status of qmail-queue: known ones unchanged, others as a trouble. */
static int passed_on(int code)
{
  static const char known[] = {11, 31, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64, 65, 66, 71, 72, 73, 74, 81, 91};

  return code > 0 && code < 128 && memchr(known, code, sizeof known) ? code : SCAN_TROUBLE;
}

/* From here on the message may be queued at any time; no signal may turn that into "try again". */
static void hear_no_signals(void)
{
  sigset_t set;

  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, NULL);
}

int scan_queue(struct scan *scan, const char *state)
{
  char *argv[] = {"qmail-queue", NULL};
  /* the envelope is sent only if the scanners had exactly this message; without an envelope nothing is queued */
  struct scanfeed message = scan_whole(scan);
  struct scanfeed envelope = {scan->envelope.bytes, scan->envelope.length, {NULL}, NULL};
  /* once it has the whole message it may finish: killed then, it may have queued it, and the client sends it again */
  int milliseconds = scan->conf.deadline_seconds * 1000;
  struct scanchild child = {scan->places->qmail_queue, argv, scan->environment, -1, {&message, &envelope}, {NULL, NULL}, 0,
                            NULL, NULL, milliseconds};
  struct scanchild_result result;
  char why[200];

  if (scan->marked) { /* the mark is in it */
    message.bytes = scan->marked;
    message.count = scan->marked_length;
    message.pieces[0] = &scan->message.body;
    message.pieces[1] = &scan->message.rest;
    message.pieces[2] = NULL;
  } else {
    message.bytes = scan->mark;
    message.count = strlen(scan->mark);
  }
  hear_no_signals();
  scanchild_run(&child, clock_ms() + milliseconds, &result);
  if (result.end == SCANCHILD_EXITED && result.code == 0 && result.fed) {
    scan_log_queued(scan, state, strcmp(state, "RELAYCLIENT") == 0 ? "-" : NULL, result.pid);
    return SCAN_QUEUED;
  }
  if (result.end == SCANCHILD_EXITED && result.code == 0)
    return scan_put_off(SCAN_TROUBLE, "qmail-queue exited before it had read the message");
  scanchild_words("qmail-queue", &result, why, sizeof why);
  return scan_put_off(result.end == SCANCHILD_EXITED ? passed_on(result.code) : scan_late_or(&result, SCAN_TROUBLE), "%s",
                      why);
}
