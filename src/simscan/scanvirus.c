/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "clamdask.h"
#include "scan.h"
#include "scanconnect.h"

/*
 * clamd answers OK for a part that it could not unpack for lack of space. So its answer counts only when there was
 * space before, after, and at each check: more than it can fill and empty again between two checks.
 */
static int look(void *context)
{
  const struct scanconf *conf = &((const struct scan *) context)->conf;
  struct scanfile_room room;

  if (conf->clamd_temporary_directory[0] == 0) return 0;
  if (scanfile_free(conf->clamd_temporary_directory, &room) == -1) return -1;
  if (room.bytes >= conf->clamd_reserve_bytes && (room.files == -1 || room.files >= conf->clamd_reserve_files)) return 0;
  errno = ENOSPC;
  return -1;
}

static int no_room(const struct scan *scan, int error)
{
  const struct scanconf *conf = &scan->conf;

  if (error != ENOSPC)
    return scan_put_off(scan_status_of(error), "clamd's temporary directory %s: %s", conf->clamd_temporary_directory,
                        strerror(error));
  return scan_put_off(SCAN_WRITE, "clamd's temporary directory %s has not %lld bytes and %lld files free "
                      "(clamd_reserve_bytes, clamd_reserve_files)", conf->clamd_temporary_directory,
                      conf->clamd_reserve_bytes, conf->clamd_reserve_files);
}

/* What a verdict means for the message: -1 go on, 0 it is not a verdict. */
static int judge(const struct scan *scan, const struct clamdask *answer)
{
  char name[200];

  switch (clamdask_judge(answer, name, sizeof name)) {
    case CLAMDASK_CLEAN: return -1;
    case CLAMDASK_VIRUS:
      scan_log_verdict(scan, "VIRUS", name);
      scan_keep(scan, NULL, NULL, name);
      return scan_refuse("DYour email was rejected because it contains the %s virus", name);
    case CLAMDASK_LIMIT:
      scan_log_verdict(scan, "LIMIT", name);
      return scan_refuse("DYour email was rejected because it is more than the virus scanner looks at: %s", name);
    case CLAMDASK_HEURISTIC:
      scan_log_verdict(scan, "HEURISTIC", name);
      return scan_refuse("DYour email was rejected because it looks suspicious: %s", name);
    case CLAMDASK_LATE: return scan_put_off(SCAN_LATE, "clamd has taken too long: %s", name);
    case CLAMDASK_UNCLEAR: break;
  }
  return 0;
}

/* One question to clamd, and what became of it. */
struct question {
  struct scan *scan;
  struct clamdask answer;
  struct scanconnect_result result;
  char why[400];
  int test;    /* only asked: nothing is logged, or refused */
};

/* Asks. Returns -1 to go on, the status for qmail-smtpd, or 0 with why there is no verdict. */
static int ask(struct question *q, enum scanconnect_how how, const struct scanfeed *feed, int descriptor)
{
  const struct scan *scan = q->scan;
  struct scanchild_tap tap = {clamdask_take, &q->answer};
  struct scanchild_watch watch = {look, q->scan};
  struct scanconnect clamd = {scan->conf.clamd_socket, how, feed, descriptor, &tap, &watch};
  char words[300];

  clamdask_begin(&q->answer);
  scanconnect_run(&clamd, scan->deadline, &q->result);
  if (q->result.end == SCANCONNECT_STOPPED && q->result.code != EMSGSIZE) return no_room(scan, q->result.code);
  scanconnect_words("clamd", &q->result, q->why, sizeof q->why);
  if (q->result.end != SCANCONNECT_ANSWERED) return 0;
  if (q->answer.length == 0) snprintf(q->why, sizeof q->why, "clamd has closed the connection without an answer");
  else snprintf(q->why, sizeof q->why, "clamd says: %s", clamdask_words(&q->answer, words, sizeof words));
  if (!q->result.fed && clamdask_judge(&q->answer, words, sizeof words) == CLAMDASK_CLEAN) {
    snprintf(q->why, sizeof q->why, "clamd has answered before it had the message");
    return 0;
  }
  return q->test ? 0 : judge(scan, &q->answer);
}

/*
 * By descriptor clamd reads the message where it lies. It answers OK for what it cannot read, so the descriptor is one for
 * reading, of a file that is as long as the message and was not changed since it was stored, before and after.
 */
static int ask_by_descriptor(struct question *q)
{
  static const char command[] = CLAMDASK_DESCRIPTOR;
  struct scanfeed feed = {command, sizeof command, {NULL}, NULL};
  int fd = scanfile_open_stored(SCAN_MESSAGE, &q->scan->message);
  int status;

  q->result.end = SCANCONNECT_TROUBLE;
  if (fd == -1 || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY || !scanfile_is_as_stored(fd, &q->scan->message)) {
    snprintf(q->why, sizeof q->why, "the message's file cannot be given to clamd: %s",
             fd == -1 ? strerror(errno) : "it is not what was written there");
    if (fd != -1) close(fd);
    return 0;
  }
  status = ask(q, SCANCONNECT_DESCRIPTOR, &feed, fd);
  if (status == -1 && !scanfile_is_as_stored(fd, &q->scan->message)) {
    q->result.end = SCANCONNECT_CHANGED;
    scanconnect_words("clamd", &q->result, q->why, sizeof q->why);
    status = 0;
  }
  close(fd);
  return status;
}

/* By stream it gets the bytes from here, which proves them on the way. */
static int ask_by_stream(struct question *q)
{
  static const char command[] = CLAMDASK_STREAM;
  struct scanfeed feed = scan_whole(q->scan);

  feed.bytes = command;
  feed.count = sizeof command;
  return ask(q, SCANCONNECT_CHUNKS, &feed, -1);
}

/*
 * By descriptor clamd answers OK, too, for a message whose parts it cannot unpack because it may not write to its temporary
 * directory. An empty stream is a file that it makes there: when that fails, so does this.
 */
static int prove_that_it_writes(struct question *q)
{
  static const char command[] = CLAMDASK_STREAM;
  struct scanfeed empty = {command, sizeof command, {NULL}, NULL};

  return ask(q, SCANCONNECT_CHUNKS, &empty, -1);
}

/* Whether asking once more, in another way, may help. */
static int may_help(const struct question *q)
{
  return q->result.end != SCANCONNECT_NONE && q->result.end != SCANCONNECT_LATE && q->result.end != SCANCONNECT_CHANGED;
}

int scan_virus(struct scan *scan)
{
  static struct question q;
  const char *words;
  int status;

  q.scan = scan;
  q.test = 0;
  if (look(scan) == -1) return no_room(scan, errno);
  status = ask_by_descriptor(&q);
  if (status == -1) status = prove_that_it_writes(&q);
  if (status == 0 && may_help(&q)) {
    words = strchr(q.why, ']'); /* the number of clamd's descriptor is another each time */
    if (scan_words_are_new(scan, words ? words : q.why))
      scan_log("simscan:[%d]: %s (asked by descriptor; asking by stream)", (int) getppid(), q.why);
    status = ask_by_stream(&q);
  }
  if (status != 0) return status;
  return scan_put_off(q.result.end == SCANCONNECT_LATE ? SCAN_LATE : SCAN_TROUBLE, "%s", q.why);
}

void scan_virus_test(struct scan *scan)
{
  static struct question q;

  q.scan = scan;
  q.test = 1;
  ask_by_descriptor(&q);
  printf("by descriptor, %s\n", q.why);
  ask_by_stream(&q);
  printf("by stream, %s\n", q.why);
}
