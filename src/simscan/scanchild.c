/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "clock.h"
#include "scanchild.h"

#define FAREWELL_MS 2000 /* between asking a child to clean up and killing it */

struct running {
  const struct scanchild *child;
  pid_t pid;
  int feed[2];      /* this side of the pipes to its descriptors 0 and 1, -1 when closed */
  int tap[2];       /* this side of the pipes from its descriptors 1 and 2 */
  int feeding;      /* which feed is being written; 2: all are */
  long long looked; /* when the watch was called last */
  struct scanfeed_reader reader; /* of that feed */
};

static void on_child(int signal)
{
  (void) signal;
}

int scanchild_prepare(void)
{
  struct sigaction action;
  sigset_t set;

  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGPIPE, &action, NULL) == -1 || sigaction(SIGXFSZ, &action, NULL) == -1) return -1;
  action.sa_handler = on_child;
  if (sigaction(SIGCHLD, &action, NULL) == -1) return -1;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return sigprocmask(SIG_BLOCK, &set, NULL);
}

static void shut(int *fd)
{
  if (*fd != -1) close(*fd);
  *fd = -1;
}

/* In the child: sets up descriptors 0, 1 and 2, closes all others and executes it; returns only after a failure. */
static void become(const struct scanchild *child, const int wanted[3])
{
  struct sigaction action;
  sigset_t set;
  int moved[3];
  int fd;
  int i;

  setpgid(0, 0);
  for (i = 0; i < 3; ++i) {
    fd = wanted[i];
    if (fd == -1) fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd == -1) return;
    moved[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* out of the way of the others */
    if (moved[i] == -1) return;
  }
  for (i = 0; i < 3; ++i)
    if (dup2(moved[i], i) == -1) return;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL);
  sigaction(SIGCHLD, &action, NULL);
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  if (child->scanner) {
    uid_t user = geteuid();

    if (setresuid(user, user, user) == -1) return;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1) return;
    if (child->jail && scanjail_enter(child->jail) == -1) return;
  }
  execve(child->program, child->argv, child->environment);
}

/* Starts the child. Returns 0, or -1 with the result filled in; only the pipes in r stay open. */
static int start(struct running *r, struct scanchild_result *result)
{
  const struct scanchild *child = r->child;
  int wanted[3] = {-1, -1, -1};
  int pair[2];
  int why[2] = {-1, -1};
  int error = 0;
  ssize_t got = 0;
  int i;

  wanted[0] = child->input == -1 ? -1 : fcntl(child->input, F_DUPFD_CLOEXEC, 3);
  if (child->input != -1 && wanted[0] == -1) error = errno;
  for (i = 0; i < 2 && error == 0; ++i) {
    if (child->feeds[i]) {
      if (pipe2(pair, O_CLOEXEC) == -1) { error = errno; break; }
      wanted[i] = pair[0];
      r->feed[i] = pair[1];
      if (fcntl(pair[1], F_SETFL, O_NONBLOCK) == -1) error = errno;
    }
    if (child->taps[i] && error == 0) {
      if (pipe2(pair, O_CLOEXEC) == -1) { error = errno; break; }
      wanted[i + 1] = pair[1];
      r->tap[i] = pair[0];
      if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == -1) error = errno;
    }
  }
  if (error == 0 && pipe2(why, O_CLOEXEC) == -1) error = errno;
  if (error == 0) {
    r->pid = fork();
    if (r->pid == -1) error = errno;
    if (r->pid == 0) {
      become(child, wanted);
      error = errno;
      while (write(why[1], &error, sizeof error) == -1 && errno == EINTR) continue;
      _exit(127);
    }
  }
  shut(&why[1]);
  for (i = 0; i < 3; ++i) shut(&wanted[i]);
  if (error != 0) {
    shut(&why[0]);
    result->end = SCANCHILD_TROUBLE;
    result->code = error;
    return -1;
  }
  setpgid(r->pid, r->pid); /* parent and child both do it, whichever is first */
  do got = read(why[0], &error, sizeof error); while (got == -1 && errno == EINTR);
  shut(&why[0]);
  if (got == 0) return 0;
  while (waitpid(r->pid, &i, 0) == -1 && errno == EINTR) continue;
  r->pid = 0;
  result->end = SCANCHILD_NOT_RUN;
  result->code = got == (ssize_t) sizeof error ? error : EIO;
  return -1;
}

/* Whether the child has ended. Its process number is not reused until collect(). */
static int ended(pid_t pid)
{
  siginfo_t information;

  information.si_pid = 0;
  while (waitid(P_PID, (id_t) pid, &information, WEXITED | WNOHANG | WNOWAIT) == -1)
    if (errno != EINTR) return 1;
  return information.si_pid == pid;
}

static void end_all(const struct running *r)
{
  kill(-r->pid, SIGKILL);
  kill(r->pid, SIGKILL);
}

static void collect(struct running *r, struct scanchild_result *result)
{
  int status;
  pid_t got;

  do got = waitpid(r->pid, &status, 0); while (got == -1 && errno == EINTR);
  r->pid = 0;
  if (got == -1) {
    result->end = SCANCHILD_TROUBLE;
    result->code = errno;
  } else if (WIFEXITED(status)) {
    result->end = SCANCHILD_EXITED;
    result->code = WEXITSTATUS(status);
  } else {
    result->end = SCANCHILD_SIGNALLED;
    result->code = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
}

/* Waits at most so long for its end; returns whether it has ended. */
static int wait_for_end(pid_t pid, int milliseconds)
{
  long long until = clock_ms() + milliseconds;
  struct timespec pause = {0, 20 * 1000 * 1000};

  while (!ended(pid)) {
    if (clock_ms() >= until) return 0;
    nanosleep(&pause, NULL);
  }
  return 1;
}

/*
 * Ends a child that was too slow. A child that is not a scanner may clean up first: qmail-queue does so at SIGALRM,
 * and when it has finished after all, its exit status counts.
 */
static void too_late(struct running *r, struct scanchild_result *result)
{
  if (!r->child->scanner) {
    kill(r->pid, SIGALRM);
    if (wait_for_end(r->pid, FAREWELL_MS)) {
      collect(r, result);
      if (result->end == SCANCHILD_EXITED && result->code == 0) return;
      result->end = SCANCHILD_LATE;
      return;
    }
  }
  end_all(r);
  if (wait_for_end(r->pid, FAREWELL_MS)) collect(r, result);
  result->end = SCANCHILD_LATE;
  result->code = 0;
}

/* Continues with that feed, or with the one behind it where there is none. */
static void turn_to_feed(struct running *r, int which)
{
  while (which < 2 && !r->child->feeds[which]) ++which;
  r->feeding = which;
  if (which < 2) scanfeed_begin(&r->reader, r->child->feeds[which]);
}

/* Writes as much as the pipe accepts now. Returns -1 when the source fails; sets *broken when the child reads no
 * more. */
static int write_feed(struct running *r, int *broken)
{
  ssize_t w;

  switch (scanfeed_fill(&r->reader)) {
    case -1: return -1;
    case 0:
      shut(&r->feed[r->feeding]);
      turn_to_feed(r, r->feeding + 1);
      return 0;
  }
  w = write(r->feed[r->feeding], r->reader.block + r->reader.begin, r->reader.end - r->reader.begin);
  if (w == -1) {
    if (errno != EINTR && errno != EAGAIN) *broken = 1;
    return 0;
  }
  r->reader.begin += (size_t) w;
  /* At once: qmail-queue does not wait for the end of the envelope, and may be gone before the next look. */
  switch (scanfeed_fill(&r->reader)) {
    case -1: return -1;
    case 0:
      shut(&r->feed[r->feeding]);
      turn_to_feed(r, r->feeding + 1);
  }
  return 0;
}

/* Passes the child's output to the tap; 1 when there was some, 0 when there is none now, -1 when the tap refuses. */
static int read_tap(struct running *r, int i)
{
  char said[16384];
  ssize_t got;

  got = read(r->tap[i], said, sizeof said);
  if (got == -1 && errno == EINTR) return 1;
  if (got == -1 && errno == EAGAIN) return 0;
  if (got <= 0) {
    shut(&r->tap[i]);
    return 0;
  }
  return r->child->taps[i]->take(r->child->taps[i]->context, said, (size_t) got) == -1 ? -1 : 1;
}

/* Ends a child that must not continue. One that is not a scanner gets the end of its feed too early, and cleans up. */
static void stop(struct running *r, struct scanchild_result *result, enum scanchild_end end)
{
  int error = errno;

  if (!r->child->scanner) {
    shut(&r->feed[0]);
    shut(&r->feed[1]);
    wait_for_end(r->pid, FAREWELL_MS);
  }
  end_all(r);
  if (wait_for_end(r->pid, FAREWELL_MS)) collect(r, result);
  result->end = end;
  result->code = error;
}

static int watched(struct running *r, int gone)
{
  long long now = clock_ms();

  if (!r->child->watch || (!gone && now < r->looked + SCANCHILD_WATCH_MS)) return 0;
  r->looked = now;
  return r->child->watch->look(r->child->watch->context);
}

/* Passes on the rest of the child's output; -1 when the child was stopped because of it. */
static int listen_to(struct running *r, long long deadline, struct scanchild_result *result)
{
  int got;
  int i;

  for (i = 0; i < 2; ++i)
    while (r->tap[i] != -1 && (got = read_tap(r, i)) != 0) {
      if (got == -1) {
        stop(r, result, SCANCHILD_STOPPED);
        return -1;
      }
      if (clock_ms() >= deadline) break;
    }
  return 0;
}

/* Fills in what ppoll() waits for; returns how many, the feed last. */
static int awaited(const struct running *r, int broken, struct pollfd ready[3])
{
  int n = 0;
  int i;

  for (i = 0; i < 2; ++i)
    if (r->tap[i] != -1) {
      ready[n].fd = r->tap[i];
      ready[n].events = POLLIN;
      ready[n++].revents = 0;
    }
  if (r->feeding < 2 && !broken) {
    ready[n].fd = r->feed[r->feeding];
    ready[n].events = POLLOUT;
    ready[n++].revents = 0;
  }
  return n;
}

static void attend(struct running *r, long long deadline, struct scanchild_result *result)
{
  struct pollfd ready[3];
  struct timespec timeout;
  long long left;
  sigset_t others;
  int broken = 0;
  int gone;
  int n;

  sigprocmask(SIG_BLOCK, NULL, &others);
  sigdelset(&others, SIGCHLD);
  for (;;) {
    gone = ended(r->pid);
    if (gone && r->child->scanner) kill(-r->pid, SIGKILL); /* processes that it left behind */
    if (listen_to(r, deadline, result) == -1) return;
    if (watched(r, gone) == -1) { stop(r, result, SCANCHILD_STOPPED); return; }
    if (gone) { /* a grandchild that holds a pipe open is ignored */
      collect(r, result);
      return;
    }
    left = deadline + (r->feeding == 2 ? r->child->patience_ms : 0) - clock_ms();
    if (left <= 0) { too_late(r, result); return; }
    if (r->child->watch && left > SCANCHILD_WATCH_MS) left = SCANCHILD_WATCH_MS;
    n = awaited(r, broken, ready);
    timeout.tv_sec = (time_t) (left / 1000);
    timeout.tv_nsec = (long) (left % 1000) * 1000000;
    /* the end of the child comes as a signal, which is taken in here only */
    if (ppoll(ready, (nfds_t) n, &timeout, &others) <= 0) continue;
    if (r->feeding < 2 && !broken && ready[n - 1].revents != 0 && write_feed(r, &broken) == -1) {
      stop(r, result, errno == EBADMSG ? SCANCHILD_CHANGED : SCANCHILD_TROUBLE);
      return;
    }
  }
}

void scanchild_run(const struct scanchild *child, long long deadline, struct scanchild_result *result)
{
  static struct running r;
  int i;

  memset(&r, 0, sizeof r);
  r.child = child;
  r.feeding = 2;
  for (i = 0; i < 2; ++i) r.feed[i] = r.tap[i] = -1;
  result->end = SCANCHILD_TROUBLE;
  result->code = 0;
  result->fed = 0;
  result->pid = 0;
  if (start(&r, result) == 0) {
    result->pid = (long) r.pid;
    turn_to_feed(&r, 0);
    attend(&r, deadline, result);
    result->fed = r.feeding == 2;
  }
  for (i = 0; i < 2; ++i) {
    shut(&r.feed[i]);
    shut(&r.tap[i]);
  }
}

const char *scanchild_words(const char *name, const struct scanchild_result *result, char *text, size_t size)
{
  switch (result->end) {
    case SCANCHILD_EXITED: snprintf(text, size, "%s exited with status %d", name, result->code); break;
    case SCANCHILD_SIGNALLED: snprintf(text, size, "%s was ended by signal %d", name, result->code); break;
    case SCANCHILD_LATE: snprintf(text, size, "%s did not end in time", name); break;
    case SCANCHILD_NOT_RUN:
      snprintf(text, size, "%s cannot be started: %s", name, strerror(result->code));
      break;
    case SCANCHILD_TROUBLE:
      snprintf(text, size, "%s cannot be served: %s", name, strerror(result->code));
      break;
    case SCANCHILD_STOPPED:
      snprintf(text, size, "%s was stopped: %s", name, strerror(result->code));
      break;
    case SCANCHILD_CHANGED:
      snprintf(text, size, "%s: the message in the work directory is not what was written there", name);
      break;
  }
  return text;
}
