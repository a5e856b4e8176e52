/* Functions that this project does not use, and what to use instead.  Included first by the build (-include). */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Text is built with struct buf (base/buf.h), numbers are read with str_to_i64() (base/str.h), programs are started as argv
 * arrays by os/spawn.h, time comes from base/clock.h, random bytes from base/random.h.  Function-like macros, because the words
 * are also names of parameters in other libraries' headers. */
#define BANNED(name) banned_function_##name##_see_base_banned_h
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#undef alloca
#define strcpy(...) BANNED(strcpy)
#define strcat(...) BANNED(strcat)
#define strncpy(...) BANNED(strncpy)
#define strncat(...) BANNED(strncat)
#define sprintf(...) BANNED(sprintf)
#define vsprintf(...) BANNED(vsprintf)
#define gets(...) BANNED(gets)
#define atoi(...) BANNED(atoi)
#define atol(...) BANNED(atol)
#define atoll(...) BANNED(atoll)
#define strtok(...) BANNED(strtok)
#define localtime(...) BANNED(localtime)
#define mktime(...) BANNED(mktime)
#define system(...) BANNED(system)
#define popen(...) BANNED(popen)
#define alloca(...) BANNED(alloca)
#define rand(...) BANNED(rand)
#define srand(...) BANNED(srand)
#define random(...) BANNED(random)
#define tmpnam(...) BANNED(tmpnam)

#endif
