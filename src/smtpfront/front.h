/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtpfront's parts: one struct for all of it, and one for each session. Times are milliseconds of the monotonic clock.
 */
#ifndef FRONT_H
#define FRONT_H

#include <stdint.h>
#include "address.h"
#include "controls.h"
#include "dialogue.h"
#include "dnsbllist.h"
#include "frontlink.h"
#include "greyexempt.h"
#include "greystate.h"
#include "logqueue.h"
#include "places.h"
#include "poolbudget.h"
#include "resolver.h"
#include "suffixlist.h"
#include "tlslink.h"
#include "tlsterms.h"
#include "watch.h"

#define FRONT_LISTS_MAX 16
#define FRONT_LISTENING_MAX 8
#define FRONT_TEXT_MAX 256
#define FRONT_PLACES_MAX 5
#define FRONT_IN_MAX (SMTPCOMMAND_LINE_MAX + 4096)   /* unanswered bytes of a client */

enum session_state {
  SESSION_FREE,
  SESSION_TALKING,
  SESSION_ASKING,      /* DNS lists, or its name, are asked before its first recipient is answered */
  SESSION_TLS_ASKED,   /* STARTTLS: smtptls is asked for a session */
  SESSION_TLS_READY,   /* the client is being told to begin */
  SESSION_TLS_BEGUN,   /* its socket is smtptls's: nothing is sent to it, and nothing read */
  SESSION_READY,       /* to be handed over, once everything before is sent */
  SESSION_HANDING,     /* handed over; the launcher has not answered yet */
  SESSION_WAITING,     /* no place of qmail-smtpd is free */
  SESSION_CLOSING      /* the last reply is on its way */
};

struct starttls {              /* from STARTTLS to the end of a session */
  struct tlslink link;         /* until TLS is established */
  int client;                  /* the client's own socket, as soon as the session's descriptor is the plain end; else -1 */
  long until_ms;
  struct tlsterms terms;       /* once it is established */
};

enum session_verdict { VERDICT_NONE, VERDICT_PASS, VERDICT_REFUSE };

struct session {
  struct watch watch;          /* of the client's socket, or of the plain end of its TLS */
  struct watch control;        /* to smtptls, until TLS is established */
  struct starttls *tls;        /* from malloc, or null */
  enum session_state state;
  enum session_verdict verdict;
  uint64_t number;             /* sessionid.h */
  struct address address;
  char ip[ADDRESS_TEXT_MAX];
  uint64_t client_key;
  uint64_t network_key;
  struct session *older;       /* among all, by the time of the last command: the head has been silent longest */
  struct session *newer;
  long began_ms;
  long heard_ms;
  long try_ms;                 /* WAITING: when to ask again; CLOSING: until when */
  long waiting_since_ms;
  size_t bytes;                /* of the client, in all */
  struct dialogue dialogue;
  int relay;
  int announced;               /* its first line is in the log, so there will be a last one */
  char *reason;                /* RBLSMTPD of its rule, from malloc, or null */
  int whitelisted;
  char *refusal;               /* VERDICT_REFUSE: a whole reply, from malloc */
  char *recipient;             /* ASKING: from malloc */
  int lists_left;              /* ASKING */
  int lists_asked;             /* the next one to ask */
  long asking_end_ms;
  int wants;                   /* ASKING: a place for a question, among those of wants_first */
  struct session *wants_before;
  struct session *wants_after;
  struct pending *pending;     /* its network is greylisted: pending.h; from malloc, or null */
  char *in;                    /* from malloc; null when it is empty */
  size_t in_len;
  size_t searched;             /* bytes of it without an end of line */
  char *out;                   /* what could not be sent yet, from malloc, or null */
  size_t out_len;
};

/* A directory whose files this process may use, as Landlock knows it: the one that was there at its start. */
struct front_place {
  const char *path;
  int there;
  dev_t device;
  ino_t inode;
};

struct front_limits {
  size_t all;
  unsigned client;
  unsigned network;
  size_t secured;              /* with TLS, or on the way to it */
  size_t bytes;
  long idle_ms;
  long whole_ms;
  long place_ms;               /* a client waits for a place of qmail-smtpd */
};

struct front_settings {        /* of /etc/mailgate/cqgreylist, read again when it is another file */
  struct fileseen identity;
  struct greystate_limits greylist;
  int ipv4_prefix;
  int ipv6_prefix;
  long name_ms;                /* 0: names are not asked */
  long dnsbl_ms;
  char text[FRONT_TEXT_MAX];
};

struct front_dnsbl {
  struct fileseen identity;
  int n;
  struct dnsbllist list[FRONT_LISTS_MAX];
};

struct front_exempt {
  struct fileseen identity;
  size_t n;
  struct greyexempt *entry;
};

struct front_suffixes {
  struct fileseen identity;
  struct suffixlist list;
};

struct front {
  int epoll;
  long now_ms;
  int ending;
  const char *greylist_directory;
  const char *settings_file;
  const char *dnsbl_file;
  const char *exempt_file;
  const char *suffixes_file;
  const char *link_path;
  char deny_reply[FRONT_TEXT_MAX + 32];   /* to a client that a rule denies; empty to say nothing */
  const char *local_host;
  struct front_place place[FRONT_PLACES_MAX];
  int places_n;
  struct front_limits limits;
  struct controls controls;
  struct front_settings settings;
  struct front_dnsbl dnsbl;
  struct front_exempt exempt;
  struct front_suffixes suffixes;
  struct poolbudget pool_budget;
  struct logqueue log;
  struct watch log_watch;
  struct resolver resolver;
  struct places places;
  struct watch listening[FRONT_LISTENING_MAX];
  int listening_n;
  struct watch link;           /* to the launcher; -1: none */
  long link_try_ms;
  uint64_t last_number;
  size_t sessions;
  size_t secured;              /* of them have asked smtptls, or have TLS */
  struct session *talking;     /* whose commands are answered, or null */
  struct session *session;     /* limits.all of them */
  struct session *free;        /* by newer */
  struct session *oldest;
  struct session *newest;
  size_t waiting;              /* sessions that are WAITING or CLOSING */
  struct session *wants_first; /* ASKING, without a place for a question */
  struct session *wants_last;
  size_t wanting;
  struct session *naming_first;   /* those that search their name, see pending.h */
  struct session *naming_last;
  int naming_asked;            /* questions of theirs */
};

/* ---- session.c ---- */

/* Takes a connection, or refuses it. */
extern void session_begin(struct front *f, int fd);

/* Sends its last reply, as far as that is possible at once; it is CLOSING then, unless it is being handed over. */
extern void session_farewell(struct front *f, struct session *s, const char *reply);

/* Closing on bytes that nobody has read resets the connection, and destroys the last reply on its way. Returns whether
 * there were some. */
extern int session_forget_unread(const struct session *s);

/* Ends a session for every reason but a hand-over, with that reply or none. */
extern void session_end(struct front *f, struct session *s, const char *reply);

/* Its first line, before whatever is said of it: only of one that is refused as a whole the refusal is all. */
extern void session_announce(struct front *f, struct session *s);

/* Goes on where the state says what to do when it is time. */
extern void session_time(struct front *f, struct session *s);

/* What the launcher says of it. */
extern void session_answered(struct front *f, struct session *s, enum frontlink_answer answer);

/* What smtptls answers: there is a session, or there is none and the client hears so; it is established, or not: then
 * the client has to go. */
extern void session_tls_taken(struct front *f, struct session *s);
extern void session_tls_missing(struct front *f, struct session *s);
extern void session_tls_established(struct front *f, struct session *s);
extern void session_tls_failed(struct front *f, struct session *s, const char *why);

/* ---- fronttls.c: to smtptls ---- */

/* Asks for a session of smtptls. Returns 0 when there is none to be had. */
extern int starttls_begin(struct front *f, struct session *s);

/* The client has been told to begin. Returns 0 when smtptls is gone. */
extern int starttls_go(struct front *f, struct session *s);

/* The plain end becomes the session's descriptor. The client's socket is kept. */
extern void starttls_take(struct front *f, struct session *s);

/* Whether smtptls has answered in time. */
extern void starttls_time(struct front *f, struct session *s);

/* Gives it up, or ends it with the session. */
extern void starttls_forget(struct front *f, struct session *s);

/* What is known of its TLS; without a version for one in plain text. */
extern const struct tlsterms *starttls_terms(const struct session *s);

/* For the end of a line of the log: " tls=VERSION/CIPHER", or nothing. It is good until the next call. */
extern const char *starttls_said(const struct session *s);

/* ---- verdict.c: may this client name recipients? ---- */

/* Decides, or asks DNS lists: then it becomes ASKING, and session_judged() is called later. */
extern void verdict_ask(struct front *f, struct session *s);
extern void verdict_forget(struct front *f, struct session *s);

/* Frees what it keeps of a session that asks nothing any more. */
extern void verdict_end(struct session *s);

/* Before each recipient of a client that may not pass: the retry of a pool's message lets it pass. */
extern void verdict_recipient(struct front *f, struct session *s, const char *recipient);
extern void session_judged(struct front *f, struct session *s);

/* Puts questions for which there was no place, in the order in which they were wanted. */
extern void verdict_places(struct front *f);

/* Ends what is over time. */
extern void verdict_time(struct front *f, struct session *s);

/* ---- pool.c ---- */

/* Reads the files of exempt clients and of public suffixes. */
extern void pool_begin(struct front *f);

/* ---- link.c: to the launcher ---- */

/* Sends a session of those bytes with its socket: 1. Not sent: 0 while the launcher is busy, -1 when it is not
 * running. */
extern int link_send(struct front *f, struct session *s, const char *bytes, size_t len);
extern void link_begin(struct front *f);
extern void link_time(struct front *f);

/* ---- frontlog.c ---- */

/* A line of the log, with smtpfront[ID]: before it, the id of the session with that number, or smtpfront: for 0. */
extern void front_say(struct front *f, uint64_t number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a session whose first and last line are in the log, too. */
extern void front_note(struct front *f, struct session *s, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- frontjail.c ---- */

/* Confines this process: it executes nothing, and has only the files that it needs. Returns 0, with errno, when the
 * kernel could do that but fails. *missing says what the kernel lacks, or is null. */
extern int frontjail(struct front *f, const char *rules_directory, const char **missing);

/* Returns the directory that a file is in, copied into directory[size] unless it is the present one. */
extern const char *frontjail_directory(char *directory, size_t size, const char *path);

/* Returns the first directory in whose place another one is by now, which is closed to this process; or null. */
extern const char *frontjail_left(const struct front *f);

#endif
