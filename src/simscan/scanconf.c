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
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "number.h"
#include "scanconf.h"

#define FILE_MAX 65536
#define LINE 256

/* those from SHARE on are optional; CONFIG, of clamdscan, is what the role wrote before 0.3 */
enum {
  DEADLINE, FAILURE, LIMIT, SCORE, SPAMD, SHARE, STATE, TEMPORARY, RESERVE_BYTES, RESERVE_FILES, CLAMD, CONFIG,
  KEEP, KEEP_BYTES, KEEP_FILES, KEEP_VIRUSES, NAMES
};
static const char *const names[NAMES] = {
  "deadline_seconds", "spam_failure", "spam_limit_bytes", "reject_score", "spamd_socket", "work_share_percent",
  "state_directory", "clamd_temporary_directory", "clamd_reserve_bytes", "clamd_reserve_files", "clamd_socket",
  "clamd_config", "keep_directory", "keep_bytes", "keep_files", "keep_viruses"
};

static int path(const char *s, char *to)
{
  if (s[0] != '/' || strlen(s) >= SCANCONF_PATH) return -1;
  strcpy(to, s);
  return 0;
}

static int set(struct scanconf *conf, int which, const char *value)
{
  long long n;
  char *stop;

  switch (which) {
    case DEADLINE:
      if (!number_parse(&n, value, 1, SCANCONF_DEADLINE)) return -1;
      conf->deadline_seconds = (int) n;
      return 0;
    case FAILURE:
      conf->deliver_unchecked = strcmp(value, "deliver") == 0;
      return conf->deliver_unchecked || strcmp(value, "refuse") == 0 ? 0 : -1;
    case LIMIT: return number_parse(&conf->spam_limit_bytes, value, 1, 1LL << 30) ? 0 : -1;
    case SCORE:
      conf->reject_score = strtod(value, &stop);
      return stop != value && *stop == 0 && isfinite(conf->reject_score) && conf->reject_score > 0 ? 0 : -1;
    case SPAMD: return path(value, conf->spamd_socket);
    case CLAMD: return path(value, conf->clamd_socket);
    case CONFIG: return 0;
    case TEMPORARY: return path(value, conf->clamd_temporary_directory);
    case RESERVE_BYTES: return number_parse(&conf->clamd_reserve_bytes, value, 0, 1LL << 40) ? 0 : -1;
    case RESERVE_FILES: return number_parse(&conf->clamd_reserve_files, value, 0, 1LL << 40) ? 0 : -1;
    case STATE: return path(value, conf->state_directory);
    case KEEP: return path(value, conf->keep_directory);
    case KEEP_BYTES: return number_parse(&conf->keep_bytes, value, 1, 1LL << 40) ? 0 : -1;
    case KEEP_FILES: return number_parse(&conf->keep_files, value, 1, 1000000) ? 0 : -1;
    case KEEP_VIRUSES:
      conf->keep_viruses = strcmp(value, "yes") == 0;
      return conf->keep_viruses || strcmp(value, "no") == 0 ? 0 : -1;
    case SHARE:
      if (!number_parse(&n, value, 1, 100)) return -1;
      conf->work_share_percent = (int) n;
      return 0;
  }
  return -1;
}

/*
 * Copies the next line that is neither empty nor a comment, without blanks around it, into line. Returns 1, 0 at the
 * end, or -1 when it is too long or holds a NUL.
 */
static int next_line(const char **at, const char *stop, char *line, int *number_of_line)
{
  const char *end;
  size_t n;

  while (*at < stop) {
    end = memchr(*at, '\n', (size_t) (stop - *at));
    n = (size_t) ((end ? end : stop) - *at);
    ++*number_of_line;
    while (n > 0 && ((*at)[n - 1] == ' ' || (*at)[n - 1] == '\t' || (*at)[n - 1] == '\r')) --n;
    if (n >= LINE || memchr(*at, 0, n)) return -1;
    memcpy(line, *at, n);
    line[n] = 0;
    *at = end ? end + 1 : stop;
    if (n > 0 && line[0] != '#') return 1;
  }
  return 0;
}

int scanconf_settings(struct scanconf *conf, const char *text, size_t length, char *why, size_t size)
{
  const char *stop = text + length;
  char line[LINE];
  char *value;
  int seen[NAMES] = {0};
  int at = 0;
  int got;
  int i;

  conf->work_share_percent = SCANCONF_SHARE;
  conf->clamd_reserve_bytes = SCANCONF_RESERVE_BYTES;
  conf->clamd_reserve_files = SCANCONF_RESERVE_FILES;
  conf->keep_bytes = SCANCONF_KEEP_BYTES;
  conf->keep_files = SCANCONF_KEEP_FILES;
  strcpy(conf->clamd_socket, SCANCONF_CLAMD);
  while ((got = next_line(&text, stop, line, &at)) == 1) {
    value = strchr(line, ' ');
    if (value) *value++ = 0;
    for (i = 0; i < NAMES && strcmp(line, names[i]) != 0; ++i) continue;
    if (i == NAMES || !value || seen[i]++ || set(conf, i, value) == -1) {
      got = -1;
      break;
    }
  }
  if (got == -1) {
    snprintf(why, size, "control/simscan line %d cannot be understood", at);
    return -1;
  }
  for (i = 0; i < NAMES; ++i)
    if (!seen[i] && i < SHARE) {
      snprintf(why, size, "control/simscan does not say %s", names[i]);
      return -1;
    }
  return 0;
}

int scanconf_suffixes(struct scanconf *conf, const char *text, size_t length, char *why, size_t size)
{
  const char *stop = text + length;
  char line[LINE];
  int at = 0;
  int got;

  conf->suffix_count = 0;
  while ((got = next_line(&text, stop, line, &at)) == 1) {
    if (!domainrules_suffix(line, strlen(line)) || conf->suffix_count == SCANCONF_SUFFIXES) {
      got = -1;
      break;
    }
    strcpy(conf->suffixes[conf->suffix_count++], line);
  }
  if (got == -1) {
    snprintf(why, size, "control/ssattach line %d cannot be understood", at);
    return -1;
  }
  return 0;
}

void scanconf_rule(struct scanconf *conf, const struct domainrule *rule)
{
  if (rule->reject > 0) conf->reject_score = rule->reject;
  conf->mark_score = rule->mark;
  conf->tags = rule->tags;
  strcpy(conf->tag, rule->tag);
  if (!rule->suffixes) return;
  conf->suffix_count = rule->suffix_count;
  memcpy(conf->suffixes, rule->suffix, sizeof conf->suffixes);
}

/* Reads a whole file, at most size bytes; -1 with errno. */
static ssize_t slurp(const char *name, char *to, size_t size)
{
  size_t n = 0;
  ssize_t got;
  int error;
  int fd = open(name, O_RDONLY | O_CLOEXEC);

  if (fd == -1) return -1;
  for (;;) {
    got = read(fd, to + n, size - n);
    if (got == -1 && errno == EINTR) continue;
    if (got > 0) n += (size_t) got;
    if (got > 0 && n < size) continue;
    break;
  }
  error = got == -1 ? errno : n == size ? EFBIG : 0;
  close(fd);
  errno = error;
  return error ? -1 : (ssize_t) n;
}

int scanconf_read(struct scanconf *conf, const char *directory, char *why, size_t size)
{
  static char text[FILE_MAX];
  char name[512];
  ssize_t length;
  int file;

  for (file = 0; file < 2; ++file) {
    snprintf(name, sizeof name, "%s/%s", directory, file == 0 ? "simscan" : "ssattach");
    length = slurp(name, text, sizeof text);
    if (length == -1) {
      snprintf(why, size, "%s cannot be read: %s", name, strerror(errno));
      return -1;
    }
    if ((file == 0 ? scanconf_settings : scanconf_suffixes)(conf, text, (size_t) length, why, size) == -1) return -1;
  }
  return 0;
}
