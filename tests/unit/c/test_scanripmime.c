/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scanripmime.h"

static struct scanripmime r;

static enum scanripmime_state said(const char *text)
{
  size_t length = strlen(text);
  size_t piece;
  size_t at;
  enum scanripmime_state state = SCANRIPMIME_FINE;

  check_where = text;
  for (piece = 1; piece <= length + 1; piece += 1 + piece / 3) {
    free(r.names);
    scanripmime_begin(&r);
    for (at = 0; at < length; at += piece) scanripmime_add(&r, text + at, length - at < piece ? length - at : piece);
    scanripmime_end(&r);
    if (piece > 1) CHECK(r.state == state);
    state = r.state;
  }
  return state;
}

static int named(size_t n, const char *name)
{
  const char *at = r.names;

  for (; n > 0; --n) at += strlen(at) + 1;
  return at < r.names + r.names_length && strcmp(at, name) == 0;
}

TEST(names_are_kept)
{
  CHECK(said("Decoding filename=a.txt\nDecoding filename=b%%c\nDecoded: parts/d.exe\n") == SCANRIPMIME_FINE);
  CHECK(named(0, "Wa.txt") && named(1, "Wb%c") && named(2, "Wd.exe"));
  CHECK(said("Decoding filename=last") == SCANRIPMIME_FINE && named(0, "Wlast"));
  CHECK(said("Decoding filename=%%%%\n") == SCANRIPMIME_FINE && named(0, "W%%"));
}

TEST(words_about_mail_are_harmless)
{
  CHECK(said("") == SCANRIPMIME_FINE && said("\n\n") == SCANRIPMIME_FINE);
  CHECK(said("mime.c:1435:MIME_decode_raw:WARNING: hinfo has been clobbered.\n") == SCANRIPMIME_FINE);
  CHECK(said("libmime-decoders.c:365:MIME_decode_quoted_printable:WARNING: Ran out of characters when decoding end of "
             "'=4\nany words'\nDecoding filename=x\n") == SCANRIPMIME_FINE);
  CHECK(said("Attempting to decode Double-CR delimeted MIME attachment 'doubleCR.1'\n") == SCANRIPMIME_FINE);
  CHECK(said("uuencode.c:575:UUENCODE_decode_uu:WARNING: Excessive length line\n") == SCANRIPMIME_FINE);
}

TEST(anything_else_is_a_trouble)
{
  CHECK(said("unheard of\n") == SCANRIPMIME_TROUBLE && strcmp(r.said, "unheard of") == 0);
  CHECK(said("mime.c:1347:MIME_decode_raw:ERROR: cannot open file parts/a for writing. (No space left on device)\n\n")
        == SCANRIPMIME_TROUBLE);
  CHECK(said("mime.c:1376:MIME_decode_raw:WARNING: Only wrote 1 of 2 bytes") == SCANRIPMIME_TROUBLE);
  CHECK(said("ERROR: whatever\n") == SCANRIPMIME_TROUBLE);
  CHECK(said("ripMIME: Cannot create directory 'parts' (No space left on device)\n") == SCANRIPMIME_TROUBLE);
  CHECK(said("strstack.c:184:SS_push:ERROR: Cannot allocate memory for string stack PUSH, x") == SCANRIPMIME_TROUBLE);
  /* a stranger's text hides no line of its own that is true */
  CHECK(said("libmime-decoders.c:563:MDECODE_decode_ISO:ERROR: The encoding character '\n' is not\n"
             "mime.c:1486:MIME_decode_text:ERROR: cannot open parts/x for writing\n") == SCANRIPMIME_TROUBLE);
  CHECK(said("Decoding filename=a\nunheard of\n") == SCANRIPMIME_TROUBLE);
  CHECK(said("mime.c:MIME_decode_raw:WARNING: hinfo has been clobbered.\n") == SCANRIPMIME_TROUBLE);
  CHECK(said("mime.c:2416:MIME_generate_multiple_hardlink_filenames:WARNING: While trying to create 'parts/y' link to "
             "'parts/x' (No space left on device)\n") == SCANRIPMIME_TROUBLE);
}

TEST(impossible_names_are_looked_at)
{
  CHECK(said("mime.c:2416:MIME_generate_multiple_hardlink_filenames:WARNING: While trying to create 'parts/y.exe' link to "
             "'parts/x' (File name too long)\n") == SCANRIPMIME_FINE);
  CHECK(named(0, "Iy.exe") && named(2, "Ix"));
  CHECK(said("uuencode.c:536:UUENCODE_decode_uu:ERROR: Cannot open file 'parts/l.scr' (File name too long)\n")
        == SCANRIPMIME_FINE && named(0, "Il.scr"));
}

TEST(depth_is_told_apart)
{
  CHECK(said("mime.c:3189:MIME_unpack_stage2:WARNING: Current recursion level of 21 is greater than permitted 20\n")
        == SCANRIPMIME_DEEP);
  CHECK(said("mime.c:3189:MIME_unpack_stage2:WARNING: Current recursion level of 21 is greater than permitted 20\nx.c:1:y\n")
        == SCANRIPMIME_TROUBLE);
}

TEST(it_has_bounds)
{
  static char line[SCANRIPMIME_LINE + 2];

  memset(line, 'x', SCANRIPMIME_LINE + 1);
  scanripmime_begin(&r);
  scanripmime_add(&r, line, SCANRIPMIME_LINE + 1);
  CHECK(r.state == SCANRIPMIME_TROUBLE && strcmp(r.said, "a line without end") == 0);
  scanripmime_begin(&r);
  memcpy(line, "Decoding filename=", 18);
  line[20000] = '\n';
  while (r.state == SCANRIPMIME_FINE) scanripmime_add(&r, line, 20001);
  CHECK(r.names_length <= SCANRIPMIME_NAMES && r.said[0] == 0);
  free(r.names);
}

static const struct test tests[] = {
  {"names_are_kept", names_are_kept}, {"words_about_mail_are_harmless", words_about_mail_are_harmless},
  {"anything_else_is_a_trouble", anything_else_is_a_trouble},
  {"impossible_names_are_looked_at", impossible_names_are_looked_at},
  {"depth_is_told_apart", depth_is_told_apart}, {"it_has_bounds", it_has_bounds},
};
MAIN(tests)
