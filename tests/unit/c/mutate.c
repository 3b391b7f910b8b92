/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mutate SEED SECONDS: damages cdb files in every way it can think of, and looks keys up in them. Under ASan and UBSan
 * no damage may crash the reader. One damage (a byte, a zeroed stretch, a cut, an append) never hides a stored key
 * and never invents another; whatever was done, a key that never stood in the file is never found; noise is trouble.
 * Prints how many files it made; exits 1 at the first that breaks a promise.
 */
#define _GNU_SOURCE
#include <time.h>
#include "check.h"
#include "cdbread.h"
#include "image.h"

#define FILE_NAME "mutated.cdb"
#define NEVER "never-stored@nowhere.invalid"

static uint64_t state;

static uint32_t below(uint32_t n)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t) (state >> 32) % n;
}

static void damage(struct image *f, int kind)
{
  size_t from = f->len > 2048 && below(4) ? 2048 : 0;   /* the header is most of a small file, and dull */
  size_t at = f->len ? from + below((uint32_t) (f->len - from)) : 0;
  size_t n = f->len ? 1 + below((uint32_t) (f->len - at)) : 0;
  size_t i;

  if (f->len == 0)
    return;
  switch (kind) {
    case 0: f->s[at] = (unsigned char) below(256); break;
    case 1: f->s[at] ^= (unsigned char) (1u << below(8)); break;
    case 2: memset(f->s + at, 0, n); break;
    case 3: f->len = at; break;
    case 4:
      n = 1 + below(100);
      f->s = realloc(f->s, f->len + n + 4);
      for (i = 0; i < n; ++i)
        f->s[f->len++] = (unsigned char) below(256);
      break;
    /* those below are no single damage */
    case 5: memset(f->s + at, 0xff, n); break;
    case 6:
      for (i = 0; i < n; ++i)
        f->s[at + i] = (unsigned char) below(256);
      break;
    case 7: memmove(f->s + below((uint32_t) (f->len - n + 1)), f->s + at, n); break;
    case 8: image_number(f->s + at / 4 * 4, below(2) ? below((uint32_t) f->len) : 0xffffffffu - below(16)); break;
    default: image_number(f->s + below(256) * 8 % f->len / 4 * 4, below((uint32_t) f->len)); break;
  }
}

int main(int argc, char **argv)
{
  static char keys[300][40];
  const char *list[300];
  struct image f;
  struct cdbread c;
  time_t end;
  size_t n;
  size_t i;
  unsigned long files = 0;
  unsigned long opened = 0;
  int damages;
  int single;
  int noise;
  int r;

  if (argc != 3)
    return 2;
  state = strtoull(argv[1], 0, 10) * 2654435761u + 88172645463325252u;
  end = time(0) + atoi(argv[2]);
  while (time(0) < end) {
    n = 1 + below(files % 4 ? 12 : 300);
    for (i = 0; i < n; ++i) {
      snprintf(keys[i], sizeof keys[i], "u%u-%u@d%u.test", below(1000), (unsigned) i, below(50));
      list[i] = keys[i];
    }
    f = image_make(list, n);
    f.s = realloc(f.s, f.len + 4);
    noise = below(20) == 0;
    single = below(2) == 0;
    damages = single ? 1 : 1 + (int) below(6);
    if (noise)
      for (i = 0; i < f.len; ++i)
        f.s[i] = (unsigned char) below(256);
    while (damages-- > 0 && f.len >= 4)
      damage(&f, (int) below(single ? 5 : 10));
    image_write(FILE_NAME, f.s, f.len);
    ++files;
    if (cdbread_open(&c, FILE_NAME) == 0) {
      ++opened;
      CHECK(!noise);
      CHECK(cdbread_find(&c, NEVER, strlen(NEVER)) != CDBREAD_FOUND);
      for (i = 0; i < n; ++i) {
        r = cdbread_find(&c, keys[i], strlen(keys[i]));
        CHECK(r != CDBREAD_MISSING || !single);
      }
      cdbread_close(&c);
    }
    free(f.s);
  }
  printf("%lu files, %lu of them opened\n", files, opened);
  return files < 100;
}
