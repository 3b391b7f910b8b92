/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole way of a message, with a qmail-queue, a clamd and a spamd of the test's own: whatever they answer, the message
 * is queued only when all of them let it pass, and then it is what came.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "clock.h"
#include "fuzz.h"
#include "scanchild.h"
#include "scanconnect.h"
#include "scanheader.h"
#include "scanmessage.h"

const char *const fuzz_words[] = {
  "A: b\n", "\n\n", "body\n", "X-Spam-Flag: NO\n", " x\n", "X-Spam-Status: No, score=1 required=5\n", "Subject: s\n", "\r", 0,
};

/* The input: how they behave, then the message. */
static uint8_t plan[8];
static char *came;      /* what qmail-queue was fed */
static size_t came_length;
static int passed;      /* who said that it may pass */
static int envelopes;

long long clock_ms(void)
{
  return 1;
}

int scanchild_prepare(void)
{
  return 0;
}

const char *scanchild_words(const char *name, const struct scanchild_result *result, char *text, size_t size)
{
  snprintf(text, size, "%s %d", name, (int) result->end);
  return text;
}

const char *scanconnect_words(const char *name, const struct scanconnect_result *result, char *text, size_t size)
{
  snprintf(text, size, "%s %d", name, (int) result->end);
  return text;
}

/* All that a feed gives, on the heap. */
static char *fed(const struct scanfeed *feed, size_t *length)
{
  size_t n = feed->count;
  char *all;
  int i;

  for (i = 0; i < SCANFEED_PIECES && feed->pieces[i]; ++i) n += (size_t) feed->pieces[i]->length;
  all = fuzz_bytes(n);
  memcpy(all, feed->bytes, feed->count);
  *length = feed->count;
  for (i = 0; i < SCANFEED_PIECES && feed->pieces[i]; ++i) {
    const struct scanpiece *piece = feed->pieces[i];

    HOLD(pread(piece->file, all + *length, (size_t) piece->length, (off_t) piece->offset) == (ssize_t) piece->length);
    *length += (size_t) piece->length;
  }
  return all;
}

/* Says it in pieces; whether the conversation went on. */
static int say(const struct scanconnect *ask, const char *text, size_t length, size_t piece)
{
  size_t at;
  int done = 0;

  for (at = 0; done == 0 && at < length; at += piece)
    done = ask->answer->take(ask->answer->context, text + at, length - at < piece ? length - at : piece);
  return done;
}

/* Answers differently when asked by descriptor and by stream, which is the last question about all that may pass. */
static void clamd(const struct scanconnect *ask, struct scanconnect_result *result)
{
  static const char *const words[] = {"stream: OK", "fd[1]: Eicar FOUND", "", "stream: OK\nx", "fd[1]: x ERROR", "fd[1]: OK"};
  int which = (plan[1] >> (ask->how == SCANCONNECT_DESCRIPTOR ? 4 : 0)) % 16 % 6;
  int cut = plan[2] > 240;

  result->fed = plan[2] < 230;
  HOLD(ask->how != SCANCONNECT_DESCRIPTOR || (fcntl(ask->descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY);
  say(ask, words[which], strlen(words[which]) + (cut ? 0 : 1), 1 + plan[2] % 7);
  if (ask->how == SCANCONNECT_CHUNKS && result->end == SCANCONNECT_ANSWERED && result->fed && !cut)
    passed += which == 0 || which == 5;
}

static void spamd(const struct scanconnect *ask, struct scanconnect_result *result)
{
  static const char *const heads[] = {
    "X-Spam-Status: No, score=1.0 required=5.0\n", "X-Spam-Status: Yes, score=11 required=5\n", "", "X-Spam-Status: No\n",
    " X-Spam-Status: No, score=1.0 required=5.0\n", "X-Spam-Status: Yes, score=6 required=5\n",
  };
  static const char *const verdicts[] = {
    "False ; 1.0 / 5.0", "True ; 11.0 / 5.0", "False ; 1 / 5", "False ; 1 / 5", "False ; 1.0 / 5.0", "True ; 6.0 / 5.0",
  };
  int which = plan[3] % 6;
  char head[200];
  int status;

  status = snprintf(head, sizeof head, "SPAMD/1.1 %d EX_OK\r\nContent-length: %zu\r\nSpam: %s\r\n\r\n", plan[4] > 250,
                    strlen(heads[which]) + (plan[4] > 240 && plan[4] <= 250), verdicts[which]);
  HOLD(ask->how == SCANCONNECT_WHOLE && status > 0);
  result->fed = 1;
  status = say(ask, head, strlen(head), 1 + plan[2]) == 0 && say(ask, heads[which], strlen(heads[which]), 3) == 1;
  if (status && result->end == SCANCONNECT_ANSWERED && plan[4] <= 240 && (which == 0 || which == 5)) ++passed;
}

void scanconnect_run(const struct scanconnect *ask, long long deadline, struct scanconnect_result *result)
{
  (void) deadline;
  result->end = plan[5] < 200 ? SCANCONNECT_ANSWERED : (enum scanconnect_end) (plan[5] % 7);
  result->code = ENOENT;
  if (strcmp(ask->socket, "/a") == 0) clamd(ask, result);
  else {
    HOLD(strcmp(ask->socket, "/b") == 0);
    spamd(ask, result);
  }
}

void scanchild_run(const struct scanchild *child, long long deadline, struct scanchild_result *result)
{
  (void) deadline;
  memset(result, 0, sizeof *result);
  result->end = plan[6] < 128 ? SCANCHILD_EXITED : (enum scanchild_end) (plan[6] % 7);
  result->fed = 1;
  HOLD(strcmp(child->program, "qmail-queue") == 0);
  free(came);
  came = fed(child->feeds[0], &came_length);
  ++envelopes;
  result->code = plan[6] % 4 == 3 ? 53 : 0;
  if (result->end == SCANCHILD_EXITED && result->code == 0) ++passed;
}

static int descriptor(const void *bytes, size_t size, int fd)
{
  int file = memfd_create("input", 0);

  HOLD(file != -1 && write(file, bytes, size) == (ssize_t) size && lseek(file, 0, SEEK_SET) == 0);
  HOLD(dup2(file, fd) == fd && close(file) == 0);
  return fd;
}

static void settings(void)
{
  static const char text[] =
    "deadline_seconds 5\nspam_failure refuse\nspam_limit_bytes 100\nreject_score 10\nclamd_socket /a\nspamd_socket /b\n";
  int fd;

  mkdir("control", 0700);
  mkdir("work", 0700);
  fd = open("control/simscan", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  HOLD(fd != -1 && write(fd, text, sizeof text - 1) == (ssize_t) sizeof text - 1 && close(fd) == 0);
  fd = open("control/ssattach", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  HOLD(fd != -1 && close(fd) == 0);
}

/* A field of the sender's may be gone, or a line with many CRs and NULs before its name; else the message came. */
static void is_whole(const char *message, size_t size)
{
  size_t skipped = 0;
  size_t i;

  for (i = 0; i < size; ++i) {
    skipped = message[i] == '\r' || message[i] == 0 ? skipped + 1 : 0;
    if (skipped >= SCANHEADER_HELD / 2)
      return;
  }

  for (i = 0; i + 1 < size; ++i)
    if ((message[i] == 'x' || message[i] == 'X') && (message[i + 1] == '-' || message[i + 1] == '\r' || message[i + 1] == 0))
      return;
  HOLD(came_length >= size && memcmp(came + came_length - size, message, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const struct scanplaces places = {"work", "control", "ripmime", "qmail-queue"};
  static const char envelope[] = "Fa@b.example\0Tc@d.example\0";
  static char *const nothing[] = {NULL};
  static int home = -1;
  char open_before[64];
  int kept[3];
  int status;
  int i;

  if (size < sizeof plan + 1) return 0;
  if (home == -1) {
    settings();
    home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsetenv("RELAYCLIENT");
  }
  memcpy(plan, data, sizeof plan);
  passed = envelopes = 0;
  came_length = 0;
  for (i = 0; i < 3; ++i) kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
  for (i = 0; i < 64; ++i) open_before[i] = fcntl(i, F_GETFD) != -1;
  descriptor(data + sizeof plan, size - sizeof plan, 0);
  descriptor(envelope, sizeof envelope - (plan[7] > 250), 1);
  descriptor("", 0, 2);
  status = scanmessage(&places, nothing);
  for (i = 0; i < 3; ++i) HOLD(dup2(kept[i], i) == i && close(kept[i]) == 0);
  for (i = 3; i < 64; ++i)
    if (!open_before[i]) close(i); /* what a process of its own would have left to its end */
  HOLD(fchdir(home) == 0);
  HOLD(envelopes <= 1 && (status != SCAN_QUEUED || passed == 3));
  HOLD(passed < 3 || status == SCAN_QUEUED);
  if (envelopes == 1) is_whole((const char *) data + sizeof plan, size - sizeof plan);
  return 0;
}
