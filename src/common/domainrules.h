/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * control/domainrules: how mail to single domains is judged, where that differs from the rest of the site. The role
 * smtp_policy writes it. Each rule begins with a line "rule", and what it does not say is the site's:
 *
 *   rule
 *   reject 8                 refused from that score on
 *   mark 4.5                 marked as spam from that score on, by simscan, which then makes the marks in the header
 *   subject_tag [SPAM]       put in front of the subject of what is marked; no_subject_tag: nothing is
 *   suffix .exe              of attachments that are refused, in the place of the site's; one a line
 *   no_suffix                no attachment is refused for its name
 *   no_greylist              it takes mail of networks that are greylisted, too
 *   domain example.com       whose rule it is, to this domain alone; one a line, in small letters
 *
 * A word and one blank, and nothing behind the value. Empty lines and those that begin with # are comments. The last
 * line is "end", so that a file that was cut is seen. A file that is not there has no rules. One that cannot be read, is
 * larger than DOMAINRULES_FILE_MAX, has a line that is none of these, or no end, leaves each question open: the mail has
 * to be put off. qmail-smtpd asks it which recipients may be in
 * one message, simscan how that message is judged, and smtpfront who is greylisted. Reads no other file; valid as gnu89 and as C99.
 */
#ifndef DOMAINRULES_H
#define DOMAINRULES_H

#include <stddef.h>

#define DOMAINRULES_FILE_MAX 1048576
#define DOMAINRULES_SUFFIXES 200
#define DOMAINRULES_SUFFIX 64      /* bytes of a suffix, with its NUL */
#define DOMAINRULES_TAG 64         /* characters of a subject's tag */
#define DOMAINRULES_DOMAIN 255     /* characters of a domain */

#define DOMAINRULES_SITE 0         /* the number of the site's rule: the domain has none of its own */
#define DOMAINRULES_UNSURE (-1)

struct domainrules {
  int state;                       /* 0: there is no file; 1: it is in text; -1: it cannot be used */
  long wrong;                      /* then: the number of its first line that is wrong or missing, or 0 */
  char *text;                      /* from malloc, or null */
  size_t len;
};

struct domainrule {
  double reject;                   /* 0: the site's */
  double mark;                     /* 0: SpamAssassin's */
  int tags;                        /* it says with what subjects are tagged */
  char tag[DOMAINRULES_TAG + 1];
  int no_greylist;
  int suffixes;                    /* it says which are refused */
  int suffix_count;
  char suffix[DOMAINRULES_SUFFIXES][DOMAINRULES_SUFFIX];
};

/* Takes a file's text, from malloc, in the place of what was there before; *r is all zero at first. */
extern void domainrules_take(struct domainrules *r, char *text, size_t len);

/* Reads the file, in the place of what was read before. */
extern void domainrules_read(struct domainrules *r, const char *path);

extern void domainrules_free(struct domainrules *r);

/* The number of the rule of a recipient's domain, counted from 1; DOMAINRULES_SITE or DOMAINRULES_UNSURE. */
extern int domainrules_number(const struct domainrules *r, const char *recipient);

/* What the rule of that number says: nothing for DOMAINRULES_SITE. */
extern void domainrules_rule(const struct domainrules *r, int number, struct domainrule *rule);

/* Whether a recipient's domain takes mail of networks that are greylisted; 0 as well when that is not sure. */
extern int domainrules_no_greylist(const struct domainrules *r, const char *recipient);

/* Whether mail by the one rule and by the other may be one message. Of a client that may relay only attachments are
 * judged by rules. */
extern int domainrules_together(const struct domainrules *r, int one, int other, int relay);

/* Whether a suffix of attachments can be one: 1 to DOMAINRULES_SUFFIX - 1 bytes, none a blank, ':', '/' or control. */
extern int domainrules_suffix(const char *suffix, size_t len);

#endif
