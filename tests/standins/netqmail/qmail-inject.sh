#!/bin/sh
# qmail-inject and sendmail: [-f SENDER] RECIPIENT ..., other options are ignored; names get the host of control/me.
me=$(head -n 1 /var/qmail/control/me)
sender=$(id -un)
while getopts :f:r:F:B:o:b:q:aAhHimnNtv option; do
    case $option in
    [fr]) sender=$OPTARG ;;
    esac
done
shift $((OPTIND - 1))
test $# -gt 0 || { echo "${0##*/}: no recipient" >&2; exit 100; }
full() {
    case $2 in
    *@* | '') printf '%s%s\0' "$1" "$2" ;;
    *) printf '%s%s@%s\0' "$1" "$2" "$me" ;;
    esac
}
exec 3<&0
{ full F "$sender"; for recipient; do full T "$recipient"; done; printf '\0'; } | /var/qmail/bin/qmail-queue 1<&0 0<&3
status=$?
case $status in
0) exit 0 ;;
1[1-9] | 2? | 3? | 40) code=100 ;;
*) code=111 ;;
esac
echo "${0##*/}: qmail-queue exited $status" >&2
exit $code
