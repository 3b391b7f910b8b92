/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include "scan.h"
#include "scanchild.h"
#include "scantext.h"

int scan_virus(struct scan *scan)
{
  char config[SCANCONF_PATH + 20];
  /* it reads the message from this process, not from the file: what it sees is what was written */
  char *argv[] = {"clamdscan", config, "--stream", "--no-summary", "--stdout", "-", NULL};
  struct scan_said said = {{0}, 0};
  struct scanchild_tap tap = {scan_keep, &said};
  struct scanchild_feed message = {"", 0, {&scan->message.first, &scan->message.rest}, scan->key};
  struct scanchild child = {scan->places->clamdscan, argv, scan_environment, -1, {&message, NULL}, {&tap, &tap}, 1, NULL,
                            NULL, 0};
  struct scanchild_result result;
  char name[200];
  char why[200];
  char words[300];

  snprintf(config, sizeof config, "--config-file=%s", scan->conf.clamd_config);
  scanchild_run(&child, scan->deadline, &result);
  if (result.end == SCANCHILD_EXITED)
    switch (scantext_clamdscan(said.bytes, said.length, result.code, name, sizeof name)) {
      case SCANTEXT_CLEAN:
        if (result.fed) return -1;
        return scan_put_off(SCAN_TROUBLE, "clamdscan exited before it had read the message");
      case SCANTEXT_VIRUS:
        scan_log_verdict(scan, "VIRUS", name);
        return scan_refuse("DYour email was rejected because it contains the %s virus", name);
      case SCANTEXT_UNCLEAR: break;
    }
  return scan_put_off(scan_late_or(&result, SCAN_TROUBLE), "%s%s", scanchild_words("clamdscan", &result, why, sizeof why),
                      scan_last_words(&said, words, sizeof words));
}
