/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Is a socket of TCP still the connection that somebody made to a port of this machine?
 *
 * Who has a duplicate of a socket can disconnect it (connect() with AF_UNSPEC) and connect it to another host, and
 * only the addresses of its two ends then tell, and only who asks at the right moment. A socket that was accepted from
 * a port with TCP_SAVE_SYN has the client's SYN, from Linux 4.3 on; one that was not accepted has none, and there is no
 * way to give it one. The kernel frees it
 *   when the socket is disconnected (4.12, and the stable kernels of that time), which alone makes it one that can be
 *     connected again: connect() and listen() fail on it before, also after both sides have closed;
 *   when it is read. Here it is asked for without room, so the kernel says its length (EINVAL) and keeps it.
 * A client to which the kernel answered by a SYN cookie, in a flood of SYNs, has none.
 * So one that is kept was never disconnected. Valid as gnu89 and as C99.
 */
#ifndef TCPORIGIN_H
#define TCPORIGIN_H

/* Before listen(): connections that come to the port have their SYN kept. Returns 0 with errno. */
extern int tcporigin_keep(int listening);

/* Whether the socket is a connection that came to such a port, and was never another one. */
extern int tcporigin_kept(int fd);

/* Tries it, with a connection of its own over 127.0.0.1: 1 when this kernel does it, 0 when not, -1 with errno when
 * that cannot be tried. */
extern int tcporigin_possible(void);

#endif
