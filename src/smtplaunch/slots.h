/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The places of qmail-smtpd's sessions: a file for each, which the session's process holds locked (flock) for as
 * long as it lives, with the client's address in it. So the count is right after any restart.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include "address.h"

#define SLOTS_MAX 2000

struct slots_limits {
  int all;
  int client;           /* at most so many of one address */
  int network;          /* of one /24 or /64 */
  int kept_for_relay;   /* of all, so many are for clients that may relay, to whom the other two do not apply */
};

enum slots { SLOTS_TROUBLE = -1, SLOTS_FULL = 0, SLOTS_TAKEN = 1 };

struct slots_taken {
  int number;
  int fd;               /* locked; the process that inherits it holds the place; every other process must close it */
};

/* Takes a place below that directory for the client. *busy is how many there are then. */
extern enum slots slots_take(struct slots_taken *taken, const char *directory, const struct slots_limits *limits,
                             const struct address *client, int relay, int *busy);

#endif
