/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A message is stored in two parts whose hashes are those of its bytes, and what was changed on the disk is found.
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

static void piece_of(struct scanpiece *piece, int file, const char *bytes, size_t size)
{
  struct scanhash hash;

  piece->file = file;
  piece->offset = 0;
  piece->length = (long long) size;
  scanhash_begin(&hash, key);
  scanhash_add(&hash, bytes, size);
  scanhash_end(&hash, piece->digest);
}

/* The same body behind another header; one byte that is changed on the disk is found. */
static void compare(const struct scanfile_message *message, const char *stored)
{
  size_t size = (size_t) message->first.length;
  char *other = fuzz_bytes(size + 5);
  struct scanpiece piece;
  int fd;

  memcpy(other, "S: 1\n", 5);
  memcpy(other + 5, stored, size);
  fd = on_disk(other, size + 5);
  piece_of(&piece, fd, other, size + 5);
  HOLD(scanfile_same_tail(&message->first, &piece, (long long) size, key) == 1);
  HOLD(scanfile_same_tail(&message->first, &piece, (long long) size + 1, key) == 0);
  other[size / 2] ^= 1;
  HOLD(pwrite(fd, other + size / 2, 1, (off_t) (size / 2)) == 1);
  HOLD(scanfile_same_tail(&message->first, &piece, (long long) size / 2, key) == -1);
  close(fd);
  free(other);
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
  HOLD(message.length <= (long long) size - 1 && message.first.length + message.rest.length == message.length);
  HOLD(message.rest.offset == message.first.length);
  HOLD(message.rest.length == 0 || message.first.length == (header.length > limits.first ? header.length : limits.first));
  HOLD(header.length <= message.first.length);
  stored = fuzz_bytes((size_t) message.length);
  HOLD(pread(message.file, stored, (size_t) message.length, 0) == (ssize_t) message.length);
  HOLD(message.length == 0 || stored[0] == '\n' || (stored[0] > 32 && stored[0] < 127 && stored[0] != ':'));
  if (message.first.length > 0) compare(&message, stored);
  free(stored);
  close(message.file);
  close(fd);
  return 0;
}
