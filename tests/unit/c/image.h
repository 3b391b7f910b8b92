/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A plain writer of cdb files, in memory, so that tests can damage them byte by byte.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct image {
  unsigned char *s;
  size_t len;
};

static uint32_t image_hash(const char *key, size_t len)
{
  uint32_t h = 5381;

  while (len-- > 0)
    h = (uint32_t) (h * 33u) ^ (unsigned char) *key++;
  return h;
}

static void image_number(unsigned char *b, uint32_t n)
{
  b[0] = (unsigned char) n;
  b[1] = (unsigned char) (n >> 8);
  b[2] = (unsigned char) (n >> 16);
  b[3] = (unsigned char) (n >> 24);
}

/* The file that holds each of n keys with the value "-". */
static struct image image_make(const char *const *keys, size_t n)
{
  struct image f;
  uint32_t count[256] = {0};
  uint32_t start[256];
  uint32_t h;
  size_t i;
  size_t at;
  uint32_t pos = 2048;
  uint32_t end = 2048;

  for (i = 0; i < n; ++i) {
    ++count[image_hash(keys[i], strlen(keys[i])) & 255];
    end += (uint32_t) (8 + strlen(keys[i]) + 1);
  }
  f.len = end + 16 * n;
  f.s = calloc(1, f.len);
  for (i = 0; i < 256; ++i) {
    start[i] = end;
    image_number(f.s + 8 * i, end);
    image_number(f.s + 8 * i + 4, 2 * count[i]);
    end += 16 * count[i];
  }
  for (i = 0; i < n; ++i) {
    h = image_hash(keys[i], strlen(keys[i]));
    image_number(f.s + pos, (uint32_t) strlen(keys[i]));
    image_number(f.s + pos + 4, 1);
    memcpy(f.s + pos + 8, keys[i], strlen(keys[i]));
    f.s[pos + 8 + strlen(keys[i])] = '-';
    at = (h >> 8) % (2 * count[h & 255]);
    while (memcmp(f.s + start[h & 255] + 8 * at + 4, "\0\0\0\0", 4) != 0)
      at = (at + 1) % (2 * count[h & 255]);
    image_number(f.s + start[h & 255] + 8 * at, h);
    image_number(f.s + start[h & 255] + 8 * at + 4, pos);
    pos += (uint32_t) (8 + strlen(keys[i]) + 1);
  }
  return f;
}

static void image_write(const char *path, const unsigned char *s, size_t len)
{
  int fd = open(path, O_WRONLY | O_CREAT, 0644);

  if (fd == -1 || write(fd, s, len) != (ssize_t) len || ftruncate(fd, (off_t) len) == -1 || close(fd) == -1) {
    perror(path);
    exit(1);
  }
}

#endif
