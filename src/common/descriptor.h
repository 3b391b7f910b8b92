/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A packet with descriptors over a unix socket of packets (SCM_RIGHTS).
 */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>

#define DESCRIPTOR_MOST 2   /* with one packet */

/* Sends the packet whole or not at all, with fd unless that is -1. Returns 0 with errno. */
extern int descriptor_send(int to, const char *packet, size_t len, int fd);

/* Takes the packet that is there, without waiting: returns its length, 0 at the end or when it is longer than size, -1
 * with errno when there is none. The first descriptor that came with it is in *fd, and others are closed; *fd is -1 when
 * there was none, or no room for all of them. */
extern ssize_t descriptor_receive(int from, char *packet, size_t size, int *fd);

/* The same with n descriptors, DESCRIPTOR_MOST at most; those that did not come are -1. */
extern int descriptor_send_some(int to, const char *packet, size_t len, const int *fd, size_t n);
extern ssize_t descriptor_receive_some(int from, char *packet, size_t size, int *fd, size_t n);

#endif
