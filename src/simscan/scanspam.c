/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"
#include "scan.h"
#include "scanchild.h"
#include "scantext.h"

#define HEADER_MAX 262144    /* of SpamAssassin's answer, where its verdict is looked for */
#define ANSWER_EXTRA 1048576 /* how much longer than the message an answer may be */

static const char not_checked[] = "X-Spam-Checked: no\n";

/* SpamAssassin's answer, as it comes. */
struct answer {
  struct scanpiece *piece;
  struct scanhash hash;
  long long limit;
  long long share;  /* bytes left for the answer in the work directory */
  int our_error;    /* errno of a write here that failed, EDQUOT for the share */
  char header[HEADER_MAX];
  size_t header_length;
};

static int keep_answer(void *context, const char *said, size_t length)
{
  struct answer *answer = context;
  size_t room = sizeof answer->header - answer->header_length;

  if (answer->piece->length + (long long) length > answer->limit) {
    errno = EMSGSIZE;
    return -1;
  }
  if (answer->piece->length + (long long) length > answer->share) {
    errno = answer->our_error = EDQUOT;
    return -1;
  }
  if (scanfile_write(answer->piece->file, said, length) == -1) {
    answer->our_error = errno;
    return -1;
  }
  scanhash_add(&answer->hash, said, length);
  answer->piece->length += (long long) length;
  if (room > length) room = length;
  memcpy(answer->header + answer->header_length, said, room);
  answer->header_length += room;
  return 0;
}

/*
 * Checks that the answer is the whole message with the verdict in its header: at least as long, and the body the
 * same to the last byte. Returns NULL, or what is wrong; *error is set when the check itself fails.
 */
static const char *judge_answer(const struct scan *scan, struct answer *answer, struct scantext_score *score, int *error)
{
  const struct scanpiece *asked = &scan->message.first;
  long long header = scan->header.length;
  size_t length;
  int same;

  *error = 0;
  scanhash_end(&answer->hash, answer->piece->digest);
  if (answer->piece->length < asked->length) return "its answer is shorter than the message";
  same = scanfile_same_tail(asked, answer->piece, asked->length - header, scan->key);
  if (same == -1) {
    *error = errno;
    return errno == EBADMSG ? "its answer, or the message, has changed in the work directory" : "its answer cannot be read";
  }
  if (!same) return "its answer does not end with the message's body (report_safe must be 0)";
  /* a blank in front would continue one of the gateway's fields */
  if (answer->header[0] <= ' ' || answer->header[0] > '~') return "its answer does not begin with a field";
  length = scantext_header_length(answer->header, answer->header_length);
  if (scantext_status(answer->header, length, score) == -1) return "its answer has no X-Spam-Status with a score";
  return NULL;
}

/* Runs spamc. Returns NULL when its answer is there, or why not; *status is set when it is not spamd's fault. */
static const char *run_spamc(struct scan *scan, struct answer *answer, int *status, char *why, size_t size)
{
  char limit[24];
  char seconds[24];
  char *argv[] = {"spamc", "-F", "/dev/null", "-U", scan->conf.spamd_socket, "-x", "-l", "-s", limit, "-t", seconds, NULL};
  struct scan_said said = {{0}, 0};
  struct scanchild_tap taps[2] = {{keep_answer, answer}, {scan_keep, &said}};
  struct scanchild_feed first = {"", 0, {&scan->message.first, NULL}, scan->key};
  struct scanchild child = {scan->places->spamc, argv, scan_environment, -1, {&first, NULL}, {&taps[0], &taps[1]}, 1,
                            NULL, NULL, 0};
  struct scanchild_result result;
  char words[300];
  size_t n;

  snprintf(limit, sizeof limit, "%lld", scan->message.first.length + 1024);
  snprintf(seconds, sizeof seconds, "%d", scan->conf.deadline_seconds);
  scanchild_run(&child, scan->deadline, &result);
  if (answer->our_error) {
    *status = scan_status_of(answer->our_error);
    if (answer->our_error == EDQUOT) scan_share_words(scan, why, size);
    else snprintf(why, size, "work directory: spamc's answer: %s", strerror(answer->our_error));
    return why;
  }
  if (result.end == SCANCHILD_EXITED && result.code == 0) return NULL;
  if (result.end == SCANCHILD_TROUBLE) *status = scan_status_of(result.code);
  if (result.end == SCANCHILD_CHANGED) *status = SCAN_TROUBLE;
  scanchild_words("spamc", &result, why, size);
  n = strlen(why);
  snprintf(why + n, size - n, "%s", scan_last_words(&said, words, sizeof words));
  return why;
}

/* Asks SpamAssassin. Returns NULL with a score, or why there is no score; *status is set when it is not spamd's
 * fault. */
static const char *ask_spamd(struct scan *scan, struct scantext_score *score, int *status, char *why, size_t size)
{
  static struct answer answer;
  const char *wrong;
  int error;

  answer.piece = &scan->answer;
  answer.our_error = 0;
  answer.header_length = 0;
  answer.limit = scan->message.first.length * 2 + ANSWER_EXTRA;
  answer.share = scan->share.bytes - scan->message.length;
  scanhash_begin(&answer.hash, scan->key);
  scan->answer.file = scanfile_create(SCAN_ANSWER);
  if (scan->answer.file == -1) {
    *status = scan_status_of(errno);
    snprintf(why, size, "work directory: %s", strerror(errno));
    return why;
  }
  wrong = run_spamc(scan, &answer, status, why, size);
  if (wrong) return wrong;
  wrong = judge_answer(scan, &answer, score, &error);
  if (!wrong) return NULL;
  if (error) *status = SCAN_TROUBLE;
  snprintf(why, size, "spamc: %s", wrong);
  return why;
}

/* Handles a message that SpamAssassin did not check; returns -1 when it is to be delivered all the same, marked. */
static int unasked(struct scan *scan, int status, const char *wrong)
{
  if (status || !scan->conf.deliver_unchecked)
    return scan_put_off(status ? status : clock_ms() >= scan->deadline ? SCAN_LATE : SCAN_TROUBLE, "%s", wrong);
  scan_log("simscan:[%d]: not checked for spam: %s", (int) getppid(), wrong);
  unlink(SCAN_ANSWER);
  strcpy(scan->mark, not_checked);
  return -1;
}

/*
 * SpamAssassin gets at least the whole header, so that a small limit judges by headers. One that is longer than the
 * limit and than any mail program writes cannot be checked, not even later.
 */
static int refuse_header(const struct scan *scan)
{
  scan_log_verdict(scan, "ATTACH", "header too long");
  return scan_refuse("DYour email was rejected because its header is too long");
}

int scan_spam(struct scan *scan, char *state, size_t size)
{
  struct scantext_score score;
  const char *wrong;
  char why[600];
  int status = 0;

  if (getenv("RELAYCLIENT")) {
    snprintf(state, size, "RELAYCLIENT");
    return -1;
  }
  if (scan->header.length > HEADER_MAX && scan->header.length > scan->conf.spam_limit_bytes) return refuse_header(scan);
  wrong = ask_spamd(scan, &score, &status, why, sizeof why);
  if (wrong) {
    snprintf(state, size, "CLEAN (0.00/0.00/0.00)");
    return unasked(scan, status, wrong);
  }
  snprintf(state, size, "%s (%.2f/%.2f/%.2f)",
           score.score >= scan->conf.reject_score ? "SPAM REJECT" : score.spam ? "SPAM PASS" : "CLEAN",
           score.score, score.required, scan->conf.reject_score);
  if (score.score >= scan->conf.reject_score) {
    scan_log_verdict(scan, state, NULL);
    return scan_refuse("DYour email is considered spam (%.2f spam-hits)", score.score);
  }
  scan->deliver = &scan->answer;
  if (scan->message.rest.length == 0) return -1;
  snprintf(scan->mark, sizeof scan->mark, "X-Spam-Checked: first %lld bytes\n", scan->message.first.length);
  scan_log("simscan:[%d]: the first %lld of %lld bytes were checked for spam", (int) getppid(),
           scan->message.first.length, scan->message.length);
  return -1;
}
