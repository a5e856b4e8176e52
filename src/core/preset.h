/* Presets: CAs that are described ready-made in issuers/NAME.yaml, with their sources and the date.  Read by the hub when somebody
 * asks for them; what an issuer takes from one is copied into its settings, so a new release changes no issuer that is there. */
#ifndef CORE_PRESET_H
#define CORE_PRESET_H

#include "base/str.h"
#include "core/core.h"
#include "core/issuer_policy.h"

#define PRESETS_DIR "/usr/share/certwright/issuers"

struct issuer_preset {
    const char *name, *title, *directory_url, *staging_url, *terms_url;
    const char *eab;     /* none, optional, required */
    const char *eab_how; /* where its key comes from */
    const char *notes, *as_of;
    struct issuer_limit *limits;
    size_t limits_n;
    struct str_list profiles, chains;
};

/* preset_parse reads one description (at most 64 KiB; a closed set of keys: E_INVALID names file, line and key). */
RC preset_parse(struct ctx *ctx, const char *name, struct bytes text, struct issuer_preset *out);
/* preset_read finds one by its name: E_NOT_FOUND.  presets_list reads all of them, by name. */
RC preset_read(struct ctx *ctx, const struct core *core, const char *name, struct issuer_preset *out);
RC presets_list(struct ctx *ctx, const struct core *core, struct issuer_preset **out, size_t *n);

#endif
