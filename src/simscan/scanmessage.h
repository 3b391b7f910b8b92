/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The way of one message from qmail-smtpd to qmail-queue, through the scanners.
 *
 * 0 is answered only when every write was complete, every child ended by exit with a status that it may have, both
 * scanners said in words what they found, and qmail-queue itself exited 0 after it had read everything. Once that is
 * so nothing turns it into anything else.
 */
#ifndef SCANMESSAGE_H
#define SCANMESSAGE_H

/* Exit statuses that qmail-smtpd knows: those of qmail-queue, and 82, whose text stands on descriptor 4. */
#define SCAN_QUEUED 0
#define SCAN_REFUSED 31
#define SCAN_NO_MEMORY 51
#define SCAN_LATE 52
#define SCAN_WRITE 53
#define SCAN_READ 54
#define SCAN_SETTINGS 55
#define SCAN_TROUBLE 71
#define SCAN_TEXT 82
#define SCAN_ENVELOPE 91

struct scanplaces {
  const char *work_directory;
  const char *control;      /* the directory of simscan and ssattach */
  const char *clamdscan;
  const char *spamc;
  const char *ripmime;
  const char *qmail_queue;
};

/* Takes the message from descriptor 0, its envelope from 1, and returns the exit status for qmail-smtpd. */
int scanmessage(const struct scanplaces *places, char *const *environment);

#endif
