/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Passes one message from qmail-smtpd through the scanners to qmail-queue.
 *
 * 0 is returned only when every write was complete, every child exited with a valid status, both
 * scanners answered what they found, and qmail-queue itself exited 0 after it had read everything. Once that is
 * so, nothing changes the result.
 */
#ifndef SCANMESSAGE_H
#define SCANMESSAGE_H

/* Exit statuses that qmail-smtpd knows: those of qmail-queue, and 82, whose text is on descriptor 4. */
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
  const char *ripmime;
  const char *qmail_queue;
};

/* Takes the message from descriptor 0, its envelope from 1, and returns the exit status for qmail-smtpd. */
int scanmessage(const struct scanplaces *places, char *const *environment);

/*
 * Takes a message from descriptor 0 as scanmessage() does, prints what clamd says of it, and queues nothing: the proof that
 * mail is scanned. Returns 0 when clamd was asked.
 */
int scanmessage_test(const struct scanplaces *places);

#endif
