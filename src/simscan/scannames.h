/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checks the end of every name that a mail reader may take for that of an attachment, while the message is read in any
 * cut. Readers differ, so nothing is trusted that they may read differently: boundaries are not followed (a part's
 * header may follow any line that begins with "--"), and each name is checked in all forms that it may have - with
 * and without the quotes, backslashes and line folds of RFC 5322, in one piece and in those of RFC 2231 in any
 * order, before and after decoding (percent signs, encoded words of RFC 2047, UTF-7, UTF-16). A message is refused
 * when one form ends with a forbidden suffix. What is between "--" lines and empty lines is a header; the text of a
 * body is not.
 *
 * The fields: name= and filename= of Content-Type and Content-Disposition, if they are not clearly text within quotes;
 * Content-Name, X-Sun-Data-Name, a Content-Description of one word that is neither the name of a domain nor an address or URL; "begin" lines of
 * uuencode and yEnc, in any line. A part of type application/ms-tnef is called
 * winmail.dat, and the names of the attachments in it are judged.
 * Parts of message/ and multipart/ types that are encoded as a whole are decoded and judged as well.
 */
#ifndef SCANNAMES_H
#define SCANNAMES_H

#include <stddef.h>

#define SCANNAMES_FIELD 16384      /* bytes of a field with names; a longer one cannot be judged */
#define SCANNAMES_PIECES 128       /* names, or pieces of names, of a field; more cannot be judged */
#define SCANNAMES_WORK 268435456   /* bytes that are looked at for all names of a message; more cannot be judged */
#define SCANNAMES_DEPTH 4          /* encoded messages in encoded messages; deeper cannot be judged */
#define SCANNAMES_NAME 200

enum scannames_state {
  SCANNAMES_FINE,
  SCANNAMES_FORBIDDEN,   /* name is the first that has a forbidden end */
  SCANNAMES_IMPOSSIBLE   /* more than can be judged */
};

struct scannames;

/* The suffixes are count strings, stride bytes apart, and must stay. NULL for no memory. */
struct scannames *scannames_begin(const char *suffixes, size_t stride, int count);

void scannames_add(struct scannames *names, const char *bytes, size_t length);

/* The end of the message. The name, a log field, goes to name, which has SCANNAMES_NAME bytes. */
enum scannames_state scannames_end(struct scannames *names, char *name);

/* Whether a part of the message may hold attachments whose names were not found (TNEF). */
int scannames_has_tnef(const struct scannames *names);

void scannames_free(struct scannames *names);

#endif
