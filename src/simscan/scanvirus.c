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
#include <string.h>
#include <unistd.h>
#include "scan.h"
#include "scanchild.h"
#include "scantext.h"

/* The output of clamdscan: its verdict on descriptor 1, warnings and errors on 2, and both in order. */
struct words {
  struct scan_said out;
  struct scan_said err;
  struct scan_said all;
};

static int keep_out(void *context, const char *bytes, size_t length)
{
  struct words *words = context;

  scan_keep(&words->all, bytes, length);
  return scan_keep(&words->out, bytes, length);
}

static int keep_err(void *context, const char *bytes, size_t length)
{
  struct words *words = context;

  scan_keep(&words->all, bytes, length);
  return scan_keep(&words->err, bytes, length);
}

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

/* A warning that comes with each message is logged once. */
static void log_warnings(const struct scan *scan, const struct scan_said *err)
{
  const char *line = err->bytes;
  const char *stop = err->bytes + err->length;
  const char *end;
  char field[300];

  if (err->length == 0 || !scan_words_are_new(scan, err)) return;
  for (; line < stop; line = end + 1) {
    end = memchr(line, '\n', (size_t) (stop - line));
    if (!end) end = stop;
    if (scantext_field(line, (size_t) (end - line), 0, field, sizeof field) > 0)
      scan_log("simscan:[%d]: clamdscan says: %s", (int) getppid(), field);
  }
}

/* What a verdict means for the message: -1 go on, 0 it is not a verdict. */
static int judge(const struct scan *scan, const struct words *words, const struct scanchild_result *result)
{
  char name[200];

  if (scantext_error(words->err.bytes, words->err.length)) return 0;
  switch (scantext_clamdscan(words->out.bytes, words->out.length, result->code, name, sizeof name)) {
    case SCANTEXT_CLEAN:
      if (!result->fed) return scan_put_off(SCAN_TROUBLE, "clamdscan exited before it had read the message");
      log_warnings(scan, &words->err);
      return -1;
    case SCANTEXT_VIRUS:
      scan_log_verdict(scan, "VIRUS", name);
      return scan_refuse("DYour email was rejected because it contains the %s virus", name);
    case SCANTEXT_LIMIT:
      scan_log_verdict(scan, "LIMIT", name);
      return scan_refuse("DYour email was rejected because it is more than the virus scanner looks at: %s", name);
    case SCANTEXT_HEURISTIC:
      scan_log_verdict(scan, "HEURISTIC", name);
      return scan_refuse("DYour email was rejected because it looks suspicious: %s", name);
    case SCANTEXT_LATE: return scan_put_off(SCAN_LATE, "clamd has taken too long: %s", name);
    case SCANTEXT_UNCLEAR: break;
  }
  return 0;
}

int scan_virus(struct scan *scan)
{
  static struct words words;
  char config[SCANCONF_PATH + 20];
  /* clamdscan reads the message from this process, not from the file: it gets exactly what was written */
  char *argv[] = {"clamdscan", config, "--stream", "--no-summary", "--stdout", "-", NULL};
  struct scanchild_tap out = {keep_out, &words};
  struct scanchild_tap err = {keep_err, &words};
  struct scanchild_watch watch = {look, scan};
  struct scanchild_feed message = {"", 0, {&scan->message.first, &scan->message.rest}, scan->key};
  struct scanchild child = {scan->places->clamdscan, argv, scan_environment, -1, {&message, NULL}, {&out, &err}, 1, NULL,
                            &watch, 0};
  struct scanchild_result result;
  char why[200];
  char last[300];
  int status = 0;

  words.out.length = words.err.length = words.all.length = 0;
  if (look(scan) == -1) return no_room(scan, errno);
  snprintf(config, sizeof config, "--config-file=%s", scan->conf.clamd_config);
  scanchild_run(&child, scan->deadline, &result);
  if (result.end == SCANCHILD_STOPPED) return no_room(scan, result.code);
  if (result.end == SCANCHILD_EXITED) status = judge(scan, &words, &result);
  if (status != 0) return status;
  return scan_put_off(scan_late_or(&result, SCAN_TROUBLE), "%s%s", scanchild_words("clamdscan", &result, why, sizeof why),
                      scan_last_words(&words.all, last, sizeof last));
}
