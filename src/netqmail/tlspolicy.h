/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * control/tlspolicies: what qmail-remote demands of TLS, by the domain of the recipient. A line is
 *
 *   domain:policy[:names[:cafile]]
 *
 * domain   as in control/smtproutes: "example.com", ".example.com" for all below it, "[192.0.2.1]"; the longest that
 *          fits counts. The last line, and only that, has none: it is for all other domains, and says that the file is whole.
 * policy   none: plain text. may: TLS where it is offered and works. encrypt: TLS with any certificate.
 *          verify: and the certificate has the name of the route's host, or of the MX. secure: and it has a name of the domain.
 *          dane: TLS with what the host's TLSA records say (RFC 7672), found by a resolver that validates.
 * names    of the certificate, for verify and secure, in place of those: host names, ".example.com" for all below it, IPv4
 *          addresses, with a comma between two.
 * cafile   for verify and secure: the path of the only certificates (PEM) that count as authorities.
 *
 * Blanks and tabs at the end of a line, lines without anything else, and lines that begin with # do not count. Whatever
 * else a file has is a fault, in any line, and no mail leaves in plain text by it.
 *
 * Pure. Valid as gnu89 and as C99.
 */
#ifndef TLSPOLICY_H
#define TLSPOLICY_H

#include <stddef.h>

#define TLSPOLICY_FILE_MAX 4000000 /* bytes */
#define TLSPOLICY_NAME_MAX 254     /* bytes of a domain or name, its dot in front included */
#define TLSPOLICY_NAMES_MAX 32     /* names in one line */
#define TLSPOLICY_PATH_MAX 255

enum tlspolicy_level {
  TLSPOLICY_NONE,
  TLSPOLICY_MAY,
  TLSPOLICY_ENCRYPT,
  TLSPOLICY_VERIFY,
  TLSPOLICY_SECURE,
  TLSPOLICY_DANE
};

struct tlspolicy {
  enum tlspolicy_level level;
  size_t names;
  char name[TLSPOLICY_NAMES_MAX][TLSPOLICY_NAME_MAX + 1];
  char cafile[TLSPOLICY_PATH_MAX + 1]; /* "": those of the system */
};

/*
 * Finds the policy of a domain in the whole file. Returns 0, or the number of the line with the first fault; that
 * behind the last line where the one for all other domains is missing. A second line for the domain's key is a fault, too.
 * Dots at the end of the domain do not count.
 */
extern size_t tlspolicy_find(struct tlspolicy *found, const char *file, size_t length, const char *domain, size_t domain_length);

/* The policy as the file has it: "none", "may" and so on. */
extern const char *tlspolicy_word(enum tlspolicy_level level);

/* Whether a text is an IPv4 address with four numbers, and no name. */
extern int tlspolicy_is_address(const char *text);

/*
 * Whether an answer to EHLO offers STARTTLS: text has whole lines with LF at their ends, "250-STARTTLS" or
 * "250 STARTTLS", in any case.
 */
extern int tlspolicy_offered(const char *text, size_t length);

#endif
