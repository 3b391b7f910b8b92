/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dialogue.h"
#include "envelopeaddress.h"
#include "envelopepath.h"
#include "refusal.h"
#include "validrcptto.h"

static enum dialogue_event say(struct dialogue_reply *reply, const char *text)
{
  reply->before = text;
  reply->greeting = 0;
  reply->after = "";
  return DIALOGUE_REPLY;
}

static enum dialogue_event say_greeting(struct dialogue_reply *reply, const char *before, const char *after)
{
  reply->before = before;
  reply->greeting = 1;
  reply->after = after;
  return DIALOGUE_REPLY;
}

static enum dialogue_event last(struct dialogue_reply *reply, const char *text)
{
  say(reply, text);
  return DIALOGUE_END;
}

static void forget_mail(struct dialogue *d)
{
  free(d->mail);
  free(d->sender);
  d->mail = d->sender = 0;
  d->mail_len = 0;
}

void dialogue_begin(struct dialogue *d, const char *refusals_max, const char *commands_max, const char *misses_max)
{
  memset(d, 0, sizeof *d);
  limitcount_begin(&d->count, refusals_max, commands_max);
  d->misses_max = validrcptto_limit(misses_max);
}

void dialogue_end(struct dialogue *d)
{
  forget_mail(d);
  free(d->helo);
  d->helo = 0;
}

enum dialogue_event dialogue_refuse(struct dialogue *d, const char *ip, const char *refusal,
                                    struct dialogue_reply *reply)
{
  if (limitcount_refused(&d->count)) {
    refusal_hangup("refusals", ip);
    return last(reply, SMTPREPLY_EXCESS);
  }
  return say(reply, refusal);
}

/* As qmail-smtpd's addrfit(). */
static enum envelopeaddress_fault fault_of(const char *address, size_t len, const char *arg)
{
  enum envelopeaddress_fault fault = envelopeaddress_check(address, len);

  for (; *arg && !fault; ++arg)
    if (((unsigned char) *arg < 32 && *arg != '\t') || *arg == 127)
      fault = ENVELOPEADDRESS_CONTROL;
  return fault;
}

void dialogue_secured(struct dialogue *d)
{
  dialogue_end(d);
  d->barred = 0;
  d->secured = 1;
}

static enum dialogue_event helo(struct dialogue *d, const struct dialogue_lists *lists, const char *verb, const char *arg,
                                struct dialogue_reply *reply)
{
  char line[DIALOGUE_HELO_MAX + 16];

  snprintf(line, sizeof line, "%s %.*s\r\n", verb, DIALOGUE_HELO_MAX, arg);
  forget_mail(d);
  free(d->helo);
  d->helo = strdup(line);
  if (!d->helo)
    return last(reply, SMTPREPLY_NOMEM);
  if (*verb == 'H')
    return say_greeting(reply, SMTPREPLY_HELO, SMTPREPLY_HELO_END);
  strcpy(reply->ehlo, lists->tls && !d->secured && lists->tls(lists->arg) ? SMTPREPLY_EHLO_STARTTLS : "");
  mailsize_ehlo(reply->ehlo + strlen(reply->ehlo), d->databytes);
  return say_greeting(reply, SMTPREPLY_EHLO, reply->ehlo);
}

static enum dialogue_event starttls(struct dialogue *d, const struct dialogue_lists *lists, const char *ip, const char *arg,
                                    struct dialogue_reply *reply)
{
  if (*arg)
    return dialogue_refuse(d, ip, SMTPREPLY_TLS_PARAMETER, reply);
  if (d->secured)
    return dialogue_refuse(d, ip, SMTPREPLY_TLS_AGAIN, reply);
  if (d->mail)
    return dialogue_refuse(d, ip, SMTPREPLY_TLS_MAIL, reply);
  return lists->tls(lists->arg) ? DIALOGUE_STARTTLS : say(reply, SMTPREPLY_NO_TLS);
}

static enum dialogue_event mail(struct dialogue *d, const struct dialogue_lists *lists, const char *ip, const char *line,
                                size_t len, const char *arg, struct dialogue_reply *reply)
{
  char address[SMTPCOMMAND_LINE_MAX + 1];
  size_t address_len = envelopepath(address, arg);
  enum envelopeaddress_fault fault = fault_of(address, address_len, arg);

  if (fault) {
    refusal_command("mail", envelopeaddress_word(fault), 0, address, ip);
    return dialogue_refuse(d, ip, SMTPREPLY_SENDER, reply);
  }
  if (mailsize_exceeds(arg, d->databytes)) {
    refusal_command("mail", "too-large", 0, address, ip);
    return dialogue_refuse(d, ip, SMTPREPLY_SIZE, reply);
  }
  forget_mail(d);
  d->mail = malloc(len);
  d->sender = strdup(address);
  if (!d->mail || !d->sender) {
    forget_mail(d);
    return last(reply, SMTPREPLY_NOMEM);
  }
  memcpy(d->mail, line, len);
  d->mail_len = len;
  d->barred = lists->badmailfrom(lists->arg, address);
  return say(reply, SMTPREPLY_OK);
}

static enum dialogue_event rcpt(struct dialogue *d, const char *ip, const char *arg, char *recipient,
                                struct dialogue_reply *reply)
{
  enum envelopeaddress_fault fault;
  size_t len;

  if (!d->mail)
    return dialogue_refuse(d, ip, SMTPREPLY_WANT_MAIL, reply);
  len = envelopepath(recipient, arg);
  fault = fault_of(recipient, len, arg);
  if (!fault)
    return DIALOGUE_RECIPIENT;
  refusal_command("rcpt", envelopeaddress_word(fault), recipient, d->sender, ip);
  return dialogue_refuse(d, ip, SMTPREPLY_RECIPIENT, reply);
}

enum dialogue_event dialogue_line(struct dialogue *d, const struct dialogue_lists *lists, const char *ip,
                                  const char *line, size_t len, char *recipient, struct dialogue_reply *reply)
{
  struct smtpcommand command;
  unsigned long cost = LIMITCOUNT_COST;

  smtpcommand_read(&command, line, len);
  if (command.verb == SMTPCOMMAND_STARTTLS && !lists->tls)
    command.verb = SMTPCOMMAND_UNKNOWN;
  if (command.verb == SMTPCOMMAND_QUIT) {
    say_greeting(reply, SMTPREPLY_QUIT, SMTPREPLY_QUIT_END);
    return DIALOGUE_END;
  }
  if (command.verb == SMTPCOMMAND_UNKNOWN)
    return dialogue_refuse(d, ip, SMTPREPLY_UNIMPLEMENTED, reply);
  if (command.verb == SMTPCOMMAND_RCPT)
    cost = LIMITCOUNT_COST_RECIPIENT;
  if (limitcount_command(&d->count, cost)) {
    refusal_hangup("commands", ip);
    return last(reply, SMTPREPLY_EXCESS);
  }
  switch (command.verb) {
    case SMTPCOMMAND_HELO: return helo(d, lists, "HELO", command.arg, reply);
    case SMTPCOMMAND_EHLO: return helo(d, lists, "EHLO", command.arg, reply);
    case SMTPCOMMAND_STARTTLS: return starttls(d, lists, ip, command.arg, reply);
    case SMTPCOMMAND_MAIL: return mail(d, lists, ip, line, len, command.arg, reply);
    case SMTPCOMMAND_RCPT: return rcpt(d, ip, command.arg, recipient, reply);
    case SMTPCOMMAND_DATA: return dialogue_refuse(d, ip, d->mail ? SMTPREPLY_WANT_RCPT : SMTPREPLY_WANT_MAIL, reply);
    case SMTPCOMMAND_RSET: forget_mail(d); return say(reply, SMTPREPLY_FLUSHED);
    case SMTPCOMMAND_NOOP: return say(reply, SMTPREPLY_OK);
    case SMTPCOMMAND_HELP: return say(reply, SMTPREPLY_HELP);
    case SMTPCOMMAND_VRFY: return say(reply, SMTPREPLY_VRFY);
    case SMTPCOMMAND_QUIT:
    case SMTPCOMMAND_UNKNOWN: break;
  }
  return dialogue_refuse(d, ip, SMTPREPLY_UNIMPLEMENTED, reply);
}

/* A recipient that could be accepted: of a client in plain text it may be one of those that are taken over TLS only. */
static enum dialogue_event acceptable(struct dialogue *d, const struct dialogue_lists *lists, const char *ip,
                                      const char *recipient, struct dialogue_reply *reply)
{
  enum requiretls_answer answer = REQUIRETLS_NO;

  if (!d->secured && lists->requiretls)
    answer = lists->requiretls(lists->arg, ip, d->sender, recipient);
  if (answer == REQUIRETLS_NO)
    return DIALOGUE_ACCEPTABLE;
  return dialogue_refuse(d, ip, requiretls_refuse(answer, recipient, d->sender, ip), reply);
}

enum dialogue_event dialogue_recipient(struct dialogue *d, const struct dialogue_lists *lists, const char *ip,
                                       const char *recipient, struct dialogue_reply *reply)
{
  if (d->barred) {
    refusal_badmailfrom(d->sender, recipient, ip);
    return dialogue_refuse(d, ip, SMTPREPLY_BADMAILFROM, reply);
  }
  switch (lists->rcpthosts(lists->arg, recipient)) {
    case DIALOGUE_YES: break;
    case DIALOGUE_NO:
      refusal_rcpthosts(recipient, d->sender, ip);
      return dialogue_refuse(d, ip, SMTPREPLY_RCPTHOSTS, reply);
    case DIALOGUE_UNSURE: return dialogue_refuse(d, ip, SMTPREPLY_UNCERTAIN, reply);
  }
  switch (lists->validrcptto(lists->arg, recipient)) {
    case DIALOGUE_YES: return acceptable(d, lists, ip, recipient, reply);
    case DIALOGUE_NO: break;
    case DIALOGUE_UNSURE: return dialogue_refuse(d, ip, SMTPREPLY_UNCERTAIN, reply);
  }
  refusal_validrcptto(recipient, d->sender, ip);
  if (++d->misses >= d->misses_max && d->misses_max) {
    refusal_excess(ip);
    return last(reply, SMTPREPLY_MISSES);
  }
  return dialogue_refuse(d, ip, SMTPREPLY_VALIDRCPTTO, reply);
}

size_t dialogue_handover(const struct dialogue *d, char *out, const char *unanswered, size_t len)
{
  char said[DIALOGUE_HELO_MAX + 16 + SMTPCOMMAND_LINE_MAX];
  size_t helo_len = d->helo ? strlen(d->helo) : 0;
  struct handover h;

  if (!d->mail)
    return 0;
  if (helo_len)
    memcpy(said, d->helo, helo_len);
  memcpy(said + helo_len, d->mail, d->mail_len);
  h.refusals = (uint32_t) d->count.refusals;
  h.spent = (uint32_t) d->count.spent - LIMITCOUNT_COST_RECIPIENT;   /* the recipient's cost is counted again */
  h.misses = (uint32_t) d->misses;
  h.said = said;
  h.said_len = helo_len + d->mail_len;
  h.unanswered = unanswered;
  h.unanswered_len = len;
  h.greylisted = d->greylisted;
  return handover_write(out, &h);
}
