/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtpfront with faults that somebody who has broken into it could put there; linked with its own files, of which the
 * functions below are wrapped. The variable EVIL names the fault:
 *   yes        every sender and every recipient is good
 *   relay      the rules let everybody relay
 *   swap       of two clients, each is handed over as the other one
 *   foreign    every session is handed over with an envelope and a message for somebody elsewhere
 *   ours       with an envelope and a message for a valid recipient
 *   secured, secured-foreign, secured-ours    as it is, or as above, each with TLS that it makes up
 *   port       a stranger's socket is connected to EVIL_ADDRESS, port EVIL_PORT, and handed over as who is there
 *   reconnect, steal, forge   with a duplicate of a relay client's socket, once the launcher has taken that: connects it
 *              there, too; reads the client's first line; or answers it
 *   execute    it tries to get another program to run before each hand-over: that of the variable EVIL_PROGRAM
 *   unconfined as execute, without Landlock and seccomp: shows that the tries could succeed
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "front.h"

int __real_controls_badmailfrom(void *arg, const char *sender);
enum dialogue_answer __real_controls_rcpthosts(void *arg, const char *recipient);
enum dialogue_answer __real_controls_validrcptto(void *arg, const char *recipient);
enum tcprule __real_controls_rule(struct controls *c, struct tcprule_found *found, const struct address *client);
int __real_link_send(struct front *f, struct session *s, const char *bytes, size_t len);
void __real_session_answered(struct front *f, struct session *s, enum frontlink_answer answer);
int __real_frontjail(struct front *f, const char *rules_directory, const char **missing);

static int is(const char *fault)
{
  const char *evil = getenv("EVIL");

  return evil && strcmp(evil, fault) == 0;
}

/* ---- what it says of clients and addresses ---- */

int __wrap_controls_badmailfrom(void *arg, const char *sender)
{
  return is("yes") ? 0 : __real_controls_badmailfrom(arg, sender);
}

enum dialogue_answer __wrap_controls_rcpthosts(void *arg, const char *recipient)
{
  return is("yes") ? DIALOGUE_YES : __real_controls_rcpthosts(arg, recipient);
}

enum dialogue_answer __wrap_controls_validrcptto(void *arg, const char *recipient)
{
  return is("yes") ? DIALOGUE_YES : __real_controls_validrcptto(arg, recipient);
}

enum tcprule __wrap_controls_rule(struct controls *c, struct tcprule_found *found, const struct address *client)
{
  enum tcprule verdict = __real_controls_rule(c, found, client);

  if (!is("relay"))
    return verdict;
  found->variable[0] = "RELAYCLIENT=";
  found->variables = 1;
  return TCPRULE_ALLOW;
}

/* ---- what it hands over ---- */

static int swapped(struct front *f, struct session *s, const char *bytes, size_t len)
{
  static char first_bytes[HANDOVER_MAX];
  static size_t first_len;
  static struct session *first;
  struct session *other = first;
  int fd;

  if (!other) {
    memcpy(first_bytes, bytes, len);
    first_len = len;
    first = s;
    return 1;
  }
  first = 0;
  fd = other->watch.fd;
  other->watch.fd = s->watch.fd;
  s->watch.fd = fd;
  __real_link_send(f, other, first_bytes, first_len);
  return __real_link_send(f, s, bytes, len);
}

static int forged(struct front *f, struct session *s, const char *recipient)
{
  static char bytes[HANDOVER_MAX];
  char unanswered[500];
  struct handover h;

  memset(&h, 0, sizeof h);
  snprintf(unanswered, sizeof unanswered, "RCPT TO:<%s>\r\nDATA\r\nSubject: forged\r\n\r\nForged.\r\n.\r\nQUIT\r\n", recipient);
  h.said = "HELO forged.example\r\nMAIL FROM:<boss@example.com>\r\n";
  h.said_len = strlen(h.said);
  h.unanswered = unanswered;
  h.unanswered_len = strlen(unanswered);
  return __real_link_send(f, s, bytes, handover_write(bytes, &h));
}

/* The other end of the pair is its own, so is what is said there. */
static void make_up_tls(struct session *s)
{
  int pair[2];

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
    exit(1);
  s->tls = calloc(1, sizeof *s->tls);
  s->tls->link.control = s->tls->link.plain = -1;
  s->tls->client = s->watch.fd;
  s->watch.fd = pair[1];
  tlsterms_parse(&s->tls->terms, "TLSv1.3 EVIL evil.example");
}

/* ---- what it tries to run ---- */

static void tell(struct front *f, const char *what, int failed)
{
  front_say(f, 0, "warning: evil %s: %s", what, failed ? strerror(errno) : "done");
}

static void try_to_execute(struct front *f)
{
  char program[] = "/proc/self/fd/200";   /* none of its own */
  char *argv[] = {program, 0};
  char *nothing[] = {0};
  pid_t pid;
  int fd;

  fd = open(getenv("EVIL_PROGRAM"), O_RDONLY);
  tell(f, "read the program", fd == -1);
  if (fd != -1) {
    dup2(fd, 200);
    close(fd);
  }
  pid = fork();
  tell(f, "fork", pid == -1);
  if (pid == 0)
    _exit(execve(getenv("EVIL_PROGRAM"), argv, environ));
  if (pid > 0)
    waitpid(pid, 0, 0);
  pid = 0;
  errno = posix_spawn(&pid, getenv("EVIL_PROGRAM"), 0, 0, argv, environ);
  tell(f, "spawn", errno != 0);
  if (pid > 0)
    waitpid(pid, 0, 0);
  if (!is("unconfined")) {   /* it would be that program then, and trace the tests */
    execve(getenv("EVIL_PROGRAM"), argv, nothing);
    tell(f, "execve", 1);
    syscall(SYS_execveat, AT_FDCWD, getenv("EVIL_PROGRAM"), argv, nothing, 0);
    tell(f, "execveat", 1);
    tell(f, "signal its parent", kill(getppid(), SIGCONT) == -1);
    tell(f, "trace its parent", ptrace(PTRACE_SEIZE, getppid(), 0, 0) == -1);
  }
  fd = open(getenv("EVIL_FILE"), O_WRONLY | O_CREAT, 0644);
  tell(f, "write a file", fd == -1);
  if (fd != -1)
    close(fd);
}

/* ---- what it does with the socket of a client ---- */

static int wait_for(int fd, short events)
{
  struct pollfd one = {fd, events, 0};

  return poll(&one, 1, 30000) == 1;
}

static int connect_again(int fd)
{
  struct sockaddr none = {0};
  struct sockaddr_in there = {0};
  int error = 1;
  socklen_t len = sizeof error;

  none.sa_family = AF_UNSPEC;
  there.sin_family = AF_INET;
  there.sin_port = htons((uint16_t) atoi(getenv("EVIL_PORT")));
  there.sin_addr.s_addr = inet_addr(getenv("EVIL_ADDRESS"));
  if (connect(fd, &none, sizeof none) == -1)
    return 0;
  if (connect(fd, (struct sockaddr *) &there, sizeof there) == -1 && errno != EINPROGRESS)
    return 0;
  return wait_for(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error;
}

static int read_a_line(int fd)
{
  char byte;

  do
    if (!wait_for(fd, POLLIN) || read(fd, &byte, 1) != 1)
      return 0;
  while (byte != '\n');
  return 1;
}

static int meddle(int fd)
{
  static const char answer[] = "354 go ahead\r\n";

  if (is("reconnect"))
    return connect_again(fd);
  return is("steal") ? read_a_line(fd) : write(fd, answer, strlen(answer)) == (ssize_t) strlen(answer);
}

void __wrap_session_answered(struct front *f, struct session *s, enum frontlink_answer answer)
{
  int fd = -1;

  if ((is("reconnect") || is("steal") || is("forge")) && answer == FRONTLINK_TAKEN && s->relay)
    fd = dup(s->watch.fd);   /* never closed, as it would */
  __real_session_answered(f, s, answer);
  if (fd != -1)
    tell(f, "meddles", !meddle(fd));
}

static int pretended(struct front *f, struct session *s)
{
  static const struct handover nothing;
  static char bytes[HANDOVER_MAX];

  tell(f, "connects", !connect_again(s->watch.fd));
  return __real_link_send(f, s, bytes, handover_write(bytes, &nothing));
}

int __wrap_link_send(struct front *f, struct session *s, const char *bytes, size_t len)
{
  if (is("execute") || is("unconfined"))
    try_to_execute(f);
  if (is("secured") || is("secured-foreign") || is("secured-ours"))
    make_up_tls(s);
  if (is("port") && !s->relay)
    return pretended(f, s);
  if (is("swap"))
    return swapped(f, s, bytes, len);
  if (is("foreign") || is("secured-foreign"))
    return forged(f, s, "x@elsewhere.example");
  return is("ours") || is("secured-ours") ? forged(f, s, "ann@example.com") : __real_link_send(f, s, bytes, len);
}

int __wrap_frontjail(struct front *f, const char *rules_directory, const char **missing)
{
  *missing = 0;
  return is("unconfined") ? 1 : __real_frontjail(f, rules_directory, missing);
}
