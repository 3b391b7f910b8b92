/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The names of attachments in winmail.dat (TNEF; [MS-OXTNEF]), in pieces of any size: attAttachTitle,
 * attAttachTransportFilename, and of the MAPI properties in attAttachment the file names, and, where there are none, the
 * extension and the display name, which recipients have as well. Its structure is not followed, since a part
 * broken on purpose hides what follows: a name is found by the bytes in front of it, wherever they are. No side
 * effects.
 */
#ifndef SCANTNEF_H
#define SCANTNEF_H

#include <stddef.h>

#define SCANTNEF_NAME 2048 /* the first bytes of a name, which are passed on */
#define SCANTNEF_WINDOW 16384
#define SCANTNEF_SIGNATURE 4 /* bytes with which it begins, whatever its type and its name say */
#define SCANTNEF_OTHER 5

struct scantnef {
  void (*name)(void *context, int display, const char *bytes, size_t length); /* UTF-16 or a code page, its NULs at the end gone */
  void *context;
  size_t length;
  unsigned long names;    /* of files that were found */
  unsigned long displays; /* display names that were found */
  unsigned char window[SCANTNEF_WINDOW];
};

/* Returns how many bytes of the signature were found once these follow matched ones, or SCANTNEF_OTHER. */
size_t scantnef_begins(size_t matched, const char *bytes, size_t length);

void scantnef_begin(struct scantnef *tnef, void (*name)(void *context, int display, const char *bytes, size_t length), void *context);
void scantnef_add(struct scantnef *tnef, const char *bytes, size_t length);
void scantnef_end(struct scantnef *tnef);

#endif
