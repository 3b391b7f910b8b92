/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole way of a message, with children of the test's own in the place of processes: whatever they answer, the message
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
#include "scanheader.h"
#include "scanmessage.h"

const char *const fuzz_words[] = {
  "A: b\n", "\n\n", "body\n", "X-Spam-Flag: NO\n", " x\n", "X-Spam-Status: No, score=1 required=5\n", "Subject: s\n", "\r", 0,
};

/* The input: how the children behave, then the message. */
static uint8_t plan[8];
static char *came;      /* what qmail-queue was fed */
static size_t came_length;
static int passed;      /* children that said that it may pass */
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

/* All that a feed gives, on the heap. */
static char *fed(const struct scanchild_feed *feed, size_t *length)
{
  size_t n = feed->count;
  char *all;
  int i;

  for (i = 0; i < SCANCHILD_PIECES && feed->pieces[i]; ++i) n += (size_t) feed->pieces[i]->length;
  all = fuzz_bytes(n);
  memcpy(all, feed->bytes, feed->count);
  *length = feed->count;
  for (i = 0; i < SCANCHILD_PIECES && feed->pieces[i]; ++i) {
    const struct scanpiece *piece = feed->pieces[i];

    HOLD(pread(piece->file, all + *length, (size_t) piece->length, (off_t) piece->offset) == (ssize_t) piece->length);
    *length += (size_t) piece->length;
  }
  return all;
}

static void say(const struct scanchild *child, const char *text, size_t length, size_t piece)
{
  size_t at;

  for (at = 0; child->taps[0] && at < length; at += piece)
    if (child->taps[0]->take(child->taps[0]->context, text + at, length - at < piece ? length - at : piece) == -1) return;
}

static void clamdscan(const struct scanchild *child, struct scanchild_result *result)
{
  static const char *const words[] = {"stream: OK\n", "stream: Eicar FOUND\n", "", "stream: OK\nx\n", "stream: OK"};
  const char *text = words[plan[1] % 5];

  say(child, text, strlen(text), 1 + plan[2] % 7);
  result->code = plan[1] % 5 == 1;
  result->fed = plan[2] < 250;
  if (result->end == SCANCHILD_EXITED && result->fed && (plan[1] % 5 == 0 || plan[1] % 5 == 4)) ++passed;
}

/* The last byte of spamc's answer, which is looked at where it belongs to a body. */
static int damaged(void)
{
  return plan[4] > 200;
}

static void spamc(const struct scanchild *child, struct scanchild_result *result)
{
  static const char *const heads[] = {
    "X-Spam-Status: No, score=1.0 required=5.0\n", "X-Spam-Status: Yes, score=11 required=5\n", "", "X-Spam-Status: No\n",
    " X-Spam-Status: No, score=1.0 required=5.0\n", "X-Spam-Status: Yes, score=6 required=5\n",
  };
  int which = plan[3] % 6;
  size_t length;
  char *first = fed(child->feeds[0], &length);

  if (damaged() && length > 0) first[length - 1] ^= 1;
  say(child, heads[which], strlen(heads[which]), 3);
  say(child, first, length, 1 + plan[2]);
  if (result->end == SCANCHILD_EXITED && result->code == 0 && (which == 0 || which == 5)) ++passed;
  free(first);
}

void scanchild_run(const struct scanchild *child, long long deadline, struct scanchild_result *result)
{
  (void) deadline;
  memset(result, 0, sizeof *result);
  result->end = plan[5] < 128 ? SCANCHILD_EXITED : (enum scanchild_end) (plan[5] % 7);
  result->code = 0;
  result->fed = 1;
  if (strcmp(child->program, "clamdscan") == 0) clamdscan(child, result);
  else if (strcmp(child->program, "spamc") == 0) spamc(child, result);
  else {
    HOLD(strcmp(child->program, "qmail-queue") == 0);
    free(came);
    came = fed(child->feeds[0], &came_length);
    ++envelopes;
    result->code = plan[6] % 4 == 3 ? 53 : 0;
    if (result->end == SCANCHILD_EXITED && result->code == 0) ++passed;
  }
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
    "deadline_seconds 5\nspam_failure refuse\nspam_limit_bytes 100\nreject_score 10\nclamd_config /a\nspamd_socket /b\n";
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
  static const struct scanplaces places = {"work", "control", "clamdscan", "spamc", "ripmime", "qmail-queue"};
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
  HOLD(damaged() || passed < 3 || status == SCAN_QUEUED);
  if (envelopes == 1 && !damaged()) is_whole((const char *) data + sizeof plan, size - sizeof plan);
  return 0;
}
