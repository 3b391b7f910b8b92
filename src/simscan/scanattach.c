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
#include <sys/stat.h>
#include <unistd.h>
#include "scan.h"
#include "scanchild.h"
#include "scanjail.h"
#include "scanripmime.h"
#include "scantext.h"

#define FILES_MIN 1024 /* the least share, for a file system with few inodes */

/* Reads the output of ripmime on its two descriptors, which have the same syntax. */
struct unpacking {
  const struct scan *scan;
  struct scanripmime out;
  struct scanripmime err;
  int was_full;
};

static int take(void *ripmime, const char *said, size_t length)
{
  scanripmime_add(ripmime, said, length);
  return 0;
}

/* While ripmime works: detects a file system that is full only for a moment, and use above this session's share. */
static int look(void *context)
{
  struct unpacking *u = context;
  const struct scanfile_room *share = &u->scan->share;
  long long files = share->files > 0 && share->files < FILES_MIN ? FILES_MIN : share->files;
  struct scanfile_room used;

  if (scanfile_full()) {
    errno = ENOSPC;
    return -1;
  }
  if (scanfile_used(SCAN_PARTS, &used) == -1) return -1;
  if (used.bytes + u->scan->message.length <= share->bytes && (files == 0 || used.files <= files)) return 0;
  errno = EDQUOT;
  return -1;
}

static int refuse_name(const struct scan *scan, const char *name)
{
  char field[200];

  scantext_field(name, strlen(name), 0, field, sizeof field);
  scan_log_verdict(scan, "ATTACH", field);
  return scan_refuse("DYour email was rejected because it contains a bad attachment: %s", field);
}

/* Checks that each part that ripmime named is not forbidden, and exists. */
static int judge_names(const struct scan *scan, const struct scanripmime *said)
{
  const char *at = said->names;
  const char *stop = at + said->names_length;
  struct stat what;
  char path[600];
  char field[200];
  int i;

  for (; at < stop; at += strlen(at) + 1) {
    for (i = 0; i < scan->conf.suffix_count; ++i)
      if (scantext_suffix(at + 1, scan->conf.suffixes[i])) return refuse_name(scan, at + 1);
    if (*at != SCANRIPMIME_WRITTEN) continue;
    if ((size_t) snprintf(path, sizeof path, SCAN_PARTS "/%s", at + 1) < sizeof path && lstat(path, &what) == 0) continue;
    scantext_field(at + 1, strlen(at + 1), 0, field, sizeof field);
    return scan_put_off(SCAN_TROUBLE, "ripmime has not written the part %s", field);
  }
  return -1;
}

static int judge_words(const struct scan *scan, const struct scanripmime *said)
{
  if (said->state == SCANRIPMIME_TROUBLE)
    return scan_put_off(SCAN_TROUBLE, "ripmime says: %s", said->said[0] ? said->said : strerror(ENOMEM));
  if (said->state != SCANRIPMIME_DEEP) return judge_names(scan, said);
  /* the parts of such a message cannot be checked, not even later */
  scan_log_verdict(scan, "ATTACH", "parts nested too deep");
  return scan_refuse("DYour email was rejected because its parts are nested too deep");
}

static int judge_files(const struct scan *scan)
{
  char name[200];

  switch (scanfile_find(SCAN_PARTS, scan->conf.suffixes[0], SCANCONF_SUFFIX, scan->conf.suffix_count, name, sizeof name)) {
    case 0: return -1;
    case 1: return refuse_name(scan, name);
    default: return scan_put_off(SCAN_TROUBLE, "work directory: %s", strerror(errno));
  }
}

static int judge(const struct scan *scan, struct unpacking *u, const struct scanchild_result *result)
{
  char why[200];
  int status;

  scanripmime_end(&u->out);
  scanripmime_end(&u->err);
  if (result->end == SCANCHILD_STOPPED && result->code == EDQUOT) return scan_above_share(scan);
  if (result->end == SCANCHILD_STOPPED && result->code == ENOSPC)
    return scan_put_off(SCAN_WRITE, "work directory: no room for the parts of the message");
  if (result->end != SCANCHILD_EXITED || result->code != 0) {
    status = scan_late_or(result, SCAN_TROUBLE);
    return scan_put_off(status, "%s%s%s", scanchild_words("ripmime", result, why, sizeof why), u->err.said[0] ? ": " : "",
                        u->err.said);
  }
  status = judge_files(scan);
  if (status == -1) status = judge_words(scan, &u->out);
  if (status == -1) status = judge_words(scan, &u->err);
  return status;
}

/* The names that this process has seen while the message went by. */
static int judge_seen(const struct scan *scan)
{
  char name[SCANNAMES_NAME];

  switch (scannames_end(scan->names, name)) {
    case SCANNAMES_FORBIDDEN: return refuse_name(scan, name);
    case SCANNAMES_IMPOSSIBLE:
      scan_log_verdict(scan, "ATTACH", "names of attachments too long");
      return scan_refuse("DYour email was rejected because the names of its attachments are too long");
    case SCANNAMES_FINE: break;
  }
  if (scannames_has_tnef(scan->names))
    scan_log("simscan:[%d]: winmail.dat: no name of an attachment was found in it", (int) getppid());
  return -1;
}

int scan_attachments(struct scan *scan)
{
  static struct unpacking u;
  /* ripmime's decoders of TNEF and OLE, where it has them, are not used any more */
  char *argv[] = {"ripmime", "--disable-qmail-bounce", "-i", "-", "-d", SCAN_PARTS, "-v", "--no-tnef", "--no-ole", NULL};
  struct scanchild_tap taps[2] = {{take, &u.out}, {take, &u.err}};
  struct scanjail jail = {scan->places->ripmime, SCAN_PARTS, scan->conf.deadline_seconds, scan->share.bytes};
  struct scanchild_watch watch = {look, &u};
  struct scanfeed message = scan_whole(scan);
  struct scanchild child = {scan->places->ripmime, argv, scan_environment, -1, {&message, NULL}, {&taps[0], &taps[1]}, 1,
                            &jail, &watch, 0};
  struct scanchild_result result;
  int status;

  if (scan->conf.suffix_count == 0) return -1;
  status = judge_seen(scan);
  if (status != -1) return status;
  if (mkdir(SCAN_PARTS, 0700) == -1) return scan_put_off(scan_status_of(errno), "work directory: %s", strerror(errno));
  u.scan = scan;
  scanripmime_begin(&u.out);
  scanripmime_begin(&u.err);
  scanchild_run(&child, scan->deadline, &result);
  status = judge(scan, &u, &result);
  free(u.out.names);
  free(u.err.names);
  if (status == -1) scanfile_leave(SCAN_PARTS);
  return status;
}
