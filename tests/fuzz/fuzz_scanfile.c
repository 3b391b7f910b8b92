/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A message is stored in three parts whose hashes are those of its bytes, and what was changed on the disk is found: by its
 * length and time, and by who reads it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"
#include "scanfile.h"

const char *const fuzz_words[] = {
  "A: b\n", "\n", "\n\n", " continued\n", "X-Spam-Flag: NO\n", "body", "\r\n", "x", ":", 0,
};

static const unsigned char key[SCANHASH_KEY] = "0123456789abcde";

static int on_disk(const char *bytes, size_t size)
{
  int fd = memfd_create("message", MFD_CLOEXEC);

  HOLD(fd != -1 && scanfile_write(fd, bytes, size) == 0 && lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

/* What a reader gets of the message; -1 when it is not what was stored. */
static int read_back(const struct scanfile_message *message, char *to)
{
  static struct scanfeed_reader reader;
  struct scanfeed feed = {"", 0, {&message->header, &message->body, &message->rest}, key};
  int got;

  HOLD(scanfeed_length(&feed) == message->length);
  scanfeed_begin(&reader, &feed);
  while ((got = scanfeed_fill(&reader)) == 1) {
    memcpy(to, reader.block + reader.begin, reader.end - reader.begin);
    to += reader.end - reader.begin;
    reader.begin = reader.end;
  }
  return got;
}

/* One byte that is changed on the disk is found. */
static void compare(const struct scanfile_message *message, const char *stored, size_t at)
{
  size_t size = (size_t) message->length;
  char *again = fuzz_bytes(size);
  char other = (char) (stored[at % size] ^ 1);
  int fd = scanfile_open_stored("stored", message);

  HOLD(fd != -1 && scanfile_is_as_stored(fd, message) && write(fd, "x", 1) == -1);
  HOLD(read_back(message, again) == 0 && memcmp(again, stored, size) == 0);
  HOLD(pwrite(message->file, &other, 1, (off_t) (at % size)) == 1);
  HOLD(read_back(message, again) == -1);
  HOLD(ftruncate(message->file, (off_t) size - 1) == 0 && !scanfile_is_as_stored(fd, message));
  HOLD(rename("stored", "other") == 0 && scanfile_open_stored("stored", message) == -1);
  close(fd);
  fd = open("stored", O_RDWR | O_CREAT | O_TRUNC, 0600);
  HOLD(fd != -1 && scanfile_open_stored("stored", message) == -1);
  close(fd);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scanfile_limits limits = {0, 0, key, NULL};
  struct scanfile_message message;
  struct scanheader header;
  char *stored;
  int fd;

  if (size < 3) return 0;
  limits.first = data[0] + 256 * (data[1] % 8);
  limits.whole = 200000;
  fd = on_disk((const char *) data + 2, size - 2);
  unlink("stored");
  HOLD(scanfile_store(fd, "stored", &header, &limits, &message) == SCANFILE_STORED);
  HOLD(message.length <= (long long) size - 1 && message.header.length == header.length);
  HOLD(message.body.offset == header.length && message.rest.offset == header.length + message.body.length);
  HOLD(message.rest.offset + message.rest.length == message.length);
  HOLD(message.rest.length == 0 || message.rest.offset == (header.length > limits.first ? header.length : limits.first));
  stored = fuzz_bytes((size_t) message.length);
  HOLD(pread(message.file, stored, (size_t) message.length, 0) == (ssize_t) message.length);
  HOLD(message.length == 0 || stored[0] == '\n' || (stored[0] > 32 && stored[0] < 127 && stored[0] != ':'));
  if (message.length > 0) compare(&message, stored, data[0]);
  free(stored);
  close(message.file);
  close(fd);
  return 0;
}
