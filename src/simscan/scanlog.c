/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "clock.h"
#include "scan.h"
#include "scanchild.h"
#include "scantext.h"
#include "sessionid.h"

#define LINE_MAX_BYTES 4000  /* a line of the log is one write, so lines of other sessions do not mix with it */
#define LOG_MS 2000

static int listener; /* whether qmail-smtpd reads what is written to SCAN_TEXT_FD */

void scan_find_listener(void)
{
  struct stat what;
  int flags = fcntl(SCAN_TEXT_FD, F_GETFL);

  listener = flags != -1 && (flags & O_ACCMODE) != O_RDONLY && fstat(SCAN_TEXT_FD, &what) == 0 && S_ISFIFO(what.st_mode)
             && fcntl(SCAN_TEXT_FD, F_SETFD, FD_CLOEXEC) != -1;
}

/* Writes one line to the log, in one write. A log that cannot be written does not delay the message. */
void scan_log(const char *format, ...)
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

/* Writes a text to qmail-smtpd, if it listens. */
static int tell(const char *text)
{
  struct pollfd ready = {SCAN_TEXT_FD, POLLOUT, 0};

  return listener && poll(&ready, 1, LOG_MS) == 1 ? scanfile_write(SCAN_TEXT_FD, text, strlen(text)) : -1;
}

/* The client's address as it stands between colons: one of IPv6 in brackets. */
static const char *client(void)
{
  static char address[64];
  struct in6_addr six;
  const char *given = getenv("TCPREMOTEIP");

  if (!given) return "(null)";
  if (inet_pton(AF_INET6, given, &six) == 1) {
    snprintf(address, sizeof address, "[%s]", given);
    return address;
  }
  scantext_field(given, strlen(given), 0, address, sizeof address);
  return address;
}

const char *scan_mail_id(void)
{
  const char *given = getenv("SMTPMAIL");

  return sessionid_is_message(given) ? given : "";
}

/* "id ID", or "". */
static const char *mail_id(void)
{
  static char words[SESSIONID_MESSAGE_MAX + 4];

  words[0] = 0;
  if (*scan_mail_id()) snprintf(words, sizeof words, "id %s", scan_mail_id());
  return words;
}

/* The verdict line of each message, written when the verdict is final. Nothing of the message stands before the state. */
static void log_verdict(const struct scan *scan, const char *state, const char *about, const char *queued)
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
  scan_log("simscan:[%d]:%s%s%s%s:%.4fs:%s:%s:%s:%s", (int) getppid(), mail_id(), queued, *mail_id() || *queued ? ":" : "",
           state, (double) (clock_ms() - scan->begun) / 1000, about, client(), sender, list);
}

void scan_log_verdict(const struct scan *scan, const char *state, const char *about)
{
  log_verdict(scan, state, about, "");
}

void scan_log_queued(const struct scan *scan, const char *state, const char *about, long queue_pid)
{
  char words[40];

  snprintf(words, sizeof words, "%sqp %ld", *mail_id() ? " " : "", queue_pid);
  log_verdict(scan, state, about, words);
  snprintf(words, sizeof words, "Kqp %ld\n", queue_pid);
  tell(words);
}

int scan_put_off(int status, const char *format, ...)
{
  char why[700];
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  scan_log_note("put off for %s: %s", client(), why);
  return status;
}

void scan_log_note(const char *format, ...)
{
  char text[800];
  va_list arguments;

  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  scan_log("simscan:[%d]:%s%s %s", (int) getppid(), mail_id(), *mail_id() ? ":" : "", text);
}

int scan_status_of(int error)
{
  return error == ENOMEM ? SCAN_NO_MEMORY : error == ENOSPC || error == EDQUOT || error == EFBIG ? SCAN_WRITE : SCAN_TROUBLE;
}

/* Without a reader there is only the status. */
int scan_refuse(const char *format, ...)
{
  char text[400];
  va_list arguments;

  if (!listener) return SCAN_REFUSED;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return tell(text) == -1 ? SCAN_REFUSED : SCAN_TEXT;
}

int scan_late_or(const struct scanchild_result *result, int otherwise)
{
  return result->end == SCANCHILD_LATE ? SCAN_LATE : otherwise;
}

const char *scan_share_words(const struct scan *scan, char *words, size_t size)
{
  snprintf(words, size, "work directory: No space left for one message: its share is %lld bytes, %d percent "
           "(work_share_percent)", scan->share.bytes, scan->conf.work_share_percent);
  return words;
}

int scan_above_share(const struct scan *scan)
{
  char words[200];

  return scan_put_off(SCAN_WRITE, "%s", scan_share_words(scan, words, sizeof words));
}
