/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A client that may relay, whose socket smtpfront had in its hands: nobody but this session takes part in it.
 *
 * A smtpfront that is broken into has a duplicate of the socket. It could connect it to somebody else, who would relay
 * in the client's place (tcporigin.h). It could read some of what the client says, so that text of a message is left
 * where commands are expected, or answer in qmail-smtpd's place, to the same end. So each time that bytes have been
 * read, before anything is made of them: the socket is still the one that came in, as many bytes have come as this
 * process has read or can read, and as many have been sent as it has written. What others did is never undone, so it is
 * seen at the next look at the latest. The kernel counts both since Linux 4.1.
 *
 * TCPACCEPTED in the environment, which the launcher sets for such a client alone, demands that; without it these
 * functions do nothing. Descriptors 0 and 1 are the client's socket. Valid as gnu89 and as C99.
 */
#ifndef UNSHARED_H
#define UNSHARED_H

/* Looks at the environment, and removes TCPACCEPTED. */
extern void unshared_begin(void);

/* So many bytes were written to the client. */
extern void unshared_wrote(int n);

/* So many were read from it, at least one. Returns as many; or 0, as at the end of what the client says: nothing may be
 * made of them, as somebody else takes part, which the log says, or the client has broken the connection off. */
extern int unshared_read(int n);

/* The handshake of TLS is complete, and descriptor 0 is still the client's socket: looks once more at who it is.
 * From then on keys keep others out. Returns 0 when it is somebody else, which the log says. */
extern int unshared_secured(void);

#endif
