/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A stand-in for simscan's main(): the places that configure was told, and the way of the message in our own C files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "config.h"
#include "scanjail.h"
#include "scanmessage.h"

int main(int argc, char **argv)
{
  static const struct scanplaces places = {WORKDIR, CONTROLDIR, RIPMIME, QMAILQUEUE};

  if (argc > 1 && strcmp(argv[1], "-v") == 0) {
    char words[200];

    printf("simscan version: stand-in\n%s\n", scanjail_words(words, sizeof words));
    return 0;
  }
  if (argc > 1 && strcmp(argv[1], "-t") == 0) return scanmessage_test(&places);
  return scanmessage(&places, environ);
}
