#include "pki/weak.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>

#include "base/encode.h"
#include "pki/alg.h"
#include "pki/digest.h"
#include "pki/key.h"

ALG_DEFINE_CLEANUP(BIGNUM, BN_free);
ALG_DEFINE_CLEANUP(BN_CTX, BN_CTX_free);

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define FERMAT_ROUNDS 100
#define FACTOR_LIMIT 65536u

/* --- lists of known keys */

#define WEAK_LIST_BYTES_MAX ((size_t)512 << 20)

/* Hashes of one length, one after the other, sorted. */
struct weak_set {
    uint8_t *v;
    size_t n, width;
};

enum { SET_SPKI_32, SET_SPKI_20, SET_NUMBER_15, SET_MODULUS_10, SETS };
static const size_t set_width[SETS] = {32, 20, 15, 10};

struct weak_list {
    struct weak_set sets[SETS];
};

void weak_list_free(struct weak_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < SETS; i++)
        free(list->sets[i].v);
    free(list);
}

static void weak_list_freep(struct weak_list **list)
{
    weak_list_free(*list);
}

size_t weak_list_count(const struct weak_list *list)
{
    size_t n = 0;
    for (size_t i = 0; i < SETS; i++)
        n += list->sets[i].n;
    return n;
}

static int compare(const void *a, const void *b, void *width)
{
    return memcmp(a, b, *(const size_t *)width);
}

static void sort_set(struct weak_set *s)
{
    if (s->n > 1)
        qsort_r(s->v, s->n, s->width, compare, &s->width);
}

static bool set_has(const struct weak_set *s, const uint8_t *hash)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(s->v + middle * s->width, hash, s->width);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* The hex digits of a line without what follows; a line of Debian's lists is the digits alone. */
static struct bytes line_digits(struct bytes line)
{
    struct bytes head;
    line = bytes_trim(line);
    if (!bytes_take_until(&line, '#', &head))
        return (struct bytes){0};
    return bytes_trim(head);
}

static int set_of_digits(size_t digits)
{
    return digits == 64 ? SET_SPKI_32 : digits == 40 ? SET_SPKI_20 : digits == 20 ? SET_MODULUS_10 : -1;
}

static bool hex_digit(uint8_t c, uint8_t *v)
{
    if (c >= '0' && c <= '9')
        *v = (uint8_t)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        *v = (uint8_t)((c | 0x20) - 'a' + 10);
    else
        return false;
    return true;
}

static bool next_line(struct bytes *text, struct bytes *line)
{
    return bytes_take_line(text, line) || bytes_take_until(text, '\n', line);
}

static struct rc parse_text(struct ctx *ctx, struct bytes text, struct weak_list *list)
{
    struct bytes rest = text, line;
    size_t counts[SETS] = {0}, number = 0;
    while (next_line(&rest, &line)) {
        int set = set_of_digits(line_digits(line).n);
        if (set >= 0)
            counts[set]++;
    }
    for (size_t i = 0; i < SETS; i++) {
        list->sets[i] = (struct weak_set){.v = calloc(counts[i] + 1, set_width[i]), .width = set_width[i]};
        if (!list->sets[i].v)
            return ctx_fail(ctx, E_NO_MEMORY, "no memory for a list of %zu weak keys", counts[i]);
    }
    for (rest = text; next_line(&rest, &line); ) {
        struct bytes digits = line_digits(line);
        int set = set_of_digits(digits.n);
        number++;
        if (!digits.n)
            continue;
        if (set < 0)
            return ctx_fail(ctx, E_PARSE, "line %zu of the list of weak keys is not 64, 40 or 20 hex digits", number);
        struct weak_set *s = &list->sets[set];
        for (size_t i = 0; i < digits.n; i += 2) {
            uint8_t high, low;
            if (!hex_digit(digits.p[i], &high) || !hex_digit(digits.p[i + 1], &low))
                return ctx_fail(ctx, E_PARSE, "line %zu of the list of weak keys is not hex", number);
            s->v[s->n * s->width + i / 2] = (uint8_t)(high << 4 | low);
        }
        s->n++;
    }
    return RC_OK;
}

static struct rc parse_records(struct ctx *ctx, struct bytes data, struct weak_list *list)
{
    size_t n = data.n / 16;
    struct weak_set *s = &list->sets[SET_NUMBER_15];
    *s = (struct weak_set){.v = calloc(n + 1, 15), .width = 15};
    if (!s->v)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a list of %zu weak keys", n);
    for (; s->n < n; s->n++)
        memcpy(s->v + s->n * 15, data.p + s->n * 16, 15);
    return RC_OK;
}

/* Text has no control characters; among the first records of hashes there are always some. */
static bool is_binary(struct bytes data)
{
    for (size_t i = 0; i < data.n && i < 4096; i++)
        if (data.p[i] < 9 || (data.p[i] > 13 && data.p[i] < 32) || data.p[i] >= 127)
            return data.n % 16 == 0;
    return false;
}

struct rc weak_list_parse(struct ctx *ctx, struct bytes text, struct weak_list **out)
{
    __attribute__((cleanup(weak_list_freep))) struct weak_list *list = calloc(1, sizeof *list);
    *out = NULL;
    if (!list)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a list of weak keys");
    if (is_binary(text))
        TRY(parse_records(ctx, text, list));
    else
        TRY(parse_text(ctx, text, list));
    for (size_t i = 0; i < SETS; i++)
        sort_set(&list->sets[i]);
    *out = list;
    list = NULL;
    return RC_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void free_memory(uint8_t **p)
{
    free(*p);
}

struct rc weak_list_load(struct ctx *ctx, const char *path, struct weak_list **out)
{
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0)
        return ctx_fail_errno(ctx, "the list of weak keys %s cannot be read", path);
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > WEAK_LIST_BYTES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the list of weak keys %s is not a file of at most 512 MiB", path);
    size_t size = (size_t)st.st_size, n = 0;
    __attribute__((cleanup(free_memory))) uint8_t *p = malloc(size + 1);
    if (!p)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the list of weak keys %s", path);
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0)
            return ctx_fail_errno(ctx, "the list of weak keys %s cannot be read", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    struct rc rc = weak_list_parse(ctx, bytes_of(p, n), out);
    return rc_failed(rc) ? ctx_wrap(ctx, rc, "reading %s", path) : rc;
}

/* What badkeys hashes: the modulus, or the x coordinate of the point, as a number without leading zeros. */
static struct rc number_hash(struct ctx *ctx, const struct spki *s, uint8_t out[SHA256_LEN])
{
    struct bytes number = s->kind == SPKI_RSA ? s->modulus : bytes_of(s->key.p + 1, (s->key.n - 1) / 2);
    while (number.n && number.p[0] == 0)
        bytes_skip(&number, 1);
    return digest_sha256(ctx, number, out);
}

/* The last 80 bits of SHA-1 over what "openssl rsa -modulus" prints. */
static struct rc modulus_hash(struct ctx *ctx, const struct spki *s, uint8_t out[10])
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t full[20];
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 8192);
    buf_put_z(&b, "Modulus=");
    for (size_t i = 0; i < s->modulus.n; i++) {
        buf_put_u8(&b, (uint8_t)hex[s->modulus.p[i] >> 4]);
        buf_put_u8(&b, (uint8_t)hex[s->modulus.p[i] & 15]);
    }
    buf_put_u8(&b, '\n');
    TRY(buf_status(&b));
    if (EVP_Digest(b.p, b.n, full, NULL, alg_get()->sha1, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    memcpy(out, full + 10, 10);
    return RC_OK;
}

static struct rc look_in_lists(struct ctx *ctx, const struct spki *s, const struct weak_list *const *lists, size_t n, bool *listed)
{
    uint8_t hash[SHA256_LEN], number[SHA256_LEN], modulus[10] = {0};
    *listed = false;
    if (!n)
        return RC_OK;
    TRY(digest_sha256(ctx, s->der, hash));
    TRY(number_hash(ctx, s, number));
    if (s->kind == SPKI_RSA)
        TRY(modulus_hash(ctx, s, modulus));
    for (size_t i = 0; i < n; i++) {
        const struct weak_set *sets = lists[i]->sets;
        *listed = *listed || set_has(&sets[SET_SPKI_32], hash) || set_has(&sets[SET_SPKI_20], hash) ||
                  set_has(&sets[SET_NUMBER_15], number) || (s->kind == SPKI_RSA && set_has(&sets[SET_MODULUS_10], modulus));
    }
    return RC_OK;
}

/* --- RSA */

static uint32_t remainder_of(struct bytes n, uint32_t divisor)
{
    uint64_t r = 0;
    for (size_t i = 0; i < n.n; i++)
        r = (r << 8 | n.p[i]) % divisor;
    return (uint32_t)r;
}

/* ROCA (Nemec et al., CCS 2017): the primes are k*M + (65537^a mod M), M the product of the first primes, so that modulo each of
 * these the modulus lies in the subgroup made by 65537.  The primes for which that subgroup is not everything tell such keys apart:
 * a random modulus passes all of them once in 2^27 or so. */
static bool has_roca_fingerprint(struct bytes modulus)
{
    static const uint32_t primes[] = {11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157};
    for (size_t i = 0; i < sizeof primes / sizeof *primes; i++) {
        uint32_t p = primes[i], want = remainder_of(modulus, p), power = 1;
        bool in_group = false;
        do {
            in_group = power == want;
            power = power * (65537 % p) % p;
        } while (!in_group && power != 1);
        if (!in_group)
            return false;
    }
    return true;
}

/* The modulus in 64-bit digits, the most significant first. */
struct digits {
    uint64_t v[RSA_BITS_MAX / 64];
    size_t n;
};

static struct digits to_digits(struct bytes modulus)
{
    struct digits d = {.n = (modulus.n + 7) / 8};
    for (size_t i = 0; i < modulus.n; i++)
        d.v[d.n - 1 - i / 8] |= (uint64_t)modulus.p[modulus.n - 1 - i] << (i % 8 * 8);
    return d;
}

static uint64_t digits_mod(const struct digits *d, uint64_t divisor)
{
    unsigned __int128 r = 0;
    for (size_t i = 0; i < d->n; i++)
        r = (r << 64 | d->v[i]) % divisor;
    return (uint64_t)r;
}

/* A prime under FACTOR_LIMIT that divides the modulus, 0 where none does.  Divides by products of as many neighbouring primes as
 * fit 64 bits, which is several times faster than one by one. */
static uint32_t small_factor(struct bytes modulus)
{
    struct digits d = to_digits(modulus);
    uint8_t composite[FACTOR_LIMIT / 8] = {0};
    uint64_t product = 1;
    uint32_t group[16];
    size_t members = 0;
    for (uint32_t i = 2; i <= FACTOR_LIMIT; i++) {
        bool end = i == FACTOR_LIMIT;
        if (!end && (composite[i / 8] & (1u << (i % 8))))
            continue;
        if (end || product > UINT64_MAX / i) {
            uint64_t r = digits_mod(&d, product);
            for (size_t k = 0; k < members; k++)
                if (r % group[k] == 0)
                    return group[k];
            product = 1;
            members = 0;
        }
        if (end)
            break;
        product *= i;
        group[members++] = i;
        for (uint32_t j = i * i; i < 256 && j < FACTOR_LIMIT; j += i)
            composite[j / 8] |= (uint8_t)(1u << (j % 8));
    }
    return 0;
}

/* floor(sqrt(n)), by Newton's method from above. */
static bool square_root(BIGNUM *root, const BIGNUM *n, BN_CTX *c)
{
    bool ok = false;
    BN_CTX_start(c);
    BIGNUM *next = BN_CTX_get(c);
    if (!next || !BN_one(root) || !BN_lshift(root, root, (BN_num_bits(n) + 1) / 2))
        goto out;
    for (;;) {
        if (!BN_div(next, NULL, n, root, c) || !BN_add(next, next, root) || !BN_rshift1(next, next))
            goto out;
        if (BN_cmp(next, root) >= 0)
            break;
        if (!BN_copy(root, next))
            goto out;
    }
    ok = true;
out:
    BN_CTX_end(c);
    return ok;
}

/* Fermat: n = a^2 - b^2 with a near sqrt(n) where the primes are close. */
static struct rc look_by_fermat(struct ctx *ctx, struct bytes modulus, bool *close)
{
    *close = false;
    BN_CTX *c ALG_CLEANUP(BN_CTX) = BN_CTX_new();
    BIGNUM *n ALG_CLEANUP(BIGNUM) = BN_bin2bn(modulus.p, (int)modulus.n, NULL);
    BIGNUM *a ALG_CLEANUP(BIGNUM) = BN_new();
    BIGNUM *rest ALG_CLEANUP(BIGNUM) = BN_new();
    BIGNUM *b ALG_CLEANUP(BIGNUM) = BN_new();
    BIGNUM *square ALG_CLEANUP(BIGNUM) = BN_new();
    if (!c || !n || !a || !rest || !b || !square || !square_root(a, n, c) || !BN_sqr(rest, a, c))
        return alg_fail(ctx, E_CRYPTO, "a key could not be checked");
    if (BN_cmp(rest, n) < 0 && (!BN_add_word(a, 1) || !BN_sqr(rest, a, c)))
        return alg_fail(ctx, E_CRYPTO, "a key could not be checked");
    if (!BN_sub(rest, rest, n))
        return alg_fail(ctx, E_CRYPTO, "a key could not be checked");
    for (int i = 0; i < FERMAT_ROUNDS; i++) {
        /* Squares end in 0, 1, 4 or 9 modulo 16: three roots in four need not be drawn. */
        BN_ULONG low = BN_mod_word(rest, 16);
        if (low == 0 || low == 1 || low == 4 || low == 9) {
            if (!square_root(b, rest, c) || !BN_sqr(square, b, c))
                return alg_fail(ctx, E_CRYPTO, "a key could not be checked");
            if (BN_cmp(square, rest) == 0) {
                *close = true;
                return RC_OK;
            }
        }
        /* (a + 1)^2 - n = (a^2 - n) + 2a + 1 */
        if (!BN_add(rest, rest, a) || !BN_add(rest, rest, a) || !BN_add_word(rest, 1) || !BN_add_word(a, 1))
            return alg_fail(ctx, E_CRYPTO, "a key could not be checked");
    }
    return RC_OK;
}

/* Of RSA keys of any size that the reader takes. */
static struct rc look_at_rsa(struct ctx *ctx, const struct spki *s, uint32_t *weak)
{
    bool close;
    if (s->bits > RSA_BITS_MAX)
        return RC_OK;
    if (small_factor(s->modulus))
        *weak |= WEAK_FACTOR;
    if (has_roca_fingerprint(s->modulus))
        *weak |= WEAK_ROCA;
    TRY(look_by_fermat(ctx, s->modulus, &close));
    if (close)
        *weak |= WEAK_FERMAT;
    return RC_OK;
}

struct rc weak_look(struct ctx *ctx, struct bytes der, const struct weak_list *const *lists, size_t n, uint32_t *weak)
{
    struct spki s;
    bool listed = false;
    *weak = 0;
    TRY(spki_parse(ctx, der, &s));
    if (s.kind == SPKI_RSA)
        TRY(look_at_rsa(ctx, &s, weak));
    if (s.kind == SPKI_RSA || s.kind == SPKI_EC)
        TRY(look_in_lists(ctx, &s, lists, n, &listed));
    if (listed)
        *weak |= WEAK_LISTED;
    return RC_OK;
}

static struct rc check_size(struct ctx *ctx, const struct spki *s)
{
    if (s->bits < RSA_BITS_MIN)
        return ctx_fail(ctx, E_WEAK_KEY, "an RSA key of %d bits is too short; at least %d are needed", s->bits, RSA_BITS_MIN);
    if (s->bits > RSA_BITS_MAX)
        return ctx_fail(ctx, E_WEAK_KEY, "an RSA key of %d bits is over the limit of %d", s->bits, RSA_BITS_MAX);
    if (!(s->exponent.p[s->exponent.n - 1] & 1))
        return ctx_fail(ctx, E_WEAK_KEY, "the RSA key's public exponent is even");
    if (s->exponent.n < 3)
        return ctx_fail(ctx, E_WEAK_KEY, "the RSA key's public exponent is less than 65537");
    if (s->exponent.n > 32)
        return ctx_fail(ctx, E_WEAK_KEY, "the RSA key's public exponent is 2^256 or more");
    return RC_OK;
}

static struct rc refuse(struct ctx *ctx, const struct spki *s, uint32_t weak)
{
    if (weak & WEAK_FACTOR)
        return ctx_fail(ctx, E_WEAK_KEY, "the RSA modulus can be divided by %u", small_factor(s->modulus));
    if (weak & WEAK_ROCA)
        return ctx_fail(ctx, E_WEAK_KEY,
                        "the RSA key has the fingerprint of ROCA (CVE-2017-15361): made by a faulty smart card or TPM");
    if (weak & WEAK_FERMAT)
        return ctx_fail(ctx, E_WEAK_KEY,
                        "the two primes of the RSA key are so close that it can be factored (Fermat); make a "
                        "new key with another program");
    if (weak & WEAK_LISTED)
        return ctx_fail(ctx, E_WEAK_KEY, "the key is on a list of keys that others know too; make a new one");
    return RC_OK;
}

struct rc weak_check(struct ctx *ctx, struct bytes der, const struct weak_list *const *lists, size_t n)
{
    struct spki s;
    uint32_t weak;
    TRY(spki_parse(ctx, der, &s));
    if (s.kind == SPKI_RSA) {
        TRY(check_size(ctx, &s));
    } else if (s.kind == SPKI_EC) {
        KEY_CLEANUP struct key *key = NULL;
        if (s.key_kind == KEY_OTHER)
            return ctx_fail(ctx, E_WEAK_KEY, "the key's curve%s%s is not accepted; P-256 and P-384 are",
                            s.curve[0] == '?' ? "" : " ", s.curve[0] == '?' ? "" : s.curve);
        TRY(key_from_spki(ctx, der, &key)); /* refuses a point that is not on the curve */
    } else {
        return ctx_fail(ctx, E_UNSUPPORTED, "the key is neither RSA nor EC");
    }
    TRY(weak_look(ctx, der, lists, n, &weak));
    return refuse(ctx, &s, weak);
}
