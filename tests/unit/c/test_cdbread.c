/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include "check.h"
#include "cdbread.h"
#include "image.h"

#define FILE_NAME "t.cdb"

static const char *const KEYS[] = {
  "joe@example.test", "anna-default@example.test", "@all.test", "postmaster", "", "x_kbhba", "a@b", "bob@example.test",
};
static const char *const ABSENT[] = {
  "nobody@example.test", "joe@example.tes", "joe@example.testt", "jof@example.test", "@", "postmaste", "@all.tesu", "-",
};
#define COUNT(list) (sizeof(list) / sizeof *(list))

static int answer(const char *key)
{
  struct cdbread c;
  int r;

  if (cdbread_open(&c, FILE_NAME) == CDBREAD_TROUBLE) {
    CHECK(c.fd == -1 && c.trouble != 0);
    return CDBREAD_TROUBLE;
  }
  r = cdbread_find(&c, key, strlen(key));
  CHECK(r != CDBREAD_TROUBLE || c.trouble != 0);
  cdbread_close(&c);
  return r;
}

/* What holds for every damage: no stored key is missing and no other is found. Returns the number of troubles. */
static int promise(const struct image *f)
{
  struct cdbread c;
  size_t i;
  int r;
  int troubles = 0;

  image_write(FILE_NAME, f->s, f->len);
  if (cdbread_open(&c, FILE_NAME) == CDBREAD_TROUBLE)
    return COUNT(KEYS) + COUNT(ABSENT);
  for (i = 0; i < COUNT(KEYS); ++i) {
    r = cdbread_find(&c, KEYS[i], strlen(KEYS[i]));
    CHECK(r != CDBREAD_MISSING);
    troubles += r == CDBREAD_TROUBLE;
  }
  for (i = 0; i < COUNT(ABSENT); ++i) {
    r = cdbread_find(&c, ABSENT[i], strlen(ABSENT[i]));
    CHECK(r != CDBREAD_FOUND);
    troubles += r == CDBREAD_TROUBLE;
  }
  cdbread_close(&c);
  return troubles;
}

static void where(size_t at, size_t what)
{
  static char text[64];

  snprintf(text, sizeof text, "at byte %lu, %lu", (unsigned long) at, (unsigned long) what);
  check_where = text;
}

static int open_says(const char *text)
{
  struct cdbread c;

  if (cdbread_open(&c, FILE_NAME) != CDBREAD_TROUBLE)
    return 0;
  if (strcmp(c.trouble, text) != 0)
    printf("it says: %s\n", c.trouble);
  return c.fd == -1 && strcmp(c.trouble, text) == 0;
}

TEST(finds_what_is_stored_and_nothing_else)
{
  struct image f = image_make(KEYS, COUNT(KEYS));

  CHECK(promise(&f) == 0);
  free(f.s);
}

TEST(finds_keys_of_any_length)
{
  static char keys[4][6001];
  const char *list[4];
  struct image f;
  size_t i;
  size_t k;

  for (i = 0; i < 4; ++i) {
    for (k = 0; k < (i < 3 ? 2047 + i : 6000); ++k)
      keys[i][k] = (char) ('a' + k * k % 23);
    list[i] = keys[i];
  }
  f = image_make(list, 4);
  image_write(FILE_NAME, f.s, f.len);
  for (i = 0; i < 4; ++i)
    CHECK(answer(keys[i]) == CDBREAD_FOUND);
  keys[3][5999] = 'z';
  CHECK(answer(keys[3]) == CDBREAD_MISSING);
  keys[3][5999] = 0;
  CHECK(answer(keys[3]) == CDBREAD_MISSING);
  free(f.s);
}

/* Many keys: tables with chains that wrap; two keys with one hash. */
TEST(finds_keys_in_crowded_tables)
{
  static char keys[3000][8];
  static const char *list[3000];
  struct image f;
  size_t n = 0;
  size_t i;

  for (i = 0; n < 2998; ++i) {
    snprintf(keys[n], sizeof keys[n], "k%lu", (unsigned long) i);
    if ((image_hash(keys[n], strlen(keys[n])) & 255) < 8)
      list[n] = keys[n], ++n;
  }
  strcpy(keys[n], "ag");
  list[n] = keys[n], ++n;
  strcpy(keys[n], "g!");
  list[n] = keys[n], ++n;
  CHECK(image_hash("ag", 2) == image_hash("g!", 2));
  f = image_make(list, n);
  image_write(FILE_NAME, f.s, f.len);
  for (i = 0; i < n; ++i)
    CHECK(answer(list[i]) == CDBREAD_FOUND);
  f = (free(f.s), image_make(list, n - 1));
  image_write(FILE_NAME, f.s, f.len);
  CHECK(answer("ag") == CDBREAD_FOUND && answer("g!") == CDBREAD_MISSING);
  free(f.s);
}

/* Names a key kN, from N on, that belongs to a table and, unless slots is 0, begins its search at a slot. */
static size_t next_key(char *key, size_t size, size_t n, uint32_t table, uint32_t slot, uint32_t slots)
{
  uint32_t h;

  for (;; ++n) {
    snprintf(key, size, "k%lu", (unsigned long) n);
    h = image_hash(key, strlen(key));
    if ((h & 255) == table && (slots == 0 || (h >> 8) % slots == slot))
      return n + 1;
  }
}

static uint32_t number_at(const struct image *f, size_t at)
{
  return (uint32_t) f->s[at] | (uint32_t) f->s[at + 1] << 8;
}

TEST(a_search_goes_on_at_the_first_slot)
{
  char keys[3][24];
  const char *const list[] = { keys[0], keys[1], keys[2] };
  struct image f;
  size_t n = 0;
  size_t i;

  for (i = 0; i < 3; ++i)
    n = next_key(keys[i], sizeof keys[i], n, 255, 5, 6);
  f = image_make(list, 3);
  image_write(FILE_NAME, f.s, f.len);
  for (i = 0; i < 3; ++i)
    CHECK(answer(keys[i]) == CDBREAD_FOUND);
  next_key(keys[0], sizeof keys[0], n, 255, 5, 6);
  CHECK(answer(keys[0]) == CDBREAD_MISSING);
  free(f.s);
}

/* Whatever is wrong in the table that would hold a key makes a miss of that key a trouble. */
TEST(a_miss_needs_a_whole_table)
{
  static char keys[40][24];
  static const char *list[40];
  char absent[24];
  struct image f;
  size_t n = 0;
  size_t i;
  size_t table;
  size_t spot;
  unsigned char was;

  for (i = 0; i < 40; ++i) {
    n = next_key(keys[i], sizeof keys[i], n, 7, 0, 0);
    list[i] = keys[i];
  }
  next_key(absent, sizeof absent, n, 7, 0, 0);
  f = image_make(list, 40);
  image_write(FILE_NAME, f.s, f.len);
  CHECK(answer(absent) == CDBREAD_MISSING);
  table = number_at(&f, 7 * 8);
  for (spot = table; spot < f.len; spot += 8) {
    if (number_at(&f, spot + 4) == 0)
      continue;
    where(spot, 0);
    was = f.s[spot];
    f.s[spot] ^= 1;
    image_write(FILE_NAME, f.s, f.len);
    CHECK(answer(absent) == CDBREAD_TROUBLE);
    f.s[spot] = was;
    was = f.s[spot + 7];
    f.s[spot + 7] = 0xff;
    image_write(FILE_NAME, f.s, f.len);
    CHECK(answer(absent) == CDBREAD_TROUBLE);
    f.s[spot + 7] = was;
  }
  free(f.s);
}

TEST(the_reason_is_said)
{
  const char *const one[] = { "joe@example.test" };
  struct image f = image_make(one, 1);
  struct cdbread c;
  size_t spot = f.len - 16;

  f.s[2048 + 4 + 3] = 0x7f;
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("a record ends outside the records"));
  f.s[2048 + 4 + 3] = 0;
  if (number_at(&f, spot + 4) == 0)
    spot += 8;
  f.s[spot + 7] = 0x7f;
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("a slot points outside the records"));
  f.s[spot + 7] = 0;
  f.s[spot] ^= 1;
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("a record does not fit its slot"));
  f.s[spot] ^= 1;
  f.s[0] ^= 1;
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("hash tables do not follow each other"));
  f.s[0] ^= 1;
  image_write(FILE_NAME, f.s, f.len);
  CHECK(cdbread_open(&c, FILE_NAME) == 0 && c.trouble == 0);
  cdbread_close(&c);
  free(f.s);
}

TEST(every_cut_is_trouble)
{
  struct image f = image_make(KEYS, COUNT(KEYS));

  while (f.len > 0) {
    where(--f.len, 0);
    image_write(FILE_NAME, f.s, f.len);
    CHECK(answer("joe@example.test") == CDBREAD_TROUBLE);
    CHECK(f.len < 2048 || open_says("the file ends before its hash tables do"));
  }
  free(f.s);
}

TEST(every_byte_changed_keeps_the_promise)
{
  static const unsigned char change[] = { 0x01, 0x08, 0x80 };
  struct image f = image_make(KEYS, COUNT(KEYS));
  size_t i;
  size_t k;

  for (i = 0; i < f.len; ++i)
    for (k = 0; k < sizeof change; ++k) {
      where(i, change[k]);
      f.s[i] ^= change[k];
      CHECK(promise(&f) > 0 || i >= 2048);
      f.s[i] ^= change[k];
    }
  free(f.s);
}

TEST(every_byte_zeroed_keeps_the_promise)
{
  struct image f = image_make(KEYS, COUNT(KEYS));
  unsigned char was;
  size_t i;

  for (i = 0; i < f.len; ++i) {
    where(i, 0);
    was = f.s[i];
    f.s[i] = 0;
    promise(&f);
    f.s[i] = was;
  }
  free(f.s);
}

TEST(every_zeroed_stretch_keeps_the_promise)
{
  struct image f = image_make(KEYS, COUNT(KEYS));
  unsigned char *was = malloc(f.len);
  size_t i;
  size_t n;

  memcpy(was, f.s, f.len);
  for (n = 4; n <= f.len; n += n)
    for (i = 0; i + n <= f.len; i += n < 64 ? 4 : n / 8) {
      where(i, n);
      memset(f.s + i, 0, n);
      CHECK(promise(&f) > 0 || memcmp(f.s, was, f.len) == 0 || n < 16);
      memcpy(f.s + i, was + i, n);
    }
  free(was);
  free(f.s);
}

TEST(appended_bytes_are_trouble)
{
  struct image f = image_make(KEYS, COUNT(KEYS));

  f.s = realloc(f.s, f.len + 5000);
  memset(f.s + f.len, 0, 5000);
  image_write(FILE_NAME, f.s, f.len + 1);
  CHECK(open_says("bytes after the last hash table"));
  image_write(FILE_NAME, f.s, f.len + 5000);
  CHECK(open_says("bytes after the last hash table"));
  free(f.s);
}

TEST(a_file_without_records_is_trouble)
{
  static const unsigned char zeros[4096];
  struct image f = image_make(KEYS, 0);

  CHECK(f.len == 2048);
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("no records"));
  image_write(FILE_NAME, zeros, 0);
  CHECK(open_says("empty file"));
  image_write(FILE_NAME, zeros, 2047);
  CHECK(open_says("shorter than the header of a cdb"));
  image_write(FILE_NAME, zeros, 2048);
  CHECK(open_says("hash tables begin inside the header"));
  image_write(FILE_NAME, zeros, 4096);
  CHECK(open_says("hash tables begin inside the header"));
  free(f.s);
}

TEST(a_body_of_zeros_is_trouble_for_every_key)
{
  struct image f = image_make(KEYS, COUNT(KEYS));

  memset(f.s + 2048, 0, f.len - 2048);
  image_write(FILE_NAME, f.s, f.len);
  CHECK(open_says("the first record is not in its hash table"));
  free(f.s);
}

TEST(what_cannot_be_opened_is_trouble)
{
  alarm(5);
  CHECK(open_says("no such file"));
  CHECK(mkdir(FILE_NAME, 0755) == 0);
  CHECK(open_says("not a regular file"));
  CHECK(rmdir(FILE_NAME) == 0 && mkfifo(FILE_NAME, 0644) == 0);
  CHECK(open_says("not a regular file"));
  CHECK(unlink(FILE_NAME) == 0 && symlink(FILE_NAME, FILE_NAME) == 0);
  CHECK(open_says("cannot open the file"));
}

TEST(a_file_of_mode_000_is_trouble)
{
  struct image f = image_make(KEYS, COUNT(KEYS));

  image_write(FILE_NAME, f.s, f.len);
  CHECK(chmod(".", 0755) == 0 && chmod(FILE_NAME, 0) == 0);
  if (geteuid() == 0)
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
  CHECK(open_says("permission denied"));
  free(f.s);
}

TEST(a_file_cut_while_it_is_open_is_trouble)
{
  struct image f = image_make(KEYS, COUNT(KEYS));
  struct cdbread c;

  image_write(FILE_NAME, f.s, f.len);
  CHECK(cdbread_open(&c, FILE_NAME) == 0);
  CHECK(truncate(FILE_NAME, 2050) == 0);
  CHECK(cdbread_find(&c, KEYS[0], strlen(KEYS[0])) == CDBREAD_TROUBLE);
  CHECK(strcmp(c.trouble, "the file was cut while it was read") == 0);
  cdbread_close(&c);
  free(f.s);
}

TEST(no_descriptor_stays_open)
{
  struct image f = image_make(KEYS, COUNT(KEYS));
  int before = dup(0);
  int after;
  int i;

  for (i = 0; i < 100; ++i) {
    image_write(FILE_NAME, f.s, i % 2 ? f.len : f.len - 1);
    CHECK(answer(KEYS[0]) == (i % 2 ? CDBREAD_FOUND : CDBREAD_TROUBLE));
  }
  after = dup(0);
  CHECK(after == before + 1);
  free(f.s);
}

/* A sparse file of almost 4 GiB: its second record and its tables lie beyond what 31 bits can say. */
TEST(positions_up_to_four_gigabytes_work)
{
  static const uint32_t big = 0xf0000000u;
  const char *const two[] = { "a@b", "joe@example.test" };
  struct image f = image_make(two, 2);
  size_t tables = f.len - 32;
  size_t i;
  int fd = open(FILE_NAME, O_RDWR | O_CREAT, 0644);
  unsigned char *number;
  uint32_t n;

  for (i = 0; i < 256; ++i) {
    number = f.s + 8 * i;
    n = (uint32_t) number[0] | (uint32_t) number[1] << 8;
    image_number(number, n + big);
  }
  image_number(f.s + 2048 + 4, 1 + big);
  for (i = tables; i < f.len; i += 8) {
    number = f.s + i + 4;
    n = (uint32_t) number[0] | (uint32_t) number[1] << 8;
    if (n > 2048)
      image_number(number, n + big);
  }
  CHECK(pwrite(fd, f.s, 2060, 0) == 2060);
  CHECK(pwrite(fd, f.s + 2060, f.len - 2060, (off_t) big + 2060) == (ssize_t) (f.len - 2060));
  CHECK(answer("a@b") == CDBREAD_FOUND && answer("joe@example.test") == CDBREAD_FOUND);
  CHECK(answer("nobody@example.test") == CDBREAD_MISSING);
  CHECK(ftruncate(fd, (off_t) 0x100000001ll) == 0);
  CHECK(open_says("longer than a cdb can be"));
  close(fd);
  unlink(FILE_NAME);
  free(f.s);
}

static const struct test tests[] = {
  { "finds_what_is_stored_and_nothing_else", finds_what_is_stored_and_nothing_else },
  { "finds_keys_of_any_length", finds_keys_of_any_length },
  { "finds_keys_in_crowded_tables", finds_keys_in_crowded_tables },
  { "a_search_goes_on_at_the_first_slot", a_search_goes_on_at_the_first_slot },
  { "a_miss_needs_a_whole_table", a_miss_needs_a_whole_table },
  { "the_reason_is_said", the_reason_is_said },
  { "every_cut_is_trouble", every_cut_is_trouble },
  { "every_byte_changed_keeps_the_promise", every_byte_changed_keeps_the_promise },
  { "every_byte_zeroed_keeps_the_promise", every_byte_zeroed_keeps_the_promise },
  { "every_zeroed_stretch_keeps_the_promise", every_zeroed_stretch_keeps_the_promise },
  { "appended_bytes_are_trouble", appended_bytes_are_trouble },
  { "a_file_without_records_is_trouble", a_file_without_records_is_trouble },
  { "a_body_of_zeros_is_trouble_for_every_key", a_body_of_zeros_is_trouble_for_every_key },
  { "what_cannot_be_opened_is_trouble", what_cannot_be_opened_is_trouble },
  { "a_file_of_mode_000_is_trouble", a_file_of_mode_000_is_trouble },
  { "a_file_cut_while_it_is_open_is_trouble", a_file_cut_while_it_is_open_is_trouble },
  { "no_descriptor_stays_open", no_descriptor_stays_open },
  { "positions_up_to_four_gigabytes_work", positions_up_to_four_gigabytes_work },
};
MAIN(tests)
