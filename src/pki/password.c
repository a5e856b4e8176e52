#include "pki/password.h"

#include <argon2.h>

#include "base/random.h"
#include "base/str.h"

#define SALT_LEN 16
#define HASH_LEN 32
#define TEXT_MAX 256

RC password_hash(struct ctx *ctx, const struct secret *password, const char **kept)
{
    uint8_t salt[SALT_LEN];
    const struct bytes p = secret_use(password);
    char *text = arena_alloc(&ctx->arena, TEXT_MAX);
    random_fill(salt, sizeof salt);
    const int e = argon2id_hash_encoded(PASSWORD_PASSES, PASSWORD_MEMORY_KIB, 1, p.p ? (const void *)p.p : "", p.n, salt,
                                        sizeof salt, HASH_LEN, text, TEXT_MAX);
    if (e == ARGON2_MEMORY_ALLOCATION_ERROR)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to hash a password");
    if (e != ARGON2_OK)
        return ctx_fail(ctx, E_CRYPTO, "a password could not be hashed: %s", argon2_error_message(e));
    *kept = text;
    return RC_OK;
}

/* One parameter: "m=32768". */
static bool take_number(struct bytes *in, const char *name, uint8_t end, int64_t *out)
{
    struct bytes text;
    return bytes_take_until(in, end, &text) && bytes_starts_with(text, bytes_z(name)) && bytes_skip(&text, strlen(name)) &&
           str_to_i64(text, out);
}

RC password_check(struct ctx *ctx, const char *kept, const struct secret *password, bool *fits, bool *weak)
{
    struct bytes rest = bytes_z(kept);
    int64_t memory = 0, passes = 0, lanes = 0;
    *fits = *weak = false;
    if (!bytes_starts_with(rest, BYTES_LIT("$argon2id$v=19$")) || !bytes_skip(&rest, 15) ||
        !take_number(&rest, "m=", ',', &memory) || !take_number(&rest, "t=", ',', &passes) ||
        !take_number(&rest, "p=", '$', &lanes) || memory < 8 || passes < 1 || lanes != 1 ||
        memory > (int64_t)4 * PASSWORD_MEMORY_KIB || passes > 4 * PASSWORD_PASSES)
        return ctx_fail(ctx, E_BUG, "a password that was kept cannot be read");
    const struct bytes p = secret_use(password);
    const int e = argon2id_verify(kept, p.p ? (const void *)p.p : "", p.n);
    if (e == ARGON2_MEMORY_ALLOCATION_ERROR)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to check a password");
    if (e != ARGON2_OK && e != ARGON2_VERIFY_MISMATCH)
        return ctx_fail(ctx, E_BUG, "a password that was kept cannot be read: %s", argon2_error_message(e));
    *fits = e == ARGON2_OK;
    *weak = memory < PASSWORD_MEMORY_KIB || passes < PASSWORD_PASSES;
    return RC_OK;
}
