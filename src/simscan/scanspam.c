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
#include "scanconnect.h"
#include "scancopy.h"
#include "scanmarks.h"
#include "spamdask.h"

#define HEADER_MAX 262144   /* the longest header that any program writes */
#define ANSWER_EXTRA 262144 /* how much longer than the header SpamAssassin's may be */
#define USER "simscan"      /* on whose behalf it judges, as its log says */

static const char not_checked[] = "X-Spam-Checked: no\n";

static const char *no_memory(int *status)
{
  *status = SCAN_NO_MEMORY;
  return strerror(ENOMEM);
}

/* Reads the message's header back from its file into to. Returns NULL, or why it cannot be; *status is set then. */
static const char *read_header(const struct scan *scan, char *to, int *status)
{
  static struct scanfeed_reader reader;
  struct scanfeed header = {"", 0, {&scan->message.header}, scan->key};
  int got;

  scanfeed_begin(&reader, &header);
  for (; (got = scanfeed_fill(&reader)) == 1; reader.begin = reader.end) {
    memcpy(to, reader.block, reader.end);
    to += reader.end;
  }
  if (got == 0) return NULL;
  *status = errno == EBADMSG ? SCAN_TROUBLE : scan_status_of(errno);
  return errno == EBADMSG ? "the message in the work directory is not what was written there" : strerror(errno);
}

/* Puts the answer's marks into the message's own header. */
static const char *merge(struct scan *scan, const char *said, size_t said_length, const char *tag, int *status)
{
  size_t length = (size_t) scan->message.header.length;
  size_t mark = strlen(scan->mark);
  char *own = malloc(length + 1);
  const char *wrong = own ? read_header(scan, own, status) : no_memory(status);
  size_t more = wrong || !tag ? 0 : scanmarks_tags(own, length, tag);

  if (!wrong && !(scan->marked = malloc(mark + length + said_length + SCANMARKS_MORE + more))) wrong = no_memory(status);
  if (!wrong) {
    memcpy(scan->marked, scan->mark, mark);
    scan->marked_length = mark + (tag ? scanmarks_tag(own, length, said, said_length, tag, scan->marked + mark)
                                      : scanmarks_merge(own, length, said, said_length, scan->marked + mark));
  }
  free(own);
  return wrong;
}

/* The same with the verdict, and the subject, as the recipients' domain wants them. */
static const char *merge_by_rule(struct scan *scan, struct spamdask *answer, int *status)
{
  struct scantext_score *verdict = &answer->verdict;
  char *judged = malloc(answer->length + SCANMARKS_VERDICT);
  const char *wrong;
  size_t length;

  if (!judged) return no_memory(status);
  if (scan->conf.mark_score > 0) {
    verdict->required = scan->conf.mark_score;
    verdict->spam = verdict->score >= verdict->required;
  }
  length = scanmarks_judge(answer->header, answer->length, verdict->spam, verdict->required, judged);
  wrong = length > 0 ? merge(scan, judged, length, verdict->spam ? scan->conf.tag : "", status)
                     : "its answer has an X-Spam-Status that cannot be changed";
  free(judged);
  return wrong;
}

/*
 * Checks the answer, and puts its marks into the message's header. Returns NULL, or what is wrong; *status is set when
 * that is not spamd's fault.
 */
static const char *mark_header(struct scan *scan, struct spamdask *answer, int *status)
{
  struct scantext_score shown;
  const char *wrong = spamdask_wrong(answer);

  if (wrong) return wrong;
  /* a blank in front would continue one of the gateway's fields */
  if (answer->length == 0 || answer->header[0] <= ' ' || answer->header[0] > '~')
    return "its answer does not begin with a field";
  if (scantext_status(answer->header, answer->length, &shown) == -1) return "its answer has no X-Spam-Status with a score";
  if (shown.spam != answer->verdict.spam) return "its answer has two verdicts";
  if (scan->conf.mark_score > 0 || scan->conf.tags) return merge_by_rule(scan, answer, status);
  return merge(scan, answer->header, answer->length, NULL, status);
}

/* Asks SpamAssassin. Returns NULL with the header marked, or why not; *status is set when it is not spamd's fault. */
static const char *ask_spamd(struct scan *scan, struct spamdask *answer, int *status, char *why, size_t size)
{
  char head[SPAMDASK_QUESTION];
  struct scanfeed question = {head, 0, {&scan->message.header, &scan->message.body}, scan->key};
  struct scanchild_tap tap = {spamdask_take, answer};
  struct scanconnect spamd = {scan->conf.spamd_socket, SCANCONNECT_WHOLE, &question, -1, &tap, NULL};
  struct scanconnect_result result;
  const char *wrong;

  question.count = spamdask_question(scan->message.header.length + scan->message.body.length, USER, head);
  scanconnect_run(&spamd, scan->deadline, &result);
  if (result.end == SCANCONNECT_TROUBLE) *status = scan_status_of(result.code);
  if (result.end == SCANCONNECT_CHANGED) *status = SCAN_TROUBLE;
  scanconnect_words("spamd", &result, why, size);
  if (result.end != SCANCONNECT_ANSWERED) return why;
  wrong = result.fed || answer->state == SPAMDASK_WRONG ? mark_header(scan, answer, status)
                                                        : "it has answered before it had the message";
  if (!wrong) return NULL;
  snprintf(why, size, "spamd: %s%s%s", wrong, answer->words[0] ? ": " : "", answer->words);
  return why;
}

/* Handles a message that SpamAssassin did not check; returns -1 when it is to be delivered all the same, marked. */
static int unasked(struct scan *scan, int status, const char *wrong)
{
  if (status || !scan->conf.deliver_unchecked)
    return scan_put_off(status ? status : clock_ms() >= scan->deadline ? SCAN_LATE : SCAN_TROUBLE, "%s", wrong);
  scan_log("simscan:[%d]: not checked for spam: %s", (int) getppid(), wrong);
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
  static struct spamdask answer;
  const struct scantext_score *score = &answer.verdict;
  long long judged = scan->message.header.length + scan->message.body.length;
  const char *wrong;
  char *header;
  char rules[SCANCOPY_RULES];
  char why[600];
  int status = 0;

  if (getenv("RELAYCLIENT")) {
    snprintf(state, size, "RELAYCLIENT");
    return -1;
  }
  if (scan->header.length > HEADER_MAX && scan->header.length > scan->conf.spam_limit_bytes) return refuse_header(scan);
  if (scan->message.rest.length > 0)
    snprintf(scan->mark, sizeof scan->mark, "X-Spam-Checked: first %lld bytes\n", judged);
  header = malloc((size_t) scan->header.length + ANSWER_EXTRA);
  spamdask_begin(&answer, header, (size_t) scan->header.length + ANSWER_EXTRA);
  wrong = header ? ask_spamd(scan, &answer, &status, why, sizeof why) : no_memory(&status);
  free(header);
  if (wrong) {
    snprintf(state, size, "CLEAN (0.00/0.00/0.00)");
    return unasked(scan, status, wrong);
  }
  snprintf(state, size, "%s (%.2f/%.2f/%.2f)",
           score->score >= scan->conf.reject_score ? "SPAM REJECT" : score->spam ? "SPAM PASS" : "CLEAN",
           score->score, score->required, scan->conf.reject_score);
  if (score->score >= scan->conf.reject_score) {
    scan_log_verdict(scan, state, NULL);
    scancopy_rules(scan->marked, scan->marked_length, rules, sizeof rules);
    scan_keep(scan, score, rules, NULL);
    return scan_refuse("DYour email is considered spam (%.2f spam-hits)", score->score);
  }
  if (scan->message.rest.length == 0) return -1;
  scan_log("simscan:[%d]: the first %lld of %lld bytes were checked for spam", (int) getppid(), judged,
           scan->message.length);
  return -1;
}
