/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include "cdbread.h"

#define HEADER 2048
#define CHUNK 2048
/* What one read fetches: most keys with their lengths, and most runs of slots. */
#define RECORD_BYTES 128
#define SLOTS 32

static int trouble(struct cdbread *c, const char *text)
{
  c->trouble = text;
  return CDBREAD_TROUBLE;
}

/* Reads exactly len bytes at pos; 0 or CDBREAD_TROUBLE. */
static int readat(struct cdbread *c, unsigned char *buf, size_t len, uint64_t pos)
{
  ssize_t r;

  while (len > 0) {
    r = pread(c->fd, buf, len, (off_t) pos);
    if (r == -1 && errno == EINTR)
      continue;
    if (r == -1)
      return trouble(c, "read error");
    if (r == 0)
      return trouble(c, "the file was cut while it was read");
    buf += r;
    len -= (size_t) r;
    pos += (uint64_t) r;
  }
  return 0;
}

static uint32_t number(const unsigned char *b)
{
  return (uint32_t) b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16 | (uint32_t) b[3] << 24;
}

static uint32_t hash(uint32_t h, const unsigned char *b, size_t len)
{
  while (len-- > 0)
    h = (uint32_t) (h + (h << 5)) ^ *b++;
  return h;
}

static int header(struct cdbread *c)
{
  unsigned char buf[HEADER];
  struct stat st;
  uint64_t size;
  uint64_t end;
  int i;

  if (fstat(c->fd, &st) == -1)
    return trouble(c, "cannot stat the file");
  if (!S_ISREG(st.st_mode))
    return trouble(c, "not a regular file");
  size = (uint64_t) st.st_size;
  if (size == 0)
    return trouble(c, "empty file");
  if (size < HEADER)
    return trouble(c, "shorter than the header of a cdb");
  if (size > UINT64_C(0x100000000))
    return trouble(c, "longer than a cdb can be");
  if (readat(c, buf, sizeof buf, 0) == CDBREAD_TROUBLE)
    return CDBREAD_TROUBLE;
  end = c->tables = number(buf);
  for (i = 0; i < 256; ++i) {
    c->pos[i] = number(buf + 8 * i);
    c->slots[i] = number(buf + 8 * i + 4);
    if (c->pos[i] != end)
      return trouble(c, "hash tables do not follow each other");
    end += (uint64_t) c->slots[i] * 8;
  }
  if (c->tables < HEADER)
    return trouble(c, "hash tables begin inside the header");
  if (end == c->tables || c->tables == HEADER)
    return trouble(c, "no records");
  if (end > size)
    return trouble(c, "the file ends before its hash tables do");
  if (end < size)
    return trouble(c, "bytes after the last hash table");
  return 0;
}

/* Hashes the key of the record at pos into *h and compares it with key, unless that is
 * null: CDBREAD_FOUND or CDBREAD_MISSING. Trouble when the record is not inside the records. */
static int record(struct cdbread *c, uint64_t pos, uint32_t *h, const unsigned char *key, size_t len)
{
  unsigned char buf[CHUNK];
  const unsigned char *part = buf + 8;
  uint64_t klen;
  uint64_t dlen;
  size_t n;
  int same;

  if (pos < HEADER || pos + 8 > c->tables)
    return trouble(c, "a slot points outside the records");
  n = c->tables - pos < RECORD_BYTES ? (size_t) (c->tables - pos) : RECORD_BYTES;
  if (readat(c, buf, n, pos) == CDBREAD_TROUBLE)
    return CDBREAD_TROUBLE;
  klen = number(buf);
  dlen = number(buf + 4);
  pos += 8;
  n -= 8;
  if (klen + dlen > c->tables - pos)
    return trouble(c, "a record ends outside the records");
  same = key && klen == (uint64_t) len;
  if (same) {
    c->data_pos = pos + klen;
    c->data_len = dlen;
  }
  *h = 5381;
  while (klen > 0) {
    if (n == 0) {
      n = klen < CHUNK ? (size_t) klen : CHUNK;
      part = buf;
      if (readat(c, buf, n, pos) == CDBREAD_TROUBLE)
        return CDBREAD_TROUBLE;
    }
    if (n > klen)
      n = (size_t) klen;
    *h = hash(*h, part, n);
    if (same && memcmp(part, key, n) != 0)
      same = 0;
    if (same)
      key += n;
    pos += n;
    klen -= n;
    n = 0;
  }
  return same ? CDBREAD_FOUND : CDBREAD_MISSING;
}

/* Follows the slots for a hash: CDBREAD_FOUND at the key, or, when key is null, at the record that begins at pos. */
static int search(struct cdbread *c, uint32_t h, const unsigned char *key, size_t len, uint64_t pos)
{
  unsigned char buf[8 * SLOTS];
  const unsigned char *slot = buf;
  uint32_t left = 0;   /* slots in buf from there on */
  int t = (int) (h & 255);
  uint32_t at;
  uint32_t seen;
  uint32_t found;
  int r;

  if (c->slots[t] == 0)
    return CDBREAD_MISSING;
  at = (h >> 8) % c->slots[t];
  for (seen = 0; seen < c->slots[t]; ++seen) {
    if (left == 0) {
      left = c->slots[t] - at < SLOTS ? c->slots[t] - at : SLOTS;
      slot = buf;
      if (readat(c, buf, 8 * (size_t) left, c->pos[t] + (uint64_t) at * 8) == CDBREAD_TROUBLE)
        return CDBREAD_TROUBLE;
    }
    if (number(slot + 4) == 0)
      break;
    r = record(c, number(slot + 4), &found, key, len);
    if (r == CDBREAD_TROUBLE)
      return r;
    if (found != number(slot))
      return trouble(c, "a record does not fit its slot");
    if (r == CDBREAD_FOUND || (!key && number(slot + 4) == pos))
      return CDBREAD_FOUND;
    slot += 8;
    --left;
    if (++at == c->slots[t])
      at = 0;
  }
  return CDBREAD_MISSING;
}

/* The first record must be where its hash says: 0 or CDBREAD_TROUBLE. Finds a zeroed body before any question. */
static int selftest(struct cdbread *c)
{
  uint32_t h;
  int r;

  r = record(c, HEADER, &h, 0, 0);
  if (r != CDBREAD_TROUBLE)
    r = search(c, h, 0, 0, HEADER);
  if (r == CDBREAD_MISSING)
    return trouble(c, "the first record is not in its hash table");
  return r == CDBREAD_TROUBLE ? r : 0;
}

int cdbread_open(struct cdbread *c, const char *path)
{
  memset(c, 0, sizeof *c);
  c->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (c->fd == -1) {
    if (errno == ENOENT)
      return trouble(c, "no such file");
    if (errno == EACCES)
      return trouble(c, "permission denied");
    return trouble(c, "cannot open the file");
  }
  if (header(c) == CDBREAD_TROUBLE || selftest(c) == CDBREAD_TROUBLE) {
    cdbread_close(c);
    return CDBREAD_TROUBLE;
  }
  return 0;
}

void cdbread_close(struct cdbread *c)
{
  if (c->fd != -1)
    close(c->fd);
  c->fd = -1;
}

/* Reads a whole table: CDBREAD_MISSING when every used slot belongs to it and half of the slots are used, so that
 * what is not in it is not in the file, or CDBREAD_TROUBLE. */
static int whole(struct cdbread *c, int t)
{
  unsigned char buf[CHUNK];
  uint64_t left = (uint64_t) c->slots[t] * 8;
  uint64_t pos = c->pos[t];
  uint64_t used = 0;
  size_t n;
  size_t i;

  if (c->whole[t])
    return CDBREAD_MISSING;
  while (left > 0) {
    n = left < CHUNK ? (size_t) left : CHUNK;
    if (readat(c, buf, n, pos) == CDBREAD_TROUBLE)
      return CDBREAD_TROUBLE;
    for (i = 0; i < n; i += 8) {
      if (number(buf + i + 4) == 0)
        continue;
      if (buf[i] != t || number(buf + i + 4) < HEADER || number(buf + i + 4) >= c->tables)
        return trouble(c, "a slot does not belong to its hash table");
      ++used;
    }
    pos += n;
    left -= n;
  }
  if (used * 2 < c->slots[t])
    return trouble(c, "a hash table is less than half full");
  c->whole[t] = 1;
  return CDBREAD_MISSING;
}

int cdbread_find(struct cdbread *c, const char *key, size_t len)
{
  uint32_t h = hash(5381, (const unsigned char *) key, len);
  int r = search(c, h, (const unsigned char *) key, len, 0);

  if (r == CDBREAD_MISSING)
    r = whole(c, (int) (h & 255));
  return r;
}

int cdbread_data(struct cdbread *c, char *out, size_t size, size_t *len)
{
  if (c->data_len > size)
    return trouble(c, "a record is too long");
  *len = (size_t) c->data_len;
  return readat(c, (unsigned char *) out, *len, c->data_pos);
}
