/* The version of this build; meson.build gives it. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#ifndef CERTWRIGHT_VERSION
#define CERTWRIGHT_VERSION "0.0.0"
#endif

#endif
