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
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scanchild.h"
#include "scanconf.h"
#include "scanenvelope.h"
#include "scanfile.h"
#include "scanheader.h"
#include "scanmessage.h"
#include "scantext.h"

#define HEADER_MAX 262144    /* of SpamAssassin's answer, where its verdict is looked for */
#define ANSWER_EXTRA 1048576 /* how much longer than the message an answer may be */
#define LINE_MAX_BYTES 4000  /* a line of the log is one write, which no other session can cut in two */
#define LOG_MS 2000
#define TEXT_FD 4
#define MESSAGE "message"
#define ANSWER "spamc"
#define PARTS "parts"

static char *const scanner_environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};
static const char not_checked[] = "X-Spam-Checked: no\n";

/* Everything about the one message that this process is for. */
struct scan {
  const struct scanplaces *places;
  char *const *environment;
  struct scanconf conf;
  char directory[512];
  struct scanheader header;
  struct scanenvelope envelope;
  long long length;        /* of the message */
  long long begun;         /* milliseconds */
  long long deadline;
  const char *deliver;     /* the file that goes to qmail-queue */
  long long deliver_length;
  const char *mark;        /* what is put in front of it */
};

static int listener; /* whether somebody reads what is written to TEXT_FD */

struct text {
  char bytes[8192];
  size_t length;
};

static int keep_text(void *context, const char *said, size_t length)
{
  struct text *text = context;
  size_t room = sizeof text->bytes - text->length;

  if (length > room) length = room;
  memcpy(text->bytes + text->length, said, length);
  text->length += length;
  return 0;
}

/* The last line of what a program said, for a reason in the log; "" when it said nothing. */
static const char *last_words(const struct text *text, char *words, size_t size)
{
  size_t end = text->length;
  size_t begin;

  while (end > 0 && (text->bytes[end - 1] == '\n' || text->bytes[end - 1] == '\r' || text->bytes[end - 1] == ' ')) --end;
  for (begin = end; begin > 0 && text->bytes[begin - 1] != '\n'; --begin) continue;
  snprintf(words, size, "%s", end > begin ? ": " : "");
  if (end > begin && size > 3) scantext_field(text->bytes + begin, end - begin, 0, words + 2, size - 2);
  return words;
}

/* One line for the log, in one write. A log that takes nothing any more holds up no message. */
static void log_line(const char *format, ...)
{
  struct pollfd ready = {2, POLLOUT, 0};
  char line[LINE_MAX_BYTES];
  va_list arguments;
  int n;

  va_start(arguments, format);
  n = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (n < 0) return;
  if ((size_t) n > sizeof line - 2) n = sizeof line - 2;
  line[n++] = '\n';
  if (poll(&ready, 1, LOG_MS) == 1 && write(2, line, (size_t) n) == -1) return;
}

static const char *client(void)
{
  static char address[64];
  const char *given = getenv("TCPREMOTEIP");

  if (!given) return "(null)";
  scantext_field(given, strlen(given), 0, address, sizeof address);
  return address;
}

/* The line that says what became of the message: one for each, written when nothing can change it any more. */
static void log_verdict(const struct scan *scan, const char *state, const char *about)
{
  char subject[SCANHEADER_SUBJECT + 1];
  char sender[512];
  char list[2500];
  size_t n;

  if (!about) {
    scantext_field(scan->header.subject, scan->header.subject_length, 0, subject, sizeof subject);
    about = subject;
  }
  n = scantext_field(scan->envelope.sender, strlen(scan->envelope.sender), 0, sender, sizeof sender);
  scantext_lower(sender, n);
  scanenvelope_list(&scan->envelope, list, sizeof list);
  log_line("simscan:[%d]:%s:%.4fs:%s:%s:%s:%s", (int) getppid(), state,
           (double) (scanchild_now() - scan->begun) / 1000, about, client(), sender, list);
}

/* Says why the message is put off, and returns the status for that. */
static int put_off(int status, const char *format, ...)
{
  char why[700];
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  log_line("simscan:[%d]: put off for %s: %s", (int) getppid(), client(), why);
  return status;
}

static int status_of(int error)
{
  return error == ENOMEM ? SCAN_NO_MEMORY : error == ENOSPC || error == EDQUOT || error == EFBIG ? SCAN_WRITE : SCAN_TROUBLE;
}

/* Refuses for good. Who listens on descriptor 4 hears why; without a listener the status alone must do. */
static int refuse(const char *format, ...)
{
  struct pollfd ready = {TEXT_FD, POLLOUT, 0};
  char text[400];
  va_list arguments;

  if (!listener) return SCAN_REFUSED;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (poll(&ready, 1, LOG_MS) != 1 || scanfile_write(TEXT_FD, text, strlen(text)) == -1) return SCAN_REFUSED;
  return SCAN_TEXT;
}

static int late_or(const struct scanchild_result *result, int otherwise)
{
  return result->end == SCANCHILD_LATE ? SCAN_LATE : otherwise;
}

/* ---- clamdscan ---- */

/* -1: no virus, go on; else the exit status. */
static int scan_virus(struct scan *scan)
{
  char config[SCANCONF_PATH + 20];
  char *argv[] = {"clamdscan", config, "--stream", "--no-summary", "--stdout", MESSAGE, NULL};
  struct text said = {{0}, 0};
  struct scanchild_tap tap = {keep_text, &said};
  struct scanchild child = {scan->places->clamdscan, argv, scanner_environment, -1, {0}, {&tap, &tap}, 1, 0};
  struct scanchild_result result;
  char name[200];
  char why[200];
  char words[300];

  snprintf(config, sizeof config, "--config-file=%s", scan->conf.clamd_config);
  scanchild_run(&child, scan->deadline, &result);
  if (result.end == SCANCHILD_EXITED)
    switch (scantext_clamdscan(said.bytes, said.length, result.code, name, sizeof name)) {
      case SCANTEXT_CLEAN: return -1;
      case SCANTEXT_VIRUS:
        log_verdict(scan, "VIRUS", name);
        return refuse("DYour email was rejected because it contains the %s virus", name);
      case SCANTEXT_UNCLEAR: break;
    }
  return put_off(late_or(&result, SCAN_TROUBLE), "%s%s", scanchild_words("clamdscan", &result, why, sizeof why),
                 last_words(&said, words, sizeof words));
}

/* ---- attachments ---- */

static int scan_attachments(struct scan *scan)
{
  char *argv[] = {"ripmime", "--disable-qmail-bounce", "-i", MESSAGE, "-d", PARTS, NULL};
  struct scanchild child = {scan->places->ripmime, argv, scanner_environment, -1, {0}, {0}, 1, 0};
  struct scanchild_result result;
  char name[200];
  char why[200];

  if (scan->conf.suffix_count == 0) return -1;
  if (mkdir(PARTS, 0700) == -1) return put_off(status_of(errno), "work directory: %s", strerror(errno));
  scanchild_run(&child, scan->deadline, &result);
  if (result.end != SCANCHILD_EXITED || result.code != 0)
    return put_off(late_or(&result, SCAN_TROUBLE), "%s", scanchild_words("ripmime", &result, why, sizeof why));
  /* ripmime does not say when it cannot write a part */
  if (scanfile_full()) return put_off(SCAN_WRITE, "work directory: no room for the parts of the message");
  switch (scanfile_find(PARTS, scan->conf.suffixes[0], SCANCONF_SUFFIX, scan->conf.suffix_count, name, sizeof name)) {
    case 0: break;
    case 1:
      log_verdict(scan, "ATTACH", name);
      return refuse("DYour email was rejected because it contains a bad attachment: %s", name);
    default: return put_off(SCAN_TROUBLE, "work directory: %s", strerror(errno));
  }
  scanfile_leave(PARTS);
  return -1;
}

/* ---- spamc ---- */

struct answer {
  int file;
  long long length;
  long long limit;
  int our_error;  /* errno of a write of ours that failed */
};

static int keep_answer(void *context, const char *said, size_t length)
{
  struct answer *answer = context;

  answer->length += (long long) length;
  if (answer->length > answer->limit) {
    errno = EMSGSIZE;
    return -1;
  }
  if (scanfile_write(answer->file, said, length) == 0) return 0;
  answer->our_error = errno;
  return -1;
}

/*
 * Whether the answer is the whole message with SpamAssassin's verdict in its header: at least as long, the body the
 * same to the last byte. Returns NULL, or what is wrong; *error is set when it is this side that cannot tell.
 */
static const char *judge_answer(const struct scan *scan, int message, const struct answer *answer,
                                struct scantext_score *score, int *error)
{
  static char header[HEADER_MAX];
  size_t length;
  ssize_t got;
  int same;

  *error = 0;
  if (answer->length < scan->length) return "its answer is shorter than the message";
  do got = pread(message, header, sizeof header, 0); while (got == -1 && errno == EINTR);
  if (got == -1) { *error = errno; return "the message cannot be read"; }
  length = scantext_header_length(header, (size_t) got);
  same = scanfile_same_tail(message, scan->length, answer->file, answer->length, scan->length - (long long) length);
  if (same == -1) { *error = errno; return "its answer cannot be read"; }
  if (!same) return "its answer does not end with the message's body (report_safe must be 0)";
  do got = pread(answer->file, header, sizeof header, 0); while (got == -1 && errno == EINTR);
  if (got == -1) { *error = errno; return "its answer cannot be read"; }
  length = scantext_header_length(header, (size_t) got);
  if (scantext_status(header, length, score) == -1) return "its answer has no X-Spam-Status with a score";
  return NULL;
}

/* Asks SpamAssassin. Returns NULL with a score, or why there is none; *status is set when it is not spamd's fault. */
static const char *ask_spamd(struct scan *scan, struct scantext_score *score, int *status, char *why, size_t size)
{
  char limit[24];
  char seconds[24];
  char *argv[] = {"spamc", "-F", "/dev/null", "-U", scan->conf.spamd_socket, "-x", "-l", "-s", limit, "-t", seconds, NULL};
  struct text said = {{0}, 0};
  struct answer answer = {-1, 0, scan->length * 2 + ANSWER_EXTRA, 0};
  struct scanchild_tap taps[2] = {{keep_answer, &answer}, {keep_text, &said}};
  struct scanchild child = {scan->places->spamc, argv, scanner_environment, -1, {0}, {&taps[0], &taps[1]}, 1, 0};
  struct scanchild_result result;
  const char *wrong = NULL;
  char words[300];
  int error = 0;
  int message;

  *status = 0;
  snprintf(limit, sizeof limit, "%lld", scan->length + 1024);
  snprintf(seconds, sizeof seconds, "%d", scan->conf.deadline_seconds);
  message = open(MESSAGE, O_RDONLY | O_CLOEXEC);
  answer.file = open(ANSWER, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (message == -1 || answer.file == -1) {
    *status = status_of(errno);
    snprintf(why, size, "work directory: %s", strerror(errno));
    wrong = why;
  } else {
    child.input = message;
    scanchild_run(&child, scan->deadline, &result);
    if (answer.our_error) {
      *status = status_of(answer.our_error);
      snprintf(why, size, "work directory: spamc's answer: %s", strerror(answer.our_error));
      wrong = why;
    } else if (result.end != SCANCHILD_EXITED || result.code != 0) {
      if (result.end == SCANCHILD_TROUBLE) *status = status_of(result.code);
      scanchild_words("spamc", &result, why, size);
      error = (int) strlen(why);
      last_words(&said, words, sizeof words);
      snprintf(why + error, size - (size_t) error, "%s", words);
      wrong = why;
    } else {
      wrong = judge_answer(scan, message, &answer, score, &error);
      if (error) *status = SCAN_TROUBLE;
      if (wrong) snprintf(why, size, "spamc: %s", wrong);
    }
  }
  if (message != -1) close(message);
  if (answer.file != -1 && close(answer.file) == -1 && !wrong) {
    *status = status_of(errno);
    snprintf(why, size, "work directory: %s", strerror(errno));
    wrong = why;
  }
  if (wrong) return why;
  scan->deliver = ANSWER;
  scan->deliver_length = answer.length;
  return NULL;
}

/* -1: go on, state being what is said of the message once it is queued; else the exit status. */
static int scan_spam(struct scan *scan, char *state, size_t size)
{
  struct scantext_score score;
  const char *wrong;
  char why[600];
  int status = 0;

  if (getenv("RELAYCLIENT")) {
    snprintf(state, size, "RELAYCLIENT");
    return -1;
  }
  if (scan->length > scan->conf.spam_limit_bytes) {
    wrong = why;
    snprintf(why, sizeof why, "%lld bytes are above the limit of %lld", scan->length, scan->conf.spam_limit_bytes);
  } else {
    wrong = ask_spamd(scan, &score, &status, why, sizeof why);
    if (wrong && (status || !scan->conf.deliver_unchecked))
      return put_off(status ? status : scanchild_now() >= scan->deadline ? SCAN_LATE : SCAN_TROUBLE, "%s", wrong);
  }
  if (wrong) {
    log_line("simscan:[%d]: not checked for spam: %s", (int) getppid(), wrong);
    unlink(ANSWER);
    snprintf(state, size, "CLEAN (0.00/0.00/0.00)");
    scan->mark = not_checked;
    return -1;
  }
  snprintf(state, size, "%s (%.2f/%.2f/%.2f)",
           score.score >= scan->conf.reject_score ? "SPAM REJECT" : score.spam ? "SPAM PASS" : "CLEAN",
           score.score, score.required, scan->conf.reject_score);
  if (score.score < scan->conf.reject_score) return -1;
  log_verdict(scan, state, NULL);
  return refuse("DYour email is considered spam (%.2f spam-hits)", score.score);
}

/* ---- qmail-queue ---- */

/* What qmail-smtpd can be told of an exit status of qmail-queue's: known ones as they are, others as a trouble. */
static int passed_on(int code)
{
  static const char known[] = {11, 31, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64, 65, 66, 71, 72, 73, 74, 81, 91};

  return code > 0 && code < 128 && memchr(known, code, sizeof known) ? code : SCAN_TROUBLE;
}

static int queue(struct scan *scan, const char *state)
{
  char *argv[] = {"qmail-queue", NULL};
  struct scanchild_feed message = {scan->mark, strlen(scan->mark), -1, scan->deliver_length};
  struct scanchild_feed envelope = {scan->envelope.bytes, scan->envelope.length, -1, 0};
  /* what has all of the message may come to its end; killed then, it may have queued it, and a duplicate comes */
  int milliseconds = scan->conf.deadline_seconds * 1000;
  struct scanchild child = {scan->places->qmail_queue, argv, scan->environment, -1, {&message, &envelope}, {0}, 0,
                            milliseconds};
  struct scanchild_result result;
  sigset_t set;
  char why[200];

  message.file = open(scan->deliver, O_RDONLY | O_CLOEXEC);
  if (message.file == -1) return put_off(status_of(errno), "work directory: %s", strerror(errno));
  /* from here on the message may be queued at any time; nobody's signal turns that into "try again" */
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  scanchild_run(&child, scanchild_now() + milliseconds, &result);
  close(message.file);
  if (result.end == SCANCHILD_EXITED && result.code == 0 && result.fed) {
    log_verdict(scan, state, strcmp(state, "RELAYCLIENT") == 0 ? "-" : NULL);
    return SCAN_QUEUED;
  }
  if (result.end == SCANCHILD_EXITED && result.code == 0)
    return put_off(SCAN_TROUBLE, "qmail-queue exited before it had read the message");
  scanchild_words("qmail-queue", &result, why, sizeof why);
  return put_off(result.end == SCANCHILD_EXITED ? passed_on(result.code) : late_or(&result, SCAN_TROUBLE), "%s", why);
}

/* ---- the whole ---- */

static int take_in(struct scan *scan)
{
  switch (scanfile_store(0, MESSAGE, &scan->header, &scan->length)) {
    case SCANFILE_STORED: break;
    case SCANFILE_UNREAD: return put_off(SCAN_READ, "message: %s", strerror(errno));
    case SCANFILE_UNWRITTEN: return put_off(status_of(errno), "work directory: %s", strerror(errno));
  }
  switch (scanenvelope_read(&scan->envelope, 1)) {
    case SCANENVELOPE_GOOD: break;
    case SCANENVELOPE_SHORT: return put_off(SCAN_READ, "the client left before its message was complete");
    case SCANENVELOPE_BAD: return put_off(SCAN_ENVELOPE, "envelope cannot be understood");
    case SCANENVELOPE_FAILED: return put_off(status_of(errno), "envelope: %s", strerror(errno));
  }
  if (scan->length == 0) return put_off(SCAN_READ, "message is empty");
  return -1;
}

static int judge(struct scan *scan)
{
  char state[100];
  int status = take_in(scan);

  scan->begun = scanchild_now();
  scan->deadline = scan->begun + scan->conf.deadline_seconds * 1000LL;
  scan->deliver = MESSAGE;
  scan->deliver_length = scan->length;
  scan->mark = "";
  if (status == -1) status = scan_virus(scan);
  if (status == -1) status = scan_attachments(scan);
  if (status == -1) status = scan_spam(scan, state, sizeof state);
  return status == -1 ? queue(scan, state) : status;
}

/* Whether descriptor 4 is a pipe of qmail-smtpd's, and not something else that was left open. */
static int find_listener(void)
{
  struct stat what;
  int flags = fcntl(TEXT_FD, F_GETFL);

  return flags != -1 && (flags & O_ACCMODE) != O_RDONLY && fstat(TEXT_FD, &what) == 0 && S_ISFIFO(what.st_mode)
         && fcntl(TEXT_FD, F_SETFD, FD_CLOEXEC) != -1;
}

int scanmessage(const struct scanplaces *places, char *const *environment)
{
  static struct scan scan;
  char why[600];
  int fd;
  int status;

  /* what is opened here must never become one of the descriptors that mean something */
  for (fd = 0; fd < 3; ++fd)
    if (fcntl(fd, F_GETFD) == -1) return SCAN_TROUBLE;
  listener = find_listener();
  umask(077);
  scan.places = places;
  scan.environment = environment;
  if (scanchild_prepare() == -1) return put_off(SCAN_TROUBLE, "signals: %s", strerror(errno));
  if (scanconf_read(&scan.conf, places->control, why, sizeof why) == -1) return put_off(SCAN_SETTINGS, "%s", why);
  if (scanfile_enter(places->work_directory, scan.directory, sizeof scan.directory) == -1)
    return put_off(status_of(errno), "work directory %s: %s", places->work_directory, strerror(errno));
  status = judge(&scan);
  scanfile_leave(scan.directory);
  return status;
}
