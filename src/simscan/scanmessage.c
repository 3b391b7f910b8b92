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
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "clock.h"
#include "scan.h"
#include "scanchild.h"

char *const scan_environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};

/* Computes how much of the work directory's file system one session may use. */
static int find_share(struct scan *scan)
{
  struct scanfile_room room;

  if (scanfile_room(&room) == -1) return -1;
  scan->share.bytes = room.bytes / 100 * scan->conf.work_share_percent
                      + room.bytes % 100 * scan->conf.work_share_percent / 100;
  if (scan->share.bytes < SCAN_SHARE_MIN) scan->share.bytes = SCAN_SHARE_MIN;
  scan->share.files = room.files / 100 * scan->conf.work_share_percent;
  return 0;
}

static int store(struct scan *scan)
{
  struct scanfile_limits limits = {scan->conf.spam_limit_bytes, scan->share.bytes, scan->key, NULL};

  if (scan->conf.suffix_count > 0) {
    scan->names = scannames_begin(scan->conf.suffixes[0], SCANCONF_SUFFIX, scan->conf.suffix_count);
    if (!scan->names) return scan_put_off(SCAN_NO_MEMORY, "names of attachments: %s", strerror(ENOMEM));
    limits.names = scan->names;
  }
  switch (scanfile_store(0, SCAN_MESSAGE, &scan->header, &limits, &scan->message)) {
    case SCANFILE_STORED: break;
    case SCANFILE_UNREAD: return scan_put_off(SCAN_READ, "message: %s", strerror(errno));
    case SCANFILE_ABOVE: return scan_above_share(scan);
    case SCANFILE_UNWRITTEN: return scan_put_off(scan_status_of(errno), "work directory: %s", strerror(errno));
  }
  return -1;
}

static int take_in(struct scan *scan)
{
  int status = store(scan);

  if (status != -1) return status;
  switch (scanenvelope_read(&scan->envelope, 1)) {
    case SCANENVELOPE_GOOD: break;
    case SCANENVELOPE_SHORT: 
      /* qmail-smtpd logs why, and for which client: the client left, a bare LF, too large */
      scan_log("simscan:[%d]: no envelope came: qmail-smtpd has given the message up", (int) getppid());
      return SCAN_READ;
    case SCANENVELOPE_BAD: return scan_put_off(SCAN_ENVELOPE, "envelope cannot be understood");
    case SCANENVELOPE_FAILED: return scan_put_off(scan_status_of(errno), "envelope: %s", strerror(errno));
  }
  if (scan->message.length == 0) return scan_put_off(SCAN_READ, "message is empty");
  return scan_rule(scan);
}

struct scanfeed scan_whole(const struct scan *scan)
{
  struct scanfeed whole = {"", 0, {&scan->message.header, &scan->message.body, &scan->message.rest}, scan->key};

  return whole;
}

static int judge(struct scan *scan)
{
  char state[100];
  int status = take_in(scan);

  scan->begun = clock_ms();
  scan->deadline = scan->begun + scan->conf.deadline_seconds * 1000LL;
  if (status == -1) status = scan_virus(scan);
  if (status == -1) status = scan_attachments(scan);
  if (status == -1) status = scan_spam(scan, state, sizeof state);
  return status == -1 ? scan_queue(scan, state) : status;
}

/* Begins a session: its settings, and a directory of its own. Returns -1, or a status for qmail-smtpd. */
static int begin(struct scan *scan)
{
  const struct scanplaces *places = scan->places;
  char why[600];

  umask(077);
  if (scanchild_prepare() == -1) return scan_put_off(SCAN_TROUBLE, "signals: %s", strerror(errno));
  /* ripmime runs as the same user: it must not read this process's memory, or take its descriptors */
  if (prctl(PR_SET_DUMPABLE, 0) == -1) return scan_put_off(SCAN_TROUBLE, "privacy: %s", strerror(errno));
  if (scanhash_random_key(scan->key) == -1) return scan_put_off(SCAN_TROUBLE, "random key: %s", strerror(errno));
  if (scanconf_read(&scan->conf, places->control, why, sizeof why) == -1) return scan_put_off(SCAN_SETTINGS, "%s", why);
  if (scanfile_enter(places->work_directory, scan->directory, sizeof scan->directory) == -1)
    return scan_put_off(scan_status_of(errno), "work directory %s: %s", places->work_directory, strerror(errno));
  return find_share(scan) == -1 ? scan_put_off(SCAN_TROUBLE, "work directory: %s", strerror(errno)) : -1;
}

static void end(struct scan *scan)
{
  scannames_free(scan->names);
  free(scan->marked);
  scanfile_leave(scan->directory);
}

int scanmessage(const struct scanplaces *places, char *const *environment)
{
  static struct scan scan;
  int fd;
  int status;

  /* what is opened here must never get the number of a descriptor with a meaning */
  for (fd = 0; fd < 3; ++fd)
    if (fcntl(fd, F_GETFD) == -1) return SCAN_TROUBLE;
  scan_find_listener();
  memset(&scan, 0, sizeof scan);
  scan.places = places;
  scan.environment = environment;
  status = begin(&scan);
  if (status == -1) status = judge(&scan);
  end(&scan);
  return status;
}

int scanmessage_test(const struct scanplaces *places)
{
  static struct scan scan;
  int fd;
  int status;

  for (fd = 0; fd < 3; ++fd)
    if (fcntl(fd, F_GETFD) == -1) return SCAN_TROUBLE;
  memset(&scan, 0, sizeof scan);
  scan.places = places;
  status = begin(&scan);
  if (status == -1) status = store(&scan);
  if (status == -1) {
    scan.deadline = clock_ms() + scan.conf.deadline_seconds * 1000LL;
    scan_virus_test(&scan);
    status = 0;
  }
  end(&scan);
  return status;
}
