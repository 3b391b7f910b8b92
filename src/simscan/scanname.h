/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One name of an attachment in the forms that a mail reader may show. No side effects; every function takes bytes
 * with a length, and writes at most as many as it was given, if not said otherwise.
 */
#ifndef SCANNAME_H
#define SCANNAME_H

#include <stddef.h>

/* Percent signs with two hexadecimal digits as bytes. Returns the length. */
size_t scanname_percent(const char *s, size_t length, char *to);

/* Encoded words of RFC 2047 as bytes, blanks between two of them gone, whatever their character set. */
size_t scanname_words(const char *s, size_t length, char *to);

/* UTF-7 (RFC 2152) as ASCII; other characters are '_'. */
size_t scanname_utf7(const char *s, size_t length, char *to);

/* base64 as bytes; other characters are left out. */
size_t scanname_base64(const char *s, size_t length, char *to);

/* Digits of base64 that came in pieces; zero at the beginning. */
struct scanname_group {
  unsigned long bits;
  int digits; /* of the group of four */
  int pads;
};

/*
 * The same for a text in pieces. What is no digit does not shift the groups behind it, and '=' ends a group only where
 * it completes one.
 */
size_t scanname_base64_piece(struct scanname_group *group, const char *s, size_t length, char *to);

/* quoted-printable as bytes. */
size_t scanname_quoted(const char *s, size_t length, char *to);

/* Forbidden ends of names: count strings, stride bytes apart. */
struct scanname_suffixes {
  const char *first;
  size_t stride;
  int count;
};

/* Whether it is no more than the name of a domain in .com, which is also a suffix of programs. */
int scanname_is_domain(const char *s, size_t length);

/*
 * Whether a description is a text, and no name of a file: it has blanks, also in encoded words, or is no more than the
 * name of a domain in .com, an address in one, or its URL. room holds length bytes.
 */
int scanname_is_text(const char *s, size_t length, char *room);

/*
 * Whether a name ends with a suffix, in any case: as it is, without what readers and Windows take away (at its end
 * blanks, dots, slashes and quotes; anywhere NULs, control bytes, invisible characters, those that no file's name may
 * have), fullwidth letters as plain ones, and cut at a NUL, or a ':' without a
 * blank behind it. room holds length bytes.
 */
int scanname_ends(const char *s, size_t length, const struct scanname_suffixes *suffixes, char *room);

#endif
