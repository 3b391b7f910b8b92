/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rule of the recipients' domain (domainrules.h), in the place of the site's. qmail-smtpd takes no recipients of
 * two rules in one message, but the file may have changed since, and others may call this program: such a message is put
 * off, for somebody would get it judged by another's rule.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "scan.h"
#include "scannames.h"

/* Finds the one rule of all recipients. Returns -1 with its number, or a status for qmail-smtpd. */
static int find(const struct scan *scan, const struct domainrules *rules, int *number)
{
  int relay = getenv("RELAYCLIENT") != NULL;
  const char *at = scan->envelope.recipients;
  unsigned long i;
  int its;

  for (i = 0; i < scan->envelope.count; ++i, at += strlen(at) + 1) {
    its = domainrules_number(rules, at + 1);
    if (its == DOMAINRULES_UNSURE && rules->wrong > 0)
      return scan_put_off(SCAN_SETTINGS, "control/domainrules line %ld is wrong or missing", rules->wrong);
    if (its == DOMAINRULES_UNSURE)
      return scan_put_off(SCAN_SETTINGS, "control/domainrules cannot be read, or has two rules for one domain");
    if (i == 0) *number = its;
    else if (!domainrules_together(rules, *number, its, relay))
      return scan_put_off(SCAN_SETTINGS, "its recipients have different rules in control/domainrules");
  }
  return -1;
}

/* Looks at the names of attachments once more, with other suffixes: those of the site were known while it came. */
static int look_again(struct scan *scan)
{
  static struct scanfeed_reader reader;
  struct scanfeed message = scan_whole(scan);
  int got;

  scannames_free(scan->names);
  scan->names = NULL;
  if (scan->conf.suffix_count == 0) return -1;
  scan->names = scannames_begin(scan->conf.suffixes[0], SCANCONF_SUFFIX, scan->conf.suffix_count);
  if (!scan->names) return scan_put_off(SCAN_NO_MEMORY, "names of attachments: %s", strerror(ENOMEM));
  scanfeed_begin(&reader, &message);
  for (; (got = scanfeed_fill(&reader)) == 1; reader.begin = reader.end)
    scannames_add(scan->names, reader.block, reader.end);
  if (got == 0) return -1;
  return scan_put_off(errno == EBADMSG ? SCAN_TROUBLE : scan_status_of(errno), "work directory: %s",
                      errno == EBADMSG ? "the message is not what was written there" : strerror(errno));
}

int scan_rule(struct scan *scan)
{
  static struct domainrules rules;
  static struct domainrule rule;
  char path[512];
  int number = DOMAINRULES_SITE;
  int status;

  snprintf(path, sizeof path, "%s/domainrules", scan->places->control);
  domainrules_read(&rules, path);
  status = find(scan, &rules, &number);
  if (status == -1 && number != DOMAINRULES_SITE) {
    domainrules_rule(&rules, number, &rule);
    scanconf_rule(&scan->conf, &rule);
    if (rule.suffixes) status = look_again(scan);
  }
  domainrules_free(&rules);
  return status;
}
