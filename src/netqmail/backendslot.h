/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How many qmail-remotes may have a connection to one back end at a time: one place each, a byte of a file that this
 * process has locked until it ends. A process that finds no free place waits; the kernel frees the places of killed
 * processes. Valid as gnu89 and as C99.
 */
#ifndef BACKENDSLOT_H
#define BACKENDSLOT_H

#define BACKENDSLOT_DIRECTORY "backends" /* below the current directory; one file for each address and port */
#define BACKENDSLOT_PLACES 20            /* the limit of Exchange's receive connectors for one source */
#define BACKENDSLOT_SECONDS 20           /* the longest wait for a place: two rounds of messages that take 10 s each */
#define BACKENDSLOT_LOOK_MS 50

/*
 * Takes a place at ip:port; an earlier one is given back. Returns 1: taken, or places cannot be counted, as without
 * the directory: then mail goes on. 0: no place was free in that time. 0 places mean no limit.
 */
extern int backendslot_take(const unsigned char ip[4], unsigned long port, unsigned long places, unsigned long seconds);

#endif
