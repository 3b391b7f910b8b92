/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A gateway that was taken out (mailgate drain) begins no session but those of its own host, by which it is tried: a client
 * whose address is the one that it came to is on this host.
 */
#ifndef DRAINED_H
#define DRAINED_H

#define DRAINED_FILE "drained"   /* in /var/qmail/control: while it is there, the gateway is drained */

#endif
