# cdb 0.75 reads conf-cc and has the target it; freecdb 0.76 takes CC, as most programs do.
programs:
	if [ -f hier.c ]; then $(MAKE) it; else $(MAKE) CC="$(COMPILER)" all; fi
