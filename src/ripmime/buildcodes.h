/* Upstream writes the time and the machine into this file; here the same source gives the same program. */
#define BUILD_CODE "mailgate.qmail"
#define BUILD_DATE ""
#define BUILD_BOX ""
