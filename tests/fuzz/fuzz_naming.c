/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever answers come to smtpfront's search for client names, in whatever order sessions begin and leave: each session
 * that searches is told once, in time; with a name only when an answer had its address, and the name is one that a host
 * can have; one question of a client is outstanding, and few of a network.
 */
#include "fuzz.h"
#include "confirmedname.h"
#include "dnsmessage.h"

#define resolver_ask played_ask
#include "naming.c"

const char *const fuzz_words[] = {
  "\x81\x80", "\xc0\x0c", "\x00\x0c\x00\x01", "\x00\x01\x00\x01", "\x00\x1c\x00\x01", "\x01" "a\x04test",
  "\xc6\x33\x64\x07", "\xc0\x10", "\x3f", 0,
};

#define SESSIONS 36
#define END_MS 5000

static const uint8_t *script;
static size_t script_len;
static struct front f;
static struct session session[SESSIONS];
static struct {
  resolver_done *done;
  int which;
  char name[DNSMESSAGE_NAME_MAX];
  int type;
} question[SESSIONS];   /* of that session, when done is set */
static int wants[SESSIONS];
static int searching[SESSIONS];
static long begun_ms[SESSIONS];
static int confirmed;        /* the answer that is given now has its client's address */

static unsigned next(void)
{
  if (!script_len)
    return 0;
  --script_len;
  return *script++;
}

static size_t number_of(const struct session *s)
{
  HOLD(s >= session && s < session + SESSIONS);
  return (size_t) (s - session);
}

void front_say(struct front *front, uint64_t number, const char *format, ...)
{
  (void) front;
  (void) number;
  (void) format;
}

void verdict_named(struct front *front, struct session *s, const char *name)
{
  size_t i = number_of(s);
  size_t len;

  HOLD(front == &f && searching[i] && !s->pending->searching && !s->pending->names && !s->pending->asked);
  searching[i] = wants[i] = 0;
  if (name) {
    len = strlen(name);
    HOLD(confirmed && len > 0 && len < DNSMESSAGE_NAME_MAX);
    HOLD(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
  }
  free(s->pending);
  s->pending = 0;
}

void verdict_want_place(struct front *front, struct session *s)
{
  HOLD(front == &f && searching[number_of(s)]);
  wants[number_of(s)] = 1;
}

int played_ask(struct resolver *r, const char *name, int type, long now, long end, resolver_done *done, void *arg,
               int which)
{
  size_t i = number_of(arg);
  size_t j;
  int network = 0;

  HOLD(r == &f.resolver && now == f.now_ms && end == begun_ms[i] + END_MS && !question[i].done);
  HOLD(strlen(name) < DNSMESSAGE_NAME_MAX);
  if (next() % 8 == 7)
    return 0;
  for (j = 0; j < SESSIONS; ++j)
    if (question[j].done) {
      HOLD(!address_equal(&session[i].address, &session[j].address));
      network += session[j].network_key == session[i].network_key;
    }
  HOLD(network < (int) MOST_OF_NETWORK);
  question[i].done = done;
  question[i].which = which;
  question[i].type = type;
  strcpy(question[i].name, name);
  return 1;
}

/* Answers a question: with names, with the client's own address, or with whatever the input has. */
static void answer(size_t i)
{
  unsigned char message[1200];
  struct session *s = &session[i];
  resolver_done *done = question[i].done;
  size_t len = dnsmessage_query(message, question[i].name, question[i].type, 1);
  size_t room = sizeof message - 400;
  size_t begin;
  unsigned records = 0;
  unsigned how = next();

  if (!done)
    return;
  question[i].done = 0;
  if (how % 8 == 7 || !len) {
    confirmed = 0;
    done(s, question[i].which, 0, 0, "no answer in time");
    return;
  }
  message[2] = 0x81;
  while (records < how / 8 && len < room) {
    message[len++] = 0xc0;
    message[len++] = 12;
    message[len++] = 0;
    message[len++] = (unsigned char) (next() % 16 == 15 ? DNSMESSAGE_CNAME : question[i].type);
    memcpy(message + len, "\0\1\0\0\0\0\0\0", 8);
    len += 8;
    begin = len;
    if (question[i].type != DNSMESSAGE_PTR && next() % 2) {
      memcpy(message + len, s->address.bytes, (size_t) s->address.bits / 8);
      len += (size_t) s->address.bits / 8;
    } else if (question[i].type == DNSMESSAGE_PTR && next() % 4) {
      message[len++] = 2;
      message[len++] = 'n';
      message[len++] = (unsigned char) next();
      memcpy(message + len, "\4test", 6);
      len += 6;
    } else {
      for (how = how / 8 * 8 + next() % 8; how % 8 && script_len; --how)
        message[len++] = (unsigned char) next();
    }
    message[begin - 1] = (unsigned char) (len - begin);
    ++records;
  }
  message[7] = (unsigned char) (records + next() % 2);
  confirmed = question[i].type != DNSMESSAGE_PTR && confirmedname_confirms(message, len, &s->address);
  done(s, question[i].which, message, len, 0);
  confirmed = 0;
}

static void begin(size_t i)
{
  struct session *s = &session[i];

  if (searching[i])
    return;
  s->pending = calloc(1, sizeof *s->pending);
  HOLD(s->pending != 0);
  searching[i] = 1;
  begun_ms[i] = f.now_ms;
  HOLD(naming_begin(&f, s));
}

/* The session ends, as verdict_forget() does it. */
static void leave(size_t i)
{
  if (!searching[i])
    return;
  question[i].done = 0;
  searching[i] = wants[i] = 0;
  naming_forget(&f, &session[i]);
  free(session[i].pending);
  session[i].pending = 0;
}

static void give_places(void)
{
  size_t i;

  for (i = 0; i < SESSIONS; ++i)
    if (wants[i]) {
      wants[i] = 0;
      if (!naming_ask(&f, &session[i]))
        wants[i] = 1;
    }
}

/* Whether a session of that client asks, or is about to. */
static int one_leads(const struct address *client)
{
  size_t i = 0;

  while (i < SESSIONS
         && (!searching[i] || session[i].pending->follows || !address_equal(&session[i].address, client)))
    ++i;
  return i < SESSIONS && (wants[i] || session[i].pending->asked);
}

static void check(void)
{
  size_t i;
  int asked = 0;

  for (i = 0; i < SESSIONS; ++i) {
    asked += question[i].done != 0;
    HOLD(!searching[i] || (session[i].pending && session[i].pending->searching));
    HOLD(!searching[i] || one_leads(&session[i].address));
    HOLD(!question[i].done || (searching[i] && session[i].pending->asked && !session[i].pending->follows));
  }
  HOLD(asked == f.naming_asked && (f.naming_first != 0) == (f.naming_last != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const clients[] = {
    "198.51.100.7", "198.51.100.7", "198.51.100.8", "203.0.113.1", "2001:db8::5", "2001:db8::6",
  };
  size_t i;

  script = data;
  script_len = size;
  memset(&f, 0, sizeof f);
  memset(session, 0, sizeof session);
  memset(question, 0, sizeof question);
  memset(wants, 0, sizeof wants);
  memset(searching, 0, sizeof searching);
  HOLD(places_begin(&f.places, 2 * SESSIONS, (const unsigned char *) "0123456789abcdef"));
  f.now_ms = 1000;
  f.settings.name_ms = END_MS;
  for (i = 0; i < SESSIONS; ++i) {
    session[i].watch.owner = &f;
    HOLD(address_parse(&session[i].address, clients[i % 6]));
    if (i >= 12)
      session[i].address.bytes[3] = (unsigned char) (100 + i);   /* another one of its network */
    session[i].network_key = (uint64_t) session[i].address.bytes[0] + 1;
  }
  while (script_len) {
    i = next() % SESSIONS;
    switch (next() % 8) {
      case 0: case 1: begin(i); break;
      case 2: leave(i); break;
      case 3: f.now_ms += 20L * next(); break;
      case 4: give_places(); break;
      default:
        while (i < SESSIONS && !question[i].done)
          ++i;
        if (i < SESSIONS)
          answer(i);
        break;
    }
    check();
    for (i = 0; i < SESSIONS; ++i)
      if (searching[i])
        naming_time(&f, &session[i]);
    check();
  }
  f.now_ms += END_MS;
  for (i = 0; i < SESSIONS; ++i)
    answer(i);
  for (i = 0; i < SESSIONS; ++i)
    if (searching[i])
      naming_time(&f, &session[i]);
  for (i = 0; i < SESSIONS; ++i)
    HOLD(!searching[i] && !question[i].done);
  HOLD(!f.naming_first && !f.naming_last && !f.naming_asked);
  for (i = 0; i < SESSIONS; ++i)
    HOLD(!places_count(&f.places, questions_key(&session[i])));
  places_end(&f.places);
  return 0;
}
