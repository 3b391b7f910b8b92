/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How many qmail-remotes may have a connection to one back end at a time: one place each, a byte of a file that this
 * process has locked until it ends. Who finds none waits; the kernel gives back the places of those that were killed.
 * Valid as gnu89 and as C99.
 */
#ifndef BACKENDSLOT_H
#define BACKENDSLOT_H

#define BACKENDSLOT_DIRECTORY "backends" /* below the current directory; one file for each address and port */
#define BACKENDSLOT_PLACES 20            /* what Exchange's receive connectors allow one source */
#define BACKENDSLOT_SECONDS 60           /* that are waited for one */
#define BACKENDSLOT_LOOK_MS 50

/*
 * Takes a place at ip:port; the one that was taken before is given back. 1: taken, or they cannot be counted, as without
 * the directory: then mail goes on. 0: there was none in that time. Of 0 places there are as many as one wants.
 */
extern int backendslot_take(const unsigned char ip[4], unsigned long port, unsigned long places, unsigned long seconds);

#endif
