/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scannames.h"

static const char suffixes[][8] = {".exe", ".com", ".scr"};
static char found[SCANNAMES_NAME];

static enum scannames_state judged(const char *message, size_t length, size_t cut)
{
  struct scannames *n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  enum scannames_state state;
  char *piece;
  size_t i;
  size_t m;

  strcpy(found, "");
  for (i = 0; i < length; i += cut) {
    m = length - i < cut ? length - i : cut;
    piece = malloc(m);
    memcpy(piece, message + i, m);
    scannames_add(n, piece, m);
    free(piece);
  }
  state = scannames_end(n, found);
  scannames_free(n);
  return state;
}

/* In any cut the same. */
static enum scannames_state judge_bytes(const char *message, size_t length)
{
  enum scannames_state state = judged(message, length, length ? length : 1);

  check_where = message;
  CHECK(judged(message, length, 1) == state && judged(message, length, 7) == state);
  return state;
}

static enum scannames_state judge(const char *message)
{
  return judge_bytes(message, strlen(message));
}

#define TOP "From: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\ntext\n--b\n"
#define IN_PART(field) TOP field "\n\nbody\n--b--\n"
#define FORBIDDEN(field) CHECK(judge(IN_PART(field)) == SCANNAMES_FORBIDDEN)
#define FINE(field) CHECK(judge(IN_PART(field)) == SCANNAMES_FINE)

TEST(a_name_is_judged_by_its_end)
{
  FORBIDDEN("Content-Type: application/octet-stream; name=\"a.exe\"");
  CHECK(!strcmp(found, "a.exe"));
  FORBIDDEN("content-disposition: ATTACHMENT; FILENAME=A.EXE");
  FORBIDDEN("Content-Disposition : attachment; filename = a.exe");
  FORBIDDEN("Content-Disposition: attachment;filename=a.exe;size=5");
  FORBIDDEN("Content-Disposition: attachment; size=5; filename(a comment)=(another)\"a.exe\"");
  FORBIDDEN("Content-Disposition: filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment filename=a.exe");
  FINE("Content-Type: application/pdf; name=\"a.pdf\"");
  FINE("Content-Disposition: attachment; filename=\"setup.exe explained.pdf\"");
  FINE("Content-Disposition: attachment; filename=\"exe\"");
  FINE("Content-Type: text/plain; charset=a.exe");
  FINE("Content-Type: multipart/alternative; boundary=\"=_mail.example.com\"");
  FINE("Content-Type: multipart/related; start=\"<part@example.com>\"; type=\"text/html\"");
  FINE("Content-Location: http://www.example.com");
  FINE("Content-Description: see what www.example.com");
  FINE("Subject: a.exe");
}

TEST(the_name_of_a_domain_refuses_no_good_mail)
{
  FINE("Content-Disposition: attachment; filename=\"Re: example.com: renewal.eml\"");
  FINE("Content-Disposition: attachment; filename*=utf-16le''a%00.%00c%00o%00m%00:%00%20%00b%00.%00e%00m%00l%00");
  FINE("Content-Type: application/pdf; name=example.com invoice.pdf");
  FINE("Content-Disposition: attachment; filename=www.example.com invoice of May.pdf; size=5");
  FINE("Content-Type: application/x; hostname=\"mail.example.com\"; server_name=www.example.com");
  FINE("Content-Type: multipart/mixed; boundary=\"----=_Part_1_name=abc.com\"");
  FINE("Content-Type: multipart/mixed; boundary=\"a name=abc.com\"");
  FINE("Content-Type: message/external-body; access-type=URL;\n URL=\"http://x/?filename=foo.com\"");
  FINE("Content-Description: example.com");
  FINE("Content-Description: \"www.example.com\"");
  FINE("Content-Description: sales@example.com");
  FINE("Content-Description: <sales@example.com>");
  FINE("Content-Description: https://www.example.com/");
  FINE("Content-Description: =?utf-8?Q?Offer_of_example.com?=");
  FINE("Content-Description: =?utf-8?B?d3d3LmV4YW1wbGUuY29t?=");
  FINE("Content-Description:\tsee\twww.example.com");
  CHECK(judge("Subject: x\n\nbegin 2026 with a new website: www.example.com\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\nBegin 2026 with a new website: www.example.com\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\nBegin 644 www.example.com\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\nbegin 20260 www.example.com\n") == SCANNAMES_FINE);
}

/* What is good for the name of a domain hides none of a file. */
TEST(odd_spellings_are_judged)
{
  FORBIDDEN("Content-Disposition: attachment; filename=example.com");
  FORBIDDEN("Content-Disposition: attachment; filename=example.com ; size=5");
  FORBIDDEN("Content-Disposition: attachment; filename=example.com .txt");
  FORBIDDEN("Content-Disposition: attachment; filename=a.exe invoice.pdf");
  FORBIDDEN("Content-Disposition: attachment; filename=\"example.com:renewal.eml\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"invoice from example.com\"");
  FORBIDDEN("Content-Description: a.exe");
  FORBIDDEN("Content-Description: =?utf-8?Q?a.exe?=");
  FORBIDDEN("Content-Description: a/example.com");
  FORBIDDEN("Content-Description: //example.com");
  FORBIDDEN("Content-Description: a@b.exe");
  FORBIDDEN("Content-Description: a_b.com");
  FORBIDDEN("Content-Disposition: attachment/filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment;\001filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment; file\001name=a.exe");
  FORBIDDEN("Content-Disposition: attachment; x=\"; filename=a.exe; y=\"");
  FORBIDDEN("Content-Disposition: attachment; x=\"a filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment; x=\"a filename=\"a.exe\"");
  FORBIDDEN("Content-Disposition: attachment; x=\"a filename=a.exe y=\"b\"");
  FORBIDDEN("Content-Disposition: attachment; x=\"\\\" filename=a.exe \"");
  FORBIDDEN("Content-Disposition: attachment; x=\"a\\\" filename=a.exe; y=\"b\"");
  FORBIDDEN("Content-Disposition: attachment; (\") filename=a.exe; size=(\" )");
  FORBIDDEN("Content-Disposition: attachment; x=\"a\\\" y=\" filename=a.exe \"");
  FORBIDDEN("Content-Disposition: attachment (=\") filename=a.exe (\" )");
  FORBIDDEN("Content-Disposition: attachment; x=\"a filename=\" a.exe\"");
  FORBIDDEN("Content-Disposition: attachment \" filename=a.exe \"");
  FORBIDDEN("Content-Disposition: x=a\"; y=\"abc z=\" filename=a.exe; w=\"");
  FORBIDDEN("Content-Description: setup.exe");
}

TEST(all_names_are_judged)
{
  FORBIDDEN("Content-Type: text/plain; name=harmless.txt\nContent-Disposition: attachment; filename=a.exe");
  FORBIDDEN("Content-Type: text/plain; name=a.exe\nContent-Disposition: attachment; filename=harmless.txt");
  FORBIDDEN("Content-Disposition: attachment; filename=a.txt; filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment; filename=a.exe; filename=a.txt");
  FORBIDDEN("Content-Disposition: attachment; filename=a.txt\nContent-Disposition: attachment; filename=a.exe");
  FORBIDDEN("Content-Disposition: attachment; filename=a.txt; filename*=utf-8''a.exe");
  FORBIDDEN("Content-Disposition: attachment; name=a.exe");
  FORBIDDEN("Content-Name: a.exe");
  FORBIDDEN("X-Sun-Data-Name: a.exe");
  FORBIDDEN("Content-Description: a.exe");
}

TEST(a_long_name_is_judged_whole)
{
  static char message[60000];
  int length;

  for (length = 1; length < 16000; length += length < 300 ? 1 : 1777) {
    sprintf(message, TOP "Content-Disposition: attachment; filename=\"%0*d.exe\"\n\n", length, 1);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
  }
  sprintf(message, TOP "Content-Disposition: attachment; filename=\"%0*d.pdf\"\n\n", SCANNAMES_FIELD, 1);
  CHECK(judge(message) == SCANNAMES_IMPOSSIBLE);
  sprintf(message, TOP "X-Long: filename=\"%0*d.exe\"\n\n", 20000, 1);
  CHECK(judge(message) == SCANNAMES_FINE);
}

TEST(pieces_are_joined_in_any_order)
{
  FORBIDDEN("Content-Disposition: attachment; filename*0=\"03.\"; filename*1=exe");
  FORBIDDEN("Content-Disposition: attachment; filename*1=exe; filename*0=\"03.\"");
  FORBIDDEN("Content-Disposition: attachment; filename*0*=utf-8''a%2E; filename*1*=%65x; filename*2=e");
  FORBIDDEN("Content-Disposition: attachment;\n filename*2=xe;\n\tfilename*0=a; filename*1=.e");
  FORBIDDEN("Content-Disposition: attachment; filename*0=a.exe; filename*2=.txt");
  FORBIDDEN("Content-Disposition: attachment; filename*1=a.; filename*2=exe");
  FORBIDDEN("Content-Disposition: attachment; filename*0=a.; filename*1=exe; filename*1=.txt");
  FORBIDDEN("Content-Disposition: attachment; filename*0=a.; filename*1=txt; filename*1=exe");
  FORBIDDEN("Content-Disposition: attachment; filename*10=e; filename*9=ex; filename*8=.");
  FORBIDDEN("Content-Disposition: attachment; filename*00=a.; filename*01=exe");
  FORBIDDEN("Content-Type: a/b; name*0=\"03.\"; name*1=exe");
  FORBIDDEN("Content-Disposition: attachment; filename*0=\"=?utf-8?B?YS5\"; filename*1=\"leGU=?=\"");
  FINE("Content-Disposition: attachment; filename*0=\"www.example.com\"; filename*1=\" report.pdf\"");
  FINE("Content-Disposition: attachment; filename*0=a.ex; filename*1=ample.pdf");
  FINE("Content-Disposition: attachment; filename*0=a.; name*1=exe");
}

TEST(a_name_is_judged_before_and_after_decoding)
{
  FORBIDDEN("Content-Disposition: attachment; filename*=UTF-8''a%2Eexe");
  FORBIDDEN("Content-Disposition: attachment; filename=a%2Eexe");
  FORBIDDEN("Content-Disposition: attachment; filename*=a%2Eexe");
  FORBIDDEN("Content-Disposition: attachment; filename*=utf-16'en'%FE%FF%00a%00%2E%00e%00x%00e");
  FORBIDDEN("Content-Disposition: attachment; filename*=utf-16le''a%00%2E%00e%00x%00e%00");
  FORBIDDEN("Content-Disposition: attachment; filename*=utf-7''a+AC4-exe");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-8?B?YS5leGU=?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename==?utf-8?q?a=2Eexe?=");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-8?Q?a=2E?= =?us-ascii?b?ZXhl?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-8?Q?a=2E?=\n =?utf-8?Q?exe?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-16be?B?AGEALgBlAHgAZQ==?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-7?Q?a+AC4-exe?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-8?Q?a.exe");
  FORBIDDEN("Content-Disposition: attachment; filename=\"=?utf-8?Q?a%2Eexe?=\"");
  FORBIDDEN("Content-Disposition: attachment; filename*=utf-8''%3D%3Futf-8%3FQ%3Fa%3D2Eexe%3F%3D");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a\xef\xbc\x8e\xef\xbd\x85xe\"");
  FINE("Content-Disposition: attachment; filename*=utf-16le''a%00.%00e%00x%00e%00r%00c%00.%00p%00d%00f%00");
  FINE("Content-Disposition: attachment; filename=\"=?utf-8?B?YS5wZGY=?=\"");
}

TEST(what_a_reader_takes_away_hides_nothing)
{
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe\t\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe \xc2\xa0. \xa0\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe/\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe\\\\\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.e\\xe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=a.e\\xe");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe\\\".txt\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a\\\".exe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=a.exe .txt");
  FORBIDDEN("Content-Disposition: attachment; filename=a.exe(a comment)");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe\033(B\"");
  FORBIDDEN("Content-Disposition: attachment; filename='a.exe'");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe");
  FORBIDDEN("Content-Disposition: attachment; filename=a.exe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"what?.exe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.e?xe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe?\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe:b.txt\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.exe::$DATA\"");
  FORBIDDEN("Content-Disposition: attachment; filename*=utf-8''a.exe%00.txt");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.e\xe2\x80\x8bxe\xe2\x80\x8e\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"..\\\\dir\\\\a.exe\"");
  FORBIDDEN("Content-Disposition: attachment; filename=\"a.\n exe\"");
  FORBIDDEN("Content-Disposition:\n attachment;\n filename=\n \"a.exe\"");
  FORBIDDEN("Content-Disposition: attachment;\r\n\tfilename=\"a.exe\"\r");
}

TEST(no_boundary_hides_a_part)
{
  static char message[20000];

  sprintf(message, "Content-Type: multipart/mixed; boundary=\"%0300d\"\n\n--%0300d\nContent-Type: a/b; name=a.exe\n\nx\n", 1, 1);
  CHECK(judge(message) == SCANNAMES_FORBIDDEN);
  CHECK(judge("Content-Type: multipart/mixed; boundary=\"a\\Cb\"\n\n--aCb\nContent-Type: a/b; name=a.exe\n\nx\n")
        == SCANNAMES_FORBIDDEN);
  CHECK(judge("Content-Type: multipart/mixed; boundary=\"a \"\n\n--a \nContent-Type: a/b; name=a.exe\n\nx\n")
        == SCANNAMES_FORBIDDEN);
  CHECK(judge("X: y\n\n--a\nContent-Type: a/b; name=a.exe") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Content-Type: a/b; name=a.exe\n\nx\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("\n\nContent-Type: a/b; name=a.exe\n\nx\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "--c\nContent-Type: a/b\n--d\nContent-Type: a/b; name=a.exe\n\n") == SCANNAMES_FORBIDDEN);
  sprintf(message, TOP "X: %08000d\nContent-Type: a/b; name=a.exe\n\n", 1);
  CHECK(judge(message) == SCANNAMES_FORBIDDEN);
}

TEST(a_message_in_a_message_is_looked_at)
{
  CHECK(judge(TOP "Content-Type: message/rfc822\n\nFrom: x\nContent-Type: a/b; name=a.exe\n\nx\n--b--\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "\nFrom: x\nContent-Type: a/b; name=a.exe\n\nx\n--b--\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nContent-Type: a/b; name=a.exe\n\n")
        == SCANNAMES_FORBIDDEN);
}

TEST(a_text_is_no_header)
{
  CHECK(judge("Subject: x\n\nContent-Type: a/b; name=a.exe\n\nx\n") == SCANNAMES_FINE);
  CHECK(judge("Content-Type: text/plain\n\nContent-Type: a/b; name=a.exe\n\nx\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\n> --b\n> Content-Type: a/b; name=a.exe\n\nx\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\nhello\n-- \nAnn Example\nwww.example.com\n\nsee setup.exe\n") == SCANNAMES_FINE);
  CHECK(judge(TOP "Content-Type: text/plain\n\nrun a.exe\nbegin with a.exe\nbegin 644a.exe\n--b--\n") == SCANNAMES_FINE);
}

TEST(uuencoded_names_are_judged)
{
  CHECK(judge("Subject: x\n\nbegin 644 a.exe\nM...\n`\nend\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\nbegin 0755 a b.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\nbegin-base64 644 a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\n=ybegin line=128 size=5 name=a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\nbegin 644 a.pdf\nbegins name=a.exe\n") == SCANNAMES_FINE);
  CHECK(judge("Subject: x\n\nbegin 100644 a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\n-- \nbegin 644 a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\n--\nbegin-base64 644 a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("Subject: x\n\n--\n=ybegin line=128 size=5 name=a.exe\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "\nbegin 644 a.exe\nM...\n`\nend\n--b--\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-ID: <1>\n\nbegin 644 a.exe\nM...\n`\nend\n--b--\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge("begin 644 a.exe\nM...\n") == SCANNAMES_FORBIDDEN);
}

#define INNER_64 "Q29udGVudC1UeXBlOiBhL2I7IG5h\nbWU9YS5leGUKCnh4eAo=\n" /* Content-Type: a/b; name=a.exe ... */

TEST(what_is_encoded_as_a_whole_is_decoded)
{
  CHECK(judge(TOP "Content-Type: message/rfc822\nContent-Transfer-Encoding: BASE64\n\n" INNER_64 "--b--\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-Transfer-Encoding: base64\nContent-Type: message/rfc822; x=y\n\n" INNER_64) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nContent-Type: a/b;=20na=\nme=3Da=2Eexe\n\nx\n")
        == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-Type: multipart/mixed; boundary=c\nContent-Transfer-Encoding: quoted-printable\n\n--c\n"
              "Content-Type: a/b; name=3Da=2Eexe\n\nx\n") == SCANNAMES_FORBIDDEN);
  CHECK(judge(TOP "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" INNER_64) == SCANNAMES_FINE);
}

TEST(more_than_can_be_judged_is_not_passed)
{
  static char message[400000];
  size_t n;
  int i;

  n = (size_t) sprintf(message, TOP "Content-Type: a/b");
  for (i = 0; i < SCANNAMES_PIECES + 1; ++i) n += (size_t) sprintf(message + n, "; name*%d=a", i);
  strcpy(message + n, "\n\n");
  CHECK(judge(message) == SCANNAMES_IMPOSSIBLE);
  strcpy(strstr(message, "; name*128"), "\n\n");
  CHECK(judge(message) == SCANNAMES_FINE);
}

TEST(a_bomb_of_names_ends)
{
  struct scannames *n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  static char field[SCANNAMES_FIELD];
  size_t length = (size_t) sprintf(field, "Content-Type: a");
  int i;

  while (length < sizeof field - 200) length += (size_t) sprintf(field + length, ";name*%zu=\"\\+%%41=?", length % 100);
  strcpy(field + length, "\n");
  scannames_add(n, "--b\n", 4);
  for (i = 0; i < 100000 && scannames_end(n, found) == SCANNAMES_FINE; ++i) scannames_add(n, field, length + 1);
  CHECK(scannames_end(n, found) == SCANNAMES_IMPOSSIBLE);
  scannames_free(n);
}

TEST(winmail_dat_has_its_name)
{
  static const char dat[][8] = {".dat"};
  static const char message[] = TOP "Content-Type: application/ms-tnef\n\nx\n--b--\n";
  struct scannames *n = scannames_begin(dat[0], sizeof *dat, 1);

  scannames_add(n, message, strlen(message));
  CHECK(scannames_end(n, found) == SCANNAMES_FORBIDDEN && !strcmp(found, "winmail.dat"));
  scannames_free(n);
  n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  scannames_add(n, message, strlen(message));
  CHECK(scannames_end(n, found) == SCANNAMES_FINE && scannames_has_tnef(n));
  scannames_free(n);
}

#define TNEF_TITLE "eJ8+IgEAAhCAAQAGAAAAQS5FWEUAAAA=\n"
#define TNEF_LONG "eJ8+IgEAAhCAAQAIAAAAQX4xLlRYVAAAAAIFkAYAIAAAAAEAAAAeAAc3AQAAAA4AAABsb25nIG5h\nbWUuZXhlAAAAAAA=\n"
#define TNEF_WIDE "eJ8+IgEAAgWQBgAsAAAAAQAAAB8ABzcBAAAAHAAAAGwAbwBuAGcAIABuAGEAbQBlAC4AZQB4AGUA\nAAAAAA==\n"
#define TNEF_DISPLAY "eJ8+IgEAAgWQBgAcAAAAAQAAAB8AATABAAAADAAAAG4ALgBlAHgAZQAAAAAA\n"
#define TNEF_FINE "eJ8+IgEAAhCAAQAGAAAAQS5QREYAAAACBZAGACwAAAABAAAAHwAHNwEAAAAcAAAAcwBlAHQAdQBw\nAC4AZQB4AGUALgBwAGQAZgAAAAAA\n"
#define TNEF(text) TOP TNEF_PART(text)
#define TNEF_PART(text) "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n" text "--b--\n"

TEST(names_in_winmail_dat_are_judged)
{
  static char message[80000];
  size_t n;
  int i;

  CHECK(judge(TNEF(TNEF_TITLE)) == SCANNAMES_FORBIDDEN && !strcmp(found, "A.EXE"));
  CHECK(judge(TNEF(TNEF_LONG)) == SCANNAMES_FORBIDDEN && !strcmp(found, "long name.exe"));
  CHECK(judge(TNEF(TNEF_WIDE)) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF(TNEF_DISPLAY)) == SCANNAMES_FORBIDDEN);
  /* beside the name of a file it may be that of a recipient */
  CHECK(judge(TNEF(TNEF_DISPLAY TNEF_FINE)) == SCANNAMES_FINE);
  CHECK(judge(TNEF(TNEF_FINE TNEF_DISPLAY)) == SCANNAMES_FINE);
  CHECK(judge(TNEF(TNEF_DISPLAY TNEF_FINE) "\n--b\n" TNEF_PART("eJ8+Ig==\n")) == SCANNAMES_FINE);
  CHECK(judge(TNEF(TNEF_DISPLAY TNEF_TITLE)) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF(TNEF_FINE) "\n--b\n" TNEF_PART(TNEF_DISPLAY)) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF(TNEF_FINE)) == SCANNAMES_FINE);
  CHECK(judge(TNEF("eJ8+Ig==\n")) == SCANNAMES_FINE);
  CHECK(judge(TOP "Content-Type: application/vnd.ms-tnef\nContent-Transfer-Encoding: quoted-printable\n\n"
              "=78=9F=3E=22=01=00=02=10=80=01=00=06=00=00=00=41=2E=45=58=45=00=00=00\n") == SCANNAMES_FORBIDDEN);
  /* behind a window and more of other bytes, which stand for 3 each */
  n = (size_t) sprintf(message, TOP "Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n");
  for (i = 0; i < 12000; ++i) n += (size_t) sprintf(message + n, i % 16 == 15 ? "eHh4\n" : "eHh4");
  strcpy(message + n, TNEF_TITLE "--b--\n");
  CHECK(judge(message) == SCANNAMES_FORBIDDEN);
}

/* The bytes tell what it is: its type and its name may be any. */
TEST(winmail_dat_of_another_type_is_read)
{
  static const char *const types[] = {
    "application/octet-stream; name=winmail.dat", "text/plain", "application/x-tnef; name=\"a.bin\"", "image/png", "TEXT/HTML; name=x",
  };
  static const char *const starts[] = {"", "\n", "e\nJ8+\n", "eJ\n", " eJ8\r\n"};
  static const char dat[][8] = {".dat"};
  struct scannames *n;
  char message[1000];
  size_t i;
  size_t j;

  for (i = 0; i < sizeof types / sizeof *types; ++i) {
    sprintf(message, TOP "Content-Type: %s\nContent-Transfer-Encoding: base64\n\n" TNEF_LONG "--b--\n", types[i]);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN && !strcmp(found, "long name.exe"));
    sprintf(message, TOP "Content-Type: %s\nContent-Transfer-Encoding: base64\n\n" TNEF_FINE "--b--\n", types[i]);
    CHECK(judge(message) == SCANNAMES_FINE);
    n = scannames_begin(dat[0], sizeof *dat, 1);
    scannames_add(n, message, strlen(message));
    CHECK(scannames_end(n, found) == SCANNAMES_FORBIDDEN && !strcmp(found, "winmail.dat"));
    scannames_free(n);
  }
  for (j = 0; j < sizeof starts / sizeof *starts; ++j) {
    i = strspn(starts[j], "\n ") == strlen(starts[j]) ? 0 : j == 2 ? 4 : j == 3 ? 2 : 3;
    sprintf(message, TOP "Content-Transfer-Encoding: base64\n\n%s%s--b--\n", starts[j], &TNEF_WIDE[i]);
    check_where = message;
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
  }
  CHECK(judge(TOP "Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\n"
              "x=\n=9F=\n>=22=01=00=02=10=80=01=00=06=00=00=00=41=2E=45=58=45=00=00=00\n") == SCANNAMES_FORBIDDEN);
  /* what only looks so further on, or is decoded by nobody, is not */
  CHECK(judge(TOP "Content-Type: a/b\nContent-Transfer-Encoding: base64\n\neHh4\n" TNEF_LONG "--b--\n") == SCANNAMES_FINE);
  CHECK(judge(TOP "Content-Type: a/b\n\n" TNEF_LONG "--b--\n") == SCANNAMES_FINE);
  n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  sprintf(message, TOP "Content-Type: a/b\nContent-Transfer-Encoding: base64\n\neJ8+Ig==\n--b--\n");
  scannames_add(n, message, strlen(message));
  CHECK(scannames_end(n, found) == SCANNAMES_FINE && scannames_has_tnef(n));
  scannames_free(n);
  /* in uuencode its name is all that is known */
  n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  sprintf(message, "Subject: a\n\nbegin 644 WinMail.dat\nM>)\\^(@$\n`\nend\n");
  scannames_add(n, message, strlen(message));
  CHECK(scannames_end(n, found) == SCANNAMES_FINE && scannames_has_tnef(n));
  scannames_free(n);
}

/* attAttachTransportFilename; PR_ATTACH_TRANSPORT_NAME in both forms; PR_ATTACH_EXTENSION alone and beside a name. */
TEST(all_names_that_winmail_dat_may_have_are_judged)
{
#define TNEF_OF(bytes) TOP "Content-Type: application/ms-tnef\nContent-Transfer-Encoding: quoted-printable\n\n=78=9F=3E=22=01=00" bytes "\n--b--\n"
#define PDF "=02=10=80=01=00=06=00=00=00A.PDF=00=00=00"

  CHECK(judge(TNEF_OF(PDF "=02=01=90=06=00=06=00=00=00a.exe=00=00=00")) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF_OF(PDF "=1E=00=0C=37=01=00=00=00=06=00=00=00a.exe=00")) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF_OF(PDF "=1F=00=0C=37=01=00=00=00=0C=00=00=00a=00.=00e=00x=00e=00=00=00")) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF_OF("=1E=00=03=37=01=00=00=00=05=00=00=00.exe=00")) == SCANNAMES_FORBIDDEN);
  CHECK(judge(TNEF_OF(PDF "=1E=00=03=37=01=00=00=00=05=00=00=00.exe=00")) == SCANNAMES_FINE);
  CHECK(judge(TNEF_OF(PDF "=1F=00=08=37=01=00=00=00=05=00=00=00.exe=00")) == SCANNAMES_FINE); /* PR_ATTACH_PATHNAME, a link */
}

#define BASE64_PART TOP "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"

TEST(bytes_that_are_no_digits_of_base64_hide_nothing)
{
  static const char strange[] = "!-_=.\x80\xff";
  char message[600];
  size_t i;

  for (i = 0; i < sizeof strange - 1; ++i) {
    sprintf(message, BASE64_PART "%c\n" INNER_64 "--b--\n", strange[i]);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
    sprintf(message, BASE64_PART "Q%c" "%s--b--\n", strange[i], &INNER_64[1]);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
    sprintf(message, BASE64_PART "Q2%c" "%s--b--\n", strange[i], &INNER_64[2]);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
    sprintf(message, TOP "Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n%c" TNEF_TITLE, strange[i]);
    CHECK(judge(message) == SCANNAMES_FORBIDDEN);
  }
  sprintf(message, BASE64_PART "Q2=9udG=%s--b--\n", &INNER_64[6]);
  CHECK(judge(message) == SCANNAMES_FORBIDDEN);
  CHECK(judge(BASE64_PART "Q\n--b\n" "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" INNER_64)
        == SCANNAMES_FORBIDDEN);
  CHECK(judge(BASE64_PART "WDogeQ==\n" "WDogeQo=\n" INNER_64) == SCANNAMES_FORBIDDEN);
}

/* A long line of quoted-printable is decoded in pieces. */
TEST(an_escape_across_the_pieces_of_a_line_is_decoded)
{
  static const char *const ends[] = {".=65xe", ".e=78=65", ".=\nexe", ".= \t\nexe", ".=\r\nexe"};
  static char message[8000];
  size_t i;
  int filler;

  for (i = 0; i < sizeof ends / sizeof *ends; ++i)
    for (filler = 1940; filler < 2000; ++filler) {
      sprintf(message, TOP "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
              "Content-Type: a/b; x=3D%0*d; name=3Da%s\n\nx\n", filler, 1, ends[i]);
      CHECK(judge(message) == SCANNAMES_FORBIDDEN);
    }
}

TEST(the_way_back_to_names_is_counted)
{
  struct scannames *n = scannames_begin(suffixes[0], sizeof *suffixes, 3);
  static char field[SCANNAMES_FIELD];
  size_t length = (size_t) sprintf(field, "Content-Type: ");
  int i;

  while (length < sizeof field - 10) length += (size_t) sprintf(field + length, ")=");
  strcpy(field + length, "\n");
  scannames_add(n, "--b\n", 4);
  for (i = 0; i < 400 && scannames_end(n, found) == SCANNAMES_FINE; ++i) scannames_add(n, field, length + 1);
  CHECK(scannames_end(n, found) == SCANNAMES_IMPOSSIBLE);
  scannames_free(n);
}

static const struct test tests[] = {
  {"a_name_is_judged_by_its_end", a_name_is_judged_by_its_end},
  {"the_name_of_a_domain_refuses_no_good_mail", the_name_of_a_domain_refuses_no_good_mail},
  {"odd_spellings_are_judged", odd_spellings_are_judged},
  {"all_names_are_judged", all_names_are_judged},
  {"a_long_name_is_judged_whole", a_long_name_is_judged_whole},
  {"pieces_are_joined_in_any_order", pieces_are_joined_in_any_order},
  {"a_name_is_judged_before_and_after_decoding", a_name_is_judged_before_and_after_decoding},
  {"what_a_reader_takes_away_hides_nothing", what_a_reader_takes_away_hides_nothing},
  {"no_boundary_hides_a_part", no_boundary_hides_a_part},
  {"a_message_in_a_message_is_looked_at", a_message_in_a_message_is_looked_at},
  {"a_text_is_no_header", a_text_is_no_header},
  {"uuencoded_names_are_judged", uuencoded_names_are_judged},
  {"what_is_encoded_as_a_whole_is_decoded", what_is_encoded_as_a_whole_is_decoded},
  {"more_than_can_be_judged_is_not_passed", more_than_can_be_judged_is_not_passed},
  {"a_bomb_of_names_ends", a_bomb_of_names_ends},
  {"winmail_dat_has_its_name", winmail_dat_has_its_name},
  {"names_in_winmail_dat_are_judged", names_in_winmail_dat_are_judged},
  {"winmail_dat_of_another_type_is_read", winmail_dat_of_another_type_is_read},
  {"all_names_that_winmail_dat_may_have_are_judged", all_names_that_winmail_dat_may_have_are_judged},
  {"bytes_that_are_no_digits_of_base64_hide_nothing", bytes_that_are_no_digits_of_base64_hide_nothing},
  {"an_escape_across_the_pieces_of_a_line_is_decoded", an_escape_across_the_pieces_of_a_line_is_decoded},
  {"the_way_back_to_names_is_counted", the_way_back_to_names_is_counted},
};
MAIN(tests)
