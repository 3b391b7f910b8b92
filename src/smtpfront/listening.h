/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where connections are taken: each address has a socket of its own, those of IPv6 for IPv6 alone.
 */
#ifndef LISTENING_H
#define LISTENING_H

#include <sys/socket.h>

/* Reads an address of IPv4 or IPv6 with that port into *address; a link-local one has its interface behind it, such as
 * fe80::1%eth0. Returns its length, or 0: *why goes on from the address as a sentence. */
extern socklen_t listening_address(struct sockaddr_storage *address, const char *text, int port, const char **why);

/* Opens a socket that listens there, without waiting for connections. An address that this host does not have yet is
 * listened at once it has. Returns the descriptor, or -1 with errno. */
extern int listening_open(const struct sockaddr_storage *address, socklen_t len, int backlog);

/* Whether the address is ::, every one of IPv6 that there may be. */
extern int listening_every_ipv6(const struct sockaddr_storage *address);

#endif
