/* Upstream writes the time and the machine in here; the same source shall give the same program. */
#define BUILD_CODE "mailgate.qmail"
#define BUILD_DATE ""
#define BUILD_BOX ""
