/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A line of /proc/net/tcp or /proc/net/tcp6: an end of a connection on this machine. Pure.
 */
#ifndef TCPTABLE_H
#define TCPTABLE_H

#include "address.h"

#define TCPTABLE_LISTENS 0x0au

struct tcptable_end {
  struct address address;   /* one of IPv4 written as IPv6 becomes that of IPv4 */
  unsigned port;
};

struct tcptable_entry {
  struct tcptable_end here;
  struct tcptable_end there;
  unsigned state;
  unsigned long uid;        /* who made the socket */
  unsigned long inode;      /* 0: no process has it any more, or yet; then uid says nothing */
};

/* Returns 0 for any other line, such as the first. */
extern int tcptable_line(struct tcptable_entry *entry, const char *line);

struct tcptable_seen {
  int listens;              /* somebody listens at the port of our end */
  int other_end;            /* it is on this machine */
  int of_user;              /* or of no process */
};

/* Adds what a line says of the connection between our end and the other one, and of that user. */
extern void tcptable_see(struct tcptable_seen *seen, const char *line, const struct tcptable_end *here,
                         const struct tcptable_end *there, unsigned long user);

/* Returns why it is not a connection that a client made to a port of this machine, or null. local: the other end has
 * an address of this machine. */
extern const char *tcptable_objection(const struct tcptable_seen *seen, int local);

#endif
